"""Metrics of two folders of pictures, renders and truth, whoever made them (the seed's `metrics.py`, spec 5.5)."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path

from nerface.data.images import read_image
from nerface.errors import UserError
from nerface.evaluation.evidence import write_picture
from nerface.evaluation.metrics import Comparison, Scores
from nerface.evaluation.nerface_convention import NerfaceScores
from nerface.evaluation.outputs import MEANINGS, error_picture
from nerface.evaluation.perceptual import Judge, Perceptual
from nerface.evaluation.tables import (
    NERFACE_PREFIX,
    Summary,
    flat,
    heading,
    mean_of,
    nerface_line,
    region_line,
    summary_text,
    write_frames_csv,
    write_summary,
)
from nerface.files import refuse_existing, whole_folder, write_json
from nerface.progress import SILENT, Progress

ENDINGS = (".png", ".jpg", ".jpeg", ".bmp", ".webp", ".tif", ".tiff")


@dataclass(frozen=True)
class PairScores:
    """The figures of one pair of pictures, by their names: whole pictures, in both conventions."""

    render: str
    truth: str
    whole: Scores
    perceptual: Perceptual
    nerface: NerfaceScores

    def row(self) -> dict[str, str | int | float]:
        """The pair's line in `frames.csv`."""
        return {"render": self.render, "truth": self.truth, **self.figures()}

    def figures(self) -> dict[str, float]:
        """Every figure by its name in files, as an evaluation names those of whole frames."""
        return {**flat({"": self.whole}), **flat({"": self.perceptual}), **flat({NERFACE_PREFIX: self.nerface})}


@dataclass(frozen=True)
class FolderScores:
    """The figures of two folders: `pairs` in order and the `summary` of their means (`text` is it as a table)."""

    pairs: tuple[PairScores, ...]
    summary: Summary

    @property
    def text(self) -> str:
        return summary_text(self.summary)


def compare_folders(
    renders: Path,
    truth: Path,
    judge: Judge,
    output: Path | None = None,
    error_maps: bool = False,
    progress: Progress = SILENT,
) -> FolderScores:
    """Measure the pictures in `renders` against those in `truth`.

    Both are sorted by the digits in their file names and paired first with first, second with second, as the seed does;
    truth may have more pictures. Transparent pictures are laid on white. Where `output` is given, it becomes a new
    folder with `metrics.json`, `metrics.txt`, `frames.csv` and, with `error_maps`, `error/0000.png` and so on.

    Raises `UserError` where a folder is missing or empty, there are more renders than truths, a picture does not decode
    or the two of a pair differ in size, and where `output` is taken or lies inside one of the two folders.
    """
    pairs = pair_up(renders, truth)
    if output is not None:
        _check_output(output, renders, truth)
    with nullcontext() if output is None else whole_folder(output) as out:
        progress.start("measuring", len(pairs))
        scores = []
        for index, (picture, expected) in enumerate(pairs):
            error_map = out / "error" / f"{index:04d}.png" if error_maps and out is not None else None
            scores.append(_measure(picture, expected, judge, error_map))
            progress.advance(note=f"{scores[-1].whole.psnr:.2f} dB")
        found = FolderScores(tuple(scores), _summary(scores, judge, renders, truth))
        if out is not None:
            write_frames_csv(out / "frames.csv", [score.row() for score in scores])
            write_summary(out, found.summary)
            if error_maps:
                write_json(out / "outputs.json", {"error": MEANINGS["error"]})
    return found


def pair_up(renders: Path, truth: Path) -> list[tuple[Path, Path]]:
    """The pictures of two folders in pairs, each sorted by the digits in its name; see `compare_folders`."""
    left, right = pictures_in(renders), pictures_in(truth)
    if len(left) > len(right):
        raise UserError(
            f"{renders} has {len(left)} pictures, {truth} only {len(right)}: there must be a true picture for each "
            "render (are the two folders the right way round?)"
        )
    return list(zip(left, right))


def pictures_in(folder: Path) -> list[Path]:
    """The pictures of a folder (not of folders in it) by the number that the digits of their names make together."""
    if not folder.is_dir():
        raise UserError(f"{folder} is not a folder: a folder of pictures is needed")
    found = [path for path in folder.iterdir() if path.suffix.lower() in ENDINGS and not path.name.startswith(".")]
    if not found:
        raise UserError(f"{folder} holds no pictures ({', '.join(ENDINGS)})")
    return sorted(found, key=lambda path: (_number(path), path.name))


def _number(path: Path) -> int:
    digits = "".join(character for character in path.stem if character in "0123456789")
    if not digits:
        raise UserError(f"{path} has no number in its name: pictures are paired by the numbers in their names")
    return int(digits)


def _check_output(output: Path, renders: Path, truth: Path) -> None:
    refuse_existing(output)
    place = output.resolve()
    for folder in (renders.resolve(), truth.resolve()):
        if place == folder or folder in place.parents:
            raise UserError(f"{output} lies in {folder}, which is only read: choose an output folder outside it")


def _measure(picture: Path, expected: Path, judge: Judge, error_map: Path | None) -> PairScores:
    render, truth = read_image(picture, white=True), read_image(expected, white=True)
    if render.shape != truth.shape:
        sizes = [f"{image.shape[1]}x{image.shape[0]}" for image in (render, truth)]
        raise UserError(f"{picture} is {sizes[0]} pixels, {expected} {sizes[1]}: both must have one size")
    if error_map is not None:
        write_picture(error_map, error_picture(render, truth))
    return PairScores(
        render=picture.name,
        truth=expected.name,
        whole=Comparison(render, truth).whole(),
        perceptual=judge.perceptual(render, truth),
        nerface=judge.nerface(render, truth),
    )


def _summary(scores: Sequence[PairScores], judge: Judge, renders: Path, truth: Path) -> Summary:
    mean = PairScores(
        render="",
        truth="",
        whole=mean_of([score.whole for score in scores]),
        perceptual=mean_of([score.perceptual for score in scores]),
        nerface=mean_of([score.nerface for score in scores]),
    )
    table = [heading(), region_line("whole frame", mean.whole, mean.perceptual), nerface_line(mean.whole, mean.nerface)]
    settings = {"pairs": len(scores), "renders": str(renders), "truth": str(truth)}
    return Summary(mean.figures(), table, judge.missing, settings)
