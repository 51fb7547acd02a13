"""The paper's avatar: pixels are those of the image, faults are one line, and conditions mean what they say."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from nerface.cameras import all_pixels
from nerface.config import TrainingConfig
from nerface.errors import UserError
from nerface.fields import CONFIGS, kind_of, paper
from nerface.fields.paper import PaperConfig
from nerface.fields.planes import PlanesConfig
from nerface.training.frames import FrameStore
from nerface.types import Camera, Condition, Intrinsics
from tests.toys import AVATAR, avatar_for, toy_avatar, toy_subject

PLANES = replace(AVATAR, coarse=replace(AVATAR.coarse, planes=PlanesConfig(8, 2, 3, 8)))
SOFT = replace(AVATAR, sampling=replace(AVATAR.sampling, density="softplus"), expression_input="standardised")


def camera_of(avatar, intrinsics: Intrinsics | None = None) -> Camera:
    pose = torch.tensor(avatar.subject.rest_pose)
    return Camera(intrinsics or avatar.subject.intrinsics, pose)


def condition_of(avatar, background=None) -> Condition:
    return Condition(torch.tensor([0.2, 0.5, 0.9]), avatar.latent("mean"), background)


@pytest.mark.parametrize("config", [AVATAR, PLANES, SOFT], ids=["paper", "planes", "softplus"])
@torch.no_grad()
def test_the_whole_image_is_its_pixels(config, device, monkeypatch):
    avatar = toy_avatar(config).to(device).eval()
    camera, condition = camera_of(avatar), condition_of(avatar, avatar.plate())
    whole = avatar.render(camera, condition)
    assert whole.colour.shape == (10, 12, 3)
    assert whole.opacity.shape == whole.depth.shape == (10, 12)
    again = avatar.render(camera, condition)
    assert torch.equal(whole.colour, again.colour)
    assert torch.equal(whole.depth, again.depth)
    pixels = torch.tensor([[0, 0], [9, 11], [3, 7], [3, 7], [8, 0]])
    chosen = avatar.render(camera, condition, pixels)
    for name in ("colour", "opacity", "depth"):
        expected = getattr(whole, name)[pixels[:, 0], pixels[:, 1]]
        assert torch.allclose(getattr(chosen, name), expected, atol=1e-5)
    monkeypatch.setattr(paper, "CHUNK_SAMPLES", {"cpu": 7 * 8, "cuda": 7 * 8})  # seven rays at a time
    for name in ("colour", "opacity", "depth"):
        assert torch.allclose(getattr(avatar.render(camera, condition), name), getattr(whole, name), atol=1e-5)
    assert (whole.colour >= 0).all()
    assert (whole.colour <= 1).all()


@torch.no_grad()
def test_a_camera_of_another_size_than_the_plate():
    avatar = toy_avatar()
    bigger = avatar.subject.intrinsics.resized(24, 20)
    image = avatar.render(camera_of(avatar, bigger), condition_of(avatar))
    assert image.colour.shape == (20, 24, 3)
    # Pixel (2v, 2u) of the doubled image looks along the ray of pixel (v, u).
    small = avatar.render(camera_of(avatar), condition_of(avatar))
    assert torch.allclose(image.colour[::2, ::2], small.colour, atol=1e-4)


@torch.no_grad()
def test_faults_of_the_caller_are_one_line():
    avatar = toy_avatar()
    camera = camera_of(avatar)
    wrong = [
        Condition(torch.zeros(7), avatar.latent("mean")),
        Condition(torch.zeros(3), torch.zeros(9)),
        Condition(torch.zeros(3), avatar.latent("mean"), torch.zeros(12, 10, 3)),
        Condition(torch.zeros(3), avatar.latent("mean"), torch.zeros(20, 24, 3)),
    ]
    for condition, words in zip(wrong, ("3 expression channels, the condition 7", "latent", "10x12", "24x20")):
        with pytest.raises(UserError, match=words) as fault:
            avatar.render(camera, condition)
        assert "\n" not in str(fault.value)


@torch.no_grad()
def test_nothing_in_front_shows_the_plate():
    avatar = toy_avatar()
    for field in (avatar.coarse, avatar.fine):
        field.fc_alpha.weight.zero_()
        field.fc_alpha.bias.fill_(-1.0)
    rendering = avatar.render(camera_of(avatar), condition_of(avatar, avatar.plate()))
    assert torch.equal(rendering.colour, avatar.plate())
    assert torch.equal(rendering.opacity, torch.zeros(10, 12))


@torch.no_grad()
def test_what_the_field_sees_of_a_frame():
    subject = toy_subject()
    expression, latent = torch.tensor([[0.3, 0.6, -0.9]]), torch.tensor([[1.0, 2.0, 3.0, 4.0]])
    divided = toy_avatar(AVATAR, subject).condition_rows(expression, latent)
    assert torch.allclose(divided, torch.tensor([[0.1, 0.2, -0.3, 1, 2, 3, 4]]))
    standardised = toy_avatar(SOFT, subject).condition_rows(expression, latent)
    expected = [(0.3 - 0.0) / 0.2, (0.6 - 0.1) / 0.3, (-0.9 - 0.2) / 0.4, 1, 2, 3, 4]
    assert torch.allclose(standardised, torch.tensor([expected]))
    still = replace(subject, expression_std=(0.0, 0.0, 0.0))
    assert torch.isfinite(toy_avatar(SOFT, still).condition_rows(expression, latent)).all()


def test_latent_codes_by_name():
    avatar = toy_avatar()
    assert torch.equal(avatar.latent("frame:3"), avatar.latent_codes[3])
    assert torch.allclose(avatar.latent("mean"), avatar.latent_codes.mean(0))
    assert torch.equal(avatar.latent("zero"), torch.zeros(4))
    assert not avatar.latent("frame:0").requires_grad
    for wrong in ("frame:5", "frame:-1", "frame:x", "median", "frame", ""):
        with pytest.raises(UserError, match="frame:K with K from 0 to 4"):
            avatar.latent(wrong)


def test_fresh_latent_codes_are_zero(tiny_dataset):
    torch.manual_seed(0)
    avatar = type(toy_avatar())(AVATAR, avatar_for(tiny_dataset).subject)
    assert avatar.latent_codes.shape == (4, 4)
    assert torch.equal(avatar.latent_codes, torch.zeros(4, 4))


@pytest.mark.parametrize("config", [AVATAR, PLANES, replace(AVATAR, sampling=replace(AVATAR.sampling, fine=0))])
def test_the_gradient_reaches_every_weight_and_only_the_latent_codes_in_use(config, tiny_dataset, device):
    avatar = avatar_for(tiny_dataset, config).to(device)
    store = FrameStore(tiny_dataset, device)
    generator = torch.Generator(device).manual_seed(0)
    batch = store.draw(TrainingConfig(frames=2, rays=64), generator)
    renderings = avatar.render_batch(batch, generator)
    assert len(renderings) == (2 if config.sampling.fine else 1)
    torch.stack([(rendering.colour - batch.target).square().mean() for rendering in renderings]).sum().backward()
    used = set(batch.frames.tolist())
    for frame in range(4):
        assert bool((avatar.latent_codes.grad[frame] != 0).any()) == (frame in used)
    assert all(value.grad is not None for value in avatar.parameters())


def test_training_rays_are_those_of_render(tiny_dataset):
    """A step's batch without chance draws what `render` draws for its frames."""
    avatar = avatar_for(tiny_dataset)
    store = FrameStore(tiny_dataset, torch.device("cpu"))
    batch = store.draw(TrainingConfig(frames=3, rays=30), torch.Generator().manual_seed(0))
    together = avatar.render_batch(batch, None)[-1]
    for number, frame in enumerate(batch.frames.tolist()):
        own = slice(10 * number, 10 * number + 10)
        plate = torch.zeros(16, 20, 3)
        plate[batch.pixels[own, 0], batch.pixels[own, 1]] = batch.background[own]
        condition = Condition(batch.expression[number], avatar.latent(f"frame:{frame}"), plate)
        alone = avatar.render(tiny_dataset.camera("train", frame), condition, batch.pixels[own])
        assert torch.allclose(alone.colour, together.colour[own], atol=1e-5)


def test_kinds_have_one_name_each():
    assert kind_of(PaperConfig()) == "paper"
    assert all(kind_of(cls()) == kind for kind, cls in CONFIGS.items())
    assert len(all_pixels(toy_subject().intrinsics)) == 120
    with pytest.raises(ValueError, match="expression_input"):
        PaperConfig(expression_input="cooked")
