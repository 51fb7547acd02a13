"""`report.html`: one self-contained page on a capture, to be looked at rather than read.

It is made from what lies in the dataset's folder alone, refers to nothing outside itself, and forbids its browser to
load anything (Content-Security-Policy, W3C CSP level 3: only the style and the script whose hashes it states).
"""

from __future__ import annotations

import base64
import hashlib
from importlib import resources
from pathlib import Path

import numpy as np

from nerface.capture.advice import Verdict, judge, verdict
from nerface.capture.advice_words import GREEN, LEVELS, Finding, capital, counted
from nerface.capture.page_channels import ChannelRows, channel_rows
from nerface.capture.page_evidence import Evidence
from nerface.capture.page_facts import facts, tiles
from nerface.capture.page_maps import Chart, place_map, pose_map
from nerface.capture.page_markup import Content, Markup, element
from nerface.capture.page_pictures import (
    MATTE_PX,
    MATTE_QUALITY,
    PLATE_PX,
    PLATE_QUALITY,
    data_uri,
    matte_picture,
    plate_picture,
)
from nerface.capture.page_player import Linked, player
from nerface.capture.page_reading import read_evidence
from nerface.capture.page_timeline import time_axis, timeline
from nerface.files import whole_file

REPORT_FILE = "report.html"
SIGNS = {"red": "✕", "yellow": "!", "green": "✓"}
LAMP_Y = {"red": 40, "yellow": 102, "green": 164}
TITLES = {
    "frames": "Frames and head poses",
    "expressions": "Expressions",
    "time": "Over time",
    "backdrop": "Backdrop and mask",
    "facts": "Facts",
}
LONG = ("expressions", "time")  # may be broken over printed pages


def write_report(dataset_folder: Path | str) -> Path:
    """Write `report.html` into a captured dataset's folder and give its path; an older one is replaced.

    Needs capture.json, the transforms files and the pictures they name; what else is missing (an older capture's
    per-frame figures, the overlay, plate or masks) is left out of the page. Raises `UserError` where there is no
    capture or a file of it is broken.
    """
    folder = Path(dataset_folder)
    page = report_page(read_evidence(folder))
    path = folder / REPORT_FILE
    with whole_file(path) as partial:
        partial.write_text(page, encoding="utf-8")
    return path


def report_page(evidence: Evidence) -> str:
    """The whole page as HTML."""
    findings = judge(evidence)
    axis = time_axis(evidence)
    poses, places, channels = pose_map(evidence), place_map(evidence), channel_rows(evidence)
    linked = Linked(axis.percent(evidence.frames.timestamps), poses.places, places.places, channels.places)
    contents: dict[str, list[Markup] | Markup | None] = {
        "frames": player(evidence, linked, _maps(poses, places)),
        "expressions": _channels(channels),
        "time": timeline(evidence, axis),
        "backdrop": _backdrop(evidence),
        "facts": facts(evidence),
    }
    there = [name for name, content in contents.items() if content]
    body = element(
        "main",
        _header(evidence, verdict(findings), there),
        _findings(findings),
        [_section(name, TITLES[name], contents[name]) for name in there],
        element("footer", "Made by nerface from the files of this dataset. The page loads nothing and sends nothing."),
    )
    return _document(f"Capture of {_name(evidence)}", body)


def _document(title: str, body: Markup) -> str:
    style, script = _resource("page.css"), _resource("page.js")
    policy = (
        f"default-src 'none'; img-src data:; style-src {_hash(style)}; script-src {_hash(script)}; "
        "base-uri 'none'; form-action 'none'"
    )
    head = element(
        "head",
        element("meta", charset="utf-8"),
        element("meta", http_equiv="Content-Security-Policy", content=policy),
        element("meta", name="viewport", content="width=device-width, initial-scale=1"),
        element("meta", name="referrer", content="no-referrer"),
        element("title", title),
        element("style", style),
    )
    return "<!doctype html>\n" + element("html", head, element("body", body, element("script", script)), lang="en")


def _resource(name: str) -> Markup:
    return Markup(resources.files("nerface.capture").joinpath(name).read_text(encoding="utf-8"))


def _hash(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


def _name(evidence: Evidence) -> str:
    return evidence.text("source", "file") or evidence.folder.name


def _section(name: str, title: str, *content: Content) -> Markup:
    heading = element("h2", title, id=f"{name}-title")
    kind = "card long" if name in LONG else "card"
    return element("section", heading, content, id=name, class_=kind, aria_labelledby=f"{name}-title")


def _lead(text: str) -> Markup:
    return element("p", text, class_="lead")


def _header(evidence: Evidence, light: Verdict, sections: list[str]) -> Markup:
    links = [element("a", TITLES[name], href=f"#{name}") for name in sections]
    nav = element("nav", links, aria_label="On this page")
    top = element(
        "div",
        _traffic_light(light.level),
        element("h1", f"Capture of {_name(evidence)}"),
        element("p", light.sentence, class_="verdict"),
        class_="top",
    )
    return element("header", top, tiles(evidence), nav, class_="card")


def _traffic_light(level: str) -> Markup:
    parts = [element("rect", class_="housing", x=6, y=4, width=72, height=196, rx=26)]
    for lamp in LEVELS:
        lit = lamp == level
        if lit:
            parts.append(element("circle", class_=f"halo lit-{lamp}", cx=42, cy=LAMP_Y[lamp], r=34))
        parts.append(element("circle", class_=f"lit-{lamp}" if lit else "lamp", cx=42, cy=LAMP_Y[lamp], r=25))
        if lit:
            parts.append(element("text", SIGNS[lamp], x=42, y=LAMP_Y[lamp] + 11))
    label = f"Traffic light: {level}"
    return element("svg", parts, class_="light", viewBox="0 0 84 204", role="img", aria_label=label)


def _findings(findings: list[Finding]) -> Markup:
    loud = [finding for finding in findings if finding.level != GREEN]
    quiet = [finding for finding in findings if finding.level == GREEN]
    parts: list[Content] = []
    if loud:
        parts.append(element("ul", [_finding(finding) for finding in loud], class_="findings"))
    fine = element("ul", [_finding(finding) for finding in quiet], class_="findings")
    summary = element("summary", f"{counted(len(quiet), 'thing')} as it should be, or to be known")
    if quiet:
        parts.append(element("details", summary, fine, open=not loud))
    title = "What to do in the next take" if loud else "What was looked at"
    return _section("findings", title, parts)


def _finding(finding: Finding) -> Markup:
    level = element("span", f"{finding.level}: ", class_="unseen-text")
    what, advice = (f"{capital(text)}." if text else "" for text in (finding.what, finding.advice))
    loud = finding.level != GREEN
    first, second = (advice, what) if loud and advice else (what, advice)
    return element(
        "li",
        element("span", SIGNS[finding.level], class_="badge", aria_hidden="true"),
        element("div", level, first, class_="advice" if loud else "what"),
        element("div", second, class_="what" if loud else "advice") if second else None,
        class_=f"finding {finding.level}" + ("" if loud else " plain"),
    )


def _maps(poses: Chart, places: Chart) -> list[Markup]:
    pairs = (("Where the head points", poses), ("Where the head is", places))
    drawn = [
        element("figure", element("h3", title), chart.svg, element("figcaption", f"{chart.words}."), class_="map-box")
        for title, chart in pairs
    ]
    keys = (("train", "training"), ("val", "validation"), ("test", "held out"))
    legend = [element("li", _dot(kind), text) for kind, text in keys]
    return [*drawn, element("ul", legend, class_="legend")]


def _dot(kind: str) -> Markup:
    path = element("path", class_=f"dots {kind}", d="M7 7h0")
    return element("svg", path, viewBox="3 3 8 8", aria_hidden="true")


def _channels(rows: ChannelRows) -> list[Markup]:
    lead = (
        f"{rows.reached} of {rows.wanted} channels reach what driving will want (the upright mark). Pale: all values "
        "seen; strong: 90 % of the frames; dot: the frame shown above. ✓ reached, ◐ partly, ○ hardly seen; struck out: "
        "this network never moves it."
    )
    return [_lead(lead), rows.html]


def _backdrop(evidence: Evidence) -> list[Markup] | None:
    figures = []
    plate = plate_picture(evidence)
    if plate is not None:
        seen = evidence.number("plate", "seen_share")
        share = f" Seen in {100 * seen:.0f} % of the picture." if seen is not None else ""
        caption = f"The backdrop without the person.{share} Striped: never seen, the colour is made up."
        figures.append(_figure(data_uri(plate, PLATE_PX, PLATE_QUALITY), "The background plate", caption, "wide"))
    for row, when in _matte_rows(evidence):
        matte = matte_picture(evidence, row)
        if matte is not None:
            alt = f"Hair and head of frame {evidence.frames.source_frames[row]}, cut out"
            figures.append(_figure(data_uri(matte, MATTE_PX, MATTE_QUALITY), alt, f"The mask at the hair, {when}."))
    if not figures:
        return None
    lead = _lead("Look for backdrop inside the cut-out, hair that is missing, and ghosts of the person in the plate.")
    return [lead, element("div", figures, class_="pictures")]


def _matte_rows(evidence: Evidence) -> list[tuple[int, str]]:
    """At rest, and turned furthest: hair is hardest there."""
    turns = evidence.frames.turns
    rows: dict[int, str] = {}
    for values, when in (
        (-np.abs(turns).sum(axis=1), "head at rest"),
        (turns[:, 0], "furthest to their left"),
        (-turns[:, 0], "furthest to their right"),
        (np.abs(turns[:, 1]), "furthest up or down"),
    ):
        rows.setdefault(int(np.argmax(values)), when)
    return list(rows.items())


def _figure(uri: str, alt: str, caption: str, kind: str | None = None) -> Markup:
    return element("figure", element("img", src=uri, alt=alt), element("figcaption", caption), class_=kind)
