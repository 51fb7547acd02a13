"""Head boxes: whole heads, clipped, steady."""

from __future__ import annotations

import numpy as np
import pytest

from nerface.capture.boxes import HeadBoxBuilder, head_boxes, sampling_boxes

SIZE = (200, 160)  # W, H


def face(frames: int, jitter: float = 0.0) -> np.ndarray:
    """Landmarks on an ellipse round (100, 90), 40 px wide and 60 high, forehead and chin where they belong."""
    rng = np.random.default_rng(0)
    angle = np.linspace(0, 2 * np.pi, 478)
    points = np.stack([100 + 20 * np.sin(angle), 90 - 30 * np.cos(angle)], axis=1)
    points[10], points[152] = [100, 60], [100, 120]
    points[61], points[291] = [92, 105], [108, 105]
    return np.repeat(points[None], frames, axis=0) + jitter * rng.normal(size=(frames, 1, 2))


def person(top: int, left: int, right: int) -> np.ndarray:
    """A mask of head (from `top`, between `left` and `right`) and shoulders."""
    mask = np.zeros((160, 200), np.uint8)
    mask[top:125, left:right] = 255
    mask[125:, 20:180] = 255
    return mask


def test_hair_in_the_mask_is_in_the_box_and_shoulders_are_not() -> None:
    box = head_boxes(face(5), np.repeat(person(40, 72, 130)[None], 5, axis=0), SIZE)[2]
    np.testing.assert_allclose(box * [160, 160, 200, 200], [40, 124, 72, 130], atol=0.6)


def test_without_a_mask_the_box_holds_a_skull() -> None:
    rows_min, rows_max, cols_min, cols_max = head_boxes(face(1), None, SIZE)[0] * [160, 160, 200, 200]
    assert 35 < rows_min < 50
    assert 120 < rows_max < 128
    assert 70 < cols_min < 80
    assert 120 < cols_max < 130


def test_an_empty_mask_counts_as_none() -> None:
    empty = np.zeros((3, 160, 200), np.uint8)
    np.testing.assert_array_equal(head_boxes(face(3), empty, SIZE), head_boxes(face(3), None, SIZE))


def test_a_raised_arm_does_not_stretch_the_box_far() -> None:
    mask = person(40, 75, 125)
    mask[:, 160:190] = 255  # beside the head
    box = head_boxes(face(3), np.repeat(mask[None], 3, axis=0), SIZE)[1]
    assert box[3] * 200 < 140


def test_masks_may_stream_and_have_any_resolution_or_type() -> None:
    mask = person(40, 72, 130)
    whole = head_boxes(face(4), np.repeat(mask[None], 4, axis=0), SIZE)
    np.testing.assert_allclose(head_boxes(face(4), (mask for _ in range(4)), SIZE), whole)
    np.testing.assert_allclose(head_boxes(face(4), lambda frame: mask, SIZE), whole)
    np.testing.assert_allclose(head_boxes(face(4), (mask > 0 for _ in range(4)), SIZE), whole)
    np.testing.assert_allclose(head_boxes(face(4), (mask / 255.0 for _ in range(4)), SIZE), whole)
    np.testing.assert_allclose(head_boxes(face(4), lambda frame: mask[::2, ::2], SIZE), whole, atol=0.01)


def test_missing_masks_are_noticed() -> None:
    with pytest.raises(ValueError, match="2 masks for 4 frames"):
        head_boxes(face(4), iter([person(40, 70, 130)] * 2), SIZE)
    builder = HeadBoxBuilder(face(4), SIZE)
    builder.add(None)
    with pytest.raises(ValueError, match="1 masks for 4 frames"):
        builder.finish()


def test_boxes_are_steady_and_hold_every_landmark() -> None:
    points = face(60, jitter=1.0)
    points[30:] += [25, 0]  # a jerk
    masks = [person(40 + (frame == 10) * 15, 72, 130) for frame in range(60)]  # one mask loses the hair
    boxes = head_boxes(points, masks, SIZE) * [160, 160, 200, 200]
    assert abs(boxes[10, 0] - boxes[5, 0]) < 1.0
    assert (boxes[:, 2] <= points[:, :468, 0].min(axis=1) + 1e-9).all()
    assert (boxes[:, 3] >= points[:, :468, 0].max(axis=1) + 1 - 1e-9).all()


def test_boxes_end_at_the_picture() -> None:
    boxes = head_boxes(face(3) - [90, 60], None, SIZE)
    assert boxes.min() >= 0
    assert boxes[0, 2] == 0
    grown = sampling_boxes(boxes)
    assert grown.min() >= 0
    assert grown.max() <= 1


def test_sampling_boxes_are_a_little_larger() -> None:
    grown = sampling_boxes(np.array([[0.3, 0.7, 0.4, 0.6]]))[0]
    np.testing.assert_allclose(grown, [0.252, 0.76, 0.37, 0.63])
