"""Measuring an avatar against held-out frames."""

from nerface.evaluation.evaluate import Evaluation, EvaluationOptions, evaluate
from nerface.evaluation.metrics import Comparison, Scores

__all__ = ["Comparison", "Evaluation", "EvaluationOptions", "Scores", "evaluate"]
