"""Whether two faces look like one person's: coarse looks of a face, compared with a small album of the person's own.

No recognition of people: it tells the faces of one clip apart, by the light and dark of the face and by its colours.
Measured on three people and two rendered heads: the same person differs from the album by less than 0.7, a rendered
head turned by up to 85 degrees by less than 0.85; other people by more than 1.15.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import cv2
import numpy as np
from jaxtyping import Float, UInt8

GREY_PX, COLOUR_PX = 24, 8
FACE_SHARE = 2 / 3  # of the patch's side that the face's box takes
COLOUR_UNIT = 10.0  # Lab units that weigh as much as a correlation of 0 instead of 1
MIDDLE_LIGHTNESS = 50.0
STRANGER = 1.0  # a face that differs more than this from all of an album is somebody else's
NEW_LOOK, OWN_LOOK = 0.25, 0.7  # a look this far from the album, not farther, is worth keeping
ALBUM_SIZE = 40


@dataclass(frozen=True)
class Look:
    """`grey` [576]: 24x24, mean 0 and variance 1; `colour` [128]: 8x8 a and b of Lab, at a mean lightness of 50."""

    grey: Float[np.ndarray, " 576"]
    colour: Float[np.ndarray, " 128"]


def look_of(patch: UInt8[np.ndarray, "256 256 3"]) -> Look:
    """The look of the face in a patch (`landmarker.face_patch`)."""
    edge = round(patch.shape[0] * (1 - FACE_SHARE) / 2)
    face = cv2.resize(patch[edge:-edge, edge:-edge], (GREY_PX, GREY_PX), interpolation=cv2.INTER_AREA)
    lab = cv2.cvtColor(face.astype(np.float32) / 255, cv2.COLOR_RGB2LAB)
    grey = lab[..., 0].ravel()
    grey = (grey - grey.mean()) / max(float(grey.std()), 1e-3)
    colour = cv2.resize(lab[..., 1:], (COLOUR_PX, COLOUR_PX), interpolation=cv2.INTER_AREA).ravel()
    colour = colour * (MIDDLE_LIGHTNESS / max(float(lab[..., 0].mean()), 1.0))  # what exposure does to a and b, undone
    return Look(grey.astype(np.float32), colour.astype(np.float32))


@dataclass
class Album:
    """Looks of one person, at most `ALBUM_SIZE`."""

    greys: list[np.ndarray] = field(default_factory=list)
    colours: list[np.ndarray] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.greys)

    def difference(self, look: Look) -> float:
        """How unlike the album's nearest look this one is: 0 the same, about 0.2 to 0.5 the same person; empty: inf."""
        if not self.greys:
            return float("inf")
        unlike = 1 - np.stack(self.greys) @ look.grey / len(look.grey)
        off = np.sqrt(np.mean((np.stack(self.colours) - look.colour) ** 2, axis=1)) / COLOUR_UNIT
        return float(np.min(unlike + off))

    def add(self, look: Look) -> None:
        """Keep a look that is new, and near enough to be the person's (the first is kept as it comes)."""
        difference = self.difference(look)
        if len(self) < ALBUM_SIZE and (not self.greys or NEW_LOOK < difference < OWN_LOOK):
            self.greys.append(look.grey)
            self.colours.append(look.colour)
