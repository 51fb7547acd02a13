"""The content of a checkpoint that the seed's trainer wrote, read without running anything in it.

Format: spec 4.6. A dictionary saved by `torch.save`: `iter`, `model_coarse_state_dict`, `model_fine_state_dict` (or
None), `optimizer_state_dict`, `loss`, `psnr`, `background` [H, W, 3] (or None), `latent_codes` [train frames, L] (None,
or [L] where the seed trained without).
"""

from __future__ import annotations

import pickle
import re
import warnings
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from nerface.errors import UserError

NEEDED = ("iter", "model_coarse_state_dict", "latent_codes")
DIRECTION_KEY = "nerface_direction"  # ours: what the networks see as direction, where it is not the seed's accident
LEVELS = 255.0  # of an 8-bit picture
ASKED_FOR = re.compile(r"GLOBAL\s+([\w.]+)")  # how PyTorch's reader names what it refuses to call
NOT_WHOLE = "is not a whole checkpoint of PyTorch: was it cut short or damaged, or is it something else?"


@dataclass(frozen=True)
class SeedFile:
    """What a `.ckpt` holds, on the CPU: networks and codes in float32, the optimiser's state as it is.

    `optimizer` maps parameter numbers to their state, `groups` are the parameter numbers of each of its groups; both
    are empty where the file has none. `has_background` tells a `background` of None from none at all.
    """

    path: Path
    iteration: int
    coarse: dict[str, Tensor]
    fine: dict[str, Tensor] | None
    latent_codes: Tensor | None
    background: Tensor | None
    has_background: bool
    optimizer: Mapping[int, Mapping[str, Tensor]]
    groups: tuple[tuple[int, ...], ...]
    direction: str


def read_seed_file(path: Path) -> SeedFile:
    """Read a `.ckpt` of the seed's trainer. Only tensors and plain values are loaded; no code in the file can run.

    Raises `UserError` for a missing or damaged file, one that asks for code to be run, one of another program, and
    tensors that are not of finite numbers.
    """
    content = _load(path)
    if not isinstance(content, dict) or not any(key in content for key in NEEDED):
        raise UserError(f"{path} is not a checkpoint of NeRFace's trainer: it has no '{NEEDED[1]}'")
    missing = [key for key in NEEDED if key not in content]
    if missing:
        raise UserError(f"{path} lacks '{missing[0]}': is it a checkpoint of NeRFace's trainer?")
    iteration = content["iter"]
    if isinstance(iteration, bool) or not isinstance(iteration, int) or iteration < 0:
        raise UserError(f"{path}: 'iter' is not a count of steps")
    fine = content.get("model_fine_state_dict")
    codes = _shaped(_tensor(content["latent_codes"], "latent_codes", path), (1, 2), path, "latent_codes")
    background = _shaped(_tensor(content.get("background"), "background", path), (3,), path, "background")
    if background is not None and background.shape[2] != 3:
        raise UserError(f"{path}: 'background' has {background.shape[2]} channels: a picture [H, W, 3] is needed")
    numbers, groups = _optimizer(content.get("optimizer_state_dict"), path)
    return SeedFile(
        path=path,
        iteration=iteration,
        coarse=_tensors(content["model_coarse_state_dict"], "model_coarse_state_dict", path),
        fine=None if fine is None else _tensors(fine, "model_fine_state_dict", path),
        latent_codes=codes,
        background=background,
        has_background="background" in content,
        optimizer=numbers,
        groups=groups,
        direction="view" if content.get(DIRECTION_KEY) == "view" else "z_near_far",
    )


def _load(path: Path) -> Any:
    if not path.is_file():
        raise UserError(f"there is no checkpoint {path}")
    try:
        _check_sums(path)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of pickles in another dialect: what is wrong with them is told below
            return torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        asked = ASKED_FOR.search(str(error))
        if asked is None:
            raise UserError(f"{path} {NOT_WHOLE}") from None
        raise UserError(
            f"{path} asks for {asked.group(1)}, which is neither a tensor nor a plain value: it was not opened, and "
            "nothing in it was run"
        ) from None
    except (zipfile.BadZipFile, RuntimeError, EOFError, OSError, ValueError, LookupError, TypeError, AttributeError):
        raise UserError(f"{path} {NOT_WHOLE}") from None


def _check_sums(path: Path) -> None:
    """Raise `BadZipFile` where a part of the archive is not as it was written (PyTorch does not look)."""
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            damaged = archive.testzip()
        if damaged is not None:
            raise zipfile.BadZipFile(damaged)


def _tensors(value: Any, name: str, path: Path) -> dict[str, Tensor]:
    if not isinstance(value, dict) or not value:
        raise UserError(f"{path}: '{name}' is not a network's state")
    found = {}
    for key, item in value.items():
        tensor = _tensor(item, f"{name}.{key}", path)
        if tensor is None:
            raise UserError(f"{path}: '{name}.{key}' is not a tensor")
        found[str(key)] = tensor
    return found


def _tensor(value: Any, name: str, path: Path) -> Tensor | None:
    """A tensor of finite numbers as float32, or None where there is None."""
    if value is None:
        return None
    if not isinstance(value, Tensor) or not value.is_floating_point() or value.layout != torch.strided:
        raise UserError(f"{path}: '{name}' is not a tensor of real numbers")
    if value.numel() > value.untyped_storage().nbytes() // max(1, value.element_size()):
        raise UserError(f"{path}: '{name}' claims more numbers than the file holds")
    if not bool(torch.isfinite(value).all()):
        raise UserError(f"{path}: '{name}' holds NaN or infinity: did training diverge?")
    return value.detach().float()


def _shaped(value: Tensor | None, axes: tuple[int, ...], path: Path, name: str) -> Tensor | None:
    """`value` where it has one of these numbers of axes, none of them empty."""
    if value is not None and (value.ndim not in axes or 0 in value.shape[:-1]):
        raise UserError(f"{path}: '{name}' has the shape {list(value.shape)}, which makes no sense")
    return value


def _optimizer(value: Any, path: Path) -> tuple[dict[int, dict[str, Tensor]], tuple[tuple[int, ...], ...]]:
    """The optimiser's state by parameter number, and the parameter numbers of its groups."""
    if value is None:
        return {}, ()
    try:
        groups = tuple(tuple(int(number) for number in group["params"]) for group in value["param_groups"])
        state = {
            int(number): {str(key): torch.as_tensor(item) for key, item in entry.items() if item is not None}
            for number, entry in value["state"].items()
        }
    except (KeyError, TypeError, ValueError, AttributeError, RuntimeError):
        raise UserError(f"{path}: 'optimizer_state_dict' is not the state of an optimiser of PyTorch") from None
    for number, entry in state.items():
        for key, item in entry.items():
            if not bool(torch.isfinite(item).all()):
                raise UserError(f"{path}: the optimiser's {key} of parameter {number} holds NaN or infinity")
    return state, groups
