"""Sample frames, a toy run and one whole `create`, each made once for all tests of the command line."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from nerface.data import load_dataset
from nerface.sample.clip import sample_frames
from nerface.training.loop import train
from nerface.weights import WeightPaths
from tests.apps.calls import Answer, nerface
from tests.capture.clips import write_clip
from tests.data.make import write_tiny_dataset
from tests.interop.seed_made import write_toy
from tests.toys import toy_run

FRAMES = 24
# As small as the paper's field can be here; more steps than anybody waits for, since the time limit ends training.
SETTINGS = [
    *("--preset", "tiny", "--size", 48, "--device", "cpu"),
    *("--set", "training.steps=100000", "--set", "training.log_every=2", "--set", "training.rays=64"),
    *("--set", "avatar.sampling.coarse=6", "--set", "avatar.sampling.fine=4"),
    *("--set", "avatar.fine.planes=null", "--set", "avatar.fine.width=16", "--set", "avatar.coarse.width=16"),
]
SHORT = ["--max-minutes", 0.01]


@pytest.fixture(scope="session")
def sample_images() -> list[np.ndarray]:
    """The first frames of the sample clip, 320x320."""
    return list(sample_frames(FRAMES))


@pytest.fixture(scope="session")
def sample_video(sample_images: list[np.ndarray], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same as a video file."""
    return write_clip(tmp_path_factory.mktemp("clips") / "sample.mp4", sample_images)


@pytest.fixture(scope="session")
def networks(weights: WeightPaths) -> list[object]:
    """Where the networks are, in the command line's words."""
    return ["--weights", weights.face_landmarker.parent]


@dataclass(frozen=True)
class Created:
    """A finished `create`: its folder, the command, and what it printed."""

    folder: Path
    words: list[object]
    answer: Answer

    @property
    def video(self) -> Path:
        return Path(str(self.words[1]))


@pytest.fixture(scope="session")
def created(sample_video: Path, networks: list[object], tmp_path_factory: pytest.TempPathFactory) -> Created:
    """`nerface create` on the sample frames with toy settings. Copy the folder before changing anything in it."""
    folder = tmp_path_factory.mktemp("created") / "me"
    words = ["create", sample_video, "-o", folder, *SETTINGS, *networks]
    answer = nerface(*words, *SHORT)
    assert answer.status == 0, answer.err
    return Created(folder, words, answer)


@pytest.fixture(scope="session")
def toy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with `person` (a dataset of six small frames) and `run` (an avatar trained on it). Not to be changed."""
    folder = tmp_path_factory.mktemp("toy")
    dataset = load_dataset(write_tiny_dataset(folder / "person"))
    train(dataset, folder / "run", toy_run(steps=2))
    return folder


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working directory with a config of the seed's form, its dataset and a checkpoint of it."""
    write_toy(tmp_path)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def person(tmp_path: Path) -> Path:
    """A dataset of six small frames to be spoilt."""
    return write_tiny_dataset(tmp_path / "person")


def change_json(file: Path, change: object) -> None:
    """Let `change` work on a JSON file's content."""
    value = json.loads(file.read_text())
    change(value)  # type: ignore[operator]
    file.write_text(json.dumps(value))
