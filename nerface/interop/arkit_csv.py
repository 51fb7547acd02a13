"""Reads the table that Apple's ARKit face tracking leaves in Epic's Live Link Face app.

Source: recordings of the app (alexdjulin/LiveLinkFace-CSV-Retarget-For-Motionbuilder `csv/facial.csv`, `anim/*.csv`,
commits 3598fae, ea12397); Unreal's `EARFaceBlendShape`; `LiveLinkFaceMetadata.cpp` of its MetaHuman plugin. Facts:

    Timecode,BlendShapeCount,EyeBlinkLeft,...,TongueOut,HeadYaw,HeadPitch,HeadRoll,LeftEyeYaw,...,RightEyeRoll
    Timecode         HH:MM:SS:FF.sss, FF in frames of the recording's clock (60; a phone at 30 Hz writes every second)
    BlendShapeCount  61; 0, or the row ends there, where the face was lost
    52 coefficients  ARKit's, 0 to 1, in capitalised names (ours begin with a small letter, as Apple's do)
    head and eyes    yaw, pitch, roll in radians; the head's are all 0 where the app did not stream it

The angles are those of the picture in the phone's mirror: the left eye's stand under the right one's name, and yaw and
roll run the other way (in the recordings, RightEyeYaw is -35 degrees times EyeLookOutLeft less EyeLookInLeft). Which
way they run is told from that in each table, for the head too. Gaze is taken from the eyeLook coefficients, which have
the right side (`nerface.driving.gaze_channels`). Our angles turn about ARKit's axes: x to the person's left, y up, z
out of the face.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Bool, Float
from scipy.spatial.transform import Rotation

from nerface.driving.gaze_channels import GAZE_NAMES, LOOK_NAMES, gaze_from_look
from nerface.errors import UserError
from nerface.interop.csv_table import CsvTable, read_csv, read_header

TIMECODE, COUNT = "Timecode", "BlendShapeCount"
HEAD = ("HeadYaw", "HeadPitch", "HeadRoll")
EYES = ("LeftEyeYaw", "LeftEyePitch", "LeftEyeRoll", "RightEyeYaw", "RightEyePitch", "RightEyeRoll")
SHAPES = 52
RATES_HZ = (24, 25, 30, 48, 50, 60)
USUAL_RATE_HZ = 60
DAY_S = 86400.0
TIMECODE_FORM = re.compile(r"(\d{1,2}):(\d{2}):(\d{2})[:;](\d{1,2}(?:\.\d+)?)")


@dataclass(frozen=True)
class FaceTake:
    """A recording of N samples: `times` [N] in seconds of the day, rising (past midnight they go on counting); `values`
    [N, E] by `names` (52 coefficients and four gaze angles); `head` [N, 3] turns about y (to the person's left), x
    (down) and z in radians, or None where they were not recorded; `rate` of its clock in Hz; `lost` rows without a face
    that were left out."""

    file: Path
    times: Float[np.ndarray, " samples"]
    values: Float[np.ndarray, "samples channels"]
    names: tuple[str, ...]
    head: Float[np.ndarray, "samples 3"] | None
    rate: int
    lost: int

    def at(
        self, times: Float[np.ndarray, " frames"], longest_gap: float
    ) -> tuple[Float[np.ndarray, "frames channels"], Bool[np.ndarray, " frames"]]:
        """Values at `times`, straight between samples, and which of them lie between samples no more than `longest_gap`
        seconds apart (or that near an end)."""
        after = np.searchsorted(self.times, times).clip(1, len(self.times) - 1)
        before = after - 1
        gap = self.times[after] - self.times[before]
        near = np.minimum(np.abs(times - self.times[before]), np.abs(self.times[after] - times)) <= longest_gap
        inside = (times >= self.times[0]) & (times <= self.times[-1])
        known = near & (~inside | (gap <= longest_gap))
        values = np.stack([np.interp(times, self.times, column) for column in self.values.T], axis=1)
        return values, known

    def head_rotations(self) -> Float[np.ndarray, "samples 3 3"]:
        """Head to camera axes (x right of the picture, y up, z towards the camera). Raises `UserError` without
        angles."""
        if self.head is None:
            raise UserError(f"{self.file} tells nothing of the head's turns: switch head rotation on in the app")
        return np.asarray(Rotation.from_euler("YXZ", self.head).as_matrix())


def is_face_table(file: Path) -> bool:
    """Whether `file` is such a table."""
    names = {name.lower() for name in read_header(file)} if file.suffix.lower() == ".csv" else set()
    return {TIMECODE.lower(), "jawopen", "eyeblinkleft"} <= names


def read_face_table(file: Path) -> FaceTake:
    """Read one. Raises `UserError`, naming the line, for missing columns, times that do not rise, or no face at all."""
    table = read_csv(file)
    stored = {name.lower(): name for name in table.names}
    if TIMECODE.lower() not in stored:
        raise UserError(f"{file} has no column '{TIMECODE}': it is no table of Live Link Face")
    shapes = tuple(name for name in table.names if name.lower() not in _lower((TIMECODE, COUNT, *HEAD, *EYES)))
    if len(shapes) != SHAPES:
        raise UserError(f"{file} has {len(shapes)} columns of coefficients, ARKit has {SHAPES}")
    values = table.table(shapes, empty_allowed=True)
    face = np.isfinite(values).all(axis=1)
    if COUNT.lower() in stored:
        face &= table.column(stored[COUNT.lower()], empty_allowed=True) > 0
    if face.sum() < 2:
        raise UserError(f"{file} shows a face in {face.sum()} of {len(table)} rows: nothing to take")
    words = table.words(stored[TIMECODE.lower()])
    rate = timecode_rate(words)
    times = np.array([timecode_seconds(word, rate, f"{file}, line {row + 2}") for row, word in enumerate(words)])
    times = times + DAY_S * np.concatenate([[0], np.cumsum(np.diff(times) < -DAY_S / 2)])
    back = np.flatnonzero(np.diff(times[face]) <= 0)
    if len(back):
        line = np.flatnonzero(face)[back[0] + 1] + 2
        raise UserError(f"{file}, line {line}: its timecode is not later than the one before")
    names = tuple(name[0].lower() + name[1:] for name in shapes)
    look = [names.index(name) for name in LOOK_NAMES if name in names]
    if len(look) != len(LOOK_NAMES):
        raise UserError(
            f"{file} has no columns {', '.join(LOOK_NAMES[:2])} and so on: it is no table of Live Link Face"
        )
    gaze = gaze_from_look(values[face][:, look])
    return FaceTake(
        file=file,
        times=times[face],
        values=np.concatenate([values[face], gaze], axis=1),
        names=(*names, *GAZE_NAMES),
        head=_head(table, stored, face, gaze),
        rate=rate,
        lost=int((~face).sum()),
    )


def _head(
    table: CsvTable, stored: Mapping[str, str], face: Bool[np.ndarray, " rows"], gaze: Float[np.ndarray, "samples 4"]
) -> Float[np.ndarray, "samples 3"] | None:
    """Turns of the head about y, x and z, the mirror taken out; None where there are none or all are 0."""
    if not _lower(HEAD) <= set(stored):
        return None
    yaw, pitch, roll = (table.column(stored[name.lower()], empty_allowed=True)[face] for name in HEAD)
    if not np.isfinite([yaw, pitch, roll]).all() or max(np.abs(yaw).max(), np.abs(pitch).max()) < 1e-9:
        return None
    way = -1.0
    if _lower(EYES) <= set(stored):
        left, right = (table.column(stored[f"{side}eyeyaw"], empty_allowed=True)[face] for side in ("left", "right"))
        way = 1.0 if np.abs(left - gaze[:, 0]).mean() < np.abs(right + gaze[:, 0]).mean() else -1.0
    return np.stack([way * yaw, pitch, way * roll], axis=1)


def _lower(names: tuple[str, ...]) -> set[str]:
    return {name.lower() for name in names}


def timecode_rate(words: list[str]) -> int:
    """Frames per second of timecodes: the least usual rate whose frames go as far as theirs; 60 for short
    recordings."""
    parts = [TIMECODE_FORM.fullmatch(word) for word in words]
    frames = [float(part[4]) for part in parts if part is not None]
    seconds = {part[3] for part in parts if part is not None}
    if len(seconds) < 3:
        return USUAL_RATE_HZ
    most = int(max(frames)) + 1
    return next((rate for rate in RATES_HZ if rate >= most), USUAL_RATE_HZ)


def timecode_seconds(word: str, rate: float, where: str) -> float:
    """Seconds of the day. Raises `UserError` naming `where` for what is no timecode."""
    part = TIMECODE_FORM.fullmatch(word)
    if part is None:
        raise UserError(f"{where}: '{word[:30]}' is no timecode HH:MM:SS:FF.sss")
    return int(part[1]) * 3600 + int(part[2]) * 60 + int(part[3]) + float(part[4]) / rate
