"""Reading a `.tflite` file: a network's operators, constants and inputs, without TensorFlow or LiteRT.

The file is a FlatBuffer (layout: FlatBuffers' "FlatBuffer Internals"; tables and field numbers: `schema.fbs` of
TensorFlow Lite). All numbers are little-endian. A table begins with the signed distance back to its vtable; the vtable
gives, for each field by number, where in the table it stands (0 = left at its default). Vectors, strings and tables are
reached by unsigned distances forward.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Any

import numpy as np

IDENTIFIER = b"TFL3"
# `TensorType` of the schema, those with fixed-size elements.
DTYPES = {0: "<f4", 1: "<f2", 2: "<i4", 3: "u1", 4: "<i8", 6: "?", 7: "<i2", 9: "i1"}
CUSTOM = 32  # the operator has a name of its own
# `BuiltinOperator` of the schema: those that are known by name here.
OPERATORS = {
    0: "ADD",
    1: "AVERAGE_POOL_2D",
    2: "CONCATENATION",
    3: "CONV_2D",
    4: "DEPTHWISE_CONV_2D",
    5: "DEPTH_TO_SPACE",
    6: "DEQUANTIZE",
    9: "FULLY_CONNECTED",
    14: "LOGISTIC",
    17: "MAX_POOL_2D",
    18: "MUL",
    19: "RELU",
    21: "RELU6",
    22: "RESHAPE",
    23: "RESIZE_BILINEAR",
    25: "SOFTMAX",
    28: "TANH",
    34: "PAD",
    39: "TRANSPOSE",
    40: "MEAN",
    41: "SUB",
    42: "DIV",
    43: "SQUEEZE",
    45: "STRIDED_SLICE",
    49: "SPLIT",
    54: "PRELU",
    59: "NEG",
    67: "TRANSPOSE_CONV",
    74: "SUM",
    75: "SQRT",
    76: "RSQRT",
    78: "POW",
    99: "SQUARED_DIFFERENCE",
    117: "HARD_SWISH",
    126: "BATCH_MATMUL",
    150: "GELU",
}


@dataclass(frozen=True)
class Table:
    """A table of the FlatBuffer: fields are read by their number in the schema."""

    data: bytes
    place: int

    def _field(self, number: int) -> int:
        """Where the field stands in the file, 0 where it is left out."""
        vtable = self.place - _read("<i", self.data, self.place)
        slot = 4 + 2 * number
        if slot >= _read("<H", self.data, vtable):
            return 0
        offset = _read("<H", self.data, vtable + slot)
        return self.place + offset if offset else 0

    def number(self, number: int, kind: str, default: Any = 0) -> Any:
        """A scalar; `kind` in the letters of `struct`."""
        place = self._field(number)
        return _read("<" + kind, self.data, place) if place else default

    def table(self, number: int) -> Table | None:
        """A table inside this one."""
        place = self._field(number)
        return Table(self.data, _forward(self.data, place)) if place else None

    def tables(self, number: int) -> list[Table]:
        """A vector of tables."""
        place, count = self._vector(number)
        return [Table(self.data, _forward(self.data, place + 4 * index)) for index in range(count)]

    def array(self, number: int, dtype: str) -> np.ndarray:
        """A vector of scalars (empty where it is left out); it shares the file's memory."""
        place, count = self._vector(number)
        return np.frombuffer(self.data, dtype, count, place) if count else np.empty(0, dtype)

    def _vector(self, number: int) -> tuple[int, int]:
        """(first byte, number of elements)."""
        place = self._field(number)
        if not place:
            return 0, 0
        start = _forward(self.data, place)
        return start + 4, _read("<I", self.data, start)


@dataclass(frozen=True)
class TensorInfo:
    """A tensor of the graph: its shape, its type, and its content where it is a constant."""

    shape: tuple[int, ...]
    dtype: np.dtype
    content: np.ndarray | None


@dataclass(frozen=True)
class Operation:
    """One step: the operator's name, its tensors by number (-1 = left out), its options (a table, or None).

    `custom` are the options of an operator that the schema does not know, as its author wrote them.
    """

    name: str
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    options: Table | None
    custom: bytes


@dataclass(frozen=True)
class Graph:
    """A network: tensors, steps in the order to run, and which tensors go in and come out."""

    tensors: tuple[TensorInfo, ...]
    operations: tuple[Operation, ...]
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]


def read_graph(content: bytes) -> Graph:
    """The first graph of a `.tflite` file. Raises `ValueError` where it is not one, or is damaged."""
    if content[4:8] != IDENTIFIER:
        raise ValueError("not a .tflite file")
    try:
        model = Table(content, _forward(content, 0))
        names = [_operator_name(code) for code in model.tables(1)]
        buffers = model.tables(4)
        graph = model.tables(2)[0]
        return Graph(
            tensors=tuple(_tensor(table, buffers) for table in graph.tables(0)),
            operations=tuple(_operation(table, names) for table in graph.tables(3)),
            inputs=_numbers(graph, 1),
            outputs=_numbers(graph, 2),
        )
    except (struct.error, IndexError, KeyError) as error:
        raise ValueError(f"damaged .tflite file ({error})") from None


def _operator_name(code: Table) -> str:
    # Codes above 126 do not fit the old field of one byte, which then says so.
    number = max(code.number(0, "b"), code.number(3, "i"))
    if number == CUSTOM:
        return code.array(1, "u1").tobytes().decode("utf-8", "replace")
    return OPERATORS.get(number, f"operator {number}")


def _tensor(table: Table, buffers: list[Table]) -> TensorInfo:
    shape = _numbers(table, 0)
    kind = table.number(1, "b")
    if kind not in DTYPES:
        raise ValueError(f"a tensor of type {kind} cannot be read")
    dtype = np.dtype(DTYPES[kind])
    data = buffers[table.number(2, "I")].array(0, "u1")
    content = data.view(dtype).reshape(shape) if len(data) else None
    return TensorInfo(shape, dtype, content)


def _operation(table: Table, names: list[str]) -> Operation:
    name, custom = names[table.number(0, "I")], table.array(5, "u1").tobytes()
    return Operation(name, _numbers(table, 1), _numbers(table, 2), table.table(4), custom)


def _numbers(table: Table, number: int) -> tuple[int, ...]:
    return tuple(int(value) for value in table.array(number, "<i4"))


def _forward(data: bytes, place: int) -> int:
    return place + _read("<I", data, place)


def _read(kind: str, data: bytes, place: int) -> Any:
    return struct.unpack_from(kind, data, place)[0]
