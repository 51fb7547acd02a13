"""The moving of Gaussians as one launch: a CUDA graph in place of some eighty kernels of a few microseconds each.

On an H100 the kernels of a picture take 0.4 ms and their launches from Python 3 ms (docs/performance.md). The graph
runs the very same kernels on the same memory, so the result is that of the plain function.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from nerface.rendering.splatting import Gaussians

WARM_UP = 3  # runs before recording, in which libraries set themselves up
Inputs = tuple[Tensor | None, ...]


class Replay:
    """`function(*inputs) -> Gaussians`, recorded on its first call and replayed on later ones.

    Recorded anew where weights have moved to other memory (after growth, loading, or a change of device) or inputs have
    other shapes. What it gives is overwritten by the next call.
    """

    def __init__(self, module: nn.Module, function: Callable[..., Gaussians]) -> None:
        self._module, self._function = module, function
        self._key: object = None

    @staticmethod
    def usable(device: torch.device) -> bool:
        """Graphs are for drawing on CUDA: they keep no way back for gradients."""
        return device.type == "cuda" and not torch.is_grad_enabled()

    def __call__(self, *inputs: Tensor | None) -> Gaussians:
        key = (
            # With shapes: after growth, memory that is free again may hold another number of Gaussians.
            tuple((parameter.data_ptr(), parameter.shape) for parameter in self._module.parameters()),
            tuple(None if value is None else value.shape for value in inputs),
        )
        if key != self._key:
            self._record(inputs)
            self._key = key
        for place, value in zip(self._places, inputs):
            if place is not None and value is not None:
                place.copy_(value)
        self._graph.replay()
        return self._result

    def _record(self, inputs: Inputs) -> None:
        # Ordinary tensors, so that a recording made in inference mode serves outside it too.
        # On the weights' own device, which need not be the current one (--device cuda:1).
        device = next(self._module.parameters()).device
        with torch.cuda.device(device), torch.inference_mode(False), torch.no_grad():
            self._places = [None if value is None else value.detach().clone() for value in inputs]
            aside = torch.cuda.Stream()
            aside.wait_stream(torch.cuda.current_stream())
            with torch.cuda.stream(aside):
                for _ in range(WARM_UP):
                    self._function(*self._places)
            torch.cuda.current_stream().wait_stream(aside)
            self._graph = torch.cuda.CUDAGraph()
            with torch.cuda.graph(self._graph):
                self._result = self._function(*self._places)
