from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch

from nerface.capture.video import iterate, probe
from nerface.driving.views import orbit_views
from nerface.errors import UserError
from nerface.rendering.sequence import SequenceOptions, check_output, draw, render_video
from nerface.types import Condition
from tests.toys import toy_avatar

ROWS, COLUMNS = 10, 12  # of the toy subject


@pytest.fixture(scope="module")
def avatar():
    avatar = toy_avatar().eval()
    avatar.fine.fc_alpha.bias.data += 30.0  # dense enough that the field shows before its plate
    return avatar


@pytest.fixture(scope="module")
def views(avatar):
    return list(orbit_views(avatar.subject, np.full((4, 3), 0.3, np.float32), 20.0, 5.0))


def test_a_frame_is_the_avatar_over_its_plate(avatar, views):
    latent = avatar.latent("frame:1")
    image = draw(avatar, views[1], latent)
    with torch.no_grad():
        colour = avatar.render(views[1].camera, Condition(views[1].expression, latent, avatar.plate())).colour
    assert image.dtype == torch.uint8
    assert image.shape == (ROWS, COLUMNS, 3)
    assert float((image.float() / 255 - colour.clamp(0, 1)).abs().max()) <= 0.5 / 255 + 1e-6
    assert not torch.equal(image, draw(avatar, views[1], avatar.latent("zero")))


def test_a_video_has_a_picture_for_every_view(avatar, views, tmp_path):
    path = render_video(avatar, views, tmp_path / "new" / "video.mp4", SequenceOptions(frame_rate=30.0))
    info = probe(path)
    assert (info.frames, info.width, info.height, info.frame_rate) == (4, COLUMNS, ROWS, 30.0)
    latent = avatar.latent("mean")
    for frame, view in zip(iterate(path), views):
        difference = frame.image.astype(float) - draw(avatar, view, latent).numpy()
        assert np.abs(difference.mean(axis=(0, 1))).max() < 6  # random weights draw noise, of which 4:2:0 keeps little


def test_a_view_brings_its_own_latent_code_and_viewing_directions(avatar, views):
    own = dataclasses.replace(views[1], latent=avatar.latent("frame:1"))
    code = avatar.latent("zero")
    assert torch.equal(draw(avatar, own, code, "fp32"), draw(avatar, views[1], avatar.latent("frame:1"), "fp32"))
    turned = dataclasses.replace(views[1], viewed_from=views[3].camera.camera_to_head)
    same = dataclasses.replace(views[1], viewed_from=views[1].camera.camera_to_head)
    plain = draw(avatar, views[1], code, "fp32")
    assert torch.equal(draw(avatar, same, code, "fp32"), plain)
    assert not torch.equal(draw(avatar, turned, code, "fp32"), plain)


def test_another_background_shows_where_the_person_is_not(views):
    thin = toy_avatar().eval()
    thin.coarse.fc_alpha.bias.data -= 30.0
    thin.fine.fc_alpha.bias.data -= 30.0  # nobody there: only the background is seen
    green = torch.tensor([0.0, 1.0, 0.0]).expand(ROWS, COLUMNS, 3)
    code = thin.latent("mean")
    assert torch.equal(draw(thin, views[0], code, "fp32", green), (255 * green).to(torch.uint8))
    assert torch.equal(draw(thin, views[0], code, "fp32"), thin.background)


def test_side_by_side_shows_the_other_picture_at_the_same_height(avatar, views, tmp_path):
    levels = [40, 90, 140, 190]
    options = SequenceOptions(beside=lambda k: np.full((20, 32, 3), levels[k], np.uint8))
    path = render_video(avatar, views, tmp_path / "both.mp4", options)
    info = probe(path)
    assert (info.width, info.height) == (16 + COLUMNS, ROWS)
    plain = list(iterate(render_video(avatar, views, tmp_path / "plain.mp4")))
    for frame, level, alone in zip(iterate(path), levels, plain):
        assert abs(float(frame.image[:, :14].mean()) - level) < 4
        assert abs(float(frame.image[:, 18:].mean()) - float(alone.image[:, 2:].mean())) < 8


def test_a_video_is_repeatable(avatar, views, tmp_path):
    one, other = (render_video(avatar, views, tmp_path / f"{name}.mp4") for name in "ab")
    assert one.read_bytes() == other.read_bytes()


def test_names_that_cannot_be_written(avatar, views, tmp_path):
    (tmp_path / "mine.mp4").write_text("mine")
    with pytest.raises(UserError, match="nothing is overwritten"):
        render_video(avatar, views, tmp_path / "mine.mp4")
    assert (tmp_path / "mine.mp4").read_text() == "mine"
    for name in ("video", "video.gif", "video.mp4.txt"):
        with pytest.raises(UserError, match=r"ends in \.mp4"):
            check_output(tmp_path / name)
    check_output(tmp_path / "VIDEO.MP4")


def test_nothing_to_draw_and_unknown_codes_leave_nothing(avatar, views, tmp_path):
    with pytest.raises(UserError, match="no frame to draw"):
        render_video(avatar, [], tmp_path / "video.mp4")
    with pytest.raises(UserError, match="latent code"):
        render_video(avatar, views, tmp_path / "video.mp4", SequenceOptions(latent="frame:5"))
    assert list(tmp_path.iterdir()) == []


def test_an_interrupted_video_leaves_nothing(avatar, views, tmp_path):
    class Interrupting:
        def start(self, task, total):
            assert (task, total) == ("rendering", len(views))

        def advance(self, steps=1, note=""):
            raise KeyboardInterrupt

        def say(self, line):
            pass

    with pytest.raises(KeyboardInterrupt):
        render_video(avatar, views, tmp_path / "video.mp4", progress=Interrupting())
    assert list(tmp_path.iterdir()) == []
