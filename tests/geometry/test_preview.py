"""The picture of a mesh shows its shape, its colours and its sides."""

from __future__ import annotations

import numpy as np

from nerface.geometry import MeshOptions, extract_mesh
from nerface.geometry.preview import BACKDROP, preview
from tests.geometry.solids import DENSITY, NOTHING, Solid


def test_four_panels_show_shape_and_colours():
    head = Solid((((0, 0, 0), (0.08, 0.1, 0.08)), ((0.09, 0.02, 0), (0.04, 0.03, 0.02)), ((0, 0, 0.09), (0.02,) * 3)))
    mesh = extract_mesh(head, NOTHING, MeshOptions(48, DENSITY / 2, 0.14))
    picture = preview(mesh, panel=80)
    assert picture.shape == (80, 320, 3)
    shaded, turned, coloured, _ = np.split(picture.astype(int), 4, axis=1)
    shown = (np.abs(coloured - BACKDROP) > 2).any(axis=2)
    columns = np.flatnonzero(shown.any(axis=0))
    assert columns[0] >= 5
    assert columns[-1] <= 75  # within the panel ...
    assert columns[-1] - columns[0] >= 40  # ... and filling most of it, with room to turn
    middle = (mesh.vertices[:, 0].min() + mesh.vertices[:, 0].max()) / 2
    assert abs(40 - columns.mean()) < 3
    assert middle > 0  # the ear, so the head itself lies to the left
    # Red grows with x and green with y: so does the picture.
    rows = np.flatnonzero(shown.any(axis=1))
    row, column = int(rows.mean()), int(columns.mean())
    assert coloured[row, columns[-1] - 8, 0] > coloured[row, columns[0] + 8, 0] + 40
    assert coloured[rows[0] + 6, column - 6, 1] > coloured[rows[-1] - 6, column - 6, 1] + 40
    assert (shaded[..., 0] == shaded[..., 1]).all()
    assert shaded[shown].std() > 10  # light and shade
    nose = np.abs(turned - shaded).max()
    assert nose > 50  # another view
