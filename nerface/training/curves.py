"""A run's log as a picture."""

from __future__ import annotations

from pathlib import Path

from nerface.data.images import write_png
from nerface.evaluation.report import Series, curves
from nerface.training.log import read_log


def write_training_curves(run: Path) -> Path:
    """Draw a run's log as run/curves.png: PSNR over steps, in training and held out."""
    lines = read_log(run)
    kinds = (("training pixels", "psnr"), ("held-out frames", "validation_psnr"))
    series = [
        Series(name, [line["step"] for line in lines if key in line], [line[key] for line in lines if key in line])
        for name, key in kinds
    ]
    write_png(run / "curves.png", curves("PSNR in dB over training steps", [one for one in series if len(one.x)]))
    return run / "curves.png"
