"""Is an avatar really 3D? side_views.py [NAME=]AVATAR... DATASET OUT

Draws avatars that were trained on DATASET (of side_views_dataset.py) from cameras that no training frame had, and
measures pictures, outlines and depth against the truth. Writes OUT/side_views.md and .json, and a sheet of pictures
for every avatar and expression. Drawn with the expression of a training frame, the mean latent code and the dataset's
plate.

    PSNR, SSIM   over the box round the true head; "head" over its pixels alone.
    IoU          of outlines: pixels of opacity 0.5 or more against the true head, within a box as low as the head and
                 wider and higher by a quarter; pixels where the truth shows neck or body count for nothing.
    depth        absolute error along the camera's axis over the true head's pixels: median and mean, in head units and
                 in % of the head's depth range in that view (farthest less nearest pixel); "bias" is the median with
                 its sign, positive where the render lies too far away.

Beside them, for scale, two flat cards: the picture of the training frame whose camera is nearest to the view, and for
depth the best card of all, one that faces the camera in the middle (median) of the head's true depth.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path

import cv2
import numpy as np
import torch
from jaxtyping import Bool, Float, UInt8
from side_view_files import SideView, ViewTruth, read_truth, read_views

from nerface.cameras import project
from nerface.checkpoint import load_avatar
from nerface.data import load_dataset
from nerface.data.boxes import box_slices
from nerface.data.dataset import Dataset
from nerface.data.images import write_png
from nerface.errors import UserError
from nerface.evaluation.metrics import Comparison
from nerface.evaluation.report import PictureTable
from nerface.fields.base import Avatar
from nerface.files import whole_file, whole_folder, write_json
from nerface.precision import pick_device
from nerface.rendering.sequence import draw_view
from nerface.types import Camera, Condition

PERSON_LEVEL, OPAQUE = 128, 0.5
BOX_GROWTH = 0.25
CARD = "nearest frame, flat card"
HEAD_RADIUS = 0.07  # head units; the points that cameras are compared by lie at the corners of a cube of this half side
SHEET_TITLES = ("truth", "render", "true depth", "rendered depth", "nearest training frame")


@dataclass(frozen=True)
class ViewScores:
    """Figures of one view, or means over several: see the module's text. Depths in head units, `*_share` in %."""

    psnr: float
    head_psnr: float
    ssim: float
    iou: float
    depth_median: float
    depth_mean: float
    depth_median_share: float
    depth_mean_share: float
    depth_bias: float

    @staticmethod
    def mean(scores: Sequence[ViewScores]) -> ViewScores:
        """The mean of every figure."""
        return ViewScores(
            **{each.name: float(np.mean([getattr(s, each.name) for s in scores])) for each in fields(ViewScores)}
        )


@dataclass(frozen=True)
class Shown:
    """What somebody makes of a view: `picture`, where the `person` is, and `depth` in head units."""

    picture: UInt8[np.ndarray, "height width 3"]
    person: Bool[np.ndarray, "height width"]
    depth: Float[np.ndarray, "height width"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("avatars", nargs="+", metavar="[NAME=]AVATAR", help="avatar files or run folders")
    parser.add_argument("dataset", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--device", default="auto")
    parser.add_argument("--precision", default="auto", help="auto, bf16 or fp32 (default auto)")
    arguments = parser.parse_args()
    try:
        dataset, views = load_dataset(arguments.dataset, splits=("train",)), read_views(arguments.dataset)
        device = pick_device(arguments.device)
        avatars = {name: load_avatar(path, device) for name, path in map(_named, arguments.avatars)}
        with whole_folder(arguments.out) as out:
            text = score_avatars(avatars, dataset, views, out, arguments.precision)
    except UserError as error:
        raise SystemExit(f"side_views.py: {error}") from None
    print(f"{text}wrote {arguments.out}")


def _named(argument: str) -> tuple[str, Path]:
    name, given, path = argument.partition("=")
    if given:
        return name, Path(path)
    path_alone = Path(argument)
    return (path_alone.parent if path_alone.suffix else path_alone).name, path_alone


def score_avatars(
    avatars: dict[str, Avatar], dataset: Dataset, views: Sequence[SideView], out: Path, precision: str
) -> str:
    """Measure all avatars at all views, write the evidence into `out`, and give the tables."""
    scores: dict[str, dict[str, ViewScores]] = {name: {} for name in (*avatars, CARD)}
    sheets: dict[tuple[str, str], PictureTable] = {}
    for view in views:
        truth, camera = read_truth(dataset.root, view), _camera(view, dataset)
        card = flat_card(nearest_frame(camera, dataset), truth, dataset)
        scores[CARD][view.name] = score(card, truth)
        for name, avatar in avatars.items():
            shown = rendered(avatar, camera, view, dataset, precision)
            scores[name][view.name] = score(shown, truth)
            sheet = sheets.setdefault((name, view.state), PictureTable(SHEET_TITLES))
            sheet.add(_pictures(shown, truth, card), _angle(view))
    for (name, state), sheet in sheets.items():
        write_png(out / f"{name}_{state}.png", sheet.image())
    by_group = {name: grouped(each, views) for name, each in scores.items()}
    text = f"{group_table(by_group)}\n{view_tables(scores, views)}"
    with whole_file(out / "side_views.md") as partial:
        partial.write_text(text, encoding="utf-8")
    in_json = {"groups": by_group, "views": scores}
    write_json(
        out / "side_views.json",
        {
            kind: {name: {key: asdict(value) for key, value in rows.items()} for name, rows in table.items()}
            for kind, table in in_json.items()
        },
    )
    return text


def _camera(view: SideView, dataset: Dataset) -> Camera:
    return Camera(dataset.intrinsics, torch.tensor(view.transform_matrix, dtype=torch.float32))


def rendered(avatar: Avatar, camera: Camera, view: SideView, dataset: Dataset, precision: str) -> Shown:
    """What the avatar makes of a view."""
    if avatar.expression_names != dataset.expression_names:
        raise UserError(f"the avatar has other expression channels than {dataset.root}: was it trained on it?")
    device = avatar.device
    plate = None
    if avatar.has_backdrop and dataset.background is not None:
        plate = torch.from_numpy(np.array(dataset.background)).to(device).float() / 255
    expression = torch.tensor(view.expression, dtype=torch.float32, device=device)
    there = Camera(camera.intrinsics, camera.camera_to_head.to(device))
    rendering, picture = draw_view(avatar, there, Condition(expression, avatar.latent("mean"), plate), precision)
    person = rendering.opacity.float().cpu().numpy() >= OPAQUE
    return Shown(picture.numpy(), person, rendering.depth.float().cpu().numpy())


def nearest_frame(camera: Camera, dataset: Dataset) -> int:
    """The training frame whose camera sees a cube round the head's origin nearest to where `camera` sees it."""
    corners = torch.tensor([[x, y, z] for x in (-1, 1) for y in (-1, 1) for z in (-1, 1)]) * HEAD_RADIUS
    wanted = project(camera, corners)[:, :2]
    away = [
        float((project(dataset.camera("train", row), corners)[:, :2] - wanted).norm(dim=1).mean())
        for row in range(len(dataset.train))
    ]
    return int(np.argmin(away))


def flat_card(row: int, truth: ViewTruth, dataset: Dataset) -> Shown:
    """A training frame held up as a card at the middle of the head's true depth."""
    frame = dataset.train[row]
    if frame.mask is None:
        raise UserError(f"{dataset.root} has no masks: a dataset of side_views_dataset.py is needed")
    middle = float(np.nanmedian(truth.depth[truth.head]))
    return Shown(frame.image, frame.mask >= PERSON_LEVEL, np.full(truth.depth.shape, middle, np.float32))


def score(shown: Shown, truth: ViewTruth) -> ViewScores:
    """The figures of a view."""
    height, width = truth.head.shape
    rows, columns = np.nonzero(truth.head)
    low, high = np.array([rows.min(), columns.min()]), np.array([rows.max() + 1, columns.max() + 1])
    box = np.array([low[0] / height, high[0] / height, low[1] / width, high[1] / width])
    comparison = Comparison(shown.picture, truth.picture)
    inside = comparison.inside(box)
    grow = BOX_GROWTH * (high - low)
    wide = np.clip([box[0] - grow[0] / height, box[1], box[2] - grow[1] / width, box[3] + grow[1] / width], 0, 1)
    region = box_slices(wide, height, width)
    counted = (truth.head | (truth.mask < PERSON_LEVEL))[region]
    found, there = shown.person[region] & counted, truth.head[region] & counted
    known = truth.head & np.isfinite(truth.depth)
    true_depth = truth.depth[known].astype(np.float64)
    error, extent = shown.depth[known] - true_depth, float(np.ptp(true_depth))
    median, mean = float(np.median(np.abs(error))), float(np.mean(np.abs(error)))
    return ViewScores(
        psnr=inside.psnr,
        head_psnr=comparison.where(truth.head).psnr,
        ssim=inside.ssim,
        iou=float((found & there).sum() / max(1, (found | there).sum())),
        depth_median=median,
        depth_mean=mean,
        depth_median_share=100 * median / extent,
        depth_mean_share=100 * mean / extent,
        depth_bias=float(np.median(error)),
    )


def _group(view: SideView) -> str:
    if view.pitch_deg:
        return f"{abs(view.pitch_deg):.0f}° up and down"
    return f"{abs(view.yaw_deg):.0f}° to each side" if view.yaw_deg else "front"


def _angle(view: SideView) -> str:
    return f"{view.state}, yaw {view.yaw_deg:+.0f}, pitch {view.pitch_deg:+.0f}"


def grouped(scores: dict[str, ViewScores], views: Sequence[SideView]) -> dict[str, ViewScores]:
    """Means over the views of one angle, all expressions."""
    groups: dict[str, list[ViewScores]] = {}
    for view in views:
        groups.setdefault(_group(view), []).append(scores[view.name])
    return {group: ViewScores.mean(each) for group, each in groups.items()}


HEAD = ["PSNR dB", "head PSNR", "SSIM", "IoU", "depth median", "mean", "depth median %", "mean %", "bias"]


def _cells(scores: ViewScores) -> list[str]:
    return [
        f"{scores.psnr:.2f}",
        f"{scores.head_psnr:.2f}",
        f"{scores.ssim:.4f}",
        f"{scores.iou:.3f}",
        f"{scores.depth_median:.4f}",
        f"{scores.depth_mean:.4f}",
        f"{scores.depth_median_share:.1f}",
        f"{scores.depth_mean_share:.1f}",
        f"{scores.depth_bias:+.4f}",
    ]


def group_table(by_group: dict[str, dict[str, ViewScores]]) -> str:
    """One line for each angle and avatar, Markdown."""
    groups = list(next(iter(by_group.values())))
    rows = [[group, name, *_cells(by_group[name][group])] for group in groups for name in by_group]
    return _table(["view", "avatar", *HEAD], rows)


def view_tables(scores: dict[str, dict[str, ViewScores]], views: Sequence[SideView]) -> str:
    """One line for each view, a table for each avatar, Markdown."""
    return "\n".join(
        f"**{name}**, view by view\n\n"
        + _table(["view", *HEAD], [[_angle(view), *_cells(each[view.name])] for view in views])
        for name, each in scores.items()
    )


def _table(head: list[str], rows: list[list[str]]) -> str:
    return "".join("| " + " | ".join(line) + " |\n" for line in [head, ["---"] * len(head), *rows])


def _pictures(shown: Shown, truth: ViewTruth, card: Shown) -> list[np.ndarray]:
    low, high = np.nanmin(truth.depth[truth.head]), np.nanmax(truth.depth[truth.head])
    near, far = low - 0.25 * (high - low), high + 0.5 * (high - low)

    def coloured(depth: np.ndarray, where: np.ndarray) -> np.ndarray:
        share = np.clip((far - np.nan_to_num(depth, nan=far)) / (far - near), 0, 1)
        levels = cv2.applyColorMap((255 * share).astype(np.uint8), cv2.COLORMAP_TURBO)[..., ::-1]
        return np.where(where[..., None], levels, 0).astype(np.uint8)

    true = coloured(truth.depth, np.isfinite(truth.depth))
    return [truth.picture, shown.picture, true, coloured(shown.depth, shown.person), card.picture]


if __name__ == "__main__":
    main()
