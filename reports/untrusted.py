"""Text from plans and evidence is untrusted: it may not move a cursor, turn the writing direction or flood a report."""

import unicodedata
from typing import Any, TypeVar

from pydantic import BaseModel

LONGEST = 400
_INVISIBLE = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})

V = TypeVar("V", bound=BaseModel)


def neutral(text: str) -> str:
    """``text`` on one line: controls, format and direction characters become U+FFFD, long text is cut and says so."""
    cut = text[:LONGEST]
    shown = "".join(" " if c in "\t\n\r\v\f" else "\ufffd" if unicodedata.category(c) in _INVISIBLE else c for c in cut)
    left = len(text) - len(cut)
    return " ".join(shown.split()) + (f" [{left:,} more characters]" if left else "")


def neutralised(view: V) -> V:
    """A copy of a view, every string in it made neutral."""
    return type(view).model_validate(_neutral(view.model_dump()))


def _neutral(node: Any) -> Any:
    if isinstance(node, str):
        return neutral(node)
    if isinstance(node, dict):
        return {key: _neutral(value) for key, value in node.items()}
    if isinstance(node, list | tuple):
        return [_neutral(value) for value in node]
    return node
