"""Write the pictures of a captured dataset again from its video: restore_images.py DATASET VIDEO

For moving a dataset to another machine without its pictures: copy everything else, and the video, and run this there.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import cv2

from nerface.capture.crop import Crop
from nerface.capture.video import iterate


def restore(dataset: Path, video: Path) -> int:
    """Crop the video as `dataset`/capture.json says and write every frame that its splits name; gives their number."""
    crop = json.loads((dataset / "capture.json").read_text())["crop"]
    cut = Crop(*(crop[name] for name in ("left", "top", "width", "height", "out_width", "out_height")))
    wanted: dict[int, str] = {}
    for split in ("train", "val", "test"):
        for frame in json.loads((dataset / f"transforms_{split}.json").read_text())["frames"]:
            wanted[frame["source_frame"]] = frame["file_path"]
    written = 0
    for picture in iterate(video):
        if picture.index in wanted:
            path = dataset / (wanted[picture.index] + ".png")
            path.parent.mkdir(parents=True, exist_ok=True)
            cv2.imwrite(str(path), cv2.cvtColor(cut.apply(picture.image), cv2.COLOR_RGB2BGR))
            written += 1
    if written != len(wanted):
        raise SystemExit(f"{video} gave {written} of the {len(wanted)} frames of {dataset}")
    return written


if __name__ == "__main__":
    print(f"wrote {restore(Path(sys.argv[1]), Path(sys.argv[2]))} pictures into {sys.argv[1]}")
