"""3D Gaussians as the PLY files of Kerbl et al. 2023 ("3D Gaussian Splatting"), which other viewers open.

The layout is that of their reference code: one float32 row a Gaussian of `x y z`, unused `nx ny nz`, `f_dc_0..2`,
`f_rest_0..44`, `opacity` (logit), `scale_0..2` (logarithm of the standard deviation), `rot_0..3` (quaternion w x y z);
binary, little-endian. Colour in a direction is 0.5 plus the spherical harmonics of `f_*`, at least 0; `f_rest` holds
the 15 coefficients above the constant one of red, then of green, then of blue. All 45 are written even where they are
0, as some importers know rows of this length alone.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from jaxtyping import Float

from nerface.errors import UserError
from nerface.files import whole_file

ENDING = ".ply"
HARMONIC_0 = 0.28209479177387814  # 1 / (2 sqrt(pi))
HARMONIC_1 = 0.4886025119029199  # sqrt(3 / (4 pi))
REST = 15  # coefficients of degrees 1 to 3, for each colour
# The three harmonics of degree 1 in file order are HARMONIC_1 times -y, z, -x of the direction from eye to Gaussian.
AXIS_OF_HARMONIC, SIGN_OF_HARMONIC = (1, 2, 0), (-1.0, 1.0, -1.0)
LEAST_SIZE = 1e-8  # below it a standard deviation has no useful logarithm
LEAST_SHARE = 1e-6  # opacities stay so far from 0 and 1, where the logit is endless
COLUMNS = (
    *("x", "y", "z", "nx", "ny", "nz", "f_dc_0", "f_dc_1", "f_dc_2"),
    *(f"f_rest_{k}" for k in range(3 * REST)),
    *("opacity", "scale_0", "scale_1", "scale_2", "rot_0", "rot_1", "rot_2", "rot_3"),
)
FORMAT = "format binary_little_endian 1.0"


@dataclass(frozen=True)
class GaussianCloud:
    """N Gaussians at rest: `positions` [N, 3]; `rotations` [N, 4], quaternions w x y z of any length; `scales` [N, 3],
    standard deviations; `opacities` [N] in [0, 1]. Seen along the unit vector d, colour is `colours` [N, 3] plus
    `slopes` [N, 3 (colour), 3 (axis)] times d, at least 0."""

    positions: Float[np.ndarray, "gaussians 3"]
    rotations: Float[np.ndarray, "gaussians 4"]
    scales: Float[np.ndarray, "gaussians 3"]
    opacities: Float[np.ndarray, " gaussians"]
    colours: Float[np.ndarray, "gaussians 3"]
    slopes: Float[np.ndarray, "gaussians 3 3"]

    def __len__(self) -> int:
        return len(self.positions)

    def seen_from(self, eye: Float[np.ndarray, " 3"]) -> Float[np.ndarray, "gaussians 3"]:
        """The colours that a viewer shows whose eye is at this place."""
        sight = self.positions - eye
        sight = sight / np.linalg.norm(sight, axis=1, keepdims=True)
        return np.maximum(self.colours + np.einsum("nca,na->nc", self.slopes, sight), 0.0)


def placed(cloud: GaussianCloud, signs: tuple[int, int, int] = (1, 1, 1), scale: float = 1.0) -> GaussianCloud:
    """The cloud with axes turned over where their sign is -1, and lengths multiplied by `scale`.

    A rotation R seen in a mirror M is M R M: the axis of the quaternion, being one of turning, takes the signs times
    their product.
    """
    flip = np.array(signs, dtype=np.float64)
    turning = np.concatenate([[1.0], flip * flip.prod()])
    return replace(
        cloud,
        positions=cloud.positions * flip * scale,
        rotations=cloud.rotations * turning,
        scales=cloud.scales * scale,
        slopes=cloud.slopes * flip,
    )


def check_output(path: Path) -> None:
    """Raise `UserError` where `path` is no name of a new PLY file."""
    if path.suffix.lower() != ENDING:
        raise UserError(f"{path}: Gaussians are written as {ENDING}, choose such a name")
    if path.exists():
        raise UserError(f"{path} exists already and nothing is overwritten: choose another name")


def write_gaussian_ply(path: Path, cloud: GaussianCloud, note: str) -> None:
    """Write the cloud to a new file, whole or not at all; `note` (one line of ASCII) says in it what axes and unit are.

    Raises `UserError` as `check_output` does.
    """
    check_output(path)
    rest = np.zeros((len(cloud), 3, REST))
    rest[:, :, :3] = cloud.slopes[:, :, AXIS_OF_HARMONIC] * SIGN_OF_HARMONIC / HARMONIC_1
    share = np.clip(cloud.opacities.astype(np.float64), LEAST_SHARE, 1 - LEAST_SHARE)
    rows = np.concatenate(
        [
            cloud.positions,
            np.zeros((len(cloud), 3)),
            (cloud.colours - 0.5) / HARMONIC_0,
            rest.reshape(len(cloud), -1),
            np.log(share / (1 - share))[:, None],
            np.log(np.maximum(cloud.scales, LEAST_SIZE)),
            cloud.rotations / np.linalg.norm(cloud.rotations, axis=1, keepdims=True),
        ],
        axis=1,
    ).astype("<f4")
    header = ["ply", FORMAT, f"comment {note}", f"element vertex {len(cloud)}"]
    header += [f"property float {name}" for name in COLUMNS]
    with whole_file(path) as partial:
        partial.write_bytes(("\n".join([*header, "end_header"]) + "\n").encode("ascii") + rows.tobytes())


def read_gaussian_ply(path: Path) -> GaussianCloud:
    """The cloud of a file, up to degree 1 of its colours. Raises `UserError` for files of another layout."""
    content = path.read_bytes()
    head, found, body = content.partition(b"end_header\n")
    lines = head.decode("ascii", errors="replace").splitlines()
    names = [line.split()[-1] for line in lines if line.startswith("property float ")]
    counts = [int(line.split()[-1]) for line in lines if line.startswith("element vertex ")]
    wanted = set(COLUMNS) - {name for name in COLUMNS if name.startswith("f_rest")}
    if not found or FORMAT not in lines or len(counts) != 1 or not wanted <= set(names):
        raise UserError(f"{path} does not hold Gaussians as 3D Gaussian splatting writes them (binary little-endian)")
    if len(body) != 4 * len(names) * counts[0]:
        raise UserError(f"{path} is cut short or too long: {counts[0]} Gaussians are announced")
    rows = np.frombuffer(body, dtype="<f4").reshape(counts[0], len(names)).astype(np.float64)

    def block(*columns: str) -> np.ndarray:
        return rows[:, [names.index(column) for column in columns]]

    slopes = np.zeros((counts[0], 3, 3))
    per_colour = sum(name.startswith("f_rest") for name in names) // 3
    for harmonic in range(3 if per_colour else 0):
        axis, sign = AXIS_OF_HARMONIC[harmonic], SIGN_OF_HARMONIC[harmonic]
        values = block(*(f"f_rest_{colour * per_colour + harmonic}" for colour in range(3)))
        slopes[:, :, axis] = sign * HARMONIC_1 * values
    return GaussianCloud(
        positions=block("x", "y", "z"),
        rotations=block("rot_0", "rot_1", "rot_2", "rot_3"),
        scales=np.exp(block("scale_0", "scale_1", "scale_2")),
        opacities=1 / (1 + np.exp(-block("opacity")[:, 0])),
        colours=0.5 + HARMONIC_0 * block("f_dc_0", "f_dc_1", "f_dc_2"),
        slopes=slopes,
    )
