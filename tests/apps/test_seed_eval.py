"""`nerface eval` with the seed's own files and flags (spec 5.1)."""

from __future__ import annotations

import json

from nerface.data.images import read_image
from tests.apps.calls import check_refused, nerface


def _eval(*words):
    return nerface("eval", "--config", "config.yml", "--device", "cpu", *words)


def test_the_seed_s_command_draws_the_test_set(here):
    """F25 and F24: one picture a test frame, where --savedir says, with the seed's own flags."""
    flags = ("--save-disparity-image", "--save-error-image", "--no-video")
    answer = _eval("--checkpoint", "seed.ckpt", "--savedir", "out", "--latent", "frame:0", *flags)
    assert answer.status == 0, answer.err
    settings = json.loads((here / "out" / "metrics.json").read_text())["settings"]
    assert settings["latent"] == "frame:0"
    for folder in ("renders", "disparity", "error"):
        assert read_image(here / "out" / folder / "0000.png").ndim == 3
    assert "without effect, as in NeRFace's code" in answer.err
    again = _eval("--checkpoint", "seed.ckpt", "--savedir", "again", "--latent", "frame:0", "--no-video")
    assert again.status == 0
    assert (here / "out/renders/0000.png").read_bytes() == (here / "again/renders/0000.png").read_bytes()


def test_what_is_missing_or_too_much(here):
    check_refused(_eval(), "--checkpoint FILE")
    check_refused(_eval("avatar", "--checkpoint", "seed.ckpt"), "--basedir")
    check_refused(_eval("--checkpoint", "none.ckpt", "--savedir", "out"), "none.ckpt", alone=False)
    check_refused(nerface("eval", "run", "person"), "-o FOLDER")
    check_refused(nerface("eval", "run", "person", "-o", "out", "--basedir", "person"), "belong to --config")
    assert not (here / "out").exists()
