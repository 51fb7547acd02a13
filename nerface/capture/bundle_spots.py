"""From followed spots in the picture to observations of points on the head: where each sits and how it moves."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int

from nerface.capture.bundle_geometry import HEAD_ORIGIN_CM, Poses, predict
from nerface.capture.bundle_rows import SpotTable
from nerface.capture.skin import SkinTracks

# A skull for spots beside the mesh (hair, temples, ears), cm in head space of the canonical mesh: middle and half axes
# of a head 15.5 cm broad and 19.5 cm long whose brow lies where the mesh has it.
_SKULL_CENTRE_CM, _SKULL_AXES_CM = np.array([0.0, 2.8, -4.5]), np.array([7.8, 10.0, 9.8])
_CHUNK_SPOTS = 256
_GOLDEN = 0.618034  # its multiples' fractions are spread evenly


@dataclass(frozen=True)
class FaceModel:
    """The person as the landmarks see it, in the used frames.

    `rest` [468, 3] cm, `basis` [J, 468, 3] cm over `activations` [N, J], `triangles` [T, 3], `mobility` [468] cm; seen
    by a camera of `focal` px and `centre` px from `poses`.
    """

    rest: Float[np.ndarray, "468 3"]
    basis: Float[np.ndarray, "channels 468 3"]
    activations: Float[np.ndarray, "frames channels"]
    triangles: Int[np.ndarray, "triangles 3"]
    mobility: Float[np.ndarray, " 468"]
    focal: float
    centre: Float[np.ndarray, " 2"]
    poses: Poses


@dataclass(frozen=True)
class SpotOptions:
    """How spots are cut from tracks, and what is expected of them before they are seen.

    A spot is believed to stay the same for `longest` frames and dropped below `shortest`. Its place is known to
    `surface_sigma_cm` on the mesh and to `skull_sigma_cm` beside it. Skin sways with a unit of a reduced score by
    `sway_share` of the mesh's mobility there and trembles by `mobility_share` of it; beside the mesh the mobility is
    `skull_mobility_cm`.
    """

    longest: int = 50
    shortest: int = 5
    surface_sigma_cm: float = 0.5
    skull_sigma_cm: float = 1.5
    sway_share: float = 1.0
    mobility_share: float = 0.5
    skull_mobility_cm: float = 0.1


def spot_table(
    skin: SkinTracks,
    numbers: Int[np.ndarray, " frames"],
    near: Bool[np.ndarray, " steps"],
    model: FaceModel,
    options: SpotOptions,
) -> SpotTable | None:
    """Observations of the used frames with their priors; None where nothing was followed long enough.

    `numbers` [N] are the frames' numbers in the video; `near` [N - 1] tells which neighbours spots may join.
    """
    start, frame, place = _spots(skin, numbers, near, options)
    if len(start) < 2:
        return None
    middle = (start[:-1] + start[1:]) // 2
    corner, share = _on_mesh(model, frame[middle], place[middle])
    on_mesh = corner[:, 0] >= 0
    at = np.where(on_mesh[:, None], corner, 0)
    point = np.einsum("pk,pkc->pc", share, model.rest[at])
    point[~on_mesh] = _on_skull(model, frame[middle][~on_mesh], place[middle][~on_mesh])
    mobile = np.where(on_mesh, np.einsum("pk,pk->p", share, model.mobility[at]), options.skull_mobility_cm)
    sigma = np.where(on_mesh, options.surface_sigma_cm, options.skull_sigma_cm)
    return SpotTable(start, frame, place, point, sigma, options.sway_share * mobile, options.mobility_share * mobile)


def _spots(
    skin: SkinTracks, numbers: np.ndarray, near: np.ndarray, options: SpotOptions
) -> tuple[Int[np.ndarray, " spots_1"], Int[np.ndarray, " rows"], Float[np.ndarray, "rows 2"]]:
    """`start`, `frame` and `place` of a spot table: tracks cut at breaks and by age, short pieces left out."""
    index = np.full(int(max(numbers.max(), skin.frame.max(initial=0))) + 1, -1)
    index[numbers] = np.arange(len(numbers))
    frame = index[skin.frame]
    seen = frame >= 0
    frame, place, track = frame[seen], skin.place[seen].astype(np.float64), skin.track[seen]
    if not len(frame):
        return np.zeros(1, int), frame, place
    joined = np.concatenate([near, [False]])
    fresh = np.ones(len(frame), bool)
    fresh[1:] = (track[1:] != track[:-1]) | (np.diff(frame) != 1) | ~joined[frame[:-1]]
    begin = np.flatnonzero(fresh)
    # Cut at ages that differ from track to track, so that no frame is where many spots end.
    phase = (np.arange(len(begin)) * _GOLDEN % 1 * options.longest).astype(int)
    run = np.cumsum(fresh) - 1
    age = np.arange(len(frame)) - begin[run] + phase[run]
    fresh[1:] |= np.diff(age // options.longest) != 0
    begin = np.flatnonzero(fresh)
    count = np.diff([*begin, len(frame)])
    begin, count = begin[count >= options.shortest], count[count >= options.shortest]
    order = np.lexsort((-count, frame[begin]))
    begin, count = begin[order], count[order]
    start = np.concatenate([[0], np.cumsum(count)])
    rows = np.repeat(begin - start[:-1], count) + np.arange(start[-1])
    return start, frame[rows], place[rows]


def _on_mesh(
    model: FaceModel, frame: np.ndarray, place: np.ndarray
) -> tuple[Int[np.ndarray, "spots 3"], Float[np.ndarray, "spots 3"]]:
    """Corners and barycentric shares of the nearest triangle that covers each spot; corner -1 where none does."""
    corners, shares = np.full((len(frame), 3), -1), np.zeros((len(frame), 3))
    for at in range(0, len(frame), _CHUNK_SPOTS):
        part = slice(at, at + _CHUNK_SPOTS)
        points = model.rest + np.einsum("nj,jvc->nvc", model.activations[frame[part]], model.basis)
        some = model.poses.take(frame[part])
        seen = predict(points, some, model.focal, model.centre)
        turned = np.einsum("nij,nvj->nvi", some.rotation, points)[..., 2]
        a, b, c = (seen[:, model.triangles[:, k], :2] for k in range(3))
        spot = place[part][:, None]
        area = _cross(b - a, c - a)
        u, v, w = _cross(c - b, spot - b), _cross(a - c, spot - c), _cross(b - a, spot - a)
        with np.errstate(divide="ignore", invalid="ignore"):
            bary = np.stack([u, v, w], axis=-1) / area[..., None]
        # Rows grow downwards: counter-clockwise from outside comes out negative.
        hit = (area < 0) & np.all(bary >= 0, axis=-1)
        depth = np.where(hit, turned[:, model.triangles].mean(axis=-1), -np.inf)
        best = depth.argmax(axis=1)
        found = hit[np.arange(len(best)), best]
        rows = np.arange(at, at + len(best))[found]
        corners[rows] = model.triangles[best[found]]
        shares[rows] = bary[found, best[found]]
    return corners, shares


def _cross(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    return np.asarray(a[..., 0] * b[..., 1] - a[..., 1] * b[..., 0])


def _on_skull(model: FaceModel, frame: np.ndarray, place: np.ndarray) -> Float[np.ndarray, "spots 3"]:
    """Where the ray of each spot meets the skull first, or comes nearest to it; head space, cm."""
    rotation, translation = model.poses.rotation[frame], model.poses.translation[frame]
    seen = (place - model.centre) / model.focal
    ray = np.stack([seen[:, 0], -seen[:, 1], -np.ones(len(place))], axis=1)
    direction = np.einsum("nji,nj->ni", rotation, ray) / _SKULL_AXES_CM
    origin = (-np.einsum("nji,nj->ni", rotation, translation) - (_SKULL_CENTRE_CM - HEAD_ORIGIN_CM)) / _SKULL_AXES_CM
    a, b = np.sum(direction**2, axis=1), np.sum(direction * origin, axis=1)
    reach = b**2 - a * (np.sum(origin**2, axis=1) - 1)
    along = (-b - np.sqrt(np.maximum(reach, 0))) / a
    return np.asarray((origin + along[:, None] * direction) * _SKULL_AXES_CM + _SKULL_CENTRE_CM - HEAD_ORIGIN_CM)
