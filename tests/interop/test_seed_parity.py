"""The proof on real files: a checkpoint of the seed's own trainer gives here what the seed's own renderer gave."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from nerface.capture.video import iterate
from nerface.config import override
from nerface.data import Dataset, load_dataset
from nerface.data.images import write_png
from nerface.fields import PaperAvatar
from nerface.interop.seed_checkpoint import load_seed_checkpoint, open_seed
from nerface.interop.seed_config import read_seed_config
from nerface.interop.seed_export import save_seed_checkpoint
from nerface.rendering.volume import render_rays
from nerface.training.begin import begin
from nerface.training.corrections import FrameCorrections
from nerface.training.frames import FrameStore
from nerface.training.loop import training_step
from nerface.types import Camera, Condition, Rays, Rendering, concatenate

SIZE_PX = 512  # of the pictures that the checkpoint was trained on
VIEWS = (0, 1)
RAYS_AT_ONCE = 512
COARSE, FINE, WEIGHT = 1e-5, 5e-4, 2e-3  # the largest errors allowed in coarse colour, fine colour, last weight
NEAR, NEAR_SHARE = 2e-4, 0.995  # and what nearly all rays keep to: rounding in the inverse CDF moves single ones


@dataclass(frozen=True)
class Official:
    """The checkpoint's avatar, a dataset of its size that holds the two test frames, and the seed's renderings."""

    avatar: PaperAvatar
    dataset: Dataset
    files: Path
    reference: dict[str, np.ndarray]
    expressions: list[list[float]]

    def view(self, view: int, name: str) -> torch.Tensor:
        """One array of the reference, a row per ray."""
        values = torch.from_numpy(self.reference[f"view{view}_{name}"])
        return values.reshape(-1, 3) if values.ndim == 3 else values.reshape(-1)


@pytest.fixture(scope="module")
def official(shared: Path, tmp_path_factory: pytest.TempPathFactory) -> Official:
    files = shared / "data" / "official"
    if not (files / "obama_iter3000.ckpt").is_file():
        pytest.skip(f"needs the official checkpoint: {files} has none")
    with np.load(files / "obama_iter3000_reference.npz", allow_pickle=False) as arrays:
        reference = {name: arrays[name] for name in arrays}
    tests = [int(reference[f"view{view}_test_index"]) for view in VIEWS]
    dataset = load_dataset(_dataset(shared, tmp_path_factory.mktemp("official"), tests), splits=("test",))
    config = read_seed_config(files / "obama_config.yml")
    loaded = load_seed_checkpoint(files / "obama_iter3000.ckpt", config, dataset)
    frames = json.loads((files / "obama_transforms_test.json").read_text())["frames"]
    expressions = [frames[row]["expression"] for row in tests]
    assert isinstance(loaded.avatar, PaperAvatar)
    return Official(loaded.avatar.eval(), dataset, files, reference, expressions)


def _dataset(shared: Path, folder: Path, tests: list[int]) -> Path:
    """The clip's dataset at the checkpoint's size, its test split reduced to `tests`; no other picture is written."""
    source = shared / "data" / "nerface_obama_256"
    for split in ("train", "test"):
        meta = json.loads((source / f"transforms_{split}.json").read_text())
        meta["intrinsics"][:2] = [value * SIZE_PX / 256 for value in meta["intrinsics"][:2]]
        if split == "test":
            meta["frames"] = [meta["frames"][row] for row in tests]
            wanted = {frame["source_frame"]: frame["file_path"] for frame in meta["frames"]}
        (folder / f"transforms_{split}.json").write_text(json.dumps(meta))
    (folder / "test").mkdir()
    (folder / "bg").mkdir()
    for number, frame in enumerate(iterate(shared / "data" / "clips" / "obama_450.mp4")):
        if number in wanted:
            image = cv2.resize(frame.image, (SIZE_PX, SIZE_PX), interpolation=cv2.INTER_CUBIC)
            write_png(folder / f"{wanted.pop(number)}.png", image)
        if not wanted:
            break
    plate = cv2.imread(str(source / "bg" / "00050.png"))
    plate = cv2.resize(plate, (SIZE_PX, SIZE_PX), interpolation=cv2.INTER_CUBIC)
    assert cv2.imwrite(str(folder / "bg" / "00050.png"), plate)
    return folder


@torch.no_grad()
def _rendered(official: Official, view: int, stride: int) -> list[Rendering]:
    """Coarse and fine rendering of every `stride`-th ray of a reference view."""
    avatar, background = official.avatar, torch.from_numpy(official.reference["background"]).reshape(-1, 3)[::stride]
    origins, directions = (official.view(view, f"ray_{name}")[::stride] for name in ("origins", "directions"))
    code = avatar.latent(f"frame:{int(official.reference['latent_index'])}")
    row = avatar.condition_rows(torch.tensor(official.expressions[view])[None], code[None])
    parts = []
    for start in range(0, len(origins), RAYS_AT_ONCE):
        some = slice(start, start + RAYS_AT_ONCE)
        rays = Rays(origins[some], directions[some], background[some], avatar.view_input(directions[some]))
        parts.append(render_rays((avatar.coarse, avatar.fine), rays, row, avatar.config.sampling))
    return [concatenate(list(stage)) for stage in zip(*parts)]


@pytest.mark.parametrize("view", VIEWS)
def test_the_seed_s_renderings_are_reproduced(official, view):
    """F24, F11, F12: colour, last weight and disparity of the seed's own renderer, in float32 without perturbation."""
    _check_parity(official, view, stride=5)


@pytest.mark.slow
@pytest.mark.parametrize("view", VIEWS)
def test_every_ray_of_the_seed_s_renderings_is_reproduced(official, view):
    """F24: the same at all 4096 rays."""
    _check_parity(official, view, stride=1)


def _check_parity(official: Official, view: int, stride: int) -> None:
    coarse, fine = _rendered(official, view, stride)

    def wanted(name: str) -> torch.Tensor:
        return official.view(view, name)[::stride]

    errors = {
        "coarse colour": ((coarse.colour - wanted("rgb_coarse")).abs().amax(dim=-1), COARSE),
        "fine colour": ((fine.colour - wanted("rgb_fine")).abs().amax(dim=-1), FINE),
        "last weight": ((1 - fine.opacity - wanted("weight_last")).abs(), WEIGHT),
        "coarse disparity": (_disparity_error(coarse, wanted("disp_coarse")), COARSE),
        "fine disparity": (_disparity_error(fine, wanted("disp_fine")), FINE),
    }
    for name, (error, limit) in errors.items():
        share = float((error <= NEAR).float().mean())
        print(f"view {view}, {name}: largest error {float(error.max()):.2g}, within {NEAR:g}: {share:.2%}")
        assert float(error.max()) <= limit, name
        assert share >= NEAR_SHARE, name


def _disparity_error(rendering: Rendering, wanted: torch.Tensor) -> torch.Tensor:
    """Against 1 / max(1e-10, depth / sum of weights), the sum being 1 (spec 4.4)."""
    return (1 / rendering.depth.clamp(min=1e-10) - wanted).abs()


def test_the_dataset_s_rays_are_the_seed_s(official):
    """F1: the reference's rays, 64x64 from intrinsics of their own, by the camera formula (spec 1.3)."""
    from nerface.cameras import all_pixels, pixel_directions, to_head_space
    from nerface.types import Intrinsics

    inner = Intrinsics(*map(float, official.reference["intrinsics"]), 64, 64)
    pixels = all_pixels(inner)
    for view in VIEWS:
        pose = torch.from_numpy(official.dataset.splits["test"].camera_to_head[view])
        origins, directions = to_head_space(pixel_directions(inner, pixels[:, 0], pixels[:, 1]), pose)
        torch.testing.assert_close(origins, official.view(view, "ray_origins"), rtol=0, atol=1e-6)
        torch.testing.assert_close(directions, official.view(view, "ray_directions"), rtol=0, atol=1e-6)


def test_test_frames_look_like_themselves(official):
    """F24, F25: through `Avatar.render`, 400 pixels of two 512x512 frames at more than 22 dB."""
    avatar, split = official.avatar, official.dataset.splits["test"]
    pixels = torch.randint(0, SIZE_PX, (400, 2), generator=torch.Generator().manual_seed(0))
    for view in VIEWS:
        frame = split[view]
        torch.testing.assert_close(torch.from_numpy(frame.expression), torch.tensor(official.expressions[view]))
        camera = official.dataset.camera("test", view)
        condition = Condition(torch.from_numpy(frame.expression), avatar.latent("frame:10"), avatar.plate())
        with torch.no_grad():
            colour = avatar.render(camera, condition, pixels).colour.clamp(0, 1)
        truth = torch.from_numpy(frame.image[pixels[:, 0], pixels[:, 1]]) / 255
        level = float(-10 * torch.log10(torch.mean((colour - truth) ** 2)))
        print(f"test frame {view}: {level:.2f} dB")
        assert level > 22


def test_the_avatar_s_camera_gives_the_reference_too(official):
    """F24: the same picture through camera, condition and `render_stages`, not from given rays."""
    from nerface.types import Intrinsics

    inner = Intrinsics(*map(float, official.reference["intrinsics"]), 64, 64)
    pose = torch.from_numpy(official.dataset.splits["test"].camera_to_head[0].copy())
    background = torch.from_numpy(official.reference["background"])
    condition = Condition(torch.tensor(official.expressions[0]), official.avatar.latent("frame:10"), background)
    some = torch.stack(torch.meshgrid(torch.arange(8, 60, 3), torch.arange(2, 62, 3), indexing="ij"), -1).reshape(-1, 2)
    with torch.no_grad():
        coarse, fine = official.avatar.render_stages(Camera(inner, pose), condition, some)
    rows = some[:, 0] * 64 + some[:, 1]
    assert (coarse.colour - official.view(0, "rgb_coarse")[rows]).abs().max() < 1e-4
    assert (fine.colour - official.view(0, "rgb_fine")[rows]).abs().max() < 5e-3


def test_the_official_checkpoint_goes_back_exactly(official, tmp_path):
    """F22: every key of the seed's file, each tensor bit for bit but for the layers that it never uses."""
    config = read_seed_config(official.files / "obama_config.yml")
    file = official.files / "obama_iter3000.ckpt"
    save_seed_checkpoint(tmp_path / "back.ckpt", load_seed_checkpoint(file, config, official.dataset))
    before, after = (torch.load(path, weights_only=True, map_location="cpu") for path in (file, tmp_path / "back.ckpt"))
    assert list(before) == list(after)
    assert before["iter"] == after["iter"] == 3000
    for stage in ("model_coarse_state_dict", "model_fine_state_dict"):
        assert list(before[stage]) == list(after[stage])
        odd = [name for name in before[stage] if not torch.equal(before[stage][name], after[stage][name])]
        assert odd == ["layers_dir.3.weight", "layers_dir.3.bias"]
    assert torch.equal(before["latent_codes"], after["latent_codes"])
    assert torch.equal(before["background"], after["background"])
    one, other = before["optimizer_state_dict"], after["optimizer_state_dict"]
    assert one["param_groups"] == other["param_groups"]
    assert one["state"].keys() == other["state"].keys()
    for number, moments in one["state"].items():
        assert all(torch.equal(value, other["state"][number][key]) for key, value in moments.items())


@pytest.mark.slow
def test_training_goes_on_from_the_official_checkpoint(official, shared, tmp_path):
    """F23: the loss goes on where it was, codes and weights both move (the seed's codes stay frozen, B4)."""
    tool = shared / "tools" / "extract_nerface_obama.py"
    subprocess.run([sys.executable, str(tool), str(tmp_path / "person"), str(SIZE_PX)], check=True, capture_output=True)
    config, file = official.files / "obama_config.yml", official.files / "obama_iter3000.ckpt"
    opened = open_seed(config, file, tmp_path / "person", settings=["training.rays=256", "training.precision=fp32"])
    run = opened.checkpoint.config
    assert run == override(run, [])
    device = torch.device("cpu")
    avatar, state, optimizer = begin(opened.dataset, tmp_path / "run", run, device, opened.checkpoint, False)
    codes, weight = avatar.latent_codes.detach().clone(), avatar.state_dict()["fine.fc_rgb.weight"].clone()
    frames = FrameStore(opened.dataset, device)
    stored = float(torch.load(file, weights_only=True, map_location="cpu")["loss"].detach())
    corrections = FrameCorrections(opened.dataset, run.training, device)
    step = partial(training_step, avatar, optimizer, frames, corrections, run.training)
    losses = [float(step(state.step + k)[0]) for k in range(2)]
    print(f"stored loss {stored:.4f}, then {losses}")
    assert state.step == 3001
    assert all(stored / 5 < loss < 5 * stored for loss in losses)
    assert int(((avatar.latent_codes - codes).abs().amax(dim=-1) > 0).sum()) >= 2
    assert not torch.equal(avatar.state_dict()["fine.fc_rgb.weight"], weight)
