"""A drawn head with exact ground truth: ground_truth_clip.py SHARED OUT [options]

Draws a head built round the ICT-FaceKit face of SHARED/data/groundtruth and writes OUT/head_third.mp4 (H.264) and
OUT/head_third_gt.npz. The file of truth has the keys of the two older clips, in their conventions:

    p = f (R X + t)[:2] / (R X + t)[2] + (size - 1) / 2,   X = diag(1, -1, -1) (neutral + a . identity + e . expression)

R [N, 3, 3], t [N, 3] (cm; x right, y down, z forward), f (px), e [N, 53] with names, a [60], x [N, 468, 2] (px, a
pixel's centre at whole numbers), g [N, 16] controls; and besides: controls (their names), gaze [N, 2, 2] (yaw and pitch
of the subject's left and right eyeball in head axes, radians, positive to the right of the picture and up), exposure
[N, 3] (the factor on each channel of linear light, 1 without --exposure-drift).
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
from gt_face import IDENTITY_SHAPES, read_face_model
from gt_head import Head, Looks
from gt_motion import CONTROLS, FLIP, RATE, Motion, make_motion
from gt_scene import FOCAL_SHARE, Lens, Painter, Scene
from gt_texture import backdrop, to_srgb
from jaxtyping import Float

from nerface.files import whole_file

SIZE = 512
IDENTITY_SPREAD = 0.75  # standard deviation of the identity coefficients, as in the older clips
STILL_EVERY = 15  # frames between two pictures of --stills
NOISE_LEVELS = 0.7  # standard deviation of the sensor noise, of 255


@dataclass(frozen=True)
class Choices:
    """What the command line chose."""

    frames: int
    identity: int
    motion: int
    yaw: float
    exposure_drift: bool
    blur: bool
    noise: float
    name: str


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("shared", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--frames", type=int, default=150)
    parser.add_argument("--identity", type=int, default=3, metavar="SEED", help="seed of the person (default 3)")
    parser.add_argument("--motion", type=int, default=3, metavar="SEED", help="seed of the motion (default 3)")
    parser.add_argument("--yaw", type=float, default=25.0, help="turns to each side up to this, degrees (default 25)")
    parser.add_argument("--exposure-drift", action="store_true", help="exposure and white balance change over time")
    parser.add_argument("--blur", action="store_true", help="motion blur of a shutter that is open half the time")
    parser.add_argument("--noise", type=float, default=NOISE_LEVELS, help="sensor noise, levels of 255 (default 0.7)")
    parser.add_argument("--name", default="head_third", help="name of the files (default head_third)")
    parser.add_argument("--stills", action="store_true", help="write every 15th frame as PNG, and no clip")
    arguments = vars(parser.parse_args())
    shared, out, stills = arguments.pop("shared"), arguments.pop("out"), arguments.pop("stills")
    choices = Choices(**arguments)
    out.mkdir(parents=True, exist_ok=True)
    write_clip(shared, out, choices, stills)


def write_clip(shared: Path, out: Path, choices: Choices, stills: bool) -> None:
    """Draw the clip and write it with its ground truth."""
    clip, truth = out / f"{choices.name}.mp4", out / f"{choices.name}_gt.npz"
    for path in (clip, truth):
        if path.exists():
            raise SystemExit(f"{path} exists: choose another folder or --name")
    model = read_face_model(shared / "data" / "groundtruth" / "ict_mediapipe468.npz")
    person = np.random.default_rng(choices.identity)
    identity = np.clip(IDENTITY_SPREAD * person.standard_normal(IDENTITY_SHAPES), -2, 2)
    head = Head(model, identity, Looks(), shared / "models" / "face_landmarker.task", person)
    motion = make_motion(choices.frames, model.names, np.random.default_rng(choices.motion), choices.yaw)
    exposure = _exposure(choices)
    focal = FOCAL_SHARE * SIZE
    scene = Scene(Painter(head, Lens(SIZE, focal), backdrop(SIZE, person)), motion)
    sensor = np.random.default_rng(choices.motion + 1)

    def pictures() -> Iterator[np.ndarray]:
        for number in range(0, choices.frames, STILL_EVERY if stills else 1):
            light = scene.exposed(number) if choices.blur else scene.draw(float(number))
            levels = to_srgb(light * exposure[number]) + choices.noise * sensor.standard_normal(light.shape)
            print(f"\rframe {number + 1}/{choices.frames}", end="", file=sys.stderr, flush=True)
            yield np.clip(np.round(levels), 0, 255).astype(np.uint8)
        print(file=sys.stderr)

    if stills:
        for number, image in enumerate(pictures()):
            cv2.imwrite(str(out / f"{choices.name}_{number * STILL_EVERY:03d}.png"), image[..., ::-1])
        return
    with whole_file(clip) as partial:
        encode(partial, pictures())
    with whole_file(truth) as partial:
        np.savez_compressed(
            partial,
            R=motion.rotation,
            t=motion.translation,
            e=motion.weights,
            a=identity,
            f=np.array(focal),
            x=_projected(head, motion, focal),
            g=motion.controls,
            names=np.array(model.names),
            controls=np.array(tuple(CONTROLS)),
            gaze=motion.gaze,
            exposure=exposure,
        )
    print(f"wrote {clip} and {truth}")


def _exposure(choices: Choices) -> Float[np.ndarray, "frames 3"]:
    """One, or a slow drift of brightness by a half stop with a change of white balance."""
    if not choices.exposure_drift:
        return np.ones((choices.frames, 3))
    along = np.linspace(0, 1, choices.frames)
    stops = 0.5 * np.sin(2 * np.pi * 0.8 * along) + 0.15 * np.sign(np.sin(2 * np.pi * 1.7 * along + 1))
    warm = 0.12 * np.sin(2 * np.pi * 0.6 * along + 0.7)
    return np.asarray(2 ** stops[:, None] * np.stack([1 + warm, np.ones_like(warm), 1 - warm], axis=1))


def _projected(head: Head, motion: Motion, focal: float) -> Float[np.ndarray, "frames 468 2"]:
    rows = []
    for rotation, translation, weights in zip(motion.rotation, motion.translation, motion.weights):
        camera = head.model.vertices(head.identity, weights) @ (rotation @ FLIP).T + translation
        rows.append(focal * camera[:, :2] / camera[:, 2:] + (SIZE - 1) / 2)
    return np.array(rows)


def encode(path: Path, images: Iterable[np.ndarray]) -> None:
    """Write 8-bit RGB pictures as H.264, 4:2:0, near to lossless for the eye (crf 16), 25 Hz."""
    with av.open(str(path), "w", options={"movflags": "faststart"}) as container:
        stream = container.add_stream("libx264", rate=int(RATE), options={"crf": "16", "preset": "medium"})
        stream.width = stream.height = SIZE
        stream.pix_fmt = "yuv420p"
        context = stream.codec_context
        context.color_primaries, context.color_trc, context.colorspace = 1, 1, 1  # BT.709 (ITU-T H.273)
        for number, image in enumerate(images):
            frame = av.VideoFrame.from_ndarray(image, format="rgb24")
            frame = frame.reformat(format="yuv420p", dst_colorspace="ITU709")
            frame.pts, frame.time_base = number, Fraction(1, int(RATE))
            container.mux(stream.encode(frame))
        container.mux(stream.encode())


if __name__ == "__main__":
    main()
