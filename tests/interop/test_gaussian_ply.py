"""PLY files of Gaussians: their layout byte by byte, mirrors, and that a viewer sees what the avatar shows."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from nerface.cameras import project
from nerface.errors import UserError
from nerface.geometry.splats import SplatOptions, extract_splats
from nerface.interop.gaussian_ply import (
    COLUMNS,
    HARMONIC_0,
    HARMONIC_1,
    GaussianCloud,
    placed,
    read_gaussian_ply,
    write_gaussian_ply,
)
from nerface.rendering.splatting import Gaussians, rasterise
from nerface.types import Camera, Condition
from tests.fields.splat_toys import toy_splat_avatar, toy_splat_config
from tests.rendering.splats import quaternion_matrices
from tests.toys import toy_subject

SEVERAL = np.random.default_rng(5)
ONE_STEP = 1 / 255


def cloud(count=7):
    return GaussianCloud(
        positions=SEVERAL.normal(size=(count, 3)),
        rotations=3 * SEVERAL.normal(size=(count, 4)),
        scales=SEVERAL.uniform(0.01, 0.2, size=(count, 3)),
        opacities=SEVERAL.uniform(0.1, 0.9, size=count),
        colours=SEVERAL.uniform(size=(count, 3)),
        slopes=SEVERAL.normal(size=(count, 3, 3)),
    )


def covariances(some):
    turns = quaternion_matrices(torch.from_numpy(some.rotations)).numpy()
    return turns @ (some.scales[:, :, None] ** 2 * np.eye(3)) @ turns.transpose(0, 2, 1)


def drawn(some, camera):
    """The picture that a viewer of 3D Gaussians makes: colours by the harmonics, seen from the camera's place."""
    colours = some.seen_from(camera.camera_to_head[:3, 3].numpy())
    parts = (some.positions, some.rotations)
    means, turns = (torch.from_numpy(part).float()[None] for part in parts)
    return rasterise(
        Gaussians(
            means,
            turns,
            torch.from_numpy(some.scales).float(),
            torch.from_numpy(some.opacities).float()[None],
            torch.from_numpy(colours).float()[None],
        ),
        camera.camera_to_head[None],
        camera.intrinsics,
    ).colour[0]


@pytest.fixture
def avatar():
    return toy_splat_avatar()


@pytest.fixture
def condition(avatar):
    return Condition(torch.tensor([0.3, 0.1, 0.5]), avatar.latent("frame:2"))


@pytest.fixture
def camera(avatar):
    """Not the rest pose: shifted and turned."""
    pose = torch.tensor(avatar.subject.rest_pose)
    pose[:3, :3] = torch.linalg.matrix_exp(torch.tensor([[0.0, 0.1, 0.2], [-0.1, 0.0, -0.15], [-0.2, 0.15, 0.0]]))
    pose[:3, 3] = pose[:3, :3] @ torch.tensor([0.01, -0.02, 0.5])
    return Camera(avatar.subject.intrinsics, pose)


def test_the_layout_is_that_of_the_reference_code(tmp_path):
    some = cloud(3)
    write_gaussian_ply(tmp_path / "a.ply", some, "unit: head")
    head, _, body = (tmp_path / "a.ply").read_bytes().partition(b"end_header\n")
    assert head.decode().splitlines() == [
        "ply",
        "format binary_little_endian 1.0",
        "comment unit: head",
        "element vertex 3",
        *(f"property float {name}" for name in COLUMNS),
    ]
    assert COLUMNS[:10] == ("x", "y", "z", "nx", "ny", "nz", "f_dc_0", "f_dc_1", "f_dc_2", "f_rest_0")
    assert COLUMNS[-9:] == ("f_rest_44", "opacity", "scale_0", "scale_1", "scale_2", "rot_0", "rot_1", "rot_2", "rot_3")
    assert len(body) == 3 * 248
    row = dict(zip(COLUMNS, np.frombuffer(body, dtype="<f4")[62:124]))
    assert [row[name] for name in "xyz"] == pytest.approx(some.positions[1].tolist(), rel=1e-6)
    assert 0.5 + 0.28209479 * row["f_dc_2"] == pytest.approx(some.colours[1, 2], abs=1e-6)
    assert 1 / (1 + np.exp(-row["opacity"])) == pytest.approx(some.opacities[1], abs=1e-6)
    assert np.exp(row["scale_1"]) == pytest.approx(some.scales[1, 1], rel=1e-5)
    quaternion = some.rotations[1] / np.linalg.norm(some.rotations[1])
    assert [row[f"rot_{k}"] for k in range(4)] == pytest.approx(quaternion.tolist(), abs=1e-6)
    # Degree 1 of green, in their order: -y, z, -x, behind all 15 coefficients of red.
    green = [row["f_rest_15"], row["f_rest_16"], row["f_rest_17"]]
    assert HARMONIC_1 * np.array(green) == pytest.approx(some.slopes[1, 1, [1, 2, 0]] * [-1, 1, -1], rel=1e-5)
    assert row["f_rest_3"] == row["f_rest_18"] == row["nx"] == 0


def test_what_is_written_is_read(tmp_path):
    some = cloud()
    write_gaussian_ply(tmp_path / "a.ply", some, "")
    again = read_gaussian_ply(tmp_path / "a.ply")
    assert np.allclose(again.positions, some.positions, rtol=1e-6)
    assert np.allclose(covariances(again), covariances(some), rtol=1e-5, atol=1e-8)
    assert np.allclose(again.opacities, some.opacities, atol=1e-6)
    assert np.allclose(again.seen_from(np.array([3.0, 1.0, 2.0])), some.seen_from(np.array([3.0, 1.0, 2.0])), atol=1e-5)


def test_harmonics_are_the_orthonormal_ones():
    """Their squares integrate to 1 over the sphere."""
    z = SEVERAL.uniform(-1, 1, size=400_000)
    assert 4 * np.pi * HARMONIC_0**2 == pytest.approx(1.0)
    assert 4 * np.pi * np.mean((HARMONIC_1 * z) ** 2) == pytest.approx(1.0, rel=0.01)


@pytest.mark.parametrize("signs", [(-1, 1, 1), (1, -1, -1), (-1, -1, -1)])
def test_a_mirror_reflects_places_and_covariances(signs):
    some, mirror = cloud(), np.diag(np.array(signs, dtype=float))
    turned = placed(some, signs, scale=2.0)
    assert np.allclose(turned.positions, 2 * some.positions @ mirror)
    assert np.allclose(covariances(turned), 4 * mirror @ covariances(some) @ mirror)
    eye = np.array([0.3, -0.2, 2.0])
    assert np.allclose(turned.seen_from(2 * mirror @ eye), some.seen_from(eye))


def test_a_viewer_sees_what_the_avatar_shows(avatar, camera, condition, tmp_path):
    own = avatar.render(camera, condition).colour.detach()
    assert own.std() > 0.1
    for name, options in (("flat", SplatOptions()), ("sloped", SplatOptions(view_colours=True))):
        write_gaussian_ply(tmp_path / f"{name}.ply", extract_splats(avatar, camera, condition, options), "")
        seen = drawn(read_gaussian_ply(tmp_path / f"{name}.ply"), camera)
        assert (seen - own).abs().max() < ONE_STEP


def test_the_mirrored_picture_comes_from_a_plain_camera(avatar, camera, condition):
    """fx < 0: with x turned over, a camera with fx > 0 at the mirrored place sees the same picture."""
    inner = camera.intrinsics
    assert inner.fx < 0
    mirror = torch.diag(torch.tensor([-1.0, 1.0, 1.0, 1.0]))
    plain = Camera(replace(inner, fx=-inner.fx), mirror @ camera.camera_to_head @ mirror)
    assert torch.linalg.det(plain.camera_to_head) > 0
    own = avatar.render(camera, condition).colour.detach()
    for options in (SplatOptions(), SplatOptions(view_colours=True)):
        turned = placed(extract_splats(avatar, camera, condition, options), (-1, 1, 1))
        assert (drawn(turned, plain) - own).abs().max() < ONE_STEP
    # Turned upside down besides, the whole scene is.
    down = torch.diag(torch.tensor([1.0, -1.0, -1.0, 1.0]))
    turned = placed(turned, (1, -1, -1))
    assert (drawn(turned, Camera(plain.intrinsics, down @ plain.camera_to_head)) - own).abs().max() < ONE_STEP
    left = project(camera, torch.tensor([[-0.1, 0.0, 0.0]]))[0, 0]
    assert project(plain, torch.tensor([[0.1, 0.0, 0.0]]))[0, 0] == pytest.approx(float(left), abs=1e-4)


def test_sloped_colours_follow_the_avatars_where_one_looks_from_elsewhere(camera):
    """Far away, where every Gaussian is seen along the same direction, the harmonics are the avatar's own map."""
    avatar = toy_splat_avatar(config=toy_splat_config(body=False, moves_colour=False))
    avatar.gaussians.colours.data.add_(1.0)  # nothing is cut off at 0
    condition = Condition(torch.zeros(3), avatar.latent("zero"))

    def away(pose):
        return Camera(
            camera.intrinsics, torch.cat([pose[:, :3], pose[:, 3:] * torch.tensor([[1e3], [1e3], [1e3], [1.0]])], 1)
        )

    first, second = away(torch.tensor(avatar.subject.rest_pose)), away(camera.camera_to_head)
    eye = second.camera_to_head[:3, 3].double().numpy()
    wanted = avatar.condition_gaussians(second, condition)[1].colours[0].detach()
    flat, sloped = (
        extract_splats(avatar, first, condition, SplatOptions(0.0, view_colours=each)).seen_from(eye)
        for each in (False, True)
    )
    assert np.abs(sloped - wanted.numpy()).max() < 1e-3
    assert np.abs(flat - wanted.numpy()).max() > 0.05


def test_what_is_left_out(avatar, camera, condition):
    whole = extract_splats(avatar, camera, condition, SplatOptions(least_opacity=0.0))
    assert len(whole) == 50
    head = extract_splats(avatar, camera, condition, SplatOptions(least_opacity=0.0, head_only=True))
    assert len(head) == int((avatar.gaussians.follows() > 0.5).sum()) < 50
    opaque = extract_splats(avatar, camera, condition, SplatOptions(least_opacity=0.7))
    assert len(opaque) == (whole.opacities >= 0.7).sum() < 50
    with pytest.raises(UserError, match="none of the avatar's 50 Gaussians is left"):
        extract_splats(avatar, camera, condition, SplatOptions(least_opacity=0.9999))


def test_the_body_stands_where_it_is_told(avatar, condition):
    """As `Condition.body_from` says, and nothing of that moves a pure head."""
    rest = torch.tensor(avatar.subject.rest_pose)
    camera = Camera(avatar.subject.intrinsics, rest)
    moved = rest.clone()
    moved[:3, :3] = torch.linalg.matrix_exp(torch.tensor([[0.0, 0.0, 0.4], [0.0, 0.0, 0.0], [-0.4, 0.0, 0.0]]))
    moved[:3, 3] = moved[:3, :3] @ rest[:3, 3]
    every = SplatOptions(least_opacity=0.0)
    here = extract_splats(avatar, camera, condition, every)
    there = extract_splats(avatar, camera, replace(condition, body_from=moved), every)
    follows = avatar.gaussians.follows().detach().numpy()
    shift = np.linalg.norm(here.positions - there.positions, axis=1)
    assert shift[follows < 0.2].min() > 5 * shift[follows > 0.99].max()


def test_files_that_are_there_or_odd_are_refused(tmp_path):
    (tmp_path / "a.ply").write_text("mine")
    with pytest.raises(UserError, match="nothing is overwritten"):
        write_gaussian_ply(tmp_path / "a.ply", cloud(), "")
    with pytest.raises(UserError, match=r"written as \.ply"):
        write_gaussian_ply(tmp_path / "a.splat", cloud(), "")
    with pytest.raises(UserError, match="does not hold Gaussians"):
        read_gaussian_ply(tmp_path / "a.ply")
    write_gaussian_ply(tmp_path / "b.ply", cloud(), "")
    content = (tmp_path / "b.ply").read_bytes()
    (tmp_path / "cut.ply").write_bytes(content[:-4])
    with pytest.raises(UserError, match="cut short"):
        read_gaussian_ply(tmp_path / "cut.ply")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.ply", "b.ply", "cut.ply"]


def test_an_avatar_of_a_plain_space_too(tmp_path):
    subject = toy_subject(width=24, height=20)
    avatar = toy_splat_avatar(replace(subject, intrinsics=replace(subject.intrinsics, fx=-subject.intrinsics.fx)))
    camera = Camera(avatar.subject.intrinsics, torch.tensor(subject.rest_pose))
    condition = Condition(torch.tensor(subject.expression_mean), avatar.latent("mean"))
    own = avatar.render(camera, condition).colour.detach()
    assert (drawn(extract_splats(avatar, camera, condition), camera) - own).abs().max() < ONE_STEP
