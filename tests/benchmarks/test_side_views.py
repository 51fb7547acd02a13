"""The drawn truth of side views agrees with the project's cameras, and its scores with what is put in."""

from __future__ import annotations

import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "benchmarks"))

from gt_head import Part, Pieces
from gt_motion import FLIP
from gt_scene import Lens, Painter, State
from scipy.spatial.transform import Rotation
from side_view_files import SideView, ViewTruth, read_truth, read_views, write_truth, write_views
from side_views import Shown, nearest_frame, score
from side_views_dataset import camera_to_head

from nerface.cameras import all_pixels, pixel_directions, project, to_head_space
from nerface.data import load_dataset
from nerface.types import Camera, Intrinsics

SIZE, UNITS_PER_CM = 48, 0.007
INTRINSICS = Intrinsics(1.6 * SIZE, 1.6 * SIZE, *[(SIZE - 1) / 2 / SIZE] * 2, SIZE, SIZE)
# A tilted board, model axes, cm: a corner and two edges.
CORNER, ACROSS, UP = np.array([-9.0, -8.0, 1.0]), np.array([18.0, 0.0, 3.0]), np.array([0.0, 15.0, -4.0])
SPOT = (0.3, 0.6)  # along both edges


def board(bodily: np.ndarray | float = 0.0, gloss: float = 0.0):
    """Stands in for a head: one board, black but for a white spot."""
    points = np.array([CORNER, CORNER + ACROSS, CORNER + UP, CORNER + ACROSS + UP])
    normal = np.cross(ACROSS, UP) / np.linalg.norm(np.cross(ACROSS, UP))
    texture = np.zeros((101, 101, 3), np.float32)
    texture[round(100 * SPOT[1]) - 3 :, :][:7, round(100 * SPOT[0]) - 3 :][:, :7] = 1
    places = np.array([[0.0, 0.0], [1, 0], [0, 1], [1, 1]])
    part = Part(np.array([[0, 1, 2], [1, 3, 2]]), places, texture, np.ones(4), gloss=gloss)
    pieces = [Pieces(points, np.tile(normal, (4, 1)), bodily)]
    return SimpleNamespace(parts=[part], pose=lambda weights, gaze: pieces)


def pose_of(yaw: float, pitch: float) -> np.ndarray:
    """From model axes to a camera with y down and z forward."""
    pose = np.eye(4)
    pose[:3, :3] = FLIP @ Rotation.from_euler("YX", [yaw, pitch], degrees=True).as_matrix()
    pose[:3, 3] = [1.5, -0.8, 70.0]
    return pose


def painter(head, **lens) -> Painter:
    return Painter(head, Lens(SIZE, INTRINSICS.fx, **lens), np.full((SIZE, SIZE, 3), 0.2, np.float32))


def state(pose: np.ndarray) -> State:
    return State(pose, pose, np.zeros(1), np.zeros((2, 2)))


def camera(pose: np.ndarray) -> Camera:
    return Camera(INTRINSICS, torch.from_numpy(camera_to_head(pose, UNITS_PER_CM)))


@pytest.mark.parametrize(("yaw", "pitch"), [(0, 0), (30, 0), (-17, 12)])
def test_depth_is_where_the_projects_rays_meet_the_surface(yaw, pitch):
    pose = pose_of(yaw, pitch)
    seen = painter(board()).look(state(pose))
    pixels = all_pixels(INTRINSICS)
    local = pixel_directions(INTRINSICS, pixels[:, 0], pixels[:, 1]).double()
    origins, directions = (values.numpy() for values in to_head_space(local, camera(pose).camera_to_head))
    # The ray o + t d meets the board at c + p a + q u; t is depth, since d has z component -1 in the camera.
    edges = np.stack([ACROSS, UP], axis=1) * UNITS_PER_CM
    expected = np.full(len(pixels), np.nan)
    for index, (origin, direction) in enumerate(zip(origins, directions)):
        along, p, q = np.linalg.solve(np.column_stack([direction, -edges]), CORNER * UNITS_PER_CM - origin)
        if 0 <= p <= 1 and 0 <= q <= 1:
            expected[index] = along
    assert np.isfinite(expected).sum() > 200
    np.testing.assert_allclose(seen.depth.ravel() * UNITS_PER_CM, expected, rtol=1e-6)
    np.testing.assert_array_equal(seen.head.ravel(), np.isfinite(expected))


def test_a_drawn_spot_lies_where_its_point_projects():
    pose = pose_of(20, -8)
    drawn = painter(board(), supersample=4).draw(state(pose))
    rows, columns = np.nonzero(drawn.cover > 0.99)
    bright = np.zeros((SIZE, SIZE))
    bright[rows, columns] = drawn.picture[rows, columns].sum(axis=1)
    weight = bright / bright.sum()
    found = [(weight.sum(axis=0) * np.arange(SIZE)).sum(), (weight.sum(axis=1) * np.arange(SIZE)).sum()]
    point = torch.from_numpy((CORNER + SPOT[0] * ACROSS + SPOT[1] * UP) * UNITS_PER_CM)[None]
    np.testing.assert_allclose(found, project(camera(pose), point)[0, :2].numpy(), atol=0.1)


def test_light_that_follows_makes_one_colour_from_every_side():
    plain = board(gloss=0.0)
    plain.parts[0].texture[:] = 0.5
    colours = {
        follows: [
            painter(plain, lamp_follows=follows).draw(state(pose_of(yaw, 0))).picture[SIZE // 2, SIZE // 2]
            for yaw in (-25, 25)
        ]
        for follows in (True, False)
    }
    np.testing.assert_allclose(*colours[True], rtol=1e-5)
    assert np.abs(colours[False][0] - colours[False][1]).max() > 0.02


def test_what_goes_with_the_body_is_no_head():
    seen = painter(board(bodily=np.ones(4))).look(state(pose_of(0, 0)))
    assert np.isfinite(seen.depth).any()
    assert not seen.head.any()


@pytest.fixture
def truth() -> ViewTruth:
    """A sloping head above a body."""
    random = np.random.default_rng(0)
    head, person = np.zeros((40, 40), bool), np.zeros((40, 40), bool)
    head[8:24, 12:28] = person[8:24, 12:28] = person[20:, 5:35] = True
    depth = np.where(person, 0.4 + 0.005 * np.arange(40)[None], np.nan).astype(np.float32)
    depth[10, 13] = np.nan  # a gap
    picture = random.integers(0, 255, (40, 40, 3), dtype=np.uint8)
    return ViewTruth(picture, np.where(person, 255, 0).astype(np.uint8), depth, head)


def test_scores_of_the_truth_itself_and_of_known_faults(truth):
    depth = np.nan_to_num(truth.depth, nan=0.8)
    best = score(Shown(truth.picture, truth.mask > 0, depth), truth)
    assert (best.psnr, best.head_psnr, best.iou, best.depth_mean, best.depth_bias) == (100, 100, 1, 0, 0)
    farther = score(Shown(truth.picture, truth.mask > 0, depth + 0.0075), truth)
    assert farther.depth_bias == farther.depth_median == pytest.approx(0.0075, rel=1e-3)
    assert farther.depth_median_share == pytest.approx(100 * 0.0075 / (15 * 0.005), rel=1e-3)
    # Neck and body count for nothing, a floater beside the head does, and a missing half is half.
    no_body = score(Shown(truth.picture, truth.head, depth), truth)
    assert no_body.iou == 1
    floater, half = truth.head.copy(), truth.head.copy()
    floater[8:12, 8:12] = True
    half[:, 20:] = False
    assert score(Shown(truth.picture, floater, depth), truth).iou == pytest.approx(256 / 272)
    assert score(Shown(truth.picture, half, depth), truth).iou == 0.5
    outside = truth.picture.copy()
    outside[30:] = 0
    assert score(Shown(outside, truth.head, depth), truth).psnr == 100


def test_views_come_back_as_they_were_written(truth, tmp_path):
    view = SideView("jaw_yaw-30_pitch+00", "jaw", 12, -30.0, 0.0, np.eye(4).tolist(), [0.25, 0.5])
    write_truth(tmp_path, view, truth)
    write_views(tmp_path, [view])
    assert read_views(tmp_path) == [view]
    found = read_truth(tmp_path, view)
    for name in ("picture", "mask", "depth", "head"):
        np.testing.assert_array_equal(getattr(found, name), getattr(truth, name))


def test_the_nearest_training_frame_is_found_by_its_camera(tiny_dataset):
    for row in range(len(tiny_dataset.train)):
        assert nearest_frame(tiny_dataset.camera("train", row), tiny_dataset) == row


@pytest.mark.slow
def test_a_drawn_dataset_loads_and_its_vertices_lie_on_the_drawn_head(shared, tmp_path):
    import side_views_dataset as made
    from gt_face import read_face_model

    model = read_face_model(shared / "data" / "groundtruth" / "ict_mediapipe468.npz")
    choices = made.Choices(size=96, frames=24, identity=3, motion=3, yaw=18.0, pitch=10.0, noise=0.0)
    person = made.make_person(model, shared, choices)
    made.write_dataset(tmp_path, person, choices)
    made.write_side_views(tmp_path, person)
    dataset, views = load_dataset(tmp_path), read_views(tmp_path)
    assert not dataset.poses_estimated
    distances = np.linalg.norm(np.concatenate([s.camera_to_head for s in dataset.splits.values()])[:, :3, 3], axis=1)
    assert distances.mean() == pytest.approx(0.5, abs=1e-3)
    assert {(view.yaw_deg, view.pitch_deg) for view in views} == set(made.ANGLES)
    nose, cheeks = 1, [50, 280]
    for view in views:
        training = dataset.train.source_frames.tolist().index(view.source_frame)
        np.testing.assert_allclose(dataset.train.expressions[training], view.expression, atol=1e-6)
        head = person.painter.head
        points = head.model.vertices(head.identity, person.scene.motion.weights[view.source_frame])[[nose, *cheeks]]
        there = Camera(dataset.intrinsics, torch.tensor(view.transform_matrix))
        column, row, depth = project(there, torch.tensor(points * person.units_per_cm, dtype=torch.float32)).T.numpy()
        truth = read_truth(tmp_path, view)
        # The far cheek hides behind the nose at 30 degrees: the nearest of what a pixel shows is never behind a vertex.
        for u, v, far in zip(column, row, depth):
            around = truth.depth[round(float(v)) - 1 : round(float(v)) + 2, round(float(u)) - 1 : round(float(u)) + 2]
            assert np.nanmin(around) < far + 0.001
        u, v = round(float(column[0])), round(float(row[0]))
        assert np.nanmin(np.abs(truth.depth[v - 1 : v + 2, u - 1 : u + 2] - depth[0])) < 0.002
        # Straight before the face, turned to the subject's left (+): the nose goes to the left of the picture.
        middle = project(there, torch.zeros(1, 3))[0, 0]
        if view.yaw_deg:
            assert float(middle - column[0]) * np.sign(view.yaw_deg) > 3
