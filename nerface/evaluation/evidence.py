"""The pictures and videos of an evaluation, written as frames come."""

from __future__ import annotations

from collections.abc import Callable, Collection
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from jaxtyping import UInt8

from nerface.data.dataset import Dataset, Split
from nerface.data.images import write_png
from nerface.evaluation.artist import Drawing
from nerface.evaluation.outputs import (
    MEANINGS,
    depth_picture,
    disparity_picture,
    error_picture,
    mask_picture,
    normals_picture,
)
from nerface.evaluation.report import ContactSheet
from nerface.fields.base import Avatar
from nerface.files import whole_file, write_json
from nerface.types import Frame
from nerface.video import DEFAULT_FRAME_RATE_HZ, VideoWriter

SHEET_ROWS = 6


@dataclass(frozen=True)
class Kept:
    """What is kept: drawn frames as pictures, both videos, and `outputs` (kinds of `nerface.evaluation.outputs`)."""

    images: bool
    video: bool
    outputs: Collection[str]


class Evidence:
    """A context manager that writes into `out` what `kept` says of the first `total` frames of a split.

    `renders/0000.png` and so on, `render.mp4`, `side_by_side.mp4` (truth left), `contact_sheet.png`, and for each kind
    of output a folder of its own, with `outputs.json` telling what its pictures hold.
    """

    def __init__(self, out: Path, dataset: Dataset, split: Split, total: int, kept: Kept) -> None:
        self.out, self.kept, self.stack = out, kept, ExitStack()
        self.head_units_per_cm = dataset.head_units_per_cm
        width, height = dataset.intrinsics.width, dataset.intrinsics.height
        rate = frame_rate(split, dataset)
        self.render_video = VideoWriter(out / "render.mp4", rate, width, height)
        self.pair_video = VideoWriter(out / "side_by_side.mp4", rate, 2 * width, height)
        self.sheet = ContactSheet()
        self.sheet_rows = set(np.linspace(0, total - 1, min(SHEET_ROWS, total)).round().astype(int).tolist())

    def __enter__(self) -> Evidence:
        if self.kept.video:
            with ExitStack() as stack:
                stack.enter_context(self.render_video)
                stack.enter_context(self.pair_video)
                self.stack = stack.pop_all()
        return self

    def add(self, index: int, frame: Frame, drawing: Drawing, avatar: Avatar) -> None:
        """Keep frame `index`."""
        render, name = drawing.picture, f"{index:04d}.png"
        if self.kept.images:
            write_png(self.out / "renders" / name, render)
        for kind in self.kept.outputs:
            write_picture(self.out / kind / name, PICTURES[kind](avatar, frame, drawing))
        if self.kept.video:
            self.render_video.write(render)
            self.pair_video.write(np.concatenate([frame.image, render], axis=1))
        if index in self.sheet_rows:
            self.sheet.add(frame.image, render, f"frame {frame.source_frame if frame.source_frame >= 0 else index}")

    def __exit__(self, *error: object) -> None:
        self.stack.__exit__(*error)  # type: ignore[arg-type]
        if error[0] is not None:
            return
        write_png(self.out / "contact_sheet.png", self.sheet.image())
        if self.kept.outputs:
            meanings: dict[str, object] = {kind: MEANINGS[kind] for kind in self.kept.outputs}
            write_json(self.out / "outputs.json", {**meanings, "head_units_per_cm": self.head_units_per_cm})


def write_picture(path: Path, pixels: np.ndarray) -> None:
    """Write RGB [H, W, 3] uint8 or grey [H, W] uint8 or uint16 as PNG, whole or not at all."""
    if pixels.ndim == 3:
        write_png(path, pixels)
        return
    with whole_file(path) as partial:
        partial.write_bytes(cv2.imencode(".png", pixels)[1].tobytes())


def frame_rate(split: Split, dataset: Dataset) -> float:
    """Of the split as loaded: from its time stamps (frames may be skipped), else the video's, else 25 Hz."""
    steps = np.diff(split.timestamps)
    if len(steps) and np.isfinite(steps).all() and np.median(steps) > 0:
        return float(1 / np.median(steps))
    return dataset.frame_rate or DEFAULT_FRAME_RATE_HZ


def _normals(avatar: Avatar, frame: Frame, drawing: Drawing) -> UInt8[np.ndarray, "height width 3"]:
    training = avatar.training
    avatar.eval()
    try:
        normals = avatar.normals(drawing.camera, drawing.condition)
    finally:
        avatar.train(training)
    return normals_picture(normals, drawing.rendering.opacity)


PICTURES: dict[str, Callable[[Avatar, Frame, Drawing], np.ndarray]] = {
    "disparity": lambda avatar, frame, drawing: disparity_picture(drawing.rendering.depth),
    "depth": lambda avatar, frame, drawing: depth_picture(drawing.rendering.depth),
    "normals": _normals,
    "mask": lambda avatar, frame, drawing: mask_picture(drawing.rendering.opacity),
    "error": lambda avatar, frame, drawing: error_picture(drawing.picture, frame.image),
}
