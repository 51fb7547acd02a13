"""The second look at the scene: every frame streams by and leaves with its mask, its exposure and its camera motion."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

import cv2
import numpy as np
from jaxtyping import Bool, Float, UInt8

from nerface.capture.advice_words import YELLOW, Finding
from nerface.capture.backdrop import Scene, remark
from nerface.capture.backdrop_change import UNKNOWN, change_of, change_over_time
from nerface.capture.camera_motion import BackdropFollower, Turn, motion_over_time, put_back, steadied_points, turned
from nerface.capture.exposure import Gain, divided, exposure_over_time, glance, measure
from nerface.capture.matte import PersonMatte, Steadier, cleaned, enlarged, squeezed
from nerface.capture.matte_edge import refined
from nerface.capture.plain_backdrop import keyed
from nerface.capture.plate import BackgroundMean, Plate, filled, person_area
from nerface.capture.scene_look import WHITE, KnownScene, SceneFrame
from nerface.capture.video_colour import ALPHA_BACKDROP
from nerface.types import Intrinsics

RARE_SIGHTS = 3  # a place that the first look never saw needs as many frames to count as seen
OTHERS_SHARE = 0.01  # of the picture: pieces of mask that were dropped and are as large are another person
OTHERS_FRAMES = 0.02  # of the clip


@dataclass(frozen=True)
class ScenePicture:
    """A frame on its way to the dataset: `image` as it is to be stored, with its soft person `mask` in [0, 1]."""

    number: int
    image: UInt8[np.ndarray, "height width 3"]
    mask: Float[np.ndarray, "height width"]


@dataclass(frozen=True)
class _Waiting:
    """A frame whose mask is being steadied."""

    frame: SceneFrame
    gain: Gain
    rotation: Float[np.ndarray, " 3"]  # of the camera, for the picture as it is now (0 after it was put back)


class ScenePass:
    """Streams the frames of a clip: `pictures` gives each with its mask, `finish` what was learnt on the way."""

    def __init__(self, scene: KnownScene, matte: PersonMatte, steady: bool = False) -> None:
        """`steady` puts the frames of a camera that moves a little back in place.

        Where that was done (`steadies`, `Scene.steadied`), poses and points need `steadied_poses` and `steadied_points`
        by `Scene.applied`.
        """
        self._scene, self._matte = scene, matte
        self._moving = scene.motion.moves
        self.steadies = steady and self._moving and scene.motion.small
        self._steadier = Steadier()
        self._segments: list[int] = []
        self._applied: list[Float[np.ndarray, " 3"]] = []
        self._waiting: deque[_Waiting] = deque()
        self._seen = ~scene.plate.unseen
        self._follower = BackdropFollower(scene.plate.image, self._seen, scene.camera) if self._moving else None
        self._gains: list[Gain] = []
        self._changes: list[tuple[float, float, float]] = []
        self._turns: dict[int, Turn] = {}
        self._others = 0
        self._rare = _RareSights(scene.plate) if scene.kind == "scene" and not scene.own_plate else None

    def pictures(self, frames: Iterable[SceneFrame]) -> Iterator[ScenePicture]:
        """The frames in temporal order, two of them late; memory holds a few frames at a time."""
        for frame in frames:
            if self._segments and frame.segment != self._segments[-1]:
                yield from self._rest()
            self._segments.append(frame.segment)
            if self._scene.kind == "alpha":
                yield self._cut_out(frame)
                continue
            frame, small, coarse = self._measured(frame)
            mask = self._steadier.add(small, coarse)
            if mask is not None:
                yield self._picture(mask)
        yield from self._rest()

    def finish(self) -> Scene:
        """Plate, exposure, motion and findings."""
        scene, frames = self._scene, len(self._gains)
        turns = self._turns if self._moving else scene.turns
        notes: tuple[Finding, ...] = ()
        if frames and self._others / frames >= OTHERS_FRAMES:
            what = f"another person, or what looks like one, is in {self._others} frames"
            notes = (remark(YELLOW, f"{what}; the mask leaves them out", "be alone in the picture"),)
        return Scene(
            kind=scene.kind,
            plate=scene.plate if self._rare is None else self._rare.finish(),
            exposure=exposure_over_time(self._gains, self._segments),
            motion=motion_over_time(turns, frames, scene.camera),
            change=change_over_time(self._changes),
            applied=np.array(self._applied).reshape(-1, 3),
            own_plate=scene.own_plate,
            steadied=self.steadies,
            notes=notes,
        )

    def _rest(self) -> Iterator[ScenePicture]:
        """The waiting frames at the end of a segment; the next is steadied by itself."""
        for mask in self._steadier.finish():
            yield self._picture(mask)
        self._steadier = Steadier()

    def _measured(
        self, frame: SceneFrame
    ) -> tuple[SceneFrame, UInt8[np.ndarray, "256 256 3"], Float[np.ndarray, "256 256"]]:
        """Exposure and camera motion of a frame; gives it as it will be stored, small, and the network's mask."""
        scene = self._scene
        small = squeezed(frame.image)
        coarse = self._matte.coarse_of(small)
        person = _person(coarse, frame.image.shape)
        seen = glance(frame.image, person)
        rotation = applied = np.zeros(3)
        if self._follower is not None:
            rough = measure(seen, scene.reference, scene.known)
            turn = self._follower.follow(divided(frame.image, _usable(rough)), person)
            self._turns[frame.number] = turn
            rotation = turn.rotation if turn.known else scene.motion.rotation[frame.number]
            back = put_back(frame.image, rotation, scene.camera)
            hidden = put_back(person.astype(np.uint8) * WHITE, rotation, scene.camera) > 0
            seen = glance(back, hidden)
            if self.steadies:
                applied, rotation = rotation, np.zeros(3)
                frame = replace(frame, image=back, face=_face_after(frame, applied, scene.camera))
                small = squeezed(back)
                coarse = self._matte.coarse_of(small)
        gain = measure(seen, scene.reference, scene.known)
        self._gains.append(gain)
        self._applied.append(applied)
        self._changes.append(change_of(seen, gain, scene.reference, scene.known))
        self._waiting.append(_Waiting(frame, gain, rotation))
        return frame, small, coarse

    def _picture(self, steady: Float[np.ndarray, "256 256"]) -> ScenePicture:
        """The oldest waiting frame with its mask: cleaned, enlarged, and its edge refined against the plate."""
        waiting = self._waiting.popleft()
        frame, scene = waiting.frame, self._scene
        image = divided(frame.image, _usable(waiting.gain))
        height, width = image.shape[:2]
        face = None if frame.face is None else (frame.face[0] / width, frame.face[1] / height)
        person = cleaned(steady, face)
        self._others += bool(((steady > 0.5) & (person <= 0.5)).mean() >= OTHERS_SHARE)
        mask = enlarged(person, image.shape)
        plate, seen = scene.plate.image, self._seen
        if waiting.rotation.any():
            plate, seen = turned(plate, waiting.rotation, scene.camera), self._turned_seen(waiting.rotation)
        if scene.strong:
            mask = keyed(mask, image, plate)
        mask = refined(mask, image, plate, seen)
        if self._rare is not None and frame.train and not waiting.rotation.any():
            self._rare.add(image, person_area(np.maximum(mask, enlarged(steady, image.shape))))
        return ScenePicture(frame.number, frame.image, mask)

    def _turned_seen(self, rotation: Float[np.ndarray, " 3"]) -> Bool[np.ndarray, "height width"]:
        return turned(self._seen.astype(np.uint8) * WHITE, rotation, self._scene.camera) > 250

    def _cut_out(self, frame: SceneFrame) -> ScenePicture:
        """A frame with its own transparency: the grey that the reader laid it on gives way to the plate."""
        self._gains.append(Gain(np.ones(3), 0.0))
        self._applied.append(np.zeros(3))
        self._changes.append(UNKNOWN)
        alpha = np.full(frame.image.shape[:2], WHITE, np.uint8) if frame.alpha is None else frame.alpha
        share = (alpha.astype(np.float32) / WHITE)[..., None]
        image = frame.image + (1 - share) * (self._scene.plate.image.astype(np.float32) - ALPHA_BACKDROP)
        return ScenePicture(frame.number, image.round().clip(0, 255).astype(np.uint8), share[..., 0])


class _RareSights:
    """Backdrop that the first look never saw: a mean over the frames of the second that do."""

    def __init__(self, plate: Plate) -> None:
        self._plate, self._mean = plate, BackgroundMean(*plate.unseen.shape)

    def add(self, image: UInt8[np.ndarray, "height width 3"], person: Bool[np.ndarray, "height width"]) -> None:
        new = self._plate.unseen & ~person
        if new.any():
            self._mean.add(image, new)

    def finish(self) -> Plate:
        found = self._mean.seen(RARE_SIGHTS)
        if not found.any():
            return self._plate
        image = self._plate.image.copy()
        image[found] = self._mean.image()[found]
        unseen = self._plate.unseen & ~found
        return Plate(filled(image, unseen), unseen)


def _person(coarse: Float[np.ndarray, "256 256"], shape: tuple[int, ...]) -> Bool[np.ndarray, "height width"]:
    """Whoever is in the picture, with a margin, at the picture's size; grown while it is small, which is quick."""
    grown = person_area(coarse).astype(np.uint8)
    return np.asarray(cv2.resize(grown, (shape[1], shape[0]), interpolation=cv2.INTER_NEAREST) > 0)


def _face_after(frame: SceneFrame, rotation: Float[np.ndarray, " 3"], camera: Intrinsics) -> tuple[float, float] | None:
    """Where the face is once the frame is put back."""
    if frame.face is None:
        return None
    u, v = steadied_points(np.array([[frame.face]]), rotation[None], camera)[0, 0]
    return float(u), float(v)


def _usable(gain: Gain) -> Float[np.ndarray, " 3"]:
    """A gain to divide by: 1 where it could not be measured."""
    return gain.value if np.isfinite(gain.value).all() and (gain.value > 0.05).all() else np.ones(3)
