"""The embedded sample subject: a talking head modelled and drawn in code, with known pose and expression."""

from nerface.sample.clip import SampleClip, make_sample_clip
from nerface.sample.truth import TruthReport, compare_with_truth

__all__ = ["SampleClip", "TruthReport", "compare_with_truth", "make_sample_clip"]
