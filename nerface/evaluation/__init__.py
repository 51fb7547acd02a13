"""Measuring an avatar against held-out frames, and pictures against pictures."""

from nerface.evaluation.backbones import LpipsFiles
from nerface.evaluation.evaluate import Evaluation, EvaluationOptions, evaluate
from nerface.evaluation.folders import compare_folders
from nerface.evaluation.metrics import Comparison, Scores
from nerface.evaluation.perceptual import Judge, open_judge

__all__ = [
    "Comparison",
    "Evaluation",
    "EvaluationOptions",
    "Judge",
    "LpipsFiles",
    "Scores",
    "compare_folders",
    "evaluate",
    "open_judge",
]
