"""Which formats of other trackers can be imported, how one is told from another, and the one call for all of them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from nerface.capture.options import CaptureOptions
from nerface.errors import UserError
from nerface.interop import adnerf, arkit_take, imavatar, insta, metrical, openface, tracker_import, vhap
from nerface.interop.flame_rigid import FlameJoints
from nerface.interop.tracked import TrackedClip
from nerface.interop.tracked_dataset import ImportOptions, ImportReport, write_tracked
from nerface.interop.transforms_json import first_frame
from nerface.progress import SILENT, Progress


@dataclass(frozen=True)
class SourceOptions:
    """What single formats can be told.

    `camera` the camera_index of one of several (vhap); `flame_joints` six numbers, the places of root and neck joint in
    metres (vhap, imavatar); `video` the video that a table is about and `focal_px` its focal length (openface, arkit);
    `captured`, `sync` and `capture`: see `nerface.interop.arkit_take`.
    """

    camera: int | None = None
    flame_joints: tuple[float, ...] | None = None
    video: Path | None = None
    focal_px: float | None = None
    captured: Path | None = None
    sync: float | None = None
    capture: CaptureOptions = field(default_factory=CaptureOptions)


@dataclass(frozen=True)
class Format:
    """`name` as the user says it; `wanted`, what it is told by; `fits` a folder or file; `read` gives the clip (None:
    the format is more than a reader)."""

    name: str
    wanted: str
    fits: Callable[[Path], bool]
    read: Callable[[Path, SourceOptions, ImportOptions], TrackedClip] | None


FORMATS: tuple[Format, ...] = (
    Format(
        tracker_import.FORM,
        tracker_import.WANTED,
        tracker_import.is_seed_tracker,
        lambda source, own, shared: tracker_import.read_seed_tracker(source, shared.cropped_from),
    ),
    Format(
        vhap.FORM,
        vhap.WANTED,
        vhap.is_vhap,
        lambda source, own, shared: vhap.read_vhap(source, own.camera, FlameJoints.of(own.flame_joints)),
    ),
    Format(insta.FORM, insta.WANTED, insta.is_insta, lambda source, own, shared: insta.read_insta(source)),
    Format(
        metrical.FORM, metrical.WANTED, metrical.is_metrical, lambda source, own, shared: metrical.read_metrical(source)
    ),
    Format(
        imavatar.FORM,
        imavatar.WANTED,
        imavatar.is_imavatar,
        lambda source, own, shared: imavatar.read_imavatar(source, FlameJoints.of(own.flame_joints)),
    ),
    Format(adnerf.FORM, adnerf.WANTED, adnerf.is_adnerf, lambda source, own, shared: adnerf.read_adnerf(source)),
    Format(
        openface.FORM,
        openface.WANTED,
        openface.is_openface,
        lambda source, own, shared: openface.read_openface(source, own.video, own.focal_px),
    ),
    Format(arkit_take.FORM, arkit_take.WANTED, arkit_take.is_arkit, None),
)
NAMES = tuple(one.name for one in FORMATS)


def import_tracking(
    source: Path,
    output: Path,
    form: str | None = None,
    options: ImportOptions | None = None,
    own: SourceOptions | None = None,
    progress: Progress = SILENT,
) -> ImportReport:
    """Write the dataset `output` from another tracker's folder or table; `form` forces a format (None: found by
    itself).

    Raises `UserError`, one line, where no or more than one format fits, and what its reader and writer raise.
    """
    options, own = options or ImportOptions(), own or SourceOptions()
    if not source.exists():
        raise UserError(f"{source}: no such file or folder")
    chosen = find_format(source) if form is None else next(one for one in FORMATS if one.name == form)
    if chosen.read is None:
        arkit = arkit_take.ArkitOptions(own.captured, own.video, own.sync, own.capture)
        return arkit_take.import_arkit_take(source, output, arkit, progress)
    return write_tracked(chosen.read(source, own, options), output, options, progress)


def find_format(source: Path) -> Format:
    """The one format that fits. Raises `UserError` that says what was looked for."""
    fitting = [one for one in FORMATS if one.fits(source)]
    if len(fitting) == 1:
        return fitting[0]
    if fitting:
        raise UserError(f"{source} could be {' or '.join(one.name for one in fitting)}: say which with --format")
    if source.is_dir() and "expression" in first_frame(source):
        raise UserError(f"{source} is a dataset already: nerface check {source}")
    inner = [path.name for path in _folders(source) if any(one.fits(path) for one in FORMATS)]
    if inner:
        raise UserError(f"{source} holds no tracking itself, its folders do ({', '.join(inner[:4])}): name one of them")
    looked = "; ".join(f"{one.name}: {one.wanted}" for one in FORMATS)
    raise UserError(f"{source} is in no format that is known (looked for {looked})")


def _folders(source: Path) -> list[Path]:
    return [path for path in sorted(source.iterdir()) if path.is_dir()][:50] if source.is_dir() else []
