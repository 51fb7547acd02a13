"""One page of pictures: what the dataset says, drawn on what it shows."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
from jaxtyping import UInt8

from nerface.capture.overlay import OverlayData, draw_overlay
from nerface.checking.backdrop import backdrop_area, difference
from nerface.checking.case import Case, frame_numbers, head_radius, in_time, spread_over
from nerface.checking.findings import ERROR, FINE, WARNING, Finding
from nerface.data.boxes import box_slices
from nerface.driving.repose import camera_angles
from nerface.evaluation.report import Series, curves

TILE_PX, TILES_ACROSS = 300, 4
WIDTH_PX = TILE_PX * TILES_ACROSS
LINE_PX = 18
SAMPLES = (("train", 5), ("val", 1), ("test", 2))
BACKDROP_FRAMES = 24
DIFFERENCE_GAIN = 8  # |picture - plate| is shown so many times as bright
INK, GREY = (40, 40, 40), (215, 215, 215)
LEVEL_COLOURS = {ERROR: (190, 30, 30), WARNING: (190, 120, 0), FINE: (40, 120, 50)}
SAMPLING_COLOUR = (255, 160, 40)
LETTER_PX = 7.2  # mean width of a letter
MOST_LINES = 40


def draw_page(case: Case, findings: Sequence[Finding]) -> UInt8[np.ndarray, "height width 3"]:
    """The page: findings, frames with axes and boxes, plate and what differs from it, poses in time, expressions."""
    parts = [
        _text(case, findings),
        _row(_frames(case)),
        _row(_plates(case)),
        _plots(case),
        _expressions(case),
    ]
    return np.concatenate(parts, axis=0)


def _blank(height: int) -> np.ndarray:
    return np.full((height, WIDTH_PX, 3), 255, dtype=np.uint8)


def _write(canvas: np.ndarray, text: str, place: tuple[int, int], colour: tuple[int, int, int]) -> None:
    cv2.putText(canvas, text, place, cv2.FONT_HERSHEY_SIMPLEX, 0.42, colour, 1, cv2.LINE_AA)


def _text(case: Case, findings: Sequence[Finding]) -> np.ndarray:
    """Findings as lines, wrapped."""
    lines: list[tuple[str, tuple[int, int, int]]] = [(f"nerface check: {case.dataset.root.name}", INK)]
    letters = int(WIDTH_PX / LETTER_PX)
    for finding in findings:
        text = " ".join(finding.line().split()).encode("ascii", "replace").decode()
        for start in range(0, len(text), letters):
            lines.append((("    " if start else "") + text[start : start + letters], LEVEL_COLOURS[finding.level]))
    lines = lines[:MOST_LINES]
    canvas = _blank(LINE_PX * len(lines) + 10)
    for number, (line, colour) in enumerate(lines):
        _write(canvas, line, (8, LINE_PX * (number + 1) - 4), colour)
    return canvas


def _row(tiles: list[tuple[str, np.ndarray]]) -> np.ndarray:
    """Captioned pictures side by side, in as many rows as are needed."""
    rows = []
    for start in range(0, len(tiles), TILES_ACROSS):
        part = tiles[start : start + TILES_ACROSS]
        fitted = [_fit(picture) for _, picture in part]
        canvas = _blank(max(picture.shape[0] for picture in fitted) + LINE_PX + 4)
        for column, ((caption, _), picture) in enumerate(zip(part, fitted)):
            left = column * TILE_PX
            canvas[LINE_PX : LINE_PX + picture.shape[0], left : left + picture.shape[1]] = picture
            _write(canvas, caption, (left + 4, LINE_PX - 5), INK)
        rows.append(canvas)
    return np.concatenate(rows, axis=0)


def _fit(picture: np.ndarray) -> np.ndarray:
    wide = TILE_PX - 4
    height = max(1, round(picture.shape[0] * wide / picture.shape[1]))
    shrinks = picture.shape[1] > wide
    return cv2.resize(picture, (wide, height), interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_NEAREST)


def _frames(case: Case) -> list[tuple[str, np.ndarray]]:
    """Sample frames: head axes from the projected origin, head box white, training box orange."""
    dataset = case.dataset
    inner, radius = dataset.intrinsics, head_radius(dataset) or 0.1
    zoom = max(1, round(TILE_PX / inner.width))  # so that lines on small pictures do not hide them
    large = inner.resized(inner.width * zoom, inner.height * zoom)
    tiles = []
    for split, wanted in SAMPLES:
        content = dataset.splits[split]
        order = in_time(dataset, split)
        for row in order[spread_over(len(content), wanted)]:
            data = OverlayData(
                landmarks=np.zeros((1, 0, 2)),
                projected=None,
                camera_to_head=content.camera_to_head[row][None],
                intrinsics=large,
                head_boxes=content.head_boxes[row][None],
                axis_length=radius,
            )
            image = np.repeat(np.repeat(content.images[row], zoom, axis=0), zoom, axis=1)
            if split != "test":
                rows, columns = box_slices(content.sampling_boxes[row], *image.shape[:2])
                corner = (columns.stop - 1, rows.stop - 1)
                cv2.rectangle(image, (columns.start, rows.start), corner, SAMPLING_COLOUR, max(1, zoom // 2))
            tiles.append((f"{split} {content.names[row]}"[-44:], draw_overlay(image, data, 0)))
    return tiles


def _plates(case: Case) -> list[tuple[str, np.ndarray]]:
    """The plate, where it was never seen, the mean difference beside the head, and everywhere."""
    dataset = case.dataset
    plate, train = dataset.background, dataset.train
    rows = spread_over(len(train), BACKDROP_FRAMES)
    mean = np.mean([train.images[row] for row in rows], axis=0)
    tiles = [("mean of training pictures", np.rint(mean).astype(np.uint8))]
    if plate is None:
        return tiles
    total, beside, seen = np.zeros(plate.shape[:2]), np.zeros(plate.shape[:2]), np.zeros(plate.shape[:2])
    for row in rows:
        differs = difference(train.images[row], plate)
        area = backdrop_area(case, int(row))
        total += differs
        beside[area] += differs[area]
        seen += area
    shaded = plate.copy()
    shaded[dataset.background_unseen] = shaded[dataset.background_unseen] // 2 + np.array([127, 0, 60], np.uint8)
    quotient = np.where(seen > 0, beside / np.maximum(seen, 1), 0)
    return [
        *tiles,
        ("plate (red: never seen)", shaded),
        (f"|picture - plate| beside the head x{DIFFERENCE_GAIN}", _heat(quotient, seen > 0)),
        (f"|picture - plate| x{DIFFERENCE_GAIN // 4}", _heat(total / len(rows) / 4, np.ones_like(seen, dtype=bool))),
    ]


def _heat(levels: np.ndarray, known: np.ndarray) -> np.ndarray:
    shown = np.clip(levels * DIFFERENCE_GAIN, 0, 255).astype(np.uint8)
    return np.where(known[..., None], np.repeat(shown[..., None], 3, axis=2), np.array(GREY, np.uint8))


def _plots(case: Case) -> np.ndarray:
    """Yaw and pitch of the camera round the head, and its distance, over the frames."""
    angles, distances = [], []
    for split, content in case.dataset.splits.items():
        if len(content) == 0:
            continue
        order, numbers = in_time(case.dataset, split), frame_numbers(case.dataset, split)
        x = [float(row if numbers is None else numbers[row]) for row in order]
        turned = np.degrees(camera_angles(content.camera_to_head[order]))
        if split != "val":
            angles += [Series(f"{name} {split}", x, turned[:, k]) for k, name in enumerate(("yaw", "pitch"))]
        distances.append(Series(split, x, np.linalg.norm(content.camera_to_head[order, :3, 3], axis=1)))
    plots = [curves("camera round the head, degrees", angles), curves("distance, head units", distances)]
    half = WIDTH_PX // 2
    height = round(plots[0].shape[0] * half / plots[0].shape[1])
    return np.concatenate([cv2.resize(p, (half, height), interpolation=cv2.INTER_AREA) for p in plots], axis=1)


def _expressions(case: Case) -> np.ndarray:
    """Range of every channel: training as a bar with its mean, held-out frames as thin lines beside it."""
    dataset = case.dataset
    train, test = dataset.train.expressions, dataset.splits["test"].expressions
    values = np.concatenate([train, test])
    low, high = min(0.0, float(values.min())), max(float(values.max()), 1e-6)
    height, left, top = 200, 60, 24
    canvas = _blank(height + top + 20)
    _write(canvas, "expression channels: range and mean in training (blue), range held out (orange)", (8, 16), INK)

    def row_of(value: float) -> int:
        return round(top + (high - value) / (high - low) * height)

    for value in {low, 0.0, high}:
        cv2.line(canvas, (left, row_of(value)), (WIDTH_PX - 20, row_of(value)), GREY, 1)
        _write(canvas, f"{value:.3g}", (6, row_of(value) + 4), INK)
    step = (WIDTH_PX - 20 - left) / train.shape[1]
    for channel in range(train.shape[1]):
        x, wide = round(left + channel * step), max(1, round(step * 0.5))
        column = train[:, channel]
        cv2.rectangle(canvas, (x, row_of(column.max())), (x + wide, row_of(column.min())), (140, 180, 220), -1)
        cv2.line(canvas, (x, row_of(column.mean())), (x + wide, row_of(column.mean())), (20, 70, 140), 2)
        if len(test):
            x += wide + 1
            held = test[:, channel]
            cv2.line(canvas, (x, row_of(held.max())), (x, row_of(held.min())), (214, 96, 18), 1)
    return canvas
