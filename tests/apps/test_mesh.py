"""`nerface mesh` from end to end, and what it refuses."""

from __future__ import annotations

import json
from dataclasses import replace

import cv2
import numpy as np
import pytest
import torch
import trimesh

from nerface.checkpoint import TrainingState, load_avatar, save_checkpoint
from nerface.data import load_dataset
from nerface.presets import preset
from nerface.training.loop import train
from nerface.types import Condition
from tests.apps.calls import check_refused, nerface
from tests.apps.conftest import change_json
from tests.data.make import RADII, write_tiny_dataset
from tests.toys import AVATAR, toy_avatar, toy_run, toy_subject

SMALL = ["--resolution", 24, "--device", "cpu"]


@pytest.fixture(scope="module")
def avatar(tmp_path_factory):
    """An avatar file of random weights whose density is nowhere 0, and whose head space is mirrored (fx < 0)."""
    config = replace(AVATAR, sampling=replace(AVATAR.sampling, density="softplus"))
    made = toy_avatar(config, toy_subject())
    torch.nn.init.constant_(made.fine.fc_alpha.bias, 3.0)
    path = tmp_path_factory.mktemp("mesh") / "avatar.safetensors"
    save_checkpoint(path, made, toy_run(config), TrainingState(1, 0.0))
    return path


@pytest.fixture(scope="module")
def level(avatar):
    """A density that some of the space has, and some has not."""
    field = load_avatar(avatar)
    points = 0.1 * (torch.rand(4000, 3, generator=torch.Generator().manual_seed(0)) - 0.5)
    condition = Condition(torch.tensor(field.subject.expression_mean), field.latent("mean"))
    with torch.no_grad():
        return float(field.query(points, condition)[0].median())


def loaded(path):
    body = trimesh.load(path, process=False)
    return next(iter(body.geometry.values())) if isinstance(body, trimesh.Scene) else body


def test_a_mesh_is_written_and_told(avatar, level, tmp_path):
    answer = nerface("mesh", avatar, "-o", tmp_path / "a.ply", "--level", level, *SMALL)
    assert answer.status == 0, answer.err
    body = loaded(tmp_path / "a.ply")
    assert f"wrote {tmp_path / 'a.ply'}  ({len(body.vertices)} vertices, {len(body.faces)} faces, " in answer.out
    assert f"density level {level:.3g}" in answer.out
    assert "head space is a mirror image" in answer.err
    assert body.volume > 0
    assert nerface("mesh", avatar, "-o", tmp_path / "a.glb", "--level", level, *SMALL).status == 0
    assert np.allclose(loaded(tmp_path / "a.glb").vertices, body.vertices, atol=1e-6)


def test_raw_axes_keep_the_mirror(avatar, level, tmp_path):
    words = ["--level", level, *SMALL]
    assert nerface("mesh", avatar, "-o", tmp_path / "a.ply", *words).status == 0
    answer = nerface("mesh", avatar, "-o", tmp_path / "raw.ply", "--raw-axes", *words)
    assert "mirror" not in answer.err
    turned, raw = loaded(tmp_path / "a.ply"), loaded(tmp_path / "raw.ply")
    assert np.allclose(turned.vertices * [-1, 1, 1], raw.vertices)
    assert turned.volume == pytest.approx(raw.volume)
    assert raw.volume > 0
    assert b"x is turned over" in (tmp_path / "raw.ply").read_bytes()[:300]
    assert b"x to the right of the picture" in (tmp_path / "a.ply").read_bytes()[:300]


def test_units(avatar, level, tmp_path):
    person = write_tiny_dataset(tmp_path / "person")  # 0.012 head units in a centimetre
    words = ["--level", level, *SMALL]
    for name, more in (
        ("head", []),
        ("cm", ["--unit", "cm", "--dataset", person]),
        ("m", ["--unit", "m", "--units-per-cm", 0.012]),
    ):
        answer = nerface("mesh", avatar, "-o", tmp_path / f"{name}.ply", *more, *words)
        assert answer.status == 0, answer.err
        assert f"{'head units' if name == 'head' else name}, density" in answer.out
    head, cm, m = (loaded(tmp_path / f"{name}.ply").vertices for name in ("head", "cm", "m"))
    assert np.allclose(cm, head / 0.012, rtol=1e-4)
    assert np.allclose(m, head / 1.2, rtol=1e-4)


def test_the_expression_and_the_latent_code_matter(avatar, level, tmp_path):
    person = write_tiny_dataset(tmp_path / "person", expressions=3)
    for file in person.glob("transforms_*.json"):
        change_json(file, lambda value: value.update(expression_names=["shape_2", "shape_0", "shape_1"]))
    frame = json.loads((person / "transforms_train.json").read_text())["frames"][2]["expression"]
    given = [f"shape_{name}={value}" for name, value in zip((2, 0, 1), frame)]
    shapes = {}
    for name, words in {
        "mean": [],
        "edited": ["--expression", "shape_0=3", "--expression", "shape_1+=-2"],
        "alias": ["--edit", "0=3", "--edit", "1+=-2"],
        "by": ["--by", person, "--split", "train", "--frame", 2],
        "given": [word for value in given for word in ("--expression", value)],
        "latent": ["--latent", "frame:2"],
    }.items():
        answer = nerface("mesh", avatar, "-o", tmp_path / f"{name}.ply", "--level", level, *SMALL, *words)
        assert answer.status == 0, answer.err
        shapes[name] = (tmp_path / f"{name}.ply").read_bytes()
    assert shapes["edited"] == shapes["alias"]
    assert shapes["by"] == shapes["given"]  # mapped by name
    assert len({shapes[name] for name in ("mean", "edited", "by", "latent")}) == 4


def test_points_and_preview(avatar, level, tmp_path):
    answer = nerface("mesh", avatar, "-o", tmp_path / "p.ply", "--points", "--resolution", 24, "--extent", 1)
    assert answer.status == 0, answer.err
    cloud = loaded(tmp_path / "p.ply")
    assert isinstance(cloud, trimesh.PointCloud)
    assert f"({len(cloud.vertices)} points, " in answer.out
    answer = nerface(
        *("mesh", avatar, "-o", tmp_path / "a.ply", "--preview", tmp_path / "a.png", "--level", level, *SMALL)
    )
    assert answer.status == 0, answer.err
    assert f"wrote {tmp_path / 'a.png'}" in answer.out
    assert cv2.imread(str(tmp_path / "a.png")).shape == (320, 1280, 3)


def test_bad_words_are_refused_and_nothing_is_written(avatar, tmp_path):
    person = write_tiny_dataset(tmp_path / "person", expressions=3)
    other = write_tiny_dataset(tmp_path / "other", expressions=3)
    change_json(other / "transforms_train.json", lambda value: value.pop("units"))
    out = tmp_path / "out" / "a.ply"
    for words, said in (
        (["-o", out.with_suffix(".obj")], ["is written as .ply or .glb"]),
        (["-o", out.with_suffix(".glb"), "--points"], ["a point cloud is written as .ply"]),
        (["-o", out, "--points", "--level", 3], ["--level is for meshes"]),
        (["-o", out, "--preview", "a.jpg"], ["ends in .png"]),
        (["-o", out, "--frame", 3], ["--frame needs --by"]),
        (["-o", out, "--by", person / "nowhere"], ["is not a folder"]),
        (["-o", out, "--by", person, "--frame", 7], ["there is no frame 7, the last is 0"]),
        (["-o", out, "--by", person], ["other expression channels than the avatar"]),
        (["-o", out, "--expression", "shape_9=1"], ["no expression channel 'shape_9'"]),
        (["-o", out, "--expression", "shape_0=0..1"], ["one expression, give one number"]),
        (["-o", out, "--expression", "shape_0"], ["is not understood"]),
        (["-o", out, "--latent", "frame:99"], ["latent code 'frame:99'"]),
        (["-o", out, "--resolution", 3], ["the resolution 3 makes no sense"]),
        (["-o", out, "--level", -1], ["the level -1.0 makes no sense"]),
        (["-o", out, "--unit", "cm"], ["--unit cm needs --dataset"]),
        (["-o", out, "--unit", "cm", "--units-per-cm", 0], ["make no sense"]),
        (["-o", out, "--unit", "cm", "--dataset", other], ["does not say how long a head unit is"]),
    ):
        check_refused(nerface("mesh", avatar, *words, "--device", "cpu"), *said, alone=False)
    assert not out.parent.exists()


def test_nothing_so_dense_is_told_with_a_level_that_works(avatar, tmp_path):
    out = tmp_path / "a.ply"
    answer = nerface("mesh", avatar, "-o", out, "--level", 1e6, *SMALL)
    check_refused(answer, "the densest place has", "try the level", alone=False)
    suggested = answer.err.strip().split("try the level ")[1]
    assert nerface("mesh", avatar, "-o", out, "--level", suggested, *SMALL).status == 0


def test_a_file_that_is_there_is_kept(avatar, tmp_path):
    out = tmp_path / "a.ply"
    out.write_text("mine")
    check_refused(nerface("mesh", avatar, "-o", out), "nothing is overwritten")
    picture = tmp_path / "a.png"
    picture.write_text("mine")
    check_refused(nerface("mesh", avatar, "-o", tmp_path / "b.ply", "--preview", picture), "nothing is overwritten")
    assert out.read_text() == picture.read_text() == "mine"


@pytest.mark.slow
def test_a_trained_head_has_the_size_of_the_person(tmp_path):
    """An ellipsoid head, seen from all sides a head turns to; its front is where it should be."""
    person = write_tiny_dataset(tmp_path / "person", frames=40, size=(48, 40))
    tiny = preset("tiny")
    run = replace(tiny, training=replace(tiny.training, steps=300, rays=512, precision="fp32"))
    train(load_dataset(person), tmp_path / "run", run)
    answer = nerface("mesh", tmp_path / "run", "-o", tmp_path / "a.glb", "--resolution", 96, "--smooth", 1)
    assert answer.status == 0, answer.err
    body = loaded(tmp_path / "a.glb")
    assert body.volume > 0
    # What the cameras saw: the front half. Its points lie on the ellipsoid but for haze.
    front = body.vertices[(body.vertices[:, 2] > 0.04) & (body.vertex_normals[:, 2] > 0.5)]
    reach = np.linalg.norm(front / RADII, axis=1)
    assert len(front) > 500
    assert np.median(reach) == pytest.approx(1.0, abs=0.12)
    width, height = np.quantile(front[:, :2], 0.99, axis=0) - np.quantile(front[:, :2], 0.01, axis=0)
    assert 1.1 < height / width < 1.6  # the ellipsoid's is 1.33
