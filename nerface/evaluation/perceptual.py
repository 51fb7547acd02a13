"""Measures pairs of pictures with everything that needs a set-up: LPIPS's networks, where they can be had."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import UInt8

from nerface.evaluation.backbones import BACKBONES, LpipsFiles
from nerface.evaluation.gmsd import gmsd
from nerface.evaluation.lpips_distance import Lpips, open_lpips
from nerface.evaluation.lpips_package import LpipsMissing
from nerface.evaluation.nerface_convention import NerfaceScores, nerface_ssim


@dataclass(frozen=True)
class Perceptual:
    """Perceptual distances, smaller is better: `gmsd`, and LPIPS with AlexNet and with VGG-16 in today's convention.

    NaN where one could not be measured.
    """

    gmsd: float
    lpips_alex: float
    lpips_vgg: float


class Judge:
    """Measures pairs of pictures (uint8 [H, W, 3], of one size).

    `missing` says why a figure is not available, by its name (`lpips_alex`, `lpips_vgg`).
    """

    def __init__(self, nets: Mapping[str, Lpips], missing: Mapping[str, str]) -> None:
        self._nets, self.missing = nets, dict(missing)

    def perceptual(
        self, picture: UInt8[np.ndarray, "height width 3"], truth: UInt8[np.ndarray, "height width 3"]
    ) -> Perceptual:
        """The perceptual distances in today's convention."""
        found = {net: model.distance(picture, truth) for net, model in self._nets.items()}
        return Perceptual(gmsd(picture, truth), found.get("alex", math.nan), found.get("vgg", math.nan))

    def nerface(
        self, picture: UInt8[np.ndarray, "height width 3"], truth: UInt8[np.ndarray, "height width 3"]
    ) -> NerfaceScores:
        """The figures in NeRFace's convention."""
        alex = self._nets.get("alex")
        distance = math.nan if alex is None else alex.nerface_distance(picture, truth)
        return NerfaceScores(nerface_ssim(picture, truth), distance)


def open_judge(files: LpipsFiles, device: torch.device) -> Judge:
    """A judge with the LPIPS networks that `files` leads to; the others are noted as missing.

    Raises `UserError` where weights were asked for by name and cannot be used.
    """
    nets, missing = {}, {}
    for net in BACKBONES:
        try:
            nets[net] = open_lpips(net, files, device)
        except LpipsMissing as reason:
            missing[f"lpips_{net}"] = str(reason)
    return Judge(nets, missing)
