"""Poses found anew with the field frozen."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch

from nerface.cameras import all_pixels, pixel_directions, to_head_space
from nerface.data import load_dataset
from nerface.data.images import read_image
from nerface.evaluation import EvaluationOptions, evaluate
from nerface.evaluation.refined_poses import PoseSearch, refined_pose
from nerface.fields.pose_correction import corrected
from nerface.types import Camera, Condition, Frame, Intrinsics, Rendering
from tests.data.make import write_tiny_dataset
from tests.toys import avatar_for


class Board(torch.nn.Module):
    """A board with soft waves on it, in the plane z = 0 and a bowl behind it: what an avatar is to `refined_pose`."""

    def __init__(self) -> None:
        super().__init__()
        self.waves = torch.nn.Parameter(torch.tensor([[30.0, 5.0, 9.0], [-8.0, 26.0, 7.0], [14.0, 17.0, -12.0]]))

    @property
    def device(self) -> torch.device:
        return self.waves.device

    def render(self, camera: Camera, condition: Condition, pixels: torch.Tensor | None = None) -> Rendering:
        wanted = all_pixels(camera.intrinsics, self.device) if pixels is None else pixels
        local = pixel_directions(camera.intrinsics, wanted[:, 0], wanted[:, 1])
        origins, directions = to_head_space(local, camera.camera_to_head)
        met = origins - origins[:, 2:] / directions[:, 2:] * directions
        met = met - 0.8 * met[:, :1].square() * directions / directions[:, 2:]  # bent, so that depth shows
        drawn = Rendering(0.5 + 0.4 * torch.sin(met @ self.waves), met[:, 0] * 0 + 1, met[:, 0] * 0)
        return drawn if pixels is not None else drawn.reshape(camera.intrinsics.height, camera.intrinsics.width)


def test_a_wrong_pose_is_brought_back():
    avatar, inner, pose = Board(), Intrinsics(90.0, 90.0, 0.5, 0.5, 48, 40), torch.eye(4)
    pose[2, 3] = 0.5
    condition = Condition(torch.zeros(1), torch.zeros(1))
    colour = avatar.render(Camera(inner, pose), condition).colour.detach()
    box = np.array([0.1, 0.9, 0.1, 0.9])
    picture = (colour * 255).round().to(torch.uint8).numpy()
    frame = Frame(picture, pose.numpy(), np.zeros(1), box, box, None, 7, 0.0, "made")
    twist = torch.tensor([[0.02, -0.03, 0.02, 0.004, -0.004, 0.002]])
    asked = Camera(inner, corrected(pose[None], twist)[0])

    def error(one: torch.Tensor) -> float:
        return float((avatar.render(Camera(inner, one), condition).colour - colour).square().mean().detach())

    search = PoseSearch(steps=150, rays=512)
    found = refined_pose(avatar, asked, condition, frame, "fp32", search=search)
    assert error(found) < 0.02 * error(asked.camera_to_head)
    assert torch.equal(found, refined_pose(avatar, asked, condition, frame, "fp32", search=search))
    assert avatar.waves.grad is None


def test_evaluation_says_which_poses_it_took(tiny_dataset, tmp_path):
    avatar = avatar_for(tiny_dataset)
    for poses, words in (("captured", "as the dataset gives them"), ("refined", "no prediction of new frames")):
        options = EvaluationOptions(poses=poses, frames=1, video=False)
        found = evaluate(avatar, tiny_dataset, tmp_path / poses, options)
        assert words in (found.folder / "metrics.txt").read_text()
    with pytest.raises(ValueError, match="poses must be"):
        EvaluationOptions(poses="guessed")


def test_frames_are_drawn_as_bright_as_they_were_taken_on_request(tmp_path):
    folder = write_tiny_dataset(tmp_path / "person")
    file = folder / "transforms_test.json"
    value = json.loads(file.read_text())
    value["frames"][0]["exposure"] = [0.5, 0.25, 1.0]
    file.write_text(json.dumps(value))
    dataset = load_dataset(folder)
    avatar, pictures = avatar_for(dataset), {}
    for exposure in ("neutral", "captured"):
        options = EvaluationOptions(exposure=exposure, frames=1, video=False)
        found = evaluate(avatar, dataset, tmp_path / exposure, options)
        pictures[exposure] = read_image(found.folder / "renders" / "0000.png").astype(float)
    assert np.allclose(pictures["captured"], pictures["neutral"] * [0.5, 0.25, 1.0], atol=1.0)
