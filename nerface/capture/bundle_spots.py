"""From followed spots in the picture to observations of points on the head: where each sits and how it moves."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

from nerface.capture.bundle_geometry import HEAD_ORIGIN_CM, Poses, mobility, predict
from nerface.capture.bundle_motion import SpotTable
from nerface.capture.skin import SkinTracks

# A skull for spots beside the mesh (hair, temples, ears), cm in head space of the canonical mesh: middle and half axes
# of a head 15.5 cm broad and 19.5 cm long whose brow lies where the mesh has it.
_SKULL_CENTRE_CM, _SKULL_AXES_CM = np.array([0.0, 2.8, -4.5]), np.array([7.8, 10.0, 9.8])
_CHUNK_SPOTS = 256
_GOLDEN = 0.618034  # its multiples' fractions are spread evenly


@dataclass(frozen=True)
class FaceModel:
    """The person as the landmarks see it: `rest` [468, 3] cm, `basis` [J, 468, 3] cm, `triangles`, `activations`."""

    rest: Float[np.ndarray, "468 3"]
    basis: Float[np.ndarray, "channels 468 3"]
    triangles: Int[np.ndarray, "triangles 3"]
    activations: Float[np.ndarray, "frames channels"]
    mobility: Float[np.ndarray, " 468"]


@dataclass(frozen=True)
class SpotOptions:
    """`longest` frames a spot is believed to stay the same spot; priors on its place (cm) on the mesh and beside it."""

    longest: int = 80
    shortest: int = 5
    surface_sigma_cm: float = 0.5
    skull_sigma_cm: float = 1.5
    mobility_share: float = 0.5
    sway_share: float = 1.0
    skull_mobility_cm: float = 0.1


def spot_table(
    skin: SkinTracks,
    numbers: Int[np.ndarray, " frames"],
    segment: Int[np.ndarray, " frames"],
    model: FaceModel,
    poses: Poses,
    camera: tuple[float, Float[np.ndarray, " 2"]],
    options: SpotOptions = SpotOptions(),
) -> SpotTable:
    """Observations of the used frames `numbers`, cut into spots of at most `longest` frames, with their priors."""
    index = np.full(int(max(numbers.max(), skin.frame.max(initial=0))) + 1, -1)
    index[numbers] = np.arange(len(numbers))
    frame = index[skin.frame]
    seen = frame >= 0
    frame, place, track = frame[seen], skin.place[seen].astype(np.float64), skin.track[seen]
    # A new spot where the track changes, after a break, and after `longest` frames.
    fresh = np.ones(len(frame), bool)
    fresh[1:] = (track[1:] != track[:-1]) | (np.diff(frame) != 1) | (segment[frame[1:]] != segment[frame[:-1]])
    run = np.cumsum(fresh) - 1
    begin = np.flatnonzero(fresh)
    # Cut at ages that differ from spot to spot, so that no frame is where many end.
    phase = (np.arange(len(begin)) * _GOLDEN % 1 * options.longest).astype(int)
    age = np.arange(len(frame)) - begin[run] + phase[run]
    fresh[1:] |= np.diff(age // options.longest) != 0
    owner = np.cumsum(fresh) - 1
    count = np.bincount(owner)
    keep = count[owner] >= options.shortest
    frame, place, owner = frame[keep], place[keep], owner[keep]
    _, owner, count = np.unique(owner, return_inverse=True, return_counts=True)
    # Spots in order of their first frame, then the longest first: the adjustment takes those that are alike together.
    start = np.cumsum(count) - count
    order = np.lexsort((-count, frame[start]))
    rows = np.concatenate([np.arange(start[spot], start[spot] + count[spot]) for spot in order])
    frame, place, count = frame[rows], place[rows], count[order]
    owner = np.repeat(np.arange(len(count)), count)
    start = np.concatenate([[0], np.cumsum(count)])
    middle = start[:-1] + count // 2
    corner, share = _on_mesh(model, poses, camera, frame[middle], place[middle])
    on_mesh = corner[:, 0] >= 0
    at = np.where(on_mesh[:, None], corner, 0)
    point = np.einsum("pk,pkc->pc", share, model.rest[at])
    point[~on_mesh] = _on_skull(poses, camera, frame[middle][~on_mesh], place[middle][~on_mesh])
    mobile = np.where(on_mesh, np.einsum("pk,pk->p", share, model.mobility[at]), options.skull_mobility_cm)
    sigma = np.where(on_mesh, options.surface_sigma_cm, options.skull_sigma_cm)
    return SpotTable(start, frame, place, point, sigma, options.sway_share * mobile, options.mobility_share * mobile)


def _on_mesh(
    model: FaceModel,
    poses: Poses,
    camera: tuple[float, np.ndarray],
    frame: np.ndarray,
    place: np.ndarray,
) -> tuple[Int[np.ndarray, "spots 3"], Float[np.ndarray, "spots 3"]]:
    """Corners and barycentric shares of the nearest triangle that covers each spot; corner -1 where none does."""
    focal, centre = camera
    corners, shares = np.full((len(frame), 3), -1), np.zeros((len(frame), 3))
    for at in range(0, len(frame), _CHUNK_SPOTS):
        part = slice(at, at + _CHUNK_SPOTS)
        points = model.rest + np.einsum("nj,jvc->nvc", model.activations[frame[part]], model.basis)
        some = poses.take(frame[part])
        seen = predict(points, some, focal, centre)
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


def _on_skull(
    poses: Poses, camera: tuple[float, np.ndarray], frame: np.ndarray, place: np.ndarray
) -> Float[np.ndarray, "spots 3"]:
    """Where the ray of each spot meets the skull first, or comes nearest to it; head space, cm."""
    focal, centre = camera
    rotation, translation = poses.rotation[frame], poses.translation[frame]
    ray = np.stack([(place[:, 0] - centre[0]) / focal, -(place[:, 1] - centre[1]) / focal, -np.ones(len(place))], 1)
    direction = np.einsum("nji,nj->ni", rotation, ray) / _SKULL_AXES_CM
    origin = (-np.einsum("nji,nj->ni", rotation, translation) - (_SKULL_CENTRE_CM - HEAD_ORIGIN_CM)) / _SKULL_AXES_CM
    a, b = np.sum(direction**2, axis=1), np.sum(direction * origin, axis=1)
    reach = b**2 - a * (np.sum(origin**2, axis=1) - 1)
    along = (-b - np.sqrt(np.maximum(reach, 0))) / a
    return np.asarray((origin + along[:, None] * direction) * _SKULL_AXES_CM + _SKULL_CENTRE_CM - HEAD_ORIGIN_CM)


__all__ = ["FaceModel", "SpotOptions", "mobility", "spot_table"]
