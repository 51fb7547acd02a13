"""Files that are no whole checkpoint of the seed's trainer are refused, and nothing in them runs."""

from __future__ import annotations

import os
import pickle

import pytest
import torch

from nerface.errors import UserError
from nerface.interop.seed_file import read_seed_file
from tests.interop.seed_made import LEARNABLE, layers_of, seed_checkpoint, write_checkpoint


def _content(**changes):
    layers = layers_of(LEARNABLE, 5, layers=2, width=16)
    return {**seed_checkpoint(layers, layers), **changes}


def test_a_whole_file(tmp_path):
    """F22: what the trainer writes, on the CPU and in float32."""
    content = _content()
    file = read_seed_file(write_checkpoint(tmp_path, content))
    assert (file.iteration, file.direction, file.has_background) == (7, "z_near_far", True)
    assert list(file.coarse) == list(content["model_coarse_state_dict"])
    assert [len(group) for group in file.groups] == [25, 1]
    half = {name: value.half() for name, value in content["model_coarse_state_dict"].items()}
    file = read_seed_file(write_checkpoint(tmp_path, {**content, "model_coarse_state_dict": half}))
    assert {value.dtype for value in file.coarse.values()} == {torch.float32}


class _Hostile:
    def __init__(self, folder):
        self.folder = folder

    def __reduce__(self):
        return os.mkdir, (str(self.folder / "pwned"),)


@pytest.mark.parametrize("form", ["zip", "old", "bare"])
def test_a_hostile_pickle_does_not_run(tmp_path, form):
    """F22: named, refused, and nothing in it was run."""
    content = _content(psnr=_Hostile(tmp_path))
    if form == "bare":
        (tmp_path / "bad.ckpt").write_bytes(pickle.dumps({"iter": 1, "psnr": _Hostile(tmp_path)}, protocol=2))
    else:
        torch.save(content, tmp_path / "bad.ckpt", _use_new_zipfile_serialization=form == "zip")
    with pytest.raises(UserError, match=r"bad.ckpt asks for posix.mkdir, .* nothing in it was run"):
        read_seed_file(tmp_path / "bad.ckpt")
    assert not (tmp_path / "pwned").exists()
    torch.load(tmp_path / "bad.ckpt", weights_only=False) if form != "bare" else pickle.loads(
        (tmp_path / "bad.ckpt").read_bytes()
    )
    assert (tmp_path / "pwned").exists()  # so the trap was a real one


@pytest.mark.parametrize("share", [0.0, 0.01, 0.5, 0.999])
def test_a_truncated_file(tmp_path, share):
    whole = write_checkpoint(tmp_path, _content()).read_bytes()
    (tmp_path / "cut.ckpt").write_bytes(whole[: int(share * len(whole))])
    with pytest.raises(UserError, match=r"cut.ckpt is not a whole checkpoint of PyTorch: was it cut short"):
        read_seed_file(tmp_path / "cut.ckpt")


def test_damage_within_the_weights_is_seen(tmp_path):
    """PyTorch itself reads such a file without a word."""
    file = write_checkpoint(tmp_path, _content())
    content = bytearray(file.read_bytes())
    place = len(content) // 2
    content[place : place + 8] = bytes(255 - value for value in content[place : place + 8])
    file.write_bytes(content)
    with pytest.raises(UserError, match="is not a whole checkpoint"):
        read_seed_file(file)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ([1, 2], "is not a checkpoint of NeRFace's trainer"),
        ({"state_dict": {}}, "is not a checkpoint of NeRFace's trainer"),
        ({"iter": 1}, "lacks 'model_coarse_state_dict'"),
        ({"iter": 1, "model_coarse_state_dict": {"a": torch.zeros(1)}}, "lacks 'latent_codes'"),
    ],
)
def test_other_files_of_torch(tmp_path, content, message):
    with pytest.raises(UserError, match=message):
        read_seed_file(write_checkpoint(tmp_path, content))
