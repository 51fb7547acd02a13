"""Which Gaussians each tile of a picture blends, front to back (Kerbl et al. 2023, section 6)."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from nerface.rendering.splatting_projection import Footprints

REACH_SLACK = 1e-3  # tiles this little (in the exponent) out of reach are kept, so that rounding never drops a pixel


@dataclass(frozen=True)
class Grid:
    """B pictures of `height` x `width` pixels cut into square tiles of `size` pixels, the last ones overhanging."""

    pictures: int
    height: int
    width: int
    size: int

    @property
    def rows(self) -> int:
        return -(-self.height // self.size)

    @property
    def columns(self) -> int:
        return -(-self.width // self.size)

    @property
    def tiles(self) -> int:
        return self.pictures * self.rows * self.columns

    def to_pictures(self, tiles: Float[Tensor, "tiles pixels values"]) -> Float[Tensor, "pictures height width values"]:
        """Tiles, picture by picture and row by row, as pictures."""
        cut = tiles.reshape(self.pictures, self.rows, self.columns, self.size, self.size, tiles.shape[-1])
        whole = cut.transpose(2, 3).reshape(self.pictures, self.rows * self.size, self.columns * self.size, -1)
        return whole[:, : self.height, : self.width]


@dataclass(frozen=True)
class TileLists:
    """The tiles' lists end to end: `splats` [E] are rows of the B * N Gaussians, `tiles` [E] the tile of each entry.

    Tile t has the entries from `starts[t]` on, `counts[t]` of them, nearest first.
    """

    splats: Int[Tensor, " entries"]
    tiles: Int[Tensor, " entries"]
    starts: Int[Tensor, " tiles"]
    counts: Int[Tensor, " tiles"]


@torch.no_grad()
def tile_lists(seen: Footprints, grid: Grid) -> TileLists:
    """The Gaussians of every tile that they cover with an alpha of 1/255 or more at some pixel."""
    first, sides, reach = _covered(seen, grid)
    # Front to back first, equal depths as they come (gsplat's order); the sort by tile below keeps this order.
    order = torch.argsort(seen.depths.reshape(-1), stable=True)
    areas = (sides[:, 0] * sides[:, 1]).long()[order]
    splats = order.repeat_interleave(areas)
    within = torch.arange(splats.shape[0], device=splats.device) - (areas.cumsum(0) - areas).repeat_interleave(areas)

    # One gather of rows, then columns that lie together: several times as fast as a gather for every number.
    table = torch.cat([seen.centres.reshape(-1, 2), seen.conics.reshape(-1, 3), reach, first, sides[:, :1]], dim=1)
    *shape, column, row, across = table.index_select(0, splats).T.contiguous()
    step_down = ((within + 0.5) / across).floor_()  # whole-number division takes ten times as long
    column, row = column + (within - step_down * across), row + step_down
    touched = _in_reach(shape, column, row, grid.size).nonzero()[:, 0]
    splats = splats.index_select(0, touched)
    tiles = (row * grid.columns + column).index_select(0, touched).long()
    if grid.pictures > 1:
        picture = torch.arange(grid.pictures, device=tiles.device).repeat_interleave(seen.reach.shape[1])
        tiles += picture.index_select(0, splats) * (grid.rows * grid.columns)

    tiles, by_tile = torch.sort(tiles, stable=True)
    counts = torch.bincount(tiles, minlength=grid.tiles)
    return TileLists(splats.index_select(0, by_tile), tiles, counts.cumsum(0) - counts, counts)


def _covered(
    seen: Footprints, grid: Grid
) -> tuple[Float[Tensor, "splats 2"], Float[Tensor, "splats 2"], Float[Tensor, "splats 1"]]:
    """The first tile (column, row) of every Gaussian's box, how many tiles it spans in either direction, its reach.

    Whole numbers, kept as floats; no tiles for what is not drawn or not a number.
    """
    centres, boxes, reach = seen.centres.reshape(-1, 2), seen.boxes.reshape(-1, 2), seen.reach.reshape(-1, 1)
    # Pixel centres are whole numbers, so a tile covers [t * size, t * size + size - 1].
    first = (torch.ceil(centres - boxes) / grid.size).floor_().clamp_min_(0)
    end = (torch.floor(centres + boxes) / grid.size).floor_().add_(1)
    limit = torch.tensor([grid.columns, grid.rows], device=end.device, dtype=end.dtype)
    sides = (torch.minimum(end, limit) - first).nan_to_num_(0.0).clamp_min_(0)
    return first, sides * (reach >= 0), reach


def _in_reach(
    shape: list[Float[Tensor, " entries"]], column: Float[Tensor, " entries"], row: Float[Tensor, " entries"], size: int
) -> Bool[Tensor, " entries"]:
    """Whether the least exponent over the tile's pixels is within the reach; `shape` is centre x, y, conic, reach.

    The exponent is a convex quadratic, so over a rectangle without the centre it is least on a side that faces the
    centre: the one at the nearest column or the one at the nearest row.
    """
    centre_x, centre_y, xx, xy, yy, reach = shape
    left, top = column * size - centre_x, row * size - centre_y
    right, bottom = left + (size - 1), top + (size - 1)
    near_x = left.clamp_min(0) + right.clamp_max(0)
    near_y = top.clamp_min(0) + bottom.clamp_max(0)
    best_y = torch.minimum(torch.maximum(-xy / yy * near_x, top), bottom)
    best_x = torch.minimum(torch.maximum(-xy / xx * near_y, left), right)
    on_column = 0.5 * (xx * near_x * near_x + yy * best_y * best_y) + xy * near_x * best_y
    on_row = 0.5 * (xx * best_x * best_x + yy * near_y * near_y) + xy * best_x * near_y
    return torch.minimum(on_column, on_row) <= reach * (1 + REACH_SLACK) + REACH_SLACK
