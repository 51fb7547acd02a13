"""The pictures of a tracked clip, wherever they lie: files of a folder, or frames of a video; with their person
masks."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Protocol

import cv2
import numpy as np
from jaxtyping import Shaped, UInt8

from nerface.capture.video import iterate, probe
from nerface.data.finder import IMAGE_ENDINGS
from nerface.data.images import read_mask
from nerface.errors import UserError

Pixels = Shaped[np.ndarray, "height width *channels"]
MaskOf = Callable[[int, np.ndarray], np.ndarray]
WHITE_FROM = 250  # of 255, in every channel: JPEG-like rounding of a label colour is not believed beyond it


@dataclass(frozen=True)
class Picture:
    """Frame `row` of a clip: `pixels` as OpenCV decodes them (grey, BGR or BGRA); `file`, where it is one."""

    row: int
    pixels: Pixels
    file: Path | None

    def rgb(self) -> UInt8[np.ndarray, "height width 3"]:
        """The colours, 8 bits, transparency left out."""
        pixels = (self.pixels // 256).astype(np.uint8) if self.pixels.dtype == np.uint16 else self.pixels
        if pixels.ndim == 2:
            return np.asarray(cv2.cvtColor(pixels, cv2.COLOR_GRAY2RGB))
        return np.asarray(cv2.cvtColor(np.ascontiguousarray(pixels[:, :, :3]), cv2.COLOR_BGR2RGB))

    @property
    def transparent(self) -> bool:
        """Whether there is an alpha channel."""
        return self.pixels.ndim == 3 and self.pixels.shape[2] == 4


class Pictures(Protocol):
    """The pictures of a clip, read one at a time. `size` is (W, H) of the first; `masked` tells of person masks."""

    @property
    def size(self) -> tuple[int, int]: ...

    @property
    def masked(self) -> bool: ...

    def each(self, rows: Sequence[int]) -> Iterator[Picture]:
        """The pictures of `rows`, which ascend. Raises `UserError` for one that is missing or does not decode."""
        ...

    def mask(self, picture: Picture) -> UInt8[np.ndarray, "height width"]:
        """Its person mask, 255 = person."""
        ...


@dataclass(frozen=True)
class FilePictures:
    """A file a frame; `mask_of` gives the mask of a row and its pixels."""

    files: tuple[Path, ...]
    mask_of: MaskOf | None = None

    @cached_property
    def size(self) -> tuple[int, int]:
        height, width = decode(self.files[0]).shape[:2]
        return width, height

    @property
    def masked(self) -> bool:
        return self.mask_of is not None

    def each(self, rows: Sequence[int]) -> Iterator[Picture]:
        for row in rows:
            file = self.files[row]
            pixels = decode(file)
            if (pixels.shape[1], pixels.shape[0]) != self.size:
                raise UserError(
                    f"{file} is {pixels.shape[1]}x{pixels.shape[0]} pixels, {self.files[0].name} is "
                    f"{self.size[0]}x{self.size[1]}: all pictures must have one size"
                )
            yield Picture(row, pixels, file)

    def mask(self, picture: Picture) -> UInt8[np.ndarray, "height width"]:
        assert self.mask_of is not None
        return self.mask_of(picture.row, picture.pixels)


@dataclass(frozen=True)
class VideoPictures:
    """Frames of a video by their `numbers` (ascending, from 0), decoded upright."""

    video: Path
    numbers: tuple[int, ...]

    masked = False

    @cached_property
    def size(self) -> tuple[int, int]:
        info = probe(self.video)
        return info.width, info.height

    def each(self, rows: Sequence[int]) -> Iterator[Picture]:
        wanted = {self.numbers[row]: row for row in rows}
        last = max(wanted, default=-1)
        for frame in iterate(self.video):
            if frame.index in wanted:
                yield Picture(wanted.pop(frame.index), cv2.cvtColor(frame.image, cv2.COLOR_RGB2BGR), None)
            if frame.index >= last:
                return
        raise UserError(f"{self.video} ends before frame {last}, which the tracking is about: is it the right video?")

    def mask(self, picture: Picture) -> UInt8[np.ndarray, "height width"]:
        raise AssertionError("a video has no masks")


def decode(file: Path) -> Pixels:
    """The picture as stored: grey, BGR or BGRA. Raises `UserError` where it is missing or does not decode."""
    try:
        data = np.frombuffer(file.read_bytes(), dtype=np.uint8)
    except FileNotFoundError:
        raise UserError(f"{file} is missing") from None
    except OSError as error:
        raise UserError(f"{file} cannot be read: {error.strerror or error}") from None
    try:
        pixels = cv2.imdecode(data, cv2.IMREAD_UNCHANGED) if data.size else None
    except cv2.error:
        pixels = None
    if pixels is None:
        raise UserError(f"{file} does not decode as a picture: is it damaged or cut short?")
    return pixels


def find_picture(stated: Path) -> Path:
    """The picture at `stated`, whose ending may be left out. Raises `UserError` where there is none."""
    if stated.suffix.lower() in IMAGE_ENDINGS and stated.is_file():
        return stated
    for ending in IMAGE_ENDINGS:
        path = stated.with_name(stated.name + ending)
        if path.is_file():
            return path
    raise UserError(f"{stated}{{{','.join(IMAGE_ENDINGS)}}} is missing")


def grey_masks(files: Sequence[Path]) -> MaskOf:
    """Masks in files of their own, the brighter the more person."""
    return lambda row, pixels: read_mask(files[row], (pixels.shape[1], pixels.shape[0]))


def alpha_mask(row: int, pixels: np.ndarray) -> np.ndarray:
    """The mask that the picture carries itself. Raises `UserError` where it has none."""
    if pixels.ndim != 3 or pixels.shape[2] != 4:
        raise UserError(f"picture {row} has no transparency, the first one has")
    alpha = pixels[:, :, 3]
    return np.asarray(alpha if alpha.dtype == np.uint8 else (alpha // 256).astype(np.uint8))


def parsing_masks(files: Sequence[Path]) -> MaskOf:
    """Masks from pictures of labels in which white is the background."""

    def mask_of(row: int, pixels: np.ndarray) -> np.ndarray:
        labels = decode(files[row])
        if labels.shape[:2] != pixels.shape[:2]:
            raise UserError(f"{files[row]} is not of its picture's size")
        bright = np.asarray(labels >= WHITE_FROM)
        white = bright if labels.ndim == 2 else np.all(bright[:, :, :3], axis=2)
        return np.where(white, 0, 255).astype(np.uint8)

    return mask_of
