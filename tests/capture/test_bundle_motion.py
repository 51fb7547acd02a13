"""The motion's adjustment: derivatives, elimination against dense algebra, and biased landmarks put right by spots."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from nerface.capture.bundle import Bundle, BundleOptions, Observations, solve_bundle
from nerface.capture.bundle_bordered import BorderedSystem
from nerface.capture.bundle_geometry import HEAD_ORIGIN_CM, Poses, predict
from nerface.capture.bundle_rows import DOF, Chunk, SpotTable, linearise_rows
from nerface.capture.bundle_spots import SpotOptions, _spots
from nerface.capture.landmarker import FaceLandmarker
from nerface.capture.skin import SkinTracks
from nerface.capture.solving import solve_clip
from nerface.capture.tracking import track_face
from nerface.capture.video import iterate, probe
from tests.capture.clips import networks
from tests.capture.test_bundle import CENTRE, FOCAL, SIZE, rotation_error, toy_face, toy_poses

FRAMES = 60


def skin_of(places: np.ndarray) -> SkinTracks:
    """A table of spots [P, N, 2] that are seen in all N frames."""
    spots, frames = places.shape[:2]
    track, frame = np.repeat(np.arange(spots), frames), np.tile(np.arange(frames), spots)
    return SkinTracks(track.astype(np.int32), frame.astype(np.int32), places.reshape(-1, 2).astype(np.float32))


def biased_clip(frames: int = FRAMES) -> tuple[Observations, Poses, np.ndarray]:
    """Landmarks that say 0.7 of each pitch, as the net's do, the true poses, and places of 60 points [60, N, 2]."""
    rng = np.random.default_rng(1)
    face, poses = toy_face(), toy_poses(frames)
    pitch, yaw, roll = Rotation.from_matrix(poses.rotation).as_euler("xyz").T
    told = replace(poses, rotation=Rotation.from_euler("xyz", np.stack([0.7 * pitch, yaw, roll], 1)).as_matrix())
    base = face.vertices - HEAD_ORIGIN_CM
    landmarks = np.zeros((frames, 478, 2))
    landmarks[:, :468] = predict(np.repeat(base[None], frames, axis=0), told, FOCAL, CENTRE)[..., :2]
    landmarks += 0.3 * rng.normal(size=landmarks.shape)
    upper = base[rng.choice(np.flatnonzero(face.vertices[:, 1] > -1), 60, replace=False)]
    places = predict(np.repeat(upper[None], frames, axis=0), poses, FOCAL, CENTRE)[..., :2].transpose(1, 0, 2)
    places = places + 0.1 * rng.normal(size=places.shape)
    return Observations(landmarks, np.zeros((frames, 4)), SIZE), poses, places


def solve(observations: Observations) -> Bundle:
    return solve_bundle(observations, toy_face(), BundleOptions(focal_px=FOCAL))


def test_derivatives_of_a_spots_place() -> None:
    rng = np.random.default_rng(0)
    poses = toy_poses(4)
    table = SpotTable(
        start=np.array([0, 4, 7]),
        frame=np.array([0, 1, 2, 3, 1, 2, 3]),
        place=rng.uniform(0, 300, (7, 2)),
        point=rng.normal(size=(2, 3)),
        point_sigma=np.ones(2),
        sway_sigma=np.ones(2),
        mobility=np.ones(2),
    )
    chunk = next(table.chunks())
    activations = np.concatenate([np.ones((4, 1)), rng.normal(size=(4, 2))], axis=1)
    point = 3 * rng.normal(size=(2, 3, 3))

    def seen(poses: Poses, focal: float, point: np.ndarray) -> np.ndarray:
        return table.place - CENTRE - linearise_rows(table, chunk, poses, focal, CENTRE, activations, point).residual

    line = linearise_rows(table, chunk, poses, FOCAL, CENTRE, activations, point)
    tiny = 1e-5
    for k in range(DOF):
        step = np.zeros((4, 7))
        step[:, k] = tiny
        change = seen(poses.moved(step), FOCAL, point) - seen(poses.moved(-step), FOCAL, point)
        np.testing.assert_allclose(line.by_pose[..., k], change / (2 * tiny), atol=1e-4)
    for k in range(9):
        step = np.zeros(9)
        step[k] = tiny
        change = seen(poses, FOCAL, point + step.reshape(3, 3)) - seen(poses, FOCAL, point - step.reshape(3, 3))
        np.testing.assert_allclose(line.by_point[..., k], change / (2 * tiny), atol=1e-4)
    change = seen(poses, FOCAL * np.exp(tiny), point) - seen(poses, FOCAL * np.exp(-tiny), point)
    np.testing.assert_allclose(line.by_log_focal, change / (2 * tiny), atol=1e-4)


def test_the_bordered_system_is_the_dense_one() -> None:
    rng = np.random.default_rng(2)
    frames, border, numbers = 8, 3, 5
    bounds = np.array([0, 4, 7, 12])  # spots in frames 0 to 3, 0 to 2 (together with the first) and 2 to 6
    frame = np.array([0, 1, 2, 3, 0, 1, 2, 2, 3, 4, 5, 6])
    chunk = Chunk(slice(0, 3), slice(0, 12), bounds, np.repeat(np.arange(3), np.diff(bounds)))
    mixed = 0.3 * rng.normal(size=(12, DOF, numbers))
    dense = np.zeros((DOF * frames + border, DOF * frames + border))
    system = BorderedSystem(frames, 5, border)
    for number in range(frames):
        block = 20 * np.eye(DOF) + rng.normal(size=(DOF, DOF))
        block = block + block.T
        system.add(number, block)
        dense[DOF * number :, DOF * number :][:DOF, :DOF] += block
    system.subtract_spots(mixed, frame, chunk)
    for first, last in pairwise(bounds):
        spread = np.zeros((DOF * frames, numbers))
        for row in range(first, last):
            spread[DOF * frame[row] : DOF * (frame[row] + 1)] = mixed[row]
        dense[:-border, :-border] -= spread @ spread.T
    system.coupling += rng.normal(size=system.coupling.shape)
    system.corner += 60 * np.eye(border)
    system.rhs += rng.normal(size=system.rhs.shape)
    system.corner_rhs += rng.normal(size=border)
    dense[:-border, -border:], dense[-border:, :-border] = system.coupling, system.coupling.T
    dense[-border:, -border:] = system.corner
    expected = np.linalg.solve(dense, np.concatenate([system.rhs, system.corner_rhs]))
    step, edge = system.solve()
    np.testing.assert_allclose(step.reshape(-1), expected[:-border], atol=1e-9)
    np.testing.assert_allclose(edge, expected[-border:], atol=1e-9)


def test_spots_mend_what_landmarks_under_report() -> None:
    observations, poses, places = biased_clip()
    alone = solve(observations)
    helped = solve(replace(observations, skin=skin_of(places)))
    assert alone.spots == 0
    assert helped.spots > 0
    assert rotation_error(alone, poses.rotation).mean() > 2
    assert rotation_error(helped, poses.rotation).mean() < 0.5
    # Landmarks that stand beside the true face are still explained.
    assert helped.held_out_rms_px < 1.5


def test_spots_on_the_backdrop_and_wandering_ones_are_not_believed() -> None:
    observations, poses, places = biased_clip()
    rng = np.random.default_rng(4)
    places = places.copy()
    places[:9] = places[:9, :1]  # still
    places[9:15] += np.cumsum(1.5 * rng.normal(size=(6, FRAMES, 2)), axis=1)
    helped = solve(replace(observations, skin=skin_of(places)))
    assert rotation_error(helped, poses.rotation).mean() < 0.8


def test_spots_that_hold_on_to_something_else_are_left_alone() -> None:
    observations, poses, _ = biased_clip()
    places = np.random.default_rng(0).uniform(50, 250, (80, 1, 2)).repeat(FRAMES, axis=1)
    fooled = solve(replace(observations, skin=skin_of(places)))
    alone = solve(observations)
    assert rotation_error(fooled, poses.rotation).mean() < 1.5 * rotation_error(alone, poses.rotation).mean()


def test_few_frames_of_spots_give_what_landmarks_give() -> None:
    observations, _, places = biased_clip()
    short = skin_of(places[:, : SpotOptions().shortest - 1])
    with_short, without = solve(replace(observations, skin=short)), solve(observations)
    np.testing.assert_array_equal(with_short.camera_to_head, without.camera_to_head)


def test_frames_left_out_of_the_shape_are_told_and_fit_as_well() -> None:
    observations, _, places = biased_clip(120)
    bundle = solve(replace(observations, skin=skin_of(places)))
    assert bundle.held_out.sum() >= 30
    assert bundle.held_out_rms_px == pytest.approx(np.sqrt(np.mean(bundle.frame_rms_px[bundle.held_out] ** 2)))
    assert bundle.held_out_rms_px < 1.3 * np.sqrt(np.mean(bundle.frame_rms_px[~bundle.held_out] ** 2))


def test_tracks_are_cut_at_breaks_and_by_age() -> None:
    places = np.zeros((3, 100, 2))
    skin = skin_of(places)
    numbers = np.array([n for n in range(100) if n not in (50, 51)])  # two frames were dropped
    near = np.ones(97, bool)
    near[69] = False  # a cut between used frames 69 and 70
    options = SpotOptions(longest=30, shortest=4)
    start, frame, place = _spots(skin, numbers, near, options)
    count = np.diff(start)
    assert count.max() == 30
    assert count.min() >= 4
    assert len(frame) == len(place) == start[-1]
    for first, last in pairwise(start):
        run = frame[first:last]
        assert (np.diff(run) == 1).all()
        assert not (run[0] <= 69 < run[-1])
    through = (frame[start[:-1]] < 49) & (frame[start[1:] - 1] > 50)
    assert through.any()  # followed through what was dropped
    assert (np.diff(frame[start[:-1]]) >= 0).all()  # sorted by first frame


def test_nothing_joins_two_segments() -> None:
    """A head that jumps between two frames of different segments keeps its jump."""
    observations, _, places = biased_clip()
    apart = observations.landmarks.copy()
    apart[30:] += [25.0, 0.0]
    shifted = places.copy()
    shifted[:, 30:] += [25.0, 0.0]
    segment = np.repeat([0, 1], 30)
    bundle = solve(replace(observations, landmarks=apart, skin=skin_of(shifted), segment=segment))
    camera = bundle.camera_to_head
    place = -np.einsum("nji,nj->ni", camera[:, :3, :3], camera[:, :3, 3]) / bundle.units_per_cm
    jump = (place[30] - place[29])[0]
    assert jump == pytest.approx(25.0 / FOCAL * 55, rel=0.25)


@pytest.mark.slow
@pytest.mark.parametrize(("name", "limit"), [("head_rigid", 0.6), ("head_expressions", 1.3)])
def test_ground_truth_clips_meet_their_targets(shared: Path, name: str, limit: float) -> None:
    """Whole way from pictures, focal length unknown: mean rotation error in degrees, one constant rotation removed."""
    video = shared / "data" / "groundtruth" / f"{name}.mp4"
    weights = networks()
    track = track_face(lambda: iterate(video), FaceLandmarker(weights.face_landmarker), probe(video).frames)
    solved = solve_clip(track, weights.face_landmarker, None, 25.0)
    with np.load(video.with_name(f"{name}_gt.npz"), allow_pickle=False) as truth:
        rotation = truth["R"][solved.numbers]
    flip = np.diag([1.0, -1.0, -1.0])
    assert len(solved) == 75
    assert rotation_error(solved, flip @ rotation @ flip).mean() < limit
