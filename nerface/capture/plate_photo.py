"""The user's own photograph of the empty scene as plate: read, laid over what the video saw, matched in exposure."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from jaxtyping import Bool, Float, UInt8

from nerface.capture.crop import Crop
from nerface.capture.exposure import glance, measure
from nerface.capture.plate import Plate
from nerface.errors import UserError

ASPECT_TOLERANCE = 0.02
LEAST_SCALE, MOST_SCALE = 0.8, 1.25  # the photograph against the video
MOST_SHIFT_SHARE = 0.12  # of the longer side
MOST_TURN = np.radians(6.0)
FEATURES, LEAST_MATCHES = 1500, 14
MATCH_RATIO = 0.8  # Lowe 2004, sec. 7.1
INLIER_PX = 3.0
AGREE_LEVELS = 22.0  # blurred colours of photograph and video this near are the same thing
AGREE_SHARE = 0.75  # of the background that both show
FEATHER_SHARE = 0.012  # of the longer side: the seam between what the video saw and the photograph
ECC_ROUNDS, ECC_STEP = 40, 1e-4


@dataclass(frozen=True)
class PlatePhoto:
    """A photograph at the size of the whole video frame times the crop's scale, and where the crop lies in it."""

    name: str
    image: UInt8[np.ndarray, "rows columns 3"]
    corner: tuple[float, float]
    size: tuple[int, int]


def check_plate_photo(path: Path | str, frame_size: tuple[int, int]) -> None:
    """Raise the `UserError` of `read_plate_photo`, before anything is known of the crop."""
    _decoded(Path(path), frame_size)


def read_plate_photo(path: Path | str, frame_size: tuple[int, int], crop: Crop) -> PlatePhoto:
    """Read a photograph (any format OpenCV reads, its rotation tag applied) for video frames of `frame_size` (W, H).

    Raises `UserError`: no such file, not a picture, another shape than the video's.
    """
    path = Path(path)
    decoded = _decoded(path, frame_size)
    across, down = crop.out_width / crop.width, crop.out_height / crop.height
    size = (round(frame_size[0] * across), round(frame_size[1] * down))
    method = cv2.INTER_AREA if size[0] < decoded.shape[1] else cv2.INTER_CUBIC
    image = cv2.resize(decoded, size, interpolation=method)
    corner = (crop.left * across, crop.top * down)
    return PlatePhoto(path.name, np.asarray(image, np.uint8), corner, (crop.out_width, crop.out_height))


def _decoded(path: Path, frame_size: tuple[int, int]) -> UInt8[np.ndarray, "rows columns 3"]:
    """The photograph at its own size, RGB."""
    if not path.is_file():
        raise UserError(f"{path}: no such file; --plate-photo takes a photograph of the empty scene")
    try:
        data = np.frombuffer(path.read_bytes(), np.uint8)
        decoded = cv2.imdecode(data, cv2.IMREAD_COLOR) if len(data) else None
    except (OSError, cv2.error):  # no right to read it; more pixels than OpenCV allows
        decoded = None
    if decoded is None:
        raise UserError(f"{path} is not a picture that can be read: --plate-photo takes a photograph (PNG or JPEG)")
    height, width = decoded.shape[:2]
    if abs(np.log(width / height / (frame_size[0] / frame_size[1]))) > ASPECT_TOLERANCE:
        raise UserError(
            f"{path} is {width}x{height}, the video {frame_size[0]}x{frame_size[1]}: "
            "take the photograph in video mode (or cut it to the video's shape), from the same place"
        )
    return np.ascontiguousarray(decoded[..., ::-1], dtype=np.uint8)


def plate_from_photo(photo: PlatePhoto, plate: Plate) -> Plate:
    """`plate` with the photograph, registered and matched in exposure, wherever the video never saw the backdrop.

    What the video saw stays: it has the video's own sharpness and light. Nothing is unseen afterwards, except where the
    photograph ends. Raises `UserError` where photograph and video plainly do not show the same place.
    """
    seen = ~plate.unseen
    start = np.array([[1.0, 0.0, -photo.corner[0]], [0.0, 1.0, -photo.corner[1]]])  # photo px -> crop px
    transforms = [start]
    found = _matched(photo, plate.image, seen, start)
    if found is not None:
        transforms.append(found)
    candidates = []
    for transform in transforms:
        polished = _polished(photo, plate.image, seen, transform)
        candidates += [(_agreement(photo, plate.image, seen, one), one) for one in (transform, polished)]
    share, transform = max(candidates, key=lambda one: one[0])
    if share < AGREE_SHARE:
        raise UserError(
            f"{photo.name} does not show the place of the video: only {share:.0%} of the background beside the head "
            "agrees; photograph the empty scene from the same place, with the same lens and light"
        )
    image, within = _laid(photo, transform, seen.shape)
    image = _at_exposure(image, within, plate.image, seen)
    return _joined(image, within, plate)


def _matched(
    photo: PlatePhoto,
    plate: UInt8[np.ndarray, "height width 3"],
    seen: Bool[np.ndarray, "height width"],
    start: np.ndarray,
) -> np.ndarray | None:
    """A small similarity from matched features, or None where there are too few or it is not small."""
    finder = cv2.SIFT.create(FEATURES)
    shown = cv2.erode(seen.astype(np.uint8) * 255, np.ones((9, 9), np.uint8))
    theirs, their_marks = finder.detectAndCompute(cv2.cvtColor(photo.image, cv2.COLOR_RGB2GRAY), None)
    ours, our_marks = finder.detectAndCompute(cv2.cvtColor(plate, cv2.COLOR_RGB2GRAY), shown)
    if their_marks is None or our_marks is None or len(ours) < LEAST_MATCHES or len(theirs) < 2:
        return None
    pairs = cv2.BFMatcher(cv2.NORM_L2).knnMatch(our_marks, their_marks, k=2)
    good = [pair[0] for pair in pairs if len(pair) == 2 and pair[0].distance < MATCH_RATIO * pair[1].distance]
    if len(good) < LEAST_MATCHES:
        return None
    source = np.array([theirs[match.trainIdx].pt for match in good], np.float32)
    target = np.array([ours[match.queryIdx].pt for match in good], np.float32)
    transform, inlier = cv2.estimateAffinePartial2D(source, target, method=cv2.RANSAC, ransacReprojThreshold=INLIER_PX)
    if transform is None or inlier.sum() < LEAST_MATCHES:
        return None
    return transform if _is_small(transform, start, plate.shape) else None


def _is_small(transform: np.ndarray, start: np.ndarray, shape: tuple[int, ...]) -> bool:
    scale = float(np.hypot(transform[0, 0], transform[1, 0]))
    turn = abs(float(np.arctan2(transform[1, 0], transform[0, 0])))
    # The shift in the middle of the picture, not at the photograph's corner.
    middle = np.array([shape[1] / 2, shape[0] / 2])
    origin = np.linalg.solve(start[:, :2], middle - start[:, 2])
    shift = float(np.linalg.norm(transform[:, :2] @ origin + transform[:, 2] - middle))
    near = shift <= MOST_SHIFT_SHARE * max(shape[:2])
    return LEAST_SCALE <= scale <= MOST_SCALE and turn <= MOST_TURN and near


def _polished(
    photo: PlatePhoto,
    plate: UInt8[np.ndarray, "height width 3"],
    seen: Bool[np.ndarray, "height width"],
    start: np.ndarray,
) -> np.ndarray:
    """The transform with sub-pixel alignment (enhanced correlation, Evangelidis and Psarakis 2008), or as it was."""
    inverse = cv2.invertAffineTransform(start).astype(np.float32)
    rule = (cv2.TERM_CRITERIA_EPS | cv2.TERM_CRITERIA_COUNT, ECC_ROUNDS, ECC_STEP)
    grey = cv2.cvtColor(photo.image, cv2.COLOR_RGB2GRAY)
    try:
        _, better = cv2.findTransformECC(
            cv2.cvtColor(plate, cv2.COLOR_RGB2GRAY),
            grey,
            inverse,
            cv2.MOTION_AFFINE,
            rule,
            _photo_mask(seen, start, grey.shape),
            5,
        )
    except cv2.error:  # no texture to align by, or no overlap
        return start
    transform = cv2.invertAffineTransform(better)
    return transform if _is_small(transform, start, plate.shape) else start


def _photo_mask(seen: Bool[np.ndarray, "height width"], transform: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """Where the photograph shows what the video saw too, in the photograph's pixels."""
    inverse = cv2.invertAffineTransform(transform)
    return cv2.warpAffine(seen.astype(np.uint8) * 255, inverse, (shape[1], shape[0]), flags=cv2.INTER_NEAREST)


def _laid(
    photo: PlatePhoto, transform: np.ndarray, shape: tuple[int, int]
) -> tuple[UInt8[np.ndarray, "height width 3"], Bool[np.ndarray, "height width"]]:
    """The photograph in the crop's pixels, and where it reaches."""
    size = (shape[1], shape[0])
    image = cv2.warpAffine(photo.image, transform, size, flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE)
    whole = np.full(photo.image.shape[:2], 255, np.uint8)
    return np.asarray(image, np.uint8), cv2.warpAffine(whole, transform, size, flags=cv2.INTER_LINEAR) > 250


def _at_exposure(
    image: UInt8[np.ndarray, "height width 3"],
    within: Bool[np.ndarray, "height width"],
    plate: UInt8[np.ndarray, "height width 3"],
    seen: Bool[np.ndarray, "height width"],
) -> UInt8[np.ndarray, "height width 3"]:
    """The photograph times the gain that makes it the plate where both are known (1 where that cannot be told)."""
    own = glance(image, ~within)
    gain = measure(glance(plate, ~seen), own.colours, own.background).value
    if not np.isfinite(gain).all():
        return image
    return np.asarray((image * gain).round().clip(0, 255), dtype=np.uint8)


def _agreement(
    photo: PlatePhoto,
    plate: UInt8[np.ndarray, "height width 3"],
    seen: Bool[np.ndarray, "height width"],
    transform: np.ndarray,
) -> float:
    """Share of the background known to both that has the same colour, up to exposure, in blurred pictures."""
    image, within = _laid(photo, transform, seen.shape)
    both = cv2.erode((seen & within).astype(np.uint8), np.ones((5, 5), np.uint8)) > 0
    if not both.any():
        return 0.0
    matched = _at_exposure(image, within, plate, seen)
    reach = max(3, round(max(plate.shape) / 128))
    difference = np.abs(_blurred(matched, reach) - _blurred(plate, reach)).max(axis=2)
    return float((difference[both] <= AGREE_LEVELS).mean())


def _blurred(image: UInt8[np.ndarray, "height width 3"], reach: int) -> Float[np.ndarray, "height width 3"]:
    return np.asarray(cv2.blur(image.astype(np.float32), (reach, reach)))


def _joined(
    image: UInt8[np.ndarray, "height width 3"], within: Bool[np.ndarray, "height width"], plate: Plate
) -> Plate:
    """The video's plate where it saw one, the photograph elsewhere, with a soft seam."""
    reach = max(1, round(FEATHER_SHARE * max(plate.unseen.shape)))
    inside = cv2.distanceTransform((~plate.unseen).astype(np.uint8), cv2.DIST_L2, 3)
    share = np.clip(inside / reach, 0.0, 1.0)[..., None]
    mixed = (share * plate.image + (1 - share) * image).round().clip(0, 255).astype(np.uint8)
    joined = np.where(within[..., None], mixed, plate.image)
    return Plate(joined, plate.unseen & ~within)
