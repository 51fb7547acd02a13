"""What the camera's rays touch: surface normals from the density's gradient, with depth, opacity and colour."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Protocol

import torch
from jaxtyping import Float
from torch import Tensor

from nerface.cameras import all_pixels, pixel_directions, to_head_space
from nerface.rendering.compositing import ray_weights
from nerface.rendering.sampling import importance_depths, stratified_depths
from nerface.rendering.volume import SamplingConfig, for_drawing, place
from nerface.types import Camera, Condition, Rays

OPACITY_FLOOR = 0.1  # a ray that meets less of the person than this shows no surface: its normal is zero
# Samples that add less to a pixel than this are left out of its normal (128 of them together: 1.3 %), which saves most
# of the gradients.
WEIGHT_FLOOR = 1e-4
GRADIENT_FLOOR = 1e-6  # a density that changes less than this, per head unit squared, has no direction
# Samples in flight: gradients hold every layer's activations, several times what drawing holds.
CHUNK_SAMPLES = {"cpu": 1 << 14, "cuda": 1 << 18}


class Marchable(Protocol):
    """What an avatar whose rays are sampled says of that."""

    @property
    def sampling(self) -> SamplingConfig: ...


class Queryable(Protocol):
    """An avatar that tells density (per head unit, not negative) and colour (in [0, 1]) at points of head space.

    `view_directions` are directions of sight, of any length; None looks from the front, along -z.
    """

    @property
    def config(self) -> Marchable: ...

    @property
    def device(self) -> torch.device: ...

    def query(
        self,
        points: Float[Tensor, "points 3"],
        condition: Condition,
        view_directions: Float[Tensor, "points 3"] | None = None,
    ) -> tuple[Float[Tensor, " points"], Float[Tensor, "points 3"]]: ...


@dataclass(frozen=True)
class Surface:
    """What rays (R) meet of the person, whatever stands behind.

    `normal` [R, 3] unit vectors in head space, out of the surface, or zero where `opacity` [R] is below
    `OPACITY_FLOOR`; `depth` [R] along the camera's axis at which half of that opacity is reached (the far end where
    there is none), `position` [R, 3] in head space the point there; `colour` [R, 3] of the person alone, in [0, 1].
    """

    normal: Float[Tensor, "rays 3"]
    opacity: Float[Tensor, " rays"]
    depth: Float[Tensor, " rays"]
    position: Float[Tensor, "rays 3"]
    colour: Float[Tensor, "rays 3"]


def render_normals(
    avatar: Queryable, camera: Camera, condition: Condition, chunk: int | None = None
) -> Float[Tensor, "height width 3"]:
    """The normal of the surface that each pixel shows: unit vectors [H, W, 3] in head space, zero beside the person.

    n = normalise(- sum_i w_i grad sigma_i / |grad sigma_i|) over the samples of a ray but the last, which is the
    background; w_i as in the picture (NeRF eq. 3). Nothing comes from depth or disparity, as in the seed (spec 8, B8).
    `chunk` is the number of rays at a time (None: what suits the device).
    """
    parts = [surface.normal for surface in _surfaces(avatar, camera, condition, chunk)]
    return torch.cat(parts).reshape(camera.intrinsics.height, camera.intrinsics.width, 3)


def render_surface(avatar: Queryable, camera: Camera, condition: Condition, chunk: int | None = None) -> Surface:
    """`Surface` of every pixel, row by row; see `render_normals`."""
    parts = _surfaces(avatar, camera, condition, chunk)
    return Surface(*(torch.cat([getattr(part, each.name) for part in parts]) for each in fields(Surface)))


def seen_by(normals: Float[Tensor, "*pixels 3"], camera: Camera) -> Float[Tensor, "*pixels 3"]:
    """Normals in head space as the picture shows them: x to its right, y up, z towards the viewer.

    The signs of fx and fy are taken in, so that it holds for mirrored head spaces too (spec 1.3).
    """
    inner, rotation = camera.intrinsics, camera.camera_to_head[:3, :3].to(normals)
    signs = normals.new_tensor([1.0 if inner.fx > 0 else -1.0, 1.0 if inner.fy > 0 else -1.0, 1.0])
    return normals @ rotation * signs


def surface_along(avatar: Queryable, rays: Rays, condition: Condition) -> Surface:
    """What `rays` meet: marched as pictures are drawn, with the last field choosing the fine depths too."""
    sampling = for_drawing(avatar.config.sampling)
    with torch.no_grad():
        norm = rays.directions.norm(dim=-1)
        near, far = torch.full_like(norm, sampling.near), torch.full_like(norm, sampling.far)
        t_mid = stratified_depths(near, far, sampling.coarse, None, sampling.disparity)
        sigma, rgb = _query(avatar, rays, t_mid, condition)
        if sampling.fine:
            drawn = importance_depths(t_mid, ray_weights(sigma, t_mid, norm), sampling.fine, None)
            more = _query(avatar, rays, drawn, condition)
            t_mid, order = torch.cat([t_mid, drawn], dim=-1).sort(dim=-1)
            sigma = torch.cat([sigma, more[0]], dim=-1).gather(-1, order)
            rgb = torch.cat([rgb, more[1]], dim=1).gather(1, order[..., None].expand(-1, -1, 3))
        weights = ray_weights(sigma, t_mid, norm)[:, :-1]  # [R, S-1]: without the background
        opacity = weights.sum(dim=-1)
        colour = (weights[..., None] * rgb[:, :-1]).sum(dim=1) / opacity.clamp(min=1e-6)[:, None]
        depth = _half_way(weights, t_mid, opacity)
    normal = _normals(avatar, rays, t_mid, weights, condition)
    normal = torch.where((opacity >= OPACITY_FLOOR)[:, None], normal, 0.0)
    return Surface(normal, opacity, depth, rays.origins + depth[:, None] * rays.directions, colour)


def density_gradient(
    avatar: Queryable, points: Float[Tensor, "points 3"], condition: Condition
) -> Float[Tensor, "points 3"]:
    """d sigma / d position at points of head space."""
    with torch.enable_grad():
        points = points.detach().clone().requires_grad_(True)
        sigma, _ = avatar.query(points, condition)
        (gradient,) = torch.autograd.grad(sigma.sum(), points)
    return gradient.detach()


def _surfaces(avatar: Queryable, camera: Camera, condition: Condition, chunk: int | None) -> list[Surface]:
    pixels = all_pixels(camera.intrinsics, avatar.device)
    sampling = for_drawing(avatar.config.sampling)
    in_flight = CHUNK_SAMPLES.get(avatar.device.type, CHUNK_SAMPLES["cpu"])
    chunk = chunk or max(1, in_flight // (sampling.coarse + sampling.fine))
    pose = camera.camera_to_head.to(avatar.device)
    surfaces = []
    for start in range(0, pixels.shape[0], chunk):
        some = pixels[start : start + chunk]
        origins, directions = to_head_space(pixel_directions(camera.intrinsics, some[:, 0], some[:, 1]), pose)
        surfaces.append(surface_along(avatar, Rays(origins, directions, None), condition))
    return surfaces


def _query(
    avatar: Queryable, rays: Rays, t_mid: Float[Tensor, "rays samples"], condition: Condition
) -> tuple[Float[Tensor, "rays samples"], Float[Tensor, "rays samples 3"]]:
    """Density and colour at depths of rays, seen along them."""
    positions = place(rays, t_mid).positions
    sight = rays.directions[:, None].expand_as(positions)
    sigma, rgb = avatar.query(positions.reshape(-1, 3), condition, sight.reshape(-1, 3))
    return sigma.reshape(t_mid.shape), rgb.reshape(positions.shape)


def _half_way(
    weights: Float[Tensor, "rays inner"], t_mid: Float[Tensor, "rays samples"], opacity: Float[Tensor, " rays"]
) -> Float[Tensor, " rays"]:
    """The depth at which half of the opacity is reached; each weight is spread over the interval behind its sample."""
    reached = weights.cumsum(dim=-1)
    half = 0.5 * opacity[:, None]
    index = (reached < half).sum(dim=-1, keepdim=True).clamp(max=weights.shape[-1] - 1)  # the first that reaches it
    weight = weights.gather(-1, index)
    share = ((half - reached.gather(-1, index) + weight) / weight.clamp(min=1e-12)).clamp(0.0, 1.0)
    begin, end = t_mid.gather(-1, index), t_mid.gather(-1, index + 1)
    return torch.where(opacity > 0, (begin + share * (end - begin))[:, 0], t_mid[:, -1])


def _normals(
    avatar: Queryable,
    rays: Rays,
    t_mid: Float[Tensor, "rays samples"],
    weights: Float[Tensor, "rays inner"],
    condition: Condition,
) -> Float[Tensor, "rays 3"]:
    """Weighted mean of the directions in which density falls, normalised; zero where it has none."""
    ray, sample = torch.nonzero(weights >= WEIGHT_FLOOR, as_tuple=True)
    total = torch.zeros_like(rays.directions)
    if ray.numel():
        points = rays.origins[ray] + t_mid[ray, sample][:, None] * rays.directions[ray]
        gradient = density_gradient(avatar, points, condition)
        length = gradient.norm(dim=-1, keepdim=True)
        falls = torch.where(length > GRADIENT_FLOOR, -gradient / length.clamp(min=GRADIENT_FLOOR), 0.0)
        total = total.index_add(0, ray, weights[ray, sample][:, None] * falls)
    return torch.nn.functional.normalize(total, dim=-1)
