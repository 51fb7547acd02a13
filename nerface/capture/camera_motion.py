"""Whether the camera stands still: its rotation against the backdrop, frame by frame, from followed background points.

A phone in the hand turns; what stands behind a person is far enough away that turning is nearly all it shows. The
pictures of a camera that turns in place are related by the homography K R K^-1 (Hartley and Zisserman, Multiple View
Geometry, sec. 8.4), so three numbers a frame put the backdrop back in its place, and the same rotation corrects poses
exactly.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from jaxtyping import Bool, Float, UInt8

from nerface.types import Intrinsics

POINTS = 160
LEAST_POINTS = 12
LEAST_QUALITY = 0.01  # of the best corner's strength (Shi and Tomasi)
SPACING_SHARE = 0.02  # of the longer side, between two points
WORKING_PX = 640  # points are followed in pictures of at most this longer side
WINDOW_PX, PYRAMID_LEVELS = 17, 3
ROUGHEST_PX = 4.0  # a fit whose inliers lie worse than this is not believed
SCALE_PX = 0.3  # the least scale of the robust weights: what coding noise does to a followed point
ROUNDS = 8
STILL_SHARE = 0.003  # of the longer side: motion below it (1.5 px of 512) is left alone; noise is 0.1 to 1 px
MOST_SHARE = 0.12  # of the longer side: a camera that moves farther cannot be put back within the picture
PERCENTILES = (2.0, 98.0)


@dataclass(frozen=True)
class Turn:
    """One frame's `rotation` [3] (rotation vector, rad) from the reference, and the fit error in px.

    The axes are the camera's x right, y down, z forward. NaN where it could not be measured.
    """

    rotation: Float[np.ndarray, " 3"]
    error_px: float

    @property
    def known(self) -> bool:
        """Whether the frame could be measured."""
        return bool(np.isfinite(self.rotation).all())


UNKNOWN_TURN = Turn(np.full(3, np.nan), float("nan"))


@dataclass(frozen=True)
class CameraMotion:
    """Rotation of the camera in N frames against the reference frame in which the plate is seen.

    `rotation` [N, 3]: rotation vectors in rad (x right, y down, z forward) that take directions of the reference frame
    to those of the frame; frames that were not measured are interpolated (all zero where none was). `measured` [N];
    `error_px` [N] residual of the fit, NaN where not measured; `camera` of the pictures.
    """

    rotation: Float[np.ndarray, "frames 3"]
    measured: Bool[np.ndarray, " frames"]
    error_px: Float[np.ndarray, " frames"]
    camera: Intrinsics

    @property
    def size(self) -> tuple[int, int]:
        """Width and height of the pictures in px."""
        return self.camera.width, self.camera.height

    @property
    def shifts(self) -> Float[np.ndarray, "frames 2"]:
        """How far (u, v) px the backdrop moves in the middle of the picture."""
        return self.rotation[:, [1, 0]] * np.array([self.camera.fx, -self.camera.fy])

    @property
    def span_px(self) -> float:
        """Extent of the motion over the measured frames in px: shift in the middle, and roll at the picture's edge."""
        if not self.measured.any():
            return 0.0
        low, high = np.percentile(self.shifts[self.measured], PERCENTILES, axis=0)
        roll = np.ptp(np.percentile(self.rotation[self.measured, 2], PERCENTILES)) * max(self.size) / 2
        return float(np.linalg.norm([*(high - low), roll]))

    @property
    def span_degrees(self) -> float:
        """The same as an angle: extent of the rotation in degrees."""
        if not self.measured.any():
            return 0.0
        low, high = np.percentile(self.rotation[self.measured], PERCENTILES, axis=0)
        return float(np.degrees(np.linalg.norm(high - low)))

    @property
    def shake_px(self) -> float:
        """RMS of what changes from frame to frame: second differences over sqrt(6), in px; 0 where not known."""
        triples = self.measured[2:] & self.measured[1:-1] & self.measured[:-2]
        if not triples.any():
            return 0.0
        bends = np.diff(self.shifts, n=2, axis=0)[triples]
        return float(np.sqrt((bends**2).sum(axis=1).mean() / 6))

    @property
    def moves(self) -> bool:
        """Whether the camera moves by more than measurement does."""
        return self.span_px > STILL_SHARE * max(self.size)

    @property
    def small(self) -> bool:
        """Whether pictures can be put back without losing much of them at their edges."""
        return self.span_px <= MOST_SHARE * max(self.size)


def motion_over_time(turns: dict[int, Turn], frames: int, camera: Intrinsics) -> CameraMotion:
    """Motion of all `frames` from those that were measured, by frame; the others are interpolated."""
    known = sorted(frame for frame, turn in turns.items() if turn.known)
    measured, error = np.zeros(frames, bool), np.full(frames, np.nan)
    rotation = np.zeros((frames, 3))
    if known:
        measured[known] = True
        error[known] = [turns[frame].error_px for frame in known]
        values = np.stack([turns[frame].rotation for frame in known])
        rotation = np.stack([np.interp(np.arange(frames), known, values[:, axis]) for axis in range(3)], axis=1)
    return CameraMotion(rotation, measured, error, camera)


def steadied_poses(
    camera_to_head: Float[np.ndarray, "frames 4 4"], rotation: Float[np.ndarray, "frames 3"]
) -> Float[np.ndarray, "frames 4 4"]:
    """Poses (OpenGL cameras) of the pictures after `put_back` by `rotation`: cameras turned back to the reference."""
    flip = np.diag([1.0, -1.0, -1.0])
    result = np.array(camera_to_head, dtype=np.float64)
    for frame, vector in enumerate(rotation):
        # A direction d of the frame is R^T d in the steadied camera, so that camera's axes are the frame's times R.
        result[frame, :3, :3] = result[frame, :3, :3] @ (flip @ _matrix(vector) @ flip)
    return result


def steadied_points(
    points: Float[np.ndarray, "frames points 2"], rotation: Float[np.ndarray, "frames 3"], camera: Intrinsics
) -> Float[np.ndarray, "frames points 2"]:
    """Where points (u, v) of the pictures lie after `put_back` by `rotation`."""
    moved = [_mapped(frame, homography(turn, camera, back=True)) for frame, turn in zip(points, rotation)]
    return np.stack(moved) if moved else np.asarray(points, dtype=np.float64)


def homography(rotation: Float[np.ndarray, " 3"], camera: Intrinsics, back: bool = False) -> Float[np.ndarray, "3 3"]:
    """From pixels of the reference frame to those of a frame turned by `rotation`; `back`: the other way round."""
    inner = np.array(
        [
            [camera.fx, 0, camera.cx * camera.width],
            [0, camera.fy, camera.cy * camera.height],
            [0, 0, 1],
        ]
    )
    turn = _matrix(rotation)
    return np.asarray(inner @ (turn.T if back else turn) @ np.linalg.inv(inner))


def put_back(
    image: UInt8[np.ndarray, "height width *channels"], rotation: Float[np.ndarray, " 3"], camera: Intrinsics
) -> UInt8[np.ndarray, "height width *channels"]:
    """The picture as the reference camera sees it; what lies beyond its edge continues the edge's colour."""
    return _warped(image, homography(rotation, camera, back=True), cv2.BORDER_REPLICATE)


def turned(
    image: UInt8[np.ndarray, "height width *channels"], rotation: Float[np.ndarray, " 3"], camera: Intrinsics
) -> UInt8[np.ndarray, "height width *channels"]:
    """A picture of the reference camera (the plate) as a frame turned by `rotation` sees it; edges continued."""
    return _warped(image, homography(rotation, camera), cv2.BORDER_REPLICATE)


def inside_after(rotation: Float[np.ndarray, " 3"], camera: Intrinsics) -> Bool[np.ndarray, "height width"]:
    """Which pixels of a picture after `put_back` come from within the frame."""
    whole = np.full((camera.height, camera.width), 255, np.uint8)
    return _warped(whole, homography(rotation, camera, back=True), cv2.BORDER_CONSTANT) > 250


class BackdropFollower:
    """Follows points of a reference background into frames (Lucas-Kanade) and gives the camera's turn."""

    def __init__(
        self,
        reference: UInt8[np.ndarray, "height width 3"],
        background: Bool[np.ndarray, "height width"],
        camera: Intrinsics,
    ) -> None:
        """`background` tells where `reference` shows the backdrop (not the person, not invented colour)."""
        self._camera = camera
        self._scale = min(1.0, WORKING_PX / max(reference.shape[:2]))
        self._grey = self._shrunk(reference)
        height, width = self._grey.shape
        mask = cv2.resize(background.astype(np.uint8), (width, height), interpolation=cv2.INTER_NEAREST)
        mask = cv2.erode(mask, np.ones((WINDOW_PX, WINDOW_PX), np.uint8), borderValue=1)
        spacing = max(3.0, SPACING_SHARE * max(height, width))
        found = cv2.goodFeaturesToTrack(self._grey, POINTS, LEAST_QUALITY, spacing, mask=mask)
        self._points = np.zeros((0, 2), np.float32) if found is None else found.reshape(-1, 2)
        self._last = np.zeros(3)

    def follow(
        self,
        image: UInt8[np.ndarray, "height width 3"],
        person: Bool[np.ndarray, "height width"],
    ) -> Turn:
        """Turn of a frame (at the reference's exposure) from what lies beside its `person`, near the last turn."""
        start = self._last
        if len(self._points) < LEAST_POINTS:
            return UNKNOWN_TURN
        near = self._predicted(start)
        after, found, _ = cv2.calcOpticalFlowPyrLK(
            self._grey,
            self._shrunk(image),
            self._points[:, None],
            np.ascontiguousarray(near[:, None], dtype=np.float32),
            winSize=(WINDOW_PX, WINDOW_PX),
            maxLevel=PYRAMID_LEVELS,
            flags=cv2.OPTFLOW_USE_INITIAL_FLOW,
        )
        after = after[:, 0].astype(np.float64)
        height, width = self._grey.shape
        good = (found[:, 0] == 1) & (after > 1).all(axis=1) & (after < (width - 2, height - 2)).all(axis=1)
        cell = np.clip(np.rint(after / self._scale), 0, (person.shape[1] - 1, person.shape[0] - 1)).astype(int)
        good &= ~person[cell[:, 1], cell[:, 0]]
        if good.sum() < LEAST_POINTS:
            return UNKNOWN_TURN
        turn = self._fitted(good, after[good], start)
        if turn.known:
            self._last = turn.rotation
        return turn

    def _fitted(
        self, good: Bool[np.ndarray, " points"], after: Float[np.ndarray, "good 2"], start: Float[np.ndarray, " 3"]
    ) -> Turn:
        """Gauss-Newton with Cauchy weights on the reprojection of the points that were found."""
        camera, scale = self._camera, self._scale
        middle = np.median(after - self._predicted(start)[good], axis=0) / scale
        rotation = start + np.array([-middle[1] / camera.fy, middle[0] / camera.fx, 0.0])
        step = 1e-4
        for _ in range(ROUNDS):
            here = self._predicted(rotation)[good]
            rest = (after - here) / scale  # [P, 2] px
            size = np.linalg.norm(rest, axis=1)
            spread = max(SCALE_PX, 1.4826 * float(np.median(size)))
            weight = 1 / (1 + (size / (2 * spread)) ** 2)
            columns = [
                (self._predicted(rotation + step * np.eye(3)[axis])[good] - here) / (step * scale) for axis in range(3)
            ]
            slope = np.stack(columns, axis=-1)  # [P, 2, 3]
            normal = np.einsum("p,pki,pkj->ij", weight, slope, slope)
            change = np.linalg.solve(
                normal + 1e-9 * np.trace(normal) * np.eye(3), np.einsum("p,pki,pk->i", weight, slope, rest)
            )
            rotation = rotation + change
            if np.abs(change).max() < 1e-7:
                break
        off = size > max(1.0, 3 * spread)
        error = float(np.sqrt((size[~off] ** 2).mean())) if (~off).any() else float("inf")
        if (~off).sum() < LEAST_POINTS or error > ROUGHEST_PX:
            return UNKNOWN_TURN
        return Turn(rotation, error)

    def _predicted(self, rotation: Float[np.ndarray, " 3"]) -> Float[np.ndarray, "points 2"]:
        points = self._points.astype(np.float64) / self._scale
        return _mapped(points, homography(rotation, self._camera)) * self._scale

    def _shrunk(self, image: UInt8[np.ndarray, "height width 3"]) -> UInt8[np.ndarray, "rows columns"]:
        grey = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
        if self._scale < 1:
            grey = cv2.resize(grey, None, fx=self._scale, fy=self._scale, interpolation=cv2.INTER_AREA)
        return np.asarray(grey, dtype=np.uint8)


def _matrix(vector: Float[np.ndarray, " 3"]) -> Float[np.ndarray, "3 3"]:
    return np.asarray(cv2.Rodrigues(np.asarray(vector, dtype=np.float64).reshape(3, 1))[0])


def _mapped(points: Float[np.ndarray, "points 2"], transform: Float[np.ndarray, "3 3"]) -> np.ndarray:
    image = np.asarray(points) @ transform[:, :2].T + transform[:, 2]
    return image[:, :2] / image[:, 2:]


def _warped(image: np.ndarray, transform: Float[np.ndarray, "3 3"], border: int) -> np.ndarray:
    size = (image.shape[1], image.shape[0])
    return cv2.warpPerspective(image, transform, size, flags=cv2.INTER_CUBIC, borderMode=border)
