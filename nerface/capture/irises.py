"""Where the irises are in the picture, measured on the picture.

The landmark network puts the iris in the middle of the lid opening: sideways its landmarks are good, but up and down
they show a fifth of the eye's turn (gain 0.2, correlation 0.4 against a rendered head whose eyes turn by known angles;
0.9 and 0.98 sideways).
So the iris is looked for as what it is, a dark disc of fixed size of which the lids show a part:

    place = argmax over (x, y) of  sum over pixels inside the lids and the disc of  (how much darker than half-way)

where half-way lies between the iris's and the white's brightness in this frame, and darker and brighter count at most
1/2. What lids hide counts for nothing, so that a half-hidden disc is placed by the part that shows. On the same head:
gain 1.0 and correlation 0.998 sideways, 0.95 and 0.96 to 0.99 up and down; 1.2 ms a frame.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import cv2
import numpy as np
from jaxtyping import Bool, Float, UInt8

from nerface.capture.eye_landmarks import EYES, EyeLandmarks

PATCH_WIDTH, PATCH_HEIGHT = 72, 48
EYES_PX = 168.0  # of the patch: the distance of the outer eye corners, so that an iris measures 20 to 24
SMALLEST_EYES_PX = 30.0  # of the picture: below, the iris is a few pixels and nothing is measured
USUAL_RADIUS_PX = 11.3  # of the patch; found on six clips: 9.5 to 11.6
LEAST_RADIUS_PX, MOST_RADIUS_PX = 9.0, 13.5
SETTLE_EYES = 96  # eyes that decide upon the radius
INSIDE, OUTSIDE = 0.6, 1.35  # of the radius: surely iris, surely white
LEAST_CONTRAST = 8.0  # grey levels between iris and white
PULL, PULL_X, PULL_Y = 0.01, 6.0, 8.0  # how strongly, and at how many px, the landmark holds the disc
SURE_EVIDENCE = (0.07, 0.13)  # mean darkness from where a place is trusted, and in full; open eyes have 0.15 to 0.35
HALF_WIDTHS_PX = np.arange(7.0, 15.1, 0.25)  # tried; what comes out at either end is no iris
BAND = 3  # rows above and below the iris landmark in which its width is measured
CHORD = 1.03  # radius over half the width in that band
CENTRE = np.array([(PATCH_WIDTH - 1) / 2, (PATCH_HEIGHT - 1) / 2])


@dataclass(frozen=True)
class IrisTrack:
    """Irises of n frames, left eye first: `places` [n, 2, 2] px of the upright frame, and how far each is to be
    believed, `sure` [n, 2] in [0, 1] (0: not seen; the place is then the landmark's)."""

    places: Float[np.ndarray, "frames 2 2"]
    sure: Float[np.ndarray, "frames 2"]


@dataclass(frozen=True)
class _Eye:
    """One eye, levelled and scaled: `darkness` [PATCH_HEIGHT, PATCH_WIDTH] in [-1/2, 1/2], 0 outside the lids;
    `start` the iris landmark in it; `to_image` [2, 3] from coordinates about the patch's centre to the picture."""

    darkness: Float[np.ndarray, "48 72"]
    start: Float[np.ndarray, " 2"]
    to_image: Float[np.ndarray, "2 3"]


class IrisReader:
    """Measures irises while frames stream by; holds at most `SETTLE_EYES` small patches.

    The size of the disc is one for the whole clip, as a share of the distance between the eyes; it is settled on the
    first open eyes.
    """

    def __init__(self) -> None:
        self._places: list[np.ndarray] = []
        self._sure: list[float] = []
        self._waiting: list[tuple[int, _Eye]] = []
        self._half_widths: list[float] = []
        self._radius: float | None = None

    def add(self, image: UInt8[np.ndarray, "height width 3"], landmarks: Float[np.ndarray, "478 axes"]) -> None:
        """The next used frame (RGB, upright) and its landmarks in px of it, with their depths or without."""
        for eye in EYES:
            self._places.append(np.array(landmarks[eye.iris, :2], np.float64))
            self._sure.append(0.0)
            seen = _cut_eye(image, np.asarray(landmarks, np.float64), eye)
            if seen is None:
                continue
            if self._radius is None:
                self._wait(len(self._places) - 1, seen)
            else:
                self._place(len(self._places) - 1, seen)

    def finish(self) -> IrisTrack:
        """The irises of all frames added."""
        self._settle()
        return IrisTrack(np.array(self._places).reshape(-1, 2, 2), np.array(self._sure).reshape(-1, 2))

    def _wait(self, index: int, seen: _Eye) -> None:
        self._waiting.append((index, seen))
        width = _half_width(seen)
        if width is not None:
            self._half_widths.append(width)
        if len(self._half_widths) >= SETTLE_EYES or len(self._waiting) >= 4 * SETTLE_EYES:
            self._settle()

    def _settle(self) -> None:
        if self._radius is None:
            usual = CHORD * float(np.median(self._half_widths)) if self._half_widths else USUAL_RADIUS_PX
            self._radius = float(np.clip(usual, LEAST_RADIUS_PX, MOST_RADIUS_PX))
        for index, seen in self._waiting:
            self._place(index, seen)
        self._waiting = []

    def _place(self, index: int, seen: _Eye) -> None:
        place, evidence = place_disc(seen.darkness, seen.start, self._radius or USUAL_RADIUS_PX)
        self._places[index] = seen.to_image[:, :2] @ (place - CENTRE) + seen.to_image[:, 2]
        least, full = SURE_EVIDENCE
        self._sure[index] = float(np.clip((evidence - least) / (full - least), 0.0, 1.0))


def place_disc(
    darkness: Float[np.ndarray, "height width"], start: Float[np.ndarray, " 2"], radius: float
) -> tuple[Float[np.ndarray, " 2"], float]:
    """Centre (x, y) of the disc that gathers the most darkness, to a part of a pixel, and its mean darkness.

    `start` holds the disc with little force, where the picture says nothing.
    """
    kernel = _disc(round(radius, 2))
    gathered = cv2.filter2D(darkness, cv2.CV_32F, kernel, borderType=cv2.BORDER_CONSTANT) / kernel.sum()
    rows, columns = np.indices(darkness.shape)
    away = ((columns - start[0]) / PULL_X) ** 2 + ((rows - start[1]) / PULL_Y) ** 2
    value = gathered - PULL * away
    row, column = np.unravel_index(int(np.argmax(value)), value.shape)
    place = np.array(
        [column + _peak(value[row, :], int(column)), row + _peak(value[:, column], int(row))], dtype=np.float64
    )
    return place, float(gathered[row, column])


def _peak(line: np.ndarray, at: int) -> float:
    """How far from the largest value the top of the parabola through it and its neighbours lies."""
    if not 0 < at < len(line) - 1:
        return 0.0
    before, here, after = (float(value) for value in line[at - 1 : at + 2])
    bend = before - 2 * here + after
    return float(np.clip(0.5 * (before - after) / bend, -0.5, 0.5)) if bend < 0 else 0.0


@cache
def _disc(radius: float) -> Float[np.ndarray, "size size"]:
    reach = int(np.ceil(radius + 1))
    rows, columns = np.mgrid[-reach : reach + 1, -reach : reach + 1]
    return np.clip(radius + 0.5 - np.hypot(columns, rows), 0.0, 1.0).astype(np.float32)


def _cut_eye(
    image: UInt8[np.ndarray, "height width 3"], landmarks: Float[np.ndarray, "478 axes"], eye: EyeLandmarks
) -> _Eye | None:
    """The eye as a patch of darkness; None where it is too small, out of the picture or shows no iris and white."""
    # In depth as well where it is known, so that a turned head does not seem small.
    wide = float(np.linalg.norm(landmarks[EYES[0].outer] - landmarks[EYES[1].outer]))
    points = landmarks[:, :2]
    if not np.isfinite(points[[eye.iris, *eye.outline]]).all() or not wide >= SMALLEST_EYES_PX:
        return None
    first, second = sorted((points[eye.outer], points[eye.inner]), key=lambda corner: float(corner[0]))
    angle = np.arctan2(second[1] - first[1], second[0] - first[0])
    scale = wide / EYES_PX
    cosine, sine = np.cos(angle) * scale, np.sin(angle) * scale
    to_image = np.array([[cosine, -sine, (first[0] + second[0]) / 2], [sine, cosine, (first[1] + second[1]) / 2]])
    red = _red_patch(image, to_image, scale)
    if red is None:
        return None
    to_patch = np.linalg.inv(to_image[:, :2])

    def local(places: np.ndarray) -> np.ndarray:
        return (places - to_image[:, 2]) @ to_patch.T + CENTRE

    start = local(points[eye.iris])
    lids = np.zeros((PATCH_HEIGHT, PATCH_WIDTH), np.uint8)
    outline = np.round(np.clip(local(points[list(eye.outline)]), -1000, 1000) * 16).astype(np.int32)
    cv2.fillPoly(lids, [outline], 255, lineType=cv2.LINE_AA, shift=4)
    inside = cv2.erode(lids, np.ones((3, 3), np.uint8)).astype(np.float32) / 255.0  # the outline itself is lashes
    darkness = _darkness(red, inside, start)
    return None if darkness is None else _Eye(darkness, start, to_image)


def _red_patch(
    image: UInt8[np.ndarray, "height width 3"], to_image: Float[np.ndarray, "2 3"], scale: float
) -> Float[np.ndarray, "48 72"] | None:
    """The red channel (in which skin and white are bright and irises of every colour dark) of the levelled patch."""
    reach = scale * float(np.hypot(PATCH_WIDTH, PATCH_HEIGHT)) / 2 + 3
    height, width = image.shape[:2]
    low = np.maximum(np.floor(to_image[:, 2] - reach).astype(int), 0)
    high = np.minimum(np.ceil(to_image[:, 2] + reach).astype(int) + 1, [width, height])
    if (high - low < 4).any():
        return None
    red = np.ascontiguousarray(image[low[1] : high[1], low[0] : high[0], 0])
    if scale > 1.3:  # plain bilinear sampling would skip pixels
        red = cv2.GaussianBlur(red, (0, 0), 0.5 * scale)
    inverse = to_image.copy()
    inverse[:, 2] -= to_image[:, :2] @ CENTRE + low
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    patch = cv2.warpAffine(red, inverse, (PATCH_WIDTH, PATCH_HEIGHT), flags=flags, borderMode=cv2.BORDER_REPLICATE)
    return patch.astype(np.float32)


def _darkness(
    red: Float[np.ndarray, "48 72"], inside: Float[np.ndarray, "48 72"], start: Float[np.ndarray, " 2"]
) -> Float[np.ndarray, "48 72"] | None:
    rows, columns = np.indices(red.shape)
    away = np.hypot(columns - start[0], rows - start[1])
    iris = red[(away < INSIDE * USUAL_RADIUS_PX) & (inside > 0.5)]
    white = (away > OUTSIDE * USUAL_RADIUS_PX) & (inside > 0.5)
    if len(iris) < 5 or np.count_nonzero(white) < 8:
        return None
    dark = float(np.percentile(iris, 40))  # glints are bright
    contrast = _white_level(red, white, start)[None, :] - dark
    if contrast.min() < LEAST_CONTRAST:
        return None
    return (np.clip(0.5 - (red - dark) / contrast, -0.5, 0.5) * inside).astype(np.float32)


def _white_level(
    red: Float[np.ndarray, "48 72"], white: Bool[np.ndarray, "48 72"], start: Float[np.ndarray, " 2"]
) -> Float[np.ndarray, " 72"]:
    """The white's brightness in each column: light comes from one side, so it is told apart left and right of the
    iris, and a straight line between."""
    columns = np.indices(red.shape)[1]
    places, levels = [], []
    for side in (columns < start[0], columns >= start[0]):
        own = white & side
        if np.count_nonzero(own) >= 4:
            places.append(float(columns[own].mean()))
            levels.append(float(np.median(red[own])))
    return np.interp(np.arange(red.shape[1]), places, levels)


def _half_width(seen: _Eye) -> float | None:
    """Half the iris's width along the eye, px of the patch: the stretch that gathers the most darkness in a band of
    rows about the landmark. None where the lids leave too little of the band, or no stretch stands out."""
    middle = round(float(seen.start[1]))
    band = seen.darkness[max(middle - BAND, 0) : middle + BAND + 1]
    if np.count_nonzero(band) < 200:
        return None
    total = np.concatenate([[0.0], np.cumsum(band.sum(axis=0))])
    edges = np.arange(len(total)) - 0.5
    centres = seen.start[0] + np.arange(-6.0, 6.5, 0.5)
    ends, begins = centres[:, None] + HALF_WIDTHS_PX, centres[:, None] - HALF_WIDTHS_PX
    gathered = np.interp(ends, edges, total) - np.interp(begins, edges, total)
    best = int(np.argmax(gathered.max(axis=0)))
    return float(HALF_WIDTHS_PX[best]) if 0 < best < len(HALF_WIDTHS_PX) - 1 else None
