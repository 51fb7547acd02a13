"""Are the poses rotations, at the right distance, and do they move as a head does?"""

from __future__ import annotations

import numpy as np
from jaxtyping import Bool, Float

from nerface.checking.case import Case, frame_numbers, head_radius, in_time, project_all
from nerface.checking.findings import Finding, error, fine, named, warning
from nerface.rendering.volume import SamplingConfig

AXES, SCALE, MOTION = "axes", "scale", "motion"
SHEARED, CROOKED = 0.05, 0.005  # largest entry of R^T R - 1
FACING = 0.5  # cosine: on average the camera stands within 60 degrees of +z, and its up within 60 degrees of +y
MEAN_DISTANCE, DISTANCE_TOLERANCE = 0.5, 0.2  # head units, relative
USUAL_RADIUS = 0.1  # head units, where no box tells the head's size
LARGEST_RADIUS = 1.0  # the positional encoding repeats beyond [-1, 1]
JUMP_DEG, JUMP_UNITS = 15.0, 0.06  # between neighbouring frames
ALONE_DEG, ALONE_UNITS = 4.0, 0.01  # in and out again: a smaller step tells, if it is so many times the usual ones
ALONE_TIMES = 5.0
MOST_STUCK = 0.02  # share of frames with the very pose of the frame before


def check_axes(case: Case) -> list[Finding]:
    """Rotations without shear and mirror; camera towards +z of the head, y up."""
    dataset = case.dataset
    found, flips, total = [], 0, 0
    for split, content in dataset.splits.items():
        if len(content) == 0:
            continue
        turns = content.camera_to_head[:, :3, :3].astype(np.float64)
        shear = np.abs(np.einsum("nki,nkj->nij", turns, turns) - np.eye(3)).max(axis=(1, 2))
        for limit, level in ((SHEARED, error), (CROOKED, warning)):
            bad = np.flatnonzero(shear > limit)
            if len(bad):
                found.append(
                    level(
                        AXES,
                        f"{len(bad)} poses are not rotations (R^T R differs from 1 by {shear.max():.3g}): "
                        + case.places(split, bad),
                        "scale translations only, and write orthogonal rotations",
                    )
                )
                break
        flips, total = flips + int((np.linalg.det(turns) < 0).sum()), total + len(turns)
        lowest = np.abs(content.camera_to_head[:, 3] - [0, 0, 0, 1]).max()
        if lowest > 1e-4:
            found.append(error(AXES, f"{split}: the last row of a pose is not 0 0 0 1", "are matrices transposed?"))
    if 0 < flips < total:
        found.append(error(AXES, f"{flips} of {total} poses mirror (det R = -1), the others do not", "mend the signs"))
    elif flips:
        found.append(
            warning(
                AXES,
                "all poses mirror (det R = -1)",
                "training works; angles, re-enactment and meshes want rotations: turn the x columns and fx",
            )
        )
    found += _directions(case)
    return found or [fine(AXES, f"{total} rotations, det R = +1, the camera in front of the face, y up")]


def _directions(case: Case) -> list[Finding]:
    poses = case.dataset.train.camera_to_head.astype(np.float64)
    places = poses[:, :3, 3] / np.maximum(np.linalg.norm(poses[:, :3, 3], axis=1, keepdims=True), 1e-9)
    found = []
    if places[:, 2].mean() < FACING:
        found.append(
            warning(
                AXES,
                f"the camera stands on average towards {places.mean(axis=0).round(2).tolist()} of the head, not +z",
                "turn head space so that the face looks along +z",
            )
        )
    up = poses[:, :3, 1].mean(axis=0)
    if up[1] < FACING:
        found.append(
            warning(
                AXES,
                f"the camera's up is on average {up.round(2).tolist()} of the head, not +y",
                "turn head space so that y is up",
            )
        )
    return found


def check_scale(case: Case) -> list[Finding]:
    """Mean distance 0.5, the head between near and far of every camera and inside [-1, 1]."""
    dataset, sampling = case.dataset, SamplingConfig()
    told = head_radius(dataset)
    radius = USUAL_RADIUS if told is None else told
    found = []
    distance = float(np.linalg.norm(dataset.train.camera_to_head[:, :3, 3], axis=1).mean())
    if abs(distance / MEAN_DISTANCE - 1) > DISTANCE_TOLERANCE:
        found.append(
            warning(
                SCALE,
                f"the mean distance of the camera is {distance:.3f}, usual is {MEAN_DISTANCE}",
                f"multiply all translations by {MEAN_DISTANCE / max(distance, 1e-9):.4g}",
            )
        )
    for split, content in dataset.splits.items():
        depth = project_all(content.camera_to_head, dataset.intrinsics, np.zeros(3))[:, 2]
        outside = np.flatnonzero(~((depth - radius >= sampling.near) & (depth + radius <= sampling.far)))
        if len(outside):
            found.append(
                error(
                    SCALE,
                    f"in {len(outside)} of {len(depth)} {split} frames a head of radius {radius:.2f} at depth "
                    f"{np.nanmin(depth):.2f} to {np.nanmax(depth):.2f} is not within near {sampling.near} and far "
                    f"{sampling.far}: " + case.places(split, outside),
                    "mend the translations or their scale",
                )
            )
    if radius > LARGEST_RADIUS:
        found.append(error(SCALE, f"the head's radius is {radius:.2f}: it must lie in [-1, 1]", "scale translations"))
    size = "" if told is None else f", half a head's height {radius:.3f}"
    return found or [fine(SCALE, f"mean camera distance {distance:.3f}{size}: within near and far")]


def check_motion(case: Case) -> list[Finding]:
    """Poses that repeat (a stuck tracker) or jump (a lost face) between neighbouring frames."""
    stuck: list[str] = []
    jumps: list[str] = []
    steps = 0
    angles, ways = [0.0], [0.0]
    for split in case.dataset.splits:
        order, numbers = in_time(case.dataset, split), frame_numbers(case.dataset, split)
        if len(order) < 2 or numbers is None:
            continue
        poses = case.dataset.splits[split].camera_to_head[order].astype(np.float64)
        neighbours = np.diff(numbers[order]) == 1
        steps += int(neighbours.sum())
        equal = neighbours & (np.abs(np.diff(poses, axis=0)).max(axis=(1, 2)) == 0)
        stuck += [case.where(split, int(row)) for row in order[1:][equal]]
        angle, way = _steps(poses)
        far = neighbours & ((angle > JUMP_DEG) | (way > JUMP_UNITS) | stands_alone(angle, way, neighbours))
        jumps += [case.where(split, int(row)) for row in order[1:][far]]
        angles, ways = [*angles, *angle[far]], [*ways, *way[far]]
    found = []
    if len(stuck) > MOST_STUCK * steps:
        found.append(
            warning(
                MOTION,
                f"{len(stuck)} frames have the very pose of the frame before: {named(stuck)}",
                "did the tracker lose the face? leave such frames out",
            )
        )
    if jumps:
        found.append(
            warning(
                MOTION,
                f"{len(jumps)} poses jump from the frame before (up to {max(angles):.0f} degrees, {max(ways):.3f} "
                f"head units): {named(jumps)}",
                "look there in the overlay: a cut, or a lost face?",
            )
        )
    known = f"{steps} steps between neighbouring frames: no jumps, nothing stuck"
    return found or [fine(MOTION, known if steps else "the order of frames in time is not known")]


def stands_alone(
    angle: Float[np.ndarray, " steps"], way: Float[np.ndarray, " steps"], neighbours: Bool[np.ndarray, " steps"]
) -> Bool[np.ndarray, " steps"]:
    """Steps into frames that stand away from both neighbours, far for this clip: a pose of another frame."""
    far = np.zeros(len(angle), dtype=bool)
    for steps, least in ((angle, ALONE_DEG), (way, ALONE_UNITS)):
        if neighbours.any():
            far |= neighbours & (steps > max(least, ALONE_TIMES * float(np.quantile(steps[neighbours], 0.95))))
    back = np.append(far[1:], True)  # the last frame has no step out
    return far & back


def _steps(poses: Float[np.ndarray, "frames 4 4"]) -> tuple[Float[np.ndarray, " steps"], Float[np.ndarray, " steps"]]:
    """Angles (degrees) and ways (head units) that the head moves between consecutive poses, seen from the camera."""
    turns = np.einsum("nki,nkj->nij", poses[:-1, :3, :3], poses[1:, :3, :3])
    cosine = (np.trace(turns, axis1=1, axis2=2) - 1) / 2
    heads = -np.linalg.solve(poses[:, :3, :3], poses[:, :3, 3:])[:, :, 0]
    return np.degrees(np.arccos(np.clip(cosine, -1, 1))), np.linalg.norm(np.diff(heads, axis=0), axis=1)
