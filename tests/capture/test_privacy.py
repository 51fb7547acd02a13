"""Capture opens no network connection: watched from inside Python, and from outside by the system's tracer."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.capture.clips import networks, swaying, write_clip

FRAMES = 14
# Runs a program with every way out of the machine shut: Python's audit events of sockets (PEP 578).
GUARD = """
import runpy, socket, sys

OUTWARD = ("socket.connect", "socket.getaddrinfo", "socket.gethostbyname", "socket.gethostbyaddr", "socket.bind",
           "socket.sendto", "socket.sendmsg", "urllib.Request", "http.client.connect", "ftplib.connect")

def watch(event, arguments):
    if event in OUTWARD or (event == "socket.__new__" and arguments[1] in (socket.AF_INET, socket.AF_INET6)):
        sys.stderr.write(f"WAY OUT: {event} {arguments[1:]}\\n")
        raise SystemExit(99)

sys.addaudithook(watch)
sys.argv = sys.argv[1:]
runpy.run_path(sys.argv[0], run_name="__main__") if sys.argv[0].endswith(".py") else \
    runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
"""
CALLER = """
import socket
with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as out:
    out.connect(("127.0.0.1", 9))
"""


@pytest.fixture(scope="module")
def clip(tmp_path_factory) -> Path:
    return write_clip(tmp_path_factory.mktemp("privacy") / "clip.mp4", swaying(FRAMES))


def _run(command: list[str]) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "NERFACE_WEIGHTS": str(networks().face_landmarker.parent)}
    return subprocess.run(command, capture_output=True, text=True, timeout=300, env=environment)


def test_capture_never_asks_python_for_a_connection(clip, tmp_path):
    guard, caller = tmp_path / "guard.py", tmp_path / "caller.py"
    guard.write_text(GUARD)
    caller.write_text(CALLER)
    caught = _run([sys.executable, str(guard), str(caller)])
    assert caught.returncode == 99, "the guard itself sees no connection"
    assert "WAY OUT: socket" in caught.stderr
    folder = tmp_path / "dataset"
    done = _run(
        [sys.executable, str(guard), "nerface.apps.cli", "capture", str(clip), "-o", str(folder), "--size", "64"]
    )
    assert "WAY OUT" not in done.stderr
    assert done.returncode == 0, done.stderr
    assert (folder / "capture.json").is_file()


def test_capture_never_asks_the_system_for_a_connection(clip, tmp_path):
    """All threads and child processes, native code included. Local (AF_UNIX) sockets are no way out."""
    tracer = shutil.which("strace")
    if tracer is None:
        pytest.skip("needs strace")
    log, caller = tmp_path / "log", tmp_path / "caller.py"
    caller.write_text(CALLER)
    trace = [tracer, "-f", "-qq", "-e", "trace=network", "-o", str(log), sys.executable]
    _run([*trace, str(caller)])
    if not log.is_file() or "AF_INET" not in log.read_text():
        pytest.skip("strace may not trace here")
    log.unlink()
    folder = tmp_path / "dataset"
    done = _run([*trace, "-m", "nerface.apps.cli", "capture", str(clip), "-o", str(folder), "--size", "64"])
    assert done.returncode == 0, done.stderr
    assert (folder / "capture.json").is_file()
    outward = [line for line in log.read_text().splitlines() if "AF_INET" in line or "AF_NETLINK" in line]
    assert outward == []
