"""HTML by construction: text becomes markup only through `element`, which escapes it, so no file name can inject any.

Element and attribute names are the program's own; contents and attribute values may come from anywhere.
"""

from __future__ import annotations

import html
from collections.abc import Iterable
from typing import TypeAlias

VOID = frozenset({"meta", "img", "input", "br", "hr"})
DECIMALS = 2  # of coordinates


class Markup(str):
    """Text that is HTML already."""

    __slots__ = ()


Content: TypeAlias = "str | Markup | Iterable[Content] | None"
Value: TypeAlias = "str | float | bool | None"


def element(tag: str, /, *content: Content, **attributes: Value) -> Markup:
    """`<tag attributes>content</tag>`; text is escaped, None left out, sequences are put one after another.

    In attribute names a trailing underscore goes and others become hyphens (`class_`, `stroke_width`); True writes the
    name alone, False and None nothing, numbers are rounded to hundredths.
    """
    written = "".join(_attribute(key, value) for key, value in attributes.items())
    if tag in VOID:
        return Markup(f"<{tag}{written}>")
    return Markup(f"<{tag}{written}>{joined(content)}</{tag}>")


def joined(content: Content) -> Markup:
    """Pieces one after another, escaped where they are plain text."""
    if content is None:
        return Markup("")
    if isinstance(content, Markup):
        return content
    if isinstance(content, str):
        return Markup(html.escape(content))
    return Markup("".join(joined(part) for part in content))


def digits(value: float, decimals: int = DECIMALS) -> str:
    """A short decimal number: no exponent, no trailing zeros, no negative zero."""
    text = f"{value:.{decimals}f}"
    if "." in text:
        text = text.rstrip("0").rstrip(".")
    return "0" if text in ("-0", "") else text


def _attribute(key: str, value: Value) -> str:
    if value is None or value is False:
        return ""
    name = key.rstrip("_").replace("_", "-")
    if value is True:
        return f" {name}"
    text = value if isinstance(value, str) else digits(value)
    return f' {name}="{html.escape(text)}"'
