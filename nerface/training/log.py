"""The log of a run: JSON lines, and TensorBoard where the user wants it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from torch import Tensor

from nerface.errors import UserError
from nerface.files import whole_file

# Names under which the log's columns stand in TensorBoard: the seed's tags (spec 4.6) where it has one.
TAGS = {
    "loss": "train/loss",
    "coarse_loss": "train/coarse_loss",
    "fine_loss": "train/fine_loss",
    "code_loss": "train/code_loss",
    "bg_loss": "train/bg_loss",
    "psnr": "train/psnr",
    "lr": "train/learning_rate",
    "validation_psnr": "validation/psnr",
    "validation_loss": "validation/loss",
    "validation_coarse_loss": "validation/coarse_loss",
    "validation_fine_loss": "validation/fine_loss",
}


class RunLog:
    """The run's log: one JSON object a line. Lines beyond the step from which a run goes on are dropped.

    With `tensorboard`, the same numbers go to TensorBoard's event files in `tensorboard/` beside it.
    """

    def __init__(self, path: Path, step: int, tensorboard: bool = False) -> None:
        self._board = _board(path.parent / "tensorboard", step) if tensorboard else None
        kept = [line for line in _lines(path) if line["step"] <= step]
        with whole_file(path) as partial:
            partial.write_text("".join(json.dumps(line) + "\n" for line in kept))
        found = [line["validation_psnr"] for line in kept if "validation_psnr" in line]
        self.validation: float | None = found[-1] if found else None
        self._file = path.open("a")

    def write(self, line: dict[str, float]) -> None:
        """Append one line, on disk at once."""
        self.validation = line.get("validation_psnr", self.validation)
        self._file.write(json.dumps(line) + "\n")
        self._file.flush()
        if self._board is not None:
            for name in TAGS.keys() & line.keys():
                self._board.add_scalar(TAGS[name], line[name], int(line["step"]))

    def write_pictures(self, step: int, pictures: dict[str, Tensor]) -> None:
        """Show pictures [C, H, W] in [0, 1] in TensorBoard as `validation/<name>`."""
        if self._board is not None:
            for name, picture in pictures.items():
                self._board.add_image(f"validation/{name}", picture, step)

    def close(self) -> None:
        """End the log."""
        self._file.close()
        if self._board is not None:
            self._board.close()


def tensorboard_writer() -> Any:
    """The class that writes event files; `UserError` where the package is missing."""
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError:
        raise UserError("--tensorboard needs the package tensorboard: pip install 'nerface[tensorboard]'") from None
    return SummaryWriter


def _board(folder: Path, step: int) -> Any:
    """A TensorBoard writer that takes back what an interrupted run wrote beyond `step`."""
    return tensorboard_writer()(str(folder), purge_step=step + 1)


def read_log(run: Path) -> list[dict[str, float]]:
    """The lines of a run's log, oldest first."""
    return list(_lines(run / "log.jsonl"))


def _lines(path: Path) -> list[dict[str, float]]:
    if not path.is_file():
        return []
    lines = []
    for text in path.read_text().splitlines():
        try:
            lines.append(json.loads(text))
        except json.JSONDecodeError:  # a line cut short by a kill
            continue
    return lines
