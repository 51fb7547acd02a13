"""Datasets of one person: reading the seed's layout, and the cache of decoded frames."""

from nerface.data.boxes import box_slices
from nerface.data.dataset import Dataset, ExpressionStats, Split, load_dataset

__all__ = ["Dataset", "ExpressionStats", "Split", "box_slices", "load_dataset"]
