"""LPIPS through the real package with made-up weights: the formula, both conventions, and where weights come from."""

from __future__ import annotations

import importlib.util
import inspect
import os
import pickle
import shutil
import socket
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from nerface.errors import UserError
from nerface.evaluation import LpipsFiles, open_judge
from nerface.evaluation.lpips_distance import Lpips
from nerface.evaluation.lpips_package import import_lpips
from tests.evaluation.fakes import ALEX, VGG, write_backbone

CPU = torch.device("cpu")
SHIFT, SCALE = (-0.030, -0.088, -0.188), (0.458, 0.448, 0.450)  # ImageNet's, for colours from -1 to 1


@pytest.fixture(scope="module")
def alex(alex_file) -> Lpips:
    return Lpips("alex", alex_file, CPU)


def pictures(height: int = 40, width: int = 50) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(5)
    truth = rng.integers(0, 256, (height, width, 3)).astype(np.uint8)
    return np.clip(truth + rng.integers(-50, 51, truth.shape), 0, 255).astype(np.uint8), truth


def by_hand(net: str, layers, file: Path, left: np.ndarray, right: np.ndarray) -> float:
    """Zhang et al. eq. 1 with float colours [H, W, 3] as the networks are to see them."""
    package = Path(inspect.getfile(import_lpips())).parent
    linear = torch.load(package / "weights" / "v0.1" / f"{net}.pth", map_location="cpu", weights_only=True)
    weights = torch.load(file, weights_only=True)
    features = []
    for colours in (left, right):
        x = (torch.tensor(colours, dtype=torch.float32) - torch.tensor(SHIFT)) / torch.tensor(SCALE)
        x, taps = x.permute(2, 0, 1)[None], []
        for layer in layers:
            x = F.max_pool2d(x, layer.pool, 2) if layer.pool else x
            kernel, bias = (weights[f"features.{layer.number}.{part}"] for part in ("weight", "bias"))
            x = F.conv2d(x, kernel, bias, stride=layer.stride, padding=layer.padding).relu()
            taps += [x / x.norm(dim=1, keepdim=True)] if layer.tapped else []
        features.append(taps)
    total = 0.0
    for number, (a, b) in enumerate(zip(*features)):
        total += float((linear[f"lin{number}.model.1.weight"][0] * ((a - b) ** 2)[0]).sum(dim=0).mean())
    return total


def test_lpips_alex_in_both_conventions_written_out(alex, alex_file):
    picture, truth = pictures()
    today = by_hand("alex", ALEX, alex_file, picture / 127.5 - 1, truth / 127.5 - 1)
    nerface = by_hand("alex", ALEX, alex_file, picture / 255, truth / 255)
    assert alex.distance(picture, truth) == pytest.approx(today, rel=1e-4)
    assert alex.nerface_distance(picture, truth) == pytest.approx(nerface, rel=1e-4)
    assert abs(today - nerface) > 0.1 * today


def test_lpips_vgg_written_out(vgg_file):
    picture, truth = pictures(32, 36)
    expected = by_hand("vgg", VGG, vgg_file, picture / 127.5 - 1, truth / 127.5 - 1)
    assert Lpips("vgg", vgg_file, CPU).distance(picture, truth) == pytest.approx(expected, rel=1e-4)


def test_lpips_of_equal_and_of_tiny_pictures(alex):
    picture, truth = pictures()
    assert alex.distance(picture, picture) == alex.nerface_distance(truth, truth) == 0
    assert np.isnan(alex.distance(picture[:30], truth[:30]))
    assert np.isfinite(alex.distance(picture[:31, :31], truth[:31, :31]))


def test_lpips_draws_no_random_numbers(alex_file):
    torch.manual_seed(4)
    expected = torch.rand(3)
    torch.manual_seed(4)
    Lpips("alex", alex_file, CPU)
    assert torch.equal(torch.rand(3), expected)


def test_without_weights_lpips_is_not_available_and_nothing_is_fetched(monkeypatch):
    def refuse(*arguments):
        raise AssertionError(f"a connection was asked for: {arguments}")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    judge = open_judge(LpipsFiles(), CPU)
    assert "--lpips-alex FILE" in judge.missing["lpips_alex"]
    assert "--lpips-download" in judge.missing["lpips_vgg"]
    picture, truth = pictures()
    found = judge.perceptual(picture, truth)
    assert np.isnan([found.lpips_alex, found.lpips_vgg, judge.nerface(picture, truth).lpips_alex]).all()
    assert found.gmsd > 0


def test_pytorch_s_cache_is_used(alex_file, alex, torch_cache):
    torch_cache.mkdir(parents=True)
    shutil.copy(alex_file, torch_cache / "alexnet-owt-7be5be79.pth")
    judge = open_judge(LpipsFiles(), CPU)
    assert set(judge.missing) == {"lpips_vgg"}
    picture, truth = pictures()
    assert judge.perceptual(picture, truth).lpips_alex == alex.distance(picture, truth)
    assert judge.nerface(picture, truth).lpips_alex == alex.nerface_distance(picture, truth)


def test_weights_are_fetched_when_asked(alex_file, vgg_file, torch_cache, monkeypatch):
    asked = []

    def fetch(address, place, hash_prefix, progress):
        asked.append((address.rpartition("/")[2], hash_prefix))
        shutil.copy(alex_file, place)

    monkeypatch.setattr(torch.hub, "download_url_to_file", fetch)
    judge = open_judge(LpipsFiles(vgg=vgg_file, download=True), CPU)
    assert judge.missing == {}
    assert asked == [("alexnet-owt-7be5be79.pth", "7be5be79")]  # what is named is not fetched
    assert (torch_cache / "alexnet-owt-7be5be79.pth").exists()

    def fail(*arguments, **more):
        raise OSError("no route to host")

    monkeypatch.setattr(torch.hub, "download_url_to_file", fail)
    with pytest.raises(UserError, match=r"could not be fetched .*no route to host.*--lpips-vgg"):
        open_judge(LpipsFiles(alex=alex_file, download=True), CPU)


def refused(file: Path) -> str:
    with pytest.raises(UserError) as caught:
        open_judge(LpipsFiles(alex=file), CPU)
    assert "\n" not in str(caught.value)
    assert str(file) in str(caught.value)
    return str(caught.value)


def test_weights_that_do_not_fit_are_refused(tmp_path, alex_file, vgg_file):
    assert "is not there" in refused(tmp_path / "nothing.pth")
    assert "has shape [64, 3, 3, 3], AlexNet needs [64, 3, 11, 11]" in refused(vgg_file)
    short = write_backbone(tmp_path / "short.pth", ALEX[:3], seed=0)
    assert "no tensor 'features.8.weight'" in refused(short)
    torch.save([1, 2], tmp_path / "list.pth")
    assert "no state dict but list" in refused(tmp_path / "list.pth")
    (tmp_path / "cut.pth").write_bytes(alex_file.read_bytes()[:1000])
    (tmp_path / "text.pth").write_text("weights")
    assert "cannot be read" in refused(tmp_path / "cut.pth")
    assert "cannot be read" in refused(tmp_path / "text.pth")


def test_a_hostile_weights_file_runs_nothing(tmp_path):
    class Hostile:
        def __reduce__(self):
            return os.mkdir, (str(tmp_path / "run"),)

    with open(tmp_path / "hostile.pth", "wb") as stream:
        pickle.dump({"features.0.weight": Hostile()}, stream, protocol=2)
    torch.save({"features.0.weight": Hostile()}, tmp_path / "zip.pth")
    for name in ("hostile.pth", "zip.pth"):
        assert "cannot be read as tensors alone" in refused(tmp_path / name)
    assert not (tmp_path / "run").exists()


def test_a_missing_package_is_told(monkeypatch, alex_file):
    found = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "lpips" else found(name))
    # Beside a PyTorch without CUDA, the extra would bring another one with CUDA.
    for cuda, command in (("13.0", "pip install 'nerface[lpips]'"), (None, "pip install --no-deps lpips tqdm")):
        monkeypatch.setattr(torch.version, "cuda", cuda)
        assert command in open_judge(LpipsFiles(), CPU).missing["lpips_alex"]
    with pytest.raises(UserError, match=r"pip install --no-deps lpips tqdm 'torchvision==0\.\d+"):
        open_judge(LpipsFiles(alex=alex_file), CPU)
