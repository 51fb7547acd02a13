"""Another background: a picture or a colour in place of the plate behind the person."""

from __future__ import annotations

import re
from pathlib import Path

import cv2
import numpy as np
import torch
from jaxtyping import Float, UInt8

from nerface.data.images import read_image
from nerface.errors import UserError
from nerface.fields.base import Avatar

COLOURS = {"black": "000000", "white": "ffffff"}


def read_backdrop(word: str, width: int, height: int) -> Float[torch.Tensor, "height width 3"]:
    """The backdrop that `word` names, in [0, 1]: black, white, six hexadecimal digits (red, green, blue), or a picture.

    A picture is scaled until it covers the frame, keeping its shape, and what sticks out is cut off evenly. Raises
    `UserError` where there is no such picture or it does not decode.
    """
    code = COLOURS.get(word.lower(), word.removeprefix("#"))
    if re.fullmatch(r"[0-9a-fA-F]{6}", code) and not Path(word).exists():
        colour = np.frombuffer(bytes.fromhex(code), dtype=np.uint8)
        return torch.from_numpy(np.tile(colour, (height, width, 1))).float() / 255
    if not Path(word).exists():
        raise UserError(f"{word} is missing: --background takes a picture, black, white, or a colour such as 00ff00")
    picture = read_image(Path(word), white=True)
    return torch.from_numpy(covering(picture, width, height)).float() / 255


def covering(
    picture: UInt8[np.ndarray, "rows columns 3"], width: int, height: int
) -> UInt8[np.ndarray, "height width 3"]:
    """The middle of a picture, as much of it as has the shape of `width` x `height`, at that size."""
    rows, columns = picture.shape[:2]
    scale = max(width / columns, height / rows)
    size = max(width, round(columns * scale)), max(height, round(rows * scale))
    scaled = cv2.resize(picture, size, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC)
    top, left = (size[1] - height) // 2, (size[0] - width) // 2
    return np.ascontiguousarray(scaled[top : top + height, left : left + width])


def require_backdrop(avatar: Avatar) -> None:
    """Raise `UserError` where the avatar draws what is behind the person itself, so that nothing can be put there."""
    if not avatar.has_backdrop:
        raise UserError(
            "this avatar was trained without a background (background 'none') and draws it as part of the person: "
            "leave --background out"
        )
