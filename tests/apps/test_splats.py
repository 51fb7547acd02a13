"""`nerface splats` from end to end, and what it refuses; what splat avatars tell of expressions beyond training."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from nerface.checkpoint import TrainingState, load_avatar, save_checkpoint
from nerface.data import load_dataset
from nerface.driving.paths import head_turn
from nerface.driving.views import Script, rest_pose
from nerface.errors import UserError
from nerface.geometry.splats import extract_splats
from nerface.interop.gaussian_ply import placed, read_gaussian_ply
from nerface.rendering.sequence import render_video
from nerface.types import Camera, Condition
from tests.apps.calls import check_refused, nerface
from tests.apps.conftest import change_json
from tests.data.make import write_tiny_dataset
from tests.fields.splat_toys import toy_splat_avatar, toy_splat_config, toy_splat_run
from tests.toys import toy_avatar, toy_run, toy_subject


@pytest.fixture(scope="module")
def avatar(tmp_path_factory):
    """An avatar file of random Gaussians, whose head space is mirrored (fx < 0)."""
    path = tmp_path_factory.mktemp("splats") / "avatar.safetensors"
    save_checkpoint(path, toy_splat_avatar(), toy_splat_run(), TrainingState(1, 0.0))
    return path


@pytest.fixture(scope="module")
def paper(tmp_path_factory):
    path = tmp_path_factory.mktemp("paper") / "avatar.safetensors"
    save_checkpoint(path, toy_avatar(), toy_run(), TrainingState(1, 0.0))
    return path


@pytest.fixture
def person(tmp_path):
    """A dataset with the avatar's channels."""
    made = write_tiny_dataset(tmp_path / "person", expressions=3)
    for file in made.glob("transforms_*.json"):
        change_json(file, lambda value: value.update(expression_names=[f"shape_{k}" for k in range(3)]))
    return made


def wanted(avatar, expression, pose=None):
    """What the library gives, un-mirrored."""
    loaded = load_avatar(avatar, "cpu")
    place = torch.from_numpy(rest_pose(loaded.subject)) if pose is None else torch.as_tensor(pose)
    condition = Condition(torch.as_tensor(np.float32(expression)), loaded.latent("mean"))
    return placed(extract_splats(loaded, Camera(loaded.subject.intrinsics, place), condition), (-1, 1, 1))


def same(one, other):
    """The same Gaussians; quaternions of either sign."""
    cosine = (one.rotations * other.rotations).sum(axis=1) / np.linalg.norm(other.rotations, axis=1)
    return (
        np.allclose(one.positions, other.positions, atol=1e-6)
        and np.allclose(one.colours, other.colours, atol=1e-5)
        and np.allclose(np.abs(cosine), 1, atol=1e-4)
    )


def test_gaussians_are_written_and_told(avatar, tmp_path):
    answer = nerface("splats", avatar, "-o", tmp_path / "a.ply", "--device", "cpu")
    assert answer.status == 0, answer.err
    cloud = read_gaussian_ply(tmp_path / "a.ply")
    assert f"wrote {tmp_path / 'a.ply'}  ({len(cloud)} Gaussians, " in answer.out
    assert "head space is a mirror image" in answer.err
    assert same(cloud, wanted(avatar, toy_subject().expression_mean))
    assert (
        b"unit: head; axes: x to the right of the picture, y up, z out of the face" in (tmp_path / "a.ply").read_bytes()
    )


def test_expression_view_and_axes(avatar, person, tmp_path):
    dataset = load_dataset(person)
    split = dataset.splits["train"]
    rest = rest_pose(load_avatar(avatar, "cpu").subject)
    for words, expression, pose in (
        (["--expression", "shape_1=0.7"], (0.0, 0.7, 0.2), None),
        (["--by", person, "--split", "train", "--frame", 2], split.expressions[2], None),
        (["--turn", 10, -5], (0.0, 0.1, 0.2), head_turn(-10.0, -5.0).numpy() @ rest),  # mirrored: yaw turns round
    ):
        out = tmp_path / f"{len(list(tmp_path.iterdir()))}.ply"
        answer = nerface("splats", avatar, "-o", out, *words)
        assert answer.status == 0, answer.err
        assert same(read_gaussian_ply(out), wanted(avatar, expression, pose))
    answer = nerface(
        "splats", avatar, "-o", tmp_path / "raw.ply", "--raw-axes", "--y-down", "--unit", "cm", "--units-per-cm", 0.01
    )
    assert answer.status == 0, answer.err
    raw, plain = read_gaussian_ply(tmp_path / "raw.ply"), wanted(avatar, (0.0, 0.1, 0.2))
    assert np.allclose(raw.positions, 100 * plain.positions * [-1, -1, -1], atol=1e-4)
    assert np.allclose(raw.scales, 100 * plain.scales, rtol=1e-4)
    assert b"y down" in (tmp_path / "raw.ply").read_bytes()[:300]
    seen = tmp_path / "seen.ply"
    words = ("--by", person, "--split", "train", "--frame", 2, "--frame-pose")
    assert nerface("splats", avatar, "-o", seen, *words).status == 0
    assert not np.allclose(read_gaussian_ply(seen).colours, wanted(avatar, split.expressions[2]).colours, atol=1e-3)


def test_fewer_gaussians(avatar, tmp_path):
    counts = {}
    for name, words in {"all": [], "head": ["--head-only"], "opaque": ["--least-opacity", 0.8]}.items():
        assert nerface("splats", avatar, "-o", tmp_path / f"{name}.ply", *words).status == 0
        counts[name] = len(read_gaussian_ply(tmp_path / f"{name}.ply"))
    assert 0 < counts["head"] < counts["all"]
    assert 0 < counts["opaque"] < counts["all"]


def test_bad_words_are_refused_and_nothing_is_written(avatar, paper, tmp_path):
    out = tmp_path / "out" / "a.ply"
    bare = tmp_path / "bare.safetensors"
    config = toy_splat_config(body=False)
    save_checkpoint(bare, toy_splat_avatar(config=config), toy_splat_run(config), TrainingState(1, 0.0))
    for words, said in (
        ([paper, "-o", out], ["has no Gaussians", "--preset splat"]),
        ([avatar, "-o", out.with_suffix(".splat")], ["written as .ply"]),
        ([avatar, "-o", out, "--least-opacity", 2], ["makes no sense"]),
        ([avatar, "-o", out, "--least-opacity", 0.99999], ["is left"]),
        ([avatar, "-o", out, "--frame-pose"], ["--frame-pose needs --by"]),
        ([avatar, "-o", out, "--turn", "nan", 0], ["two angles"]),
        ([avatar, "-o", out, "--expression", "shape_0=0..1"], ["a file of Gaussians shows one expression"]),
        ([avatar, "-o", out, "--unit", "m"], ["--unit m needs --dataset"]),
        ([bare, "-o", out, "--head-only"], ["no body apart from the head"]),
    ):
        check_refused(nerface("splats", *words, "--device", "cpu"), *said, alone=False)
    assert not out.parent.exists()
    (tmp_path / "b.ply").write_text("mine")
    check_refused(nerface("splats", avatar, "-o", tmp_path / "b.ply"), "nothing is overwritten")
    assert (tmp_path / "b.ply").read_text() == "mine"


def test_a_splat_avatar_has_no_mesh(avatar, tmp_path):
    check_refused(nerface("mesh", avatar, "-o", tmp_path / "a.ply"), "no surface", "nerface splats")


def test_what_is_held_back_is_told_once(avatar, tmp_path):
    words = ("--edit", "shape_1=9", "--frames", 2, "--device", "cpu")
    answer = nerface("render", avatar, "-o", tmp_path / "a.mp4", *words)
    assert answer.status == 0, answer.err
    (note,) = [line for line in answer.err.splitlines() if line.startswith("note:")]
    assert "shape_1 9.00 shown as 1." in note
    assert "(2 of 2 frames)" in note
    answer = nerface("render", avatar, "-o", tmp_path / "b.mp4", *words, "--range", "seen")
    (note,) = [line for line in answer.err.splitlines() if line.startswith("note:")]
    assert "kept inside it" in note
    assert "shown as" not in note


def test_expressions_that_are_no_number_are_refused(avatar, tmp_path):
    loaded = load_avatar(avatar, "cpu")
    poses = np.repeat(rest_pose(loaded.subject)[None], 2, axis=0)
    rows = np.array([[0.1, 0.2, 0.3], [0.1, np.nan, 0.3]])
    with pytest.raises(UserError, match="channel shape_1 is nan in frame 1"):
        render_video(loaded, Script(poses, rows).views(loaded.subject.intrinsics), tmp_path / "a.mp4")
    assert not list(tmp_path.iterdir())
