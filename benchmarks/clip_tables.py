"""The figures of capture_clips.py as Markdown tables."""

from __future__ import annotations

from typing import Any

MINUTE_FRAMES = 1500  # a clip of 60 s at 25 Hz
BLINKS = ("eyeBlinkLeft", "eyeBlinkRight")
YAWS, PITCHES = ("leftEyeYaw", "rightEyeYaw"), ("leftEyePitch", "rightEyePitch")
OTHERS = ("jawOpen", "mouthSmileLeft", "browInnerUp", "exposure")
NONE = "–"


def all_tables(results: dict[str, Any]) -> str:
    """Every group that was measured, each under a heading with what its columns mean."""
    parts = []
    if results["quick"]:
        parts.append("Quick run: the first 60 frames of each clip.")
    if "truth" in results:
        parts += [_accuracy_table(results["truth"]), _channel_table(results["truth"])]
    captured = {**results.get("truth", {}), **results.get("real", {})}
    if captured:
        parts += [_quality_table(captured), _speed_table(captured)]
    if "hard" in results:
        parts.append(_hard_table(results["hard"]))
    return "\n\n".join(parts) + "\n"


def _accuracy_table(clips: dict[str, Any]) -> str:
    rows = []
    for name, clip in clips.items():
        for key, focal in (("accuracy", "solved"), ("accuracy_focal_given", "given")):
            if key in clip:
                a = clip[key]
                rows.append(
                    [name, focal, _number(a["rotation_mean_deg"]), _number(a["rotation_median_deg"]),
                     _number(a["across_mm"]), _number(a["depth_mm"]), _number(a["pitch_gain"]), _number(a["yaw_gain"]),
                     _percent(a["focal_error"], sign=True)]
                )  # fmt: skip
            elif key == "accuracy":
                rows.append([name, focal, clip.get("refused", NONE), *[""] * 6])
    head = ["clip", "focal length", "rotation ° mean", "median", "across mm", "depth mm", "pitch gain", "yaw gain",
            "focal error"]  # fmt: skip
    text = "One constant rotation, shift and scale of head space removed; gain 1 is right."
    return f"**Accuracy against ground truth.** {text}\n\n{_table(head, rows)}"


def _channel_table(clips: dict[str, Any]) -> str:
    rows = []
    for name, clip in clips.items():
        channels = clip.get("channels", {})
        if channels:
            cells = [_pair(channels, group) for group in (BLINKS, YAWS, PITCHES)]
            rows.append([name, *cells, *(_pair(channels, (one,)) for one in OTHERS)])
    head = ["clip", "blink", "gaze yaw", "gaze pitch", *OTHERS]
    text = "Correlation, and slope in brackets; both eyes' mean. – where the clip does not move it or capture has none."
    return f"**Channels against ground truth.** {text}\n\n{_table(head, rows)}"


def _pair(channels: dict[str, list[float]], names: tuple[str, ...]) -> str:
    found = [channels[name] for name in names if name in channels]
    if not found:
        return NONE
    return f"{sum(r for r, _ in found) / len(found):.2f} ({sum(s for _, s in found) / len(found):.2f})"


def _quality_table(clips: dict[str, Any]) -> str:
    rows = []
    for name, clip in clips.items():
        if "refused" in clip:
            rows.append([name, clip["refused"], *[""] * 7])
            continue
        jitter = clip["jitter"]
        turns = [jitter[key] for key in ("pitch_deg", "yaw_deg", "roll_deg")]
        rows.append(
            [name, f"{clip['used']} of {clip['frames']}", _drops(clip), _percent(clip["rms_share"]),
             _percent(clip["held_out_share"]), _number(clip["skin_px"]), f"{max(turns):.2f}",
             f"{jitter['across_mm']:.2f} / {jitter['depth_mm']:.2f}", _number(jitter["landmarks_px"])]
        )  # fmt: skip
    head = ["clip", "frames used", "dropped", "error, all frames", "error, held out", "skin points px", "turn jitter °",
            "place jitter mm across / depth", "landmark jitter px"]  # fmt: skip
    text = (
        "Errors are RMS reprojection as a share of the distance of the outer eye corners; held out: frames that shape "
        "and basis were not solved from. Jitter: RMS of what a quadratic over nine (landmarks: seven) frames leaves."
    )
    return f"**Quality.** {text}\n\n{_table(head, rows)}"


def _speed_table(clips: dict[str, Any]) -> str:
    tasks = list(dict.fromkeys(task for clip in clips.values() for task in clip.get("tasks", {})))
    rows = []
    for name, clip in clips.items():
        if "refused" in clip:
            continue
        info = clip["capture"]["source"]
        speeds = [_speed(clip["frames"], clip["tasks"].get(task)) for task in tasks]
        wall, cpu = (clip[key] / clip["frames"] * MINUTE_FRAMES / 60 for key in ("seconds", "cpu_seconds"))
        size = f"{info['width']}x{info['height']}"
        rows.append([name, size, *speeds, f"{wall:.1f}", f"{cpu:.1f}", f"{clip['peak_mb']:.0f}"])
    head = ["clip", "size", *tasks, "minutes for 60 s at 25 Hz", "the same, CPU minutes", "peak MB"]
    text = "Frames a second of each step, decoding included; a minute's clip by proportion (start-up included)."
    return f"**Speed.** {text}\n\n{_table(head, rows)}"


def _hard_table(clips: dict[str, Any]) -> str:
    rows = [[name, clip["what"], _in_words(clip)] for name, clip in clips.items()]
    return f"**Hard footage.** One fault at a time.\n\n{_table(['clip', 'what is wrong', 'what happened'], rows)}"


def _in_words(clip: dict[str, Any]) -> str:
    if "refused" in clip:
        return str(clip["refused"])
    words = [f"{clip['used']} of {clip['frames']} frames used"]
    faulty = set(clip.get("faulty", ()))
    if faulty:
        gone = {frame for reason in clip["dropped"].values() for frame in reason["frames"]}
        words.append(f"{len(faulty & gone)} of the {len(faulty)} faulty frames left out")
        if gone - faulty:
            words.append(f"{len(gone - faulty)} others left out")
    if clip["dropped"]:
        words.append(f"reasons: {_drops(clip)}")
    if clip["segments"] > 1:
        words.append(f"{clip['segments']} segments")
    words.append(f"error {_percent(clip['rms_share'])}")
    if clip.get("beside_plain_deg") is not None:
        words.append(f"poses within {clip['beside_plain_deg']:.2f}° of the plain clip's")
    figures = clip["capture"]
    words += [
        finding["what"] for finding in figures.get("backdrop", {}).get("findings", ()) if finding["level"] != "green"
    ]
    words += list(figures.get("video", {}).get("notes", ()))
    return "; ".join(words)


def _drops(clip: dict[str, Any]) -> str:
    return ", ".join(f"{what['count']} {reason}" for reason, what in clip["dropped"].items()) or "none"


def _table(head: list[str], rows: list[list[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(cell.replace("|", "/") for cell in line) + " |" for line in lines)


def _number(value: float | None) -> str:
    return NONE if value is None else f"{value:.2f}"


def _percent(value: float | None, sign: bool = False) -> str:
    return NONE if value is None else f"{100 * value:{'+' if sign else ''}.1f} %"


def _speed(frames: int, seconds: float | None) -> str:
    return NONE if not seconds else f"{frames / seconds:.0f}"
