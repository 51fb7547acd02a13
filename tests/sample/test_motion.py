"""The performance: what the held-out tail must hold, and that the training part covers it."""

import numpy as np

from nerface.sample.motion import CAMERA_DISTANCE, FRAME_RATE, FRAMES, make_motion, pose_at, rotation
from nerface.sample.shapes import CHANNELS

HELD_OUT = 0.15
MOTION = make_motion(FRAMES, np.random.default_rng([0, 2]))
FIRST_HELD_OUT = FRAMES - round(HELD_OUT * FRAMES)


def track(name: str) -> np.ndarray:
    return MOTION.weights[:, CHANNELS.index(name)]


def test_it_lasts_ten_seconds_and_weights_are_shares() -> None:
    assert FRAMES / FRAME_RATE >= 10.0
    assert MOTION.weights.min() >= 0.0
    assert MOTION.weights.max() <= 1.0


def test_the_tail_turns_opens_the_mouth_blinks_and_smiles() -> None:
    tail = slice(FIRST_HELD_OUT, None)
    assert np.ptp(MOTION.angles[tail, 0]) > 12.0
    for name, least in (("jawOpen", 0.6), ("eyeBlinkLeft", 0.9), ("mouthSmileLeft", 0.6), ("browInnerUp", 0.4)):
        assert track(name)[tail].max() > least, name


def test_the_training_part_covers_the_tail() -> None:
    for values in (MOTION.angles, MOTION.weights):
        train, tail = values[:FIRST_HELD_OUT], values[FIRST_HELD_OUT:]
        assert np.all(tail.max(0) <= train.max(0) + 1e-9)
        assert np.all(tail.min(0) >= train.min(0) - 1e-9)


def test_it_is_smooth_and_wide() -> None:
    assert np.abs(np.diff(MOTION.angles, axis=0)).max() < 3.0
    assert np.abs(np.diff(MOTION.weights, axis=0)).max() < 0.6
    assert MOTION.angles[:, 0].max() > 20.0
    assert MOTION.angles[:, 0].min() < -20.0
    assert np.ptp(MOTION.angles[:, 1]) > 18.0


def test_the_same_seed_gives_the_same_motion_and_fewer_frames_its_beginning() -> None:
    again = make_motion(FRAMES, np.random.default_rng([0, 2]))
    np.testing.assert_array_equal(again.weights, MOTION.weights)
    part = make_motion(30, np.random.default_rng([0, 2]))
    np.testing.assert_allclose(part.weights, MOTION.weights[:30])
    np.testing.assert_allclose(part.angles, MOTION.angles[:30])


def test_signs_of_the_angles() -> None:
    forward = np.array([0.0, 0.0, 1.0])
    assert (rotation(20.0, 0.0, 0.0) @ forward)[0] > 0.3  # the picture's right
    assert (rotation(0.0, 20.0, 0.0) @ forward)[1] < -0.3  # down
    assert (rotation(0.0, 0.0, 20.0) @ [0.0, 1.0, 0.0])[0] > 0.3  # clockwise


def test_poses_are_rigid_and_the_eyes_seek_the_camera() -> None:
    for frame in (0, 40, 96, 200):
        pose = pose_at(MOTION, frame)
        for matrix in (pose.head_to_camera, pose.torso_to_camera):
            np.testing.assert_allclose(matrix[:3, :3] @ matrix[:3, :3].T, np.eye(3), atol=1e-12)
        assert abs(pose.head_to_camera[2, 3] + CAMERA_DISTANCE) < 6.0
    assert pose_at(MOTION, 38).gaze[0] < -5.0  # turned to the right, looking back to the left
