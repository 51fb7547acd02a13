"""Reads OpenFace's table (FeatureExtraction) beside the video that it is about.

Source: OpenFace 2.x (Baltrusaitis et al., "OpenFace 2.0: Facial Behavior Analysis Toolkit", FG 2018): its wiki's output
format; `lib/local/Utilities/src/RecorderCSV.cpp` and `include/RotationHelpers.h`, `GetPose` of LandmarkDetectorFunc
(read in copies: AffectAnalysisGroup/OpenFace ecd320c, ethanol-cx/Eye-Contact-Detection-With-OpenFace 630aba9). Facts:

    frame (from 1), face_id, timestamp (s), confidence, success (1 = tracked)
    pose_Tx, Ty, Tz   the head in camera axes, mm; z is positive away from the camera
    pose_Rx, Ry, Rz   radians; R = Rx Ry Rz turns the face model's points into camera axes
    x_0.. y_0..       68 iBUG points (px); X_, Y_, Z_ the same in camera axes (mm)
    gaze_angle_x, y   radians; AU01_r.. intensities 0 to 5, AU01_c.. presences; p_0.. shape coefficients

Camera axes are OpenCV's (x right, y down, z forward): u = fx X / Z + cx, v = fy Y / Z + cy, centre of the picture, and
unless told otherwise fx = fy = (500 W / 640 + 500 H / 480) / 2. The face model has the same axes at rest (x right, y
down, the nose towards -z): head space is it with y and z turned round, its origin the middle of the model's points. The
table has no picture: they are decoded from the video.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from jaxtyping import Bool, Float
from scipy.spatial.transform import Rotation

from nerface.errors import UserError
from nerface.interop.csv_table import CsvTable, read_csv, read_header
from nerface.interop.tracked import TURNED_YZ, TrackedClip, inverse, pixel_intrinsics, rigid_matrices
from nerface.interop.tracked_pictures import VideoPictures

FORM = "openface"
WANTED = "a table (.csv) with pose_Tx.. and pose_Rx.. columns, and the video that it is about"
VIDEO_ENDINGS = (".mp4", ".mov", ".avi", ".mkv", ".webm", ".m4v", ".wmv", ".mpg")
TRANSLATION = ("pose_Tx", "pose_Ty", "pose_Tz")
ROTATION = ("pose_Rx", "pose_Ry", "pose_Rz")
GAZE = ("gaze_angle_x", "gaze_angle_y")
IBUG_POINTS = 68
USUAL_FOCAL, USUAL_SIZE = 500.0, (640, 480)  # px; the default camera of OpenFace
LEAST_TRACKED = 0.5  # share of the table's frames


def is_openface(source: Path) -> bool:
    """Whether `source` is such a table, or a folder with one."""
    return len(tables_in(source)) > 0


def tables_in(source: Path) -> list[Path]:
    """Tables of OpenFace: `source` itself, or those in the folder."""
    files = [source] if source.is_file() else sorted(source.glob("*.csv")) if source.is_dir() else []
    return [file for file in files if file.suffix.lower() == ".csv" and set(TRANSLATION) <= set(read_header(file))]


def find_video(beside: Path, stated: Path | None, stem: str) -> Path:
    """The video: as stated, else the one named as the table, else the only one in the folder `beside`.

    Raises `UserError` where none or several could be meant.
    """
    if stated is not None:
        if not stated.is_file():
            raise UserError(f"{stated}: no such file")
        return stated
    videos = sorted(path for path in beside.iterdir() if path.suffix.lower() in VIDEO_ENDINGS)
    named = [video for video in videos if video.stem == stem]
    chosen = named if len(named) == 1 else videos
    if len(chosen) != 1:
        what = "no video" if not chosen else "several videos"
        raise UserError(f"{beside} holds {what} ({', '.join(VIDEO_ENDINGS[:4])}, ...): name the one with --video FILE")
    return chosen[0]


def read_openface(source: Path, video: Path | None = None, focal_px: float | None = None) -> TrackedClip:
    """The table and its video as a clip of the frames that were tracked; `focal_px` is what OpenFace was told (-fx).

    Raises `UserError` where there is not one table and one video, or they are broken or do not fit.
    """
    found = tables_in(source)
    if len(found) != 1:
        raise UserError(f"{source} holds {len(found) or 'no'} tables of OpenFace: name one")
    table = read_csv(found[0])
    frame = table.column("frame").astype(np.int64)
    used = _tracked(table, frame)
    frame = frame[used]
    pictures = VideoPictures(
        find_video(found[0].parent, video, found[0].stem), tuple(int(number) - 1 for number in frame)
    )
    width, height = pictures.size
    usual = USUAL_FOCAL * (width / USUAL_SIZE[0] + height / USUAL_SIZE[1]) / 2
    turn = Rotation.from_euler("XYZ", table.table(ROTATION)[used]).as_matrix()
    face_to_camera = rigid_matrices(turn, table.table(TRANSLATION)[used])
    expressions, names = _expressions(table, used)
    notes = (
        [] if focal_px else [f"focal length {usual:.0f} px as OpenFace assumes for such pictures (--focal states it)"]
    )
    if not used.all():
        notes.append(f"{(~used).sum()} of {len(used)} rows are left out: not tracked, or of another face")
    times = table.column("timestamp")[used] if "timestamp" in table.names else None
    return TrackedClip(
        root=found[0],
        form=FORM,
        pictures=pictures,
        intrinsics=pixel_intrinsics(
            (focal_px or usual, focal_px or usual), (width / 2, height / 2), (width, height), edges=False
        ),
        camera_to_head=TURNED_YZ @ inverse(face_to_camera, str(found[0])) @ TURNED_YZ,
        expressions=expressions,
        names=names,
        numbers=frame - 1,
        unit_m=0.001,
        times=times,
        frame_rate=_rate(frame, times),
        landmarks=_landmarks(table, used),
        notes=tuple(notes),
    )


def _tracked(table: CsvTable, frame: np.ndarray) -> Bool[np.ndarray, " rows"]:
    """Rows of tracked frames, of the face that most rows are about, each frame once."""
    used = table.column("success") > 0.5 if "success" in table.names else np.ones(len(table), dtype=bool)
    if "face_id" in table.names:
        faces = table.column("face_id")
        values, counts = np.unique(faces[used], return_counts=True)
        if len(values) > 1:
            used &= faces == values[np.argmax(counts)]
    if used.sum() < LEAST_TRACKED * len(np.unique(frame)):
        raise UserError(f"{table.file}: the face was tracked in {used.sum()} of {len(np.unique(frame))} frames only")
    order = np.diff(frame[used])
    if (order <= 0).any() or frame[used].min() < 1:
        raise UserError(f"{table.file}: frames do not count upwards from 1")
    return used


def _expressions(
    table: CsvTable, used: Bool[np.ndarray, " rows"]
) -> tuple[Float[np.ndarray, "frames expression"], tuple[str, ...]]:
    """Intensities of action units, the gaze, and shape coefficients where they were written."""
    units = tuple(name for name in table.names if name.startswith("AU") and name.endswith("_r"))
    shape = tuple(name for name in table.names if name.startswith("p_") and name[2:].isdecimal())
    gaze = GAZE if set(GAZE) <= set(table.names) else ()
    if not units and not shape:
        raise UserError(f"{table.file} has no action units (AU.._r): run FeatureExtraction with -aus")
    names = (*units, *gaze, *shape)
    return table.table(names)[used], (*units, *gaze, *(f"openface_{name}" for name in shape))


def _landmarks(table: CsvTable, used: Bool[np.ndarray, " rows"]) -> Float[np.ndarray, "frames 68 2"] | None:
    columns = [tuple(f"{axis}_{k}" for k in range(IBUG_POINTS)) for axis in "xy"]
    if not set(columns[0]) | set(columns[1]) <= set(table.names):
        return None
    return np.stack([table.table(names)[used] for names in columns], axis=-1)


def _rate(frame: np.ndarray, times: np.ndarray | None) -> float | None:
    """Frames per second by the table's times."""
    if times is None or len(frame) < 2 or not times[-1] > times[0]:
        return None
    return float((frame[-1] - frame[0]) / (times[-1] - times[0]))
