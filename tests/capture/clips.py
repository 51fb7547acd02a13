"""Small clips and the real networks for the tests of capture."""

from __future__ import annotations

import os
from collections.abc import Sequence
from fractions import Fraction
from functools import cache
from pathlib import Path

import av
import cv2
import numpy as np
import pytest

from nerface.errors import UserError
from nerface.weights import WeightPaths, find_weights


def networks() -> WeightPaths:
    """The two networks from wherever they are, or a skip."""
    shared = Path(os.environ.get("NERFACE_SHARED", Path(__file__).resolve().parents[2] / ".." / "shared"))
    models = shared / "models"
    try:
        return find_weights(models if models.is_dir() else None)
    except UserError as error:
        pytest.skip(str(error))


@cache
def portrait() -> np.ndarray:
    """A 320x320 public-domain portrait with one face."""
    from skimage.data import astronaut

    return np.ascontiguousarray(astronaut()[:320, 60:380])


def swaying(frames: int, size: int = 256) -> list[np.ndarray]:
    """The portrait, moved a little from frame to frame."""
    images = []
    for number in range(frames):
        angle = 4 * np.sin(number * 0.7)
        turn = cv2.getRotationMatrix2D((160, 160), angle, size / 320)
        turn[:, 2] += (size / 2 - 160 + 5 * np.cos(number * 0.5), size / 2 - 160)
        images.append(cv2.warpAffine(portrait(), turn, (size, size), borderMode=cv2.BORDER_REFLECT))
    return images


def textured(frames: int, width: int = 64, height: int = 48, seed: int = 0) -> list[np.ndarray]:
    """Smooth random pictures, each unlike the one before."""
    random = np.random.default_rng(seed)
    images = []
    for _ in range(frames):
        coarse = random.integers(0, 256, (3, 4, 1), dtype=np.uint8).repeat(3, axis=2)
        images.append(cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC))
    return images


def write_clip(
    path: Path,
    images: Sequence[np.ndarray],
    rate: int = 25,
    pixel_aspect: Fraction | None = None,
    pts: Sequence[int] | None = None,
) -> Path:
    """An MP4 (MPEG-4 part 2, good quality) of RGB pictures, its index at the front; `pts` in 1/`rate` s."""
    with av.open(str(path), "w", options={"movflags": "faststart"}) as container:
        stream = container.add_stream("mpeg4", rate=rate)
        stream.width, stream.height, stream.pix_fmt = images[0].shape[1], images[0].shape[0], "yuv420p"
        stream.bit_rate = 8_000_000
        if pixel_aspect is not None:
            stream.codec_context.sample_aspect_ratio = pixel_aspect
        for number, image in enumerate(images):
            frame = av.VideoFrame.from_ndarray(image, format="rgb24")
            frame.pts = number if pts is None else pts[number]
            frame.time_base = Fraction(1, rate)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path
