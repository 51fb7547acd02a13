"""Tables of what field_race.py measured: field_table.py CLIP=OUT/NAME ... [--pictures FILE --frames 10,40 --dataset D]

Each CLIP=FOLDER is a folder with race.json; rows keep their order. Prints Markdown: figures at the end of training, and
the levels on the way. With --pictures, pictures of held-out frames side by side: the truth, then each run of the first
clip named, and below them the same with poses refined.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from nerface.data import load_dataset
from nerface.data.images import read_image, write_png

HEAD = (
    "| clip | field | training s | steps | poses | whole: PSNR, SSIM, L1 | head: PSNR, SSIM, L1 | ms a frame | "
    "frames/s | file MB | GPU MB: training, drawing |"
)


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("runs", nargs="+", metavar="CLIP=FOLDER")
    arguments.add_argument("--pictures", type=Path)
    arguments.add_argument("--dataset", type=Path, help="of the first clip, for the true pictures")
    arguments.add_argument("--test-skip", type=int, default=1, help="as field_race.py had it")
    arguments.add_argument("--frames", default="0,5,10", help="which held-out frames to show")
    given = arguments.parse_args()
    runs = [(run.partition("=")[0], Path(run.partition("=")[2])) for run in given.runs]
    found = [(clip, folder, json.loads((folder / "race.json").read_text())) for clip, folder in runs]
    print(HEAD + "\n" + "| --- " * (HEAD.count("|") - 1) + "|")
    for clip, _, figures in found:
        for poses in ("captured", "refined"):
            if poses in figures:
                print(row(clip, figures, poses))
    print("\n| clip | field | held-out PSNR (poses as captured) after seconds of training |\n| --- | --- | --- |")
    for clip, _, figures in found:
        levels = ", ".join(f"{mark['seconds']:.0f} s {mark['psnr']:.2f}" for mark in figures["curve"])
        print(f"| {clip} | {figures['name']} | {levels} |")
    if given.pictures is not None:
        folders = [folder for clip, folder, _ in found if clip == found[0][0]]
        sheet = side_by_side(folders, given.dataset, given.test_skip, [int(one) for one in given.frames.split(",")])
        write_png(given.pictures, sheet)
        print(f"wrote {given.pictures}")


def row(clip: str, figures: dict[str, Any], poses: str) -> str:
    """One line of the table."""
    areas = [
        f"{area['psnr']:.2f}, {area['ssim']:.4f}, {area['l1']:.4f}"
        for area in (figures[poses]["whole"], figures[poses]["head"])
    ]
    memory = "–"
    if "training_mb" in figures:
        memory = f"{figures['training_mb']:.0f}, {figures['rendering_mb']:.0f}"
    cells = [
        clip,
        figures["name"],
        f"{figures['seconds']:.0f}",
        str(figures["steps"]),
        poses,
        *areas,
        f"{figures['frame_ms']:.2f}",
        f"{figures['frames_per_second']:.0f}" if figures["frames_per_second"] >= 10 else "< 10",
        f"{figures['file_mb']:.1f}",
        memory,
    ]
    return "| " + " | ".join(cells) + " |"


def side_by_side(folders: list[Path], dataset: Path, test_skip: int, frames: list[int]) -> np.ndarray:
    """Rows of pictures: for each frame the truth and every run, with poses as captured and, below, refined."""
    truth = load_dataset(dataset, test_skip=test_skip, splits=("test", "train")).splits["test"]
    rows = []
    for frame in frames:
        for poses in ("captured", "refined"):
            pictures = [folder / poses / "renders" / f"{frame:04d}.png" for folder in folders]
            if all(picture.exists() for picture in pictures):
                rows.append(np.concatenate([truth[frame].image, *map(read_image, pictures)], axis=1))
    sheet = np.concatenate(rows)
    scale = min(1.0, 1600 / sheet.shape[1])
    return np.asarray(cv2.resize(sheet, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA))


if __name__ == "__main__":
    main()
