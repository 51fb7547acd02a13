"""A made-up scene: a textured room, a person of one colour in it, and a "network" that finds that colour."""

from __future__ import annotations

import cv2
import numpy as np

from nerface.capture.matte import INPUT_PX, squeezed
from nerface.types import Intrinsics

PERSON = (225, 20, 225)


class ColourMatte:
    """Stands in for `PersonMatte`: whoever has the person's colour."""

    def coarse(self, image):
        return self.coarse_of(squeezed(image))

    def coarse_of(self, small):
        assert small.shape == (INPUT_PX, INPUT_PX, 3)
        away = small[..., 1].astype(np.float32) - np.minimum(small[..., 0], small[..., 2])
        return np.clip((-away - 40) / 120, 0, 1)


def room(height=192, width=256, seed=0):
    """Smooth blobs of many sizes, none of them near the person's colour."""
    random = np.random.default_rng(seed)
    image = np.zeros((height, width, 3), np.float32)
    for cells in (4, 12, 40):
        coarse = random.uniform(-28, 28, (cells, cells, 1)) + random.uniform(-6, 6, (cells, cells, 3))
        image += cv2.resize(coarse.astype(np.float32), (width, height), interpolation=cv2.INTER_CUBIC)
    return (image + 115).clip(30, 200).astype(np.uint8)


def camera(image):
    """A camera for pictures like this one."""
    height, width = image.shape[:2]
    return Intrinsics(1.2 * width, 1.2 * width, 0.5, 0.5, width, height)


def with_person(image, centre, radius=26):
    """The picture with the person in it, and where they are."""
    mask = cv2.circle(np.zeros(image.shape[:2], np.float32), centre, radius, 1.0, -1, cv2.LINE_AA)[..., None]
    return (mask * np.array(PERSON) + (1 - mask) * image).round().astype(np.uint8), mask[..., 0]


def swaying_person(image, frames):
    """Pictures of the person moving to and fro before the room."""
    height, width = image.shape[:2]
    places = [(width // 2 + round(width * 0.12 * np.sin(n * 0.35)), height // 2 + 10) for n in range(frames)]
    return [with_person(image, place)[0] for place in places]
