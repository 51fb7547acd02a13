"""What a training step is handed: the right colours, the right frames, and chance where the plate is unknown."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from nerface.config import TrainingConfig
from nerface.training.frames import FrameStore
from nerface.training.pixels import inside_probability


def wanting(frames: int, rays: int, **more: float) -> TrainingConfig:
    return TrainingConfig(frames=frames, rays=rays, **more)


def generator(store: FrameStore, seed: int = 0) -> torch.Generator:
    return torch.Generator(store.device).manual_seed(seed)


def test_a_batch_holds_what_the_dataset_stores(tiny_dataset, device):
    store = FrameStore(tiny_dataset, device)
    assert len(store) == 4
    batch = store.draw(wanting(3, 100), generator(store))
    assert batch.pixels.shape == (99, 2)  # as many of each frame
    assert len(set(batch.frames.tolist())) == 3
    split = tiny_dataset.train
    for number, (row, column) in enumerate(batch.pixels.tolist()):
        frame = int(batch.frames[number // 33])
        assert np.allclose(batch.target[number].cpu() * 255, split.images[frame, row, column], atol=1e-3)
    for number, frame in enumerate(batch.frames.tolist()):
        assert np.allclose(batch.camera_to_head[number].cpu(), split.camera_to_head[frame])
        assert np.allclose(batch.expression[number].cpu(), split.expressions[frame])


def test_masks_come_with_the_pixels_where_they_are_wanted(tiny_dataset, device):
    assert FrameStore(tiny_dataset, device).masks is None
    store = FrameStore(tiny_dataset, device, masks=True)
    batch = store.draw(wanting(2, 40), generator(store))
    masks = tiny_dataset.train.masks
    for number, (row, column) in enumerate(batch.pixels.tolist()):
        assert float(batch.mask[number]) == pytest.approx(masks[int(batch.frames[number // 20]), row, column] / 255)
    without = replace(tiny_dataset, splits={"train": replace(tiny_dataset.train, masks=None)})
    store = FrameStore(without, device, masks=True)
    assert store.draw(wanting(2, 40), generator(store)).mask is None


def test_equal_seeds_draw_equal_batches(tiny_dataset, device):
    store = FrameStore(tiny_dataset, device)
    one, same, other = (store.draw(wanting(2, 64), generator(store, seed)) for seed in (1, 1, 2))
    assert torch.equal(one.pixels, same.pixels)
    assert torch.equal(one.background, same.background)
    assert torch.equal(one.frames, same.frames)
    assert not torch.equal(one.pixels, other.pixels)


def test_more_frames_than_there_are(tiny_dataset):
    batch = FrameStore(tiny_dataset, torch.device("cpu")).draw(wanting(8, 64), torch.Generator().manual_seed(0))
    assert sorted(batch.frames.tolist()) == [0, 1, 2, 3]
    assert batch.pixels.shape == (64, 2)


def test_the_share_of_pixels_inside_the_head_s_box(tiny_dataset):
    store = FrameStore(tiny_dataset, torch.device("cpu"))
    batch = store.draw(wanting(4, 40_000), torch.Generator().manual_seed(0))
    chance = inside_probability(store.boxes, store.height, store.width, 0.9)
    pixels = batch.pixels.reshape(4, -1, 2)
    for number, frame in enumerate(batch.frames.tolist()):
        top, bottom, left, right = store.boxes[frame].tolist()
        rows, columns = pixels[number].unbind(-1)
        inside = (rows >= top) & (rows < bottom) & (columns >= left) & (columns < right)
        assert float(inside.float().mean()) == pytest.approx(float(chance[frame]), abs=5 * 0.5 / 10_000**0.5)


def test_unseen_plate_pixels_get_random_backgrounds(tiny_dataset, device):
    unseen = np.array(tiny_dataset.background_unseen)
    unseen[:, :] = False
    unseen[5:10, 6:12] = True
    store = FrameStore(replace(tiny_dataset, background_unseen=unseen), device)
    batch = store.draw(wanting(4, 4000), generator(store))
    plate = torch.from_numpy(np.array(tiny_dataset.background)).to(device)[batch.pixels[:, 0], batch.pixels[:, 1]] / 255
    unknown = torch.from_numpy(unseen).to(device)[batch.pixels[:, 0], batch.pixels[:, 1]]
    assert unknown.sum() > 500
    assert torch.allclose(batch.background[~unknown], plate[~unknown])
    made_up = batch.background[unknown]
    assert float(made_up.mean()) == pytest.approx(0.5, abs=0.05)
    assert float(made_up.var()) == pytest.approx(1 / 12, abs=0.02)
    assert ((made_up - plate[unknown]).abs().amax(-1) > 1e-3).all()


def whole(frames: int, **more: float) -> TrainingConfig:
    return TrainingConfig(frames=frames, rays=None, **more)


def test_whole_frames_are_the_pictures(tiny_dataset, device):
    store = FrameStore(tiny_dataset, device, masks=True)
    batch = store.draw(whole(3), generator(store))
    split, frames = tiny_dataset.train, batch.frames.tolist()
    assert batch.pixels is None
    assert len(set(frames)) == 3
    shape = (3, store.height, store.width)
    assert torch.equal(batch.target.reshape(*shape, 3).cpu().mul(255).round().byte(), pictures_of(split.images, frames))
    assert torch.equal(batch.mask.reshape(shape).cpu().mul(255).round().byte(), pictures_of(split.masks, frames))
    plate = torch.from_numpy(np.array(tiny_dataset.background)).expand(*shape, 3)
    seen = ~torch.from_numpy(np.array(tiny_dataset.background_unseen)).expand(shape)
    assert seen.any()
    assert torch.allclose(batch.background.reshape(*shape, 3).cpu()[seen], plate[seen] / 255)
    for number, frame in enumerate(frames):
        assert np.allclose(batch.camera_to_head[number].cpu(), split.camera_to_head[frame])
        assert np.allclose(batch.expression[number].cpu(), split.expressions[frame])


def pictures_of(store: np.ndarray, frames: list[int]) -> torch.Tensor:
    return torch.from_numpy(np.array(store[frames]))


def test_whole_frames_weigh_the_head_s_box(tiny_dataset, device):
    store = FrameStore(tiny_dataset, device)
    batch = store.draw(whole(2, inside_weight=0.8), generator(store))
    weights = batch.weight.reshape(2, store.height, store.width)
    assert torch.allclose(weights.mean(dim=(1, 2)).cpu(), torch.ones(2))
    for values, frame in zip(weights, batch.frames.tolist()):
        top, bottom, left, right = store.boxes[frame].tolist()
        outside = values.clone()
        outside[top:bottom, left:right] = 0
        inside = values[top:bottom, left:right]
        assert float(inside.min() / outside.max()) == pytest.approx(4.0, rel=1e-5)
    assert store.draw(whole(2, inside_weight=0.5), generator(store)).weight is None


def test_whole_frames_come_with_random_colours_where_the_plate_was_never_seen(tiny_dataset, device):
    unseen = np.zeros_like(np.array(tiny_dataset.background_unseen))
    unseen[5:10, 6:12] = True
    store = FrameStore(replace(tiny_dataset, background_unseen=unseen), device)
    one, same, other = (store.draw(whole(4), generator(store, seed)) for seed in (1, 1, 2))
    assert torch.equal(one.background, same.background)
    unknown = torch.from_numpy(unseen).flatten().repeat(4).to(device)
    plate = torch.from_numpy(np.array(tiny_dataset.background)).to(device).flatten(0, 1).repeat(4, 1) / 255
    for batch in (one, other):
        assert torch.allclose(batch.background[~unknown], plate[~unknown])
        made_up = batch.background[unknown].reshape(4, -1, 3)
        assert ((made_up - plate[unknown].reshape(4, -1, 3)).abs().amax(-1) > 1e-3).all()
        assert not torch.equal(made_up[0], made_up[1])  # each frame has its own
    assert not torch.equal(one.background[unknown], other.background[unknown])


def test_whole_frames_of_a_dataset_without_a_plate_or_masks(tiny_dataset):
    split = replace(tiny_dataset.train, masks=None)
    store = FrameStore(replace(tiny_dataset, background=None, splits={"train": split}), torch.device("cpu"), masks=True)
    batch = store.draw(whole(9), torch.Generator().manual_seed(0))
    assert sorted(batch.frames.tolist()) == [0, 1, 2, 3]
    assert batch.background is None
    assert batch.mask is None


def test_a_picture_s_values_at_the_pixels_of_a_batch(tiny_dataset):
    store = FrameStore(tiny_dataset, torch.device("cpu"))
    picture = torch.rand(store.height, store.width, 3)
    drawn = store.draw(wanting(2, 40), generator(store))
    rows, columns = drawn.pixels.unbind(-1)
    assert torch.equal(drawn.of(picture), picture[rows, columns])
    every = store.draw(whole(2), generator(store))
    assert torch.equal(every.of(picture).reshape(2, store.height, store.width, 3), torch.stack([picture, picture]))
