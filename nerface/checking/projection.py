"""Do the poses put the head where the pictures and boxes show it, and with the right signs?"""

from __future__ import annotations

import cv2
import numpy as np
from jaxtyping import Float

from nerface.checking.case import Case, box_centres, head_radius, known_boxes, project_all
from nerface.checking.findings import Finding, error, fine, warning

ORIGIN, SIGNS = "origin", "signs"
BEST_SHARE, LEAST_SHARE = 0.9, 0.5  # of frames that must see the head's origin: below, a warning and an error
BOX_SLACK = 0.25  # of a box's size: the origin may lie so far outside
LEAST_MOTION = 0.01  # of the picture's size: what moves less tells nothing of signs
AGAINST, ALONG = -0.4, 0.4  # correlations
PAIRS, CANDIDATES = 24, 600
WORK_PX = 128  # longer side at which pictures are compared
PATCH = 0.45  # of the head's size
LEAST_PICTURE_MOTION = 0.03  # of the picture's width, between the frames of a pair
CLEARLY = 1.12  # ratio of errors from which one sign is better
FOLLOWED = 1.15  # below it in both axes, pictures and poses have nothing to do with each other (good clips: 1.29 to 2)
USUAL_RADIUS = 0.1  # head units


def check_origin(case: Case) -> list[Finding]:
    """The head's origin lies before every camera, in the picture, and in or near the head's box."""
    dataset, inner = case.dataset, case.dataset.intrinsics
    found = []
    for split, content in dataset.splits.items():
        if len(content) == 0:
            continue
        seen = project_all(content.camera_to_head, inner, np.zeros(3))
        behind = np.flatnonzero(~(seen[:, 2] > 0))
        if len(behind):
            found.append(
                error(
                    ORIGIN,
                    f"the head is behind the camera in {len(behind)} of {len(content)} {split} frames: "
                    + case.places(split, behind),
                    "cameras look along their -z: are y and z of another convention, or the matrices inverted?",
                )
            )
            continue
        places = seen[:, :2] / [inner.width, inner.height]
        inside = ((places >= 0) & (places <= 1)).all(axis=1)
        if inside.mean() < BEST_SHARE:
            level = error if inside.mean() < LEAST_SHARE else warning
            outside = np.flatnonzero(~inside)
            found.append(
                level(
                    ORIGIN,
                    f"the head's origin lies outside the picture in {len(outside)} of {len(content)} {split} frames: "
                    + case.places(split, outside),
                    "check the principal point, the signs of fx and fy, and the poses",
                )
            )
            continue
        found += _near_boxes(case, split, places)
    return found or [fine(ORIGIN, "the head's origin lies in the picture and in the head's box")]


def _near_boxes(case: Case, split: str, places: Float[np.ndarray, "frames 2"]) -> list[Finding]:
    boxes, known = known_boxes(case.dataset, split)
    if not known.any():
        return []
    boxes, places, rows = boxes[known], places[known], np.flatnonzero(known)
    tall, wide = boxes[:, 1] - boxes[:, 0], boxes[:, 3] - boxes[:, 2]
    near = (np.abs(places[:, 0] - (boxes[:, 2] + boxes[:, 3]) / 2) <= (0.5 + BOX_SLACK) * wide) & (
        np.abs(places[:, 1] - (boxes[:, 0] + boxes[:, 1]) / 2) <= (0.5 + BOX_SLACK) * tall
    )
    if near.mean() >= BEST_SHARE:
        return []
    return [
        warning(
            ORIGIN,
            f"the head's origin lies well outside the head's box in {(~near).sum()} of {len(near)} {split} frames: "
            + case.places(split, rows[~near]),
            "boxes, poses or 'intrinsics' belong to another crop; or the tracker's origin is not in the head",
        )
    ]


def check_signs(case: Case) -> list[Finding]:
    """Whether picture and poses move the same way: fx and fy have the signs that belong to the poses."""
    found = _signs_by_boxes(case) + _signs_by_pictures(case)
    if any(one.level != "fine" for one in found):
        return [one for one in found if one.level != "fine"]
    return found or [fine(SIGNS, "the head hardly moves: the signs of fx and fy could not be told from the pictures")]


def _signs_by_boxes(case: Case) -> list[Finding]:
    """Correlation of the boxes' centres with the projected origin, column by column and row by row."""
    inner = case.dataset.intrinsics
    boxes, known = known_boxes(case.dataset, "train")
    if known.sum() < 8:
        return []
    centres = box_centres(boxes[known], inner)
    seen = project_all(case.dataset.train.camera_to_head[known], inner, np.zeros(3))
    ahead = seen[:, 2] > 0
    told, found = [], []
    for axis, (focal, side, size) in enumerate((("fx", "column", inner.width), ("fy", "row", inner.height))):
        ours, theirs = seen[ahead, axis], centres[ahead, axis]
        if len(ours) < 8 or min(ours.std(), theirs.std()) < LEAST_MOTION * size:
            continue
        correlation = float(np.corrcoef(ours, theirs)[0, 1])
        told.append(f"{side}s {correlation:.2f}")
        if correlation < AGAINST:
            found.append(
                error(
                    SIGNS,
                    f"the boxes' {side}s run against those of the projected head (correlation {correlation:.2f}): "
                    f"{focal} = {getattr(inner, focal):.1f} has the wrong sign for these poses",
                    f"turn the sign of {focal}, or of the camera's {'x' if axis == 0 else 'y'} in the poses",
                )
            )
        elif correlation < ALONG:
            found.append(
                warning(
                    SIGNS,
                    f"the boxes' {side}s do not follow the projected head (correlation {correlation:.2f})",
                    "look at check.png: do the axes sit on the head?",
                )
            )
    return found or (
        [fine(SIGNS, f"the boxes follow the projected head: correlation of {', '.join(told)}")] if told else []
    )


def _signs_by_pictures(case: Case) -> list[Finding]:
    """Frames in which the face should stand apart are compared at that distance, and at the opposite one."""
    found, told, ratios = [], [], []
    for axis, (focal, way) in enumerate((("fx", "sideways"), ("fy", "up and down"))):
        errors = motion_errors(case, axis)
        if errors is None:
            continue
        along, against = (max(value, 1e-9) for value in errors)
        ratios.append(max(along, against) / min(along, against))
        if along > CLEARLY * against:
            found.append(
                error(
                    SIGNS,
                    f"the pictures move {way} against the poses (they match {along / against:.2f} times as well with "
                    f"{focal} turned)",
                    f"turn the sign of {focal}, or of the camera's {'x' if axis == 0 else 'y'} in the poses",
                )
            )
        elif against > CLEARLY * along:
            told.append(f"{way} {against / along:.2f} times better than reversed")
    if len(ratios) == 2 and max(ratios) < FOLLOWED:
        return [
            warning(
                SIGNS,
                "the pictures do not follow the poses: moved as the poses say they match no better than moved the "
                "other way",
                "do rows and pictures belong together? look at check.png: do axes and boxes sit on the head?",
            )
        ]
    return found or ([fine(SIGNS, f"the pictures follow the poses: {', '.join(told)}")] if told else [])


def motion_errors(case: Case, axis: int) -> tuple[float, float] | None:
    """Mean difference of pictures shifted as the poses say, and shifted the opposite way along `axis` (0 columns).

    The point that is followed stands on the face, so that turning heads tell too. None where nothing moves enough.
    """
    dataset, inner = case.dataset, case.dataset.intrinsics
    radius = head_radius(dataset) or USUAL_RADIUS
    seen = project_all(dataset.train.camera_to_head, inner, np.array([0.0, 0.0, 0.8 * radius]))
    usable = np.flatnonzero((seen[:, 2] > 0) & ((seen[:, :2] > 0) & (seen[:, :2] < [inner.width, inner.height])).all(1))
    if len(usable) < 4:
        return None
    pairs = np.random.default_rng(0).choice(usable, size=(CANDIDATES, 2))
    step = seen[pairs[:, 1], :2] - seen[pairs[:, 0], :2]
    merit = np.abs(step[:, axis]) - np.abs(step[:, 1 - axis])
    best = np.argsort(-merit)[:PAIRS]
    best = best[np.abs(step[best, axis]) >= LEAST_PICTURE_MOTION * inner.width]
    if len(best) < PAIRS // 4:
        return None
    boxes, known = known_boxes(dataset, "train")
    centres = np.where(known[:, None], box_centres(boxes, inner), seen[:, :2])
    size = 2 * radius * abs(inner.fy) / np.median(seen[usable, 2]) * PATCH
    scale = min(1.0, WORK_PX / max(inner.width, inner.height))
    side = max(5, round(size * scale))
    totals = np.zeros(2)
    for first, second in pairs[best]:
        one, other = (_grey(dataset.train.images[row], scale) for row in (first, second))
        move = seen[second, :2] - seen[first, :2]
        patch = _patch(one, centres[first] * scale, side)
        for way, sign in enumerate((1.0, -1.0)):
            shift = np.array(move)
            shift[axis] *= sign
            totals[way] += np.abs(patch - _patch(other, (centres[first] + shift) * scale, side)).mean()
    return float(totals[0] / len(best)), float(totals[1] / len(best))


def _grey(image: np.ndarray, scale: float) -> Float[np.ndarray, "height width"]:
    grey = cv2.cvtColor(np.array(image), cv2.COLOR_RGB2GRAY).astype(np.float32)
    return grey if scale == 1 else cv2.resize(grey, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)


def _patch(image: Float[np.ndarray, "height width"], centre: np.ndarray, side: int) -> Float[np.ndarray, "side side"]:
    return cv2.getRectSubPix(image, (side, side), (float(centre[0]), float(centre[1])))
