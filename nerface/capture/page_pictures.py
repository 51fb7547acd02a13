"""The report's pictures, small and inline: overlay frames, the plate with its unseen part hatched, mattes."""

from __future__ import annotations

import base64
import logging
from collections.abc import Sequence
from pathlib import Path

import av
import cv2
import numpy as np
from jaxtyping import Bool, Float, UInt8

from nerface.capture.page_evidence import Evidence
from nerface.capture.writer import PLATE_FILE, UNSEEN_FILE

logger = logging.getLogger(__name__)

OVERLAY_FILE = "overlay.mp4"
FRAME_PX, FRAME_QUALITY = 560, 66
PLATE_PX, PLATE_QUALITY = 640, 72
MATTE_PX, MATTE_QUALITY = 400, 78
HATCH_PX = 18  # period of the stripes over the unseen part
HATCH_COLOUR = np.array([214, 40, 120])
HATCH_OPACITY = 0.85
CHECKER_PX, CHECKER_LEVELS = 12, (205, 250)
CROWN_SHARE = 0.6  # of the head box's height, from the top: where hair is
CROWN_MARGIN = 0.12  # of the head box, on all sides

Picture = UInt8[np.ndarray, "height width 3"]


def data_uri(image: Picture, longer_side: int, quality: int) -> str:
    """The picture as a WebP data URI of at most `longer_side` px."""
    height, width = image.shape[:2]
    scale = longer_side / max(height, width)
    if scale < 1:
        size = (max(1, round(width * scale)), max(1, round(height * scale)))
        image = cv2.resize(image, size, interpolation=cv2.INTER_AREA)
    done, data = cv2.imencode(".webp", np.ascontiguousarray(image[..., ::-1]), [cv2.IMWRITE_WEBP_QUALITY, quality])
    if not done:
        raise ValueError(f"a picture of {width}x{height} could not be encoded as WebP")
    return "data:image/webp;base64," + base64.b64encode(data.tobytes()).decode("ascii")


def overlay_frames(evidence: Evidence, rows: Sequence[int]) -> tuple[list[Picture], bool]:
    """Frames `rows` (ascending) of the overlay video, and True; without a readable one the stored pictures, False."""
    path = evidence.folder / OVERLAY_FILE
    if path.is_file():
        try:
            found = _decode(path, rows)
        except (av.FFmpegError, OSError) as error:
            logger.warning("%s cannot be read (%s): the report shows the pictures without overlay", path, error)
            found = []
        if len(found) == len(rows):
            return found, True
    return [read_picture(evidence.frames.pictures[row]) for row in rows], False


def _decode(path: Path, rows: Sequence[int]) -> list[Picture]:
    wanted, found = set(rows), []
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        stream.thread_type = "AUTO"
        for number, frame in enumerate(container.decode(stream)):
            if number in wanted:
                found.append(frame.to_ndarray(format="rgb24"))
            if len(found) == len(wanted):
                break
    return found


def read_picture(path: Path) -> Picture:
    """An RGB picture; grey where the file cannot be read, because a report with a hole is better than none."""
    image = cv2.imread(str(path), cv2.IMREAD_COLOR)
    if image is None:
        logger.warning("%s cannot be read: the report shows grey instead", path)
        return np.full((64, 64, 3), 128, np.uint8)
    return np.ascontiguousarray(image[..., ::-1])


def plate_picture(evidence: Evidence) -> Picture | None:
    """The background plate, its unseen part under stripes; None where there is no plate."""
    path = evidence.folder / PLATE_FILE
    if not path.is_file():
        return None
    plate = read_picture(path)
    if max(plate.shape[:2]) > PLATE_PX:
        scale = PLATE_PX / max(plate.shape[:2])
        plate = cv2.resize(plate, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    unseen = cv2.imread(str(evidence.folder / UNSEEN_FILE), cv2.IMREAD_GRAYSCALE)
    if unseen is None:
        return plate
    unseen = cv2.resize(unseen, (plate.shape[1], plate.shape[0]), interpolation=cv2.INTER_NEAREST)
    return hatched(plate, unseen > 127)


def hatched(image: Picture, area: Bool[np.ndarray, "height width"]) -> Picture:
    """`image` with stripes over `area`, and its outline."""
    rows, columns = np.indices(area.shape)
    stripes = area & ((rows + columns) % HATCH_PX < HATCH_PX / 3)
    edge = area & ~cv2.erode(area.astype(np.uint8), np.ones((3, 3), np.uint8)).astype(bool)
    weight = np.where(edge, 1.0, np.where(stripes, HATCH_OPACITY, 0.0))[..., None]
    return np.rint(image * (1 - weight) + HATCH_COLOUR * weight).astype(np.uint8)


def matte_picture(evidence: Evidence, row: int) -> Picture | None:
    """The crown of the head in one frame, cut out by its mask, over a checkerboard; None without a mask or head box."""
    mask_path, box = evidence.frames.masks[row], evidence.frames.head_boxes[row]
    mask = None if mask_path is None else cv2.imread(str(mask_path), cv2.IMREAD_GRAYSCALE)
    if mask is None or not np.isfinite(box).all():
        return None
    image = read_picture(evidence.frames.pictures[row])
    if mask.shape != image.shape[:2]:
        mask = cv2.resize(mask, (image.shape[1], image.shape[0]), interpolation=cv2.INTER_LINEAR)
    rows, columns = _crown(box, image.shape[0], image.shape[1])
    image, mask = image[rows, columns], mask[rows, columns]
    if image.size == 0:
        return None
    scale = MATTE_PX / max(image.shape[:2])
    way = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
    image, mask = (cv2.resize(part, None, fx=scale, fy=scale, interpolation=way) for part in (image, mask))
    return over_checker(image, mask / 255.0)


def over_checker(image: Picture, alpha: Float[np.ndarray, "height width"]) -> Picture:
    """`image` where `alpha` is 1, a checkerboard where it is 0."""
    rows, columns = np.indices(alpha.shape) // CHECKER_PX
    board = np.where((rows + columns) % 2 == 0, *CHECKER_LEVELS)[..., None]
    weight = np.clip(alpha, 0.0, 1.0)[..., None]
    return np.rint(image * weight + board * (1 - weight)).astype(np.uint8)


def _crown(box: Float[np.ndarray, " 4"], height: int, width: int) -> tuple[slice, slice]:
    top, bottom, left, right = box
    tall, wide = bottom - top, right - left
    first, last = top - CROWN_MARGIN * tall, top + CROWN_SHARE * tall
    start, end = left - CROWN_MARGIN * wide, right + CROWN_MARGIN * wide
    rows = slice(max(0, int(first * height)), min(height, int(np.ceil(last * height))))
    return rows, slice(max(0, int(start * width)), min(width, int(np.ceil(end * width))))
