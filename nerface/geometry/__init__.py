"""Solid things from a field: meshes by marching cubes, point clouds from depth, their axes, units and files."""

from nerface.geometry.axes import is_mirrored, placed
from nerface.geometry.files import check_output, write_mesh, write_points
from nerface.geometry.level import choose_level
from nerface.geometry.points import PointOptions, extract_points
from nerface.geometry.shapes import Mesh, Points
from nerface.geometry.surface import MeshOptions, extract_mesh

__all__ = [
    "Mesh",
    "MeshOptions",
    "PointOptions",
    "Points",
    "check_output",
    "choose_level",
    "extract_mesh",
    "extract_points",
    "is_mirrored",
    "placed",
    "write_mesh",
    "write_points",
]
