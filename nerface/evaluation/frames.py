"""The figures of one drawn frame, region by region."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, UInt8

from nerface.data.boxes import box_slices
from nerface.data.dataset import Dataset
from nerface.evaluation.metrics import Comparison, Scores
from nerface.evaluation.nerface_convention import NerfaceScores
from nerface.evaluation.perceptual import Judge, Perceptual
from nerface.evaluation.tables import NERFACE_PREFIX, flat, gain_line, heading, mean_of, nerface_line, region_line
from nerface.types import Frame

PERSON_LEVEL = 128  # of a mask's 255
UNKNOWN = Scores(math.nan, math.nan, math.nan)

# attribute of FrameScores: (prefix in files, title in the table, attribute of its perceptual distances)
REGIONS: dict[str, tuple[str, str, str | None]] = {
    "whole": ("", "whole frame", "perceptual"),
    "head": ("head_", "head box", "head_perceptual"),
    "seen": ("seen_", "without never-seen backdrop", None),
    "still": ("baseline_", "best still image, whole frame", None),
    "still_head": ("baseline_head_", "best still image, head box", None),
}


@dataclass(frozen=True)
class FrameScores:
    """One frame's figures (or, from `mean`, those of all).

    `whole` frame, `head` box, and `seen`: without backdrop that no training frame showed. `still` and `still_head` are
    those of the best still image (NaN where there is none). `perceptual` distances are of the whole frame and of the
    picture cut to the head box; `nerface` is the whole frame in NeRFace's convention. `seconds` is the time to draw.
    """

    frame: int
    source_frame: int
    whole: Scores
    head: Scores
    seen: Scores
    still: Scores
    still_head: Scores
    perceptual: Perceptual
    head_perceptual: Perceptual
    nerface: NerfaceScores
    seconds: float

    @staticmethod
    def mean(frames: Sequence[FrameScores]) -> FrameScores:
        """The mean of every figure over the frames that have it; `frame` and `source_frame` are -1."""
        regions = {name: mean_of([getattr(frame, name) for frame in frames]) for name in REGIONS}
        return FrameScores(
            frame=-1,
            source_frame=-1,
            **regions,
            perceptual=mean_of([frame.perceptual for frame in frames]),
            head_perceptual=mean_of([frame.head_perceptual for frame in frames]),
            nerface=mean_of([frame.nerface for frame in frames]),
            seconds=float(np.mean([frame.seconds for frame in frames])),
        )

    def figures(self) -> dict[str, float]:
        """Every figure by its name in files: `psnr`, `head_psnr`, ..., `gmsd`, `nerface_ssim`."""
        figures = flat({prefix: getattr(self, region) for region, (prefix, _, _) in REGIONS.items()})
        figures |= flat({"": self.perceptual, "head_": self.head_perceptual})
        return figures | flat({NERFACE_PREFIX: self.nerface})

    def row(self) -> dict[str, str | int | float]:
        """The frame's line in `frames.csv`."""
        return {"frame": self.frame, "source_frame": self.source_frame, **self.figures()}

    def table(self) -> list[str]:
        """The figures as lines of text."""
        lines = [heading()]
        for region, (_, title, perceptual) in REGIONS.items():
            scores: Scores = getattr(self, region)
            if not math.isnan(scores.psnr):
                lines.append(region_line(title, scores, None if perceptual is None else getattr(self, perceptual)))
            if region == "whole":
                lines.append(nerface_line(self.whole, self.nerface))
        gain = self.head.psnr - self.still_head.psnr
        return lines if math.isnan(gain) else [*lines, gain_line("gain over it, head box", gain)]


@dataclass(frozen=True)
class Examiner:
    """Measures drawn frames of `dataset`; `still` is the best still image, or None where there is none."""

    dataset: Dataset
    judge: Judge
    still: UInt8[np.ndarray, "height width 3"] | None

    def score(
        self, index: int, frame: Frame, picture: UInt8[np.ndarray, "height width 3"], seconds: float
    ) -> FrameScores:
        """The figures of frame `index`, drawn as `picture` in `seconds`."""
        comparison = Comparison(picture, frame.image)
        whole, head = comparison.whole(), comparison.inside(frame.head_box)
        seen = whole
        if self.dataset.background_unseen.any():
            seen = comparison.where(seen_pixels(frame, self.dataset))
        still = still_head = UNKNOWN
        if self.still is not None:
            against = Comparison(self.still, frame.image)
            still, still_head = against.whole(), against.inside(frame.head_box)
        box = box_slices(frame.head_box, *frame.image.shape[:2])
        return FrameScores(
            frame=index,
            source_frame=frame.source_frame,
            whole=whole,
            head=head,
            seen=seen,
            still=still,
            still_head=still_head,
            perceptual=self.judge.perceptual(picture, frame.image),
            head_perceptual=self.judge.perceptual(picture[box], frame.image[box]),
            nerface=self.judge.nerface(picture, frame.image),
            seconds=seconds,
        )


def seen_pixels(frame: Frame, dataset: Dataset) -> Bool[np.ndarray, "height width"]:
    """Where the truth could be known from training: not where the backdrop shows but never did in a training frame.

    Without masks every pixel of the never-seen part counts as backdrop.
    """
    if frame.mask is None:
        return ~dataset.background_unseen
    return ~dataset.background_unseen | (frame.mask >= PERSON_LEVEL)
