"""The pictures of a tracked clip: copied byte for byte, each decoded once to be sure, and a plate made from them."""

from __future__ import annotations

import shutil
from pathlib import Path

import cv2
import numpy as np
from jaxtyping import Float, Shaped, UInt8

from nerface.capture.plate import PlateBuilder
from nerface.capture.splits import SPLITS, Place
from nerface.capture.writer import PLATE_FILE, UNSEEN_FILE, write_image
from nerface.data.boxes import box_slices
from nerface.errors import UserError
from nerface.progress import Progress

PLATE_FRAMES = 160  # so many training frames, evenly spread, make the plate
MOST_HIDDEN = 0.9  # boxes that cover more of the picture than this would leave nothing to see


def picture_size(file: Path) -> tuple[int, int]:
    """(W, H) of one picture."""
    height, width = _decode(file).shape[:2]
    return width, height


def _decode(file: Path) -> Shaped[np.ndarray, "height width *channels"]:
    """The picture as stored: grey, BGR or BGRA."""
    data = np.frombuffer(file.read_bytes(), dtype=np.uint8)
    try:
        pixels = cv2.imdecode(data, cv2.IMREAD_UNCHANGED) if data.size else None
    except cv2.error:
        pixels = None
    if pixels is None:
        raise UserError(f"{file} does not decode as a picture: is it damaged or cut short?")
    return pixels


class MedianPlate:
    """A background made from pictures: the median over frames of what lies outside the box round the head.

    What stands still in all frames counts as background, shoulders too: a picture of the empty scene is better.
    """

    def __init__(self, size: tuple[int, int], frames: int) -> None:
        """For pictures of `size` (W, H), of which `frames` will be offered."""
        self.stride = max(1, -(-frames // PLATE_FRAMES))
        self._size = size
        self._builder = PlateBuilder(size[1], size[0], -(-frames // self.stride))
        self._transparent = False

    def add(self, pixels: Shaped[np.ndarray, "height width *channels"], box: Float[np.ndarray, " 4"]) -> None:
        """One decoded picture, and the box in which the head hides the background."""
        if pixels.ndim == 3 and pixels.shape[2] == 4:
            self._transparent = True
            return
        if pixels.dtype == np.uint16:
            pixels = (pixels // 256).astype(np.uint8)
        code = cv2.COLOR_GRAY2RGB if pixels.ndim == 2 else cv2.COLOR_BGR2RGB
        hidden = np.zeros(pixels.shape[:2], dtype=np.float32)
        if (box[1] - box[0]) * (box[3] - box[2]) < MOST_HIDDEN:
            hidden[box_slices(box, *pixels.shape[:2])] = 1.0
        self._builder.add(cv2.cvtColor(pixels, code), hidden)

    def write(self, folder: Path) -> str:
        """Write the plate, and where it was never seen; gives the warning that belongs to it."""
        if self._transparent:
            white: UInt8[np.ndarray, "height width 3"] = np.full((self._size[1], self._size[0], 3), 255, np.uint8)
            write_image(folder / PLATE_FILE, white)
            return "no background given and the pictures are transparent: white is put behind them"
        plate = self._builder.finish()
        write_image(folder / PLATE_FILE, plate.image)
        write_image(folder / UNSEEN_FILE, plate.unseen.astype(np.uint8) * 255)
        return (
            "no background given: the plate is the median of the training pictures outside the head's box, so what "
            "never moves (shoulders) is part of it; --background FILE with the empty scene is better"
        )


def copy_pictures(
    folder: Path,
    images: tuple[Path, ...],
    places: list[Place],
    size: tuple[int, int],
    boxes: Float[np.ndarray, "frames 4"],
    plate: MedianPlate | None,
    progress: Progress,
) -> None:
    """Copy the used pictures to their splits as they are, and offer the training ones to `plate`.

    Raises `UserError` for a picture that does not decode or is not of `size` (W, H).
    """
    for split in SPLITS:
        (folder / split).mkdir()
    progress.start("copying pictures", len(places))
    offered = 0
    for place in places:
        file = images[place.temporal]
        pixels = _decode(file)
        if (pixels.shape[1], pixels.shape[0]) != size:
            raise UserError(
                f"{file} is {pixels.shape[1]}x{pixels.shape[0]} pixels, {images[0].name} is {size[0]}x{size[1]}: "
                "all pictures must have one size"
            )
        shutil.copyfile(file, folder / (place.name + file.suffix.lower()))
        if plate is not None and place.split == "train":
            if offered % plate.stride == 0:
                plate.add(pixels, boxes[place.temporal])
            offered += 1
        progress.advance()
