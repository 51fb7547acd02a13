"""A capture network from its tflite file: LiteRT on the CPU, PyTorch on a GPU; batches in, batches out."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

import numpy as np
from jaxtyping import Float

from nerface.errors import UserError

_STDERR_LOCK = threading.Lock()


class BatchNetwork(Protocol):
    """What both kinds do: float32 [batch, ...] of the network's input shape to each output, [batch, ...]."""

    def __call__(self, values: Float[np.ndarray, "batch ..."]) -> list[np.ndarray]: ...


def open_network(content: bytes, threads: int, device: str = "cpu") -> BatchNetwork:
    """The network of a tflite file for `device`: LiteRT with `threads` on the CPU, PyTorch elsewhere.

    The two agree within 3e-4 of every output (5e-4 px of 256 for landmarks). LiteRT takes half the time of PyTorch on a
    CPU and runs nowhere else. Raises `ValueError` where `content` is no network that can be run, `UserError` where
    LiteRT is needed and missing.
    """
    if str(device).split(":")[0] == "cpu":
        return Network(content, threads)
    from nerface.capture.torch_network import TorchNetwork

    return TorchNetwork(content, device)


class Network:
    """A tflite network held in memory, run by LiteRT on the CPU; outputs come in the order of the file.

    Raises `UserError` where LiteRT is not installed.
    """

    def __init__(self, content: bytes, threads: int) -> None:
        try:
            from ai_edge_litert.interpreter import Interpreter
        except ImportError as error:
            raise UserError(
                f"LiteRT, which runs the capture networks on a CPU, cannot be loaded ({error}): "
                "`pip install ai-edge-litert`, or capture with `--device cuda`"
            ) from None
        with _quiet_stderr():
            self._interpreter = Interpreter(model_content=content, num_threads=threads)
            self._interpreter.allocate_tensors()
        detail = self._interpreter.get_input_details()[0]
        self._input = detail["index"]
        self.input_shape = tuple(int(size) for size in detail["shape"][1:])
        self._outputs = [detail["index"] for detail in self._interpreter.get_output_details()]

    def __call__(self, values: Float[np.ndarray, "batch ..."]) -> list[Float[np.ndarray, "batch ..."]]:
        """Run on float32 arrays of the network's input shape, one after the other."""
        rows = [self._run(np.ascontiguousarray(row[None], np.float32)) for row in values]
        return [np.stack(outputs) for outputs in zip(*rows)]

    def _run(self, values: np.ndarray) -> list[np.ndarray]:
        """The outputs for one input, without an axis for the batch (which one of the files leaves out)."""
        self._interpreter.set_tensor(self._input, values)
        self._interpreter.invoke()
        outputs = [self._interpreter.get_tensor(index) for index in self._outputs]
        return [output[0] if output.ndim > 1 else output for output in outputs]


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
