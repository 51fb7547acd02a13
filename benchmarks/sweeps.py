"""Does an avatar hold together beyond its training? sweeps.py AVATAR OUT [--device NAME] [--width PX]

Draws into the new folder OUT:

    channels.png  every expression channel by itself, the others at the training mean, in five steps from its least
                  value in training less the whole range to its greatest plus the whole range.
    angles.png    the head from yaw and pitch up to 30 degrees beyond what training saw, the body in three ways: still
                  before the camera, turning with the head, and still as far as a neck turns (as `nerface render` has
                  it).
    sweeps.json   what the avatar held back, and the angles.

Prints the channels held back.
"""

from __future__ import annotations

import argparse
from dataclasses import asdict
from pathlib import Path

import cv2
import numpy as np
import torch
from jaxtyping import Float, UInt8

from nerface.checkpoint import load_avatar
from nerface.data.images import write_png
from nerface.driving.limits import body_poses, seen_angles
from nerface.driving.paths import turned
from nerface.driving.views import Script, rest_pose, subject_convention
from nerface.fields.base import Avatar, Subject
from nerface.files import whole_folder, write_json
from nerface.precision import pick_device
from nerface.rendering.sequence import draw

STEPS = 5  # of a sweep
BEYOND = 1.0  # of a channel's range, to either side
BEYOND_DEG = 30.0
BLOCKS = 4  # of channels side by side
BAR_PX = 16
BODIES = ("still body", "body turns with the head", "body turns where a neck does not")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("avatar", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--device")
    parser.add_argument("--width", type=int, default=128, help="of one picture, in pixels (default: 128)")
    options = parser.parse_args()
    avatar = load_avatar(options.avatar, pick_device(options.device))
    with whole_folder(options.out) as out:
        asked = channel_sweeps(avatar.subject)
        write_png(out / "channels.png", channel_sheet(avatar, asked, options.width))
        write_png(out / "angles.png", angle_sheet(avatar, options.width))
        names = avatar.subject.expression_names
        held = [{"name": names[each.channel], **asdict(each)} for each in avatar.held_back(asked)]
        found = {"held_back": held, "beyond_deg": BEYOND_DEG, "seen_angles_deg": avatar.subject.seen_angles}
        write_json(out / "sweeps.json", found)
    for each in held:
        print(f"{each['name']:20} asked {each['asked']:+.3f}, shown {each['shown']:+.3f}")
    print(f"{len(held)} of {len(names)} channels held back; pictures and sweeps.json in {options.out}")


def channel_sweeps(subject: Subject) -> Float[np.ndarray, "frames expression"]:
    """`STEPS` expressions for every channel, one channel behind the other."""
    low, high = np.array(subject.expression_min), np.array(subject.expression_max)
    rows = np.tile(np.array(subject.expression_mean, dtype=np.float32), (len(low) * STEPS, 1))
    for channel in range(len(low)):
        reach = BEYOND * (high[channel] - low[channel])
        values = np.linspace(low[channel] - reach, high[channel] + reach, STEPS)
        rows[channel * STEPS : (channel + 1) * STEPS, channel] = values
    return rows


def channel_sheet(
    avatar: Avatar, expressions: Float[np.ndarray, "frames expression"], width: int
) -> UInt8[np.ndarray, "height width 3"]:
    """A strip of `STEPS` pictures for every channel, in `BLOCKS` columns."""
    poses = np.repeat(rest_pose(avatar.subject)[None], len(expressions), axis=0)
    pictures = drawn(avatar, Script(poses, expressions), width)
    names = avatar.subject.expression_names
    strips = [strip(pictures[k * STEPS : (k + 1) * STEPS], names[k]) for k in range(len(names))]
    strips += [np.full_like(strips[0], 255)] * (-len(strips) % BLOCKS)
    rows = len(strips) // BLOCKS
    return np.concatenate([np.concatenate(strips[k * rows : (k + 1) * rows]) for k in range(BLOCKS)], axis=1)


def angle_sheet(avatar: Avatar, width: int) -> UInt8[np.ndarray, "height width 3"]:
    """Yaw and pitch to `BEYOND_DEG` beyond the seen angles, one strip for every way that the body can stand."""
    subject = avatar.subject
    rest, convention = rest_pose(subject), subject_convention(subject)
    middle = seen_angles(rest[None])  # the rest pose's own angles
    least_yaw, most_yaw, least_pitch, most_pitch = subject.seen_angles
    yaws = np.linspace(least_yaw - BEYOND_DEG, most_yaw + BEYOND_DEG, 7) - middle[0]
    if convention.head_mirrored:
        yaws = -yaws[::-1]
    pitches = np.linspace(least_pitch - BEYOND_DEG, most_pitch + BEYOND_DEG, 7) - middle[2]
    strips = []
    for name, angles in (
        ("yaw", np.stack([yaws, np.zeros(len(yaws))], axis=1)),
        ("pitch", np.stack([np.zeros(len(pitches)), pitches], axis=1)),
    ):
        poses = turned(rest, angles, convention)
        expressions = np.tile(np.array(subject.expression_mean, dtype=np.float32), (len(poses), 1))
        bodies = (None, np.repeat(rest[None], len(poses), axis=0), body_poses(poses, rest, subject.seen_angles))
        for body, words in zip(bodies, BODIES):
            pictures = drawn(avatar, Script(poses, expressions, body_from=body), width)
            degrees = " ".join(f"{angle:+.0f}" for angle in angles[:, int(name == "pitch")])
            strips.append(strip(pictures, f"{name}, {words}: {degrees}"))
    return np.concatenate(strips)


def drawn(avatar: Avatar, script: Script, width: int) -> list[UInt8[np.ndarray, "height width 3"]]:
    """The pictures of a script, `width` pixels wide."""
    inner = avatar.subject.intrinsics
    size = width, round(width * inner.height / inner.width)
    views = script.views(inner.resized(*size) if width > inner.width else inner)
    plate = avatar.plate()
    if width > inner.width:
        plate = torch.from_numpy(cv2.resize(plate.cpu().numpy(), size, interpolation=cv2.INTER_LINEAR))
    latent = avatar.latent("mean")
    pictures = [draw(avatar, view, latent, background=plate).numpy() for view in views]
    return [cv2.resize(picture, size, interpolation=cv2.INTER_AREA) for picture in pictures]


def strip(pictures: list[UInt8[np.ndarray, "height width 3"]], words: str) -> UInt8[np.ndarray, "rows columns 3"]:
    """Pictures side by side under a bar that names them."""
    row = np.concatenate(pictures, axis=1)
    bar = np.full((BAR_PX, row.shape[1], 3), 255, dtype=np.uint8)
    cv2.putText(bar, words, (3, BAR_PX - 4), cv2.FONT_HERSHEY_SIMPLEX, 0.42, (40, 40, 40), 1, cv2.LINE_AA)
    return np.concatenate([bar, row])


if __name__ == "__main__":
    main()
