"""Checkpoints and avatar files: safetensors with the resolved configuration inside, written whole or not at all.

Format ("nerface-1"): tensors `model.<name>` and, in a checkpoint, `optimizer.<parameter>.<state>`; metadata `nerface`,
a JSON object with `format`, `config` (nerface.config), `subject` (nerface.fields.base.Subject), `state` (step, training
seconds) and `versions`. An avatar file is a checkpoint without the optimiser.
"""

from __future__ import annotations

import dataclasses
import json
import platform
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import safetensors
import safetensors.torch
import torch
from torch import Tensor

import nerface
from nerface.config import RunConfig, build, from_json, to_json
from nerface.errors import UserError
from nerface.fields import Avatar, Subject, build_avatar
from nerface.files import whole_file
from nerface.types import Intrinsics

FORMAT = "nerface-1"
KEEP = 2  # checkpoints kept in a run: the newest, and one before it


@dataclass(frozen=True)
class TrainingState:
    """How far a run is: `step` steps done in `seconds` of training (set-up and evaluation not counted).

    `losses` are those of the steps since the last logged line (a row of `nerface.training.losses.LOSSES` each), so that
    a resumed log is the same log.
    """

    step: int
    seconds: float
    losses: tuple[tuple[float, ...], ...] = ()


@dataclass(frozen=True)
class Checkpoint:
    """A file's content: the avatar on its device, its configuration, how far it was trained, the optimiser's tensors.

    `optimizer` maps "<parameter>.<state name>" to tensors on the CPU; it is empty for an avatar file.
    """

    avatar: Avatar
    config: RunConfig
    state: TrainingState
    optimizer: dict[str, Tensor]


def save_checkpoint(
    path: Path, avatar: Avatar, config: RunConfig, state: TrainingState, optimizer: torch.optim.Optimizer | None = None
) -> None:
    """Write an avatar, with `optimizer`'s state where one is given, to `path`: whole or not at all."""
    model = avatar.lasting_state() if optimizer is None else avatar.state_dict()
    tensors = {f"model.{name}": value.detach().cpu().contiguous() for name, value in model.items()}
    if optimizer is not None:
        names = {id(parameter): name for name, parameter in avatar.named_parameters()}
        for parameter, values in optimizer.state.items():
            for key, value in values.items():
                if value is None:  # SGD's momentum, which is none here
                    continue
                tensors[f"optimizer.{names[id(parameter)]}.{key}"] = torch.as_tensor(value).detach().cpu().contiguous()
    meta = {
        "format": FORMAT,
        "config": to_json(config),
        "subject": dataclasses.asdict(avatar.subject),
        "state": dataclasses.asdict(state),
        "versions": versions(),
    }
    with whole_file(path) as partial:
        # Not save_file: that makes a file which its owner alone may read, whatever the umask.
        partial.write_bytes(safetensors.torch.save(tensors, metadata={"nerface": json.dumps(meta)}))


def load_checkpoint(path: Path, device: torch.device | str = "cpu") -> Checkpoint:
    """Read what `save_checkpoint` wrote. Nothing in the file is executed.

    Raises `UserError` for a missing or damaged file, one of another program or another field, and for weights that do
    not fit the configuration.
    """
    if not path.is_file():
        raise UserError(f"there is no checkpoint {path}")
    try:
        with safetensors.safe_open(str(path), framework="pt") as file:
            text = (file.metadata() or {}).get("nerface")
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (not a mapping)
    except (safetensors.SafetensorError, OSError) as error:
        raise UserError(
            f"{path} is not a whole safetensors file ({error}): was it cut short, or is it something else?"
        ) from None
    if text is None:
        raise UserError(f"{path} is a safetensors file, but not one that nerface wrote")
    try:
        meta = json.loads(text)
        known = meta["format"] == FORMAT
    except (json.JSONDecodeError, KeyError, TypeError):
        raise UserError(f"{path} has a damaged description: is it a nerface file?") from None
    if not known:
        raise UserError(f"{path} has the format {meta['format']}, this version of nerface reads {FORMAT}")
    try:
        config = from_json(meta["config"], str(path))
        subject, state = _subject(meta["subject"], path), _state(meta["state"])
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        fault = f"{type(error).__name__}: {error}"
        raise UserError(f"{path} has a damaged description ({fault}): is it a nerface file?") from None
    avatar = build_avatar(config.avatar, subject)
    model = {name[len("model.") :]: value for name, value in tensors.items() if name.startswith("model.")}
    try:
        avatar.load_state_dict(model)
    except RuntimeError as error:
        fault = str(error).splitlines()[1].strip()
        raise UserError(f"{path}: its weights do not fit its configuration ({fault})") from None
    optimizer = {name[len("optimizer.") :]: value for name, value in tensors.items() if name.startswith("optimizer.")}
    return Checkpoint(avatar.to(device), config, state, optimizer)


def restore_optimizer(optimizer: torch.optim.Optimizer, avatar: Avatar, saved: dict[str, Tensor]) -> None:
    """Put the tensors of a checkpoint back into an optimiser over the avatar's parameters.

    Raises `UserError` where `saved` is empty (an avatar file) or of other parameters.
    """
    if not saved and not isinstance(optimizer, torch.optim.SGD):  # which has no state
        raise UserError("the file holds no optimiser state: training goes on from a checkpoint, not an avatar file")
    by_name = dict(avatar.named_parameters())
    for name, value in saved.items():
        parameter_name, _, key = name.rpartition(".")
        parameter = by_name.get(parameter_name)
        if parameter is None or value.shape not in (parameter.shape, ()):
            raise UserError(f"the checkpoint's optimiser state '{name}' does not fit the avatar: is the file damaged?")
        on_device = value if key == "step" and not _fused(optimizer) else value.to(parameter.device)
        optimizer.state[parameter][key] = on_device


def _fused(optimizer: torch.optim.Optimizer) -> bool:
    return any(group.get("fused") or group.get("capturable") for group in optimizer.param_groups)


def load_avatar(path: Path | str, device: torch.device | str = "cpu") -> Avatar:
    """The avatar in a file, or the newest one of a run's or a project's folder, ready to render."""
    return load_checkpoint(find_checkpoint(Path(path)), device).avatar.eval()


def find_checkpoint(path: Path) -> Path:
    """The file that `path` means: itself, or the avatar or newest checkpoint in a run's or a project's folder."""
    if path.is_file():
        return path
    if not path.exists():
        raise UserError(f"there is no avatar at {path}")
    for place in (path / "run" / "avatar.safetensors", path / "avatar.safetensors"):
        if place.is_file():
            return place
    for run in (path / "run", path):
        for found in checkpoints(run):
            return found
    raise UserError(f"{path} holds no avatar: name an avatar.safetensors, or the folder of a training run")


def find_training_checkpoint(path: Path) -> Path:
    """The file that training goes on from: of a folder the newest checkpoint, whose optimiser an avatar file lacks."""
    if path.is_dir():
        for folder in (path, path / "run"):
            for found in checkpoints(folder):
                return found
    return find_checkpoint(path)


def checkpoints(run: Path) -> Iterator[Path]:
    """The checkpoints of a run, newest first."""
    yield from sorted((run / "checkpoints").glob("step_*.safetensors"), reverse=True)


def checkpoint_path(run: Path, step: int) -> Path:
    """Where the checkpoint after `step` steps lies."""
    return run / "checkpoints" / f"step_{step:08d}.safetensors"


def prune_checkpoints(run: Path) -> None:
    """Keep the newest checkpoints alone."""
    for old in list(checkpoints(run))[KEEP:]:
        old.unlink()


def versions() -> dict[str, str]:
    """What a run was made with."""
    return {
        "nerface": nerface.__version__,
        "torch": torch.__version__,
        "python": platform.python_version(),
        "device": torch.cuda.get_device_name() if torch.cuda.is_available() else platform.processor() or "cpu",
    }


def _subject(value: dict[str, Any], path: Path) -> Subject:
    """A subject from JSON: lists become tuples, the camera its dataclass."""
    value = {**value, "intrinsics": build(Intrinsics, value["intrinsics"], str(path), "subject.intrinsics")}
    value["rest_pose"] = tuple(tuple(row) for row in value["rest_pose"])
    arguments: dict[str, Any] = {name: tuple(item) if isinstance(item, list) else item for name, item in value.items()}
    return Subject(**arguments)


def _state(value: dict[str, Any]) -> TrainingState:
    return TrainingState(value["step"], value["seconds"], tuple(map(tuple, value["losses"])))
