"""Every importer puts points of the head where the format itself sees them, and keeps what else the source tells."""

from __future__ import annotations

import shutil

import numpy as np
import pytest
import torch

from nerface.cameras import project
from nerface.checking.check import check_dataset
from nerface.data import load_dataset
from nerface.errors import UserError
from nerface.interop.formats import FORMATS, NAMES, find_format, import_tracking
from nerface.interop.tracked_dataset import ImportOptions
from nerface.types import Camera
from tests.interop import person
from tests.interop.foreign import WRITERS, write_adnerf, write_insta
from tests.interop.tracker import write_tracker_folder

QUIET = ImportOptions(overlay=False)
CLOSE_PX = 0.01
GEOMETRY = ("axes", "scale", "origin", "signs", "camera")  # checks that tell of a wrong convention


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    """Every format's folder, written once."""
    folder = tmp_path_factory.mktemp("written")
    return {name: write(folder / name) for name, write in WRITERS.items()}


@pytest.fixture(scope="module", params=WRITERS)
def imported(request, written, tmp_path_factory):
    """Each format, found by itself and imported."""
    foreign, folder = written[request.param], tmp_path_factory.mktemp("imported")
    report = import_tracking(foreign.source, folder / "person", options=QUIET)
    assert report.form == request.param
    return foreign, report, load_dataset(folder / "person")


def first_number(foreign, dataset):
    """Formats count frames from 0, 1 or as the video does: the row that a frame number belongs to."""
    numbers = sorted(int(n) for split in dataset.splits.values() for n in split.source_frames)
    lost = [5] if foreign.source.joinpath("clip.csv").exists() else []
    rows = [k for k in range(person.FRAMES) if k not in lost]
    assert len(numbers) == len(rows)
    return dict(zip(numbers, rows))


def test_points_of_the_head_are_seen_where_the_format_sees_them(imported):
    foreign, report, dataset = imported
    row_of = first_number(foreign, dataset)
    rng = np.random.default_rng(1)
    points = np.concatenate([person.landmarks_m(), rng.uniform(-1, 1, (40, 3)) * person.RADII_M])
    seen_frames = 0
    for name, split in dataset.splits.items():
        for row, frame in enumerate(split):
            camera = Camera(dataset.intrinsics, dataset.camera(name, row).camera_to_head.double())
            u, v, depth = foreign.project(row_of[frame.source_frame], points)
            found = project(camera, torch.from_numpy(points / foreign.unit_m * report.scale)).numpy()
            np.testing.assert_allclose(found[:, :2], np.stack([u, v], axis=1), atol=CLOSE_PX)
            np.testing.assert_allclose(found[:, 2] / report.scale, depth, rtol=1e-5)
            seen_frames += 1
    assert seen_frames >= person.FRAMES - 1


def test_the_camera_stands_half_a_unit_away_and_centimetres_are_known(imported):
    foreign, report, dataset = imported
    poses = np.concatenate([split.camera_to_head for split in dataset.splits.values()])
    assert np.linalg.norm(poses[:, :3, 3], axis=1).mean() == pytest.approx(0.5, rel=1e-5)
    assert dataset.head_units_per_cm == pytest.approx(report.scale / foreign.unit_m / 100)
    assert dataset.poses_estimated


def test_expressions_pictures_and_masks_belong_to_their_frames(imported):
    foreign, _, dataset = imported
    row_of = first_number(foreign, dataset)
    assert len(set(dataset.expression_names)) == len(dataset.expression_names)
    for split in dataset.splits.values():
        for frame in split:
            k = row_of[frame.source_frame]
            count = min(foreign.expressions.shape[1], len(frame.expression))
            np.testing.assert_allclose(frame.expression[:count], foreign.expressions[k, :count], atol=1e-5)
            if frame.mask is not None:
                assert ((frame.mask > 127) == foreign.masks[k]).mean() > 0.999
            inner = foreign.masks[k]
            picture, _ = person.draw(foreign.project, k, float(foreign.expressions[k, 0]))
            assert np.abs(frame.image.astype(int) - picture)[inner].mean() < 12  # JPEG and video lose a little


def test_check_finds_nothing_wrong(imported):
    _, _, dataset = imported
    report = check_dataset(dataset.root)
    told = "\n".join(finding.line() for finding in report.findings)
    assert report.errors == 0, told
    assert not [one for one in report.findings if one.level == "warning" and one.check in GEOMETRY], told


def test_splits_of_the_source_are_kept(written, tmp_path):
    def counts(name, options=QUIET):
        return tuple(
            import_tracking(
                written[name].source, tmp_path / f"{name}{options.resplit}", options=options
            ).counts.values()
        )

    assert counts("vhap") == (23, 5, 12)  # 28 train, of which 5 become validation frames
    assert counts("insta") == (25, 5, 10)  # its val is part of its test
    assert counts("adnerf") == (31, 5, 4)  # its val is our test
    assert counts("vhap", ImportOptions(overlay=False, resplit=True)) == (29, 5, 6)


def test_the_plate_of_the_source_or_one_made_from_the_masks(written, tmp_path):
    import_tracking(written["adnerf"].source, tmp_path / "a", options=QUIET)
    given = load_dataset(tmp_path / "a")
    assert np.abs(given.background.astype(int) - person.plate()).mean() < 3
    assert not given.background_unseen.any()
    import_tracking(written["imavatar"].source, tmp_path / "b", options=QUIET)
    made = load_dataset(tmp_path / "b")
    seen = ~made.background_unseen
    assert 0.5 < seen.mean() < 1
    assert np.abs(made.background.astype(int) - person.plate())[seen].max() <= 2


def test_action_units_and_the_jaw_where_the_source_has_them(tmp_path):
    units = write_adnerf(tmp_path / "d", units=True, parameters=False)
    report = import_tracking(units.source, tmp_path / "a", options=QUIET)
    assert any("action units" in note for note in report.notes)
    dataset = load_dataset(tmp_path / "a")
    assert dataset.expression_names == ("AU01_r", "AU45_r")
    for frame in dataset.train:
        row = frame.source_frame if frame.source_frame < 3 else frame.source_frame - 2
        np.testing.assert_allclose(frame.expression, units.expressions[row, :2], atol=1e-5)
    silent = write_adnerf(tmp_path / "e", parameters=False)
    with pytest.raises(UserError, match=r"tells nothing of expressions: track_params.pt .* or au.csv"):
        import_tracking(silent.source, tmp_path / "b", options=QUIET)
    write_insta(tmp_path / "i", jaw=True)
    assert not import_tracking(tmp_path / "i", tmp_path / "c", options=QUIET).notes[0].startswith("INSTA's")
    assert "flame_jaw_5" in load_dataset(tmp_path / "c").expression_names


def test_a_lost_frame_of_a_table_is_left_out_and_times_are_kept(written, tmp_path):
    report = import_tracking(written["openface"].source / "clip.csv", tmp_path / "a", options=QUIET)
    assert any("1 of 40 rows are left out" in note for note in report.notes)
    dataset = load_dataset(tmp_path / "a")
    assert 5 not in np.concatenate([split.source_frames for split in dataset.splits.values()])
    assert dataset.frame_rate == pytest.approx(25.0)
    assert dataset.train[3].timestamp == pytest.approx(dataset.train[3].source_frame / 25)


def test_formats_are_told_apart(written, tmp_path):
    for name, foreign in written.items():
        assert find_format(foreign.source).name == name
    assert find_format(write_tracker_folder(tmp_path / "t", frames=4).folder).name == "tracker"
    assert len(set(NAMES)) == len(FORMATS)


def test_folders_of_no_format_of_two_and_of_our_own(written, tmp_path):
    (tmp_path / "empty").mkdir()
    looked = r"is in no format that is known \(looked for tracker: images/.*arkit: a table"
    with pytest.raises(UserError, match=looked) as told:
        import_tracking(tmp_path / "empty", tmp_path / "a")
    assert "\n" not in str(told.value)
    two = shutil.copytree(written["openface"].source, tmp_path / "two")
    shutil.copytree(written["imavatar"].source, two, dirs_exist_ok=True)
    with pytest.raises(UserError, match="could be imavatar or openface: say which with --format"):
        import_tracking(two, tmp_path / "a")
    assert import_tracking(two, tmp_path / "a", form="openface", options=QUIET).form == "openface"
    with pytest.raises(UserError, match="is a dataset already: nerface check"):
        import_tracking(tmp_path / "a", tmp_path / "b")
    shutil.copytree(written["imavatar"].source, tmp_path / "subject" / "MVI_1810")
    with pytest.raises(UserError, match=r"its folders do \(MVI_1810\)"):
        import_tracking(tmp_path / "subject", tmp_path / "b")
    with pytest.raises(UserError, match="no such file or folder"):
        import_tracking(tmp_path / "nowhere", tmp_path / "b")
