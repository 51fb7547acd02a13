"""What a user may choose about a capture."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

from nerface.capture.writer import IMAGE_FORMATS
from nerface.errors import UserError

SIZES = (32, 4096)


@dataclass(frozen=True)
class CaptureOptions:
    """Choices of `capture`.

    `size` px is the longer side of the stored pictures (less where that would enlarge more than 1.25 times);
    `image_format` "png" or "jpg"; `focal_px` the focal length in px of the upright source frame, where it is known;
    `plate` a photograph of the empty scene, where there is one; `steady` turns the pictures of a slightly moving camera
    back to where the backdrop stands still;
    `square` False keeps the crop's own shape; `test_share` of the usable frames, from the end, is held out; `seed`
    draws the validation frames; `min_face_share` is the least share of frames that must show the face; `weights` a
    folder (or one of the files) to look for the networks in first; `threads` the networks may use on the CPU;
    `device` runs them (LiteRT on "cpu", PyTorch on "cuda").
    """

    size: int = 512
    image_format: str = "png"
    focal_px: float | None = None
    square: bool = True
    plate: Path | None = None
    steady: bool = True
    test_share: float = 0.15
    seed: int = 0
    min_face_share: float = 0.6
    weights: Path | None = None
    threads: int = 2
    device: str = "cpu"

    def check(self) -> None:
        """Raise `UserError` for a value that makes no sense."""
        if not SIZES[0] <= self.size <= SIZES[1]:
            raise UserError(f"size {self.size}: choose {SIZES[0]} to {SIZES[1]} pixels")
        if self.image_format not in IMAGE_FORMATS:
            raise UserError(f"image format {self.image_format!r}: choose one of {', '.join(IMAGE_FORMATS)}")
        if self.focal_px is not None and not (math.isfinite(self.focal_px) and self.focal_px > 0):
            raise UserError(f"focal length {self.focal_px}: it is a number of pixels greater than 0")
        if not 0 < self.test_share < 0.9:
            raise UserError(f"test share {self.test_share}: choose a share between 0 and 0.9")
        if not 0 < self.min_face_share <= 1:
            raise UserError(f"least share of frames with a face {self.min_face_share}: choose above 0, at most 1")
        if self.threads < 1:
            raise UserError(f"threads {self.threads}: at least 1 is needed")
