"""gsplat's rasteriser: against the torch one on CUDA, its conventions without a GPU, the choice and the errors."""

from __future__ import annotations

import importlib.util
import sys
import types
import warnings
from typing import Any

import pytest
import torch
from torch import Tensor

from nerface.errors import UserError
from nerface.rendering import splatting, splatting_gsplat
from nerface.rendering.splatting import Gaussians, prepare, rasterise
from nerface.types import Intrinsics
from tests.rendering.splats import camera, cloud, converted, poses, quaternion_matrices

needs_gsplat = pytest.mark.skipif(
    not torch.cuda.is_available() or importlib.util.find_spec("gsplat") is None, reason="needs CUDA and gsplat"
)


@pytest.fixture
def fresh():
    """Nothing kept from earlier calls, before or after."""
    for kept in (splatting._best_for, splatting_gsplat.load_kernels):
        kept.cache_clear()
    yield
    for kept in (splatting._best_for, splatting_gsplat.load_kernels):
        kept.cache_clear()


def head(count: int, pictures: int) -> Gaussians:
    """Small Gaussians filling a ball as large as a head, float32."""
    generator = torch.Generator().manual_seed(7)
    gaussians = cloud(pictures, count, generator, scale=0.002, spread=1.0)
    ball = gaussians.means / gaussians.means.norm(dim=-1, keepdim=True)
    means = 0.12 * ball * torch.rand(pictures, count, 1, generator=generator, dtype=torch.float64) ** (1 / 3)
    colours = gaussians.colours[..., :3]
    return converted(
        Gaussians(means, gaussians.rotations, gaussians.scales, gaussians.opacities, colours), dtype=torch.float32
    )


@needs_gsplat
@pytest.mark.cuda
@pytest.mark.parametrize("fx", [1100.0, -1100.0])
def test_gsplat_equals_torch_on_twenty_thousand_gaussians(fx):
    inner = Intrinsics(fx, 1100.0, 0.49, 0.52, 512, 512)
    pose = poses(3, torch.Generator().manual_seed(1)).float().cuda()
    upstream = torch.rand(3, 512, 512, 5, generator=torch.Generator().manual_seed(2)).cuda()
    drawn, gradients = {}, {}
    for name in ("torch", "gsplat"):
        gaussians, moved = converted(head(20_000, 3), grad=True, device="cuda"), pose.clone().requires_grad_()
        splatted = rasterise(gaussians, moved, inner, name)
        parts = [splatted.colour, splatted.opacity[..., None], splatted.depth[..., None]]
        drawn[name] = torch.cat(parts, dim=-1)
        (drawn[name] * upstream).sum().backward()
        gradients[name] = [value.grad for value in vars(gaussians).values()] + [moved.grad[:, :3]]
    assert drawn["torch"][..., 3].max() > 0.9
    # Rounding decides whether an alpha of 1/255 is skipped: a jump of up to 1/255 at a few pixels of a picture.
    difference = (drawn["torch"] - drawn["gsplat"]).abs().amax(dim=-1)
    assert difference.max() < 2 / 255
    assert (difference > 1e-3).float().mean() < 1e-4
    assert difference.mean() < 1e-5
    for own, other in zip(gradients["torch"], gradients["gsplat"]):
        assert (own - other).norm() < 0.01 * other.norm()


@needs_gsplat
@pytest.mark.cuda
@pytest.mark.parametrize("channels", [1, 3, 6, 31, 40])
def test_gsplat_takes_any_number_of_channels_and_nothing_at_all(channels):
    pose, inner = poses(2, torch.Generator().manual_seed(1)).float().cuda(), camera(40, width=56)
    gaussians = converted(cloud(2, 200, torch.Generator().manual_seed(3)), dtype=torch.float32, device="cuda")
    wide = Gaussians(**{**vars(gaussians), "colours": gaussians.colours.repeat(1, 1, 10)[..., :channels]})
    own, other = rasterise(wide, pose, inner, "torch"), rasterise(wide, pose, inner, "gsplat")
    assert own.colour.shape == other.colour.shape == (2, 40, 56, channels)
    assert (own.colour - other.colour).abs().max() < 5e-3
    empty = converted(cloud(2, 0, torch.Generator().manual_seed(3)), dtype=torch.float32, device="cuda")
    behind = Gaussians(**{**vars(wide), "means": wide.means + 5 * pose[:, None, :3, 2]})
    for nothing in (empty, behind):
        assert rasterise(nothing, pose, inner, "gsplat").opacity.abs().max() == 0


def stand_in_projection(
    means: Tensor, covariances: None, rotations: Tensor, scales: Tensor, views: Tensor, cameras: Tensor,
    width: int, height: int, *, eps2d: float, near_plane: float, opacities: Tensor,
) -> tuple[Any, ...]:  # fmt: skip
    """gsplat's projection as its documents have it: view space x right, y down, z forward, one camera a picture."""
    assert views.shape[1:] == (1, 4, 4)
    assert cameras.shape[1:] == (1, 3, 3)
    assert (cameras[:, 0, 0, 0] > 0).all()  # its bounds of x/z need positive focal lengths
    view, matrix = views[:, 0], cameras[:, 0]
    points = torch.einsum("bij,bnj->bni", view[:, :3, :3], means) + view[:, None, :3, 3]
    assert (points[..., 2] > near_plane).all()
    spread = view[:, None, :3, :3] @ quaternion_matrices(rotations) @ torch.diag_embed(scales)
    flat = torch.einsum("bij,bnj->bni", matrix, points / points[..., 2:])
    slope = torch.zeros(*points.shape[:2], 2, 3)
    slope[..., 0, 0], slope[..., 1, 1] = matrix[:, None, 0, 0], matrix[:, None, 1, 1]
    slope[..., :, 2] = (
        -(points / points[..., 2:])[..., :2] * torch.stack([matrix[:, 0, 0], matrix[:, 1, 1]], -1)[:, None]
    )
    spread = slope / points[..., 2:, None] @ spread
    inverse = torch.linalg.inv(spread @ spread.transpose(-1, -2) + eps2d * torch.eye(2))
    conics = torch.stack([inverse[..., 0, 0], inverse[..., 0, 1], inverse[..., 1, 1]], dim=-1)
    return None, flat[:, None, :, :2], points[:, None, :, 2], conics[:, None], None


def stand_in_blend(
    centres: Tensor, conics: Tensor, features: Tensor, opacities: Tensor,
    width: int, height: int, tile: int, starts: Tensor, splats: Tensor,
) -> tuple[Tensor, Tensor]:  # fmt: skip
    """gsplat's blending, pixel centres at halves."""
    assert starts.shape == (centres.shape[0], 1, -(-height // tile), -(-width // tile))
    rows, columns = torch.meshgrid(torch.arange(height) + 0.5, torch.arange(width) + 0.5, indexing="ij")
    pictures = []
    for b in range(centres.shape[0]):
        colour, left = torch.zeros(height, width, features.shape[-1]), torch.ones(height, width)
        for n in features[b, 0, :, -1].argsort().tolist():
            x, y = columns - centres[b, 0, n, 0], rows - centres[b, 0, n, 1]
            xx, xy, yy = conics[b, 0, n]
            alpha = opacities[b, 0, n] * torch.exp(-0.5 * (xx * x * x + yy * y * y) - xy * x * y)
            alpha = alpha.clamp(max=0.999) * (alpha >= 1 / 255)
            colour = colour + (alpha * left)[..., None] * features[b, 0, n]
            left = left * (1 - alpha)
        pictures.append(torch.cat([colour, (1 - left)[..., None]], dim=-1))
    whole = torch.stack(pictures)[:, None]
    return whole[..., :-1], whole[..., -1:]


@pytest.mark.parametrize("signs", [(1, 1), (-1, 1), (1, -1)], ids=["plain", "mirrored", "upside down"])
def test_gsplats_conventions_make_the_same_picture(signs):
    generator = torch.Generator().manual_seed(6)
    inner = Intrinsics(signs[0] * 44.0, signs[1] * 40.0, 0.47, 0.55, 36, 28)
    gaussians, pose = cloud(2, 12, generator, scale=0.03, spread=0.06), poses(2, generator).float()
    # Faint enough that no pixel ends early, which the stand-in does not know of.
    gaussians = Gaussians(**{**vars(gaussians), "opacities": 0.5 * gaussians.opacities})
    gaussians = converted(gaussians, dtype=torch.float32)
    kernels = splatting_gsplat.Kernels(
        stand_in_projection, lambda *_: (None, None, None), lambda _, n, w, h: torch.zeros(n * w * h), stand_in_blend
    )
    found = splatting_gsplat._rasterise(kernels, gaussians, pose, inner)
    expected = rasterise(gaussians, pose, inner, "torch")
    assert expected.opacity.max() > 0.5
    assert found.colour.shape == (2, 28, 36, 4)
    for own, other in zip(vars(found).values(), vars(expected).values()):
        assert torch.allclose(own, other, atol=2e-5)


def test_gsplat_on_a_cpu_is_refused():
    with pytest.raises(UserError, match=r"gsplat needs a CUDA device, not cpu: choose the rasteriser torch"):
        rasterise(cloud(1, 2, torch.Generator()), poses(1, torch.Generator()), camera(), "gsplat")
    with pytest.raises(UserError, match="choose the rasteriser torch"):
        prepare("gsplat", torch.device("cpu"))


def test_a_missing_package_is_told_with_the_remedy(fresh, monkeypatch):
    monkeypatch.setitem(sys.modules, "gsplat", None)
    with pytest.raises(UserError, match=r"cannot be imported .*pip install 'nerface\[splat\]', or choose .* torch"):
        splatting_gsplat.load_kernels()


def test_a_machine_without_cuda_is_told(fresh, monkeypatch):
    monkeypatch.setitem(sys.modules, "gsplat", types.ModuleType("gsplat"))
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(UserError, match=r"needs a CUDA device, and torch .* sees none"):
        splatting_gsplat.load_kernels()


class _Unbuilt(types.ModuleType):
    """gsplat's compiled part where building it fails."""

    @property
    def _C(self) -> None:
        raise RuntimeError("Ninja is required to load C++ extensions\nand a long trace")


@pytest.mark.parametrize("reason", ["no nvcc", "Ninja"])
def test_code_that_cannot_be_built_is_told_with_the_remedy(fresh, monkeypatch, reason):
    backend = _Unbuilt("gsplat.cuda._backend") if reason == "Ninja" else types.ModuleType("gsplat.cuda._backend")
    if reason == "no nvcc":
        backend._C = None  # what gsplat leaves where it finds no CUDA toolkit
    for name in ("gsplat", "gsplat.cuda"):
        monkeypatch.setitem(sys.modules, name, types.ModuleType(name))
    monkeypatch.setitem(sys.modules, "gsplat.cuda._backend", backend)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    with pytest.raises(UserError, match=rf"could not be built \({reason}.*install a CUDA toolkit.*torch$") as told:
        splatting_gsplat.load_kernels()
    assert "\n" not in str(told.value)


def test_auto_takes_what_is_there_and_warns_once(fresh, monkeypatch):
    assert prepare("auto", torch.device("cpu")) == "torch"
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.warns(UserWarning, match="gsplat is not installed"):
        assert prepare("auto", torch.device("cuda")) == "torch"
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert prepare("auto", torch.device("cuda")) == "torch"
    splatting._best_for.cache_clear()
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: object())
    monkeypatch.setattr(splatting, "load_kernels", lambda: None)
    assert splatting._best_for("cuda", torch.float32) == "gsplat"
    assert splatting._best_for("cuda", torch.float64) == "torch"
    with pytest.raises(ValueError, match="auto, torch, gsplat: fast"):
        prepare("fast", torch.device("cpu"))


def test_auto_draws_with_torch_where_gsplat_cannot_be_built(fresh, monkeypatch):
    def broken():
        raise UserError("gsplat's CUDA code could not be built (no nvcc was found): install a CUDA toolkit")

    monkeypatch.setattr(importlib.util, "find_spec", lambda name: object())
    monkeypatch.setattr(splatting, "load_kernels", broken)
    with pytest.warns(UserWarning, match="many times slower than gsplat's: .*no nvcc was found"):
        assert prepare("auto", torch.device("cuda")) == "torch"
