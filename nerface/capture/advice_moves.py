"""What the head and the face should still do before the camera."""

from __future__ import annotations

import numpy as np
from scipy.spatial import cKDTree

from nerface.capture.advice_wants import (
    ENOUGH,
    PITCH_DEG,
    ROLL_DEG,
    UNSEEN,
    YAW_DEG,
    extremes,
    fulfilled,
    reaches,
    wants_for,
)
from nerface.capture.advice_words import GREEN, YELLOW, Finding, listed
from nerface.capture.page_evidence import Evidence

POSE_ENOUGH = 2 / 3  # of the wanted turn: a field still renders well some degrees beyond what it has seen
HALF = 0.5  # of a wish: below, it is worth telling
STRANGE_DEG = 4.0  # a held-out pose this far from every training pose
STRANGE_SHARE = 0.1
MISSING = "missing expressions"
OPEN_REST = 0.15  # jawOpen of a mouth that never closes


def move_findings(evidence: Evidence) -> list[Finding]:
    """Head turns, expressions, and whether the held-out frames ask for poses never trained on."""
    found = [_turns(evidence), *_expressions(evidence), _held_out(evidence)]
    return [finding for finding in found if finding is not None]


def _turns(evidence: Evidence) -> Finding:
    """How far the head turns each way from its median pose."""
    turns = evidence.frames.turns
    (left, right), (down, up) = _both(turns[:, 0]), _both(turns[:, 1])
    rolls = _both(turns[:, 2])
    # Positive yaw turns the nose to the right of the picture, which is the person's left; positive pitch lowers it.
    sides = _missing(
        (left, YAW_DEG, "to your left (the right of the picture)"),
        (right, YAW_DEG, "to your right (the left of the picture)"),
    )
    heights = _missing((up, PITCH_DEG, "up"), (down, PITCH_DEG, "down"))
    missing = [f"turn your head further {'to both sides' if len(sides) == 2 else sides[0]}"] if sides else []
    missing += [f"look further {listed(heights)}"] if heights else []
    missing += ["tilt your head to each shoulder"] if min(rolls) < POSE_ENOUGH * ROLL_DEG else []
    what = f"The head turns {left:.0f}° to the left, {right:.0f}° to the right, {up:.0f}° up and {down:.0f}° down"
    if not missing:
        return Finding(GREEN, "few head poses", what)
    wanted = f"driving will want {YAW_DEG:.0f}° to the sides and {PITCH_DEG:.0f}° up and down"
    return Finding(YELLOW, "few head poses", f"{what}; {wanted}", f"slowly {listed(missing)}")


def _both(values: np.ndarray) -> tuple[float, float]:
    """How far both ways, degrees: positive first."""
    lowest, highest = extremes(values)
    return max(highest, 0.0), max(-lowest, 0.0)


def _missing(*ways: tuple[float, float, str]) -> list[str]:
    """Those of (reached, wanted, words) that fall short."""
    return [words for reached, wanted, words in ways if reached < POSE_ENOUGH * wanted]


def _expressions(evidence: Evidence) -> list[Finding]:
    """One finding for each need that is not met, one for all wishes together."""
    frames = evidence.frames
    found = reaches(frames.expressions, frames.channels)
    wants = wants_for(frames.channels)
    if not wants:
        return []
    findings = []
    for want in wants:
        share = fulfilled(want, found)
        if not want.needed or share >= ENOUGH:
            continue
        extent = UNSEEN if share < ENOUGH / 2 else f"seen to {100 * share:.0f} % of what driving will want"
        findings.append(Finding(YELLOW, MISSING, f"{want.what.capitalize()}: {extent}", want.film))
    jaw = frames.channel("jawOpen")
    if jaw is not None and extremes(jaw)[0] > OPEN_REST:
        what = f"The mouth never closes (jawOpen stays above {extremes(jaw)[0]:.2f})"
        findings.append(Finding(YELLOW, MISSING, what, "keep your lips closed for some seconds"))
    weak = [want for want in wants if not want.needed and fulfilled(want, found) < HALF]
    if weak:
        names, film = listed([want.what for want in weak]), "; ".join(want.film for want in weak)
        findings.append(Finding(YELLOW, MISSING, f"Hardly seen: {names}", film))
    if not findings:
        findings.append(Finding(GREEN, "expressions", "Mouth, eyes and brows show what driving will want"))
    return findings


def _held_out(evidence: Evidence) -> Finding | None:
    """Poses of the test part that lie away from all training poses make its score say little."""
    train, test = (evidence.frames.rows_of(split) for split in ("train", "test"))
    if len(train) == 0 or len(test) == 0:
        return None
    distance, _ = cKDTree(evidence.frames.angles[train]).query(evidence.frames.angles[test])
    share = float(np.mean(distance > STRANGE_DEG))
    if share <= STRANGE_SHARE:
        return Finding(GREEN, "held-out part", f"The {len(test)} held-out frames stay near poses that training sees")
    what = f"{100 * share:.0f} % of the held-out frames show head poses that no training frame comes near"
    advice = "make the same moves early in the clip too: its last part is held out, and measures what was learned"
    return Finding(YELLOW, "held-out part", what, advice)
