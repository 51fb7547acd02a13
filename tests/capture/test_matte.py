from __future__ import annotations

import numpy as np
import pytest

from nerface.capture.matte import INPUT_PX, PersonMatte, Steadier, cleaned
from nerface.capture.video import iterate
from nerface.errors import UserError
from tests.capture.clips import networks, portrait


def test_stray_pieces_go_and_small_holes_close():
    mask = np.zeros((64, 64), np.float32)
    mask[20:60, 15:50] = 1.0
    mask[5:9, 5:9] = 0.9
    mask[40:43, 30:33] = 0.1
    clean = cleaned(mask)
    assert clean[:12, :12].max() == 0
    assert clean[40:43, 30:33].min() == 1
    assert clean[20:60, 15:50].min() == 1
    assert mask[6, 6] > 0.8  # the argument is not written to


def test_a_large_gap_under_an_arm_stays():
    mask = np.ones((64, 64), np.float32)
    mask[20:40, 20:40] = 0.0
    assert cleaned(mask)[25:35, 25:35].max() == 0


def test_a_hand_close_by_stays_and_a_second_person_goes():
    mask = np.zeros((100, 100), np.float32)
    mask[30:100, 20:60] = 1.0
    mask[50:60, 62:70] = 1.0  # a gap of two pixels
    mask[40:100, 85:100] = 1.0
    clean = cleaned(mask)
    assert clean[50:60, 62:70].min() == 1
    assert clean[:, 80:].max() == 0


def test_the_face_tells_which_of_two_people_is_meant():
    mask = np.zeros((100, 100), np.float32)
    mask[30:100, 10:60] = 1.0
    mask[40:100, 80:100] = 1.0
    clean = cleaned(mask, face=(0.9, 0.6))
    assert clean[:, :60].max() == 0
    assert clean[40:100, 80:].min() == 1


def _steady(smalls, masks):
    steadier = Steadier()
    given = [steadier.add(small, mask) for small, mask in zip(smalls, masks)]
    return [mask for mask in given if mask is not None] + list(steadier.finish())


def test_flicker_goes_where_the_picture_stands_still():
    random = np.random.default_rng(0)
    still = np.full((INPUT_PX, INPUT_PX, 3), 100, np.uint8)
    masks = [random.uniform(0.4, 0.6, (INPUT_PX, INPUT_PX)).astype(np.float32) for _ in range(9)]
    steady = _steady([still] * 9, masks)
    assert len(steady) == 9
    np.testing.assert_allclose(steady[4], np.mean(masks[2:7], axis=0), atol=1e-4)
    np.testing.assert_allclose(steady[0], np.mean(masks[:3], axis=0), atol=1e-4)


def test_a_moving_edge_is_not_smeared():
    smalls, masks = [], []
    for number in range(7):
        mask = np.zeros((INPUT_PX, INPUT_PX), np.float32)
        mask[:, : 60 + 12 * number] = 1.0
        masks.append(mask)
        smalls.append(np.where(mask[..., None] > 0, 200, 60).astype(np.uint8).repeat(3, axis=2))
    for given, true in zip(_steady(smalls, masks), masks):
        assert np.abs(given - true)[20:-20].max() < 0.01


@pytest.mark.parametrize("frames", [0, 1, 2, 3])
def test_short_clips_come_out_whole(frames):
    small = np.zeros((INPUT_PX, INPUT_PX, 3), np.uint8)
    masks = [np.full((INPUT_PX, INPUT_PX), 0.5, np.float32)] * frames
    assert len(_steady([small] * frames, masks)) == frames


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
