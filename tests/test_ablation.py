"""`ablate`: every configuration trained and measured once, one table, and going on after a stop."""

from __future__ import annotations

import csv
from dataclasses import replace
from pathlib import Path

import pytest

from nerface.ablation import AblationOptions, ablate
from nerface.data.images import read_image
from nerface.errors import UserError
from nerface.evaluation.evaluate import EvaluationOptions
from tests.data.make import write_tiny_dataset
from tests.toys import AVATAR, toy_run

NAMES = ("full", "no_expression", "half_data")


@pytest.fixture
def person(tmp_path: Path) -> Path:
    return write_tiny_dataset(tmp_path / "person", frames=10)


def options(**training) -> AblationOptions:
    avatar = replace(AVATAR, sampling=replace(AVATAR.sampling, density="softplus"))
    return AblationOptions(toy_run(avatar, steps=3, **training), NAMES, EvaluationOptions(video=False))


def test_a_table_with_a_row_for_each(person, tmp_path):
    done = ablate(person, tmp_path / "out", options())
    assert done.finished
    assert tuple(done.rows) == NAMES
    with open(tmp_path / "out" / "table.csv", newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert [row["configuration"] for row in rows] == list(NAMES)
    assert {row["steps"] for row in rows} == {"3"}
    assert all(float(row["psnr"]) > 0 for row in rows)
    assert len({row["psnr"] for row in rows}) == 3
    assert (tmp_path / "out" / "table.md").read_text().count("\n") == 2 + len(NAMES)
    picture = read_image(tmp_path / "out" / "comparison.png")
    assert picture.shape[1] == 256 * (1 + len(NAMES))


def test_a_stopped_ablation_goes_on(person, tmp_path):
    calls = iter([False] * 4 + [True] * 100)
    first = ablate(person, tmp_path / "out", options(), stop=lambda: next(calls))
    assert not first.finished
    with pytest.raises(UserError, match="already holds something"):
        ablate(person, tmp_path / "out", options())
    with pytest.raises(UserError, match="seed"):
        ablate(person, tmp_path / "out", options(seed=9), resume=True)
    done = ablate(person, tmp_path / "out", options(), resume=True)
    whole = ablate(person, tmp_path / "whole", options())
    for name in NAMES:
        assert done.rows[name]["psnr"] == whole.rows[name]["psnr"]


def test_an_unknown_switch_is_refused_before_anything_is_written(person, tmp_path):
    chosen = AblationOptions(toy_run(), ("full", "no_latents"))
    with pytest.raises(UserError, match="did you mean 'no_latent'"):
        ablate(person, tmp_path / "out", chosen)
    assert not (tmp_path / "out").exists()


def test_a_latent_code_that_there_will_not_be_is_told_before_training(person, tmp_path):
    chosen = replace(options(), evaluation=EvaluationOptions(latent="frame:99", video=False))
    with pytest.raises(UserError, match="frame:99"):
        ablate(person, tmp_path / "out", chosen)
    assert not (tmp_path / "out" / "runs").exists()


def test_measured_anew_where_it_is_asked_for_differently(person, tmp_path):
    """Another latent code or number of frames: runs are kept, evaluations are not."""
    first = ablate(person, tmp_path / "out", options())
    trained = {path: path.stat().st_mtime_ns for path in (tmp_path / "out" / "runs").rglob("*.safetensors")}
    other = replace(options(), evaluation=EvaluationOptions(latent="frame:1", frames=1, video=False))
    second = ablate(person, tmp_path / "out", other, resume=True)
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "out" / "runs").rglob("*.safetensors")} == trained
    assert second.rows["full"]["psnr"] != first.rows["full"]["psnr"]
    assert len(list((tmp_path / "out" / "evaluations" / "full" / "renders").iterdir())) == 1


def test_a_dataset_without_a_plate_where_none_is_needed(person, tmp_path):
    (person / "bg" / "00050.png").unlink()
    done = ablate(person, tmp_path / "out", replace(options(), names=("no_background", "nerf")))
    assert done.finished
    assert (tmp_path / "out" / "comparison.png").is_file()


def test_no_switch_is_no_ablation(person, tmp_path):
    with pytest.raises(UserError, match="at least one switch"):
        ablate(person, tmp_path / "out", replace(options(), names=()))
