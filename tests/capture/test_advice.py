"""What the figures of a capture are said to mean."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from nerface.capture.advice import (
    BLUR_SHARE,
    ERROR_SHARE,
    EYE_PX,
    GREEN,
    PLATE_SEEN,
    RED,
    REMEDIES,
    SECONDS,
    UNUSED_SHARE,
    YELLOW,
    Finding,
    judge,
    report_lines,
    verdict,
)
from nerface.capture.advice_wants import DEAD_CHANNELS, GAZE_CHANNELS, WANTS, extremes, reaches
from nerface.capture.page_evidence import Evidence, Measured
from tests.capture.evidences import (
    RATE_HZ,
    SCORES,
    perfect,
    poses,
    with_channel,
    with_figures,
    with_frames,
    with_measured,
    with_unused,
)


def loud(evidence: Evidence) -> list[Finding]:
    return [finding for finding in judge(evidence) if finding.level != GREEN]


def only(evidence: Evidence) -> Finding:
    """The one finding that is not green."""
    (finding,) = loud(evidence)
    assert finding.advice
    return finding


def test_a_perfect_take_is_green() -> None:
    findings = judge(perfect())
    assert [finding.line() for finding in findings if finding.level != GREEN] == []
    assert verdict(findings).level == GREEN
    assert len(report_lines(findings)) == 1


def _error(share: float) -> Evidence:
    figures = {"rms_px": 100 * share, "eye_distance_px": 100.0, "share_of_eye_distance": share}
    return with_figures(perfect(), reprojection_error=figures)


def _eyes(pixels: float) -> Evidence:
    return with_figures(perfect(), reprojection_error={"eye_distance_px": pixels, "share_of_eye_distance": 0.005})


def _plate(share: float) -> Evidence:
    return with_figures(perfect(), plate={"seen_share": share})


def _unused(share: float) -> Evidence:
    evidence = perfect()
    return with_unused(evidence, "no face", round(share * len(evidence.frames) / (1 - share)))


def _blurred(share: float) -> Evidence:
    evidence = perfect()
    values = np.full(len(evidence.frames), 0.4)
    values[: round(share * len(values))] = 0.1
    return with_measured(evidence, sharpness=values)


@pytest.mark.parametrize(
    ("make", "limits", "topic"),
    [
        (_error, ERROR_SHARE, "fitting"),
        (_unused, UNUSED_SHARE, "lost"),
        (_blurred, BLUR_SHARE, "blurred"),
        (perfect, SECONDS, "short"),
        (_eyes, EYE_PX, "small face"),
    ],
)
def test_each_figure_has_two_limits(make: Callable[[float], Evidence], limits: tuple[float, float], topic: str) -> None:
    worse = 1.05 if limits[1] > limits[0] else 1 / 1.05
    assert loud(make(limits[0] / worse)) == []
    for value, level in ((limits[0] * worse, YELLOW), (limits[1] / worse, YELLOW), (limits[1] * worse, RED)):
        found = [finding for finding in loud(make(value)) if topic in finding.topic]
        assert [finding.level for finding in found] == [level]
        assert found[0].advice


def test_an_error_on_frames_left_out_counts_before_that_of_all() -> None:
    figures = {"eye_distance_px": 100.0, "share_of_eye_distance": 0.005, "held_out_rms_px": 2.0}
    finding = only(with_figures(perfect(), reprojection_error=figures))
    assert "2.0 %" in finding.what
    assert "0.5 %" in finding.what
    assert "left out" in finding.what


def test_a_stated_focal_length_at_which_nothing_fits_is_the_first_advice() -> None:
    figures = {"eye_distance_px": 100.0, "share_of_eye_distance": 0.3, "held_out_rms_px": 31.0}
    short = with_figures(perfect(2.0), reprojection_error=figures, camera={"focal_assumed": False, "focal_px": 26.0})
    first = judge(short)[0]
    assert (first.level, "not millimetres" in first.advice) == (RED, True)
    assumed = with_figures(short, camera={"focal_assumed": True})
    assert not any("millimetres" in finding.advice for finding in judge(assumed))


@pytest.mark.parametrize(("roll", "words"), [(-89.0, "on its side"), (60.0, "on its side"), (178.0, "upside down")])
def test_a_head_that_is_not_upright_is_red(roll: float, words: str) -> None:
    evidence = perfect()
    count = len(evidence.frames)
    angles = np.random.default_rng(0).uniform(-10, 10, (3, count))
    lying = judge(with_frames(evidence, camera_to_head=poses(angles[0], angles[1], angles[2] + roll)))
    told = [finding for finding in lying if "upright" in finding.advice]
    assert [finding.level for finding in told] == [RED]
    assert words in told[0].what
    assert not any("upright" in finding.advice for finding in judge(perfect()))


def _masked(folder: Path, covered: bool) -> Evidence:
    """A perfect take of a head box at rows 10-80 %, columns 20-80 %, whose masks cover it or all but it."""
    mask = np.zeros((50, 50), np.uint8)
    mask[5:40, 10:40] = 255
    path = folder / "mask.png"
    cv2.imwrite(str(path), mask if covered else 255 - mask)
    return with_frames(perfect(), masks=(path,) * len(perfect().frames))


def test_a_face_that_the_person_mask_does_not_cover_is_red(tmp_path: Path) -> None:
    assert loud(_masked(tmp_path, covered=True)) == []
    assert "drawing" in (found := only(_masked(tmp_path, covered=False))).advice
    assert found.level == RED
    (tmp_path / "mask.png").write_bytes(b"broken")  # nothing to judge by, and no reason to stop
    assert loud(with_frames(perfect(), masks=(tmp_path / "mask.png",) * len(perfect().frames))) == []


def test_little_backdrop_is_told() -> None:
    assert loud(_plate(PLATE_SEEN + 0.01)) == []
    assert "room" in only(_plate(PLATE_SEEN - 0.01)).advice


@pytest.mark.parametrize("word", REMEDIES)
def test_every_reason_for_lost_frames_has_its_remedy(word: str) -> None:
    finding = only(with_unused(perfect(), f"{word}red" if word == "blur" else word, 100))
    assert finding.advice == REMEDIES[word]
    assert "100" in finding.what


def test_repeated_frames_are_no_loss() -> None:
    assert loud(with_unused(perfect(), "repeated", 900)) == []


def test_slipped_tracking_is_told_with_its_time() -> None:
    evidence = perfect()
    errors = np.ones(len(evidence.frames))
    errors[100:150] = 4.0  # seconds 4 to 6
    assert "4.0-6.0 s" in only(with_measured(evidence, error_px=errors)).what


def test_a_cut_and_a_cut_head_are_told() -> None:
    evidence = perfect()
    assert "2 parts" in only(with_measured(evidence, segment=np.arange(len(evidence.frames)) // 600)).what
    boxes = evidence.frames.head_boxes.copy()
    boxes[::4, 0] = 0.0
    assert "above your hair" in only(with_frames(evidence, head_boxes=boxes)).advice


def test_changing_exposure_is_told_once() -> None:
    evidence = perfect()
    drift = np.linspace(1.0, 1.4, len(evidence.frames))[:, None] * np.ones(3)
    drifting = with_measured(evidence, exposure=drift)
    assert "lock exposure" in only(drifting).advice
    tint = np.array([1.1, 1.0, 1.0])
    assert loud(with_measured(evidence, exposure=np.ones_like(drift) * tint)) == []  # what stays is no change
    changing = np.where(np.arange(len(drift))[:, None] % 500 < 250, tint, 1.0)
    assert "white balance" in only(with_measured(evidence, exposure=changing)).advice
    stated = [{"level": "yellow", "what": "the light drifts by 30 %", "advice": "close the curtains"}]
    assert only(with_figures(drifting, backdrop={"findings": stated})).what == "the light drifts by 30 %"


def test_what_capture_wrote_of_the_backdrop_is_passed_on() -> None:
    stated = [
        {"level": "red", "what": "the camera drifts by 9 px", "advice": "put the phone on a stand"},
        {"level": "purple", "what": "no such level", "advice": ""},
        {"level": "yellow"},
        "not a finding",
    ]
    findings = judge(with_figures(perfect(), backdrop={"findings": stated}))
    assert findings[0].line() == "red    The camera drifts by 9 px -> put the phone on a stand"
    assert sum(finding.level != GREEN for finding in findings) == 1
    assert verdict(findings).level == RED
    assert "backdrop" in verdict(findings).sentence


# A nose at (0, 0, 1) of the head; in camera coordinates x is the right of the picture and y is up.
@pytest.mark.parametrize(
    ("axis", "sign", "nose", "advice"),
    [
        (0, +1, (0, +1), "to your right (the left of the picture)"),
        (0, -1, (0, -1), "to your left (the right of the picture)"),
        (1, +1, (1, -1), "further up"),
        (1, -1, (1, +1), "further down"),
    ],
)
def test_the_missing_side_is_named(axis: int, sign: int, nose: tuple[int, int], advice: str) -> None:
    evidence = perfect()
    turns = evidence.frames.turns.copy()
    turns[:, axis] = sign * np.maximum(sign * turns[:, axis], -2.0)
    turned = poses(*turns.T)
    furthest = turned[np.argmax(sign * turns[:, axis])]
    assert nose[1] * (furthest[:3, :3].T @ [0.0, 0.0, 1.0])[nose[0]] > 0.2
    assert advice in only(with_frames(evidence, camera_to_head=turned)).advice


def test_poses_are_counted_from_rest() -> None:
    """A phone held low sees every face from below: that is no missing turn."""
    evidence = perfect()
    turns = evidence.frames.turns + np.array([0.0, -12.0, 0.0])
    assert loud(with_frames(evidence, camera_to_head=poses(*turns.T))) == []


@pytest.mark.parametrize("want", [want for want in WANTS if want.needed], ids=lambda want: want.what)
def test_a_missing_expression_is_asked_for(want: object) -> None:
    finding = only(with_channel(perfect(), tuple(want.shares), 0.05))
    assert finding.level == YELLOW
    assert finding.advice == want.film


def test_missing_wishes_share_one_finding() -> None:
    wishes = [want for want in WANTS if not want.needed][:2]
    finding = only(with_channel(perfect(), tuple(name for want in wishes for name in want.shares), 0.05))
    assert all(want.film in finding.advice for want in wishes)


def test_one_of_several_lip_shapes_will_do() -> None:
    assert loud(with_channel(perfect(), ("mouthPressLeft", "mouthPressRight", "mouthRollLower"), 0.0)) == []


def test_a_mouth_that_never_closes_is_told() -> None:
    evidence = perfect()
    jaw = evidence.frames.channel("jawOpen")
    assert "closed" in only(with_channel(evidence, ("jawOpen",), 0.3 + 0.7 * jaw)).advice


def test_a_score_counts_from_its_rest() -> None:
    """Some faces read 0.79 at rest; brows that go from there to 0.95 were raised, brows that stay there were not."""
    evidence = perfect()
    names = ("browInnerUp", "browOuterUpLeft", "browOuterUpRight")
    swing = evidence.frames.channel("jawOpen")
    assert loud(with_channel(evidence, names, 0.79 + 0.16 * swing)) == []
    assert "eyebrows" in only(with_channel(evidence, names, 0.79)).advice


def test_a_single_frame_is_no_evidence() -> None:
    evidence = perfect()
    glitch = np.zeros(len(evidence.frames))
    glitch[5] = 1.0
    assert "blink" in only(with_channel(evidence, ("eyeBlinkLeft", "eyeBlinkRight"), glitch)).advice
    assert extremes(np.array([5.0, 1.0, 2.0, 3.0, 4.0])) == (3.0, 3.0)


def test_gaze_channels_are_judged_in_place_of_the_scores() -> None:
    evidence = perfect()
    still = with_channel(evidence, GAZE_CHANNELS, 0.02)
    assert "eyes only" in only(still).advice
    scores = tuple(f"eyeLook{way}{side}" for way in ("In", "Out", "Up") for side in ("Left", "Right"))
    both = perfect(channels=(*SCORES, *GAZE_CHANNELS, *scores))
    assert loud(with_channel(both, scores, 0.0)) == []
    assert "eyes only" in only(with_channel(perfect(channels=(*SCORES, *scores)), scores, 0.0)).advice


def test_channels_that_never_move_are_not_asked_for() -> None:
    dead = tuple(sorted(DEAD_CHANNELS))
    evidence = with_channel(perfect(channels=(*SCORES, *GAZE_CHANNELS, *dead)), dead, 0.0)
    assert loud(evidence) == []
    found = reaches(evidence.frames.expressions, evidence.frames.channels)
    assert {found[name].status for name in dead} == {"dead"}


def test_held_out_poses_that_were_never_trained_are_told() -> None:
    evidence = perfect()
    turns = evidence.frames.turns.copy()
    turns[evidence.frames.rows_of("test"), 0] += 45.0
    assert "held out" in only(with_frames(evidence, camera_to_head=poses(*turns.T))).advice


def test_a_photo_is_red() -> None:
    evidence = perfect()
    still = with_frames(
        evidence,
        camera_to_head=evidence.frames.camera_to_head[:1].repeat(len(evidence.frames), axis=0),
        expressions=evidence.frames.expressions[:1].repeat(len(evidence.frames), axis=0),
    )
    assert judge(still)[0].level == RED
    assert "photo" in judge(still)[0].advice


def test_an_older_capture_is_judged_by_what_it_tells() -> None:
    evidence = perfect()
    bare = replace(evidence, figures={}, measured=Measured(None, None, None, np.zeros(len(evidence.frames), np.int64)))
    assert loud(bare) == []
    assert {finding.topic for finding in judge(evidence)} > {finding.topic for finding in judge(bare)}


def test_remarks_are_green() -> None:
    noted = with_figures(perfect(), camera={"focal_assumed": True}, video={"notes": ["the clip is HDR"]})
    lines = [finding.line() for finding in judge(noted)]
    assert any("focal length is assumed" in line for line in lines)
    assert any("The clip is HDR" in line for line in lines)
    assert verdict(judge(noted)).level == GREEN


def test_the_verdict_names_the_worst_and_lines_are_plain() -> None:
    red, first, second = Finding(RED, "a", "A"), Finding(YELLOW, "b", "B", "do b"), Finding(YELLOW, "c", "C")
    green = Finding(GREEN, "d", "D")
    assert verdict([red, first, green]).sentence.endswith(": a.")
    assert verdict([first, second, green]).sentence.endswith(": b and c.")
    many = verdict([Finding(YELLOW, str(number), "") for number in range(5)])
    assert many.sentence.endswith(": 0, 1, 2 and 2 more.")
    assert report_lines([red, first, green])[1:] == ["red    A", "yellow B -> do b"]


def test_times_follow_the_video() -> None:
    """Unused frames lie between used ones, before the first and after the last."""
    evidence = with_frames(perfect(), source_frames=np.arange(1000) + 10, timestamps=(np.arange(1000) + 10) / RATE_HZ)
    assert np.allclose(evidence.time_of(np.array([0, 10, 1010])), [0.0, 0.4, 40.4])
