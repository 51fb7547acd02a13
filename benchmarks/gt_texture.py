"""Pictures that the drawn head wears: skin from a public-domain portrait, hair, eyes, teeth, cloth, and the backdrop.

All are linear-light RGB, float32. The portrait is NASA's picture of the astronaut Eileen Collins, which comes with
scikit-image; the landmark network says which place of it belongs to which vertex of the face.
"""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
from gt_mesh import Refined, vertex_normals
from gt_raster import rasterise
from jaxtyping import Float
from skimage.data import astronaut

from nerface.capture.landmarker import FaceLandmarker, region_from

SKIN_PX = 1024
HALF_ANGLE = np.radians(80.0)  # the face texture spans this to each side about the vertical axis
TOP_CM, SPAN_CM = 11.0, 20.0  # and this height
BROWS = (70, 63, 105, 66, 107, 336, 296, 334, 293, 300)
CHEEKS = (50, 101, 205, 280, 330, 425)
PORES = ((0.8, 0.012), (2.5, 0.014), (9.0, 0.018), (30.0, 0.02))  # (size px, contrast): weak, as skin is
FRECKLES = 170
CONTRAST = 1.35


def to_linear(image: np.ndarray) -> Float[np.ndarray, "rows columns 3"]:
    """8-bit sRGB to linear light in [0, 1] (IEC 61966-2-1)."""
    value = image.astype(np.float32) / 255
    return np.where(value <= 0.04045, value / 12.92, ((value + 0.055) / 1.055) ** 2.4).astype(np.float32)


def to_srgb(linear: np.ndarray) -> np.ndarray:
    """Linear light in [0, 1] to sRGB in [0, 255], not rounded (IEC 61966-2-1)."""
    value = np.clip(linear, 0, 1)
    return np.asarray(255 * np.where(value <= 0.0031308, value * 12.92, 1.055 * value ** (1 / 2.4) - 0.055))


def face_places(points: Float[np.ndarray, "vertices 3"]) -> Float[np.ndarray, "vertices 2"]:
    """Where points of the neutral face lie in its texture, in [0, 1] across and down."""
    across = 0.5 + np.arctan2(points[:, 0], points[:, 2]) / (2 * HALF_ANGLE)
    return np.stack([across, (TOP_CM - points[:, 1]) / SPAN_CM], axis=1)


def looked_up(texture: np.ndarray, pixels: Float[np.ndarray, "samples 2"]) -> Float[np.ndarray, "samples 3"]:
    """Bilinear look-up of a list of places (column, row), in blocks of rows as OpenCV takes them."""
    width = 4096
    padded = np.zeros((-(-len(pixels) // width) * width, 2), np.float32)
    padded[: len(pixels)] = pixels
    found = cv2.remap(texture, padded.reshape(-1, width, 2), None, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(found.reshape(-1, 3)[: len(pixels)])


def noise(shape: tuple[int, int], size: float, random: np.random.Generator) -> Float[np.ndarray, "rows columns"]:
    """Gaussian noise of unit variance whose blobs are about `size` pixels large."""
    field = cv2.GaussianBlur(random.standard_normal(shape).astype(np.float32), (0, 0), max(size, 0.3))
    return np.asarray((field - field.mean()) / field.std())


def skin_texture(
    neutral: Float[np.ndarray, "468 3"],
    refined: Refined,
    task_file: Path,
    tone: np.ndarray,
    random: np.random.Generator,
) -> tuple[Float[np.ndarray, "rows columns 3"], Float[np.ndarray, " 3"]]:
    """The face's texture, and the plain colour that it runs out into at its rim.

    What the portrait shows well is taken from it, the rest from its mirror image; hair on the forehead gives way to
    skin; its light is evened out; pores and freckles are added, since the picture is small. `tone` scales the colour.
    """
    picture, landmarks = _portrait(task_file)
    # Landmarks have z away from the camera and y down: turned to head axes for the normals.
    seen = refined.matrix @ (landmarks * [1, -1, -1])
    facing = np.clip(vertex_normals(seen, refined.triangles)[:, 2], 0.02, 1) ** 3
    points = refined.matrix @ neutral
    places = face_places(points) * (SKIN_PX - 1)
    flat = np.concatenate([places, np.full((len(places), 1), 2.0)], axis=1)
    hits = rasterise(flat, refined.triangles, np.zeros(len(refined.triangles)), (SKIN_PX, SKIN_PX))
    corners = refined.triangles[hits.triangle]
    taken = np.zeros((SKIN_PX * SKIN_PX, 4), np.float32)
    source = np.einsum("kc,kcx->kx", hits.weights, seen[corners][..., :2] * [1, -1])
    taken[hits.sample, :3] = looked_up(picture, source)
    taken[hits.sample, 3] = np.einsum("kc,kc->k", hits.weights, facing[corners])
    taken = taken.reshape(SKIN_PX, SKIN_PX, 4)
    mirrored = taken[:, ::-1]
    share = taken[..., 3:] / np.maximum(taken[..., 3:] + mirrored[..., 3:], 1e-6)
    skin = share * taken[..., :3] + (1 - share) * mirrored[..., :3]
    covered = cv2.fillPoly(np.zeros((SKIN_PX, SKIN_PX), np.uint8), [np.round(places[refined.rim]).astype(np.int32)], 1)
    plain = np.median([skin[int(y), int(x)] for x, y in places[list(CHEEKS)]], axis=0)
    seen_once = (skin.sum(axis=2) > 0).astype(np.uint8) * covered
    skin = _evened(np.clip(skin, 0, 1), seen_once, plain)
    skin = _plain_outside(skin, covered, places[list(BROWS)], plain)
    skin *= 1 + _grain(random)[..., None] * np.array([0.8, 1.0, 1.1], np.float32)
    return np.clip(skin * tone, 0, 1).astype(np.float32), plain * tone


def _portrait(task_file: Path) -> tuple[np.ndarray, Float[np.ndarray, "468 3"]]:
    """The portrait twice as large, in linear light, and its 468 landmarks."""
    large = np.ascontiguousarray(cv2.resize(astronaut(), None, fx=2, fy=2, interpolation=cv2.INTER_CUBIC))
    network = FaceLandmarker(task_file)
    region = network.detect(large)[0]
    for _ in range(4):
        face = network.measure(large, region)
        region = region_from(face)
    return to_linear(large), face.landmarks[:468].astype(np.float64)


def _evened(skin: np.ndarray, covered: np.ndarray, plain: np.ndarray) -> np.ndarray:
    """Broad light and shade of the portrait taken out; what is left of it moves with the skin as real colour does."""
    weight = cv2.GaussianBlur(covered.astype(np.float32), (0, 0), 70)
    broad = cv2.GaussianBlur(skin * covered[..., None], (0, 0), 70) / np.maximum(weight, 1e-3)[..., None]
    ratio = plain / np.maximum(broad, 1e-3)
    even = np.maximum(skin, 1e-4) * np.clip(ratio, 0.6, 1.8) ** 0.7
    # The portrait is lit softly and its brows are fair: its contrast is raised a little.
    return np.asarray(plain * (even / plain) ** CONTRAST)


def _plain_outside(skin: np.ndarray, covered: np.ndarray, brows: np.ndarray, plain: np.ndarray) -> np.ndarray:
    """The plain colour where the portrait has hair (above the brows, at the temples) and towards the rim."""
    rows, columns = np.mgrid[: skin.shape[0], : skin.shape[1]].astype(np.float32)
    line = np.interp(columns[0], brows[:, 0], brows[:, 1])[None]
    above = np.clip((line - 22 - rows) / 40, 0, 1)
    inset = cv2.distanceTransform(covered, cv2.DIST_L2, 5)
    rim = 1 - np.clip((inset - 12) / 90, 0, 1)
    aside = np.clip((np.abs(columns - skin.shape[1] / 2) - 175) / 70, 0, 1)
    keep = (1 - above) * (1 - rim) * (1 - aside)
    keep = (keep * keep * (3 - 2 * keep))[..., None]
    return np.asarray(keep * skin + (1 - keep) * plain)


def _grain(random: np.random.Generator) -> Float[np.ndarray, "rows columns"]:
    """Pores, blotches and freckles as relative brightness."""
    grain = np.zeros((SKIN_PX, SKIN_PX), np.float32)
    for size, contrast in PORES:
        grain += contrast * noise(grain.shape, size, random)
    spots = np.zeros_like(grain)
    for x, y, radius, depth in random.uniform((150, 150, 1.0, 0.05), (874, 900, 3.5, 0.2), (FRECKLES, 4)):
        cv2.circle(spots, (int(x), int(y)), round(radius), float(depth), -1)
    return np.asarray(grain - cv2.GaussianBlur(spots, (0, 0), 1.2))


def shell_texture(
    hair: Float[np.ndarray, "rings columns"], skin: np.ndarray, colour: np.ndarray, random: np.random.Generator
) -> Float[np.ndarray, "512 1024 3"]:
    """Skull texture: strands of `colour` along the rings' course where `hair` is 1, plain skin where it is 0."""
    share = cv2.resize(hair.astype(np.float32), (1024, 512), interpolation=cv2.INTER_CUBIC)
    share = np.clip((share + 0.12 * noise(share.shape, 3, random) - 0.42) / 0.16, 0, 1)[..., None]
    strands = cv2.GaussianBlur(random.standard_normal((512, 1024)).astype(np.float32), (0, 0), 1.2, sigmaY=22)
    strands = strands / strands.std() * 0.22 + 0.16 * noise((512, 1024), 30, random)
    hairs = colour * np.clip(1 + strands, 0.3, 2.2)[..., None]
    grain = 1 + 0.03 * noise((512, 1024), 2, random)[..., None]
    return np.asarray(share * hairs + (1 - share) * skin * grain, np.float32)


def eye_texture(iris: np.ndarray, random: np.random.Generator) -> Float[np.ndarray, "256 256 3"]:
    """The front half of an eyeball, seen along its axis; the iris has 0.49 of its radius (11.7 mm of 24)."""
    y, x = (np.mgrid[:256, :256] - 127.5) / 127.5
    radius, angle = np.hypot(x, y), np.arctan2(y, x)
    white = np.array([0.66, 0.60, 0.56]) * (1 - 0.35 * np.clip(radius - 0.5, 0, 1))[..., None]
    streaks = 0.25 * np.interp(angle, np.linspace(-np.pi, np.pi, 90), random.standard_normal(90), period=2 * np.pi)
    coloured = iris * (1 + streaks - 0.5 * np.clip((radius - 0.36) / 0.13, 0, 1))[..., None]
    inside = np.clip((0.49 - radius) / 0.03, 0, 1)[..., None]
    pupil = np.clip((0.19 - radius) / 0.03, 0, 1)[..., None]
    eye = white * (1 - inside) + coloured * inside
    return np.asarray(np.clip(eye * (1 - pupil) + 0.004 * pupil, 0, 1), np.float32)


def teeth_texture() -> Float[np.ndarray, "64 512 3"]:
    """A row of twelve teeth, its top at the gum."""
    y, x = np.mgrid[:64, :512] / np.array([63.0, 511.0])[:, None, None]
    gap = np.abs((x * 12) % 1 - 0.5)
    white = np.array([0.62, 0.56, 0.46]) * (1 - 0.55 * np.clip((gap - 0.42) / 0.08, 0, 1))[..., None]
    gum = np.clip((0.18 - y + 0.12 * (gap * 2) ** 2) / 0.06, 0, 1)[..., None]
    return np.asarray(white * (1 - gum) + np.array([0.30, 0.09, 0.08]) * gum, np.float32)


def body_texture(
    skin: np.ndarray, cloth: np.ndarray, collar: float, random: np.random.Generator
) -> Float[np.ndarray, "512 512 3"]:
    """Neck and shoulders: skin down to `collar` (a share of the height), knitted cloth below."""
    y, x = np.mgrid[:512, :512] / 511.0
    knit = 1 + 0.12 * np.sin(2 * np.pi * 60 * y) * np.sin(2 * np.pi * 80 * x) + 0.08 * noise((512, 512), 8, random)
    below = np.clip((y - collar) / 0.006, 0, 1)[..., None]
    # The chin shades the neck: a soft dark part at the top.
    shade = 1 - 0.35 * np.clip((0.16 - y) / 0.10, 0, 1)[..., None]
    grain = 1 + 0.03 * noise((512, 512), 2, random)[..., None]
    return np.asarray(np.clip((1 - below) * skin * grain * shade + below * cloth * knit[..., None], 0, 1), np.float32)


def backdrop(size: int, random: np.random.Generator) -> Float[np.ndarray, "size size 3"]:
    """A room out of focus: a wall with a light gradient, a shelf with things on it, a lamp."""
    y, x = np.mgrid[:size, :size] / (size - 1)
    wall = np.array([0.36, 0.33, 0.28]) * (0.75 + 0.35 * x - 0.2 * y)[..., None]
    for _ in range(26):
        left, top = random.uniform(0, 1), random.choice([0.18, 0.47, 0.8])
        width, height = random.uniform(0.02, 0.07), random.uniform(0.06, 0.2)
        colour = random.uniform(0.03, 0.4, 3)
        box = (x > left) & (x < left + width) & (y > top - height) & (y < top)
        wall[box] = colour * (0.8 + 0.2 * ((x - left) / width)[box])[:, None]
    for shelf in (0.18, 0.47, 0.8):
        wall[np.abs(y - shelf - 0.008) < 0.008] = (0.16, 0.10, 0.06)
    return np.asarray(cv2.GaussianBlur(wall.astype(np.float32), (0, 0), size / 150), np.float32)
