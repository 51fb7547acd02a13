"""The first Gaussians: the person's outline at the rest pose, inflated to a relief, in the colours seen there."""

from __future__ import annotations

from typing import TYPE_CHECKING

import cv2
import numpy as np
import torch
from jaxtyping import Bool, Float
from scipy.spatial import cKDTree

from nerface.data.boxes import box_slices
from nerface.fields.gaussian_set import StartingPoints
from nerface.types import Frame, Intrinsics

if TYPE_CHECKING:
    from nerface.data.dataset import Dataset
    from nerface.fields.base import Subject

UNLIKE_PLATE = 30  # levels by which some colour of the person differs from the plate, where there is no mask
RELIEF_BACK = -0.05  # head units: how far behind the head's origin the outline lies
ROUNDNESS = 0.8  # depth of the relief over half the head's width
THICKNESS = 0.01  # head units: spread of the points about the relief
NECK_SOFTNESS = 0.06  # of the picture's height: how softly following the head ends below the chin
FOLLOW_RANGE = (0.05, 0.95)


def starting_points(dataset: Dataset, subject: Subject, count: int, generator: torch.Generator) -> StartingPoints:
    """`count` points on the person of the training frame nearest to the rest pose."""
    split, rest = dataset.train, np.array(subject.rest_pose, dtype=np.float64)
    row = int(np.argmin(np.abs(split.camera_to_head - rest).sum(axis=(1, 2))))
    frame, random = split[row], np.random.default_rng(int(torch.randint(1 << 31, (), generator=generator)))
    person = _person(frame, dataset)
    rows, columns = box_slices(frame.head_box, *frame.image.shape[:2])
    inside = np.zeros_like(person)
    inside[rows, columns] = True
    # As many points on the head as on the rest of the person, however small it is in the picture.
    head, body = person & inside, person & ~inside
    chance = head / max(head.sum(), 1) + body / max(body.sum(), 1)
    chosen = random.choice(person.size, size=count, p=(chance / chance.sum()).ravel())
    pixels = np.stack([chosen % person.shape[1], chosen // person.shape[1]], axis=-1) + random.uniform(
        -0.5, 0.5, (count, 2)
    )
    half_width = 0.5 * (columns.stop - columns.start)
    relief = _relief(person, half_width)[chosen // person.shape[1], chosen % person.shape[1]]
    distance = float(np.linalg.norm(rest[:3, 3]))
    height = RELIEF_BACK + ROUNDNESS * relief * half_width * distance / abs(subject.intrinsics.fx)
    depth = distance - height + THICKNESS * random.standard_normal(count)
    places = _placed(pixels, depth, subject.intrinsics, rest)
    nearest, _ = cKDTree(places).query(places, k=4)
    sizes = np.clip(np.sqrt((nearest[:, 1:] ** 2).mean(axis=1)), 1e-4, 0.02)
    below = (pixels[:, 1] - rows.stop) / (NECK_SOFTNESS * person.shape[0])
    follows = np.clip(1 / (1 + np.exp(np.clip(below, -50, 50))), *FOLLOW_RANGE)
    colours = frame.image.reshape(-1, 3)[chosen] / 255.0
    return StartingPoints(
        *(torch.from_numpy(np.asarray(part, np.float32)) for part in (places, colours, sizes, follows))
    )


def _person(frame: Frame, dataset: Dataset) -> Bool[np.ndarray, "height width"]:
    """Where the person is: by the mask, else where the picture is unlike the plate, else in the head's box."""
    if frame.mask is not None and (frame.mask > 127).any():
        return np.asarray(frame.mask > 127)
    if dataset.background is not None:
        unlike = np.abs(frame.image.astype(int) - dataset.background).max(axis=-1) > UNLIKE_PLATE
        if unlike.any():
            return np.asarray(unlike)
    person = np.zeros(frame.image.shape[:2], dtype=bool)
    rows, columns = box_slices(frame.head_box, *frame.image.shape[:2])
    person[rows, columns] = True
    return person if person.any() else ~person


def _relief(person: Bool[np.ndarray, "height width"], radius: float) -> Float[np.ndarray, "height width"]:
    """How far an outline inflated to a ball of `radius` px stands out, from 0 at its edge to 1 inside."""
    padded = np.pad(person.astype(np.uint8), 1, mode="edge")  # the picture's border is no outline
    distance = cv2.distanceTransform(padded, cv2.DIST_L2, cv2.DIST_MASK_PRECISE)[1:-1, 1:-1]
    # Its last bit depends on where in memory the picture lies; its square is a whole number: equal seeds stay equal.
    distance = np.sqrt(np.rint(distance.astype(np.float64) ** 2))
    short = 1 - np.clip(distance / max(radius, 1.0), 0, 1)
    return np.asarray(np.sqrt(1 - short**2))


def _placed(
    pixels: Float[np.ndarray, "points 2"],
    depth: Float[np.ndarray, " points"],
    inner: Intrinsics,
    camera_to_head: Float[np.ndarray, "4 4"],
) -> Float[np.ndarray, "points 3"]:
    """Points of head space at `pixels` (column, row) and `depth` along the camera's axis."""
    x = (pixels[:, 0] - inner.width * inner.cx) / inner.fx
    y = -(pixels[:, 1] - inner.height * inner.cy) / inner.fy
    local = np.stack([x, y, -np.ones_like(x)], axis=-1) * depth[:, None]
    return np.asarray(local @ camera_to_head[:3, :3].T + camera_to_head[:3, 3])
