from __future__ import annotations

import numpy as np
import pytest

from nerface.capture.matte import PersonMatte, _clean, steadied
from nerface.capture.video import iterate
from nerface.errors import UserError
from tests.capture.clips import networks, portrait


def test_stray_pieces_go_and_small_holes_close():
    mask = np.zeros((64, 64), np.float32)
    mask[20:60, 15:50] = 1.0
    mask[5:9, 5:9] = 0.9
    mask[40:43, 30:33] = 0.1
    cleaned = _clean(mask)
    assert cleaned[:12, :12].max() == 0
    assert cleaned[40:43, 30:33].min() == 1
    assert cleaned[20:60, 15:50].min() == 1


def test_a_large_gap_under_an_arm_stays():
    mask = np.ones((64, 64), np.float32)
    mask[20:40, 20:40] = 0.0
    assert _clean(mask)[25:35, 25:35].max() == 0


def test_masks_are_mixed_with_their_neighbours_in_time():
    masks = [np.full((2, 2), value, np.float32) for value in (0, 1, 0, 0)]
    assert [float(mask[0, 0]) for mask in steadied(iter(masks))] == [0.25, 0.5, 0.25, 0.0]
    assert [float(mask[0, 0]) for mask in steadied(iter(masks[1:2]))] == [1.0]
    assert list(steadied(iter([]))) == []


def test_a_rendered_head_against_its_true_mask(shared):
    matte = PersonMatte(networks().selfie_segmentation)
    frame = next(iterate(shared / "data" / "groundtruth" / "head_rigid.mp4")).image
    truth = np.abs(frame.astype(int) - frame[5, 5]).sum(axis=-1) > 24
    # Above the bust's cut edge, which the network (used to people) continues downwards.
    assert np.abs(matte(frame) - truth)[:400].mean() < 0.008


def test_a_real_person():
    matte = PersonMatte(networks().selfie_segmentation)
    mask = matte(portrait())
    assert mask.shape == (320, 320)
    assert mask.min() >= 0
    assert mask.max() <= 1
    assert mask[90:160, 130:190].min() > 0.9  # the face
    assert mask[:60, :40].max() < 0.2  # a corner of the background


def test_other_files_are_refused(tmp_path):
    broken = tmp_path / "net.tflite"
    broken.write_bytes(b"nothing of the kind")
    with pytest.raises(UserError, match="mask network"):
        PersonMatte(broken)
