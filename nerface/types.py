"""The nouns of the project, and its vocabulary, written once.

The code reads as one sentence:

    video -> capture -> Dataset[Frame] -> Rays -> Samples -> field(positions, directions, condition)
          -> colour, density -> composite -> Rendering -> losses

Space and units
    head space    right-handed; x to the right of the picture, y up, z out of the face towards the camera (for a
                  dataset with fx > 0). Scaled so that the mean camera distance of a clip is 0.5 "head units".
    camera        OpenGL: x right, y up, looking along -z. `camera_to_head` [4, 4] maps camera points to head space; a
                  moving head is written as a moving camera round a head at rest.
    intrinsics    fx, fy in pixels of the image as stored (fx may be negative: the seed's datasets), cx, cy as
                  fractions of width and height. The centre of the pixel in column u, row v lies at (u, v): whole
                  numbers, as in the seed. A rasteriser that puts centres at halves adds 0.5 to its principal point.
    images        rows first: [height, width, 3], RGB, uint8 on disk and in memory, [0, 1] in the field.
    boxes         [row_min, row_max, col_min, col_max], as fractions of the height and width.

Names and shapes (R rays, S samples on a ray, E expression channels, L latent channels)
    origins, directions  [R, 3]    head space; directions have camera z component -1, so t is depth along the axis
    t_edges [R, S+1], t_mid [R, S] ray parameter at cell borders and at samples
    sigma [R, S], rgb [R, S, 3]    density per head unit and colour in [0, 1]
    alpha, weights, transmittance  [R, S]
    opacity [R], depth [R]         what the ray has met of the person, and expected t; colour [R, 3]
    expression [E], latent [L]     the condition of one frame; background [H, W, 3], the plate behind the person
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, UInt8
from torch import Tensor


@dataclass(frozen=True)
class Intrinsics:
    """A pinhole camera's inner numbers: fx, fy in pixels, cx, cy as fractions of `width` and `height` (pixels)."""

    fx: float
    fy: float
    cx: float
    cy: float
    width: int
    height: int

    def resized(self, width: int, height: int) -> Intrinsics:
        """The same camera for the image resized to `width` x `height`."""
        return Intrinsics(self.fx * width / self.width, self.fy * height / self.height, self.cx, self.cy, width, height)


@dataclass(frozen=True)
class Camera:
    """One view point: `intrinsics` and the pose `camera_to_head` [4, 4] (float32, any device)."""

    intrinsics: Intrinsics
    camera_to_head: Float[Tensor, "4 4"]


@dataclass(frozen=True)
class Condition:
    """What the avatar is asked to do: `expression` [E], `latent` [L] and the plate `background` [H, W, 3] in [0, 1].

    A `background` of None means nothing is known behind the person. `viewed_from`, a camera pose, makes the field
    believe that it is seen from there, while it is drawn from where the camera is (an ablation of the view direction).
    `body_from`, a camera pose too, says where fields that move the body apart from the head put it: as it stands before
    that camera (None: before this one, as if the camera stood still and the head turned).
    """

    expression: Float[Tensor, " expression"]
    latent: Float[Tensor, " latent"]
    background: Float[Tensor, "height width 3"] | None = None
    viewed_from: Float[Tensor, "4 4"] | None = None
    body_from: Float[Tensor, "4 4"] | None = None


@dataclass(frozen=True)
class Frame:
    """One frame of a dataset, as stored (NumPy, on the host).

    `image` [H, W, 3] uint8 RGB; `camera_to_head` [4, 4]; `expression` [E]; `sampling_box` and `head_box` [4] fractions
    (rows, then columns): the first weighs training pixels and is the seed's `bbox`, the second is what metrics over the
    head use; `mask` [H, W] uint8 (255 = person) where the dataset has one; `source_frame` is the frame's number in the
    video and `timestamp` its time in seconds, or -1 and NaN where unknown; `name` is the dataset's `file_path`.
    """

    image: UInt8[np.ndarray, "height width 3"]
    camera_to_head: Float[np.ndarray, "4 4"]
    expression: Float[np.ndarray, " expression"]
    sampling_box: Float[np.ndarray, " 4"]
    head_box: Float[np.ndarray, " 4"]
    mask: UInt8[np.ndarray, "height width"] | None
    source_frame: int
    timestamp: float
    name: str


@dataclass(frozen=True)
class Rays:
    """A bundle of rays in head space. Rays of several frames lie frame by frame, the same number of each.

    `background` [R, 3] is the plate's colour at the ray's pixel, or None. `view` [R, 3] is what the field is told of
    the direction, where that is not the ray's own unit vector.
    """

    origins: Float[Tensor, "rays 3"]
    directions: Float[Tensor, "rays 3"]
    background: Float[Tensor, "rays 3"] | None
    view: Float[Tensor, "rays 3"] | None = None

    def __len__(self) -> int:
        return int(self.origins.shape[0])


@dataclass(frozen=True)
class Samples:
    """Points on rays: `t_mid` [R, S] ascending, `positions` [R, S, 3] in head space."""

    t_mid: Float[Tensor, "rays samples"]
    positions: Float[Tensor, "rays samples 3"]


@dataclass(frozen=True)
class Rendering:
    """What any field gives for a whole image ([H, W, ...]) or for chosen pixels ([P, ...]).

    `colour` in [0, 1], over the background; `opacity` of the person alone in [0, 1] (1 - opacity is the weight of the
    background); `depth` along the camera axis in head units, the background counted where it lies.
    """

    colour: Float[Tensor, "*pixels 3"]
    opacity: Float[Tensor, "*pixels"]
    depth: Float[Tensor, "*pixels"]

    def reshape(self, *shape: int) -> Rendering:
        """The same values with `shape` in place of the pixel axes."""
        return Rendering(self.colour.reshape(*shape, 3), self.opacity.reshape(*shape), self.depth.reshape(*shape))


def concatenate(parts: list[Rendering]) -> Rendering:
    """Renderings of consecutive pixels as one."""
    return Rendering(
        torch.cat([part.colour for part in parts]),
        torch.cat([part.opacity for part in parts]),
        torch.cat([part.depth for part in parts]),
    )
