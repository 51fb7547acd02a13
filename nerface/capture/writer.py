"""Writes a captured clip as a dataset in the seed's layout, with the extra keys that `docs` describe."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from jaxtyping import Float, UInt8

from nerface.capture.plate import Plate
from nerface.capture.splits import SPLITS, Place, index_map, rows_of
from nerface.data.seed_layout import ESTIMATED
from nerface.errors import UserError
from nerface.files import write_json
from nerface.types import Intrinsics

IMAGE_FORMATS = ("png", "jpg")
JPEG_QUALITY = 96
PNG_LEVEL = 1  # 12 ms for a 512x512 frame; level 3 takes 18 and saves 7 %
PLATE_FILE = "bg/00050.png"  # the seed's loader asks for this name
UNSEEN_FILE = "bg/unseen.png"
WHOLE_IMAGE = [0.0, 1.0, 0.0, 1.0]


@dataclass(frozen=True)
class CapturedFrames:
    """All numbers of the N used frames, in temporal order, for the image as stored.

    `camera_to_head` [N, 4, 4], `expressions` [N, E] named by `names`, `head_boxes` and
    `sampling_boxes` [N, 4] fractions, `source_frames` [N] numbers in the video, `timestamps` [N] s, `exposures` [N, 3]
    gains of red, green and blue relative to the plate.
    """

    places: list[Place]
    camera_to_head: Float[np.ndarray, "frames 4 4"]
    expressions: Float[np.ndarray, "frames expression"]
    names: tuple[str, ...]
    head_boxes: Float[np.ndarray, "frames 4"]
    sampling_boxes: Float[np.ndarray, "frames 4"]
    source_frames: np.ndarray
    timestamps: Float[np.ndarray, " frames"]
    exposures: Float[np.ndarray, "frames 3"]


@dataclass(frozen=True)
class CapturedScene:
    """What all frames share: the camera, the frame rate (Hz), `units_per_cm`, and `source` as written to the JSON."""

    intrinsics: Intrinsics
    frame_rate: float
    units_per_cm: float
    source: dict[str, Any]


class DatasetWriter:
    """Writes into `folder`, which exists and is empty; pictures as they come, tables at the end."""

    def __init__(self, folder: Path, image_format: str = "png") -> None:
        if image_format not in IMAGE_FORMATS:
            raise UserError(f"image format {image_format!r}: choose one of {', '.join(IMAGE_FORMATS)}")
        self.folder = Path(folder)
        self.image_format = image_format
        for split in SPLITS:
            (self.folder / split).mkdir(parents=True)
            (self.folder / "masks" / split).mkdir(parents=True)
        (self.folder / "bg").mkdir()

    def add(
        self,
        place: Place,
        image: UInt8[np.ndarray, "height width 3"],
        mask: Float[np.ndarray, "height width"],
    ) -> UInt8[np.ndarray, "height width"]:
        """The picture (RGB) and soft person mask of one frame; gives the mask as stored (255 = person)."""
        stored = (mask * 255).round().astype(np.uint8)
        write_image(self.folder / f"{place.name}.{self.image_format}", image)
        write_image(self.folder / mask_name(place), stored)
        return stored

    def add_plate(self, plate: Plate) -> None:
        """The background and where it was never seen."""
        write_image(self.folder / PLATE_FILE, plate.image)
        write_image(self.folder / UNSEEN_FILE, plate.unseen.astype(np.uint8) * 255)

    def finish(self, frames: CapturedFrames, scene: CapturedScene) -> None:
        """The three `transforms_*.json` and `index_map.npy`. Raises `ValueError` for a number that is not finite."""
        np.save(self.folder / "index_map.npy", index_map(frames.places), allow_pickle=False)
        shared = _shared_keys(frames, scene)
        for split in SPLITS:
            rows = [_frame_keys(frames, temporal) for temporal in rows_of(frames.places, split)]
            write_json(self.folder / f"transforms_{split}.json", {**shared, "frames": rows}, indent=1)


def mask_name(place: Place) -> str:
    """The dataset's `mask_path`."""
    return f"./masks/{place.split}/f_{place.row:04d}.png"


def write_image(path: Path, image: UInt8[np.ndarray, "height width *channels"]) -> None:
    """Encode by the ending of `path`: PNG, or JPEG at quality 96 with full colour resolution. RGB or grey."""
    if path.suffix == ".jpg":
        choices = [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY]
        choices += [cv2.IMWRITE_JPEG_SAMPLING_FACTOR, cv2.IMWRITE_JPEG_SAMPLING_FACTOR_444]
    else:
        choices = [cv2.IMWRITE_PNG_COMPRESSION, PNG_LEVEL]
    done, data = cv2.imencode(path.suffix, image[..., ::-1] if image.ndim == 3 else image, choices)
    if not done:
        raise UserError(f"{path} could not be encoded")
    path.write_bytes(data.tobytes())  # raises OSError where the disk is full; imwrite would only return False


def expression_stats(expressions: Float[np.ndarray, "frames expression"]) -> dict[str, list[float]]:
    """Mean, spread (standard deviation) and range of each channel."""
    values = np.asarray(expressions, dtype=np.float64)
    return {
        "mean": values.mean(axis=0).tolist(),
        "std": values.std(axis=0).tolist(),
        "min": values.min(axis=0).tolist(),
        "max": values.max(axis=0).tolist(),
    }


def _shared_keys(frames: CapturedFrames, scene: CapturedScene) -> dict[str, Any]:
    camera = scene.intrinsics
    return {
        "camera_angle_x": 2 * math.atan(camera.width / (2 * camera.fx)),
        "intrinsics": [camera.fx, camera.fy, camera.cx, camera.cy],
        "image_size": [camera.width, camera.height],
        "frame_rate": scene.frame_rate,
        "units": {"head_units_per_cm": scene.units_per_cm},
        "source": scene.source,
        "background_unseen": UNSEEN_FILE,
        "poses": ESTIMATED,
        "expression_names": list(frames.names),
        "expression_stats": expression_stats(frames.expressions[rows_of(frames.places, "train")]),
    }


def _frame_keys(frames: CapturedFrames, temporal: int) -> dict[str, Any]:
    place = frames.places[temporal]
    return {
        "file_path": place.name,
        "transform_matrix": frames.camera_to_head[temporal].tolist(),
        "expression": [float(value) for value in frames.expressions[temporal]],
        # The seed draws rays by `bbox` in training frames and writes the whole image for test frames.
        "bbox": WHOLE_IMAGE if place.split == "test" else frames.sampling_boxes[temporal].tolist(),
        "head_box": frames.head_boxes[temporal].tolist(),
        "source_frame": int(frames.source_frames[temporal]),
        "timestamp": float(frames.timestamps[temporal]),
        "mask_path": mask_name(place),
        "exposure": [round(float(gain), 5) for gain in frames.exposures[temporal]],
    }
