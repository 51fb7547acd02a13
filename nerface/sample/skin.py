"""The subject's texture: the portrait of `skimage.data.astronaut` on the modelled face, and paint for the rest.

The portrait (NASA, Eileen Collins, public domain) ships inside scikit-image's wheel. Its eyes and its smiling mouth are
painted out, since the model has lids, eyeballs, lips and teeth of its own; hair and skin that it does not show are made
up from its colours.
"""

from __future__ import annotations

import cv2
import numpy as np
from jaxtyping import Float
from scipy.interpolate import RBFInterpolator
from scipy.ndimage import gaussian_filter
from skimage.data import astronaut

from nerface.sample.head import (
    EYE_HALF_WIDTH,
    EYE_STATION,
    EYE_X,
    MOUTH_HALF_WIDTH,
    MOUTH_STATION,
    STATION_END,
    bump,
    rest_skin,
    smoothstep,
)
from nerface.sample.parts import (
    ARCH_ANGLE,
    CLOTH_TILE,
    EYE_TILE,
    LIP_TILE,
    SKIN_COLUMNS,
    SKIN_ROWS,
    STRIP_ROWS,
    TEETH_TILE,
    THROAT_TILE,
    TILE,
    TONGUE_TILE,
)
from nerface.sample.shapes import SkinPoints, deform

# Where points of the open-eyed model (x, y in cm) lie in the portrait (column, row in pixels), measured by hand.
LANDMARKS = np.array(
    [
        # eyes: outer, inner, upper, lower
        [-4.50, -0.20, 192.5, 100.5], [-1.72, -0.20, 212.5, 104.0], [-3.1, 0.50, 202.0, 97.5],
        [-3.1, -0.42, 203.0, 104.5], [4.50, -0.20, 259.5, 104.0], [1.72, -0.20, 236.5, 105.0],
        [3.1, 0.50, 247.0, 99.0], [3.1, -0.42, 247.0, 107.0],
        # brows
        [-4.7, 1.45, 190.0, 91.0], [-3.5, 1.85, 198.0, 88.8], [-1.4, 1.35, 213.0, 92.5],
        [1.5, 1.35, 238.0, 93.5], [3.3, 1.85, 250.0, 92.0], [4.9, 1.40, 263.0, 96.0],
        # nose: root, tip, base, wings
        [0.0, 0.0, 224.5, 103.0], [0.0, -3.4, 223.5, 127.0], [0.0, -4.35, 223.5, 133.5],
        [-1.55, -3.75, 211.5, 128.0], [1.55, -3.75, 236.5, 127.5],
        # cheeks, beside the mouth, under it, chin
        [-5.9, 0.0, 184.5, 101.0], [5.9, 0.0, 268.0, 103.5], [-5.9, -3.6, 185.0, 126.0], [5.9, -3.6, 264.0, 128.0],
        [-3.5, -5.6, 198.0, 142.0], [3.5, -5.6, 251.0, 142.0], [0.0, -7.2, 223.5, 157.0],
        [-5.3, -6.3, 188.0, 147.0], [5.3, -6.3, 260.5, 147.0], [-3.6, -8.5, 201.0, 167.0], [3.6, -8.5, 247.0, 167.0],
        [0.0, -9.8, 224.0, 175.0],
        # edge of the fringe
        [-5.3, 3.1, 188.0, 75.0], [-2.8, 2.95, 202.0, 78.5], [0.0, 2.75, 225.0, 80.5], [3.0, 2.55, 247.0, 84.0],
        [5.3, 2.35, 266.0, 89.0],
        # outline of the hair
        [0.0, 12.0, 231.0, 21.0], [-6.5, 9.0, 180.0, 42.0], [6.5, 9.0, 276.0, 38.0], [-8.6, 4.5, 157.0, 68.0],
        [8.6, 4.5, 294.0, 66.0], [-8.8, 0.0, 158.0, 95.0], [8.8, 0.0, 297.0, 95.0], [-8.0, -3.0, 170.0, 108.0],
        [8.0, -3.0, 287.0, 115.0],
    ]
)  # fmt: skip
PORTRAIT_EYES = ((202, 101), (248, 103))  # ellipses to paint out: centres, then half axes
PORTRAIT_EYE_AXES = (14, 8)
# Outlines to paint out: the mouth, and the folds that its smile draws beside the nose.
PORTRAIT_MOUTH = np.array(
    [
        [194, 140], [197, 134], [204, 131], [208, 136], [223, 137], [240, 136], [243, 131],
        [250, 134], [253, 140], [251, 147], [238, 157], [223, 160], [209, 157], [198, 147],
    ]
)  # fmt: skip
PORTRAIT_FOLDS = (
    np.array([[206, 121], [211, 125], [206, 132], [200, 139], [193, 140], [196, 131]]),
    np.array([[237, 121], [243, 125], [250, 132], [253, 142], [247, 139], [241, 131]]),
)

SKIN_COLOUR = np.array([214.0, 180.0, 150.0])
LIP_COLOUR = np.array([186.0, 120.0, 110.0])
LASH_COLOUR = np.array([52.0, 34.0, 28.0])
BROW_COLOUR = np.array([104.0, 72.0, 48.0])
HAIR_DARK, HAIR_LIGHT = np.array([48.0, 34.0, 14.0]), np.array([168.0, 140.0, 92.0])
CLOTH_COLOUR = np.array([66.0, 88.0, 112.0])
PORTRAIT_TURN = 74.0  # degrees: the model's outermost columns that still show the portrait


def paint_texture(random: np.random.Generator) -> Float[np.ndarray, "rows columns 3"]:
    """The whole texture, RGB in [0, 255], float32; its layout is `nerface.sample.parts`'s."""
    texture = np.zeros((SKIN_ROWS + STRIP_ROWS, SKIN_COLUMNS, 3), dtype=np.float32)
    texture[:SKIN_ROWS] = _skin(random)
    for tile, paint in (
        (EYE_TILE, _eye()),
        (CLOTH_TILE, _cloth(random)),
        (TEETH_TILE, _teeth()),
        (LIP_TILE, _inner_lips()),
        (THROAT_TILE, _shaded(np.array([70.0, 24.0, 24.0]), 0.75)),
        (TONGUE_TILE, _shaded(np.array([176.0, 92.0, 92.0]), 0.5)),
    ):
        texture[SKIN_ROWS:, tile * TILE : (tile + 1) * TILE] = paint
    return np.clip(texture, 0.0, 255.0)


def _blend(below: np.ndarray, above: np.ndarray, share: np.ndarray) -> np.ndarray:
    return below + (above - below) * share[..., None]


def _clean_portrait() -> np.ndarray:
    """The portrait with eyes and mouth replaced by skin."""
    portrait = astronaut()
    mask = np.zeros(portrait.shape[:2], dtype=np.uint8)
    for centre in PORTRAIT_EYES:
        cv2.ellipse(mask, centre, PORTRAIT_EYE_AXES, 0, 0, 360, 255, -1)
    cv2.fillPoly(mask, [outline.astype(np.int32) for outline in (PORTRAIT_MOUTH, *PORTRAIT_FOLDS)], 255)
    filled = cv2.inpaint(portrait, mask, 4.0, cv2.INPAINT_TELEA).astype(np.float32)
    soft = cv2.GaussianBlur(filled, (0, 0), 3.0)
    return _blend(filled, soft, cv2.GaussianBlur(mask.astype(np.float32) / 255.0, (0, 0), 1.5))


def _open_skin(station: np.ndarray, angle: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Points [R, C, 3] of the open-eyed head at rest, and where it is hair [R, C]."""
    rest = rest_skin(station, angle)
    flat = rest.points.reshape(-1, 3)
    skin = SkinPoints(
        flat, rest.hair.ravel(), station.ravel() < EYE_STATION, station.ravel() < MOUTH_STATION,
        np.abs(angle.ravel()) < 88.0, np.zeros(len(flat)),
    )  # fmt: skip
    return deform(skin, {}).reshape(rest.points.shape), rest.hair


def _portrait_on_head(station: np.ndarray, angle: np.ndarray) -> np.ndarray:
    """The portrait projected from the front; beyond `PORTRAIT_TURN` the last columns are repeated."""
    limited = np.sign(angle) * np.minimum(np.abs(angle), PORTRAIT_TURN)
    points, _ = _open_skin(station, limited)
    warp = RBFInterpolator(LANDMARKS[:, :2], LANDMARKS[:, 2:], kernel="thin_plate_spline", smoothing=0.02)
    step = 8  # the warp is smooth: it is solved on a coarse lattice of the picture plane
    xs, ys = np.linspace(-12.0, 12.0, 24 * step + 1), np.linspace(-13.0, 14.0, 27 * step + 1)
    lattice = np.stack(np.meshgrid(xs, ys), axis=-1)
    found = warp(lattice.reshape(-1, 2)).reshape(*lattice.shape).astype(np.float32)
    column = ((points[..., 0] + 12.0) * step).astype(np.float32)
    row = ((points[..., 1] + 13.0) * step).astype(np.float32)
    place = cv2.remap(found, column, row, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    return cv2.remap(_clean_portrait(), place[..., 0], place[..., 1], cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE)


def _skin(random: np.random.Generator) -> np.ndarray:
    station, angle = np.meshgrid(
        np.linspace(0.0, STATION_END, SKIN_ROWS), np.linspace(-180.0, 180.0, SKIN_COLUMNS), indexing="ij"
    )
    points, hair = _open_skin(station, angle)
    x, y, turn = points[..., 0], points[..., 1], np.abs(angle)
    pores = gaussian_filter(random.standard_normal(station.shape), 1.0) * 7.0
    blotches = gaussian_filter(random.standard_normal(station.shape), 9.0) * 60.0
    plain = SKIN_COLOUR * (1.0 - 0.10 * smoothstep((turn - 60.0) / 60.0))[..., None]
    plain = plain + blotches[..., None] * [1.0, 0.8, 0.7]
    strands = _strands(random, station.shape)

    portrait = _portrait_on_head(station, angle).astype(float)
    bare = 1.0 - smoothstep((hair - 0.25) / 0.5)
    unseen = smoothstep((turn - 36.0) / 15.0) * bare * smoothstep((station - 12.6) / 1.6)
    below = smoothstep((station - 22.6) / 0.9)
    face = _blend(portrait, plain, np.maximum(unseen, below))
    unseen = np.maximum(smoothstep((turn - 60.0) / 15.0), smoothstep((5.0 - station) / 3.0))
    face = _blend(face, strands, unseen * smoothstep(hair * 2.0 - 0.5))
    face += (pores * (1.0 - hair))[..., None]
    under_chin = smoothstep((station - 22.8) / 1.0) * (1.0 - 0.75 * smoothstep((station - 24.0) / 4.5))
    face *= (1.0 - 0.36 * under_chin)[..., None]
    nostrils = bump(np.abs(x), y, (0.66, -4.12), (0.22, 0.11)) * (np.abs(station - MOUTH_STATION + 1.5) < 1.5)
    face *= (1.0 - 0.50 * nostrils)[..., None]
    face = _brows(face, x, y, random)
    face = _lips(face, x, station, random)
    return _lids(face, x, station)


def _strands(random: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    """Hair that runs from crown to tips: noise drawn out along the stations."""

    def noise(along: float, across: float) -> np.ndarray:
        field = gaussian_filter(random.standard_normal(shape), (along, across), mode=("nearest", "wrap"))
        return field / field.std()

    light = 0.40 + 0.15 * noise(26.0, 1.1) + 0.13 * noise(60.0, 6.0) + 0.06 * noise(8.0, 0.7)
    return _blend(np.broadcast_to(HAIR_DARK, (*shape, 3)), HAIR_LIGHT, np.clip(light, 0.0, 1.0))


def _brows(face: np.ndarray, x: np.ndarray, y: np.ndarray, random: np.random.Generator) -> np.ndarray:
    side = np.abs(x)
    line = 1.30 + 0.55 * np.sin(np.clip((side - 1.3) / 3.9, 0.0, 1.0) * 2.1)
    width = 0.24 - 0.03 * (side - 1.3)
    along = smoothstep((side - 1.2) / 0.6) * smoothstep((5.2 - side) / 1.2)
    grain = gaussian_filter(random.standard_normal(x.shape), (1.6, 0.7))
    share = np.exp(-0.5 * ((y - line) / np.maximum(width, 0.1)) ** 2) * along * (0.62 + 1.2 * grain)
    return _blend(face, np.broadcast_to(BROW_COLOUR, face.shape), np.clip(share, 0.0, 0.8))


def _lips(face: np.ndarray, x: np.ndarray, station: np.ndarray, random: np.random.Generator) -> np.ndarray:
    share = np.clip(np.abs(x) / (MOUTH_HALF_WIDTH + 0.05), 0.0, 1.0)
    bow = 1.0 - 0.16 * np.exp(-0.5 * (x / 0.28) ** 2)
    upper, lower = 0.62 * (1.0 - share**1.7) * bow + 0.02, 0.86 * (1.0 - share**2.3) + 0.02
    away = station - MOUTH_STATION
    height = np.where(away < 0, -away / upper, away / lower)
    inside = smoothstep((1.10 - height) / 0.22) * (share < 1.0)
    wrinkles = gaussian_filter(random.standard_normal(x.shape), (5.0, 0.9)) * 3.0
    tone = np.where(away < 0, 0.86, 1.0) * (1.0 - 0.35 * np.exp(-0.5 * (away / 0.07) ** 2)) + 0.02 * wrinkles
    face = _blend(face, LIP_COLOUR * tone[..., None], 0.80 * inside)
    # The line between the lips runs a little past the corners.
    line = np.exp(-0.5 * (away / 0.045) ** 2) * smoothstep((MOUTH_HALF_WIDTH + 0.25 - np.abs(x)) / 0.3)
    return _blend(face, np.broadcast_to(LIP_COLOUR * 0.42, face.shape), 0.75 * line)


def _lids(face: np.ndarray, x: np.ndarray, station: np.ndarray) -> np.ndarray:
    across = (np.abs(x) - EYE_X) / EYE_HALF_WIDTH
    within = smoothstep((1.06 - np.abs(across)) / 0.15)
    away = EYE_STATION - station  # positive above
    # The portrait's painted-out lashes leave the lids grey.
    lid = np.clip(1.0 - across**2 / 1.4, 0.0, 1.0) * smoothstep((1.25 - away) / 0.6) * smoothstep((away + 0.4) / 0.4)
    face = _blend(face, np.broadcast_to(0.94 * SKIN_COLOUR, face.shape), 0.6 * lid)
    lash = np.where(away >= 0, np.exp(-0.5 * (away / 0.085) ** 2), 0.55 * np.exp(-0.5 * (away / 0.045) ** 2)) * within
    fold = 0.62 * np.sqrt(np.clip(1.0 - across**2, 0.0, 1.0))  # how far above the lid's edge its crease lies
    crease = 0.38 * np.exp(-0.5 * ((away - fold) / 0.07) ** 2) * within * (away > 0.1)
    face = _blend(face, face * 0.55, crease)
    return _blend(face, np.broadcast_to(LASH_COLOUR, face.shape), np.clip(0.92 * lash, 0.0, 1.0))


def _tile_grid() -> tuple[np.ndarray, np.ndarray]:
    """(across, down) of a tile's texels, each in [0, 1]."""
    down, across = np.meshgrid(np.linspace(0.0, 1.0, STRIP_ROWS), np.linspace(0.0, 1.0, TILE), indexing="ij")
    return across, down


def _eye() -> np.ndarray:
    """White, brown iris, pupil and one reflection; the tile's edge lies 75 degrees from the pupil."""
    across, down = _tile_grid()
    radius = np.hypot(across - 0.5, down - 0.5)
    angle = np.arctan2(down - 0.5, across - 0.5)
    white = np.broadcast_to([216.0, 208.0, 204.0], (*radius.shape, 3))
    colour = _blend(white, np.array([176.0, 140.0, 130.0]), smoothstep((radius - 0.27) / 0.15))
    fibres = 1.0 + 0.12 * np.sin(31 * angle) + 0.08 * np.sin(57 * angle + 1.0)
    iris = np.array([104.0, 70.0, 44.0]) * (fibres * (0.75 + 0.5 * smoothstep((0.19 - radius) / 0.1)))[..., None]
    colour = _blend(colour, iris, smoothstep((0.207 - radius) / 0.02))
    colour = _blend(colour, np.array([40.0, 26.0, 20.0]), 0.8 * np.exp(-0.5 * ((radius - 0.198) / 0.010) ** 2))
    colour = _blend(colour, np.array([14.0, 10.0, 10.0]), smoothstep((0.085 - radius) / 0.015))
    glint = np.exp(-0.5 * (((across - 0.45) / 0.022) ** 2 + ((down - 0.42) / 0.022) ** 2))
    return _blend(colour, np.array([255.0, 255.0, 255.0]), np.clip(glint * 1.3, 0.0, 1.0)) * 1.05


def _cloth(random: np.random.Generator) -> np.ndarray:
    across, down = _tile_grid()
    knit = 0.04 * np.sin(across * np.pi * 2 * 44) + 0.03 * np.sin(down * np.pi * 2 * 40)
    folds = gaussian_filter(random.standard_normal(across.shape), (8.0, 5.0), mode="wrap")
    collar = 0.12 * smoothstep((0.27 - down) / 0.02) * np.sign(np.sin(across * np.pi * 2 * 30))
    return CLOTH_COLOUR * (1.0 + knit + 0.8 * folds + collar)[..., None]


def _teeth() -> np.ndarray:
    """Eight teeth across the front, gums above (the lower row's tile is used upside down)."""
    across, down = _tile_grid()
    angle = np.arcsin(np.clip((across - 0.5) * 2.0 * np.sin(ARCH_ANGLE), -1, 1))
    gap = np.abs(np.sin(angle / 0.21 * np.pi))
    shade = (0.78 + 0.22 * smoothstep(gap / 0.45)) * (1.0 - 0.5 * np.abs(across - 0.5))
    tooth = np.array([236.0, 228.0, 210.0]) * shade[..., None]
    return _blend(tooth, np.array([176.0, 92.0, 92.0]), smoothstep((0.30 - down + 0.06 * gap) / 0.08))


def _inner_lips() -> np.ndarray:
    """Left half: the lids' wet edge; right half: the inside of the lips."""
    across, _ = _tile_grid()
    return np.where((across < 0.5)[..., None], np.array([176.0, 128.0, 118.0]), np.array([142.0, 72.0, 70.0]))


def _shaded(colour: np.ndarray, fall: float) -> np.ndarray:
    across, _ = _tile_grid()
    return colour * (1.0 - fall * (2.0 * np.abs(across - 0.5)) ** 2)[..., None]
