"""The capture report's page."""

from __future__ import annotations

import base64
import hashlib
import json
import shutil
import subprocess
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from nerface.capture.page import REPORT_FILE, write_report
from nerface.capture.page_facts import facts, tiles
from nerface.capture.page_frames import choose_frames
from nerface.capture.page_maps import pose_map
from nerface.capture.page_markup import VOID, Markup, digits, element
from nerface.capture.page_pictures import hatched, over_checker, overlay_frames
from nerface.capture.page_reading import read_evidence
from nerface.capture.page_timeline import time_axis, timeline
from nerface.errors import UserError
from tests.capture.evidences import perfect, poses, with_figures, with_frames, with_measured, write_capture

FRAMES = 24
NASTY = "<script>alert(1)</script> <img src=x onerror=alert(2)> \"'&.mp4"


def figures(**more: Any) -> dict[str, Any]:
    """A capture.json with the keys that the page shows."""
    per_frame = {
        "source_frame": list(range(FRAMES)),
        "sharpness": [0.4] * FRAMES,
        "frame_rms_px": [1.0 + 0.01 * number for number in range(FRAMES)],
        "exposure": [[1.0, 1.0, 1.02]] * FRAMES,
        "segment": [0] * FRAMES,
    }
    return {
        "nerface_version": "9.8.7",
        "source": {"file": "somebody.mp4", "sha256": "ab" * 32, "width": 640, "height": 480},
        "frames": {"decoded": 31, "used": FRAMES, "dropped": {"no face": {"count": 7, "frames": list(range(24, 31))}}},
        "reprojection_error": {"rms_px": 1.5, "eye_distance_px": 120.0, "share_of_eye_distance": 0.0125},
        "camera": {"focal_px": 812.4, "focal_over_longer_side": 1.27, "focal_assumed": True},
        "plate": {"seen_share": 0.44},
        "seconds": {"landmarks": 12.3, "camera and pose": 4.5},
        "per_frame": per_frame,
        **more,
    }


class Reader(HTMLParser):
    """Elements with their attributes, texts, and whether every element is closed in order."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str]]] = []
        self.raw: dict[str, str] = {}
        self.text = ""
        self.open: list[str] = []
        self.feed(page)
        self.close()

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, {key: value or "" for key, value in attributes}))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] in ("script", "style"):
            self.raw[self.open[-1]] = data
        else:
            self.text += data

    def all(self, tag: str) -> list[dict[str, str]]:
        return [attributes for name, attributes in self.elements if name == tag]


def page_of(folder: Path, content: dict[str, Any], **choices: Any) -> Reader:
    path = write_report(write_capture(folder, content, frames=FRAMES, **choices))
    assert path == folder / REPORT_FILE
    assert not list(folder.glob(".partial*"))
    reader = Reader(path.read_text(encoding="utf-8"))
    assert reader.open == []
    return reader


def test_the_page_stands_alone(tmp_path: Path) -> None:
    page = page_of(tmp_path / "person", figures())
    raw = (tmp_path / "person" / REPORT_FILE).read_text(encoding="utf-8")
    assert "://" not in raw
    assert "@import" not in raw
    assert "url(" not in raw
    for _, attributes in page.elements:
        for key in ("src", "href", "srcset", "action", "data", "poster"):
            assert attributes.get(key, "#").startswith(("#", "data:image/webp;base64,"))
        assert not any(key.startswith("on") or key == "style" for key in attributes)
    ids = {attributes["id"] for _, attributes in page.elements if "id" in attributes}
    assert {link["href"][1:] for link in page.all("a")} <= ids


def test_the_policy_allows_its_own_script_and_style_alone(tmp_path: Path) -> None:
    page = page_of(tmp_path / "person", figures())
    policy = next(meta["content"] for meta in page.all("meta") if meta.get("http-equiv") == "Content-Security-Policy")
    rules = dict(rule.strip().split(" ", 1) for rule in policy.split(";"))
    assert rules["default-src"] == "'none'"
    assert rules["img-src"] == "data:"
    for rule, tag in (("style-src", "style"), ("script-src", "script")):
        digest = base64.b64encode(hashlib.sha256(page.raw[tag].encode()).digest()).decode()
        assert rules[rule] == f"'sha256-{digest}'"


def test_nothing_from_the_files_becomes_markup(tmp_path: Path) -> None:
    content = figures(
        source={"file": NASTY, "notes": [NASTY + "1"]},
        nerface_version=NASTY,
        seconds={NASTY: 1.0},
        backdrop={"findings": [{"level": "yellow", "what": NASTY, "advice": NASTY}]},
    )
    content["frames"]["dropped"] = {NASTY: {"count": 7, "frames": list(range(24, 31))}}
    folder = write_capture(tmp_path / "person", content, frames=FRAMES)
    for file in folder.glob("transforms_*.json"):
        table = json.loads(file.read_text(encoding="utf-8"))
        table["expression_names"] = ["jawOpen", NASTY, *table["expression_names"][2:]]
        file.write_text(json.dumps(table), encoding="utf-8")
    page = Reader(write_report(folder).read_text(encoding="utf-8"))
    assert page.open == []
    assert len(page.all("script")) == 1
    assert all(image["src"].startswith("data:image/webp") for image in page.all("img"))
    assert page.text.count(NASTY) >= 7


def test_the_figures_are_on_the_page(tmp_path: Path) -> None:
    page = page_of(tmp_path / "person", figures())
    for shown in ("somebody.mp4", "24 of 31", "1.2 %", "812 px (assumed)", "9.8.7", "640 × 480 px", "44 %", "12 s"):
        assert shown in page.text, shown
    for title in ("Frames and head poses", "Expressions", "Over time", "Backdrop and mask", "Facts"):
        assert title in page.text
    for row in ("No face", "Sharpness", "Exposure", "Error", "Head", "Jaw, lids"):
        assert row in page.text
    light = next(svg for svg in page.all("svg") if svg.get("class") == "light")
    assert light["aria-label"] == "Traffic light: red"  # one second of video
    assert all(image.get("alt") for image in page.all("img"))
    assert all(svg.get("aria-label") or svg.get("aria-hidden") or "role" not in svg for svg in page.all("svg"))


def test_a_capture_that_tells_nothing_still_gives_a_page(tmp_path: Path) -> None:
    folder = write_capture(tmp_path / "person", {}, frames=FRAMES, overlay=False)
    shutil.rmtree(folder / "bg")
    shutil.rmtree(folder / "masks")
    page = Reader(write_report(folder).read_text(encoding="utf-8"))
    for absent in ("Backdrop and mask", "Sharpness", "Exposure", "Error", "landmarks as measured", "not used", "None"):
        assert absent not in page.text, absent
    assert page.text.count("Capture of person") == 2
    assert len(page.all("img")) == FRAMES + 1


def test_a_page_is_made_again_and_a_folder_without_capture_is_refused(tmp_path: Path) -> None:
    folder = write_capture(tmp_path / "person", figures(), frames=FRAMES)
    write_report(folder)
    (folder / "capture.json").write_text(json.dumps(figures(nerface_version="10.0")), encoding="utf-8")
    assert "10.0" in write_report(folder).read_text(encoding="utf-8")
    (folder / "capture.json").write_text("[]", encoding="utf-8")
    with pytest.raises(UserError, match=r"capture\.json holds no JSON object"):
        write_report(folder)
    (folder / "capture.json").unlink()
    with pytest.raises(UserError, match=r"capture\.json is missing"):
        write_report(folder)


def test_measurements_are_matched_by_the_number_of_the_frame(tmp_path: Path) -> None:
    content = figures()
    order = np.random.default_rng(0).permutation(FRAMES)[:-1]  # one frame is missing from the lists
    missing = set(range(FRAMES)) - set(order.tolist())
    content["per_frame"] = {
        "source_frame": order.tolist(),
        "sharpness": (0.1 * order).tolist(),
        "frame_rms_px": [None] * len(order),
    }
    measured = read_evidence(write_capture(tmp_path / "person", content, frames=FRAMES)).measured
    wanted = 0.1 * np.arange(FRAMES)
    wanted[list(missing)] = np.nan
    assert np.allclose(measured.sharpness, wanted, equal_nan=True)
    assert measured.error_px is None
    assert measured.exposure is None


def test_the_shown_frames_are_those_of_the_overlay(tmp_path: Path) -> None:
    evidence = read_evidence(write_capture(tmp_path / "person", {}, frames=FRAMES))
    pictures, drawn_on = overlay_frames(evidence, [2, 11, 23])
    assert drawn_on
    assert np.allclose([picture.mean() for picture in pictures], [16, 88, 184], atol=4)
    (tmp_path / "person" / "overlay.mp4").write_bytes(b"not a video")
    pictures, drawn_on = overlay_frames(evidence, [2, 11])
    assert not drawn_on
    assert [picture.shape for picture in pictures] == [(48, 64, 3)] * 2


def test_extremes_are_shown() -> None:
    evidence = perfect()
    error, sharpness = np.ones(len(evidence.frames)), np.full(len(evidence.frames), 0.4)
    error[123], sharpness[321] = 5.0, 0.1
    shown = {
        frame.row: frame.why for frame in choose_frames(with_measured(evidence, error_px=error, sharpness=sharpness))
    }
    assert len(shown) == 36
    assert list(shown) == sorted(shown)
    assert "largest reprojection error" in shown[123]
    assert "least sharp" in shown[321]
    left = next(row for row, why in shown.items() if "furthest to their left" in why)
    assert evidence.frames.turns[left, 0] == evidence.frames.turns[:, 0].max()
    jaw = evidence.frames.channel("jawOpen")
    assert jaw[next(row for row, why in shown.items() if "widest mouth" in why)] == jaw.max()
    assert max(np.diff(list(shown))) < len(evidence.frames) / 8  # no stretch of the clip is left out


def test_equal_frames_are_not_shown_twice() -> None:
    evidence = perfect(seconds=1.0)
    still = with_frames(
        evidence,
        camera_to_head=evidence.frames.camera_to_head[:1].repeat(25, axis=0),
        expressions=np.zeros_like(evidence.frames.expressions),
    )
    assert [frame.row for frame in choose_frames(still)] == list(range(25))


def test_the_pose_map_is_drawn_as_one_sees_the_picture() -> None:
    """Nose to the right of the picture: right of the centre; nose lowered: below it."""
    evidence = perfect()
    turns = np.zeros((len(evidence.frames), 3))
    turns[0, 0], turns[1, 1] = 20.0, 15.0
    places = pose_map(with_frames(evidence, camera_to_head=poses(*turns.T))).places
    centre = places[2]
    assert places[0][0] > centre[0] + 50
    assert places[0][1] == pytest.approx(centre[1], abs=1)
    assert places[1][1] > centre[1] + 50
    assert (places[0][0] - centre[0]) / 20 == pytest.approx((places[1][1] - centre[1]) / 15, rel=1e-3)


def test_hatching_and_checkerboard() -> None:
    grey = np.full((60, 60, 3), 100, np.uint8)
    area = np.zeros((60, 60), bool)
    area[20:40, 20:40] = True
    striped = hatched(grey, area)
    assert (striped[~area] == 100).all()
    assert 0.3 < (striped[area] != 100).any(axis=-1).mean() < 0.9
    alpha = np.zeros((60, 60))
    alpha[:, 30:] = 1.0
    cut = over_checker(grey, alpha)
    assert (cut[:, 30:] == 100).all()
    assert len(np.unique(cut[:, :30])) == 2


def test_text_becomes_markup_only_through_element() -> None:
    made = element(
        "p", "a < b", element("br"), Markup("<i>x</i>"), None, class_="k", data_note='"<', hidden=True, id=None
    )
    assert made == '<p class="k" data-note="&quot;&lt;" hidden>a &lt; b<br><i>x</i></p>'
    assert [digits(value) for value in (1.0, -0.001, 0.125, 1e6, -2.5)] == ["1", "0", "0.12", "1000000", "-2.5"]


def test_scales_are_written_inside_their_rows() -> None:
    """A row cuts what hangs out of it: the top value stands a little lower, the bottom value a little higher."""
    evidence = perfect()
    page = Reader(str(timeline(evidence, time_axis(evidence))))
    scales = [text for text in page.all("text") if text.get("class") == "scale" and "dy" in text]
    assert {(text["y"], float(text["dy"]) > 0) for text in scales} == {("0", True), ("100%", False)}


def test_a_long_clip_makes_no_long_page() -> None:
    """Four minutes at 60 Hz: curves are thinned to their outlines."""
    evidence = perfect(seconds=576.0)
    drawn = timeline(evidence, time_axis(evidence))
    assert len(drawn) < 300_000


@pytest.mark.slow
def test_a_browser_runs_the_page(tmp_path: Path) -> None:
    """The script has marked the frame that is shown, moved the cursors, and was not stopped by the policy."""
    browser = next((found for name in ("chromium", "google-chrome") if (found := shutil.which(name))), None)
    if browser is None:
        pytest.skip("needs chromium")
    path = write_report(write_capture(tmp_path / "person", figures(), frames=FRAMES))
    command = [
        browser,
        "--headless",
        "--no-sandbox",
        f"--user-data-dir={tmp_path / 'profile'}",
        "--dump-dom",
        str(path),
    ]
    shown = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True).stdout
    page = Reader(shown)
    assert sum(button.get("aria-current") == "true" for button in page.all("button")) == 1
    assert all(line["x1"].endswith("%") for line in page.all("line") if line.get("class") == "cursor")
    slider = page.all("input")[0]
    assert slider["aria-valuetext"].startswith("The rest pose")


def test_each_figure_has_a_name_of_its_own() -> None:
    error = {"rms_px": 1.8, "eye_distance_px": 100.0, "share_of_eye_distance": 0.018, "held_out_rms_px": 2.0}
    rates = {"frames": {"decoded": 1000, "frame_rate": 22.1}, "source": {"frame_rate": 25.0}}
    evidence = with_figures(perfect(), reprojection_error=error, **rates)
    page = str(tiles(evidence)) + str(facts(evidence))
    for name, value in (
        ("reprojection error, of the eye distance", "1.8 %"),
        ("the same on frames left out of the solve", "2.0 %"),
        ("Frame rate of the file", "25 Hz"),
        ("Frame rate of the used frames", "22.1 Hz"),
    ):
        assert f"<dt>{name}</dt><dd>{value}</dd>" in page
