"""Truth at views that training never sees: files of the folder `side_views` inside a drawn dataset.

    views.json         {"format": "side-views-1", "views": [...]}; each view has `name`, `state` (which expression),
                       `source_frame` (the training frame it is taken from), `yaw_deg`, `pitch_deg`, `transform_matrix`
                       (camera to head space, as in the dataset), `expression`
    NAME.png           the picture (sRGB, before the dataset's own plate)
    NAME_mask.png      how much of a pixel the person covers, 255 = all
    NAME_truth.npz     `depth` [H, W] float32: along the camera's axis to what the middle of the pixel shows, in head
                       units, NaN for backdrop and gaps; `head` [H, W] bool: where that is the head (not neck or body)

Cameras share the dataset's intrinsics. Angles are yaw to the subject's left (the right of the picture) and pitch up.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import cv2
import numpy as np
from jaxtyping import Bool, Float, UInt8

from nerface.data.images import read_image
from nerface.errors import UserError
from nerface.files import read_json, write_json

FOLDER, FORMAT = "side_views", "side-views-1"


@dataclass(frozen=True)
class SideView:
    """Where a camera stands and what the face does there; lists as in the JSON file."""

    name: str
    state: str
    source_frame: int
    yaw_deg: float
    pitch_deg: float
    transform_matrix: list[list[float]]
    expression: list[float]


@dataclass(frozen=True)
class ViewTruth:
    """What is there to be seen: see the module's text."""

    picture: UInt8[np.ndarray, "height width 3"]
    mask: UInt8[np.ndarray, "height width"]
    depth: Float[np.ndarray, "height width"]
    head: Bool[np.ndarray, "height width"]


def write_views(dataset: Path, views: Sequence[SideView]) -> None:
    """Write the list of views."""
    write_json(dataset / FOLDER / "views.json", {"format": FORMAT, "views": [asdict(view) for view in views]}, indent=1)


def write_truth(dataset: Path, view: SideView, truth: ViewTruth) -> None:
    """Write the pictures and arrays of one view."""
    stem = dataset / FOLDER / view.name
    stem.parent.mkdir(exist_ok=True)
    for ending, pixels in ((".png", truth.picture[..., ::-1]), ("_mask.png", truth.mask)):
        stem.with_name(view.name + ending).write_bytes(cv2.imencode(".png", pixels)[1].tobytes())
    np.savez_compressed(stem.with_name(view.name + "_truth.npz"), depth=truth.depth.astype(np.float32), head=truth.head)


def read_views(dataset: Path) -> list[SideView]:
    """The views of a dataset. Raises `UserError` where it has none."""
    file = dataset / FOLDER / "views.json"
    if not file.exists():
        raise UserError(f"{file} is missing: a dataset of side_views_dataset.py is needed")
    content = read_json(file)
    if content.get("format") != FORMAT:
        raise UserError(f"{file} has the format {content.get('format')}, {FORMAT} is needed")
    return [SideView(**view) for view in content["views"]]


def read_truth(dataset: Path, view: SideView) -> ViewTruth:
    """The truth of one view."""
    stem = dataset / FOLDER / view.name
    mask = cv2.imread(str(stem.with_name(view.name + "_mask.png")), cv2.IMREAD_GRAYSCALE)
    with np.load(stem.with_name(view.name + "_truth.npz"), allow_pickle=False) as arrays:
        depth, head = arrays["depth"], arrays["head"]
    return ViewTruth(read_image(stem.with_name(view.name + ".png"), white=True), np.asarray(mask), depth, head)
