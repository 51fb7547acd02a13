"""Disparity, depth, normals, mask and error maps: what their files hold, and over which backdrop frames are drawn."""

from __future__ import annotations

import json
from dataclasses import replace

import cv2
import numpy as np
import pytest
import torch

from nerface.cameras import all_pixels, pixel_directions, to_head_space
from nerface.errors import UserError
from nerface.evaluation import EvaluationOptions, evaluate
from nerface.evaluation.outputs import (
    OUTPUTS,
    depth_picture,
    disparity_picture,
    error_picture,
    mask_picture,
    normals_picture,
)
from nerface.rendering.normals import render_normals
from nerface.rendering.volume import SamplingConfig
from nerface.types import Rendering
from tests.evaluation.fakes import FakeAvatar
from tests.toys import AVATAR, avatar_for


def test_disparity_is_stretched_from_least_to_greatest():
    depth = torch.tensor([[0.5, 1.0], [0.25, 0.5]])  # 1 / depth: 2, 1, 4, 2
    assert disparity_picture(depth).tolist() == [[85, 0], [255, 85]]
    assert disparity_picture(torch.full((2, 2), 0.7)).tolist() == [[0, 0], [0, 0]]
    assert disparity_picture(torch.tensor([[0.0, 0.5]])).tolist() == [[255, 0]]


def test_depth_counts_steps_of_a_stated_size():
    depth = torch.tensor([[0.5, 0.30001, 0.0, 99.0]])
    picture = depth_picture(depth)
    assert picture.dtype == np.uint16
    assert picture.tolist() == [[10000, 6000, 0, 65535]]


def test_mask_is_the_opacity():
    assert mask_picture(torch.tensor([[0.0, 0.2, 1.0]])).tolist() == [[0, 51, 255]]


def test_normals_lie_over_white():
    normals = torch.tensor([[[0.0, 0, 1], [1, 0, 0], [0, -1, 0], [0, 0, 0]]])
    picture = normals_picture(normals, torch.tensor([[1.0, 1.0, 0.5, 1.0]]))
    assert picture.tolist() == [[[128, 128, 255], [255, 128, 128], [191, 128, 191], [255, 255, 255]]]


def test_error_colours_have_one_scale():
    truth = np.zeros((1, 3, 3), np.uint8)
    picture = np.array([[[0, 0, 0], [128, 0, 0], [255, 255, 255]]], np.uint8)  # lengths 0, 0.502 and 1.73
    colours = error_picture(picture, truth)
    assert colours[0, 0].tolist() == [0, 0, 128]
    assert colours[0, 1].tolist() == colours[0, 2].tolist() == [128, 0, 0]
    half = error_picture(np.full((1, 1, 3), 37, np.uint8), np.zeros((1, 1, 3), np.uint8))  # 0.251: the middle, green
    assert half[0, 0, 1] == 255


class Ball(FakeAvatar):
    """A ball of density 400 and radius 0.1 round the head's origin, drawn as it is: analytic opacity and depth."""

    RADIUS, DENSITY = 0.1, 400.0

    class config:
        sampling = SamplingConfig(near=0.3, far=0.7, coarse=64, fine=64)
        background = "plate"

    def normals(self, camera, condition):
        return render_normals(self, camera, condition)

    def query(self, points, condition, view_directions=None):
        # A slope of one hundredth of a unit at the surface, so that the gradient has somewhere to live.
        share = ((self.RADIUS - points.norm(dim=-1)) / 0.01 + 0.5).clamp(0, 1)
        return self.DENSITY * share, torch.full_like(points, 0.5)

    def hits(self, camera):
        """Where the rays meet the ball: [H, W] whether, depth, and the point [H, W, 3]."""
        size = (camera.intrinsics.height, camera.intrinsics.width)
        pixels = all_pixels(camera.intrinsics, torch.device("cpu"))
        local = pixel_directions(camera.intrinsics, pixels[:, 0], pixels[:, 1])
        origins, directions = to_head_space(local, camera.camera_to_head)
        a, b = (directions**2).sum(-1), (origins * directions).sum(-1)
        inside = b**2 - a * ((origins**2).sum(-1) - self.RADIUS**2)
        depth = (-b - inside.clamp(min=0).sqrt()) / a
        points = origins + depth[:, None] * directions
        return (inside > 0).reshape(size), depth.reshape(size), points.reshape(*size, 3)

    def render(self, camera, condition, pixels=None):
        met, depth, _ = self.hits(camera)
        colour = torch.where(met[..., None], torch.full_like(condition.background, 0.5), condition.background)
        return Rendering(colour, met.float(), torch.where(met, depth, torch.full_like(depth, 0.7)))


def read(path, mode=cv2.IMREAD_UNCHANGED):
    return cv2.imread(str(path), mode)


@pytest.fixture
def ball_folder(captured, tmp_path):
    ball = Ball(captured, lambda camera, condition: condition.background)
    evaluate(ball, captured, tmp_path / "eval", EvaluationOptions(outputs=OUTPUTS, video=False, frames=3))
    return ball, tmp_path / "eval"


def test_normals_of_a_ball_are_its_radii(captured, ball_folder):
    """Read back from the PNG, away from the rim, within the steps of 8 bits and of the samples."""
    ball, folder = ball_folder
    met, _, points = ball.hits(captured.camera("test", 1))
    radii = (points / ball.RADIUS).numpy()
    colours = read(folder / "normals" / "0001.png")[:, :, ::-1]
    middle = cv2.erode(met.numpy().astype(np.uint8), np.ones((5, 5))) > 0
    assert middle.sum() > 30
    assert np.abs(colours[middle] / 127.5 - 1 - radii[middle]).max() < 0.05
    assert (colours[~met.numpy()] == 255).all()


def test_depth_mask_disparity_and_error_of_a_ball(captured, ball_folder):
    ball, folder = ball_folder
    met, depth, _ = ball.hits(captured.camera("test", 2))
    meaning = json.loads((folder / "outputs.json").read_text())
    assert set(meaning) == {*OUTPUTS, "head_units_per_cm"}
    stored = read(folder / "depth" / "0002.png")
    assert stored.dtype == np.uint16
    units = stored * meaning["depth"]["unit_per_step"]
    assert np.abs(units - torch.where(met, depth, torch.tensor(0.7)).numpy()).max() < 3e-5
    assert np.array_equal(read(folder / "mask" / "0002.png") > 0, met.numpy())
    disparity = read(folder / "disparity" / "0002.png")
    assert disparity.dtype == np.uint8
    assert disparity[~met.numpy()].max() == 0
    assert disparity.max() == 255
    frame = captured.splits["test"][2]
    expected = error_picture(read(folder / "renders" / "0002.png")[:, :, ::-1], frame.image)
    assert np.array_equal(read(folder / "error" / "0002.png")[:, :, ::-1], expected)
    assert len(list((folder / "error").iterdir())) == 3


def test_no_further_outputs_unless_asked(captured, tmp_path):
    evaluate(avatar_for(captured), captured, tmp_path / "eval", EvaluationOptions(video=False, frames=1))
    assert not any((tmp_path / "eval" / kind).exists() for kind in (*OUTPUTS, "outputs.json"))
    with pytest.raises(ValueError, match="outputs must be among"):
        EvaluationOptions(outputs=("depht",))


def test_a_field_gives_all_outputs(captured, tmp_path):
    avatar = avatar_for(captured)
    folder = evaluate(
        avatar, captured, tmp_path / "eval", EvaluationOptions(outputs=OUTPUTS, video=False, frames=1)
    ).folder
    assert all(read(folder / kind / "0000.png").shape[:2] == (32, 40) for kind in OUTPUTS)
    assert not any(parameter.grad is not None for parameter in avatar.parameters())


def drawn_over(avatar, dataset, folder, plate="auto"):
    """The backdrop that the first frame was asked to be drawn over."""
    conditions = []
    render = avatar.render

    def watched(camera, condition, pixels=None):
        conditions.append(condition)
        return render(camera, condition, pixels)

    avatar.render = watched
    evaluate(avatar, dataset, folder, EvaluationOptions(video=False, frames=1, plate=plate))
    return conditions[0].background


def test_backdrops(captured, tmp_path):
    """A learned plate is the avatar's own; "none" has none; else it is the dataset's, which can be exchanged."""
    theirs = torch.from_numpy(np.array(captured.background)).float() / 255
    plain = avatar_for(captured)  # its own plate is random
    assert torch.equal(drawn_over(plain, captured, tmp_path / "a"), theirs)
    assert torch.equal(drawn_over(plain, captured, tmp_path / "b", "avatar"), plain.plate())
    assert torch.equal(drawn_over(plain, replace(captured, background=None), tmp_path / "c"), plain.plate())
    learned = avatar_for(captured, replace(AVATAR, background="trainable"))
    learned.trained_background.data.uniform_(0, 1)
    assert torch.equal(drawn_over(learned, captured, tmp_path / "d"), learned.trained_background)
    assert torch.equal(drawn_over(learned, captured, tmp_path / "e", "dataset"), theirs)
    assert drawn_over(avatar_for(captured, replace(AVATAR, background="none")), captured, tmp_path / "f") is None


def test_a_backdrop_of_another_size_is_told(captured, tmp_path):
    avatar = avatar_for(captured, replace(AVATAR, background="trainable"))
    avatar.trained_background = torch.nn.Parameter(torch.zeros(16, 20, 3))
    with pytest.raises(UserError, match=r"own background is 20x16 pixels.* are 40x32"):
        evaluate(avatar, captured, tmp_path / "eval")
    with pytest.raises(UserError, match="no background plate"):
        evaluate(avatar, replace(captured, background=None), tmp_path / "eval", EvaluationOptions(plate="dataset"))


def test_training_frames_are_drawn_from_their_refined_poses(captured, tmp_path):
    avatar = FakeAvatar(captured, lambda camera, condition: condition.background)
    twists = torch.zeros(len(captured.train), 6)
    twists[1, 3:] = torch.tensor([0.01, -0.02, 0.03])
    avatar.pose_corrections = torch.nn.Parameter(twists)
    cameras = []
    avatar.picture = lambda camera, condition: cameras.append(camera.camera_to_head) or condition.background
    evaluate(avatar, captured, tmp_path / "train", EvaluationOptions(split="train", frames=2, video=False))
    evaluate(avatar, captured, tmp_path / "test", EvaluationOptions(frames=2, video=False))
    stored = torch.from_numpy(np.stack([captured.train.camera_to_head[:2], captured.splits["test"].camera_to_head[:2]]))
    moved = torch.stack(cameras).reshape(2, 2, 4, 4) - stored
    assert torch.allclose(moved[0, 1, :3, 3], twists[1, 3:], atol=1e-6)
    moved[0, 1, :3, 3] = 0
    assert moved.abs().max() < 1e-6
