"""Decoded frames to 8-bit RGB: matrices and ranges respected, high dynamic range tone-mapped, alpha kept apart.

Ordinary video goes through FFmpeg's scaler alone, as planar RGB: that way it rounds, and interpolates the colour
planes, which its packed RGB output does not (a picture taken to 4:2:0 and back: 41.1 dB against 38.5 dB, and no darker
by a level).

High dynamic range (BT.2100 HLG and PQ) and wide gamuts: code values -> linear light over reference white -> BT.709
primaries -> a fixed curve that leaves all below a half as it is and rolls highlights off -> BT.709 code values. Nothing
depends on the frame, so brightness does not pump. The chain is a function of three code values, so it is tabulated once
for all 2^24 triples of 8 bits: one look-up a pixel takes 7 ms at 1920x1080 where the chain itself takes 50 ms.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import av
import cv2
import numpy as np
from av.video.reformatter import ColorRange, Interpolation, VideoReformatter
from jaxtyping import Float, UInt8, UInt32

# Codes of ITU-T H.273 for primaries, transfer functions and matrices.
UNSPECIFIED = 2
BT2020_PRIMARIES, P3_PRIMARIES = 9, 12
PQ, HLG = 16, 18
BT2020_MATRICES = (9, 10)
BT709, BT601 = 1, 5
ACCURATE_ROUNDING = 1 << 18  # SWS_ACCURATE_RND of libswscale; PyAV names it only from 18.0 on
# The scaler's name of each matrix it knows (sws_getCoefficients of libswscale).
MATRICES = {BT709: BT709, 4: 4, BT601: BT601, 6: BT601, 7: 7, 9: 9, 10: 9}
# Matrices that cannot be undone here: YCgCo, Y'D'zD'x, ICtCp, IPT (Dolby Vision profile 5), YCgCo-R.
UNKNOWN_MATRICES = (8, 11, 14, 15, 16, 17)
HD_SIDE_PX = 1280  # untagged pictures with a longer side from here on are BT.709, smaller ones BT.601, as players do

CODES = 256
PQ_WHITE_CD_M2 = 203.0  # HDR reference white (ITU-R BT.2408, table 1) ...
HLG_WHITE = 0.75  # ... and the HLG signal of it
PQ_PEAK_CD_M2 = 1000.0  # what phones master to
KNEE = 0.5  # linear light over reference white up to which nothing is changed
TABLE = 4096
BT1886_GAMMA = 2.4

# Linear RGB to linear RGB of BT.709, both with white D65, from the primaries' chromaticities (ITU-R BT.2087; SMPTE EG
# 432-1).
TO_BT709 = {
    BT2020_PRIMARIES: ((1.6605, -0.5876, -0.0728), (-0.1246, 1.1329, -0.0083), (-0.0182, -0.1006, 1.1187)),
    P3_PRIMARIES: ((1.2249, -0.2249, 0.0), (-0.0421, 1.0421, 0.0), (-0.0196, -0.0786, 1.0983)),
}

# What a picture with alpha lies on: neither bright nor dark, so that nothing about the person is mistaken for it.
ALPHA_BACKDROP = 128
ALPHA_EDGE = (8, 128)  # levels of alpha at which straight and premultiplied colours differ most
ALPHA_SLACK = 4  # levels that compression may add to a premultiplied colour
STRAIGHT_SHARE = 0.05


@dataclass(frozen=True)
class Colour:
    """What is known of the colours of a video.

    `matrix` of FFmpeg's scaler (None: RGB already), `transfer` and `primaries` as H.273 codes, `deep` where values go
    through the tables of this module, `alpha` where there is such a plane.
    """

    matrix: int | None
    transfer: int
    primaries: int
    alpha: bool

    @property
    def deep(self) -> bool:
        """High dynamic range or a wide gamut: more than a matrix is needed."""
        return self.transfer in (PQ, HLG) or self.primaries in TO_BT709

    @property
    def name(self) -> str:
        """In words: the dynamic range and the gamut."""
        range_name = {PQ: "HDR (PQ)", HLG: "HDR (HLG)"}.get(self.transfer, "SDR")
        gamut = {BT2020_PRIMARIES: "BT.2020", P3_PRIMARIES: "P3"}.get(self.primaries, "BT.709")
        return f"{range_name}, {gamut}"


def colour_of(frame: av.VideoFrame) -> Colour:
    """Read a frame's tags. Raises `ValueError` with the name of colours that cannot be undone."""
    matrix, primaries = int(frame.colorspace), int(frame.color_primaries)
    if matrix in UNKNOWN_MATRICES:
        names = {8: "YCgCo", 14: "ICtCp", 15: "IPT (Dolby Vision profile 5)"}
        raise ValueError(names.get(matrix, f"matrix {matrix}"))
    if primaries == UNSPECIFIED and matrix in BT2020_MATRICES:
        primaries = BT2020_PRIMARIES
    known = MATRICES.get(matrix)
    if known is None and not frame.format.is_rgb:
        known = BT709 if max(frame.width, frame.height) >= HD_SIDE_PX else BT601
    alpha = any(part.is_alpha for part in frame.format.components)
    return Colour(None if frame.format.is_rgb else known, int(frame.color_trc), primaries, alpha)


class Converter:
    """Turns frames of one video into RGB of one size; keeps the scaler between frames."""

    def __init__(self, colour: Colour, size: tuple[int, int]) -> None:
        self.colour = colour
        self.size = size
        self._scaler = VideoReformatter()

    def __call__(self, frame: av.VideoFrame) -> UInt8[np.ndarray, "rows columns 3"]:
        """The picture without its alpha."""
        planes = self._planes(frame, "gbrp")
        return looked_up(planes, self.colour) if self.colour.deep else cv2.merge(planes)

    def with_alpha(
        self, frame: av.VideoFrame
    ) -> tuple[UInt8[np.ndarray, "rows columns 3"], UInt8[np.ndarray, "rows columns"]]:
        """The picture as its file holds it, and its alpha (255 = covered)."""
        red, green, blue, alpha = self._planes(frame, "gbrap")
        return cv2.merge([red, green, blue]), np.ascontiguousarray(alpha)

    def _planes(self, frame: av.VideoFrame, target: str) -> list[np.ndarray]:
        """Red, green, blue (and alpha) of the converted frame; the arrays hold the frame alive."""
        width, height = self.size
        full = frame.color_range == ColorRange.JPEG or frame.format.name.startswith("yuvj") or frame.format.is_rgb
        shrinks = width * height < frame.width * frame.height
        converted = self._scaler.reformat(
            frame,
            width=width,
            height=height,
            format=target,
            src_colorspace=self.colour.matrix,
            src_color_range=ColorRange.JPEG if full else ColorRange.MPEG,
            dst_color_range=ColorRange.JPEG,
            interpolation=int(Interpolation.AREA if shrinks else Interpolation.BICUBIC) | ACCURATE_ROUNDING,
        )
        planes = []
        for plane in converted.planes:
            rows = np.frombuffer(memoryview(plane), np.uint8).reshape(-1, plane.line_size)
            planes.append(rows[:height, :width])
        green, blue, red, *alpha = planes  # FFmpeg's order
        return [red, green, blue, *alpha]


def looked_up(planes: list[UInt8[np.ndarray, "rows columns"]], colour: Colour) -> UInt8[np.ndarray, "rows columns 3"]:
    """`tone_mapped` of red, green and blue code values, by a table: the same to the last bit."""
    red, green, blue = planes
    packed = cv2.merge([blue, green, red, np.zeros_like(red)]).view("<u4")[..., 0]
    mapped = np.take(_cube(colour.transfer, colour.primaries), packed, mode="clip")
    return cv2.cvtColor(mapped.view(np.uint8).reshape(*red.shape, 4), cv2.COLOR_BGRA2RGB)


def tone_mapped(codes: UInt8[np.ndarray, "rows columns 3"], colour: Colour) -> UInt8[np.ndarray, "rows columns 3"]:
    """RGB code values of an HDR or wide-gamut picture as BT.709 code values."""
    to_linear, encode, peak = _tables(colour.transfer)
    linear = to_linear[codes]
    if colour.primaries in TO_BT709:
        linear = cv2.transform(linear, np.array(TO_BT709[colour.primaries], np.float32))
    # Square roots spread the table's steps about as the eye sees them; colours outside BT.709 are clipped.
    np.clip(linear, 0.0, peak, out=linear)
    cv2.sqrt(linear, linear)
    linear *= (TABLE - 1) / np.sqrt(peak)
    linear += 0.5
    return encode[linear.astype(np.uint16)]


def rolled_off(light: Float[np.ndarray, "*shape"], peak: float) -> Float[np.ndarray, "*shape"]:
    """Linear light over reference white, in [0, peak], to [0, 1]: itself up to the knee, then smoothly to 1."""
    share = np.clip((light - KNEE) / (peak - KNEE), 0.0, 1.0)
    slope = (peak - KNEE) / (1.0 - KNEE)  # so that the curve has no kink at the knee
    return np.where(light <= KNEE, light, KNEE + (1.0 - KNEE) * slope * share / (1.0 + (slope - 1.0) * share))


def hlg_to_scene(signal: Float[np.ndarray, "*shape"]) -> Float[np.ndarray, "*shape"]:
    """Scene light in [0, 1] of an HLG signal in [0, 1] (ITU-R BT.2100-2, table 5, inverse OETF)."""
    a = 0.17883277
    b, c = 1 - 4 * a, 0.5 - a * np.log(4 * a)
    return np.where(signal <= 0.5, signal**2 / 3, (np.exp((signal - c) / a) + b) / 12)


def pq_to_display(signal: Float[np.ndarray, "*shape"]) -> Float[np.ndarray, "*shape"]:
    """Display light in cd/m2 of a PQ signal in [0, 1] (ITU-R BT.2100-2, table 4, EOTF)."""
    m1, m2, c1, c2, c3 = 2610 / 16384, 2523 / 32, 3424 / 4096, 2413 / 128, 2392 / 128
    power = signal ** (1 / m2)
    return 10000.0 * (np.maximum(power - c1, 0.0) / (c2 - c3 * power)) ** (1 / m1)


@lru_cache(maxsize=1)  # 67 MB
def _cube(transfer: int, primaries: int) -> UInt32[np.ndarray, " triples"]:
    """What every triple of code values becomes, both packed as blue + 256 green + 65536 red."""
    colour = Colour(None, transfer, primaries, False)
    cube = np.empty((CODES, CODES, CODES), "<u4")
    codes = np.empty((CODES, CODES, 3), np.uint8)
    codes[..., 1], codes[..., 2] = np.mgrid[:CODES, :CODES]
    for red in range(CODES):
        codes[..., 0] = red
        mapped = tone_mapped(codes, colour).astype(np.uint32)
        cube[red] = mapped[..., 2] + (mapped[..., 1] << 8) + (mapped[..., 0] << 16)
    return cube.reshape(-1)


@lru_cache(maxsize=4)
def _tables(transfer: int) -> tuple[Float[np.ndarray, " codes"], UInt8[np.ndarray, " steps"], float]:
    """(linear light of each code value, 8-bit code of each step of its square root, largest light)."""
    signal = np.arange(CODES) / (CODES - 1)
    if transfer == HLG:
        # Light of the scene, as an SDR camera would have coded it (BT.2408, scene-referred conversion).
        light, encode = hlg_to_scene(signal) / hlg_to_scene(np.array(HLG_WHITE)), _bt709_code
    elif transfer == PQ:
        light, encode = np.minimum(pq_to_display(signal), PQ_PEAK_CD_M2) / PQ_WHITE_CD_M2, _bt1886_code
    else:
        light, encode = signal**BT1886_GAMMA, _bt1886_code
    peak = float(light[-1])
    steps = (np.arange(TABLE) / (TABLE - 1)) ** 2 * peak
    compressed = rolled_off(steps, peak) if transfer in (HLG, PQ) else steps
    return light.astype(np.float32), np.round(255 * encode(compressed)).astype(np.uint8), peak


def _bt709_code(light: Float[np.ndarray, " steps"]) -> Float[np.ndarray, " steps"]:
    """The signal a BT.709 camera gives for light of the scene (ITU-R BT.709-6, 1.2)."""
    return np.where(light < 0.018, 4.5 * light, 1.099 * np.maximum(light, 1e-9) ** 0.45 - 0.099)


def _bt1886_code(light: Float[np.ndarray, " steps"]) -> Float[np.ndarray, " steps"]:
    """The signal for light of the display (ITU-R BT.1886 without black lift)."""
    return light ** (1 / BT1886_GAMMA)


def premultiplied(image: UInt8[np.ndarray, "rows columns 3"], alpha: UInt8[np.ndarray, "rows columns"]) -> bool:
    """Whether colours are already multiplied by alpha: then, where alpha is low, no colour exceeds it.

    Files do not tell. Dark straight colours pass for premultiplied ones, where it makes the least difference.
    """
    edge = (alpha > ALPHA_EDGE[0]) & (alpha < ALPHA_EDGE[1])
    if not edge.any():
        return False
    return float((image[edge].max(axis=1) > alpha[edge].astype(int) + ALPHA_SLACK).mean()) < STRAIGHT_SHARE


def on_backdrop(
    image: UInt8[np.ndarray, "rows columns 3"], alpha: UInt8[np.ndarray, "rows columns"], multiplied: bool
) -> UInt8[np.ndarray, "rows columns 3"]:
    """The picture over plain grey: covered * colour + (1 - covered) * backdrop."""
    cover = alpha.astype(np.float32)[..., None] / 255
    front = image.astype(np.float32)
    if not multiplied:
        front *= cover
    return np.clip(front + (1 - cover) * ALPHA_BACKDROP + 0.5, 0, 255).astype(np.uint8)
