"""One picture file to one uint8 RGB array and back, with errors that name the file."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
from jaxtyping import UInt8

from nerface.errors import UserError
from nerface.files import whole_file


def read_image(
    path: Path,
    size: tuple[int, int] | None = None,
    plate: UInt8[np.ndarray, "height width 3"] | None = None,
    white: bool = False,
) -> UInt8[np.ndarray, "height width 3"]:
    """The picture at `path` as uint8 RGB [H, W, 3].

    Grey pictures are repeated over the channels, 16-bit ones lose their low byte, and transparent ones are laid over
    `plate` (the scene without the person), or on `white`, one of which is then needed. The orientation tag of a JPEG
    is not applied: the pose and the boxes of a dataset belong to the pixels as stored.

    Raises `UserError` where the file is missing, does not decode, or is not of `size` (width, height).
    """
    pixels = _decode(path, cv2.IMREAD_UNCHANGED)
    _check_size(path, pixels, size)
    if pixels.ndim == 2:
        return np.repeat(pixels[:, :, None], 3, axis=2)
    if pixels.shape[2] == 4:
        if white:
            plate = np.full((*pixels.shape[:2], 3), 255, dtype=np.uint8)
        if plate is None:
            raise UserError(f"{path} has transparent pixels, and there is no background plate to lay it over")
        if plate.shape[:2] != pixels.shape[:2]:
            raise UserError(f"{path} and the background plate it would be laid over differ in size")
        return over(cv2.cvtColor(pixels[:, :, :3], cv2.COLOR_BGR2RGB), pixels[:, :, 3], plate)
    return cv2.cvtColor(pixels, cv2.COLOR_BGR2RGB)


def read_mask(path: Path, size: tuple[int, int] | None = None) -> UInt8[np.ndarray, "height width"]:
    """The grey picture at `path` as uint8 [H, W]; errors as `read_image`."""
    pixels = _decode(path, cv2.IMREAD_GRAYSCALE)
    _check_size(path, pixels, size)
    return pixels


def halve(pixels: UInt8[np.ndarray, "height width *channels"]) -> UInt8[np.ndarray, "half_height half_width *channels"]:
    """The picture at half its height and width (rounded down), by area averaging; also when it is not square."""
    height, width = pixels.shape[:2]
    return cv2.resize(pixels, (width // 2, height // 2), interpolation=cv2.INTER_AREA)


def _decode(path: Path, mode: int) -> np.ndarray:
    # Read by Python, decoded from memory: OpenCV's own reader fails on some systems where a path is not ASCII.
    try:
        data = np.frombuffer(path.read_bytes(), dtype=np.uint8)
    except FileNotFoundError:
        raise UserError(f"{path} is missing") from None
    try:
        pixels = cv2.imdecode(data, mode) if data.size else None
    except cv2.error:
        pixels = None
    if pixels is None:
        raise UserError(f"{path} does not decode as a picture: is it damaged or cut short?")
    if pixels.dtype == np.uint16:
        pixels = (pixels // 256).astype(np.uint8)
    if pixels.dtype != np.uint8:
        raise UserError(f"{path} holds {pixels.dtype} pixels: pictures of 8 bits a channel are needed")
    return pixels


def _check_size(path: Path, pixels: np.ndarray, size: tuple[int, int] | None) -> None:
    found = (pixels.shape[1], pixels.shape[0])
    if size is not None and found != size:
        raise UserError(
            f"{path} is {found[0]}x{found[1]} pixels, the dataset's first picture is {size[0]}x{size[1]}: "
            "all pictures of a dataset have one size"
        )


def has_transparency(path: Path) -> bool:
    """Whether the picture at `path` has an alpha channel; errors as `read_image`."""
    pixels = _decode(path, cv2.IMREAD_UNCHANGED)
    return pixels.ndim == 3 and pixels.shape[2] == 4


def over(
    colour: UInt8[np.ndarray, "height width 3"],
    alpha: UInt8[np.ndarray, "height width"],
    plate: UInt8[np.ndarray, "height width 3"],
) -> UInt8[np.ndarray, "height width 3"]:
    """`colour` laid over `plate` where `alpha` (255 = opaque) says so."""
    share = alpha[:, :, None].astype(np.float32) / 255
    return np.rint(share * colour + (1 - share) * plate).astype(np.uint8)


def write_png(path: Path, image: UInt8[np.ndarray, "height width 3"]) -> None:
    """Write an RGB picture as PNG, whole or not at all."""
    encoded = cv2.imencode(".png", cv2.cvtColor(image, cv2.COLOR_RGB2BGR))[1]
    with whole_file(path) as partial:
        partial.write_bytes(encoded.tobytes())
