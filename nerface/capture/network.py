"""A tflite network on the CPU through LiteRT: arrays in, arrays out."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
from ai_edge_litert.interpreter import Interpreter

_STDERR_LOCK = threading.Lock()


class Network:
    """A tflite network held in memory; every output has its whole shape, in the order of the file."""

    def __init__(self, content: bytes, threads: int) -> None:
        with _quiet_stderr():
            self._interpreter = Interpreter(model_content=content, num_threads=threads)
            self._interpreter.allocate_tensors()
        self._input = self._interpreter.get_input_details()[0]["index"]
        self._outputs = [detail["index"] for detail in self._interpreter.get_output_details()]

    def __call__(self, values: np.ndarray) -> list[np.ndarray]:
        """Run on one float32 array of the network's input shape."""
        self._interpreter.set_tensor(self._input, values)
        self._interpreter.invoke()
        return [self._interpreter.get_tensor(index) for index in self._outputs]


@contextmanager
def _quiet_stderr() -> Iterator[None]:
    """Silence the line that LiteRT's native code writes when it starts; Python's own errors still get out."""
    with _STDERR_LOCK:
        sys.stderr.flush()
        try:
            kept = os.dup(2)
        except OSError:  # no standard error at all (a service, a notebook kernel)
            yield
            return
        try:
            with open(os.devnull, "w") as sink:
                os.dup2(sink.fileno(), 2)
            yield
        finally:
            os.dup2(kept, 2)
            os.close(kept)
