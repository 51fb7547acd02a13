"""A first look at the scene: some frames spread over the clip give plate, reference exposure and camera motion.

Masks at hair, exposure and camera motion are all measured against the empty scene, so it has to be known before the
pictures are written. A bounded number of frames is enough for that.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, UInt8

from nerface.capture.camera_motion import (
    BackdropFollower,
    CameraMotion,
    Turn,
    inside_after,
    motion_over_time,
    put_back,
)
from nerface.capture.exposure import Glance, balance, divided, glance
from nerface.capture.matte import PersonMatte, enlarged
from nerface.capture.plain_backdrop import find_plain
from nerface.capture.plate import Plate, filled, median_into, person_area, stack_limit
from nerface.capture.plate_photo import PlatePhoto, plate_from_photo
from nerface.types import Intrinsics

WHITE = 255
CLEAR = 128  # alpha below it is transparent
CLEAR_SHARE = 0.02  # a picture with less than this transparent has no backdrop cut away


@dataclass(frozen=True)
class SceneFrame:
    """A used frame as it comes by: `number` in temporal order from 0, the `image` as stored (RGB).

    `alpha` [H, W] is the file's own transparency (255 = person), None where it has none. `train` frames may enter the
    plate. `face` is a point (u, v) px on the face: which of several people is meant. `segment` rises at a
    cut, jump or gap: nothing is smoothed across.
    """

    number: int
    image: UInt8[np.ndarray, "height width 3"]
    train: bool = True
    alpha: UInt8[np.ndarray, "height width"] | None = None
    face: tuple[float, float] | None = None
    segment: int = 0


@dataclass(frozen=True)
class KnownScene:
    """The empty scene as the first look found it.

    `kind` as in `Scene`; `plate`; `reference` [C, C, 3] cell colours of the backdrop at gain 1 with `known` [C, C];
    `strong` True where the plain backdrop's colour can be keyed; `turns` by frame number; `motion` over all frames;
    `camera` of the stored pictures.
    """

    kind: str
    plate: Plate
    reference: Float[np.ndarray, "cells cells 3"]
    known: Bool[np.ndarray, "cells cells"]
    strong: bool
    turns: dict[int, Turn]
    motion: CameraMotion
    own_plate: bool

    @property
    def camera(self) -> Intrinsics:
        return self.motion.camera


class SceneLook:
    """Collects frames for the first look: ask `wants`, `add` those, then `finish`."""

    def __init__(self, frames: int, train: Sequence[int], camera: Intrinsics, matte: PersonMatte) -> None:
        """`frames` used frames, of which those numbered `train` may enter the plate; `camera` of the pictures."""
        limit = stack_limit(camera.height, camera.width)
        spread = np.linspace(0, max(len(train) - 1, 0), min(limit, max(len(train), 1))).round().astype(int)
        self._wanted = {int(train[place]) for place in spread} if len(train) else set()
        self._frames, self._camera, self._matte = frames, camera, matte
        self._numbers: list[int] = []
        self._images: list[np.ndarray] = []
        self._hidden: list[np.ndarray] = []
        self._cut_out = 0

    def wants(self, number: int) -> bool:
        """Whether frame `number` is one to `add`."""
        return number in self._wanted

    def add(self, frame: SceneFrame) -> None:
        """The next of the wanted frames."""
        if frame.alpha is not None and (frame.alpha < CLEAR).mean() >= CLEAR_SHARE:
            self._cut_out += 1
        self._numbers.append(frame.number)
        self._images.append(frame.image.copy())
        self._hidden.append(person_area(enlarged(self._matte.coarse(frame.image), frame.image.shape)))

    def finish(self, photo: PlatePhoto | None = None) -> KnownScene:
        """The scene; `photo` is the user's own plate. Raises `UserError` where that shows another place."""
        if 2 * self._cut_out > len(self._numbers):
            return self._transparent()
        gains = balance(self._glances())[2]
        turns = self._turns(gains)
        motion = motion_over_time(turns, self._frames, self._camera)
        if motion.moves:
            self._put_back(motion)
            gains = balance(self._glances())[2]
        plate = self._plate(gains)
        plain = None if photo is not None else find_plain(plate.image, ~plate.unseen)
        if photo is not None:
            plate = plate_from_photo(photo, plate)
        elif plain is not None:
            plate = Plate(plain.image, np.zeros_like(plate.unseen))
        whole = glance(plate.image, plate.unseen)
        return KnownScene(
            kind="plain" if plain is not None else "scene",
            plate=plate,
            reference=whole.colours,
            known=whole.background,
            strong=plain is not None and plain.strong,
            turns=turns,
            motion=motion,
            own_plate=photo is not None,
        )

    def _glances(self) -> list[Glance]:
        return [glance(image, hidden) for image, hidden in zip(self._images, self._hidden)]

    def _turns(self, gains: Float[np.ndarray, "frames 3"]) -> dict[int, Turn]:
        """Camera motion of each frame against the middle one, outwards from it, each starting where the last ended."""
        if not self._images:
            return {}
        middle = len(self._images) // 2
        turns = {}
        for part in (range(middle, len(self._images)), range(middle, -1, -1)):
            reference = divided(self._images[middle], gains[middle])
            follower = BackdropFollower(reference, ~self._hidden[middle], self._camera)
            for place in part:
                image = divided(self._images[place], gains[place])
                turns[self._numbers[place]] = follower.follow(image, self._hidden[place])
        return turns

    def _put_back(self, motion: CameraMotion) -> None:
        for place, number in enumerate(self._numbers):
            turn = motion.rotation[number]
            self._images[place] = put_back(self._images[place], turn, self._camera)
            hidden = put_back(self._hidden[place].astype(np.uint8) * WHITE, turn, self._camera) > 0
            self._hidden[place] = hidden | ~inside_after(turn, self._camera)

    def _plate(self, gains: Float[np.ndarray, "frames 3"]) -> Plate:
        """The median of the frames at a common exposure; never-seen places are filled smoothly and marked."""
        shape = (self._camera.height, self._camera.width)
        image, seen = np.zeros((*shape, 3), np.uint8), np.zeros(shape, bool)
        for hidden in self._hidden:
            seen |= ~hidden
        for place, gain in enumerate(gains):
            self._images[place] = divided(self._images[place], gain)
        median_into(image, self._images, self._hidden)
        self._images.clear()
        return Plate(filled(image, ~seen), ~seen)

    def _transparent(self) -> KnownScene:
        shape = (self._camera.height, self._camera.width)
        plate = Plate(np.full((*shape, 3), WHITE, np.uint8), np.zeros(shape, bool))
        whole = glance(plate.image, plate.unseen)
        motion = motion_over_time({}, self._frames, self._camera)
        return KnownScene("alpha", plate, whole.colours, whole.background, False, {}, motion, False)
