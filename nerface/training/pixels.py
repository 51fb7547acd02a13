"""Which pixels a training step looks at: several frames, more often inside the head's box, drawn on the device."""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

ROUNDING_PX = 1e-3  # a fraction stored as float32 is off by up to 1e-7 of the image: that must not cost a row


def pixel_boxes(boxes: Float[Tensor, "frames 4"], height: int, width: int) -> Int[Tensor, "frames 4"]:
    """Boxes in fractions as whole pixels, rounded down like the seed's: rows [0]:[1], columns [2]:[3]."""
    scale = torch.tensor([height, height, width, width], dtype=torch.float64)
    return (boxes.double() * scale + ROUNDING_PX).floor().long()


def inside_probability(
    boxes: Int[Tensor, "frames 4"], height: int, width: int, weight: float
) -> Float[Tensor, " frames"]:
    """The chance that a pixel drawn with `weight` inside and 1 - `weight` outside falls inside its frame's box."""
    area = ((boxes[:, 1] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 2])).double()
    inside, outside = weight * area, (1.0 - weight) * (height * width - area)
    return (inside / (inside + outside)).float()


def pixel_weights(
    boxes: Int[Tensor, "frames 4"], height: int, width: int, weight: float
) -> Float[Tensor, "frames height width"]:
    """How often each pixel would be drawn with `weight` inside its frame's box and 1 - `weight` outside: mean 1."""
    rows = torch.arange(height, device=boxes.device)
    columns = torch.arange(width, device=boxes.device)
    top, bottom, left, right = boxes[:, :, None].unbind(1)
    in_rows, in_columns = (rows >= top) & (rows < bottom), (columns >= left) & (columns < right)
    inside = in_rows[:, :, None] & in_columns[:, None, :]
    chances = torch.where(inside, weight, 1.0 - weight)
    return chances / chances.mean(dim=(1, 2), keepdim=True)


def exact_share(
    boxes: Int[Tensor, "frames 4"], height: int, width: int, per_frame: int, share: float
) -> Bool[Tensor, " pixels"]:
    """Which of `per_frame` pixels of each frame fall inside its box so that exactly `share` of them do, rounded.

    The paper's form (sec. 4: 95 % of the rays). A box that is empty or fills the picture leaves one side alone.
    """
    area = (boxes[:, 1] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 2])
    wanted = torch.full_like(area, round(share * per_frame))
    wanted = torch.where(area == 0, 0, torch.where(area == height * width, per_frame, wanted))
    return (torch.arange(per_frame, device=boxes.device) < wanted[:, None]).flatten()


def draw_pixels(
    boxes: Int[Tensor, "pixels 4"], inside: Tensor, height: int, width: int, generator: torch.Generator
) -> Int[Tensor, "pixels 2"]:
    """One (row, column) per row of `boxes`: uniform in the box where `inside` [P] is True, elsewhere outside it.

    Drawn with replacement (the seed draws without; at 2048 of 262,144 pixels the difference is 0.4 % of repeats).
    """
    top, bottom, left, right = boxes.unbind(-1)
    box_width, box_height = right - left, bottom - top
    area = box_width * box_height
    count = torch.where(inside, area, height * width - area)
    chance = torch.rand(boxes.shape[0], generator=generator, device=boxes.device, dtype=torch.float64)
    index = (chance * count).long().clamp(max=count - 1).clamp(min=0)
    in_row = torch.div(index, box_width.clamp(min=1), rounding_mode="floor")
    in_pixel = torch.stack([top + in_row, left + index - in_row * box_width], dim=-1)
    # Outside, pixels are numbered row by row: full rows above the box, rows beside it, full rows below.
    above, beside = top * width, box_height * (width - box_width)
    beside_index = index - above
    beside_row = torch.div(beside_index, (width - box_width).clamp(min=1), rounding_mode="floor")
    beside_column = beside_index - beside_row * (width - box_width)
    beside_column = torch.where(beside_column >= left, beside_column + box_width, beside_column)
    below_index = index - above - beside + bottom * width
    beside_linear = (top + beside_row) * width + beside_column
    linear = torch.where(index < above, index, torch.where(beside_index < beside, beside_linear, below_index))
    linear_row = torch.div(linear, width, rounding_mode="floor")
    out_pixel = torch.stack([linear_row, linear - linear_row * width], dim=-1)
    return torch.where(inside[:, None], in_pixel, out_pixel)
