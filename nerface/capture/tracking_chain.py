"""Pass 1 over a clip: one person's face followed from frame to frame, found anew where it is lost.

The region of a frame is that of the face measured in the last frame's region. Every few frames, and at each one while
another face is near, the detector looks around: faces are told apart by their looks (`nerface.capture.likeness`), so
that somebody who passes in front, or stays when the person leaves, is not taken for the person.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from jaxtyping import Float, UInt8

from nerface.capture.landmarker import Face, FaceLandmarker, Region, face_patch, region_from
from nerface.capture.likeness import FACE_SHARE, STRANGER, Album, Look, look_of
from nerface.capture.video import VideoFrame, thumbnail

MIN_PRESENCE = 0.5
LOOK_EVERY = 5  # frames between two looks for other faces
CAREFUL_EVERY = 5  # frames between two searches through the smallest parts while no face is seen
RIVAL_SIZE = 0.4  # a second face smaller than this share of the first is a picture on the wall or a passer-by
NEAR = 2.0  # sides of the region: another face within is watched at every frame
SETTLE_STEPS = 2  # measurements that bring a fresh detection to the region that chaining would give
SETTLE_MOVE = 0.1  # of the region's side: a face that moved more in one frame is measured once more, centred
MARGIN = 0.2  # another face must look this much more like the person before it is taken instead
DOUBT = 0.8  # a face this unlike the person's was somebody else's, once the person is seen elsewhere
SMALL_FACE = 0.4  # of the frame's shorter side: the change of smaller faces is measured on a cut around them as well
NEW_SCENE = 0.5  # correlation of thumbnails below which a frame shows another scene


@dataclass
class Chain:
    """What pass 1 knows after some frames, one entry a frame in the lists.

    `regions` (None where the face is not), `timestamps` s, `differences` mean thumbnail difference to the frame before
    in grey levels (the first: inf; of the picture or, where that is more, of a small face) and `correlations` of the
    two thumbnails (the first: 1), `unlike` how unlike the person's album the face looks, `strangers` whether only other
    people's faces were seen. `looks` and `rivals` count the looks
    for other faces and those that found one of comparable size; `watch_until` is the frame to which each is looked at;
    `second` is True where this chain follows another person than the one found first.
    """

    size: tuple[int, int] = (0, 0)
    regions: list[Region | None] = field(default_factory=list)
    timestamps: list[float] = field(default_factory=list)
    differences: list[float] = field(default_factory=list)
    correlations: list[float] = field(default_factory=list)
    unlike: list[float] = field(default_factory=list)
    strangers: list[bool] = field(default_factory=list)
    looks: int = 0
    rivals: int = 0
    watch_until: int = 0
    second: bool = False
    own: Album = field(default_factory=Album)
    others: Album = field(default_factory=Album)
    before: Float[np.ndarray, "64 64"] | None = None
    face_before: Float[np.ndarray, "64 64"] | None = None

    def __len__(self) -> int:
        return len(self.regions)

    @property
    def last(self) -> Region | None:
        """The face's region in the last frame."""
        return self.regions[-1] if self.regions else None

    @property
    def found(self) -> int:
        """Frames that show the person."""
        return sum(region is not None for region in self.regions)


@dataclass(frozen=True)
class _Seen:
    """A face with its look; `unlike` is its difference from the person's album."""

    region: Region
    look: Look
    unlike: float


def add_frame(chain: Chain, frame: VideoFrame, landmarker: FaceLandmarker) -> None:
    """Take the next frame into the chain."""
    new_scene = _note_picture(chain, frame)
    seen = None if new_scene or chain.last is None else _followed(chain, frame.image, landmarker, chain.last)
    stranger = False
    if seen is None:
        thorough = frame.index % CAREFUL_EVERY == 0 or chain.last is not None or new_scene
        faces = _around(chain, frame.image, landmarker, None, thorough)
        seen = _own_of(chain, faces)
        whole = [face for face in faces if _whole(face.region, chain.size)]
        stranger = bool(whole) and seen is None
        if stranger:
            chain.others.add(whole[0].look)
    elif frame.index % LOOK_EVERY == 0 or frame.index < chain.watch_until:
        seen = _look_around(chain, frame, landmarker, seen)
    if seen is not None and frame.index >= chain.watch_until:
        chain.own.add(seen.look)
    chain.regions.append(seen.region if seen else None)
    chain.unlike.append(seen.unlike if seen and np.isfinite(seen.unlike) else 0.0)
    chain.strangers.append(stranger)
    chain.face_before = _face_thumbnail(frame.image, chain.last)


def swapped(chain: Chain) -> Chain | None:
    """An empty chain that knows the other person, where that one is seen in more frames than the first."""
    if chain.second or sum(chain.strangers) <= chain.found:
        return None
    return Chain(own=chain.others, second=True)


def _note_picture(chain: Chain, frame: VideoFrame) -> bool:
    """Take down time and change of the picture; True where it shows another scene than the one before."""
    chain.size = (frame.image.shape[1], frame.image.shape[0])
    small = thumbnail(frame.image)
    difference, correlation = np.inf, 1.0
    if chain.before is not None:
        difference = float(np.abs(small - chain.before).mean())
        correlation = _correlation(small, chain.before)
    face = _face_thumbnail(frame.image, chain.last)
    if face is not None and chain.face_before is not None:
        difference = max(difference, float(np.abs(face - chain.face_before).mean()))
    chain.before = small
    chain.timestamps.append(frame.timestamp)
    chain.differences.append(difference)
    chain.correlations.append(correlation)
    return correlation < NEW_SCENE


def _face_thumbnail(
    image: UInt8[np.ndarray, "height width 3"], region: Region | None
) -> Float[np.ndarray, "64 64"] | None:
    """A small face and a little around it; None where there is none or it is not small."""
    if region is None or region.size > SMALL_FACE * min(image.shape[:2]):
        return None
    left, top, right, bottom = (
        max(round(place), 0)
        for place in (
            region.x - region.size / 2,
            region.y - region.size / 2,
            region.x + region.size / 2,
            region.y + region.size / 2,
        )
    )
    cut = image[top:bottom, left:right]
    return thumbnail(np.ascontiguousarray(cut)) if min(cut.shape[:2]) > 0 else None


def _correlation(one: Float[np.ndarray, "64 64"], other: Float[np.ndarray, "64 64"]) -> float:
    """Of two pictures, 1 for the same up to brightness and contrast; plain pictures count as alike."""
    one, other = one - one.mean(), other - other.mean()
    flat = float(one.size)  # a variance of one grey level
    return float((one * other).sum() + flat) / float(np.sqrt(((one**2).sum() + flat) * ((other**2).sum() + flat)))


def _followed(
    chain: Chain, image: UInt8[np.ndarray, "height width 3"], landmarker: FaceLandmarker, region: Region
) -> _Seen | None:
    """The face in the last frame's region."""
    face = landmarker.measure(image, region)
    if face.presence < MIN_PRESENCE:
        return None
    onward = region_from(face)
    if not (0 <= onward.x < image.shape[1] and 0 <= onward.y < image.shape[0]):
        return None
    if np.hypot(onward.x - region.x, onward.y - region.y) > SETTLE_MOVE * region.size:
        settled = _settle(image, landmarker, onward, 1)
        if settled is None:
            return None
        onward = settled
    return _seen(chain, image, onward)


def _seen(chain: Chain, image: UInt8[np.ndarray, "height width 3"], region: Region) -> _Seen:
    look = look_of(face_patch(image, region))
    return _Seen(region, look, chain.own.difference(look))


def _settle(
    image: UInt8[np.ndarray, "height width 3"], landmarker: FaceLandmarker, region: Region, steps: int = SETTLE_STEPS
) -> Region | None:
    face: Face | None = None
    for _ in range(steps):
        face = landmarker.measure(image, region)
        if face.presence < MIN_PRESENCE:
            return None
        region = region_from(face)
    return region


def _around(
    chain: Chain,
    image: UInt8[np.ndarray, "height width 3"],
    landmarker: FaceLandmarker,
    own: Region | None,
    thorough: bool,
) -> list[_Seen]:
    """Other faces of the frame than the one in `own`, largest first."""
    faces: list[_Seen] = []
    for candidate in sorted(landmarker.detect(image, thorough), key=lambda region: -region.size):
        known = [own, *(face.region for face in faces)]
        if any(_same_place(candidate, other) for other in known if other is not None):
            continue
        settled = _settle(image, landmarker, candidate)
        if settled is not None and not any(_same_place(settled, other) for other in known if other is not None):
            faces.append(_seen(chain, image, settled))
    return faces


def _whole(region: Region, size: tuple[int, int]) -> bool:
    """Whether the face in the region is inside the picture: half a face looks like nobody's."""
    half = region.size * FACE_SHARE / 2
    return half <= region.x <= size[0] - half and half <= region.y <= size[1] - half


def _same_place(one: Region, other: Region) -> bool:
    return bool(np.hypot(one.x - other.x, one.y - other.y) < 0.5 * max(one.size, other.size))


def _own_of(chain: Chain, faces: list[_Seen]) -> _Seen | None:
    """Which of the faces is the person's: the largest at first, later the one that looks like it and is nearest."""
    if not len(chain.own):
        return faces[0] if faces else None
    mine = [face for face in faces if face.unlike < STRANGER]
    place = next((region for region in reversed(chain.regions) if region is not None), None)

    def cost(face: _Seen) -> float:
        if place is None:
            return face.unlike
        away = np.hypot(face.region.x - place.x, face.region.y - place.y) / place.size
        return face.unlike + MARGIN * float(min(away, 1.0))

    return min(mine, key=cost, default=None)


def _look_around(chain: Chain, frame: VideoFrame, landmarker: FaceLandmarker, own: _Seen) -> _Seen | None:
    """Look for other faces and make sure that the followed one is still the person's; None where it is not."""
    others = [
        face
        for face in _around(chain, frame.image, landmarker, own.region, thorough=False)
        if face.region.size > RIVAL_SIZE * own.region.size
    ]
    if frame.index % LOOK_EVERY == 0:
        chain.looks += 1
        chain.rivals += bool(others)
    better = min(others, key=lambda face: face.unlike, default=None)
    if better is not None and better.unlike < min(STRANGER, own.unlike - MARGIN):
        _take_back(chain)
        own, others = better, [own]
    elif frame.index < chain.watch_until and own.unlike > STRANGER and len(chain.own):
        _take_back(chain)
        return None
    if any(_distance(own.region, face.region) < NEAR * own.region.size for face in others):
        chain.watch_until = frame.index + 2 * LOOK_EVERY
    return own


def _distance(one: Region, other: Region) -> float:
    return float(np.hypot(one.x - other.x, one.y - other.y))


def _take_back(chain: Chain) -> None:
    """The last frames followed somebody else's face: since it began to look unlike, they do not show the person."""
    index = len(chain) - 1
    while index >= 0 and chain.regions[index] is not None and chain.unlike[index] > DOUBT:
        chain.regions[index] = None
        chain.strangers[index] = True
        index -= 1
