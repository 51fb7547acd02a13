"""The background of a tracked clip: given, or made from its training pictures."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

import numpy as np
from jaxtyping import Float, UInt8

from nerface.capture.plate import PlateBuilder
from nerface.capture.writer import PLATE_FILE, UNSEEN_FILE, write_image
from nerface.data.boxes import box_slices
from nerface.interop.tracked_pictures import Picture

PLATE_FRAMES = 160  # so many training frames, evenly spread, make the plate
MOST_HIDDEN = 0.9  # boxes that cover more of the picture than this would leave nothing to see


class PlateMaker(Protocol):
    """Is shown the training pictures one by one, and writes the plate."""

    def add(
        self, picture: Picture, mask: UInt8[np.ndarray, "height width"] | None, box: Float[np.ndarray, " 4"]
    ) -> None:
        """The next training picture, its person mask, and the box in which the head hides the background."""
        ...

    def write(self, folder: Path) -> str:
        """Write the plate into the dataset `folder`; gives the note that belongs to it ("": none)."""
        ...


class GivenPlate:
    """A picture of the empty scene."""

    def __init__(self, image: UInt8[np.ndarray, "height width 3"]) -> None:
        self._image = image

    def add(
        self, picture: Picture, mask: UInt8[np.ndarray, "height width"] | None, box: Float[np.ndarray, " 4"]
    ) -> None:
        pass

    def write(self, folder: Path) -> str:
        write_image(folder / PLATE_FILE, self._image)
        return ""


class SeenPlate:
    """What the training pictures show beside the person: outside the mask, or else outside the box round the head.

    Transparent pictures show no background: white is put behind them.
    """

    def __init__(self, size: tuple[int, int], frames: int) -> None:
        """For pictures of `size` (W, H), of which `frames` will be offered."""
        self._stride = max(1, -(-frames // PLATE_FRAMES))
        self._size = size
        self._builder = PlateBuilder(size[1], size[0], -(-frames // self._stride))
        self._offered = 0
        self._transparent = self._masked = False

    def add(
        self, picture: Picture, mask: UInt8[np.ndarray, "height width"] | None, box: Float[np.ndarray, " 4"]
    ) -> None:
        self._offered += 1
        if (self._offered - 1) % self._stride:
            return
        if picture.transparent:
            self._transparent = True
            return
        if mask is not None:
            self._masked = True
            self._builder.add(picture.rgb(), mask.astype(np.float32) / 255)
            return
        hidden = np.zeros(picture.pixels.shape[:2], dtype=np.float32)
        if (box[1] - box[0]) * (box[3] - box[2]) < MOST_HIDDEN:
            hidden[box_slices(box, *picture.pixels.shape[:2])] = 1.0
        self._builder.add(picture.rgb(), hidden)

    def write(self, folder: Path) -> str:
        if self._transparent:
            white: UInt8[np.ndarray, "height width 3"] = np.full((self._size[1], self._size[0], 3), 255, np.uint8)
            write_image(folder / PLATE_FILE, white)
            return "no background given and the pictures are transparent: white is put behind them"
        plate = self._builder.finish()
        write_image(folder / PLATE_FILE, plate.image)
        write_image(folder / UNSEEN_FILE, plate.unseen.astype(np.uint8) * 255)
        if self._masked:
            return (
                f"no background given: the plate is the median of the training pictures outside the masks, "
                f"{plate.seen_share:.0%} of it were seen; --background FILE with the empty scene is better"
            )
        return (
            "no background given: the plate is the median of the training pictures outside the head's box, so what "
            "never moves (shoulders) is part of it; --background FILE with the empty scene is better"
        )
