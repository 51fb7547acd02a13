"""Another tracker's numbers in a wrong convention are told at once: by the import itself, or by `nerface check`."""

from __future__ import annotations

import json

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from nerface.checking.check import check_dataset
from nerface.checking.findings import ERROR, WARNING
from nerface.errors import UserError
from nerface.interop.formats import import_tracking
from nerface.interop.tracked_dataset import ImportOptions
from nerface.interop.tracked_doubts import landmark_fit
from nerface.sample.clip import _draw_frame, _set_stage, write_truth
from nerface.types import Intrinsics
from tests.interop import person
from tests.interop.broken import BROKEN
from tests.interop.foreign import WRITERS

GEOMETRY = ("axes", "scale", "origin", "signs", "motion", "boxes")
QUIET = ImportOptions(overlay=False)
UNDOUBTED = ImportOptions(overlay=False, doubts=False)
LENGTH, STEP = 120, 6  # frames of the drawn clip, and every how many-th is taken
OPENGL = np.diag([1.0, -1.0, -1.0, 1.0])


def told(foreign, output):
    """What import says, or else what check says of the geometry."""
    try:
        import_tracking(foreign.source, output, options=QUIET)
    except UserError as fault:
        return str(fault)
    findings = check_dataset(output).findings
    return "; ".join(one.line() for one in findings if one.level in (ERROR, WARNING) and one.check in GEOMETRY)


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_convention_is_told(name, tmp_path):
    foreign = BROKEN[name](tmp_path / "source")
    words = told(foreign, tmp_path / "person")
    assert words
    assert "\n" not in words


@pytest.mark.parametrize("name", WRITERS)
def test_what_is_right_is_not_doubted(name, tmp_path):
    assert told(WRITERS[name](tmp_path / "source"), tmp_path / "person") == ""


def test_doubts_name_the_cure_and_can_be_overruled(tmp_path):
    foreign = BROKEN["adnerf y flipped"](tmp_path / "source")
    with pytest.raises(UserError, match=r"as adnerf its poses .* y axis does not run from chin to brow .*--no-checks"):
        import_tracking(foreign.source, tmp_path / "person", options=QUIET)
    assert not (tmp_path / "person").exists()
    import_tracking(foreign.source, tmp_path / "person", options=UNDOUBTED)
    assert (tmp_path / "person" / "transforms_train.json").exists()
    far = BROKEN["openface times 1000"](tmp_path / "far")
    with pytest.raises(UserError, match=r"would stand 402 m from the head .*--unit"):
        import_tracking(far.source, tmp_path / "b", options=QUIET)


def test_the_fit_of_points_that_are_seen_exactly():
    """Points fixed to the head leave no residual with the true poses, and the right eye distance, whatever the unit."""
    rng = np.random.default_rng(3)
    inner, points, unit = Intrinsics(300.0, 310.0, 0.45, 0.55, 200, 160), person.landmarks_m(), 7.0
    poses, seen = [], []
    for _ in range(20):
        pose = np.eye(4)
        pose[:3, :3] = Rotation.from_rotvec(rng.uniform(-0.3, 0.3, 3)).as_matrix()
        pose[:3, 3] = pose[:3, :3] @ (rng.uniform(-0.05, 0.05, 3) + np.array([0, 0, 0.8]))
        x, y, z = ((points - pose[:3, 3]) @ pose[:3, :3]).T
        poses.append(pose)
        seen.append(np.stack([0.45 * 200 + 300 * x / -z, 0.55 * 160 - 310 * y / -z], axis=1))
    scaled = np.array(poses)
    scaled[:, :3, 3] *= unit
    fit = landmark_fit(np.array(seen), scaled, inner)
    assert fit.residual < 1e-9
    assert fit.behind == 0
    assert min(fit.across, fit.upright) > 0.9
    assert min(fit.follows) > 0.6
    width = np.linalg.norm(points[45] - points[36])
    assert fit.eyes / unit == pytest.approx(width, rel=0.15)  # seen from the side and nearer than the origin
    scaled[:, :3, :3] = scaled[:, :3, :3].transpose(0, 2, 1)
    assert landmark_fit(np.array(seen), scaled, inner).residual > 0.1


@pytest.fixture(scope="module")
def drawn_head(tmp_path_factory):
    """A drawn head that the landmark network knows for a face, in INSTA's form, which has no landmarks."""
    folder, stage = tmp_path_factory.mktemp("drawn"), _set_stage(LENGTH, 0)
    write_truth(folder / "truth.npz", stage.motion)
    stored = np.load(folder / "truth.npz")
    truth = {key: stored[key][::STEP] if len(stored[key].shape) > 1 else stored[key] for key in stored}
    for k in range(LENGTH // STEP):
        person.save(folder / "images" / f"{k:05d}.png", _draw_frame(stage, STEP * k))
        (folder / "flame" / "exp").mkdir(parents=True, exist_ok=True)
        np.savetxt(folder / "flame" / "exp" / f"{k:05d}.txt", truth["expressions"][k])
    return folder, truth


def _write(folder, truth, change):
    fx, fy, cx, cy = truth["intrinsics"]
    width, height = (int(length) for length in truth["size"])
    frames = []
    for k, pose in enumerate(truth["camera_to_head"]):
        pose = np.array(pose)
        pose[:3, 3] /= 100
        name = f"{k:05d}"
        frames.append(
            {
                "transform_matrix": change(pose @ OPENGL).tolist(),
                "file_path": f"images/{name}.png",
                "mesh_path": f"meshes/{name}.obj",
                "exp_path": f"flame/exp/{name}.txt",
            }
        )
    camera = {"fl_x": fx, "fl_y": fy, "cx": cx * width + 0.5, "cy": cy * height + 0.5, "w": width, "h": height}
    (folder / "transforms.json").write_text(json.dumps({**{k: float(v) for k, v in camera.items()}, "frames": frames}))


def _head_turned_back(camera_to_world):
    """The head's rotation transposed, its place kept."""
    seen = np.linalg.inv(camera_to_world)
    seen[:3, :3] = OPENGL[:3, :3] @ (OPENGL[:3, :3] @ seen[:3, :3]).T
    return np.linalg.inv(seen)


def _axes_swapped(camera_to_world):
    """Pitch and yaw exchanged."""
    seen = np.linalg.inv(camera_to_world)
    vector = Rotation.from_matrix(OPENGL[:3, :3] @ seen[:3, :3]).as_rotvec()[[1, 0, 2]]
    seen[:3, :3] = OPENGL[:3, :3] @ Rotation.from_rotvec(vector).as_matrix()
    return np.linalg.inv(seen)


def _far(camera_to_world):
    far = np.array(camera_to_world)
    far[:3, 3] *= 10
    return far


def test_faces_that_our_network_finds_tell_where_the_tracker_left_no_landmarks(drawn_head, weights, tmp_path):
    folder, truth = drawn_head
    options = ImportOptions(overlay=False, weights=weights.face_landmarker.parent)
    _write(folder, truth, lambda matrix: matrix)
    import_tracking(folder, tmp_path / "right", options=options)
    for change, words in (
        (lambda matrix: matrix @ np.diag([1, -1, 1, 1]), "y axis does not run from chin to brow"),
        (lambda matrix: matrix @ OPENGL, "the head is behind the camera"),
        (_head_turned_back, "the nose does not move sideways"),
        (_axes_swapped, "transposed, or their axes swapped|points of the skull are off"),
        (_far, "corners would be .* cm apart"),
    ):
        _write(folder, truth, change)
        with pytest.raises(UserError, match=words):
            import_tracking(folder, tmp_path / "wrong", options=options)
