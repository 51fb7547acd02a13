"""A tflite network in PyTorch: batches, on any device, with the weights of the file in float32."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from nerface.capture.tflite_file import Graph, read_graph
from nerface.capture.torch_operators import Step, computed_inputs, function_of


@dataclass(frozen=True)
class _Line:
    """A step as it runs: registers to read, the register to write, registers not needed after it."""

    function: Callable[..., Tensor]
    reads: tuple[int, ...]
    writes: int
    frees: tuple[int, ...]


class TorchNetwork:
    """A network of one input. Agrees with LiteRT within 3e-4 on the four capture networks.

    Raises `ValueError` where `content` is not a `.tflite` file or holds something that is not supported.
    """

    def __init__(self, content: bytes, device: str = "cpu") -> None:
        graph = read_graph(content)
        if len(graph.inputs) != 1:
            raise ValueError(f"a network of {len(graph.inputs)} inputs is not supported")
        self.device = torch.device(device)
        self.input_shape = graph.tensors[graph.inputs[0]].shape[1:]
        self._input, self._outputs = graph.inputs[0], graph.outputs
        self._constants: dict[int, Tensor] = {}
        self._lines = self._planned(graph)

    def __call__(self, values: Float[np.ndarray, "batch ..."]) -> list[Float[np.ndarray, "batch ..."]]:
        """Run on float32 arrays, a batch at once; every output comes with its batch first."""
        given = torch.from_numpy(np.ascontiguousarray(values, np.float32)).to(self.device)
        return [output.cpu().numpy() for output in self.run(given)]

    @torch.inference_mode()
    def run(self, values: Float[Tensor, "batch ..."]) -> list[Float[Tensor, "batch ..."]]:
        """The same on tensors that are on the device already."""
        if tuple(values.shape[1:]) != tuple(self.input_shape):
            raise ValueError(f"the network takes [batch, {self.input_shape}], not {tuple(values.shape)}")
        registers = {**self._constants, self._input: values}
        # cuDNN's TF32 convolutions are off by 1e-3, which is a tenth of a pixel.
        with torch.backends.cudnn.flags(enabled=True, allow_tf32=False):
            for line in self._lines:
                registers[line.writes] = line.function(*[registers[number] for number in line.reads])
                for number in line.frees:
                    del registers[number]
        return [registers[number].contiguous() for number in self._outputs]

    def _planned(self, graph: Graph) -> list[_Line]:
        """Fold the constants, then line the other steps up and find when each result is last read."""
        known: dict[int, Tensor | np.ndarray] = {}
        for number, tensor in enumerate(graph.tensors):
            if tensor.content is not None:
                known[number] = self._constant(tensor.content)
        steps: list[tuple[Callable[..., Tensor], tuple[int, ...], int]] = []
        for operation in graph.operations:
            inputs = [number for number in operation.inputs if number >= 0]
            if operation.name == "DEQUANTIZE" and inputs[0] in known:
                known[operation.outputs[0]] = known[inputs[0]]  # 16-bit floats are float32 here from the start
                continue
            step = Step(
                operation=operation,
                constants=tuple(known.get(number) for number in inputs),
                shapes=tuple(graph.tensors[number].shape for number in inputs),
                result=graph.tensors[operation.outputs[0]].shape,
            )
            reads = tuple(inputs[index] for index in computed_inputs(step))
            steps.append((function_of(step), reads, operation.outputs[0]))
        needed = {number for _, reads, _ in steps for number in reads}
        self._constants = {n: value for n, value in known.items() if n in needed and isinstance(value, Tensor)}
        last = {number: index for index, (_, reads, _) in enumerate(steps) for number in reads}
        for number in (*self._outputs, *self._constants, self._input):
            last.pop(number, None)
        frees: dict[int, list[int]] = {}
        for number, index in last.items():
            frees.setdefault(index, []).append(number)
        return [_Line(*step, tuple(frees.get(index, ()))) for index, step in enumerate(steps)]

    def _constant(self, content: np.ndarray) -> Tensor | np.ndarray:
        if content.dtype.kind == "f":
            return torch.from_numpy(content.astype(np.float32)).to(self.device)
        return content
