"""LPIPS, a learned perceptual distance (Zhang, Isola, Efros, Shechtman and Wang, CVPR 2018), version 0.1.

The networks are those of the authors' package `lpips`, with AlexNet or VGG-16 inside. That pictures are scaled and
weighed as the paper says is tested with made-up weights; it has not been verified on the real weights here.
"""

from __future__ import annotations

import math
import warnings
from pathlib import Path

import numpy as np
import torch
from jaxtyping import UInt8
from torch import Tensor, nn

from nerface.errors import UserError
from nerface.evaluation.backbones import BACKBONES, LpipsFiles, find_backbone, read_backbone
from nerface.evaluation.lpips_package import LpipsMissing, import_lpips, missing_packages


class Lpips:
    """The distance with the backbone `net` ("alex" or "vgg"), its weights from `file`, on `device`.

    Raises `LpipsMissing` where the package cannot be used and `UserError` where the file does not fit.
    """

    def __init__(self, net: str, file: Path, device: torch.device) -> None:
        package = import_lpips()
        self.smallest = BACKBONES[net].smallest
        with torch.random.fork_rng(devices=[]), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # torchvision's, on how lpips asks for a network without weights
            # pnet_rand: the package would fetch the backbone from the network otherwise. Its random weights are all
            # replaced below; the small linear layers on top come with the package.
            model = package.LPIPS(net=net, pnet_rand=True, verbose=False)
        _fill(model.net, net, file)
        self.model: nn.Module = model.to(device)
        self.device = device

    def distance(
        self, picture: UInt8[np.ndarray, "height width 3"], truth: UInt8[np.ndarray, "height width 3"]
    ) -> float:
        """Today's convention: colours from -1 to 1. 0 for equal pictures; NaN where they are too small for the net."""
        return self._between(2 * _as_tensor(picture) - 1, 2 * _as_tensor(truth) - 1)

    def nerface_distance(
        self, picture: UInt8[np.ndarray, "height width 3"], truth: UInt8[np.ndarray, "height width 3"]
    ) -> float:
        """NeRFace's convention: colours from 0 to 1, half the contrast that the net was made for (spec 5.5)."""
        return self._between(_as_tensor(picture), _as_tensor(truth))

    @torch.no_grad()
    def _between(self, left: Tensor, right: Tensor) -> float:
        if min(left.shape[-2:]) < self.smallest:
            return math.nan
        return float(self.model(left.to(self.device), right.to(self.device)))


def open_lpips(net: str, files: LpipsFiles, device: torch.device) -> Lpips:
    """The distance with the weights that `files` leads to.

    Raises `LpipsMissing` where there are none, `UserError` where weights were asked for by name and cannot be used.
    """
    asked = files.given(net) is not None or files.download
    if missing_packages() and asked:
        raise UserError(f"LPIPS cannot be measured: {missing_packages()}")
    if missing_packages():
        raise LpipsMissing(missing_packages())
    file = find_backbone(net, files)
    try:
        return Lpips(net, file, device)
    except LpipsMissing as error:
        if asked:
            raise UserError(f"LPIPS cannot be measured: {error}") from None
        raise


def _as_tensor(picture: UInt8[np.ndarray, "height width 3"]) -> Tensor:
    """[1, 3, H, W] in [0, 1]."""
    return torch.from_numpy(np.ascontiguousarray(picture)).permute(2, 0, 1)[None].float() / 255


def _fill(model: nn.Module, net: str, file: Path) -> None:
    """Put a torchvision file's convolutions into the package's slices of the network.

    The slices keep the numbers of torchvision's layers: `slice2.3.weight` is `features.3.weight`.
    """
    own = model.state_dict()
    stored_names = {name: f"features.{name.partition('.')[2]}" for name in own}
    stored = read_backbone(net, file, {stored_names[name]: tuple(value.shape) for name, value in own.items()})
    model.load_state_dict({name: stored[stored_names[name]] for name in own})
