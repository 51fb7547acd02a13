"""The overlay: drawn where the project's camera says, written as a video of the right length."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import av
import numpy as np
import pytest

from nerface.capture.overlay import OverlayData, draw_overlay, write_overlay
from nerface.types import Intrinsics

WIDTH, HEIGHT = 120, 90


def faces(frames: int) -> OverlayData:
    pose = np.eye(4)
    pose[2, 3] = 0.5
    return OverlayData(
        landmarks=np.full((frames, 4, 2), [20.0, 70.0]),
        projected=None,
        camera_to_head=np.repeat(pose[None], frames, axis=0),
        intrinsics=Intrinsics(150.0, 150.0, 0.5, 0.5, WIDTH, HEIGHT),
        head_boxes=np.full((frames, 4), [0.1, 0.95, 0.1, 0.9]),
        axis_length=0.1,
    )


def test_marks_lie_where_the_camera_puts_them() -> None:
    black = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
    drawn = draw_overlay(black, faces(1), 0)
    assert not black.any()  # the picture itself is left alone
    # The head origin is at (60, 45); 0.1 units at a distance of 0.5 and fx 150 are 30 px: x to the right, y up.
    red, green = drawn[45, 75].astype(int), drawn[30, 60].astype(int)
    assert red[0] > 150 > red[1]
    assert green[1] > 150 > green[0]
    assert not drawn[60, 60].any()
    assert drawn[70, 20, 0] > 150  # a landmark
    assert drawn[9, 60].min() > 150  # the box's upper edge


def test_what_lies_behind_the_camera_or_far_away_is_no_fault() -> None:
    data = faces(1)
    behind = data.camera_to_head.copy()
    behind[0, 2, 3] = -0.5
    wild = np.array([[[np.nan, 3.0], [1e9, -1e9]]])
    draw_overlay(np.zeros((HEIGHT, WIDTH, 3), np.uint8), replace(data, camera_to_head=behind, landmarks=wild), 0)


def test_the_video_has_every_frame(tmp_path: Path) -> None:
    images = (np.full((HEIGHT, WIDTH, 3), 40 * k, np.uint8) for k in range(5))
    write_overlay(tmp_path / "overlay.mp4", images, faces(5), 25.0)
    with av.open(str(tmp_path / "overlay.mp4")) as container:
        shapes = [frame.to_ndarray(format="rgb24").shape for frame in container.decode(video=0)]
    assert shapes == [(HEIGHT, WIDTH, 3)] * 5


@pytest.mark.parametrize("count", [1, 3])
def test_pictures_and_faces_must_match(tmp_path: Path, count: int) -> None:
    images = [np.zeros((HEIGHT, WIDTH, 3), np.uint8)] * count
    with pytest.raises(ValueError, match="2 frames"):
        write_overlay(tmp_path / "overlay.mp4", images, faces(2), 25.0)
    assert not list(tmp_path.iterdir())


def test_a_picture_of_another_size_is_refused() -> None:
    with pytest.raises(ValueError, match="60x90"):
        draw_overlay(np.zeros((HEIGHT, 60, 3), np.uint8), faces(1), 0)
