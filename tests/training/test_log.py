"""The run's log: whole lines, nothing beyond the resumed step, the same numbers in TensorBoard."""

import math
import sys
import types

import cv2
import numpy as np
import pytest

from nerface.errors import UserError
from nerface.switches import switched
from nerface.training.log import RunLog, read_log
from nerface.training.loop import train
from tests.toys import toy_run


def test_lines_come_back(tmp_path):
    log = RunLog(tmp_path / "log.jsonl", 0)
    log.write({"step": 10, "loss": 0.1, "psnr": 20.0})
    log.write({"step": 10, "validation_psnr": 19.0})
    log.close()
    assert read_log(tmp_path) == [{"step": 10, "loss": 0.1, "psnr": 20.0}, {"step": 10, "validation_psnr": 19.0}]
    assert log.validation == 19.0


def test_resuming_drops_later_and_broken_lines(tmp_path):
    lines = ['{"step": 5, "validation_psnr": 3.0}', '{"step": 10, "loss": 1}', '{"step": 15, "lo']
    (tmp_path / "log.jsonl").write_text("\n".join(lines))
    log = RunLog(tmp_path / "log.jsonl", 5)
    log.write({"step": 6, "loss": 2.0})
    log.close()
    assert [line["step"] for line in read_log(tmp_path)] == [5, 6]
    assert log.validation == 3.0


def test_tensorboard_gets_the_same_numbers(tmp_path):
    accumulator = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    for step, psnr in ((0, 20.0), (10, 21.0)):  # the second run takes back nothing: it begins after the first's lines
        log = RunLog(tmp_path / "log.jsonl", step, tensorboard=True)
        log.write({"step": step + 10, "loss": 0.5, "psnr": psnr, "lr": 1e-3, "seconds": 1.0})
        log.write({"step": step + 10, "validation_psnr": 18.0, "seconds": 1.0})
        log.close()
    events = accumulator.EventAccumulator(str(tmp_path / "tensorboard"))
    events.Reload()
    assert set(events.Tags()["scalars"]) == {"train/loss", "train/psnr", "train/learning_rate", "validation/psnr"}
    assert [(event.step, event.value) for event in events.Scalars("train/psnr")] == [(10, 20.0), (20, 21.0)]


def test_a_run_writes_the_seed_s_tags(tiny_dataset, tmp_path):
    """Spec 4.6: scalars of training and validation, and pictures of a validation frame."""
    accumulator = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    config = switched(toy_run(), ["supervised_background"])
    train(tiny_dataset, tmp_path / "run", config, tensorboard=True)
    events = accumulator.EventAccumulator(str(tmp_path / "run" / "tensorboard"))
    events.Reload()
    scalars = ("code_loss", "coarse_loss", "fine_loss", "psnr", "bg_loss")
    assert {f"train/{name}" for name in scalars} <= set(events.Tags()["scalars"])
    measured = ("loss", "coarse_loss", "fine_loss", "psnr")
    assert {f"validation/{name}" for name in measured} <= set(events.Tags()["scalars"])
    pictures = ("rgb_coarse", "rgb_fine", "img_target", "background", "weights")
    assert set(events.Tags()["images"]) == {f"validation/{name}" for name in pictures}
    shown = events.Images("validation/rgb_fine")[0]
    assert (shown.width, shown.height) == (20, 16)
    frame = cv2.imdecode(np.frombuffer(events.Images("validation/img_target")[0].encoded_image_string, np.uint8), 1)
    assert np.array_equal(frame[:, :, ::-1], tiny_dataset.splits["val"][0].image)


def test_the_losses_of_a_line_add_up(tiny_dataset, tmp_path):
    """Spec 4.3, step 5: coarse and fine squared error and 0.005 times the code's norm; PSNR is the fine one's here."""
    train(tiny_dataset, tmp_path / "run", toy_run(log_every=1))
    for line in read_log(tmp_path / "run"):
        if "loss" in line:
            parts = line["coarse_loss"] + line["fine_loss"] + 0.005 * line["code_loss"]
            assert line["loss"] == pytest.approx(parts, rel=1e-5)
            assert line["psnr"] == pytest.approx(-10 * math.log10(line["fine_loss"]), rel=1e-5)
            assert "bg_loss" not in line


def test_without_the_package_the_remedy_is_named(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", types.ModuleType("torch.utils.tensorboard"))
    with pytest.raises(UserError, match="pip install"):
        RunLog(tmp_path / "log.jsonl", 0, tensorboard=True)
