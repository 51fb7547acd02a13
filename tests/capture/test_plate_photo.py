from __future__ import annotations

import cv2
import numpy as np
import pytest

from nerface.capture.crop import Crop
from nerface.capture.plate import Plate, filled
from nerface.capture.plate_photo import check_plate_photo, plate_from_photo, read_plate_photo
from nerface.errors import UserError
from tests.capture.scenes import room

FRAME = (400, 300)  # width, height
CROP = Crop(80, 20, 240, 240, 240, 240)


def _video_plate():
    """The plate of a video of a 400x300 room, cropped, with a hole where the person was."""
    scene = room(300, 400)
    cut = CROP.apply(scene)
    unseen = cv2.ellipse(np.zeros((240, 240), np.uint8), (120, 150), (60, 100), 0, 0, 360, 1, -1) > 0
    hidden = cut.copy()
    hidden[unseen] = 0
    return cut, Plate(filled(hidden, unseen), unseen)


def _photograph(tmp_path, size=(1200, 900), scale=1.0, shift=(0, 0), gain=1.0, name="empty.png"):
    moved = np.array([[scale, 0, shift[0]], [0, scale, shift[1]]], dtype=np.float64)
    scene = cv2.warpAffine(room(300, 400), moved, FRAME, flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REFLECT)
    scene = (scene * np.array(gain)).clip(0, 255).astype(np.uint8)
    cv2.imwrite(str(tmp_path / name), cv2.resize(scene, size, interpolation=cv2.INTER_CUBIC)[..., ::-1])
    return tmp_path / name


@pytest.mark.parametrize(
    "taken",
    [{}, {"scale": 1.04, "shift": (-12, 7)}, {"gain": (1.2, 1.1, 0.95)}, {"size": (400, 300), "shift": (5, -4)}],
)
def test_a_photograph_fills_what_the_video_never_saw(tmp_path, taken):
    truth, plate = _video_plate()
    whole = plate_from_photo(read_plate_photo(_photograph(tmp_path, **taken), FRAME, CROP), plate)
    error = np.abs(whole.image.astype(int) - truth)
    before = np.abs(plate.image.astype(int) - truth)[plate.unseen].mean()
    assert not whole.unseen.any()
    assert error[plate.unseen].mean() < min(3.0, 0.3 * before)
    assert error[~plate.unseen].mean() < 1


def test_another_place_is_refused(tmp_path):
    cv2.imwrite(str(tmp_path / "other.png"), room(300, 400, seed=5))
    photo = read_plate_photo(tmp_path / "other.png", FRAME, CROP)
    with pytest.raises(UserError, match=r"other\.png does not show the place of the video"):
        plate_from_photo(photo, _video_plate()[1])


@pytest.mark.parametrize(
    "read", [lambda path: read_plate_photo(path, FRAME, CROP), lambda path: check_plate_photo(path, FRAME)]
)
def test_what_is_no_fitting_photograph_is_refused(tmp_path, read):
    with pytest.raises(UserError, match="no such file; --plate-photo takes"):
        read(tmp_path / "missing.jpg")
    (tmp_path / "text.jpg").write_text("not a picture")
    with pytest.raises(UserError, match="not a picture that can be read: --plate-photo takes"):
        read(tmp_path / "text.jpg")
    with pytest.raises(UserError, match="400x400, the video 400x300"):
        read(_photograph(tmp_path, size=(400, 400)))


def test_a_plain_wall_needs_no_features(tmp_path):
    wall = np.full((240, 240, 3), (150, 160, 170), np.uint8)
    unseen = np.zeros((240, 240), bool)
    unseen[60:, 60:180] = True
    cv2.imwrite(str(tmp_path / "wall.png"), np.full((300, 400, 3), (190, 176, 160), np.uint8))
    whole = plate_from_photo(read_plate_photo(tmp_path / "wall.png", FRAME, CROP), Plate(wall, unseen))
    assert np.abs(whole.image.astype(int) - wall).max() <= 2
