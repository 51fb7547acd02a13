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
from gt_head import Head, Looks, Part
from gt_motion import CONTROLS, FLIP, RATE, Motion, make_motion
from gt_raster import rasterise
from gt_texture import backdrop, looked_up, to_srgb
from jaxtyping import Float

from nerface.files import whole_file

SIZE = 512
FOCAL_SHARE = 1.6  # focal length over the picture's side: a phone's portrait camera
SUPERSAMPLE = 2
IDENTITY_SPREAD = 0.75  # standard deviation of the identity coefficients, as in the older clips
LIGHT = np.array([0.72, 0.42, 0.55])  # towards the light, model axes: from the right; the older clips have it in front
KEY, AMBIENT_TOP, AMBIENT_LOW = np.array([1.05, 0.95, 0.83]), np.array([0.34, 0.38, 0.44]), np.array([0.20, 0.17, 0.15])
BLUR_STEPS = 5  # pictures averaged over the time that the shutter is open
SHUTTER = 0.5  # of the time between two frames
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
    scene = Scene(head, motion, focal, backdrop(SIZE, person))
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


class Scene:
    """A head in motion before a backdrop: linear-light pictures of any moment, times in frames."""

    def __init__(self, head: Head, motion: Motion, focal: float, behind: Float[np.ndarray, "size size 3"]) -> None:
        self.head, self.motion, self.focal, self.behind = head, motion, focal, behind

    def exposed(self, number: int) -> Float[np.ndarray, "size size 3"]:
        """The mean over the time that the shutter is open, about the moment of the frame."""
        moments = number + SHUTTER * (np.arange(BLUR_STEPS) / (BLUR_STEPS - 1) - 0.5)
        return np.asarray(np.mean([self.draw(float(moment)) for moment in moments], axis=0))

    def draw(self, moment: float) -> Float[np.ndarray, "size size 3"]:
        """The picture at one moment."""
        size = SIZE * SUPERSAMPLE
        head_pose, body_pose, weights, gaze = self._state(moment)
        pieces = self.head.pose(weights, gaze)
        points, normals, starts = [], [], [0]
        for piece in pieces:
            points.append(_moved(piece.points, piece.bodily, head_pose, body_pose, place=1.0))
            normals.append(_moved(piece.normals, piece.bodily, head_pose, body_pose, place=0.0))
            starts.append(starts[-1] + len(piece.points))
        camera, normal = np.concatenate(points), np.concatenate(normals)
        parts = self.head.parts
        triangles = np.concatenate([part.triangles + start for part, start in zip(parts, starts)])
        back = np.concatenate([np.full(len(part.triangles), part.back) for part in parts])
        middle = (SIZE - 1) / 2
        screen = self.focal * camera[:, :2] / camera[:, 2:] + middle
        # A sample s of the finer grid lies at pixel (s + 0.5) / SUPERSAMPLE - 0.5.
        fine = np.concatenate([(screen + 0.5) * SUPERSAMPLE - 0.5, camera[:, 2:]], axis=1)
        hits = rasterise(fine, triangles, back, (size, size))
        picture = cv2.resize(self.behind, (size, size), interpolation=cv2.INTER_LINEAR).reshape(-1, 3)
        corners = triangles[hits.triangle]
        owner = np.repeat(np.arange(len(parts)), [len(part.triangles) for part in parts])[hits.triangle]
        for number, part in enumerate(parts):
            mine = owner == number
            if mine.any():
                local = corners[mine]
                picture[hits.sample[mine]] = _shade(
                    part, local - starts[number], hits.weights[mine], camera[local], normal[local]
                )
        return cv2.resize(picture.reshape(size, size, 3), (SIZE, SIZE), interpolation=cv2.INTER_AREA)

    def _state(self, moment: float) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """Poses of head and body [4, 4] of model axes, weights and gaze at a moment, between frames as well."""
        motion = self.motion
        moment = float(np.clip(moment, 0, len(motion.weights) - 1))
        low = int(min(np.floor(moment), len(motion.weights) - 2))
        share = moment - low

        def between(values: np.ndarray) -> np.ndarray:
            return np.asarray((1 - share) * values[low] + share * values[low + 1])

        pose = np.eye(4)
        left, _, right = np.linalg.svd(between(motion.rotation))  # the rotation nearest to the mean of two close ones
        pose[:3, :3], pose[:3, 3] = left @ right, between(motion.translation)
        flip = np.diag([1.0, -1.0, -1.0, 1.0])
        return pose @ flip, between(motion.body) @ flip, between(motion.weights), between(motion.gaze)


def _moved(
    points: np.ndarray, bodily: np.ndarray | float, head_pose: np.ndarray, body_pose: np.ndarray, place: float
) -> np.ndarray:
    """Points (`place` 1) or directions (0) in camera axes; what is between head and body goes with both."""
    with_head = points @ head_pose[:3, :3].T + place * head_pose[:3, 3]
    if np.ndim(bodily) == 0:
        return np.asarray(with_head)
    share = np.asarray(bodily)[:, None]
    return np.asarray((1 - share) * with_head + share * (points @ body_pose[:3, :3].T + place * body_pose[:3, 3]))


def _shade(
    part: Part, corners: np.ndarray, weights: np.ndarray, camera: np.ndarray, normal: np.ndarray
) -> Float[np.ndarray, "samples 3"]:
    """Linear light of samples of one part: texture under one lamp, light from above and below, and a highlight."""
    places = np.einsum("kc,kcx->kx", weights, part.places[corners])
    pixels = places * (np.array(part.texture.shape[1::-1]) - 1)
    colour = looked_up(part.texture, pixels)
    dim = np.einsum("kc,kc->k", weights, part.shade[corners])[:, None]
    facing = np.einsum("kc,kcx->kx", weights, normal)
    facing /= np.maximum(np.linalg.norm(facing, axis=1, keepdims=True), 1e-9)
    seen = np.einsum("kc,kcx->kx", weights, camera)
    towards = -seen / np.linalg.norm(seen, axis=1, keepdims=True)
    lamp = FLIP @ (LIGHT / np.linalg.norm(LIGHT))
    # Light goes a little round the terminator, as in skin.
    direct = np.clip((facing @ lamp + 0.15) / 1.15, 0, 1)[:, None]
    upward = (0.5 - 0.5 * facing[:, 1])[:, None]
    light = KEY * direct + AMBIENT_TOP * upward + AMBIENT_LOW * (1 - upward)
    half = towards + lamp
    half /= np.linalg.norm(half, axis=1, keepdims=True)
    highlight = part.gloss * np.clip((half * facing).sum(axis=1), 0, 1)[:, None] ** (24 if part.gloss < 0.2 else 120)
    return np.asarray(dim * (colour * light + highlight * KEY))


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
