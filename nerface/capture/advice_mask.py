"""Whether the person mask covers the face that was tracked: of a drawing or a masked face it does not."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from jaxtyping import Float, UInt8

from nerface.capture.advice_words import RED, Finding
from nerface.capture.page_evidence import Evidence
from nerface.data.images import read_mask
from nerface.errors import UserError

SAMPLES = 12
COVERED_SHARE = 0.6  # real faces of 50 captures have 0.99 and more, drawn ones up to 0.02
# The face inside the head box (hair, ears and neck are around it): an ellipse, of the box's height and width.
MIDDLE_DOWN, HALF_HEIGHT, HALF_WIDTH = 0.6, 0.3, 0.35


def mask_finding(evidence: Evidence) -> Finding | None:
    """Red where the stored masks of some frames do not cover the face; reads at most twelve masks."""
    share = face_covered(evidence)
    if share is None or share >= COVERED_SHARE:
        return None
    what = f"The person mask covers {100 * share:.0f} % of the face"
    advice = "the person mask does not cover the face: is it a drawing, or is the face hidden or very dark?"
    return Finding(RED, "a face that is not seen as a person", what, advice)


def face_covered(evidence: Evidence) -> float | None:
    """Median share of the face that masks of frames spread over the clip cover; None where there are none."""
    frames = evidence.frames
    rows = np.unique(np.linspace(0, len(frames) - 1, SAMPLES).round().astype(int))
    pairs = [(frames.masks[row], frames.head_boxes[row]) for row in rows]
    shares = [_covered(mask, box) for mask, box in pairs if mask is not None and np.isfinite(box).all()]
    known = [share for share in shares if share is not None]
    return float(np.median(known)) if known else None


def _covered(path: Path, box: Float[np.ndarray, " 4"]) -> float | None:
    try:
        mask: UInt8[np.ndarray, "height width"] = read_mask(path)
    except UserError:
        return None
    height, width = mask.shape
    top, bottom, left, right = box
    down = (np.arange(height) + 0.5) / height - (top + MIDDLE_DOWN * (bottom - top))
    across = (np.arange(width) + 0.5) / width - (left + right) / 2
    tall, wide = HALF_HEIGHT * (bottom - top), HALF_WIDTH * (right - left)
    if tall <= 0 or wide <= 0:
        return None
    face = (down[:, None] / tall) ** 2 + (across / wide) ** 2 < 1
    return float(mask[face].mean() / 255) if face.any() else None
