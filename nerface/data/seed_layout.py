"""Reads the JSON files of a dataset in the seed's layout (NeRFace's `load_flame`), with our extra keys where present.

Top level: `intrinsics` [fx, fy, cx, cy] (or `camera_angle_x`), `frames`; ours: `expression_names`, `expression_stats`,
`frame_rate`, `units`, `source`, `background_unseen`, `poses`. Per frame: `file_path`, `transform_matrix`, `expression`,
`bbox`; ours: `head_box`, `source_frame`, `timestamp`, `mask_path`, `exposure`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float, Int

from nerface.data.boxes import WHOLE_IMAGE
from nerface.errors import UserError
from nerface.files import read_json
from nerface.types import Intrinsics

INDEX_MAP = "index_map.npy"
ESTIMATED = "estimated"  # the value of `poses` where they were tracked in a video: training may refine them
LARGEST_NUMBER = 2**53  # of a frame: beyond it a float does not count any more
LEAST_VOLUME = 1e-9  # determinant of a pose that can be undone


@dataclass(frozen=True)
class SplitTable:
    """What one `transforms_*.json` says, in arrays: everything of a split but its pixels.

    `sampling_boxes` are the seed's `bbox`; `head_boxes` rows are NaN where the key is missing; `mask_paths` is None
    unless every frame names one; `exposures` are gains of red, green and blue relative to the plate, 1 where not
    stored.
    """

    file: Path
    names: tuple[str, ...]
    mask_paths: tuple[str, ...] | None
    camera_to_head: Float[np.ndarray, "frames 4 4"]
    expressions: Float[np.ndarray, "frames expression"]
    sampling_boxes: Float[np.ndarray, "frames 4"]
    head_boxes: Float[np.ndarray, "frames 4"]
    source_frames: Int[np.ndarray, " frames"]
    timestamps: Float[np.ndarray, " frames"]
    exposures: Float[np.ndarray, "frames 3"]
    meta: Mapping[str, Any]

    def __len__(self) -> int:
        return len(self.names)

    def rows(self, kept: Int[np.ndarray, " kept"]) -> SplitTable:
        """The table of some of its frames."""
        return replace(
            self,
            names=tuple(self.names[row] for row in kept),
            mask_paths=None if self.mask_paths is None else tuple(self.mask_paths[row] for row in kept),
            camera_to_head=self.camera_to_head[kept],
            expressions=self.expressions[kept],
            sampling_boxes=self.sampling_boxes[kept],
            head_boxes=self.head_boxes[kept],
            source_frames=self.source_frames[kept],
            timestamps=self.timestamps[kept],
            exposures=self.exposures[kept],
        )

    def where(self, row: int) -> str:
        """How an error names one frame."""
        return f"{self.file}, frame {row} ({self.names[row]})"


def read_split(folder: Path, split: str, stride: int = 1) -> SplitTable:
    """Read `transforms_<split>.json`, keeping every `stride`-th frame.

    Raises `UserError`, one line naming the file and the frame, for a missing or broken file, a missing key, a pose that
    is not 4x4 or not finite, a broken box, and expressions that are not finite or differ in length.
    """
    file = folder / f"transforms_{split}.json"
    meta = read_json(file)
    if not isinstance(meta, dict):
        raise UserError(f"{file} holds no JSON object")
    frames = meta.get("frames")
    if not isinstance(frames, list):
        raise UserError(f"{file} has no list under the key 'frames'")
    kept = [(row, frame) for row, frame in enumerate(frames)][:: max(1, stride)]
    parsed = [_parse_frame(file, row, frame) for row, frame in kept]
    lengths = {len(frame.expression) for frame in parsed}
    if len(lengths) > 1:
        odd = next(row for row, frame in enumerate(parsed) if len(frame.expression) != len(parsed[0].expression))
        raise UserError(
            f"{file}, frame {kept[odd][0]} ({parsed[odd].name}) has {len(parsed[odd].expression)} expression values, "
            f"the first frame has {len(parsed[0].expression)}"
        )
    masks = tuple(frame.mask for frame in parsed if frame.mask is not None)
    return SplitTable(
        file=file,
        names=tuple(frame.name for frame in parsed),
        mask_paths=masks if parsed and len(masks) == len(parsed) else None,
        camera_to_head=_stack([frame.pose for frame in parsed], (4, 4)),
        expressions=_stack([frame.expression for frame in parsed], (max(lengths, default=0),)),
        sampling_boxes=_stack([frame.sampling_box for frame in parsed], (4,)),
        head_boxes=_stack([frame.head_box for frame in parsed], (4,)),
        source_frames=np.array([frame.source_frame for frame in parsed], dtype=np.int64),
        timestamps=np.array([frame.timestamp for frame in parsed], dtype=np.float64),
        exposures=_stack([frame.exposure for frame in parsed], (3,)),
        meta={key: value for key, value in meta.items() if key != "frames"},
    )


@dataclass(frozen=True)
class _ParsedFrame:
    name: str
    mask: str | None
    pose: np.ndarray
    expression: np.ndarray
    sampling_box: np.ndarray
    head_box: np.ndarray
    source_frame: int
    timestamp: float
    exposure: np.ndarray


def _stack(rows: list[np.ndarray], shape: tuple[int, ...]) -> np.ndarray:
    return np.stack(rows) if rows else np.zeros((0, *shape), dtype=np.float32)


def _parse_frame(file: Path, row: int, frame: Any) -> _ParsedFrame:
    where = f"{file}, frame {row}"
    if not isinstance(frame, dict) or not isinstance(frame.get("file_path"), str):
        raise UserError(f"{where} has no text under the key 'file_path'")
    where = f"{where} ({frame['file_path']})"
    pose = _numbers(where, frame, "transform_matrix", finite=True)
    if pose.shape != (4, 4):
        raise UserError(f"{where}: 'transform_matrix' has shape {list(pose.shape)}, 4x4 is needed")
    if abs(np.linalg.det(pose[:3, :3].astype(np.float64))) < LEAST_VOLUME:
        raise UserError(f"{where}: 'transform_matrix' has no inverse: a rotation is needed")
    expression = _numbers(where, frame, "expression", finite=True)
    if expression.ndim != 1 or len(expression) == 0:
        raise UserError(f"{where}: 'expression' is not a list of numbers")
    mask = frame.get("mask_path")
    try:
        source_frame, timestamp = int(frame.get("source_frame", -1)), float(frame.get("timestamp", math.nan))
    except (TypeError, ValueError, OverflowError):
        raise UserError(f"{where}: 'source_frame' or 'timestamp' is not a number") from None
    if abs(source_frame) > LARGEST_NUMBER:
        raise UserError(f"{where}: 'source_frame' {str(source_frame)[:20]} is no number of a frame")
    return _ParsedFrame(
        name=frame["file_path"],
        mask=mask if isinstance(mask, str) else None,
        pose=pose,
        expression=expression,
        sampling_box=_box(where, frame, "bbox", WHOLE_IMAGE),
        head_box=_box(where, frame, "head_box", (math.nan,) * 4),
        source_frame=source_frame,
        timestamp=timestamp,
        exposure=_exposure(where, frame),
    )


def _numbers(where: str, frame: Mapping[str, Any], key: str, finite: bool) -> Float[np.ndarray, "*shape"]:
    if key not in frame:
        raise UserError(f"{where} has no key '{key}'")
    try:
        values = np.asarray(frame[key], dtype=np.float32)
    except (TypeError, ValueError):
        raise UserError(f"{where}: '{key}' is not an array of numbers") from None
    if finite and not np.isfinite(values).all():
        raise UserError(f"{where}: '{key}' holds a value that is not finite (NaN or infinity)")
    return values


def _box(where: str, frame: Mapping[str, Any], key: str, missing: Sequence[float]) -> Float[np.ndarray, " 4"]:
    if frame.get(key) is None:
        return np.array(missing, dtype=np.float32)
    box = _numbers(where, frame, key, finite=True)
    if box.shape != (4,) or box[0] > box[1] or box[2] > box[3]:
        raise UserError(f"{where}: '{key}' is not [row_min, row_max, col_min, col_max]")
    return box


def _exposure(where: str, frame: Mapping[str, Any]) -> Float[np.ndarray, " 3"]:
    if frame.get("exposure") is None:
        return np.ones(3, dtype=np.float32)
    gains = _numbers(where, frame, "exposure", finite=True)
    if gains.shape != (3,) or not (gains > 0).all():
        raise UserError(f"{where}: 'exposure' is not three gains above 0 (red, green, blue)")
    return gains


def read_intrinsics(table: SplitTable, width: int, height: int) -> Intrinsics:
    """The shared camera of a split whose stored pictures are `width` x `height`.

    `intrinsics` is [fx, fy in pixels, cx, cy as fractions]; where it is empty, both focal lengths are
    `0.5 width / tan(0.5 camera_angle_x)` and the principal point is the middle, as in the seed.
    """
    values = table.meta.get("intrinsics")
    try:
        if values:
            fx, fy, cx, cy = (float(value) for value in values)
        else:
            fx = fy = 0.5 * width / math.tan(0.5 * float(table.meta["camera_angle_x"]))
            cx = cy = 0.5
    except KeyError:
        raise UserError(f"{table.file} has neither 'intrinsics' nor 'camera_angle_x'") from None
    except (TypeError, ValueError, ZeroDivisionError):
        raise UserError(
            f"{table.file}: 'intrinsics' is not [fx, fy, cx, cy], or 'camera_angle_x' is no angle"
        ) from None
    if not all(map(math.isfinite, (fx, fy, cx, cy))) or fx == 0 or fy == 0:
        raise UserError(
            f"{table.file}: 'intrinsics' {[fx, fy, cx, cy]} holds a focal length of 0, a NaN or an infinity"
        )
    return Intrinsics(fx, fy, cx, cy, width, height)


def read_expression_names(table: SplitTable) -> tuple[str, ...]:
    """Names of the expression channels; channels beyond the stored names are called `channel_<number>`."""
    names = table.meta.get("expression_names") or []
    count = table.expressions.shape[1]
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise UserError(f"{table.file}: 'expression_names' is not a list of names")
    if len(names) > count:
        raise UserError(f"{table.file}: {len(names)} 'expression_names' for {count} expression values")
    return (*names, *(f"channel_{index}" for index in range(len(names), count)))


def read_index_map(folder: Path) -> Int[np.ndarray, "frames 2"] | None:
    """`index_map.npy`: temporal frame number, and its row in the train split or -1; None where the file is missing."""
    file = folder / INDEX_MAP
    if not file.exists():
        return None
    try:
        values = np.load(file, allow_pickle=False)
    except (ValueError, EOFError, OSError) as error:
        raise UserError(f"{file} is not a NumPy array file: {str(error).splitlines()[0]}") from None
    if values.ndim != 2 or values.shape[1] != 2 or values.dtype.kind not in "fiu":
        raise UserError(f"{file} has shape {list(values.shape)}, [frames, 2] numbers are needed")
    if not np.isfinite(values).all() or np.abs(values).max(initial=0) > LARGEST_NUMBER:
        raise UserError(f"{file} holds something other than frame numbers (a NaN, or a number beyond all frames)")
    return np.rint(values).astype(np.int64)
