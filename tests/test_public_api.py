"""`import nerface` is light, and its names are what they say."""

from __future__ import annotations

import importlib
import inspect
import subprocess
import sys

import pytest

import nerface

BUDGET_S = 0.3
LIGHT = """
import sys, time
began = time.perf_counter()
import nerface
print(time.perf_counter() - began)
print(sorted(sys.modules.keys() & {"torch", "numpy", "cv2", "av", "scipy", "rich", "ai_edge_litert", "skimage"}))
"""


def _python(script):
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def test_import_is_light():
    runs = [_python(LIGHT) for _ in range(2)]
    assert min(float(seconds) for seconds, _ in runs) < BUDGET_S
    assert runs[0][1] == "[]"


@pytest.mark.parametrize("name", [name for name in nerface.__all__ if name != "__version__"])
def test_every_name_is_there_and_explained(name):
    found = getattr(nerface, name)
    assert name in dir(nerface)
    assert callable(found)
    assert inspect.getdoc(found)
    home = importlib.import_module(f"nerface.{nerface._HOMES[name]}")
    assert getattr(home, name) is found


def test_a_name_that_is_not_there():
    with pytest.raises(AttributeError, match="no attribute 'captrue'"):
        nerface.captrue  # noqa: B018
    with pytest.raises(ImportError):
        from nerface import captrue  # noqa: F401


def test_a_name_means_the_same_whatever_was_imported_before():
    modules = "nerface.creation, nerface.capture.video, nerface, inspect"
    assert _python(f"import {modules}; print(inspect.isfunction(nerface.create))") == ["True"]


def test_typed():
    assert importlib.resources.files("nerface").joinpath("py.typed").is_file()
