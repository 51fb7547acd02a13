"""Is the camera one that could have taken these pictures?"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from nerface.checking.case import Case
from nerface.checking.findings import Finding, error, fine, warning

CHECK = "camera"
SHORTEST_FOCAL, LONGEST_FOCAL = 0.6, 15.0  # picture widths: 80 degrees, and 4
MOST_UNEQUAL = 1.3  # |fx| / |fy|; NeRFace's own subjects have up to 1.11
CENTRE_RANGE = (0.25, 0.75)  # fractions
ANGLE_TOLERANCE = 0.02  # relative


def check_camera(case: Case) -> list[Finding]:
    """Focal lengths against the picture's width and each other, principal point, and contradicting keys."""
    inner = case.dataset.intrinsics
    found = []
    widths = abs(inner.fx) / inner.width
    if not SHORTEST_FOCAL <= widths <= LONGEST_FOCAL:
        found.append(
            warning(
                CHECK,
                f"focal length fx = {inner.fx:.1f} px is {widths:.2f} widths of the picture ({inner.width} px)",
                "give fx and fy in pixels of the pictures as stored",
            )
        )
    unequal = abs(inner.fx / inner.fy)
    if not 1 / MOST_UNEQUAL <= unequal <= MOST_UNEQUAL:
        found.append(
            warning(
                CHECK,
                f"fx = {inner.fx:.1f} and fy = {inner.fy:.1f} px differ by a factor {unequal:.2f}",
                "right only if the pictures were stretched; else mend 'intrinsics'",
            )
        )
    for name, value, length in (("cx", inner.cx, inner.width), ("cy", inner.cy, inner.height)):
        if not 0 <= value <= 1:
            found.append(
                error(
                    CHECK,
                    f"{name} = {value:g} lies outside the picture",
                    f"give it as a fraction of {length} px" + (f": {value / length:.4f}" if value > 1 else ""),
                )
            )
        elif not CENTRE_RANGE[0] <= value <= CENTRE_RANGE[1]:
            found.append(
                warning(CHECK, f"{name} = {value:g} is far from the middle", "right after a crop; else mend it")
            )
    return (found or [_in_order(case)]) + _stated(case)


def _in_order(case: Case) -> Finding:
    inner = case.dataset.intrinsics
    mirrored = "; fx < 0 as in NeRFace's own datasets: picture x runs against head x" if inner.fx < 0 else ""
    return fine(
        CHECK,
        f"{inner.width}x{inner.height}, fx {inner.fx:.1f}, fy {inner.fy:.1f} px, cx {inner.cx:.3f}, cy {inner.cy:.3f}"
        + mirrored,
    )


def _stated(case: Case) -> list[Finding]:
    """`camera_angle_x` and `image_size` where they contradict 'intrinsics' and the pictures."""
    inner = case.dataset.intrinsics
    expected = 2 * math.atan(inner.width / (2 * inner.fx))
    found = []
    angles = _others(case, "camera_angle_x", lambda angle: abs(float(angle) / expected - 1) <= ANGLE_TOLERANCE)
    if angles:
        found.append(
            warning(
                CHECK,
                f"'camera_angle_x' {angles} is not that of 'intrinsics' ({expected:.4f} radians)",
                "'intrinsics' is used; one of them is of another picture size or sign",
            )
        )
    sizes = _others(case, "image_size", lambda size: list(size) == [inner.width, inner.height])
    if sizes:
        found.append(
            warning(
                CHECK,
                f"'image_size' {sizes} is not that of the pictures, {inner.width}x{inner.height}",
                "were the pictures scaled and 'intrinsics' not?",
            )
        )
    return found


def _others(case: Case, key: str, agrees: Callable[[Any], bool]) -> str:
    """Values of a key that do not agree, and in which files; nothing where all do (or the key is missing)."""
    files = []
    for split, meta in case.meta.items():
        value = meta.get(key)
        try:
            right = value is None or agrees(value)
        except (TypeError, ValueError):
            right = False
        if not right:
            files.append(f"{value} in transforms_{split}.json")
    return ", ".join(files)
