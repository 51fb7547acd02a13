"""The resolved configuration of a run: plain frozen dataclasses, saved as JSON with everything that a run writes."""

from __future__ import annotations

import dataclasses
import difflib
import json
import math
import types
import typing
from dataclasses import dataclass, field
from typing import Any

from nerface.errors import UserError
from nerface.fields import CONFIGS, AvatarConfig, PaperConfig, SplatConfig, kind_of
from nerface.precision import PRECISIONS

OPTIMIZERS = ("Adam", "AdamW", "RAdam", "NAdam", "Adamax", "Adagrad", "RMSprop", "SGD")  # of torch.optim
LATENT_PENALTY_FORMS = ("norm", "squared")
COLOUR_LOSSES = ("squared", "absolute")


@dataclass(frozen=True)
class DataConfig:
    """What of a dataset is used: pictures at `half_res`, every `test_skip`-th val and test frame, the first
    `train_share` of the training frames in time, and with `white_background` the person on white in place of the plate.
    """

    half_res: bool = False
    test_skip: int = 1
    train_share: float = 1.0
    white_background: bool = False

    def __post_init__(self) -> None:
        if self.test_skip < 1:
            raise ValueError(f"test_skip must be at least 1: {self.test_skip}")
        if not 0.0 < self.train_share <= 1.0:
            raise ValueError(f"train_share must be greater than 0 and at most 1: {self.train_share}")


@dataclass(frozen=True)
class TrainingConfig:
    """How a field is trained. The defaults are NeRFace's.

    `rays` pixels a step, drawn from `frames` training frames (None: 1, as NeRFace, or 8 where poses are corrected,
    which wants every frame seen often), `inside_weight` the seed's 0.9 : 0.1 preference for the head's box (or,
    with `inside_share`, exactly that share of them inside: the paper's 0.95). With `rays` None, for fields that
    draw whole frames, all pixels of the frames count, in the colour loss by the same weights. `optimizer`, by its
    name in torch.optim, with `learning_rate` falling by `decay_factor` every `decay_steps` (None: by the end of the
    run's `steps`). What is minimised is the `colour_loss`, squared or absolute, mixed with `ssim_weight` of 1 -
    SSIM (whole frames alone). Added to it are `latent_penalty` times the norm of each latent code in use
    (`latent_penalty_form` "squared": its square, the paper's weight decay); with a learned background,
    `background_penalty` times its squared error where rays reach it; and, where the dataset has person masks,
    `mask_penalty` times the squared difference of opacity and mask (not in NeRFace: None: 0.02 for datasets whose
    poses were tracked, 0 for others; it keeps density off the backdrop). From step `corrections_start` on,
    corrections of poses and gains of colour learn by about `pose_learning_rate` and `colour_learning_rate` a visit
    of their frame, in units of usual errors (`nerface.training.corrections`: a degree, 4 mm; 2 %); `pose_penalty`
    and `colour_penalty` weigh their squares in those units; what changes more slowly than in `drift_period` seconds
    or goes with pose and expression is taken out of pose corrections: they cannot move the frame of reference. A
    line is logged every `log_every` steps, held-out PSNR every `validate_every`, a checkpoint every `save_every`.
    `precision` is "auto" (bf16 on CUDA), "fp32" or "bf16".
    """

    steps: int = 400_000
    rays: int | None = 2048
    frames: int | None = None
    learning_rate: float = 5e-4
    decay_factor: float = 0.1
    decay_steps: int | None = 250_000
    optimizer: str = "Adam"
    colour_loss: str = "squared"
    ssim_weight: float = 0.0
    latent_penalty: float = 0.005
    latent_penalty_form: str = "norm"
    background_penalty: float = 0.0
    mask_penalty: float | None = None
    corrections_start: int = 300
    pose_learning_rate: float = 0.1
    pose_penalty: float = 1e-5
    drift_period: float = 8.0
    colour_learning_rate: float = 0.1
    colour_penalty: float = 1e-4
    inside_weight: float = 0.9
    inside_share: float | None = None
    log_every: int = 100
    validate_every: int = 1000
    save_every: int = 5000
    seed: int = 42
    precision: str = "auto"

    def __post_init__(self) -> None:
        for name in ("steps", "rays", "frames", "decay_steps", "log_every", "validate_every", "save_every"):
            if getattr(self, name) is not None and getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1: {getattr(self, name)}")
        if self.colour_loss not in COLOUR_LOSSES:
            raise ValueError(f"colour_loss must be one of {', '.join(COLOUR_LOSSES)}: {self.colour_loss}")
        if not 0.0 <= self.ssim_weight <= 1.0:
            raise ValueError(f"ssim_weight must lie between 0 and 1: {self.ssim_weight}")
        if self.ssim_weight and self.rays is not None:
            raise ValueError("ssim_weight needs whole frames: rays=null")
        if self.rays is None and self.inside_share is not None:
            raise ValueError("inside_share says how rays are drawn, and whole frames draw none: use inside_weight")
        if self.frames is not None and self.rays is not None and self.rays < self.frames:
            raise ValueError(f"rays must be at least frames, one of each: {self.rays} rays of {self.frames} frames")
        for name in ("learning_rate", "decay_factor", "pose_learning_rate", "colour_learning_rate", "drift_period"):
            if getattr(self, name) <= 0.0:
                raise ValueError(f"{name} must be greater than 0: {getattr(self, name)}")
        if self.precision not in PRECISIONS:
            raise ValueError(f"precision must be one of {', '.join(PRECISIONS)}: {self.precision}")
        if self.optimizer not in OPTIMIZERS:
            raise ValueError(f"optimizer must be one of {', '.join(OPTIMIZERS)}: {self.optimizer}")
        if self.latent_penalty_form not in LATENT_PENALTY_FORMS:
            raise ValueError(f"latent_penalty_form must be norm or squared: {self.latent_penalty_form}")
        if self.inside_share is not None and not 0.0 <= self.inside_share <= 1.0:
            raise ValueError(f"inside_share must lie between 0 and 1: {self.inside_share}")
        if not 0.0 < self.inside_weight < 1.0:
            raise ValueError(f"inside_weight must lie between 0 and 1: {self.inside_weight}")


@dataclass(frozen=True)
class RunConfig:
    """Everything that decides what a training run computes, besides the dataset and the machine."""

    preset: str
    avatar: AvatarConfig = field(default_factory=PaperConfig)
    training: TrainingConfig = field(default_factory=TrainingConfig)
    data: DataConfig = field(default_factory=DataConfig)

    def __post_init__(self) -> None:
        if self.training.background_penalty and self.avatar.background != "trainable":
            raise ValueError("training.background_penalty needs a learned background: avatar.background=trainable")
        if isinstance(self.avatar, SplatConfig) != (self.training.rays is None):
            raise ValueError(
                f"the field {kind_of(self.avatar)} is trained on "
                + ("whole frames: training.rays=null" if self.training.rays else "rays: give training.rays a number")
            )


def to_json(config: RunConfig) -> dict[str, Any]:
    """The configuration as JSON values; the avatar's part carries its `kind`."""
    value = dataclasses.asdict(config)
    value["avatar"] = {"kind": kind_of(config.avatar), **value["avatar"]}
    return typing.cast(dict[str, Any], json.loads(json.dumps(value)))  # tuples become lists, as in a file


def from_json(value: dict[str, Any], where: str) -> RunConfig:
    """The configuration that `to_json` wrote. `where` names the file in errors.

    Raises `UserError` for an unknown kind of avatar, unknown names (with the nearest known one) and wrong types.
    """
    if not isinstance(value.get("avatar"), dict):
        raise UserError(f"{where}: 'avatar' must be a group of settings, not {json.dumps(value.get('avatar'))}")
    value = {**value, "avatar": dict(value["avatar"])}
    kind = value["avatar"].pop("kind", None)
    if not isinstance(kind, str) or kind not in CONFIGS:
        known = ", ".join(CONFIGS)
        raise UserError(f"{where} is of the field '{kind}', which this version does not know (known: {known})")
    avatar = build(CONFIGS[kind], value.pop("avatar"), where, "avatar")
    return typing.cast(RunConfig, build(RunConfig, {**value, "avatar": avatar}, where, ""))


def build(cls: type, value: dict[str, Any], where: str, path: str) -> Any:
    """A (nested) frozen dataclass from JSON values, strictly: every name known, every number of its type."""
    hints = typing.get_type_hints(cls)
    arguments = {}
    for name, given in value.items():
        full = f"{path}.{name}" if path else name
        if name not in hints:
            near = difflib.get_close_matches(name, hints, n=1)
            raise UserError(f"{where}: unknown setting '{full}'" + (f", did you mean '{near[0]}'?" if near else ""))
        arguments[name] = _value(hints[name], given, where, full)
    try:
        return cls(**arguments)
    except (TypeError, ValueError) as error:
        raise UserError(f"{where}: {error}") from None


def _value(hint: Any, given: Any, where: str, full: str) -> Any:
    options = typing.get_args(hint) if isinstance(hint, types.UnionType) else (hint,)
    nested = [option for option in options if dataclasses.is_dataclass(option)]
    if isinstance(given, dict) and nested:
        return build(typing.cast(type, nested[0]), given, where, full)
    if typing.get_origin(hint) is tuple:
        if not isinstance(given, list) or not all(type(item) is int for item in given):
            raise UserError(f"{where}: '{full}' must be a list of whole numbers, not {json.dumps(given)}")
        return tuple(given)
    if given is None and type(None) in options:
        return None
    if float in options and isinstance(given, int) and not isinstance(given, bool):
        return float(given)
    if not isinstance(given, tuple(option for option in options if isinstance(option, type))) or (
        isinstance(given, bool) and bool not in options
    ):
        expected = " or ".join(getattr(option, "__name__", str(option)) for option in options)
        raise UserError(f"{where}: '{full}' must be {expected}, not {json.dumps(given)}")
    if isinstance(given, float) and not math.isfinite(given):
        raise UserError(f"{where}: '{full}' must be a finite number, not {given}")
    return given


def override(config: RunConfig, settings: list[str]) -> RunConfig:
    """`config` with settings such as "training.steps=2000" or "avatar.sampling.coarse=32" replaced (values as JSON)."""
    value = to_json(config)
    for setting in settings:
        path, equals, text = setting.partition("=")
        if not equals:
            raise UserError(f"--set {setting}: write it as name=value, for example training.steps=2000")
        *folders, name = path.split(".")
        place = value
        for step, folder in enumerate(folders):
            if not isinstance(place.get(folder), dict):
                raise UserError(f"--set {setting}: there is no group '{'.'.join(folders[: step + 1])}'")
            place = place[folder]
        try:
            place[name] = json.loads(text)
        except json.JSONDecodeError:
            place[name] = text
    return from_json(value, "--set")


def first_difference(one: dict[str, Any], other: dict[str, Any], path: str = "") -> str:
    """In words, one setting in which two JSON objects differ; empty where they are the same.

    That of another kind is told before what follows from it.
    """
    for name in sorted(one.keys() | other.keys(), key=lambda name: (name != "kind", name)):
        first, second = one.get(name), other.get(name)
        if isinstance(first, dict) and isinstance(second, dict):
            if first != second:
                return first_difference(first, second, f"{path}{name}.")
        elif first != second:
            return f"{path}{name} {first}, now {second}"
    return ""
