"""A drawn person as a dataset with exact poses, and the truth at views beside it: side_views_dataset.py SHARED OUT

Draws the head of ground_truth_clip.py in a clip whose head turns little (18 degrees to each side and 10 up and down,
unless told otherwise), and writes OUT as a dataset (docs/data-format.md): exact poses, camera, expressions (the drawn
shapes that move), person masks and plate. Below OUT/side_views (see side_view_files.py) lies what a camera would see
that goes round the person, who holds still: from the front, 15 and 30 degrees to each side and 20 up and down.

Light goes with the head, so that the head is the same thing from every side and there is one right answer at views that
no training frame has. The body goes mostly with the camera in the clip, and stands still beside the head in the views.
"""

from __future__ import annotations

import argparse
import math
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from gt_face import IDENTITY_SHAPES, FaceModel, read_face_model
from gt_head import Head, Looks
from gt_motion import FLIP, RATE, Motion, make_motion
from gt_scene import FOCAL_SHARE, Lens, Painter, Scene, Seen, State
from gt_texture import backdrop, to_srgb
from jaxtyping import Float, UInt8
from side_view_files import SideView, ViewTruth, write_truth, write_views

from nerface.capture.splits import SPLITS, Place, index_map, rows_of, split_frames
from nerface.capture.writer import PLATE_FILE, WHOLE_IMAGE, expression_stats, mask_name, write_image
from nerface.driving.paths import head_turn
from nerface.files import whole_folder, write_json

IDENTITY_SPREAD = 0.75  # standard deviation of the identity coefficients, as in ground_truth_clip.py
MEAN_DISTANCE = 0.5  # of the camera, head units
TEST_SHARE = 0.15
SUPERSAMPLE = 4  # finer than the larger clips, since a pixel covers more of the texture
FLIP4 = np.diag([1.0, -1.0, -1.0, 1.0])
# Yaw to the subject's left and pitch upwards, degrees.
ANGLES = ((0, 0), (-15, 0), (15, 0), (-30, 0), (30, 0), (0, -20), (0, 20))
STATES = {"jaw": "jawOpen", "smile": "mouthSmile_L"}  # and "rest"


@dataclass(frozen=True)
class Choices:
    """What the command line chose."""

    size: int
    frames: int
    identity: int
    motion: int
    yaw: float
    pitch: float
    noise: float


@dataclass(frozen=True)
class Person:
    """What all pictures share; `units_per_cm` makes head units of the model's cm; `moving` are the shapes that move."""

    painter: Painter
    scene: Scene
    units_per_cm: float
    names: tuple[str, ...]
    moving: np.ndarray

    def expression(self, number: int) -> list[float]:
        """The weights of the shapes that move in a frame."""
        return [float(value) for value in self.scene.motion.weights[number, self.moving]]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("shared", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--size", type=int, default=256, help="side of the pictures, px (default 256)")
    parser.add_argument("--frames", type=int, default=176, help="of the clip; 15 %% of them are test (default 176)")
    parser.add_argument("--identity", type=int, default=3, metavar="SEED", help="seed of the person (default 3)")
    parser.add_argument("--motion", type=int, default=3, metavar="SEED", help="seed of the motion (default 3)")
    parser.add_argument("--yaw", type=float, default=18.0, help="turns to each side up to this, degrees (default 18)")
    parser.add_argument("--pitch", type=float, default=10.0, help="and up and down (default 10)")
    parser.add_argument("--noise", type=float, default=0.0, help="sensor noise, levels of 255 (default none)")
    arguments = vars(parser.parse_args())
    shared, out = arguments.pop("shared"), arguments.pop("out")
    choices = Choices(**arguments)
    with whole_folder(out) as folder:
        person = make_person(read_face_model(shared / "data" / "groundtruth" / "ict_mediapipe468.npz"), shared, choices)
        write_dataset(folder, person, choices)
        write_side_views(folder, person)
    print(f"wrote {out}")


def make_person(model: FaceModel, shared: Path, choices: Choices) -> Person:
    """The head of a seed, its motion, and the lens and backdrop of all pictures."""
    random = np.random.default_rng(choices.identity)
    identity = np.clip(IDENTITY_SPREAD * random.standard_normal(IDENTITY_SHAPES), -2, 2)
    head = Head(model, identity, Looks(), shared / "models" / "face_landmarker.task", random)
    motion = make_motion(choices.frames, model.names, np.random.default_rng(choices.motion), choices.yaw, choices.pitch)
    lens = Lens(choices.size, FOCAL_SHARE * choices.size, SUPERSAMPLE, lamp_follows=True)
    painter = Painter(head, lens, backdrop(choices.size, random))
    moving = np.flatnonzero(np.ptp(motion.weights, axis=0) > 0)
    names = tuple(_plain_name(model.names[shape]) for shape in moving)
    units = MEAN_DISTANCE / float(np.linalg.norm(motion.translation, axis=1).mean())
    return Person(painter, Scene(painter, motion), units, names, moving)


def _plain_name(name: str) -> str:
    """The model's name of a shape in the manner of ARKit: `eyeBlink_L` is `eyeBlinkLeft`."""
    return name.replace("_L", "Left").replace("_R", "Right")


def places_of(motion: Motion) -> list[Place]:
    """Which frame goes to which split."""
    return split_frames(len(motion.weights), TEST_SHARE, seed=0)


def write_dataset(folder: Path, person: Person, choices: Choices) -> None:
    """The clip: pictures, masks, plate and tables."""
    places = places_of(person.scene.motion)
    sensor = np.random.default_rng(choices.motion + 1)
    for split in SPLITS:
        (folder / split).mkdir(parents=True)
        (folder / "masks" / split).mkdir(parents=True)
    (folder / "bg").mkdir()
    rows = []
    for number, place in enumerate(places):
        print(f"\rframe {number + 1}/{len(places)}", end="", file=sys.stderr, flush=True)
        state = person.scene.state(float(number))
        drawn = person.painter.draw(state)
        levels = to_srgb(drawn.picture)
        write_image(folder / f"{place.name}.png", _bytes(levels + choices.noise * sensor.standard_normal(levels.shape)))
        write_image(folder / mask_name(place), _bytes(255 * drawn.cover))
        box = head_box(person.painter.look(state))
        rows.append(
            {
                "file_path": place.name,
                "transform_matrix": camera_to_head(state.head, person.units_per_cm).tolist(),
                "expression": person.expression(number),
                "bbox": WHOLE_IMAGE if place.split == "test" else box,
                "head_box": box,
                "source_frame": number,
                "timestamp": number / RATE,
                "mask_path": mask_name(place),
            }
        )
    print(file=sys.stderr)
    write_image(folder / PLATE_FILE, _bytes(to_srgb(person.painter.behind)))
    np.save(folder / "index_map.npy", index_map(places), allow_pickle=False)
    shared = _shared_keys(person, rows_of(places, "train"))
    for split in SPLITS:
        write_json(
            folder / f"transforms_{split}.json",
            {**shared, "frames": [rows[number] for number in rows_of(places, split)]},
            indent=1,
        )


def _shared_keys(person: Person, training: np.ndarray) -> dict[str, object]:
    lens, middle = person.painter.lens, (person.painter.lens.size - 1) / 2 / person.painter.lens.size
    return {
        "camera_angle_x": 2 * math.atan(lens.size / (2 * lens.focal)),
        "intrinsics": [lens.focal, lens.focal, middle, middle],
        "image_size": [lens.size, lens.size],
        "frame_rate": RATE,
        "units": {"head_units_per_cm": person.units_per_cm},
        "source": {"file": "drawn by side_views_dataset.py"},
        "expression_names": list(person.names),
        "expression_stats": expression_stats(np.array([person.expression(number) for number in training])),
    }


def write_side_views(folder: Path, person: Person) -> None:
    """What is seen from all `ANGLES` of three expressions of training frames."""
    motion = person.scene.motion
    base = np.eye(4)  # camera to head, cm: straight before the face, which is where it is on average in the clip
    base[:3, 3] = -(FLIP @ motion.translation.mean(axis=0))
    views = []
    for state_name, number in chosen_frames(motion, person.scene.painter.head.model.names).items():
        moment = person.scene.state(float(number))
        body_to_head = np.linalg.inv(moment.head) @ moment.body
        for yaw, pitch in ANGLES:
            pose = head_turn(yaw, pitch).numpy().astype(np.float64) @ base
            head = FLIP4 @ np.linalg.inv(pose)
            state = State(head, head @ body_to_head, moment.weights, moment.gaze)
            drawn, seen = person.painter.draw(state), person.painter.look(state)
            view = SideView(
                f"{state_name}_yaw{yaw:+03d}_pitch{pitch:+03d}",
                state_name,
                number,
                float(yaw),
                float(pitch),
                camera_to_head(head, person.units_per_cm).tolist(),
                person.expression(number),
            )
            views.append(view)
            write_truth(
                folder,
                view,
                ViewTruth(
                    _bytes(to_srgb(drawn.picture)),
                    _bytes(255 * drawn.cover),
                    seen.depth * person.units_per_cm,
                    seen.head,
                ),
            )
            print(f"\rview {len(views)}/{len(ANGLES) * (len(STATES) + 1)}", end="", file=sys.stderr, flush=True)
    print(file=sys.stderr)
    write_views(folder, views)


def chosen_frames(motion: Motion, names: tuple[str, ...]) -> dict[str, int]:
    """Training frames by what the face does there: nearly nothing, and most of each of `STATES`."""
    training = rows_of(places_of(motion), "train").tolist()
    weights = motion.weights[training]
    busy = weights[:, [not name.startswith("eyeLook") for name in names]].sum(axis=1)
    chosen = {"rest": training[int(np.argmin(busy))]}
    return chosen | {state: training[int(np.argmax(weights[:, names.index(shape)]))] for state, shape in STATES.items()}


def camera_to_head(model_to_camera: Float[np.ndarray, "4 4"], units_per_cm: float) -> Float[np.ndarray, "4 4"]:
    """The dataset's pose (OpenGL, head units) from one that takes model cm to a camera with y down, z forward."""
    pose = np.linalg.inv(FLIP4 @ model_to_camera)
    pose[:3, 3] *= units_per_cm
    return np.asarray(pose)


def head_box(seen: Seen) -> list[float]:
    """The box round the head as fractions [row_min, row_max, col_min, col_max]."""
    size = len(seen.head)
    rows, columns = np.nonzero(seen.head)
    return [float(edge) / size for edge in (rows.min(), rows.max() + 1, columns.min(), columns.max() + 1)]


def _bytes(levels: np.ndarray) -> UInt8[np.ndarray, "*shape"]:
    return np.clip(np.round(levels), 0, 255).astype(np.uint8)


if __name__ == "__main__":
    main()
