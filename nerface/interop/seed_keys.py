"""The keys of the seed's YAML configs: their types, what they are where missing, and which of them decide nothing.

Format: spec section 2, from NeRFace's scripts and its 54 shipped configs.
"""

from __future__ import annotations

import difflib
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from nerface.errors import UserError


@dataclass(frozen=True)
class Key:
    """One setting: its type, its value where a config lacks it (None: it has none), and its smallest value."""

    kind: type
    default: Any = None
    least: float | None = None


_MODEL = {
    "type": Key(str),
    "num_layers": Key(int, 4),
    "hidden_size": Key(int, 256, 2),
    "skip_connect_every": Key(int, 3),
    "include_input_xyz": Key(bool, True),
    "include_input_dir": Key(bool, False),
    "num_encoding_fn_xyz": Key(int, 10, 0),
    "num_encoding_fn_dir": Key(int, 4, 0),
    "log_sampling_xyz": Key(bool, True),
    "log_sampling_dir": Key(bool, True),
    "use_viewdirs": Key(bool, True),
}
_RENDERING = {
    "num_random_rays": Key(int, 2048, 1),
    "chunksize": Key(int, 2048, 1),
    "perturb": Key(bool, True),
    "num_coarse": Key(int, 64, 4),
    "num_fine": Key(int, 64, 0),
    "white_background": Key(bool, False),
    "radiance_field_noise_std": Key(float, 0.0, 0.0),
    "lindisp": Key(bool, False),
}
_TRAINING = {**_RENDERING, "radiance_field_noise_std": Key(float, 0.1, 0.0)}
_GROUPS: dict[str, dict[str, Key]] = {
    "experiment": {
        "id": Key(str),
        "logdir": Key(str),
        "randomseed": Key(int, 42, 0),
        "train_iters": Key(int, 1_000_000, 1),
        "validate_every": Key(int, 1000, 1),
        "save_every": Key(int, 5000, 1),
        "print_every": Key(int, 100, 1),
        "device": Key(int, 0),
    },
    "dataset": {
        "type": Key(str, "blender"),
        "basedir": Key(str),
        "half_res": Key(bool, False),
        "testskip": Key(int, 1, 0),
        "no_ndc": Key(bool, True),
        "near": Key(float, 0.2, 0.0),
        "far": Key(float, 0.8, 0.0),
        "cachedir": Key(str),
        "downsample_factor": Key(float, 1),
    },
    "models": {},
    "models.coarse": _MODEL,
    "models.fine": _MODEL,
    "optimizer": {"type": Key(str, "Adam"), "lr": Key(float, 5e-4)},
    "scheduler": {"lr_decay": Key(float, 250), "lr_decay_factor": Key(float, 0.1)},
    "nerf": {
        "use_viewdirs": Key(bool, True),
        "encode_position_fn": Key(str, "positional_encoding"),
        "encode_direction_fn": Key(str, "positional_encoding"),
    },
    "nerf.train": _TRAINING,
    "nerf.validation": _RENDERING,
}
KEYS: dict[str, Key] = {f"{group}.{name}": key for group, keys in _GROUPS.items() for name, key in keys.items()}
POSITIVE = ("optimizer.lr", "scheduler.lr_decay", "scheduler.lr_decay_factor")

# Keys that the seed reads nowhere, or only on paths that crash (spec section 2 and B16).
DEAD = (
    "experiment.device",
    "dataset.cachedir",
    "dataset.downsample_factor",
    "models.coarse.skip_connect_every",
    "models.fine.skip_connect_every",
    "models.fine.log_sampling_xyz",
    "models.fine.log_sampling_dir",
    "models.fine.num_layers",
    "models.fine.hidden_size",
    "nerf.encode_position_fn",
    "nerf.encode_direction_fn",
    "nerf.validation.num_random_rays",
)


@dataclass(frozen=True)
class Settings:
    """The leaves of one config: `given` by dotted path, as the file has them."""

    file: Path
    given: Mapping[str, Any]

    def __getitem__(self, path: str) -> Any:
        """A setting's value, or what it is where missing."""
        return self.given.get(path, KEYS[path].default)

    def where(self, path: str) -> str:
        """How an error names a setting."""
        return f"{self.file}, {path}"


def read_settings(file: Path) -> Settings:
    """Every setting of a YAML file, checked for its name and type.

    Raises `UserError` for a missing file, one that is not plain YAML (tags that would build objects are refused), an
    unknown key (with the nearest known name) and a value of the wrong type or size.
    """
    try:
        content = yaml.safe_load(file.read_bytes())
    except FileNotFoundError:
        raise UserError(f"there is no config {file}") from None
    except OSError as error:
        raise UserError(f"{file} cannot be read: {error.strerror}") from None
    except yaml.YAMLError as error:
        fault = " ".join(str(getattr(error, "problem", None) or error).split())
        mark = getattr(error, "problem_mark", None)
        place = "" if mark is None else f", line {mark.line + 1}"
        raise UserError(f"{file}{place}: not plain YAML ({fault})") from None
    except (RecursionError, ValueError) as error:
        raise UserError(f"{file}: not plain YAML ({error})") from None
    if not isinstance(content, dict) or "models" not in content:
        raise UserError(f"{file} has no group 'models': is it a config of NeRFace's form?")
    given: dict[str, Any] = {}
    _collect(content, "", file, given)
    return Settings(file, given)


def _collect(group: Mapping[Any, Any], path: str, file: Path, given: dict[str, Any]) -> None:
    for name, value in group.items():
        full = f"{path}.{name}" if path else str(name)
        if full in KEYS:
            given[full] = _checked(full, value, file)
        elif full not in _GROUPS:
            near = _nearest(full)
            raise UserError(f"{file}: unknown setting '{full}'" + (f", did you mean '{near}'?" if near else ""))
        elif isinstance(value, dict):
            _collect(value, full, file, given)
        elif value is not None:  # a group that is there but empty says nothing
            raise UserError(f"{file}: '{full}' must be a group of settings, not {_shown(value)}")


def _checked(full: str, value: Any, file: Path) -> Any:
    """A value as its key's type. Numbers such as 5e-4, which YAML 1.1 takes for a text, are numbers here."""
    key = KEYS[full]
    where = f"{file}: '{full}'"
    found = _as(key.kind, value)
    if found is None:
        words = {bool: "True or False", int: "a whole number", float: "a number", str: "a text"}
        raise UserError(f"{where} must be {words[key.kind]}, not {_shown(value)}")
    if key.least is not None and found < key.least:
        raise UserError(f"{where} must be at least {key.least:g}: {found}")
    if full in POSITIVE and found <= 0:
        raise UserError(f"{where} must be greater than 0: {found}")
    return found


def _as(kind: type, value: Any) -> Any:
    """`value` as a `kind`, or None where it is none."""
    if kind is bool or isinstance(value, bool):
        return value if kind is bool and isinstance(value, bool) else None
    if kind is str:
        return str(value) if isinstance(value, (str, int, float)) else None
    if not isinstance(value, (str, int, float)):
        return None
    try:
        number = float(value)
    except (ValueError, OverflowError):
        return None
    if not math.isfinite(number) or (kind is int and number != int(number)):
        return None
    return int(number) if kind is int else number


def _shown(value: Any) -> str:
    return repr(value)[:60] if isinstance(value, (str, int, float)) or value is None else f"a {type(value).__name__}"


def _nearest(full: str) -> str:
    """The known name most like an unknown one: in its own group first, then anywhere."""
    names = [*KEYS, *_GROUPS]
    group, _, leaf = full.rpartition(".")
    beside = {name.rpartition(".")[2]: name for name in names if name.rpartition(".")[0] == group}
    elsewhere = {name.rpartition(".")[2]: name for name in reversed(names)}
    for known in (beside, elsewhere):
        close = difflib.get_close_matches(leaf, known, n=1)
        if close:
            return known[close[0]]
    return next(iter(difflib.get_close_matches(full, names, n=1)), "")
