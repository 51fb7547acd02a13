"""Bundle adjustment: derivatives, elimination, smoothing, gauges, and known clips solved back."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation

from nerface.cameras import project
from nerface.capture.bundle import MEAN_CAMERA_DISTANCE, Bundle, BundleOptions, Observations, solve_bundle
from nerface.capture.bundle_geometry import (
    HEAD_ORIGIN_CM,
    Poses,
    first_poses,
    linearise,
    mobility,
    predict,
    rotation_exp,
    rotation_log,
)
from nerface.capture.bundle_inputs import choose_keyframes, reduced_scores
from nerface.capture.bundle_shape import ShapeProblem, ShapeState, _step, shape_cost, vertices_of
from nerface.capture.bundle_track import TrackProblem, smoothness_for, solve_track
from nerface.capture.canonical import CanonicalFace, read_canonical_face
from nerface.errors import UserError
from nerface.types import Camera

SIZE = (400, 300)
CENTRE = np.array([199.5, 149.5])
FOCAL = 520.0
SCORES = 6


def toy_face() -> CanonicalFace:
    """468 points on a face-like patch: an ellipsoid with a nose."""
    rng = np.random.default_rng(0)
    x, y = rng.uniform(-7, 7, 468), rng.uniform(-9, 8, 468)
    z = 7 - 0.09 * x**2 - 0.03 * y**2 + 2 * np.exp(-(x**2 + (y + 1) ** 2) / 3)
    vertices = np.stack([x, y, z], axis=1)
    vertices[[33, 263]] = [[-4.5, 2.6, 3.2], [4.5, 2.6, 3.2]]
    return CanonicalFace(vertices, np.zeros((1, 3), dtype=np.int64))


def toy_poses(frames: int) -> Poses:
    time = np.linspace(0, 2 * np.pi, frames)
    turns = np.stack([0.25 * np.sin(2 * time), 0.4 * np.sin(time), 0.1 * np.cos(3 * time)], axis=1)
    shifts = np.stack([3 * np.sin(time), 2 * np.cos(2 * time), -55 + 4 * np.sin(time + 1)], axis=1)
    return Poses(rotation_exp(turns), shifts, np.zeros(frames))


def toy_clip(noise_px: float, frames: int = 90) -> tuple[Observations, CanonicalFace, Poses]:
    """Landmarks of a person with an own shape and own expressions, and the true poses (about the head's origin)."""
    rng = np.random.default_rng(3)
    face, poses = toy_face(), toy_poses(frames)
    time = np.linspace(0, 2 * np.pi, frames)
    scores = 0.5 + 0.5 * np.sin(time[:, None] * np.arange(2, 2 + SCORES) + np.arange(SCORES))
    still = mobility(face.vertices)[:, None]
    basis = rng.normal(size=(SCORES, 468, 3)) * 0.6 * still
    points = face.vertices - HEAD_ORIGIN_CM + 0.15 * rng.normal(size=(468, 3)) + np.einsum("ns,svc->nvc", scores, basis)
    landmarks = np.zeros((frames, 478, 2))
    landmarks[:, :468] = predict(points, poses, FOCAL, CENTRE)[..., :2]
    landmarks += rng.normal(size=landmarks.shape) * noise_px
    return Observations(landmarks, scores, SIZE), face, poses


def rotation_error(bundle: Bundle, truth: np.ndarray) -> np.ndarray:
    """Degrees between solved and true head-to-camera rotations [N, 3, 3], one constant head rotation removed."""
    solved = bundle.camera_to_head[:, :3, :3].transpose(0, 2, 1)
    constant = Rotation.from_matrix(solved.transpose(0, 2, 1) @ truth).mean().as_matrix()
    return np.rad2deg(Rotation.from_matrix((solved @ constant).transpose(0, 2, 1) @ truth).magnitude())


def test_rotation_exponential_and_logarithm_agree_with_scipy() -> None:
    vectors = np.random.default_rng(0).normal(size=(50, 3))
    vectors[0] = 0
    np.testing.assert_allclose(rotation_exp(vectors), Rotation.from_rotvec(vectors).as_matrix(), atol=1e-12)
    np.testing.assert_allclose(rotation_log(rotation_exp(vectors)), vectors, atol=1e-7)


def test_derivatives_are_those_of_finite_differences() -> None:
    face, poses = toy_face(), toy_poses(3)
    points = np.repeat(face.vertices[None, :20], 3, axis=0)
    line = linearise(points, poses, FOCAL, CENTRE)
    tiny = 1e-5
    for k in range(7):
        step = np.zeros((3, 7))
        step[:, k] = tiny
        ahead, behind = (predict(points, poses.moved(s), FOCAL, CENTRE) for s in (step, -step))
        np.testing.assert_allclose(line.by_pose[..., k], (ahead - behind) / (2 * tiny), atol=1e-4)
    for k in range(3):
        ahead, behind = (predict(points + s * tiny * np.eye(3)[k], poses, FOCAL, CENTRE) for s in (1, -1))
        np.testing.assert_allclose(line.by_point[..., k], (ahead - behind) / (2 * tiny), atol=1e-4)
    ahead, behind = (predict(points, poses, FOCAL * np.exp(s * tiny), CENTRE) for s in (1, -1))
    np.testing.assert_allclose(line.by_log_focal, (ahead - behind) / (2 * tiny), atol=1e-4)


def test_first_poses_are_near() -> None:
    face, poses = toy_face(), toy_poses(40)
    points = np.repeat(face.vertices[None], 40, axis=0)
    seen = predict(points, poses, FOCAL, CENTRE)[..., :2]
    found = first_poses(seen, face.vertices, np.ones(468), FOCAL, CENTRE)
    error = np.rad2deg(Rotation.from_matrix(found.rotation.transpose(0, 2, 1) @ poses.rotation).magnitude())
    assert error.max() < 12  # perspective, which scaled orthography leaves out
    np.testing.assert_allclose(found.translation[:, 2], poses.translation[:, 2], rtol=0.15)


def test_one_step_of_the_eliminated_system_reaches_the_minimum_of_the_linear_one() -> None:
    """Near the solution a Gauss-Newton step lands where any small move makes the cost worse."""
    observations, face, poses = toy_clip(0.2, frames=12)
    activations = reduced_scores(observations.scores, 2).values
    landmarks = np.concatenate([observations.landmarks[:, :468], np.zeros((12, 468, 1))], axis=2)
    problem = ShapeProblem(
        landmarks=landmarks,
        activations=activations,
        canonical=face.vertices - HEAD_ORIGIN_CM,
        noise=np.broadcast_to([2.0, 2.0, np.inf], (468, 3)).copy(),
        offset_sigma=0.5,
        depth_sigma=0.5,
        basis_sigma=np.full((468, 1), 0.5),
        centre=CENTRE,
        focal_prior=FOCAL,
        focal_log_sigma=0.1,
        steps=5,
    )
    state = ShapeState(poses, FOCAL * 1.02, np.zeros((468, activations.shape[1], 3)), np.zeros(468))
    for _ in range(25):
        state = _step(problem, state, 0.0)
    best = shape_cost(problem, state)
    rng = np.random.default_rng(5)
    for _ in range(5):
        moved = replace(
            state,
            poses=state.poses.moved(1e-3 * rng.normal(size=(12, 7))),
            focal=state.focal * float(np.exp(1e-3 * rng.normal())),
            shape=state.shape + 1e-2 * rng.normal(size=state.shape.shape),
        )
        assert shape_cost(problem, moved) > best


def test_a_known_clip_is_solved_back() -> None:
    observations, face, poses = toy_clip(0.3)
    bundle = solve_bundle(observations, face, BundleOptions(focal_px=FOCAL))
    assert bundle.focal == FOCAL
    assert not bundle.focal_assumed
    assert bundle.rms_px < 0.8
    assert rotation_error(bundle, poses.rotation).mean() < 0.6
    distance = np.linalg.norm(bundle.camera_to_head[:, :3, 3], axis=1)
    assert distance.mean() == pytest.approx(MEAN_CAMERA_DISTANCE)
    depth_cm = distance / bundle.units_per_cm
    assert np.corrcoef(depth_cm, np.linalg.norm(poses.translation, axis=1))[0, 1] > 0.99
    np.testing.assert_allclose(bundle.frame_rms_px.mean(), bundle.rms_px, rtol=0.3)


def test_the_solution_follows_the_projects_camera() -> None:
    """Neutral face + basis, drawn by nerface.cameras, falls on `projected`."""
    observations, face, _ = toy_clip(0.3, frames=30)
    bundle = solve_bundle(observations, face, BundleOptions(components=SCORES))
    assert bundle.focal_assumed
    inner = bundle.intrinsics()
    assert (inner.width, inner.height) == SIZE
    for frame in (0, 17):
        motion = np.einsum("e,evc->vc", observations.scores[frame] - bundle.neutral, bundle.basis)
        points = bundle.vertices + motion * bundle.units_per_cm
        camera = Camera(inner, torch.as_tensor(bundle.camera_to_head[frame]))
        seen = project(camera, torch.as_tensor(points)).numpy()
        np.testing.assert_allclose(seen[:, :2], bundle.projected[frame], atol=1e-6)
        assert (seen[:, 2] > 0).all()


def test_expression_does_not_move_the_head() -> None:
    """A still head that opens its mouth stays still to a fraction of a degree."""
    face = toy_face()
    base = face.vertices - HEAD_ORIGIN_CM
    still = Poses(np.tile(np.eye(3), (60, 1, 1)), np.tile([0.0, 0, -55], (60, 1)), np.zeros(60))
    jaw = np.zeros_like(base)
    jaw[:, 1] = -2.0 * mobility(face.vertices) * (face.vertices[:, 1] < -2)
    opening = 0.5 - 0.5 * np.cos(np.linspace(0, 8 * np.pi, 60))
    landmarks = np.zeros((60, 478, 2))
    landmarks[:, :468] = predict(base + opening[:, None, None] * jaw, still, FOCAL, CENTRE)[..., :2]
    scores = np.zeros((60, SCORES))
    scores[:, 2] = opening
    bundle = solve_bundle(Observations(landmarks, scores, SIZE), face, BundleOptions(focal_px=FOCAL))
    assert rotation_error(bundle, still.rotation).max() < 0.3


def test_the_offset_holds_no_similarity() -> None:
    observations, face, _ = toy_clip(0.2, frames=40)
    larger = replace(observations, landmarks=(observations.landmarks - CENTRE) * 1.1 + CENTRE)
    bundle = solve_bundle(larger, face, BundleOptions(focal_px=FOCAL, smooth_cycles_per_frame=0))
    base = face.vertices - HEAD_ORIGIN_CM
    weight = (1 + 3 * mobility(face.vertices)) ** -2
    weight /= weight.sum()
    centred = base - weight @ base
    assert np.abs(weight @ bundle.offsets).max() < 1e-6
    assert abs(np.sum(weight[:, None] * centred * bundle.offsets)) < 1e-6
    # No turn either: the moment of the offset about the canonical face vanishes.
    assert np.abs(weight @ np.cross(centred, bundle.offsets)).max() < 1e-6


def test_the_depth_of_the_net_corrects_pitch() -> None:
    """Pictures that under-report pitch, as the real net's do, are mended by its depths."""
    observations, face, poses = toy_clip(0.2)
    pitch, yaw, _ = Rotation.from_matrix(poses.rotation).as_euler("xyz").T
    told = replace(poses, rotation=Rotation.from_euler("xyz", np.stack([0.7 * pitch, yaw, 0 * yaw], 1)).as_matrix())
    true = replace(poses, rotation=Rotation.from_euler("xyz", np.stack([pitch, yaw, 0 * yaw], 1)).as_matrix())
    base = np.repeat((face.vertices - HEAD_ORIGIN_CM)[None], len(poses), axis=0)
    landmarks, depths = np.zeros_like(observations.landmarks), np.zeros(observations.landmarks.shape[:2])
    landmarks[:, :468] = predict(base, told, FOCAL, CENTRE)[..., :2]
    depths[:, :468] = predict(base, true, FOCAL, CENTRE)[..., 2]
    flat = replace(observations, landmarks=landmarks, scores=np.zeros_like(observations.scores))
    options = BundleOptions(focal_px=FOCAL)
    without = rotation_error(solve_bundle(flat, face, options), true.rotation).mean()
    helped = rotation_error(solve_bundle(replace(flat, depths=depths), face, options), true.rotation).mean()
    assert helped < 0.6 * without


def test_the_answer_is_the_same_every_time() -> None:
    observations, face, _ = toy_clip(0.5, frames=25)
    first, second = (solve_bundle(observations, face) for _ in range(2))
    np.testing.assert_array_equal(first.camera_to_head, second.camera_to_head)
    assert first.focal == second.focal


def track_problem(noise_px: float, cycles: float) -> tuple[TrackProblem, Poses]:
    face, poses = toy_face(), toy_poses(60)
    rng = np.random.default_rng(2)
    points = np.repeat(face.vertices[None] - HEAD_ORIGIN_CM, 60, axis=0)
    landmarks = predict(points, poses, FOCAL, CENTRE)
    landmarks[..., :2] += noise_px * rng.normal(size=(60, 1, 2))  # the whole face trembles
    problem = TrackProblem(
        landmarks=landmarks,
        activations=np.ones((60, 1)),
        canonical=face.vertices - HEAD_ORIGIN_CM,
        shape=np.zeros((468, 1, 3)),
        relief=np.zeros(468),
        noise=np.broadcast_to([2.0, 2.0, np.inf], (468, 3)).copy(),
        centre=CENTRE,
        focal=FOCAL,
        smoothness=smoothness_for(cycles),
        joined=np.ones(58),
        steps=10,
    )
    return problem, poses


def test_smoothing_takes_jitter_and_leaves_motion() -> None:
    rough_problem, poses = track_problem(1.0, 0.0)
    smooth_problem, _ = track_problem(1.0, 0.1)
    rough, smooth = solve_track(rough_problem, poses), solve_track(smooth_problem, poses)

    def tremble(path: Poses) -> float:
        return float(np.std(np.diff(path.translation[:, :2] - poses.translation[:, :2], n=2, axis=0)))

    assert tremble(smooth) < 0.35 * tremble(rough)
    assert np.abs(smooth.translation[:, :2] - poses.translation[:, :2]).mean() < 0.15


def test_nothing_is_smoothed_over_a_gap() -> None:
    problem, poses = track_problem(0.0, 0.1)
    jump = poses.translation.copy()
    jump[30:, 0] += 6.0
    torn = replace(poses, translation=jump)
    points = np.repeat(problem.canonical[None], 60, axis=0)
    joined = np.ones(58)
    joined[28:30] = 0
    problem = replace(problem, landmarks=predict(points, torn, FOCAL, CENTRE), joined=joined)

    def miss(some: TrackProblem) -> float:
        return float(np.abs(solve_track(some, torn).translation[28:32, 0] - jump[28:32, 0]).max())

    assert miss(problem) < 0.1
    assert miss(replace(problem, joined=np.ones(58))) > 0.5


def test_half_gain_is_where_it_is_said() -> None:
    count, cycles = 400, 0.1
    signal = np.sin(2 * np.pi * cycles * np.arange(count))
    second = np.diff(np.eye(count), n=2, axis=0)
    smooth = np.linalg.solve(np.eye(count) + smoothness_for(cycles) * second.T @ second, signal)
    assert np.std(smooth[50:-50]) / np.std(signal[50:-50]) == pytest.approx(0.5, abs=0.01)
    assert smoothness_for(0) == 0


def test_keyframes_are_the_unlike_ones() -> None:
    poses = toy_poses(200)
    stay = np.repeat(np.arange(200)[:1], 150)  # most of the clip the head rests
    poses = poses.take(np.concatenate([stay, np.arange(0, 200, 4)]))
    keys = choose_keyframes(poses, np.zeros((200, 1)), 20)
    assert len(keys) == 20
    assert np.sum(keys < 150) <= 2
    assert (np.diff(keys) > 0).all()


def test_what_cannot_be_solved_is_said() -> None:
    observations, face, _ = toy_clip(0.1, frames=10)
    with pytest.raises(UserError, match="2 frames"):
        solve_bundle(replace(observations, landmarks=observations.landmarks[:2], scores=observations.scores[:2]), face)
    broken = observations.landmarks.copy()
    broken[3, 5, 0] = np.nan
    with pytest.raises(UserError, match="finite"):
        solve_bundle(replace(observations, landmarks=broken), face)


def test_vertices_of_adds_offset_and_basis() -> None:
    rng = np.random.default_rng(0)
    canonical, shape, activations = rng.normal(size=(468, 3)), rng.normal(size=(468, 4, 3)), rng.normal(size=(5, 4))
    expected = canonical + np.einsum("nj,vjc->nvc", activations, shape)
    np.testing.assert_allclose(vertices_of(canonical, shape, activations), expected)


def test_ground_truth_landmarks_give_ground_truth_poses(shared: Path) -> None:
    """Rendered heads whose projected vertices, poses and focal length are known (another face model altogether)."""
    canonical = read_canonical_face(shared / "models" / "face_landmarker.task")
    flip = np.diag([1.0, -1.0, -1.0])  # the file's camera: y down, z forward
    for name, limit in (("head_rigid", 0.6), ("head_expressions", 1.1)):
        with np.load(shared / "data" / "groundtruth" / f"{name}_gt.npz", allow_pickle=False) as truth:
            seen, weights, rotation, focal = truth["x"], truth["e"], truth["R"], float(truth["f"])
        landmarks = np.zeros((len(seen), 478, 2))
        landmarks[:, :468] = seen
        bundle = solve_bundle(Observations(landmarks, weights, (512, 512)), canonical)
        assert rotation_error(bundle, flip @ rotation @ flip).mean() < limit
        assert bundle.focal == pytest.approx(focal, rel=0.1)
        assert bundle.rms_px < 1.2
