"""Folders as other trackers leave them, written from each format's own documented formulas.

Every writer first says how the format sees a point x of the head (in metres, head axes) and then writes the numbers
that it was said with. `wrong` is called on these numbers before they are written, so that a test can break one
convention.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from scipy.spatial.transform import Rotation

from nerface.video import VideoWriter
from tests.interop import person
from tests.interop.person import FRAMES, SIZE, Foreign, Project

WIDTH, HEIGHT = SIZE
FOCAL = 190.0
ROOT_M, NECK_M = np.array([-0.0011, -0.1443, -0.0830]), np.array([0.0004, -0.0091, -0.0542])  # FLAME's average head
Wrong = Callable[[dict[str, Any]], dict[str, Any]]


def right(numbers: dict[str, Any]) -> dict[str, Any]:
    """Nothing broken."""
    return numbers


_DRAWN: dict[str, tuple[list[np.ndarray], list[np.ndarray]]] = {}


def _pictures(name: str, project: Project, expressions: np.ndarray) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Pictures and masks as the format called `name` sees the person; drawn once."""
    if name not in _DRAWN:
        drawn = [person.draw(project, k, float(expressions[k, 0])) for k in range(FRAMES)]
        _DRAWN[name] = ([picture for picture, _ in drawn], [mask for _, mask in drawn])
    return _DRAWN[name]


def _json(file: Path, content: dict[str, Any]) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(content))


def _about(place: np.ndarray, rotation: np.ndarray) -> np.ndarray:
    """Rotation about a place: there, turn, back."""
    there, turned, back = np.eye(4), np.eye(4), np.eye(4)
    there[:3, 3], turned[:3, :3], back[:3, 3] = place, rotation, -place
    return there @ turned @ back


def _flame_pose(k: int) -> tuple[np.ndarray, np.ndarray]:
    """Root and neck rotation vectors whose product turns the head as `person.angles` says."""
    yaw, pitch, roll = person.angles()[k]
    neck = person.turn(0.3 * yaw, 0.5 * pitch, 0)
    root = person.turn(yaw, pitch, roll) @ neck.T
    return Rotation.from_matrix(root).as_rotvec(), Rotation.from_matrix(neck).as_rotvec()


def _skull(root: np.ndarray, neck: np.ndarray, points: np.ndarray) -> np.ndarray:
    """FLAME's chain: the neck joint within the root joint's frame."""
    turns = [Rotation.from_rotvec(vector).as_matrix() for vector in (root, neck)]
    chain = _about(ROOT_M, turns[0]) @ _about(NECK_M, turns[1])
    return points @ chain[:3, :3].T + chain[:3, 3]


def write_vhap(folder: Path, wrong: Wrong = right) -> Foreign:
    """One camera 1 m in front, as VHAP places it for a single video."""
    expressions = person.values(8)
    jaw, eyes = 0.2 * person.values(3), 0.1 * person.values(6)
    camera = np.eye(4)
    camera[:3, 3] = [0.02, 0.01, 1.0]
    poses = [_flame_pose(k) for k in range(FRAMES)]
    cx, cy = 0.48 * WIDTH, 0.55 * HEIGHT

    def project(k: int, points: np.ndarray) -> person.Seen:
        world = _skull(*poses[k], points) + person.shifts()[k]
        x, y, z = (world - camera[:3, 3]).T  # OpenGL: y up, looking along -z
        return cx + FOCAL * x / -z - 0.5, cy - 1.02 * FOCAL * y / -z - 0.5, -z  # pixel centres at halves

    pictures, masks = _pictures("vhap", project, expressions)
    frames = []
    for k in range(FRAMES):
        name = f"{k:05d}_00.png"
        person.save(folder / "images" / name, np.where(masks[k][..., None], pictures[k], 255).astype(np.uint8))
        person.save(folder / "fg_masks" / name, np.where(masks[k], 255, 0).astype(np.uint8))
        numbers = wrong(
            {
                "rotation": poses[k][0][None],
                "neck_pose": poses[k][1][None],
                "jaw_pose": jaw[k][None],
                "eyes_pose": eyes[k][None],
                "translation": person.shifts()[k][None],
                "expr": expressions[k][None],
                "shape": np.zeros(300),
                "transform_matrix": camera.copy(),
                "fl_x": FOCAL,
                "fl_y": 1.02 * FOCAL,
            }
        )
        (folder / "flame_param").mkdir(exist_ok=True)
        stored = {key: value for key, value in numbers.items() if key not in ("transform_matrix", "fl_x", "fl_y")}
        np.savez(folder / "flame_param" / f"{k:05d}.npz", **stored)
        frames.append(
            {
                "timestep_index": k,
                "camera_index": 0,
                "cx": cx,
                "cy": cy,
                "fl_x": numbers["fl_x"],
                "fl_y": numbers["fl_y"],
                "w": WIDTH,
                "h": HEIGHT,
                "transform_matrix": np.asarray(numbers["transform_matrix"]).tolist(),
                "file_path": f"images/{name}",
                "fg_mask_path": f"fg_masks/{name}",
                "flame_param_path": f"flame_param/{k:05d}.npz",
            }
        )
    border = int(np.ceil(0.7 * FRAMES))
    for split, members in (("train", frames[:border]), ("val", []), ("test", frames[border:])):
        _json(folder / f"transforms_{split}.json", {"frames": members})
    return Foreign(folder, project, np.concatenate([expressions, jaw, eyes], axis=1), masks, person.plate())


def _opencv(k: int) -> tuple[np.ndarray, np.ndarray]:
    """World to camera of a head at rest: y down, looking along +z; 0.9 m away."""
    down = np.diag([1.0, -1.0, -1.0])
    return down @ person.turn(*person.angles()[k]), down @ (person.shifts()[k] - [0, 0, 0.9])


def _seen_by_opencv(k: int, points: np.ndarray) -> person.Seen:
    rotation, shift = _opencv(k)
    x, y, z = (points @ rotation.T + shift).T
    return 0.51 * WIDTH + FOCAL * x / z - 0.5, 0.47 * HEIGHT + FOCAL * y / z - 0.5, z  # from the picture's edge


def write_insta(folder: Path, wrong: Wrong = right, jaw: bool = False) -> Foreign:
    """Camera to world with OpenCV's axes; pictures with the matte in their alpha channel."""
    expressions = person.values(9)
    pictures, masks = _pictures("opencv", _seen_by_opencv, expressions)
    frames = []
    for k in range(FRAMES):
        alpha = np.where(masks[k], 255, 0).astype(np.uint8)
        person.save(folder / "images" / f"{k + 1:05d}.png", np.dstack([pictures[k] * masks[k][..., None], alpha]))
        world_to_camera = np.eye(4)
        world_to_camera[:3, :3], world_to_camera[:3, 3] = _opencv(k)
        numbers = wrong({"transform_matrix": np.linalg.inv(world_to_camera)})
        for part, row in (("exp", expressions[k]), ("jaw", 0.1 * expressions[k, :6])):
            if part == "exp" or jaw:
                (folder / "flame" / part).mkdir(parents=True, exist_ok=True)
                np.savetxt(folder / "flame" / part / f"{k + 1:05d}.txt", row, fmt="%.8f")
        frames.append(
            {
                "transform_matrix": numbers["transform_matrix"].tolist(),
                "file_path": f"images/{k + 1:05d}.png",
                "mesh_path": f"meshes/{k + 1:05d}.obj",
                "exp_path": f"flame/exp/{k + 1:05d}.txt",
                "seg_mask_path": f"seg_mask/{k + 1:05d}.png",
            }
        )
    shared = {
        "fl_x": FOCAL,
        "fl_y": FOCAL,
        "cx": 0.51 * WIDTH,
        "cy": 0.47 * HEIGHT,
        "w": 1.0 * WIDTH,
        "h": 1.0 * HEIGHT,
    }
    for split, members in (("train", frames[:-10]), ("test", frames[-10:]), ("val", frames[-4:])):
        _json(folder / f"transforms_{split}.json", {**shared, "frames": members})
    return Foreign(folder, _seen_by_opencv, expressions, masks, person.plate())


def write_metrical(folder: Path, wrong: Wrong = right) -> Foreign:
    """Checkpoints of NumPy arrays by torch.save, and the pictures."""
    expressions = person.values(9)
    pictures, masks = _pictures("opencv", _seen_by_opencv, expressions)
    (folder / "checkpoint").mkdir(parents=True)
    inner = np.array([[FOCAL, 0, 0.51 * WIDTH], [0, FOCAL, 0.47 * HEIGHT], [0, 0, 1]], dtype=np.float32)
    for k in range(FRAMES):
        rotation, shift = _opencv(k)
        jaw = Rotation.from_rotvec([0.01 * k, 0.02, 0]).as_matrix()
        rest = np.eye(3)[:2].reshape(1, 6)
        content = {
            "flame": {
                "exp": expressions[k][None].astype(np.float32),
                "jaw": jaw[:2].reshape(1, 6).astype(np.float32),
                "eyes": np.concatenate([rest, rest], axis=1).astype(np.float32),
                "eyelids": np.array([[0.1, 0.2]], dtype=np.float32),
            },
            "opencv": {"R": rotation[None].astype(np.float32), "t": shift[None].astype(np.float32), "K": inner[None]},
            "img_size": np.array([HEIGHT, WIDTH]),
            "frame_id": f"{k:05d}",
            "global_step": 7,
        }
        torch.save(wrong(content), folder / "checkpoint" / f"{k:05d}.frame")
        person.save(folder / "input" / f"{k:05d}.png", pictures[k])
    return Foreign(folder, _seen_by_opencv, expressions, masks, person.plate())


def write_imavatar(folder: Path, wrong: Wrong = right) -> Foreign:
    """DECA's head, four times its size, before a camera at (0, 0, -4): fx is negative and so is Z."""
    expressions = person.values(6)
    poses = [_flame_pose(k) for k in range(FRAMES)]
    rest = 0.1 * person.values(9)
    focal, centre = (-1.9, 1.9 * WIDTH / HEIGHT), (0.49, 0.53)
    moved = 4 * person.shifts() * [1, 1, 0] + [0, 0, -4.0]

    def project(k: int, points: np.ndarray) -> person.Seen:
        x, y, z = (4 * _skull(*poses[k], points) + moved[k]).T
        return WIDTH * (focal[0] * x / z + centre[0]), HEIGHT * (focal[1] * y / z + centre[1]), -z

    pictures, masks = _pictures("imavatar", project, expressions)
    seen = person.seen_landmarks(project)
    frames = []
    for k in reversed(range(FRAMES)):  # any order
        person.save(folder / "image" / f"{k + 1}.png", pictures[k])
        person.save(folder / "mask" / f"{k + 1}.png", np.where(masks[k], 255, 0).astype(np.uint8))
        numbers = wrong(
            {
                "world_mat": np.concatenate([np.eye(3), moved[k][:, None]], axis=1),
                "pose": np.concatenate([*poses[k], rest[k]]),
                "intrinsics": [*focal, *centre],
            }
        )
        keypoints = np.concatenate([seen[k] / SIZE * 2 - 1, np.zeros((2, 2))])
        frames.append(
            {
                "file_path": f"./image/{k + 1}",
                "world_mat": np.asarray(numbers["world_mat"]).tolist(),
                "expression": expressions[k].tolist(),
                "pose": np.asarray(numbers["pose"]).tolist(),
                "bbox": [*keypoints.min(axis=0), *keypoints.max(axis=0)],
                "flame_keypoints": keypoints.tolist(),
            }
        )
    _json(
        folder / "flame_params.json",
        {"frames": frames, "intrinsics": numbers["intrinsics"], "shape_params": np.zeros(100).tolist()},
    )
    return Foreign(folder, project, np.concatenate([expressions, rest], axis=1), masks, person.plate(), unit_m=0.25)


def write_adnerf(folder: Path, wrong: Wrong = right, units: bool = False, parameters: bool = True) -> Foreign:
    """u = cx - f X / Z, v = cy + f Y / Z with Z < 0; frames 3 and 4 of the video were lost."""
    expressions = person.values(5)
    numbers_of = [k if k < 3 else k + 2 for k in range(FRAMES)]

    def moved(k: int) -> tuple[np.ndarray, np.ndarray]:
        return person.turn(*person.angles()[k]), person.shifts()[k] - [0, 0, 0.7]

    def project(k: int, points: np.ndarray) -> person.Seen:
        rotation, shift = moved(k)
        x, y, z = (points @ rotation.T + shift).T
        return WIDTH / 2 - FOCAL * x / z, HEIGHT / 2 + FOCAL * y / z, -z

    pictures, masks = _pictures("adnerf", project, expressions)
    seen = person.seen_landmarks(project)
    frames = []
    for k, number in enumerate(numbers_of):
        rotation, shift = moved(k)
        inverse = np.eye(4)
        inverse[:3, :3], inverse[:3, 3] = rotation.T, -rotation.T @ shift
        stored = wrong({"transform_matrix": inverse, "lms": seen[k]})
        person.save(folder / "gt_imgs" / f"{number}.jpg", pictures[k])
        person.save(folder / "ori_imgs" / f"{number}.jpg", pictures[k])
        np.savetxt(folder / "ori_imgs" / f"{number}.lms", stored["lms"], "%f")
        labels = np.where(masks[k][..., None], [0, 0, 255], [255, 255, 255]).astype(np.uint8)
        person.save(folder / "parsing" / f"{number}.png", labels)
        frames.append({"img_id": number, "aud_id": number, "transform_matrix": stored["transform_matrix"].tolist()})
    person.save(folder / "bc.jpg", person.plate())
    shared = {"focal_len": FOCAL, "cx": WIDTH / 2, "cy": HEIGHT / 2}
    border = int(FRAMES * 10 / 11)
    for split, members in (("train", frames[:border]), ("val", frames[border:])):
        _json(folder / f"transforms_{split}.json", {**shared, "frames": members})
    if parameters:
        stored = {"exp": torch.from_numpy(expressions).float(), "focal": torch.tensor([FOCAL])}
        torch.save(stored, folder / "track_params.pt")
    if units:
        rows = np.zeros((FRAMES + 2, 3))
        rows[numbers_of, :2] = expressions[:, :2]
        lines = ["frame, timestamp, AU01_r, AU45_r, AU45_c"]
        lines += [f"{k + 1}, {k / 25:.3f}, {row[0]:.6f}, {row[1]:.6f}, 0.0" for k, row in enumerate(rows)]
        (folder / "au.csv").write_text("\n".join(lines) + "\n")
    return Foreign(folder, project, expressions, masks, person.plate())


def write_openface(folder: Path, wrong: Wrong = right) -> Foreign:
    """The face model has y down and the nose towards -z; R = Rx Ry Rz, written out; millimetres. Frame 5 was lost."""
    expressions = person.values(4)
    focal = (500 * WIDTH / 640 + 500 * HEIGHT / 480) / 2
    euler = person.angles()[:, [1, 0, 2]] * [-1, -1, 1]
    place = person.shifts() * [1800, -1800, 1000] + [5, -4, 400.0]

    def project(k: int, points: np.ndarray) -> person.Seen:
        (s1, s2, s3), (c1, c2, c3) = np.sin(euler[k]), np.cos(euler[k])
        rotation = np.array(
            [
                [c2 * c3, -c2 * s3, s2],
                [c1 * s3 + c3 * s1 * s2, c1 * c3 - s1 * s2 * s3, -c2 * s1],
                [s1 * s3 - c1 * c3 * s2, c3 * s1 + c1 * s2 * s3, c1 * c2],
            ]
        )
        model = 1000 * points * [1, -1, -1]
        x, y, z = (model @ rotation.T + place[k]).T
        return focal * x / z + WIDTH / 2, focal * y / z + HEIGHT / 2, z

    pictures, masks = _pictures("openface", project, expressions)
    seen = person.seen_landmarks(project)
    folder.mkdir(parents=True, exist_ok=True)
    with VideoWriter(folder / "clip.mp4", 25.0, WIDTH, HEIGHT, crf=4) as video:
        for picture in pictures:
            video.write(picture)
    names = ["frame", "face_id", "timestamp", "confidence", "success", "gaze_angle_x", "gaze_angle_y"]
    names += ["pose_Tx", "pose_Ty", "pose_Tz", "pose_Rx", "pose_Ry", "pose_Rz"]
    names += [f"{axis}_{j}" for axis in "xy" for j in range(68)] + ["AU01_r", "AU12_r", "AU01_c"]
    lines = [", ".join(names)]
    for k in range(FRAMES):
        numbers = wrong({"T": place[k], "R": euler[k], "landmarks": seen[k]})
        row = [k + 1, 0, k / 25, 0.98, int(k != 5), *expressions[k, 2:], *numbers["T"], *numbers["R"]]
        row += [*numbers["landmarks"][:, 0], *numbers["landmarks"][:, 1], *expressions[k, :2], 1]
        lines.append(", ".join(f"{value:.6f}" for value in row))
    (folder / "clip.csv").write_text("\n".join(lines) + "\n")
    return Foreign(folder, project, expressions[:, [0, 1, 2, 3]], masks, person.plate(), unit_m=0.001)


WRITERS: dict[str, Callable[[Path], Foreign]] = {
    "vhap": write_vhap,
    "insta": write_insta,
    "metrical-tracker": write_metrical,
    "imavatar": write_imavatar,
    "adnerf": write_adnerf,
    "openface": write_openface,
}
