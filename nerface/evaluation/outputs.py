"""What else a drawn frame tells, as pictures: disparity, depth, normals, foreground mask and error."""

from __future__ import annotations

import cv2
import numpy as np
import torch
from jaxtyping import Float, UInt8, UInt16
from torch import Tensor

OUTPUTS = ("disparity", "depth", "normals", "mask", "error")
DEPTH_STEPS = 20_000  # 16-bit steps per head unit: 65535 of them reach 3.27 units, far beyond any camera
SMALLEST_DEPTH = 1e-10  # the seed's floor under the division (spec 4.4, step 4)
ERROR_AT_RED = 0.5  # of the length of the colour difference, which is at most sqrt(3)
ERROR_COLOURS = cv2.COLORMAP_JET  # the seed's colours

# What the pictures of each kind hold, for `outputs.json`.
MEANINGS: dict[str, dict[str, object]] = {
    "disparity": {
        "what": "1 / depth along the camera's axis, each picture stretched from its least to its greatest value",
        "file": "8-bit grey PNG",
    },
    "depth": {
        "what": "expected depth along the camera's axis; the backdrop counts where the last sample lies",
        "file": "16-bit grey PNG; the value 0 to 65535 times `unit_per_step` is the depth in head units",
        "unit": "head units (the mean camera distance of a clip is 0.5)",
        "unit_per_step": 1 / DEPTH_STEPS,
    },
    "normals": {
        "what": "outward unit normals n in head space (y up, z out of the face, x to the right where fx > 0)",
        "file": "8-bit RGB PNG; (n + 1) / 2 laid over white by the foreground's opacity",
    },
    "mask": {
        "what": "opacity of the person: 1 less the weight of the backdrop",
        "file": "8-bit grey PNG; 255 is opaque",
    },
    "error": {
        "what": "length of the difference of the colours (red, green and blue in [0, 1]) of render and truth",
        "file": "8-bit RGB PNG in OpenCV's jet colours, from dark blue for 0 to dark red for `red_from` and more",
        "red_from": ERROR_AT_RED,
    },
}


def disparity_picture(depth: Float[Tensor, "height width"]) -> UInt8[np.ndarray, "height width"]:
    """1 / depth, from its smallest (0) to its largest value (255) in this picture, as the seed writes it (spec 5.2).

    Black where all are equal.
    """
    disparity = 1 / depth.double().clamp(min=SMALLEST_DEPTH)
    low, high = disparity.min(), disparity.max()
    share = (disparity - low) / (high - low) if bool(high > low) else torch.zeros_like(disparity)
    return _bytes(share)


def depth_picture(depth: Float[Tensor, "height width"]) -> UInt16[np.ndarray, "height width"]:
    """Depth in steps of 1/20000 head unit, rounded; 65535 where it does not fit."""
    return np.rint(np.clip(depth.double().cpu().numpy() * DEPTH_STEPS, 0, 65535)).astype(np.uint16)


def mask_picture(opacity: Float[Tensor, "height width"]) -> UInt8[np.ndarray, "height width"]:
    """How much of each pixel is the person; 255 is all of it."""
    return _bytes(opacity)


def normals_picture(
    normals: Float[Tensor, "height width 3"], opacity: Float[Tensor, "height width"]
) -> UInt8[np.ndarray, "height width 3"]:
    """Head-space normals n as colours (n + 1) / 2, over white by the opacity; white where there is none (zeros)."""
    known = (normals != 0).any(dim=-1)
    share = torch.where(known, opacity.clamp(0, 1), torch.zeros_like(opacity))[..., None]
    return _bytes(share * (normals + 1) / 2 + (1 - share))


def error_picture(
    picture: UInt8[np.ndarray, "height width 3"], truth: UInt8[np.ndarray, "height width 3"]
) -> UInt8[np.ndarray, "height width 3"]:
    """The length of the colour difference, in jet colours whose scale is the same in every picture."""
    difference = (picture.astype(np.float64) - truth) / 255
    length = np.linalg.norm(difference, axis=-1)
    level = np.rint(np.clip(length / ERROR_AT_RED, 0, 1) * 255).astype(np.uint8)
    return np.asarray(cv2.cvtColor(cv2.applyColorMap(level, ERROR_COLOURS), cv2.COLOR_BGR2RGB))


def _bytes(shares: Tensor) -> np.ndarray:
    return (shares.detach().double().clamp(0, 1) * 255).round().to(torch.uint8).cpu().numpy()
