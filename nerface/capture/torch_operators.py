"""The operators of TensorFlow Lite that the capture networks are made of, in PyTorch.

Tensors keep the file's order of axes: batch, rows, columns, channels. Convolutions see them as batch, channels, rows,
columns by a change of strides alone (PyTorch's channels-last layout, which is also its fastest).

Each entry of `OPERATORS` takes an operation and its constant inputs and gives the function of the others; what the four
networks do not use is refused rather than guessed.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from nerface.capture.tflite_file import Operation, Table

SAME, VALID = 0, 1  # `Padding` of the schema
RELU, RELU6 = 1, 3  # `ActivationFunctionType` of the schema (0: none)
Function = Callable[..., Tensor]


@dataclass(frozen=True)
class Step:
    """An operation with what is known of it before it runs.

    `constants` holds, for each input, its float32 tensor or int array, or None where it is computed; `shapes` the
    shapes of the inputs and `result` that of the output, as the file has them for a batch of 1.
    """

    operation: Operation
    constants: tuple[Tensor | np.ndarray | None, ...]
    shapes: tuple[tuple[int, ...], ...]
    result: tuple[int, ...]

    def number(self, field: int, kind: str = "i", default: int = 0) -> int:
        """An option by its number in the schema."""
        options = self.operation.options
        return int(options.number(field, kind, default)) if isinstance(options, Table) else default

    def weights(self, index: int) -> Tensor:
        """A constant input of floats."""
        value = self.constants[index]
        if not isinstance(value, Tensor):
            raise ValueError(f"{self.operation.name} with computed weights is not supported")
        return value

    def numbers(self, index: int) -> list[int]:
        """A constant input of integers."""
        value = self.constants[index]
        if not isinstance(value, np.ndarray):
            raise ValueError(f"{self.operation.name} with computed numbers is not supported")
        return [int(number) for number in np.atleast_1d(value)]


def same_padding(size: int, kernel: int, stride: int, dilation: int = 1) -> tuple[int, int]:
    """(before, after): what TensorFlow's SAME adds so that the output has ceil(size / stride) places."""
    reach = (kernel - 1) * dilation + 1
    total = max((-(-size // stride) - 1) * stride + reach - size, 0)
    return total // 2, total - total // 2


def _first(image: Float[Tensor, "batch rows columns channels"]) -> Float[Tensor, "batch channels rows columns"]:
    return image.permute(0, 3, 1, 2)


def _last(image: Float[Tensor, "batch channels rows columns"]) -> Float[Tensor, "batch rows columns channels"]:
    return image.permute(0, 2, 3, 1)


def _activated(function: Function, kind: int) -> Function:
    """`function` followed by the activation that the file fuses with it."""
    if kind == 0:
        return function
    if kind not in (RELU, RELU6):
        raise ValueError(f"fused activation {kind} is not supported")
    top = 6.0 if kind == RELU6 else None
    return lambda *inputs: torch.clamp(function(*inputs), 0.0, top)


def _padded(
    step: Step, kernel: tuple[int, int], stride: tuple[int, int], dilation: tuple[int, int] = (1, 1)
) -> tuple[int, int, int, int]:
    """Padding (left, right, top, bottom) of an image operation whose option 0 says SAME or VALID."""
    if step.number(0, "b") == VALID:
        return 0, 0, 0, 0
    rows, columns = step.shapes[0][1:3]
    top, bottom = same_padding(rows, kernel[0], stride[0], dilation[0])
    left, right = same_padding(columns, kernel[1], stride[1], dilation[1])
    return left, right, top, bottom


def _convolution(step: Step) -> Function:
    weights = step.weights(1).permute(0, 3, 1, 2)  # out, rows, columns, in -> out, in, rows, columns
    return _convolve(step, weights, 1, (step.number(5, default=1), step.number(4, default=1)), step.number(3, "b"))


def _depthwise(step: Step) -> Function:
    weights = step.weights(1).permute(3, 0, 1, 2)  # 1, rows, columns, out -> out, 1, rows, columns
    channels = step.shapes[0][3]
    dilation = (step.number(6, default=1), step.number(5, default=1))
    return _convolve(step, weights, channels, dilation, step.number(4, "b"))


def _convolve(step: Step, weights: Tensor, groups: int, dilation: tuple[int, int], activation: int) -> Function:
    weights = weights.contiguous(memory_format=torch.channels_last)
    bias = step.weights(2) if len(step.constants) > 2 else None
    stride = (step.number(2), step.number(1))
    left, right, top, bottom = _padded(step, (weights.shape[2], weights.shape[3]), stride, dilation)
    even = left == right and top == bottom
    inner = (top, left) if even else (0, 0)

    def run(image: Tensor) -> Tensor:
        planes = _first(image)
        if not even:
            planes = F.pad(planes, (left, right, top, bottom))
        return _last(F.conv2d(planes, weights, bias, stride, inner, dilation, groups))

    return _activated(run, activation)


def _transposed_convolution(step: Step) -> Function:
    """MediaPipe's own operator: a transposed convolution with a bias (options: padding, stride of columns, of rows)."""
    _, *strides = struct.unpack_from("<3i", step.operation.custom)
    weights = step.weights(1).permute(3, 0, 1, 2).contiguous()  # out, rows, columns, in -> in, out, rows, columns
    bias, stride = step.weights(2), (strides[1], strides[0])
    whole = tuple(size * by for size, by in zip(step.shapes[0][1:3], stride))
    if tuple(weights.shape[2:]) != stride or step.result[1:3] != whole:
        raise ValueError("a transposed convolution whose patches overlap is not supported")
    return lambda image: _last(F.conv_transpose2d(_first(image), weights, bias, stride))


def _maximum(step: Step) -> Function:
    kernel, stride = (step.number(4), step.number(3)), (step.number(2), step.number(1))
    padding = _padded(step, kernel, stride)

    def run(image: Tensor) -> Tensor:
        planes = F.pad(_first(image), padding, value=-torch.inf) if any(padding) else _first(image)
        return _last(F.max_pool2d(planes, kernel, stride))

    return _activated(run, step.number(5, "b"))


def _average(step: Step) -> Function:
    kernel, stride = (step.number(4), step.number(3)), (step.number(2), step.number(1))
    if any(_padded(step, kernel, stride)):
        raise ValueError("averages over padding are not supported")
    return _activated(lambda image: _last(F.avg_pool2d(_first(image), kernel, stride)), step.number(5, "b"))


def _resized(step: Step) -> Function:
    rows, columns = step.numbers(1)
    corners, halves = bool(step.number(2, "b")), bool(step.number(3, "b"))
    if not corners and not halves:
        raise ValueError("resizing without half-pixel centres is not supported")
    return lambda image: _last(F.interpolate(_first(image), (rows, columns), mode="bilinear", align_corners=corners))


def _prelu(step: Step) -> Function:
    slope = step.weights(1)
    if slope.numel() != step.shapes[0][-1]:
        raise ValueError("a slope for each place is not supported")
    flat = slope.flatten()
    return lambda image: _last(F.prelu(_first(image), flat))


def _pad(step: Step) -> Function:
    pairs = np.asarray(step.constants[1]).reshape(-1, 2)
    if pairs[0].any():
        raise ValueError("padding of the batch is not supported")
    flat = [int(number) for number in pairs[::-1].flatten()]  # last axis first
    return lambda values: F.pad(values, flat)


def _concatenation(step: Step) -> Function:
    axis = step.number(0) % len(step.result)
    if axis == 0:
        raise ValueError("joining along the batch is not supported")

    def run(*parts: Tensor) -> Tensor:
        batch = max(part.shape[0] for part in parts)  # a constant part has a batch of 1
        return torch.cat([part.expand(batch, *part.shape[1:]) for part in parts], dim=axis)

    return _activated(run, step.number(1, "b"))


def _reshape(step: Step) -> Function:
    if step.result[0] != 1:
        raise ValueError("reshaping across the batch is not supported")
    rest = step.result[1:]
    return lambda values: values.reshape(values.shape[0], *rest)


def _transpose(step: Step) -> Function:
    order = step.numbers(1)
    if order[0] != 0:
        raise ValueError("moving the batch is not supported")
    return lambda values: values.permute(order)


def _slice(step: Step) -> Function:
    """STRIDED_SLICE; the batch stays whole, and stays an axis where the file takes its one entry out."""
    begin, end, stride = (step.numbers(index) for index in (1, 2, 3))
    begin_mask, end_mask, shrink = step.number(0), step.number(1), step.number(4)
    if step.number(2) or step.number(3) or min(stride) < 1:
        raise ValueError("this kind of slice is not supported")
    chosen: list[slice | int] = [slice(None)]
    for axis in range(1, len(begin)):
        bit = 1 << axis
        if shrink & bit:
            chosen.append(begin[axis])
        else:
            first = None if begin_mask & bit else begin[axis]
            chosen.append(slice(first, None if end_mask & bit else end[axis], stride[axis]))
    index = tuple(chosen)
    return lambda values: values[index]


def _reduced(reduce: Function) -> Callable[[Step], Function]:
    def build(step: Step) -> Function:
        rank = len(step.shapes[0])
        axes = [axis % rank for axis in step.numbers(1)]
        if 0 in axes:
            raise ValueError("reducing over the batch is not supported")
        keep = bool(step.number(0, "b"))
        return lambda values: reduce(values, dim=axes, keepdim=keep)

    return build


def _pointwise(function: Function, activation_field: int | None = None) -> Callable[[Step], Function]:
    def build(step: Step) -> Function:
        return function if activation_field is None else _activated(function, step.number(activation_field, "b"))

    return build


OPERATORS: dict[str, Callable[[Step], Function]] = {
    "ADD": _pointwise(torch.add, 0),
    "AVERAGE_POOL_2D": _average,
    "CONCATENATION": _concatenation,
    "CONV_2D": _convolution,
    "Convolution2DTransposeBias": _transposed_convolution,
    "DEPTHWISE_CONV_2D": _depthwise,
    "DIV": _pointwise(torch.div, 0),
    "HARD_SWISH": _pointwise(F.hardswish),
    "LOGISTIC": _pointwise(torch.sigmoid),
    "MAX_POOL_2D": _maximum,
    "MEAN": _reduced(torch.mean),
    "MUL": _pointwise(torch.mul, 0),
    "NEG": _pointwise(torch.neg),
    "PAD": _pad,
    "PRELU": _prelu,
    "RELU": _pointwise(torch.relu),
    "RESHAPE": _reshape,
    "RESIZE_BILINEAR": _resized,
    "RSQRT": _pointwise(torch.rsqrt),
    "SQRT": _pointwise(torch.sqrt),
    "SQUARED_DIFFERENCE": _pointwise(lambda first, second: (first - second).square()),
    "STRIDED_SLICE": _slice,
    "SUB": _pointwise(torch.sub, 0),
    "SUM": _reduced(torch.sum),
    "TRANSPOSE": _transpose,
}


def function_of(step: Step) -> Function:
    """The function of an operation's inputs, constants already among them where it needs them.

    Raises `ValueError` for an operator, or a use of one, that is not supported.
    """
    build = OPERATORS.get(step.operation.name)
    if build is None:
        raise ValueError(f"the operator {step.operation.name} is not supported")
    return build(step)


def computed_inputs(step: Step) -> Sequence[int]:
    """The inputs that the function of `function_of` takes: all that are computed, and constants of pointwise ones."""
    takes_all = {"ADD", "SUB", "MUL", "DIV", "SQUARED_DIFFERENCE", "CONCATENATION"}
    if step.operation.name in takes_all:
        return range(len(step.constants))
    return [index for index, value in enumerate(step.constants) if value is None]
