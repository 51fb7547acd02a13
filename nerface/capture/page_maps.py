"""Where the head pointed and where it was, as maps (SVG) drawn as one looks at the picture."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from nerface.capture.advice_wants import PITCH_DEG, YAW_DEG
from nerface.capture.page_evidence import Evidence
from nerface.capture.page_markup import Markup, digits, element
from nerface.capture.splits import SPLITS

MAP_WIDTH = 440.0  # of the view box; text is sized for it
GRID_DEG = 10
ROOM = 1.15  # the map reaches this much further than what is wanted or seen
PLACE_ASPECT = 0.5  # height over width of the position map, or more
LEAST_PLACE_CM = 4.0  # the position map shows at least so much each way
PLACE_STEPS_CM = (1, 2, 5, 10, 20, 50)
CM_OF_HEAD_UNIT = 100.0  # where a dataset does not say: its mean distance of 0.5 is then shown as 50
FEWEST_PIXELS_A_STEP = 44


@dataclass(frozen=True)
class Chart:
    """A map `svg`, the places [N, 2] of all frames in its view box, and what it shows in one sentence."""

    svg: Markup
    places: Float[np.ndarray, "frames 2"]
    words: str


def pose_map(evidence: Evidence) -> Chart:
    """Yaw and pitch from the median pose on: right is the nose to the picture's right, down the nose lowered."""
    turns = evidence.frames.turns[:, :2]
    half = np.maximum([YAW_DEG, PITCH_DEG], np.abs(turns).max(axis=0)) * ROOM
    scale = MAP_WIDTH / (2 * half[0])
    height = 2 * half[1] * scale
    places = (turns + half) * scale
    centre = half * scale

    wanted = np.array([YAW_DEG, PITCH_DEG]) * scale
    corner = centre - wanted
    parts: list[Markup] = [
        element("rect", class_="wanted", x=corner[0], y=corner[1], width=2 * wanted[0], height=2 * wanted[1], rx=6)
    ]
    visited, cells = _cells(turns[evidence.frames.rows_of("train")], centre, scale)
    parts += cells + _grid(half, centre, scale, height)
    parts += [
        _label(6, centre[1] - 6, "← their right", "start"),
        _label(MAP_WIDTH - 6, centre[1] - 6, "their left →", "end"),
        _label(centre[0] + 6, 14, "↑ up", "start"),
        _label(centre[0] + 6, height - 6, "↓ down", "start"),
        _label(corner[0] + 8, corner[1] + 16, "driving will want this", "start", "soft"),
    ]
    parts += [*_dots(evidence, places), _cursor("pose-cursor")]
    total = round(2 * YAW_DEG / GRID_DEG) * round(2 * PITCH_DEG / GRID_DEG)
    low, high = turns.min(axis=0), turns.max(axis=0)
    words = (
        f"Head poses from rest: yaw {_signed(low[0])} to {_signed(high[0])}°, pitch {_signed(low[1])} to "
        f"{_signed(high[1])}°; {visited} of {total} fields of the wanted region hold a training frame"
    )
    return Chart(_svg(parts, height, words, "pose-map"), places, words)


def place_map(evidence: Evidence) -> Chart:
    """The head's place across the picture, from its median on, in cm as far as the mean face has the person's size."""
    poses = evidence.frames.camera_to_head
    head = -np.einsum("nji,nj->ni", poses[:, :3, :3], poses[:, :3, 3])  # the head's origin before the camera
    units = evidence.number("camera", "head_units_per_cm")
    head = head / units if units else head * CM_OF_HEAD_UNIT
    across = (head[:, :2] - np.median(head[:, :2], axis=0)) * [1.0, -1.0]  # y down, as the picture
    most = np.abs(across).max(axis=0)
    half = np.array([max(LEAST_PLACE_CM, most[0]), max(LEAST_PLACE_CM * PLACE_ASPECT, most[1])]) * ROOM
    half[0] = max(half[0], half[1] / PLACE_ASPECT)
    scale = MAP_WIDTH / (2 * half[0])
    places = (across + half) * scale
    centre, height = half * scale, 2 * half[1] * scale
    step = next((s for s in PLACE_STEPS_CM if s * scale >= FEWEST_PIXELS_A_STEP), PLACE_STEPS_CM[-1])
    parts = _grid(half, centre, scale, height, step, " cm")
    parts += [*_dots(evidence, places), _cursor("place-cursor")]
    distance = np.linalg.norm(head, axis=1)
    span = np.ptp(across, axis=0)
    words = (
        f"The head moves {span[0]:.1f} cm sideways and {span[1]:.1f} cm up and down, at {distance.min():.1f} to "
        f"{distance.max():.1f} cm from the camera"
    )
    return Chart(_svg(parts, height, words, "place-map"), places, words)


def _cells(
    turns: Float[np.ndarray, "frames 2"], centre: Float[np.ndarray, " 2"], scale: float
) -> tuple[int, list[Markup]]:
    """Fields of the wanted region that hold frames, and how many."""
    inside = np.all(np.abs(turns) < [YAW_DEG, PITCH_DEG], axis=1)
    fields = np.unique(np.floor(turns[inside] / GRID_DEG).astype(int), axis=0)
    side = GRID_DEG * scale
    drawn = [
        element("rect", class_="cell", x=centre[0] + x * side, y=centre[1] + y * side, width=side, height=side)
        for x, y in fields
    ]
    return len(fields), drawn


def _grid(
    half: Float[np.ndarray, " 2"],
    centre: Float[np.ndarray, " 2"],
    scale: float,
    height: float,
    step: int = GRID_DEG,
    unit: str = "°",
) -> list[Markup]:
    lines: list[Markup] = []
    for value in _ticks(half[0], step):
        x = centre[0] + value * scale
        lines.append(element("line", class_="axis" if value == 0 else "grid", x1=x, x2=x, y1=0, y2=height))
        if value and (abs(value) % (2 * step) == 0 or half[0] < 2.5 * step):
            lines.append(_label(x, height - 5, f"{_signed(value)}{unit}", "middle", "tick"))
    for value in _ticks(half[1], step):
        y = centre[1] + value * scale
        lines.append(element("line", class_="axis" if value == 0 else "grid", x1=0, x2=MAP_WIDTH, y1=y, y2=y))
    return lines


def _ticks(half: float, step: int) -> list[int]:
    most = math.floor(half / step)
    return [number * step for number in range(-most, most + 1)]


def _dots(evidence: Evidence, places: Float[np.ndarray, "frames 2"]) -> list[Markup]:
    """All frames of a split as one path: zero-length strokes, whose caps are the dots."""
    drawn = []
    for split in SPLITS:
        rows = evidence.frames.rows_of(split)
        path = "".join(f"M{digits(x, 1)} {digits(y, 1)}h0" for x, y in places[rows])
        if path:
            drawn.append(element("path", class_=f"dots {split}", d=path))
    return drawn


def _cursor(name: str) -> Markup:
    return element("circle", id=name, class_="cursor-ring", r=8, cx=-20, cy=-20)


def _label(x: float, y: float, text: str, anchor: str, kind: str = "label") -> Markup:
    return element("text", text, class_=kind, x=x, y=y, text_anchor=anchor)


def _svg(parts: list[Markup], height: float, words: str, name: str) -> Markup:
    box = f"0 0 {digits(MAP_WIDTH)} {digits(height)}"
    return element("svg", parts, id=name, class_="map", viewBox=box, role="img", aria_label=words)


def _signed(value: float) -> str:
    text = digits(abs(value), 0)
    return text if text == "0" else ("+" if value > 0 else "−") + text
