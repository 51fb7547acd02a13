"""Which pixels a step draws: inside the box as often as the seed's weights say, and evenly on either side."""

from __future__ import annotations

import pytest
import torch

from nerface.training.pixels import draw_pixels, exact_share, inside_probability, pixel_boxes, pixel_weights

HEIGHT, WIDTH = 12, 17
BOXES = {
    "middle": [3, 8, 4, 11],
    "top left corner": [0, 5, 0, 6],
    "bottom right corner": [7, 12, 11, 17],
    "full width": [4, 9, 0, 17],
    "full height": [0, 12, 5, 9],
    "one pixel": [6, 7, 8, 9],
    "all but a row": [1, 12, 0, 17],
}
DRAWS = 40_000


def counts(box: list[int], inside: bool, device: torch.device) -> torch.Tensor:
    """How often each pixel is drawn [H, W], on the host."""
    boxes = torch.tensor([box], device=device).expand(DRAWS, 4)
    where = torch.full((DRAWS,), inside, device=device)
    pixels = draw_pixels(boxes, where, HEIGHT, WIDTH, torch.Generator(device).manual_seed(0))
    assert pixels.min() >= 0
    assert (pixels[:, 0] < HEIGHT).all()
    assert (pixels[:, 1] < WIDTH).all()
    return torch.bincount(pixels[:, 0] * WIDTH + pixels[:, 1], minlength=HEIGHT * WIDTH).reshape(HEIGHT, WIDTH).cpu()


@pytest.mark.parametrize("inside", [True, False])
@pytest.mark.parametrize("name", BOXES)
def test_pixels_are_uniform_on_their_side_of_the_box(name, inside, device):
    box = BOXES[name]
    side = torch.zeros(HEIGHT, WIDTH, dtype=torch.bool)
    side[box[0] : box[1], box[2] : box[3]] = True
    side = side if inside else ~side
    found = counts(box, inside, device)
    assert int(found[~side].sum()) == 0
    expected = DRAWS / int(side.sum())
    # Chi squared of n - 1 degrees of freedom has mean n - 1 and variance 2 (n - 1); five deviations are allowed.
    cells = int(side.sum())
    chi_squared = float(((found[side] - expected) ** 2 / expected).sum())
    assert chi_squared <= cells - 1 + 5 * (2 * (cells - 1)) ** 0.5 + 1e-6


@pytest.mark.parametrize("name", BOXES)
def test_the_share_inside_follows_the_seed_s_weights(name, device):
    top, bottom, left, right = BOXES[name]
    area = (bottom - top) * (right - left) / (HEIGHT * WIDTH)
    boxes = torch.tensor([BOXES[name]], device=device)
    chance = inside_probability(boxes, HEIGHT, WIDTH, 0.9)
    assert float(chance) == pytest.approx(0.9 * area / (0.9 * area + 0.1 * (1 - area)), rel=1e-6)


def test_the_spec_s_shares():
    # Spec 4.2: a box of 20, 30, 50 and 68 % of the image takes 69, 79, 90 and 95 % of the rays.
    boxes = torch.tensor([[0, rows, 0, 100] for rows in (20, 30, 50, 68)])
    assert inside_probability(boxes, 100, 100, 0.9).mul(100).round().tolist() == [69, 79, 90, 95]


def test_an_empty_box_and_a_full_one():
    boxes = torch.tensor([[5, 5, 3, 9], [0, 0, 0, 0], [0, HEIGHT, 0, WIDTH]])
    assert inside_probability(boxes, HEIGHT, WIDTH, 0.9).tolist() == [0, 0, 1]
    generator = torch.Generator().manual_seed(0)
    empty = draw_pixels(boxes[:1].expand(5000, 4), torch.zeros(5000, dtype=torch.bool), HEIGHT, WIDTH, generator)
    assert len(torch.unique(empty, dim=0)) == HEIGHT * WIDTH
    full = draw_pixels(boxes[2:].expand(5000, 4), torch.ones(5000, dtype=torch.bool), HEIGHT, WIDTH, generator)
    assert len(torch.unique(full, dim=0)) == HEIGHT * WIDTH


def test_fractions_become_the_pixels_they_were_made_of():
    # A box of whole pixels, divided and multiplied again, must not lose a row to rounding.
    rows = [[top, top + 7, left, left + 9] for top in range(100) for left in range(0, 400, 13)]
    boxes = torch.tensor(rows, dtype=torch.float64)
    fractions = (boxes / torch.tensor([107, 107, 409, 409])).float()
    assert torch.equal(pixel_boxes(fractions, 107, 409), boxes.long())
    assert pixel_boxes(torch.tensor([[0.1, 0.99, 0.26, 1.0]]), 10, 10).tolist() == [[1, 9, 2, 10]]


def test_the_paper_s_form_draws_an_exact_share_inside():
    boxes = torch.tensor([[2, 6, 3, 9], [0, 0, 0, 0], [0, 10, 0, 12], [4, 5, 4, 5]])
    inside = exact_share(boxes, 10, 12, 200, 0.95).reshape(4, 200)
    assert inside.sum(dim=1).tolist() == [190, 0, 200, 190]
    pixels = draw_pixels(
        boxes.repeat_interleave(200, dim=0), inside.flatten(), 10, 12, torch.Generator().manual_seed(0)
    )
    rows, columns = pixels.reshape(4, 200, 2)[0].unbind(-1)
    assert int(((rows >= 2) & (rows < 6) & (columns >= 3) & (columns < 9)).sum()) == 190


@pytest.mark.parametrize("weight", [0.5, 0.75, 0.9])
def test_weights_of_whole_frames_are_the_chances_of_drawn_pixels(weight, device):
    boxes = torch.tensor(list(BOXES.values()), device=device)
    weights = pixel_weights(boxes, HEIGHT, WIDTH, weight)
    assert weights.shape == (len(BOXES), HEIGHT, WIDTH)
    assert torch.allclose(weights.mean(dim=(1, 2)), torch.ones(len(BOXES), device=device))
    chances = inside_probability(boxes, HEIGHT, WIDTH, weight)
    for values, (top, bottom, left, right), chance in zip(weights, BOXES.values(), chances):
        inside = torch.zeros(HEIGHT, WIDTH, dtype=torch.bool, device=device)
        inside[top:bottom, left:right] = True
        assert len(values[inside].unique()) == len(values[~inside].unique()) == 1
        assert float(values[inside][0] / values[~inside][0]) == pytest.approx(weight / (1 - weight), rel=1e-5)
        assert float(values[inside].sum() / values.sum()) == pytest.approx(float(chance), rel=1e-5)


def test_weights_of_an_empty_box_and_a_full_one():
    boxes = torch.tensor([[5, 5, 3, 9], [0, HEIGHT, 0, WIDTH]])
    assert torch.allclose(pixel_weights(boxes, HEIGHT, WIDTH, 0.9), torch.ones(2, HEIGHT, WIDTH))
