"""Feature points followed on the skin and skull while a video streams by.

Landmark networks say where a nose tip *should* be for the face they believe in, and under-report how far a head turns;
a spot on the skin is where it is. Spots are corners of the picture (Shi and Tomasi 1994) followed from frame to frame
by pyramidal Lucas-Kanade, forwards and back again (Bouguet 2001; Kalal et al. 2010): what does not return to where it
came from is dropped, and new spots are sought where cells of a grid lie empty.

Everything is done on a square around the head, shrunk for large pictures; memory holds two such squares and the table.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from jaxtyping import Bool, Float, Int, UInt8

from nerface.capture.skin_region import HeadFrame, head_frame, region_mask

FACE_PX = 280.0  # larger faces (ear to ear) are followed on a smaller copy
WINDOW_SHARE, MIN_WINDOW_PX = 0.1, 15  # side of the window that is matched, of the width of the face
LEVELS = 2  # halvings of the picture: with the motion foretold by the landmarks the search is short
CELLS = 16  # grid cells along the width of the head's square: at most one new spot in each
MAX_ALIVE = 260
SEED_EVERY = 3  # frames between two searches for new spots
MIN_LENGTH = 5  # observations of a track worth keeping
MAX_RETURN_SHARE = 0.0025  # of the face's width: how far from its start a spot may return
MIN_RETURN_PX = 0.3
RESCALE = 1.3  # a face that grew or shrank this much is started anew at a fitting scale
SQUARE = 2.2  # side of the square that is looked at, in widths of the face


@dataclass(frozen=True)
class SkinTracks:
    """Followed spots as a flat table of M observations, sorted by track, then frame; a track has no gaps.

    `track` [M] which spot, `frame` [M] the video's frame number, `place` [M, 2] (u, v) px of the upright frame.
    """

    track: Int[np.ndarray, " observations"]
    frame: Int[np.ndarray, " observations"]
    place: Float[np.ndarray, "observations 2"]

    def __len__(self) -> int:
        return len(self.track)

    @staticmethod
    def none() -> SkinTracks:
        """A table without tracks."""
        return SkinTracks(np.zeros(0, np.int32), np.zeros(0, np.int32), np.zeros((0, 2), np.float32))


@dataclass(frozen=True)
class _View:
    """The square around the head: first pixel `left`, `top`, side `source_px` in the frame, `work_px` as followed."""

    left: int
    top: int
    source_px: int
    work_px: int

    def inward(self, places: Float[np.ndarray, "spots 2"]) -> Float[np.ndarray, "spots 2"]:
        """Frame px to px of the square (pixel centres at whole numbers in both)."""
        return (places - (self.left, self.top) + 0.5) * (self.work_px / self.source_px) - 0.5

    def outward(self, places: Float[np.ndarray, "spots 2"]) -> Float[np.ndarray, "spots 2"]:
        """Px of the square to frame px."""
        return (places + 0.5) * (self.source_px / self.work_px) - 0.5 + (self.left, self.top)

    def cut(self, image: UInt8[np.ndarray, "height width 3"]) -> UInt8[np.ndarray, "side side"]:
        """The square in grey, edges repeated beyond the frame."""
        height, width = image.shape[:2]
        right, bottom = self.left + self.source_px, self.top + self.source_px
        inside = image[max(self.top, 0) : min(bottom, height), max(self.left, 0) : min(right, width)]
        grey = cv2.cvtColor(np.ascontiguousarray(inside), cv2.COLOR_RGB2GRAY)
        borders = (max(-self.top, 0), max(bottom - height, 0), max(-self.left, 0), max(right - width, 0))
        if any(borders):
            grey = cv2.copyMakeBorder(grey, *borders, borderType=cv2.BORDER_REPLICATE)
        if self.work_px != self.source_px:
            grey = cv2.resize(grey, (self.work_px, self.work_px), interpolation=cv2.INTER_AREA)
        return np.asarray(grey)


class SkinTracker:
    """Follows spots through one clip: `add` each decoded frame in order, then `finish`.

    `size` (W, H) of the upright frames. About 3 to 6 ms a frame on one core.
    """

    def __init__(self, size: tuple[int, int]) -> None:
        self._size = size
        self._segment: int | None = None
        self._sides = (0, 0)  # of the square: source px, work px
        self._width = 0.0  # of the face when the sides were chosen, source px
        self._last: tuple[np.ndarray, _View, np.ndarray] | None = None  # grey square, where, landmarks
        self._ids = np.zeros(0, np.int32)
        self._places = np.zeros((0, 2))
        self._next = 0
        self._since_seed = 0
        self._rows: list[tuple[np.ndarray, np.ndarray, np.ndarray]] = []

    def add(
        self,
        frame_number: int,
        image: UInt8[np.ndarray, "height width 3"],
        landmarks: Float[np.ndarray, "478 3"] | None,
        segment: int,
    ) -> None:
        """Follow the spots into this frame (RGB); without landmarks, or where `segment` changes, all end."""
        if segment != self._segment or landmarks is None:
            self._forget()
        self._segment = segment
        if landmarks is None:
            return
        landmarks = np.asarray(landmarks, dtype=np.float64)
        head = head_frame(landmarks)
        if not head.width > 1:
            self._forget()
            return
        if self._last is None or not 1 / RESCALE < head.width / self._width < RESCALE:
            self._forget()
            self._choose_scale(head)
        view = self._view(head)
        grey = view.cut(image)
        mask = region_mask(head, landmarks, view.inward, view.work_px)
        if self._last is not None and len(self._ids):
            self._follow(grey, view, landmarks, mask)
        self._since_seed += 1
        if self._last is None or self._since_seed >= SEED_EVERY:
            self._seed(grey, view, mask)
            self._since_seed = 0
        self._last = (grey, view, landmarks)
        self._rows.append((self._ids, np.full(len(self._ids), frame_number, np.int32), self._places.astype(np.float32)))

    def finish(self) -> SkinTracks:
        """The table of all tracks of at least `MIN_LENGTH` observations."""
        if not self._rows:
            return SkinTracks.none()
        track, frame, place = (np.concatenate(column) for column in zip(*self._rows))
        order = np.lexsort((frame, track))
        order = order[np.bincount(track, minlength=1)[track[order]] >= MIN_LENGTH] if len(track) else order
        return SkinTracks(track[order], frame[order], place[order])

    def _forget(self) -> None:
        self._last = None
        self._ids, self._places = np.zeros(0, np.int32), np.zeros((0, 2))

    def _choose_scale(self, head: HeadFrame) -> None:
        self._width = head.width
        source = max(round(SQUARE * head.width), 2 * MIN_WINDOW_PX)
        self._sides = (source, min(source, round(SQUARE * FACE_PX)))

    def _window(self) -> int:
        return max(MIN_WINDOW_PX, 2 * int(WINDOW_SHARE * self._face_px() / 2) + 1)

    def _face_px(self) -> float:
        return self._width * self._sides[1] / self._sides[0]

    def _view(self, head: HeadFrame) -> _View:
        left, top = np.rint(head.middle - self._sides[0] / 2).astype(int)
        return _View(int(left), int(top), *self._sides)

    def _follow(self, grey: np.ndarray, view: _View, landmarks: np.ndarray, mask: np.ndarray) -> None:
        assert self._last is not None
        before, old_view, old_landmarks = self._last
        onward = _affine(old_landmarks[:, :2], landmarks[:, :2])
        start = old_view.inward(self._places).astype(np.float32)
        guess = view.inward(self._places @ onward[:2] + onward[2]).astype(np.float32)
        found, ahead = _match(before, grey, start, guess, self._window())
        # The way back starts from where the landmarks' motion undone puts the find, not from the known answer.
        back_guess = found - guess + start
        returned, back = _match(grey, before, found, back_guess, self._window())
        limit = max(MIN_RETURN_PX, MAX_RETURN_SHARE * self._face_px())
        close = np.linalg.norm(returned - start, axis=1) < limit
        keep = ahead & back & close & _inside(mask, found)
        places = view.outward(found[keep].astype(np.float64))
        width, height = self._size
        within = np.all((places >= 0) & (places <= (width - 1, height - 1)), axis=1)
        self._ids, self._places = self._ids[keep][within], places[within]

    def _seed(self, grey: np.ndarray, view: _View, mask: np.ndarray) -> None:
        """New spots: the best corner of each empty grid cell, where the picture has texture beyond its noise."""
        room = MAX_ALIVE - len(self._ids)
        if room <= 0:
            return
        side = len(grey)
        quality = cv2.cornerMinEigenVal(grey, MIN_WINDOW_PX, ksize=3)
        allowed = mask.astype(bool)
        margin = MIN_WINDOW_PX // 2
        allowed[:margin], allowed[-margin:], allowed[:, :margin], allowed[:, -margin:] = False, False, False, False
        if not allowed.any():
            return
        spacing = max(side // (2 * CELLS), 3)
        for column, row in np.rint(view.inward(self._places)).astype(int):
            cv2.circle(mask, (int(column), int(row)), spacing, 0, -1)
        allowed &= mask.astype(bool)
        quality = np.where(allowed, quality, 0.0)
        cell = -(-side // (2 * CELLS))
        padded = np.zeros((cell * 2 * CELLS, cell * 2 * CELLS), np.float32)
        padded[:side, :side] = quality
        blocks = padded.reshape(2 * CELLS, cell, 2 * CELLS, cell).transpose(0, 2, 1, 3).reshape(-1, cell * cell)
        best = blocks.argmax(axis=1)
        value = blocks[np.arange(len(best)), best]
        good = np.flatnonzero(value > MIN_QUALITY)
        good = good[np.argsort(-value[good])][:room]
        rows, columns = good // (2 * CELLS) * cell + best[good] // cell, good % (2 * CELLS) * cell + best[good] % cell
        places = view.outward(np.stack([columns, rows], axis=1).astype(np.float64))
        width, height = self._size
        places = places[np.all((places >= 0) & (places <= (width - 1, height - 1)), axis=1)]
        ids = np.arange(self._next, self._next + len(places), dtype=np.int32)
        self._next += len(places)
        self._ids = np.concatenate([self._ids, ids])
        self._places = np.concatenate([self._places, places])


# Least mean squared slope (grey levels per pixel, squared, Sobel-scaled as OpenCV gives it) in the weakest direction.
MIN_QUALITY = 1e-5


def _match(
    before: np.ndarray, after: np.ndarray, start: np.ndarray, guess: np.ndarray, window: int
) -> tuple[Float[np.ndarray, "spots 2"], Bool[np.ndarray, " spots"]]:
    """Lucas-Kanade from one picture to another: places and whether they were found."""
    criteria = (cv2.TERM_CRITERIA_EPS | cv2.TERM_CRITERIA_COUNT, 20, 0.005)
    found, status, _ = cv2.calcOpticalFlowPyrLK(
        before,
        after,
        start[:, None].copy(),
        guess[:, None].copy(),
        winSize=(window, window),
        maxLevel=LEVELS,
        criteria=criteria,
        flags=cv2.OPTFLOW_USE_INITIAL_FLOW,
        minEigThreshold=1e-5,
    )
    return np.asarray(found[:, 0]), status[:, 0].astype(bool)


def _affine(start: Float[np.ndarray, "points 2"], end: Float[np.ndarray, "points 2"]) -> Float[np.ndarray, "3 2"]:
    design = np.concatenate([start, np.ones((len(start), 1))], axis=1)
    return np.asarray(np.linalg.lstsq(design, end, rcond=None)[0])


def _inside(mask: UInt8[np.ndarray, "side side"], places: Float[np.ndarray, "spots 2"]) -> Bool[np.ndarray, " spots"]:
    columns, rows = np.rint(places).astype(int).T
    side = len(mask)
    within = (columns >= 0) & (rows >= 0) & (columns < side) & (rows < side)
    hit = np.zeros(len(places), bool)
    hit[within] = mask[rows[within], columns[within]] > 0
    return hit
