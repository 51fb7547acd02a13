from __future__ import annotations

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
