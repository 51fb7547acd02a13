"""Several configurations trained and measured on one dataset, and one table with pictures (the paper's sec. 4.3)."""

from __future__ import annotations

import csv
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from nerface.checkpoint import load_avatar, load_checkpoint
from nerface.config import RunConfig, first_difference, to_json
from nerface.data.dataset import Dataset
from nerface.data.images import read_image, write_png
from nerface.errors import UserError
from nerface.evaluation.evaluate import EvaluationOptions, evaluate
from nerface.evaluation.latents import PER_FRAME, resolve_latent
from nerface.evaluation.perceptual import open_judge
from nerface.evaluation.report import PictureTable
from nerface.files import read_json, refuse_existing, whole_file, write_json
from nerface.progress import SILENT, Progress
from nerface.switches import SWITCHES, switched
from nerface.training.begin import load_for
from nerface.training.loop import train

RECORD = "ablation.json"
PICTURE_ROWS = 4
# Figures of an evaluation that the table shows where they were measured: key, title, digits.
FIGURES = (
    ("l1", "L1", 4),
    ("psnr", "PSNR", 2),
    ("ssim", "SSIM", 4),
    ("lpips_alex", "LPIPS", 4),
    ("gmsd", "GMSD", 4),
    ("head_psnr", "PSNR, head box", 2),
    ("head_ssim", "SSIM, head box", 4),
)


@dataclass(frozen=True)
class AblationOptions:
    """`names` of `nerface.switches.SWITCHES`, each turned alone in `config`, and how the results are measured."""

    config: RunConfig
    names: Sequence[str] = ("full", "no_expression", "no_latent", "no_dynamics", "no_background")
    evaluation: EvaluationOptions = field(default_factory=EvaluationOptions)
    device: str = "cpu"
    max_train_seconds: float | None = None  # of each


@dataclass(frozen=True)
class Ablation:
    """What an ablation leaves in `folder`: runs/NAME, evaluations/NAME, table.csv, table.md, comparison.png."""

    folder: Path
    rows: dict[str, dict[str, float]]
    finished: bool


def ablate(
    dataset: Path,
    folder: Path,
    options: AblationOptions,
    *,
    resume: bool = False,
    stop: Callable[[], bool] = lambda: False,
    progress: Progress = SILENT,
) -> Ablation:
    """Train and measure each configuration in turn on the dataset in the folder `dataset`.

    Can be stopped at any moment and taken up with `resume`. Raises `UserError` for unknown names, a folder that is
    taken, one that was begun with other settings, and what training and evaluation raise.
    """
    if not options.names:
        raise UserError("name at least one switch to train with")
    configs = {name: switched(options.config, [name]) for name in options.names}
    open_judge(options.evaluation.lpips, torch.device(options.device))  # weights that cannot be used are told at once
    _claim(dataset, folder, options, resume)
    rows: dict[str, dict[str, float]] = {}
    for number, (name, config) in enumerate(configs.items(), 1):
        run, evaluation = folder / "runs" / name, folder / "evaluations" / name
        progress.say(f"{number} of {len(configs)}: {name} ({SWITCHES[name].text})")
        loaded: Dataset | None = None
        if not (run / "avatar.safetensors").exists():
            loaded = load_for(config, dataset, progress)
            _check_latent(options.evaluation, loaded)
            result = train(
                loaded,
                run,
                config,
                device=options.device,
                resume=True,  # also begins a run
                max_seconds=options.max_train_seconds,
                stop=stop,
                progress=progress,
            )
            if not result.finished:
                return Ablation(folder, rows, False)
        if not _measured(evaluation, options.evaluation):
            loaded = loaded or load_for(config, dataset, progress)
            chosen = replace(options.evaluation, replace=True)
            evaluate(load_avatar(run, options.device), loaded, evaluation, chosen, progress)
        rows[name] = _figures(run, evaluation)
    write_table(folder, rows)
    split = load_for(next(iter(configs.values())), dataset, progress).splits[options.evaluation.split]
    if options.evaluation.save_images:
        truths = split.images[: options.evaluation.frames]
        write_png(folder / "comparison.png", _pictures(folder, list(configs), truths))
    return Ablation(folder, rows, True)


def write_table(folder: Path, rows: dict[str, dict[str, float]]) -> None:
    """`table.csv` and `table.md` in `folder`: a configuration a row."""
    shown = [one for one in FIGURES if any(one[0] in row for row in rows.values())]
    with whole_file(folder / "table.csv") as partial, open(partial, "w", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream)
        writer.writerow(["configuration", "steps", "train_seconds", *(key for key, _, _ in shown)])
        for name, row in rows.items():
            cells = [f"{row[key]:.6f}" if key in row else "" for key, _, _ in shown]
            writer.writerow([name, int(row["steps"]), f"{row['train_seconds']:.1f}", *cells])
    lines = ["| configuration | steps | " + " | ".join(title for _, title, _ in shown) + " |"]
    lines.append("| --- | --- |" + " --- |" * len(shown))
    for name, row in rows.items():
        cells = [f"{row[key]:.{digits}f}" if key in row else "n/a" for key, _, digits in shown]
        lines.append(f"| {name} | {int(row['steps'])} | " + " | ".join(cells) + " |")
    with whole_file(folder / "table.md") as partial:
        partial.write_text("\n".join(lines) + "\n", encoding="utf-8")


def _figures(run: Path, evaluation: Path) -> dict[str, float]:
    """The means of an evaluation that were measured, and how long training took."""
    means = read_json(evaluation / "metrics.json")["means"]
    last = load_state(run)
    return {"steps": last[0], "train_seconds": last[1], **{key: v for key, v in means.items() if v is not None}}


def load_state(run: Path) -> tuple[float, float]:
    """Steps and seconds of a finished run, by its avatar file."""
    state = load_checkpoint(run / "avatar.safetensors").state
    return float(state.step), state.seconds


def _measured(evaluation: Path, options: EvaluationOptions) -> bool:
    """Whether an evaluation is there and was made as `options` ask."""
    if not (evaluation / "metrics.json").exists():
        return False
    content = read_json(evaluation / "metrics.json")
    settings, means = content["settings"], content["means"]
    wanted = {"split": options.split, "latent": options.latent, "plate": options.plate}
    named = {"lpips_alex": options.lpips.alex, "lpips_vgg": options.lpips.vgg}
    return (
        {key: settings.get(key) for key in wanted} == wanted
        and settings.get("frames_asked") == options.frames
        and all(means.get(key) is not None for key, file in named.items() if file is not None)
    )


def _check_latent(options: EvaluationOptions, dataset: Dataset) -> None:
    """Raise `UserError` for a latent code that there will not be, before training for it."""
    codes = len(dataset.train)
    kind, _, number = resolve_latent(options.latent, dataset, codes).partition(":")
    known = kind in ("mean", "zero", PER_FRAME) or (kind == "frame" and number.isdecimal() and int(number) < codes)
    if not known:
        raise UserError(
            f"latent code '{options.latent}' is not known: use mean, zero, video:K, or frame:K with K from 0 to "
            f"{codes - 1}"
        )


def _pictures(folder: Path, names: list[str], truths: np.ndarray) -> np.ndarray:
    """Some frames, the truth and what each configuration makes of it side by side."""
    grid = PictureTable(["truth", *names])
    count = len(truths)
    for row in sorted(set(np.linspace(0, count - 1, min(PICTURE_ROWS, count)).round().astype(int).tolist())):
        renders = [read_image(folder / "evaluations" / name / "renders" / f"{row:04d}.png") for name in names]
        grid.add([np.array(truths[row]), *renders])
    return grid.image()


def _claim(dataset: Path, folder: Path, options: AblationOptions, resume: bool) -> None:
    """Make `folder` this ablation's, or check that it already is."""
    record: dict[str, Any] = {
        "dataset": str(dataset),
        "config": to_json(options.config),
    }
    file = folder / RECORD
    if not (resume and file.exists()):
        refuse_existing(folder)
        write_json(file, record)
        return
    saved = read_json(file)
    if saved != record:
        fault = first_difference(saved, record) if isinstance(saved, dict) else "damaged"
        raise UserError(f"{folder} was begun differently ({fault}): resume it with the same, or choose a new folder")
