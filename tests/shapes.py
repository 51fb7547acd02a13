"""A small run-time checker for the shapes in signatures; jaxtyping binds the axis names within one call."""

from __future__ import annotations

import functools
import inspect
import types
import typing
from collections.abc import Callable
from typing import Any

from jaxtyping import AbstractArray


def checked(function: Callable[..., Any]) -> Callable[..., Any]:
    """`function` with every array among its arguments and results checked against its annotation.

    Annotations that hold no array are left to mypy.
    """
    signature = inspect.signature(function)

    @functools.wraps(function)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        hints = _hints(function)
        for name, value in signature.bind(*args, **kwargs).arguments.items():
            _check(f"{function.__qualname__}: {name}", hints.get(name), value)
        result = function(*args, **kwargs)
        _check(f"{function.__qualname__}: result", hints.get("return"), result)
        return result

    return wrapper


@functools.cache
def _hints(function: Callable[..., Any]) -> dict[str, Any]:
    try:
        return typing.get_type_hints(function)
    except NameError:  # a name that exists for type checkers alone
        return {}


def _check(what: str, hint: Any, value: Any) -> None:
    origin, options = typing.get_origin(hint), typing.get_args(hint)
    if isinstance(hint, type) and issubclass(hint, AbstractArray):
        if not isinstance(value, hint):
            found = (str(value.dtype), tuple(value.shape)) if hasattr(value, "shape") else type(value).__name__
            raise TypeError(f"{what} must be {hint.__name__}, not {found}")
    elif origin in (types.UnionType, typing.Union):
        if value is not None:
            for option in options:
                if option is not type(None):
                    _check(what, option, value)
    elif origin is tuple and Ellipsis not in options and isinstance(value, tuple):
        for option, item in zip(options, value):
            _check(what, option, item)
