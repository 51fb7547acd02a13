"""The run's log: whole lines, nothing beyond the resumed step, the same numbers in TensorBoard."""

import sys
import types

import pytest

from nerface.errors import UserError
from nerface.training.log import RunLog, read_log


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


def test_without_the_package_the_remedy_is_named(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", types.ModuleType("torch.utils.tensorboard"))
    with pytest.raises(UserError, match="pip install"):
        RunLog(tmp_path / "log.jsonl", 0, tensorboard=True)
