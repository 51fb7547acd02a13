"""Which latent code a frame is drawn with: codes belong to training frames, so others have to borrow one."""

from __future__ import annotations

from jaxtyping import Float
from torch import Tensor

from nerface.data.dataset import Dataset
from nerface.errors import UserError
from nerface.fields.base import Avatar

PER_FRAME = "per-frame"


class LatentCodes:
    """The codes of the frames of `split` by `choice`; see `EvaluationOptions.latent`.

    Raises `UserError` for a choice that is not known or that this avatar and dataset do not allow.
    """

    def __init__(self, choice: str, avatar: Avatar, dataset: Dataset, split: str) -> None:
        self._own = avatar.latent_codes.detach()
        self._common: Tensor | None = None
        if choice == PER_FRAME:
            _check_own_codes(split, len(self._own), dataset)
        else:
            self._common = avatar.latent(resolve_latent(choice, dataset, len(self._own)))

    def code(self, index: int) -> Float[Tensor, " latent"]:
        """The code of frame `index` of the split."""
        return self._own[index] if self._common is None else self._common


def resolve_latent(choice: str, dataset: Dataset, codes: int) -> str:
    """`choice` with "video:K" turned into the "frame:K" of the same picture; others unchanged.

    Raises `UserError` where `index_map.npy` does not lead to one of the avatar's `codes`. A map that is wrong elsewhere
    does no harm to other choices, so it is not looked at for them.
    """
    kind, _, number = choice.partition(":")
    if kind != "video":
        return choice
    file = dataset.root / "index_map.npy"
    if dataset.index_map is None:
        raise UserError(f"latent code '{choice}' needs {file}, which is missing: use mean, zero or frame:K")
    if not number.isdecimal():
        raise UserError(f"latent code '{choice}' is not known: video:K needs the number of a frame of the video")
    known = dataset.index_map
    trained = int((known[:, 1] >= 0).sum())
    if trained != codes:
        raise UserError(
            f"latent code '{choice}': {file} lists {trained} training frames, the avatar has {codes} latent codes: "
            "the map is not of the dataset it was trained on; use mean, zero or frame:K"
        )
    rows = known[known[:, 0] == int(number), 1]
    if len(rows) == 0:
        raise UserError(
            f"latent code '{choice}': the video has no such frame, {file} lists {len(known)} of them, "
            f"from {known[:, 0].min()} to {known[:, 0].max()}"
        )
    if rows[0] < 0:
        raise UserError(f"latent code '{choice}': that frame is not a training frame, so it has no code")
    if len(set(rows.tolist())) > 1 or rows[0] >= codes:
        raise UserError(
            f"latent code '{choice}': {file} leads to row {', '.join(map(str, rows))} of the train split, the avatar "
            f"has codes 0 to {codes - 1}: the map is damaged; use mean, zero or frame:K"
        )
    return f"frame:{int(rows[0])}"


def _check_own_codes(split: str, codes: int, dataset: Dataset) -> None:
    if split != "train":
        raise UserError(
            f"latent code '{PER_FRAME}': frames of the split '{split}' have no codes of their own; use mean, zero, "
            "frame:K or video:K, or draw the split 'train'"
        )
    if codes != len(dataset.train):
        raise UserError(
            f"latent code '{PER_FRAME}': {dataset.root} has {len(dataset.train)} training frames, the avatar "
            f"{codes} codes: it was trained on another dataset or on a part of it"
        )
