"""Set-up and first run on a fresh machine, with nothing but Python.

    python3 bootstrap.py demo [...]     set up, then `nerface demo ...`
    python3 bootstrap.py test [...]     set up with the developers' tools, then `pytest ...`
    python3 bootstrap.py setup          what `test` sets up, without running the tests

The set-up is an environment in .venv beside this file (the variable NERFACE_VENV names another folder), PyTorch (a CPU
build where there is no GPU), this package, and the networks that capture uses. Everything is fetched once: a later run
skips what is done and needs no network. A set-up that was interrupted is mended by the same command.
"""
# Everything down to the check of the version must run on Python 3.6: old systems shall read one line, not a traceback.
# For the same reason there is no `from __future__ import annotations` here.

import hashlib
import json
import os
import platform
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import NamedTuple

LOWEST, HIGHEST = (3, 10), (3, 13)


def version_fault(version):  # type: ignore[no-untyped-def]  # (int, int) -> str; see above
    """What is wrong with a Python of this version, in words; empty where nothing is."""
    if LOWEST <= version <= HIGHEST:
        return ""
    this, lowest, highest = ("{}.{}".format(*pair) for pair in (version, LOWEST, HIGHEST))
    return f"this is Python {this}, nerface runs on Python {lowest} to {highest}"


if __name__ == "__main__" and version_fault(sys.version_info[:2]):
    sys.exit(
        "bootstrap: error: "
        + version_fault(sys.version_info[:2])
        + "; start it with one of those, for example: python3.12 bootstrap.py demo"
    )

ROOT = Path(__file__).resolve().parent
FOLDER_VARIABLE = "NERFACE_VENV"
RECORD_NAME = "nerface-setup.json"
TORCH = "torch>=2.6"
TORCH_LOWEST = (2, 6)
# The version asked for first on Linux: the newest is often at hand with CUDA only, where a package folder or a mirror
# in pip's configuration holds a CPU build of this one.
TORCH_TRIED = "torch==2.13.0"
# LPIPS for the tests; with torchvision and tqdm it has all that it needs beside this package's own dependencies.
LPIPS = ("lpips>=0.1.4", "tqdm>=4.28")
TORCHVISION_AHEAD = 15  # PyTorch 2.M and torchvision 0.(M + 15) are made for each other
UV = "uv>=0.8"  # knows the addresses of the CPU builds (--torch-backend)
PIP_LOWEST = (23, 2)  # reports what it would install without downloading it
PROBE_TIMEOUT_S = 60.0
EXIT_ERROR = 2


class SetupError(Exception):
    """The set-up cannot go on; the message is one line that says what to do."""


class Stamp(NamedTuple):
    """What an environment was made from. Where this is unchanged there is nothing to install."""

    pyproject: str  # sha256
    python: str  # major.minor
    root: str
    extras: tuple[str, ...]

    def covers(self, wanted: "Stamp") -> bool:
        """Whether all that `wanted` asks for was installed."""
        return self._replace(extras=()) == wanted._replace(extras=()) and set(wanted.extras) <= set(self.extras)


class Record(NamedTuple):
    """The content of RECORD_NAME: whether this script made the environment, and what it has finished in it."""

    made_here: bool
    stamp: "Stamp | None"


def main(arguments: list[str]) -> int:
    """Run one of the commands above; gives the exit status."""
    if not arguments or arguments[0] not in ("demo", "test", "setup"):
        asked = bool(arguments) and arguments[0] in ("-h", "--help")
        print(__doc__, file=sys.stdout if asked else sys.stderr)
        return 0 if asked else EXIT_ERROR
    verb, rest = arguments[0], arguments[1:]
    try:
        python = set_up(environment_folder(), () if verb == "demo" else ("dev",))
        fetch_weights(python, needed=verb == "demo")
    except SetupError as error:
        print(f"bootstrap: error: {error}", file=sys.stderr)
        return EXIT_ERROR
    except KeyboardInterrupt:
        print("\nbootstrap: stopped; the same command goes on from here", file=sys.stderr)
        return 130
    if verb == "setup":
        return 0
    if verb == "demo":
        return become([str(python), "-m", "nerface.apps.cli", "demo", *rest], Path.cwd())
    return become([str(python), "-m", "pytest", *rest], ROOT)


def set_up(folder: Path, extras: tuple[str, ...]) -> Path:
    """Make or mend the environment in `folder`; gives its Python. Touches no network where all is done."""
    python = python_of(folder)
    record = read_record(folder)
    version = version_of(python)
    if record.stamp is not None and version is not None:
        wanted = wanted_stamp(version, extras)
        if record.stamp.covers(wanted):
            return python
        extras = tuple(sorted({*extras, *record.stamp.extras}))
    version = make_environment(folder, record, version)
    write_record(folder, read_record(folder)._replace(stamp=None))  # whatever happens now, it is no longer whole
    for leftover in unfinished(site_packages(python)):
        shutil.rmtree(leftover)
    ready_pip(python)
    install_torch(python)
    install_package(python, extras)
    if "dev" in extras:
        install_lpips(python)
    write_record(folder, read_record(folder)._replace(stamp=wanted_stamp(version, extras)))
    say(f"ready: {python.with_name('nerface')} --help")
    return python


# ---------------------------------------------------------------------------------------------- the environment


def environment_folder() -> Path:
    """NERFACE_VENV, else .venv beside this file."""
    stated = os.environ.get(FOLDER_VARIABLE)
    return Path(stated).expanduser().absolute() if stated else ROOT / ".venv"


def python_of(folder: Path, os_name: str = os.name) -> Path:
    """The Python of an environment."""
    return folder / "Scripts" / "python.exe" if os_name == "nt" else folder / "bin" / "python"


def version_of(python: Path) -> "str | None":
    """Major.minor of a Python that starts; None where it does not."""
    if not python.exists():
        return None
    status, text = ask([str(python), "-c", "import sys; print('%d.%d' % sys.version_info[:2])"])
    return text.strip() if status == 0 else None


def make_environment(folder: Path, record: Record, version: "str | None") -> str:
    """See that `folder` holds an environment whose Python starts; gives its version.

    Only an environment that this script made is ever removed, and only where it is broken.
    """
    broken = version is None or (record.stamp is not None and record.stamp.python != version)
    if broken and record.made_here:
        say(f"{folder} is incomplete or of another Python: making it anew")
        shutil.rmtree(folder)
    elif broken and folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise SetupError(
            f"{folder} is there and holds no Python environment that works: remove it, or set {FOLDER_VARIABLE} "
            "to another folder"
        )
    if broken:
        say(f"environment: {folder}")
        folder.mkdir(parents=True, exist_ok=True)
        write_record(folder, Record(made_here=True, stamp=None))
        # The base Python, as the one that runs this may stand in the folder that was just removed.
        base = getattr(sys, "_base_executable", None) or sys.executable
        if call([base, "-m", "venv", str(folder)]) != 0:
            raise SetupError(
                f"Python's venv could not make {folder} (see above; on Debian and Ubuntu it is the package "
                "python3-venv), then run the same command again"
            )
        version = version_of(python_of(folder))
    if version is None:
        raise SetupError(f"{python_of(folder)} does not start: remove {folder}, then run the same command again")
    fault = version_fault(tuple(int(part) for part in version.split(".")))
    if fault:
        raise SetupError(f"{folder}: {fault}; set {FOLDER_VARIABLE} to another folder")
    return version


def read_record(folder: Path) -> Record:
    """The record of an environment; where there is none that can be read, nothing is known to be finished."""
    try:
        value = json.loads((folder / RECORD_NAME).read_text(encoding="utf-8"))
        stamp = value["stamp"]
        if stamp is not None:
            stamp = Stamp(stamp["pyproject"], stamp["python"], stamp["root"], tuple(stamp["extras"]))
        return Record(bool(value["made_here"]), stamp)
    except (OSError, ValueError, KeyError, TypeError):
        return Record(made_here=False, stamp=None)


def write_record(folder: Path, record: Record) -> None:
    """Write the record whole or not at all."""
    value = {"made_here": record.made_here, "stamp": record.stamp and record.stamp._asdict()}
    partial = folder / (RECORD_NAME + ".part")
    partial.write_text(json.dumps(value, indent=2) + "\n", encoding="utf-8")
    partial.replace(folder / RECORD_NAME)


def wanted_stamp(version: str, extras: tuple[str, ...]) -> Stamp:
    """What an environment of this Python must have been made from to be up to date."""
    digest = hashlib.sha256((ROOT / "pyproject.toml").read_bytes()).hexdigest()
    return Stamp(pyproject=digest, python=version, root=str(ROOT), extras=extras)


def site_packages(python: Path) -> Path:
    """Where an environment keeps its packages."""
    status, text = ask([str(python), "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"])
    if status != 0:
        raise SetupError(f"{python} does not start: remove {python.parents[1]}, then run the same command again")
    return Path(text.strip())


def unfinished(packages: Path) -> list[Path]:
    """What an interrupted installation left half done; without it pip installs those packages again.

    Installers write INSTALLER into a package's metadata after all its files, and keep what they are about to replace
    under names that begin with "~".
    """
    metadata = [folder for folder in packages.glob("*.dist-info") if not (folder / "INSTALLER").is_file()]
    return sorted([*metadata, *(folder for folder in packages.glob("~*") if folder.is_dir())])


# ---------------------------------------------------------------------------------------------- what is installed


def ready_pip(python: Path) -> None:
    """See that the environment has a pip that is new enough."""
    status, text = ask([str(python), "-m", "pip", "--version"])
    if status != 0 and call([str(python), "-m", "ensurepip", "--upgrade"]) != 0:
        raise SetupError(f"{python} has no pip: remove {python.parents[1]}, then run the same command again")
    if status != 0 or numbers(text.partition("pip ")[2]) < PIP_LOWEST:
        pip_install(python, [f"pip>={'.'.join(map(str, PIP_LOWEST))}", "--upgrade"], "a newer pip")


def install_torch(python: Path) -> None:
    """Install PyTorch, without CUDA where there is no GPU. One that is there and starts is kept."""
    status, text = ask([str(python), "-c", "import torch; print(torch.__version__)"])
    if status == 0 and numbers(text) >= TORCH_LOWEST:
        say(f"PyTorch {text.strip()} is there")
        return
    system, gpu = platform.system(), has_nvidia_gpu()
    for way in torch_ways(system, gpu):
        if way == "pip":
            pip_install(python, [TORCH], "PyTorch")
            return
        if way == "pip, if a CPU build" and pip_has_cpu_build(python):
            pip_install(python, [TORCH_TRIED], "PyTorch, CPU build")
            return
        if way.startswith("uv") and uv_install_torch(python, backend="cpu" if way == "uv, CPU build" else "auto"):
            return
    raise SetupError(
        f"no CPU build of PyTorch could be had: put one ({TORCH}; PyTorch's site names it for your system) into the "
        f"environment with `{python} -m pip install`, then run the same command again"
    )


def torch_ways(system: str, gpu: bool) -> list[str]:
    """The ways to get PyTorch, best first. PyPI's wheels are CUDA builds on Linux and CPU builds elsewhere."""
    if system == "Linux" and not gpu:
        return ["pip, if a CPU build", "uv, CPU build"]
    if system == "Windows" and gpu:
        return ["uv, for the GPU", "pip"]
    return ["pip"]


def has_nvidia_gpu() -> bool:
    """Whether NVIDIA's driver is there and sees a GPU."""
    program = shutil.which("nvidia-smi")
    if program is None:
        return False
    status, text = ask([program, "-L"])
    return status == 0 and "GPU" in text


def pip_has_cpu_build(python: Path) -> bool:
    """Whether pip, as it is configured here, would take a CPU build. Nothing is installed."""
    options = ["--dry-run", "--no-deps", "--ignore-installed", "--quiet", "--report", "-"]
    status, text = ask([str(python), "-m", "pip", "install", *options, TORCH_TRIED], seconds=10 * PROBE_TIMEOUT_S)
    return status == 0 and is_cpu_build(text)


def is_cpu_build(report: str) -> bool:
    """Whether the one package of pip's installation report (JSON) is a build without CUDA."""
    try:
        (package,) = json.loads(report)["install"]
        metadata = package["metadata"]
        needs = metadata.get("requires_dist", [])
        local = metadata["version"].partition("+")[2]
    except (ValueError, KeyError, TypeError, AttributeError):
        return False
    if local:
        return bool(local == "cpu")
    return not any(re.match(r"(nvidia|cuda|triton)\b", need) and "extra ==" not in need for need in needs)


def uv_install_torch(python: Path, backend: str) -> bool:
    """Let uv find the build for this machine; gives whether it could."""
    try:
        pip_install(python, [UV], "uv, which finds the right build of PyTorch")
    except SetupError as error:
        say(str(error))
        return False
    say(f"PyTorch ({backend})")
    target = ["--python", str(python), f"--torch-backend={backend}"]
    return call([str(python), "-m", "uv", "pip", "install", *target, TORCH]) == 0


def install_package(python: Path, extras: tuple[str, ...]) -> None:
    """Install this checkout, editable, with what it needs."""
    place = f"{ROOT}[{','.join(extras)}]" if extras else str(ROOT)
    pip_install(python, ["--editable", place], "nerface and what it needs")


def install_lpips(python: Path) -> None:
    """Install LPIPS, for its tests, and the torchvision that was made for the PyTorch that is there.

    Without their dependencies: torchvision asks for a PyTorch of its own patch level, which pip would take from PyPI
    with CUDA and put in the place of the one that is there. The rest was installed with the package.
    """
    status, text = ask([str(python), "-c", "import torch; print(torch.__version__)"])
    if status != 0 or len(numbers(text)) < 2:
        raise SetupError(f"PyTorch does not start in {python.parents[1]}: remove that folder, then run the same again")
    fitting = torchvision_for(numbers(text))
    pip_install(python, ["--no-deps", *LPIPS, fitting], "LPIPS, for the tests")


def torchvision_for(torch: tuple[int, ...]) -> str:
    """The requirement that names the torchvision made for a PyTorch of this version."""
    return f"torchvision==0.{torch[1] + TORCHVISION_AHEAD}.*"


def fetch_weights(python: Path, needed: bool) -> None:
    """Fetch the networks that capture uses; where they are there already this only checks them."""
    if call([str(python), "-m", "nerface.apps.cli", "weights"]) == 0:
        return
    if needed:
        raise SetupError("the networks that capture uses are missing (see above); then run the same command again")
    say("the networks that capture uses are missing: tests that need them will be skipped")


# ---------------------------------------------------------------------------------------------- small helpers


def pip_install(python: Path, arguments: list[str], what: str) -> None:
    """Install with the environment's pip; one line before, pip's own words on a terminal."""
    say(f"installing {what}")
    started = time.monotonic()
    quiet = [] if sys.stdout.isatty() else ["--quiet"]
    if call([str(python), "-m", "pip", "install", "--disable-pip-version-check", *quiet, *arguments]) != 0:
        raise SetupError(f"pip could not install {what} (see above); mend that, then run the same command again")
    say(f"installed {what} in {time.monotonic() - started:.0f} s")


def numbers(version: str) -> tuple[int, ...]:
    """The leading numbers of a version: "2.13.0+cpu" gives (2, 13, 0)."""
    found = re.match(r"\s*(\d+(?:\.\d+)*)", version)
    return tuple(int(part) for part in found.group(1).split(".")) if found else ()


def clean_environment() -> dict[str, str]:
    """This process's variables less those that point a Python at another one's packages."""
    kept = {name: value for name, value in os.environ.items() if name not in ("PYTHONHOME", "PYTHONPATH")}
    return {**kept, "PIP_USER": "0", "PYTHONNOUSERSITE": "1"}


def ask(command: list[str], seconds: float = PROBE_TIMEOUT_S) -> tuple[int, str]:
    """Exit status and standard output of a command that says something short; -1 where it does not start or end."""
    try:
        answer = subprocess.run(
            command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, timeout=seconds, env=clean_environment()
        )
    except (OSError, subprocess.TimeoutExpired):
        return -1, ""
    return answer.returncode, answer.stdout.decode("utf-8", "replace")


def call(command: list[str]) -> int:
    """Run a command that speaks for itself; gives its exit status."""
    sys.stdout.flush()
    return subprocess.call(command, env=clean_environment())


def become(command: list[str], folder: Path) -> int:
    """Go on as another program, so that Ctrl-C and other signals reach it alone; Windows can only wait for it."""
    sys.stdout.flush()
    if os.name == "posix":
        os.chdir(folder)
        os.execve(command[0], command, clean_environment())
    process = subprocess.Popen(command, cwd=folder, env=clean_environment())
    while True:
        try:
            return process.wait()
        except KeyboardInterrupt:
            continue  # it got the same Ctrl-C and says what it does about it


def say(text: str) -> None:
    """One line of progress."""
    print(f"bootstrap: {text}", flush=True)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
