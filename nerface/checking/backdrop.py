"""Is the plate what stands behind the person?"""

from __future__ import annotations

import cv2
import numpy as np
from jaxtyping import Bool, Float, UInt8

from nerface.checking.case import Case, known_boxes, middle_of, spread_over, telling
from nerface.checking.findings import Finding, error, fine, warning
from nerface.data.boxes import box_slices

CHECK = "background"
COMPARED = 48  # frames compared with the plate
LEAST_AREA = 0.005  # share of the picture that must be backdrop for a judgement
DIFFERENT, OTHER_SCENE = 10.0, 30.0  # 8-bit levels, median over the backdrop
IMPRINT = 0.9  # of the difference between pictures, inside the head's box: a plate nearer than that shows the head
LEAST_LEVELS = 3.0  # and so does one that hardly differs
LEAST_HEAD = 0.3  # share of the middle of the head's box that the plate claims to have seen


def check_backdrop(case: Case) -> list[Finding]:
    """Whether the plate shows what stands behind the person, and the person is not on it."""
    dataset = case.dataset
    plate = dataset.background
    if plate is None:
        return [
            warning(
                CHECK,
                "bg/00050.png is missing",
                "train with avatar.background=none or trainable, or give the picture of the empty scene",
            )
        ]
    rows = spread_over(len(dataset.train), COMPARED)
    behind = []
    for row in rows:
        area = backdrop_area(case, int(row))
        if area.mean() > LEAST_AREA:
            behind.append((float(np.median(difference(dataset.train.images[row], plate)[area])), int(row)))
    if not behind:
        return [fine(CHECK, "boxes leave no backdrop to compare with the plate")]
    median = float(np.median([value for value, _ in behind]))
    worst, row = max(behind)
    found = []
    if median > DIFFERENT:
        found.append(
            (error if median > OTHER_SCENE else warning)(
                CHECK,
                f"beside and above the head, pictures differ from bg/00050.png by {median:.0f} of 255 levels (median), "
                f"{worst:.0f} in {case.where('train', row)}",
                "is it the plate of this clip, crop and exposure? does the camera move?",
            )
        )
    elif worst > OTHER_SCENE:
        found.append(
            warning(
                CHECK,
                f"{case.where('train', row)} differs from bg/00050.png by {worst:.0f} of 255 levels beside the head "
                f"(the others by {median:.0f})",
                "a cut, a lamp, or something passing behind?",
            )
        )
    if _shows_the_head(case, plate):
        found.append(
            warning(
                CHECK,
                "bg/00050.png is as near to the pictures inside the head's box as they are to each other: the person "
                "seems to be on it",
                "use a picture of the empty scene: training would learn to leave the head out",
            )
        )
    unseen = dataset.background_unseen.mean()
    return found or [
        fine(CHECK, f"pictures beside the head differ from the plate by {median:.1f} levels; {unseen:.0%} never seen")
    ]


def _shows_the_head(case: Case, plate: UInt8[np.ndarray, "height width 3"]) -> bool:
    """Whether the plate, where it claims to have been seen, repeats what is in the middle of the head's box."""
    dataset = case.dataset
    boxes, known = known_boxes(dataset, "train")
    rows = spread_over(len(dataset.train), COMPARED)
    rows = rows[known[rows]]
    to_plate, to_another = [], []
    for row, other in zip(rows, np.roll(rows, len(rows) // 2)):
        image, box = dataset.train.images[row], boxes[row]
        seen = ~middle_of(dataset.background_unseen, box)
        if seen.mean() < LEAST_HEAD:
            continue
        to_plate.append(float(np.median(middle_of(difference(image, plate), box)[seen])))
        to_another.append(float(np.median(middle_of(difference(image, dataset.train.images[other]), box)[seen])))
    return bool(to_plate) and float(np.median(to_plate)) < max(IMPRINT * float(np.median(to_another)), LEAST_LEVELS)


def difference(
    image: UInt8[np.ndarray, "height width 3"], plate: UInt8[np.ndarray, "height width 3"]
) -> Float[np.ndarray, "height width"]:
    """Absolute difference in 8-bit levels, averaged over the colours."""
    return np.abs(image.astype(np.int16) - plate).mean(axis=2)


def backdrop_area(case: Case, row: int) -> Bool[np.ndarray, "height width"]:
    """Where a training frame should show the plate: not the person's mask, else beside and above the head's box."""
    dataset = case.dataset
    train = dataset.train
    unseen = dataset.background_unseen
    if train.masks is not None:
        kernel = np.ones((2 * max(1, unseen.shape[1] // 64) + 1,) * 2, np.uint8)
        return (cv2.dilate(np.array(train.masks[row]), kernel) == 0) & ~unseen
    box = train.sampling_boxes[row]
    if not telling(box[None])[0]:
        box = train.head_boxes[row]
    area = ~unseen
    rows, columns = box_slices(box, *area.shape)
    area[rows, columns] = False
    area[(rows.start + rows.stop) // 2 :] = False  # shoulders lie below
    return area
