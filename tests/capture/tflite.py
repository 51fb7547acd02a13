"""Tiny `.tflite` files made on the spot, one operator each, for LiteRT and for ours to read."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import pytest

flatbuffers = pytest.importorskip("flatbuffers")

TYPES = {np.dtype(np.float32): 0, np.dtype(np.float16): 1, np.dtype(np.int32): 2}


@dataclass(frozen=True)
class Op:
    """An operator: `code` and `options_kind` of the schema, `options` as (field number, kind, value)."""

    code: int
    options_kind: int = 0
    options: Sequence[tuple[int, str, object]] = ()
    constants: Sequence[np.ndarray] = field(default_factory=tuple)


def model(op: Op, input_shape: Sequence[int], output_shape: Sequence[int]) -> bytes:
    """A network of one operator: the input first, then its constants."""
    return chain([(op, output_shape)], input_shape)


def chain(ops: Sequence[tuple[Op, Sequence[int]]], input_shape: Sequence[int]) -> bytes:
    """Operators one after the other, each with the shape of its output."""
    builder = flatbuffers.Builder(1024)
    buffers, tensors, operators, codes = [_table(builder, [])], [], [], []
    tensors.append(_tensor(builder, input_shape, 0, 0))
    current = 0
    for op, shape in ops:
        inputs = [current]
        for constant in op.constants:
            data = _vector(builder, np.frombuffer(constant.tobytes(), np.uint8), 16)
            buffers.append(_table(builder, [(0, "offset", data)]))
            inputs.append(len(tensors))
            tensors.append(_tensor(builder, constant.shape, TYPES[constant.dtype], len(buffers) - 1))
        options = _table(builder, op.options) if op.options_kind else 0
        current = len(tensors)
        tensors.append(_tensor(builder, shape, 0, 0))
        fields = [
            (0, "Uint32", len(codes)),
            (1, "offset", _ints(builder, inputs)),
            (2, "offset", _ints(builder, [current])),
        ]
        if options:
            fields += [(3, "Uint8", op.options_kind), (4, "offset", options)]
        operators.append(_table(builder, fields))
        codes.append(_table(builder, [(0, "Int8", min(op.code, 127)), (2, "Int32", 1), (3, "Int32", op.code)]))
    graph = _table(
        builder,
        [
            (0, "offset", _offsets(builder, tensors)),
            (1, "offset", _ints(builder, [0])),
            (2, "offset", _ints(builder, [current])),
            (3, "offset", _offsets(builder, operators)),
        ],
    )
    whole = _table(
        builder,
        [
            (0, "Uint32", 3),
            (1, "offset", _offsets(builder, codes)),
            (2, "offset", _offsets(builder, [graph])),
            (4, "offset", _offsets(builder, buffers)),
        ],
    )
    builder.Finish(whole, file_identifier=b"TFL3")
    return bytes(builder.Output())


def _table(builder, fields) -> int:
    builder.StartObject(12)
    for number, kind, value in fields:
        if kind == "offset":
            builder.PrependUOffsetTRelativeSlot(number, value, 0)
        else:
            getattr(builder, f"Prepend{kind}Slot")(number, value, None)
    return builder.EndObject()


def _tensor(builder, shape, kind, buffer) -> int:
    sizes, name = _ints(builder, shape), builder.CreateString("tensor")
    return _table(builder, [(0, "offset", sizes), (1, "Int8", kind), (2, "Uint32", buffer), (3, "offset", name)])


def _ints(builder, values) -> int:
    return _vector(builder, np.array(values, np.int32), 4)


def _vector(builder, values: np.ndarray, alignment: int) -> int:
    builder.StartVector(values.itemsize, len(values), alignment)
    for value in values[::-1]:
        (builder.PrependInt32 if values.dtype == np.int32 else builder.PrependUint8)(int(value))
    return builder.EndVector()


def _offsets(builder, places) -> int:
    builder.StartVector(4, len(places), 4)
    for place in reversed(places):
        builder.PrependUOffsetTRelative(place)
    return builder.EndVector()
