"""A config of the seed's form, unchanged, as a configuration of ours.

What its trainer does by constants in the source (the weights 0.9 : 0.1 of the head's box, the latent penalty of 0.005
times the norm; spec 4.2, 4.3) are the defaults of `TrainingConfig`.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from nerface.config import DataConfig, RunConfig, TrainingConfig
from nerface.errors import UserError
from nerface.fields.paper import PaperConfig
from nerface.fields.paper_field import FieldConfig
from nerface.interop.seed_keys import DEAD, KEYS, Settings, read_settings
from nerface.interop.seed_models import DEEPEST, SHALLOWEST, SeedModel, model_named
from nerface.rendering.volume import SamplingConfig

DECAY_UNIT_STEPS = 1000  # scheduler.lr_decay counts thousands of steps
_ENCODING = ("include_input_xyz", "include_input_dir", "num_encoding_fn_xyz", "num_encoding_fn_dir", "use_viewdirs")


@dataclass(frozen=True)
class SeedConfig:
    """A seed's config: `run` is what it means here; `coarse` and `fine` are its network classes.

    `basedir` is the dataset's folder and `logdir`/`id` the run's, as written (None where not given); `fine` is None
    where no fine network is trained. `ignored` names
    settings that have no effect in the seed either, `decided` those that decide nothing here, each with its reason.
    """

    file: Path
    run: RunConfig
    coarse: SeedModel
    fine: SeedModel | None
    basedir: str | None
    logdir: str | None
    id: str | None
    ignored: tuple[str, ...] = ()
    decided: tuple[str, ...] = ()

    def warnings(self) -> list[str]:
        """One line for each kind of setting without effect."""
        lines = []
        if self.ignored:
            lines.append(f"{self.file}: without effect, as in NeRFace's code: {', '.join(self.ignored)}")
        if self.decided:
            lines.append(f"{self.file}: decided otherwise here: {', '.join(self.decided)}")
        return lines

    def dataset_folder(self, chosen: Path | None = None) -> Path:
        """`chosen`, else `basedir`: below the working directory, as in the seed, else beside the config file.

        Raises `UserError` where there is no such folder.
        """
        if chosen is not None:
            if not chosen.is_dir():
                raise UserError(f"the dataset {chosen} is not a folder")
            return chosen
        if self.basedir is None:
            raise UserError(f"{self.file} has no dataset.basedir: name the dataset with --basedir FOLDER")
        written = Path(self.basedir).expanduser()
        for place in (written, self.file.parent / written):
            if place.is_dir():
                return place
        raise UserError(
            f"{self.file}: there is no folder {self.basedir} (dataset.basedir), neither here nor beside the config: "
            "name the dataset with --basedir FOLDER"
        )

    def run_folder(self) -> Path:
        """Where the seed would keep the run: `logdir`/`id`. Raises `UserError` where the config does not say."""
        if not self.logdir or not self.id:
            raise UserError(
                f"{self.file} does not say experiment.logdir and experiment.id: name the run with -o FOLDER"
            )
        return Path(self.logdir).expanduser() / self.id


def read_seed_config(path: Path | str) -> SeedConfig:
    """Read a YAML config of the seed's form.

    The run sees the true view direction, as the paper has it; `avatar.direction` "z_near_far" (the switch
    "seed_directions") trains with what the seed's code feeds by accident.

    Raises `UserError`, one line naming file and setting, for what `nerface.interop.seed_keys` refuses, for a network
    class that is unknown or never ran, and for what the seed offers but cannot do: NDC, datasets other than "blender".
    """
    settings = read_settings(Path(path))
    _check_dataset(settings)
    coarse, fine = _models(settings)
    try:
        run = RunConfig("seed", _avatar(settings, coarse, fine), _training(settings), _data(settings))
    except ValueError as error:
        raise UserError(f"{settings.file}: {str(error).replace('optimizer must', 'optimizer.type must')}") from None
    return SeedConfig(
        file=settings.file,
        run=run,
        coarse=coarse,
        fine=fine,
        basedir=settings["dataset.basedir"],
        logdir=settings["experiment.logdir"],
        id=settings["experiment.id"],
        ignored=_ignored(settings, coarse, fine),
        decided=_decided(settings),
    )


def _check_dataset(settings: Settings) -> None:
    if settings["dataset.type"] != "blender":
        kind = settings["dataset.type"]
        raise UserError(
            f"{settings.where('dataset.type')}: '{kind}' does not work in NeRFace's code either: use blender"
        )
    if not settings["dataset.no_ndc"]:
        raise UserError(
            f"{settings.where('dataset.no_ndc')}: False (normalised device coordinates) gives garbage for heads: "
            "set it True"
        )
    if not settings["dataset.near"] < settings["dataset.far"]:
        raise UserError(
            f"{settings.where('dataset.near')}: near ({settings['dataset.near']:g}) must be less than far "
            f"({settings['dataset.far']:g})"
        )


def _models(settings: Settings) -> tuple[SeedModel, SeedModel | None]:
    """The classes of the coarse and, where the config has one, the fine network."""
    classes: list[SeedModel] = []
    for stage in ("coarse", "fine"):
        kind = settings[f"models.{stage}.type"]
        if kind is None:
            if stage == "coarse" or any(name.startswith("models.fine.") for name in settings.given):
                raise UserError(f"{settings.file} has no models.{stage}.type, the name of a network class")
            break
        classes.append(model_named(kind, settings.where(f"models.{stage}.type")))
        layers = settings["models.coarse.num_layers"]
        if classes[-1].sized and not SHALLOWEST <= layers <= DEEPEST:
            raise UserError(
                f"{settings.where('models.coarse.num_layers')}: {layers} layers, but {kind} runs with "
                f"{SHALLOWEST} to {DEEPEST} alone (in NeRFace's code, too)"
            )
    for stage in ("coarse", "fine")[: len(classes)]:
        if settings[f"models.{stage}.use_viewdirs"] != settings["nerf.use_viewdirs"]:
            raise UserError(
                f"{settings.where(f'models.{stage}.use_viewdirs')} and nerf.use_viewdirs differ: give both the same"
            )
    if len(classes) == 1 or settings["nerf.train.num_fine"] == 0:
        return classes[0], None
    for name in _ENCODING:
        one, other = settings[f"models.coarse.{name}"], settings[f"models.fine.{name}"]
        if one != other:
            raise UserError(
                f"{settings.where(f'models.fine.{name}')}: {other}, but models.coarse.{name} is {one}: NeRFace's code "
                "encodes for both networks as the coarse one says, so give both the same"
            )
    if classes[0].expression_input != classes[1].expression_input:
        raise UserError(
            f"{settings.where('models.fine.type')}: {classes[1].name} takes expressions in another scale than "
            f"{classes[0].name}: choose classes that go together"
        )
    return classes[0], classes[1]


def _avatar(settings: Settings, coarse: SeedModel, fine: SeedModel | None) -> PaperConfig:
    train, drawn = _rendering(settings, "train"), _rendering(settings, "validation")
    samples = train.fine if fine is not None else 0
    sampling = replace(
        train,
        near=settings["dataset.near"],
        far=settings["dataset.far"],
        fine=samples,
        drawn_coarse=drawn.coarse if drawn.coarse != train.coarse else None,
        drawn_fine=drawn.fine if samples and drawn.fine != samples else None,
    )
    first = _field(settings, coarse)
    return PaperConfig(
        coarse=first,
        fine=first if fine is None else _field(settings, fine),
        sampling=sampling,
        expression_input=coarse.expression_input,
        refine_poses=False,
        refine_colours=False,
    )


def _rendering(settings: Settings, mode: str) -> SamplingConfig:
    group = f"nerf.{mode}"
    return SamplingConfig(
        coarse=settings[f"{group}.num_coarse"],
        fine=settings[f"{group}.num_fine"],
        noise=settings[f"{group}.radiance_field_noise_std"],
        disparity=settings[f"{group}.lindisp"],
        jitter=settings[f"{group}.perturb"],
    )


def _field(settings: Settings, model: SeedModel) -> FieldConfig:
    """The field of a class with the config's sizes and encodings, which are the coarse network's for both."""
    field = model.field_at(settings["models.coarse.num_layers"], settings["models.coarse.hidden_size"])
    seen = settings["nerf.use_viewdirs"]  # the seed crashes without (B12); here the direction is left out
    return replace(
        field,
        position_frequencies=settings["models.coarse.num_encoding_fn_xyz"],
        position_input=settings["models.coarse.include_input_xyz"],
        position_log=settings["models.coarse.log_sampling_xyz"],
        direction_frequencies=settings["models.coarse.num_encoding_fn_dir"] if seen else 0,
        direction_input=settings["models.coarse.include_input_dir"] and seen,
        direction_log=settings["models.coarse.log_sampling_dir"],
    )


def _training(settings: Settings) -> TrainingConfig:
    return TrainingConfig(
        steps=settings["experiment.train_iters"],
        rays=settings["nerf.train.num_random_rays"],
        optimizer=settings["optimizer.type"],
        learning_rate=settings["optimizer.lr"],
        decay_factor=settings["scheduler.lr_decay_factor"],
        decay_steps=max(1, round(DECAY_UNIT_STEPS * settings["scheduler.lr_decay"])),
        log_every=settings["experiment.print_every"],
        validate_every=settings["experiment.validate_every"],
        save_every=settings["experiment.save_every"],
        seed=settings["experiment.randomseed"],
    )


def _data(settings: Settings) -> DataConfig:
    return DataConfig(
        half_res=settings["dataset.half_res"],
        test_skip=max(1, settings["dataset.testskip"]),
        white_background=settings["nerf.train.white_background"],
    )


def _ignored(settings: Settings, coarse: SeedModel, fine: SeedModel | None) -> tuple[str, ...]:
    """Given settings that change nothing in the seed."""
    dead = set(DEAD)
    if not coarse.sized and not (fine is not None and fine.sized):
        dead |= {"models.coarse.num_layers", "models.coarse.hidden_size"}
    if fine is None:
        dead |= {"nerf.train.num_fine", "nerf.validation.num_fine"}
    return tuple(name for name in KEYS if name in dead and name in settings.given)


def _decided(settings: Settings) -> tuple[str, ...]:
    """Given settings that would change something in the seed, and do not here."""
    reasons = {f"nerf.{mode}.chunksize": "memory is seen to by itself" for mode in ("train", "validation")}
    if settings["nerf.validation.perturb"]:
        reasons["nerf.validation.perturb"] = "drawing is deterministic"
    if settings["nerf.validation.radiance_field_noise_std"] > 0:
        reasons["nerf.validation.radiance_field_noise_std"] = "drawing is deterministic"
    for name in ("lindisp", "white_background"):
        if settings[f"nerf.validation.{name}"] != settings[f"nerf.train.{name}"]:
            reasons[f"nerf.validation.{name}"] = "drawing uses that of nerf.train"
    return tuple(f"{name} ({reason})" for name, reason in reasons.items() if name in settings.given)
