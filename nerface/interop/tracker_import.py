"""From a tracker's folder to a dataset: what the seed's converter does for training and test frames, in one go."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from nerface.errors import UserError
from nerface.interop.tracked import TrackedClip
from nerface.interop.tracked_dataset import ImportOptions, ImportReport, write_tracked
from nerface.interop.tracked_pictures import FilePictures
from nerface.interop.tracker_cameras import pose_scale, to_intrinsics, to_poses
from nerface.interop.tracker_folder import EXPRESSION, IMAGES, INTRINSICS, RIGID, read_tracker_folder
from nerface.progress import SILENT, Progress

__all__ = ["ImportOptions", "ImportReport", "import_tracker_folder", "read_seed_tracker"]

FORM = "tracker"
WANTED = f"{IMAGES}/, {INTRINSICS}, {EXPRESSION} and {RIGID}"


def import_tracker_folder(
    source: Path, output: Path, options: ImportOptions | None = None, progress: Progress = SILENT
) -> ImportReport:
    """Write the dataset `output` from the tracker's folder `source` (`nerface.interop.tracker_folder` says what is in
    it); it appears whole or not at all.

    Raises `UserError`, one line naming file and row, for anything missing, broken or not in agreement.
    """
    options = options or ImportOptions()
    return write_tracked(read_seed_tracker(source, options.cropped_from), output, options, progress)


def is_seed_tracker(source: Path) -> bool:
    """Whether `source` is such a folder."""
    return source.is_dir() and (source / RIGID).is_file() and (source / EXPRESSION).is_file()


def read_seed_tracker(source: Path, cropped_from: tuple[int, int] | None = None) -> TrackedClip:
    """The folder as a clip in the seed's own convention: fx < 0, so that picture x runs against camera x, and the mean
    z translation (not the mean distance) at 0.5. Raises `UserError` as `read_tracker_folder`."""
    tracked = read_tracker_folder(source)
    pictures = FilePictures(tracked.images)
    try:
        scale = pose_scale(tracked.rigid)
    except UserError as error:
        raise UserError(f"{tracked.root / RIGID}: {error}") from None
    fx, fy = tracked.intrinsics[:2]
    notes: tuple[str, ...] = ()
    if fx < 0 or fy > 0:
        notes = (
            f"{tracked.root / INTRINSICS} has fx {fx:g} and fy {fy:g}: such trackers write fx > 0 and fy < 0; look at "
            "overlay.mp4 for a mirrored or upside-down face",
        )
    return TrackedClip(
        root=source,
        form=FORM,
        pictures=pictures,
        intrinsics=to_intrinsics(tracked.intrinsics, pictures.size, cropped_from),
        camera_to_head=to_poses(tracked.rigid, 1.0),
        expressions=tracked.expressions,
        names=(),
        numbers=np.arange(len(tracked)),
        unit_m=None,
        scale=scale,
        estimated=False,  # as NeRFace trains on its own
        notes=notes,
    )
