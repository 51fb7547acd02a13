"""What training learned of a tracker's faults, smoothed and told to frames that training never saw.

Training finds a correction of the pose of each of its frames. Part of it is noise of that frame; part is a habit of the
tracker, which errs alike wherever the head stands alike and the face does the same. The habit is fitted by ridge
regression of the (temporally smoothed) corrections on head angles, place and expression, and can be asked for any frame
of the same capture: no pixel of it is looked at.
"""

from __future__ import annotations

import numpy as np
import torch
from jaxtyping import Float
from scipy.sparse import diags, identity
from scipy.sparse.linalg import splu

from nerface.capture.report import pose_angles
from nerface.data.dataset import Dataset, Split
from nerface.errors import UserError
from nerface.fields.base import Avatar
from nerface.fields.pose_correction import corrected
from nerface.training.corrections import frame_times

RIDGE = 100.0  # frames' worth of doubt: on `nerface_obama_256` 10 to 1000 explain about as much of unseen stretches
POSE_FEATURES = 6  # three angles and three coordinates stand before the scores
LEAST_SPREAD = 0.02  # scores that hardly move say nothing
SMOOTH_S = 0.2  # motion of this period keeps half of itself: corrections of a head do not change faster


def learned_poses(avatar: Avatar, dataset: Dataset, split: str) -> Float[np.ndarray, "frames 4 4"]:
    """The poses of the frames of `split` with the tracker's habit, as training found it, taken out.

    Frames of "train" get their own corrections, smoothed over time; others the regression's. Raises `UserError` where
    the avatar has no corrections or those of another dataset.
    """
    twists = avatar.pose_corrections
    if "train" not in dataset.splits:
        raise UserError(f"{dataset.root}: learned poses need the training frames too: load all splits")
    if twists is None or len(twists) != len(dataset.train):
        have = "no corrections of poses" if twists is None else f"{len(twists)} corrected training frames"
        raise UserError(f"the avatar has {have}, {dataset.root} has {len(dataset.train)} training frames")
    found = smoothed(twists.detach().cpu().double().numpy(), frame_times(dataset))
    if split != "train":
        found = _habit(features(dataset.train), found, features(dataset.splits[split]))
    poses = torch.from_numpy(np.array(dataset.splits[split].camera_to_head))
    return np.asarray(corrected(poses, torch.from_numpy(found.astype(np.float32))).numpy())


def features(split: Split) -> Float[np.ndarray, "frames features"]:
    """What a tracker's faults may depend on: head angles (degrees), place (head units), expression."""
    poses = np.asarray(split.camera_to_head, dtype=np.float64)
    return np.concatenate([pose_angles(poses), poses[:, :3, 3], np.asarray(split.expressions, np.float64)], axis=1)


def smoothed(values: Float[np.ndarray, "frames parts"], times: Float[np.ndarray, " frames"]) -> np.ndarray:
    """Whittaker's smoother of order two over time, across uneven steps: half gain at the period `SMOOTH_S`."""
    if len(values) < 3:
        return values
    order = np.argsort(times, kind="stable")
    steps = np.maximum(np.diff(times[order]), 1e-6)
    slope = diags([-1 / steps, 1 / steps], [0, 1], shape=(len(steps), len(values)))
    middle = (steps[1:] + steps[:-1]) / 2
    bend = diags([-1 / middle, 1 / middle], [0, 1], shape=(len(middle), len(steps))) @ slope
    usual = float(np.median(steps))
    # In steps of the usual length the penalty on a wave of w radians a step is (2 - 2 cos w)^2.
    weight = (2 - 2 * np.cos(2 * np.pi * min(usual / SMOOTH_S, 0.5))) ** -2 * usual**4
    result = np.empty_like(values)
    system = (identity(len(values)) + weight * bend.T @ bend).tocsc()
    result[order] = splu(system).solve(values[order])
    return result


def _habit(known: np.ndarray, answers: np.ndarray, asked: np.ndarray) -> Float[np.ndarray, "frames 6"]:
    """Ridge regression of `answers` on the `known` features, for the `asked` ones; within what was seen."""
    spread = known.std(axis=0)
    used = spread > np.where(np.arange(known.shape[1]) < POSE_FEATURES, 1e-9, LEAST_SPREAD)
    mean, spread = known[:, used].mean(axis=0), spread[used]
    scaled = (known[:, used] - mean) / spread
    low, high = scaled.min(axis=0), scaled.max(axis=0)
    system = scaled.T @ scaled + RIDGE * np.eye(scaled.shape[1])
    weights = np.linalg.solve(system, scaled.T @ answers)
    return np.asarray(np.clip((asked[:, used] - mean) / spread, low, high) @ weights)
