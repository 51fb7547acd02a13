"""Hard footage made from an easy clip: what people's videos do wrong, one fault at a time."""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
from jaxtyping import Float, Int, UInt8, UInt16
from skimage.data import astronaut

from nerface.capture.matte import PersonMatte
from nerface.capture.video import iterate

RATE = 25
SMALL = "face 65 px wide in 1280x720"
HLG_WHITE = 0.265  # scene light of SDR white in HLG
BT709_TO_2020 = np.array([[0.6274, 0.3293, 0.0433], [0.0691, 0.9195, 0.0114], [0.0164, 0.0880, 0.8956]])
Images = list[UInt8[np.ndarray, "height width 3"]]


@dataclass(frozen=True)
class HardClip:
    """A written clip: `what` is wrong with it in words, `source` [N] the frame of the plain clip that each frame is.

    `faulty` are the frames (of this clip) that show no clear face: dropping them is right. `same_pose` is True where
    head poses should come out as for the plain clip.
    """

    name: str
    what: str
    path: Path
    source: Int[np.ndarray, " frames"]
    faulty: tuple[int, ...] = ()
    same_pose: bool = True


def write_hard_clips(video: Path, folder: Path, mask_net: Path, frames: int) -> tuple[Path, list[HardClip]]:
    """The first `frames` frames of `video` as a plain clip, and the hard clips made of them, all in `folder`."""
    images = []
    for frame in iterate(video):
        images.append(frame.image)
        if len(images) == frames:
            break
    folder.mkdir(parents=True, exist_ok=True)
    plain = encode(folder / "plain.mp4", images)
    random = np.random.default_rng(0)
    clips = [_small(images, folder, random, still) for still in (False, True)]
    clips += [make(images, folder) for make in (_turned, _ten_bit)]
    clips.append(_variable_rate(images, folder, random))
    clips += [make(images, folder) for make in (_hand, _blur, _cut, _passer_by, _drift, _exposure)]
    clips.append(_green(images, folder, PersonMatte(mask_net)))
    return plain, clips


def encode(
    path: Path,
    images: Sequence[np.ndarray],
    codec: str = "libx264",
    pix_fmt: str = "yuv420p",
    pts_ms: Sequence[int] | None = None,
    colour: tuple[int, int, int] | None = None,
) -> Path:
    """Write RGB pictures, or planes [3 height / 2, width] in `pix_fmt`.

    `pts_ms` are time stamps, `colour` the codes of primaries, transfer and matrix (ITU-T H.273).
    """
    with av.open(str(path), "w", options={"movflags": "faststart"}) as container:
        stream = container.add_stream(codec, rate=RATE, options={"crf": "18", "preset": "veryfast"})
        ready = images[0].ndim == 2  # planes in `pix_fmt` already: 3/2 as many rows as the picture has
        height = images[0].shape[0] * 2 // 3 if ready else images[0].shape[0]
        stream.width, stream.height, stream.pix_fmt = images[0].shape[1], height, pix_fmt
        if codec == "libx265":
            stream.options = {**stream.options, "x265-params": "log-level=error"}
        if colour is not None:
            context = stream.codec_context
            context.color_primaries, context.color_trc, context.colorspace = colour
        stream.time_base = Fraction(1, 1000)
        stream.codec_context.time_base = Fraction(1, 1000)
        for number, image in enumerate(images):
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(image), format=pix_fmt if ready else "rgb24")
            frame.pts = pts_ms[number] if pts_ms is not None else number * 1000 // RATE
            frame.time_base = Fraction(1, 1000)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path


def _plain_order(images: Images) -> Int[np.ndarray, " frames"]:
    return np.arange(len(images))


def _small(images: Images, folder: Path, random: np.random.Generator, still: bool) -> HardClip:
    """The whole picture a fifth as high as a wide one, before a noisy backdrop or one that is all still."""
    backdrop = cv2.GaussianBlur(cv2.resize(images[0][:120, :120], (1280, 720)), (0, 0), 15)
    side = 150
    out = []
    for image in images:
        grain = 0 if still else random.normal(0, 2, (720, 1280, 1))
        wide = (backdrop + grain).clip(0, 255).astype(np.uint8)
        wide[330 : 330 + side, 700 : 700 + side] = cv2.resize(image, (side, side), interpolation=cv2.INTER_AREA)
        out.append(wide)
    name, what = ("small face, still backdrop", "the same before a drawn backdrop") if still else ("small face", SMALL)
    path = encode(folder / f"small{'_still' if still else ''}.mp4", out)
    return HardClip(name, what, path, _plain_order(images), same_pose=False)


def _turned(images: Images, folder: Path) -> HardClip:
    """Stored lying on its side, with the tag that a phone writes."""
    path = encode(folder / "turned.mp4", [np.rot90(image) for image in images])
    data = bytearray(path.read_bytes())
    # The display matrix in tkhd (ISO 14496-12, 8.3.2): nine 16.16 numbers, here a quarter turn clockwise.
    start = data.find(b"tkhd") + 4 + 4 + 20 + 8 + 8
    one = 1 << 16
    data[start : start + 36] = struct.pack(">9i", 0, one, 0, -one, 0, 0, 0, 0, 1 << 30)
    path.write_bytes(data)
    return HardClip("rotation tag", "stored on its side with a 90 degree tag", path, _plain_order(images))


def _ten_bit(images: Images, folder: Path) -> HardClip:
    path = encode(folder / "tenbit.mp4", [_hlg(image) for image in images], "libx265", "yuv420p10le", colour=(9, 18, 9))
    return HardClip("10-bit HDR", "10-bit HEVC, BT.2020 HLG", path, _plain_order(images))


def _hlg(image: UInt8[np.ndarray, "height width 3"]) -> UInt16[np.ndarray, "rows width"]:
    """An sRGB picture as planes of 10-bit BT.2020 hybrid log-gamma, white at 75 % (ITU-R BT.2087, BT.2100, BT.2408)."""
    wide = HLG_WHITE * (image / 255.0) ** 2.2 @ BT709_TO_2020.T
    signal = np.where(
        wide <= 1 / 12, np.sqrt(3 * wide), 0.17883277 * np.log(12 * wide.clip(1 / 12) - 0.28466892) + 0.55991073
    )
    luma = signal @ np.array([0.2627, 0.6780, 0.0593])
    blue, red = (signal[..., 2] - luma) / 1.8814, (signal[..., 0] - luma) / 1.4746
    half = [cv2.resize(plane, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA) for plane in (blue, red)]
    planes = [64 + 876 * luma, *(512 + 896 * plane for plane in half)]
    return np.concatenate([np.round(plane).ravel() for plane in planes]).astype(np.uint16).reshape(-1, image.shape[1])


def _variable_rate(images: Images, folder: Path, random: np.random.Generator) -> HardClip:
    kept = np.flatnonzero(random.uniform(size=len(images)) > 0.2)
    stamps = kept * 1000 // RATE + random.integers(-8, 9, len(kept))
    stamps = np.maximum.accumulate(stamps - stamps[0] + np.arange(len(kept)))
    path = encode(folder / "vfr.mp4", [images[k] for k in kept], pts_ms=stamps.tolist())
    return HardClip("variable rate", "a fifth of the frames missing, stamps 8 ms off", path, kept)


def _hand(images: Images, folder: Path) -> HardClip:
    """A hand that comes up over mouth and nose and goes again."""
    height, width = images[0].shape[:2]
    first, last = round(0.4 * len(images)), round(0.65 * len(images))
    out = [image.copy() for image in images]
    y, x = np.mgrid[:height, :width].astype(np.float32)
    for number in range(first, last):
        rise = np.sin(np.pi * (number - first + 1) / (last - first + 1))
        top = height * (1.05 - 0.72 * rise)
        covered = (((x - 0.48 * width) / (0.17 * width)) ** 2 + ((y - top - 0.25 * height) / (0.22 * height)) ** 2) < 1
        for finger in range(4):
            across = (0.36 + 0.075 * finger) * width
            covered |= (
                (np.abs(x - across) < 0.032 * width)
                & (y > top - 0.02 * height * (finger % 3))
                & (y < top + 0.25 * height)
            )
        shade = 0.75 + 0.25 * np.sin(x / width * 44) * np.clip(1.4 - (y - top) / (0.3 * height), 0, 1)
        skin = np.array([196, 142, 118]) * shade[..., None]
        soft = cv2.GaussianBlur(covered.astype(np.float32), (0, 0), 1.2)[..., None]
        out[number] = (soft * skin + (1 - soft) * out[number]).clip(0, 255).astype(np.uint8)
    faulty = tuple(n for n in range(first, last) if np.sin(np.pi * (n - first + 1) / (last - first + 1)) > 0.55)
    return HardClip("hand before the face", "a drawn hand over mouth and nose", encode(folder / "hand.mp4", out),
                    _plain_order(images), faulty)  # fmt: skip


def _blur(images: Images, folder: Path) -> HardClip:
    first, count, length = round(0.5 * len(images)), 10, 41
    kernel = np.zeros((length, length), np.float32)
    cv2.line(kernel, (0, length // 2 + 8), (length - 1, length // 2 - 8), 1.0, 2)
    kernel /= kernel.sum()
    faulty = tuple(range(first, first + count))
    out = [cv2.filter2D(image, -1, kernel) if n in faulty else image for n, image in enumerate(images)]
    path = encode(folder / "blur.mp4", out)
    return HardClip("motion blur", f"{count} frames smeared over 41 px", path, _plain_order(images), faulty)


def _cut(images: Images, folder: Path) -> HardClip:
    """From the middle on a tighter shot of the same, three seconds later as it were."""
    half, side = len(images) // 2, images[0].shape[0]
    tight = [
        cv2.resize(image[20 : 20 + 330, 70 : 70 + 330], (side, side), interpolation=cv2.INTER_CUBIC)
        for image in images[half:]
    ]
    return HardClip("cut", "a tighter shot from the middle on", encode(folder / "cut.mp4", images[:half] + tight),
                    _plain_order(images), same_pose=False)  # fmt: skip


def _passer_by(images: Images, folder: Path) -> HardClip:
    """Another person's head comes in from the left, stays beside, and goes."""
    other = cv2.resize(astronaut()[0:215, 115:330], (190, 190), interpolation=cv2.INTER_AREA)
    y, x = np.mgrid[:190, :190]
    soft = np.clip(1.15 - ((x - 95) / 88.0) ** 4 - ((y - 90) / 96.0) ** 4, 0, 1)[..., None]
    out = [image.copy() for image in images]
    first, last = round(0.3 * len(images)), round(0.75 * len(images))
    for number in range(first, last):
        come = np.sin(np.pi * (number - first + 1) / (last - first + 1))
        left = round(-190 + 195 * come)
        shown = slice(max(0, -left), 190)
        if left + 190 > 0:
            place = out[number][60:250, max(0, left) : left + 190]
            mask = soft[:, shown]
            place[:] = (mask * other[:, shown] + (1 - mask) * place).astype(np.uint8)
    return HardClip("second face", "another face comes in beside, and goes", encode(folder / "second.mp4", out),
                    _plain_order(images))  # fmt: skip


def _drift(images: Images, folder: Path) -> HardClip:
    """The camera slowly pans: everything moves by 30 px over the clip."""
    side = (images[0].shape[0] - 32) // 2 * 2
    out = []
    for number, image in enumerate(images):
        shift = 30.0 * number / (len(images) - 1)
        matrix = np.array([[1, 0, -shift], [0, 1, -0.5 * shift]], np.float32)
        out.append(cv2.warpAffine(image, matrix, (side, side), flags=cv2.INTER_CUBIC))
    return HardClip("drifting backdrop", "the camera pans by 30 px over the clip", encode(folder / "drift.mp4", out),
                    _plain_order(images), same_pose=False)  # fmt: skip


def _exposure(images: Images, folder: Path) -> HardClip:
    """Brightness goes up and down by 0.4 stops and the white balance with it, as phones do."""
    along = np.linspace(0, 1, len(images))
    gain = 2 ** (0.4 * np.sin(2 * np.pi * 1.2 * along))
    warm = 0.08 * np.sin(2 * np.pi * 0.7 * along + 1)
    out = []
    for image, factor, tint in zip(images, gain, warm):
        linear = (image / 255.0) ** 2.2 * factor * np.array([1 + tint, 1, 1 - tint])
        out.append((255 * np.clip(linear, 0, 1) ** (1 / 2.2)).round().astype(np.uint8))
    return HardClip("exposure drift", "0.4 stops up and down, white balance 8 %", encode(folder / "exposure.mp4", out),
                    _plain_order(images))  # fmt: skip


def _green(images: Images, folder: Path, matte: Callable[[np.ndarray], Float[np.ndarray, "h w"]]) -> HardClip:
    green = np.array([40, 180, 70], np.float32)
    out = []
    for image in images:
        mask = np.clip((matte(image)[..., None] - 0.3) / 0.4, 0, 1)
        out.append((mask * image + (1 - mask) * green).astype(np.uint8))
    return HardClip(
        "green backdrop", "the backdrop plain green", encode(folder / "green.mp4", out), _plain_order(images)
    )
