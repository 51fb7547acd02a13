"""What tracking hands on: one face's measurements in every frame of a clip, and why a frame is not used."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from jaxtyping import Bool, Float, Int

from nerface.capture.landmarker import SCORE_NAMES
from nerface.capture.skin import SkinTracks


@dataclass(frozen=True)
class FaceTrack:
    """What was measured in the N frames of a clip.

    `landmarks` [N, 478, 3] px of the upright frame (z in px, growing away from the camera); `spread` [N, 478] px: the
    standard deviation of each landmark between crops of the same frame, a measure of its uncertainty (0 where one crop
    was measured); `scores` [N, 52] named by `names`; `presence` [N] in [0, 1]; `sharpness` [N]: fine detail of the
    face patch, comparable within a clip (0 = none); `found` [N] (all that is measured is zero where it is False);
    `repeated` [N] frames that only repeat the one before; `reasons` [N]: "" for a usable frame, else in words why it is
    not used; `segment` [N] rises at a cut, jump or gap: nothing is smoothed or followed across; `timestamps` [N] s;
    `size` (W, H) of the frames; `skin`: feature points followed on the skin.
    """

    landmarks: Float[np.ndarray, "frames 478 3"]
    spread: Float[np.ndarray, "frames 478"]
    scores: Float[np.ndarray, "frames 52"]
    presence: Float[np.ndarray, " frames"]
    sharpness: Float[np.ndarray, " frames"]
    found: Bool[np.ndarray, " frames"]
    repeated: Bool[np.ndarray, " frames"]
    reasons: tuple[str, ...]
    segment: Int[np.ndarray, " frames"]
    timestamps: Float[np.ndarray, " frames"]
    size: tuple[int, int]
    names: tuple[str, ...] = SCORE_NAMES
    skin: SkinTracks = field(default_factory=SkinTracks.none)

    def __len__(self) -> int:
        return len(self.found)

    @property
    def usable(self) -> Bool[np.ndarray, " frames"]:
        """Frames [N] that nothing speaks against."""
        return np.array([reason == "" for reason in self.reasons], bool)
