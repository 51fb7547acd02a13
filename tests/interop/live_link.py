"""A table as Live Link Face writes it, from known faces; written from the app's layout, not from the reader."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from fractions import Fraction
from pathlib import Path

import av
import numpy as np

HALVES = ("EyeBlink", "EyeLookDown", "EyeLookIn", "EyeLookOut", "EyeLookUp", "EyeSquint", "EyeWide")
SHAPES = (
    *(f"{name}Left" for name in HALVES),
    *(f"{name}Right" for name in HALVES),
    *("JawForward", "JawRight", "JawLeft", "JawOpen", "MouthClose", "MouthFunnel", "MouthPucker", "MouthRight"),
    *("MouthLeft", "MouthSmileLeft", "MouthSmileRight", "MouthFrownLeft", "MouthFrownRight", "MouthDimpleLeft"),
    *("MouthDimpleRight", "MouthStretchLeft", "MouthStretchRight", "MouthRollLower", "MouthRollUpper"),
    *("MouthShrugLower", "MouthShrugUpper", "MouthPressLeft", "MouthPressRight", "MouthLowerDownLeft"),
    *("MouthLowerDownRight", "MouthUpperUpLeft", "MouthUpperUpRight", "BrowDownLeft", "BrowDownRight", "BrowInnerUp"),
    *("BrowOuterUpLeft", "BrowOuterUpRight", "CheekPuff", "CheekSquintLeft", "CheekSquintRight", "NoseSneerLeft"),
    *("NoseSneerRight", "TongueOut"),
)
ANGLES = tuple(f"{part}{angle}" for part in ("Head", "LeftEye", "RightEye") for angle in ("Yaw", "Pitch", "Roll"))
START_S = 13 * 3600 + 23 * 60 + 30.25
SIDE, UP = np.radians(35.0), np.radians(25.0)


def shapes_at(times: np.ndarray) -> np.ndarray:
    """52 coefficients [N, 52] that all move in their own way, none like another."""
    rng = np.random.default_rng(11)
    rates, phases = rng.uniform(0.3, 2.5, (2, 52)), rng.uniform(0, 2 * np.pi, (2, 52))
    swing = sum(np.sin(2 * np.pi * times[:, None] * rate + phase) for rate, phase in zip(rates, phases))
    return 0.5 + 0.24 * swing


def head_at(times: np.ndarray) -> np.ndarray:
    """Turns about y (to the person's left), x (down) and z in radians."""
    return np.stack([0.4 * np.sin(2 * times), 0.2 * np.sin(3 * times + 1), 0.1 * np.cos(times)], axis=1)


def write_table(
    file: Path,
    seconds: float = 8.0,
    *,
    start: float = START_S,
    head: bool = True,
    mirrored: bool = True,
    lost: tuple[int, ...] = (),
    swap: tuple[str, str] | None = None,
    faces: Callable[[np.ndarray], np.ndarray] = shapes_at,
) -> Path:
    """Samples at 60 Hz from `start` (seconds of the day); `swap` exchanges two columns' values."""
    times = np.arange(round(60 * seconds)) / 60
    shapes, turns = faces(times), head_at(times)
    place = {name: k for k, name in enumerate(SHAPES)}
    angles = np.zeros((len(times), 9))
    way = -1 if mirrored else 1
    if head:
        angles[:, :3] = turns * [way, 1, way]
    for side, sign in (("Left", 1), ("Right", -1)):  # yaw to the person's left
        out, inward = shapes[:, place[f"EyeLookOut{side}"]], shapes[:, place[f"EyeLookIn{side}"]]
        down, up = shapes[:, place[f"EyeLookDown{side}"]], shapes[:, place[f"EyeLookUp{side}"]]
        named = side if not mirrored else "Right" if side == "Left" else "Left"
        column = 3 if named == "Left" else 6
        angles[:, column] = way * sign * SIDE * (out - inward)
        angles[:, column + 1] = SIDE * down - UP * up
    if swap is not None:
        a, b = (place[name] for name in swap)
        shapes[:, [a, b]] = shapes[:, [b, a]]
    lines = [",".join(("Timecode", "BlendShapeCount", *SHAPES, *ANGLES))]
    for k, time in enumerate(start + times):
        hours, rest = divmod(time % 86400, 3600)
        minutes, rest = divmod(rest, 60)
        stamp = f"{int(hours):02d}:{int(minutes):02d}:{int(rest):02d}:{(rest - int(rest)) * 60:06.3f}"
        row = [stamp, "0"] if k in lost else [stamp, "61", *(f"{v:.10f}" for v in (*shapes[k], *angles[k]))]
        lines.append(",".join(row))
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text("\n".join(lines) + "\n")
    return file


def write_take_video(file: Path, images: Sequence[np.ndarray], timecode: str, rate: int = 25) -> Path:
    """A .mov of RGB pictures whose first frame has this timecode."""
    file.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(file), "w") as container:
        stream = container.add_stream("mpeg4", rate=rate)
        stream.width, stream.height, stream.pix_fmt = images[0].shape[1], images[0].shape[0], "yuv420p"
        stream.bit_rate = 8_000_000
        stream.metadata["timecode"] = timecode
        for number, image in enumerate(images):
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(image), format="rgb24")
            frame.pts, frame.time_base = number, Fraction(1, rate)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return file
