"""Results go to stdout: as text, or as JSON."""

import json
import sys
import unicodedata
from typing import Any


def print_json(value: Any) -> None:
    """Print a value as indented JSON; NaN is refused."""
    print(json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False, default=str))


def print_text(text: str) -> None:
    """Print text without control characters (evidence is untrusted), with stand-ins for what the encoding lacks."""
    encoding = sys.stdout.encoding or "utf-8"
    text = "".join(c if c == "\n" or unicodedata.category(c) not in ("Cc", "Cf") else "\ufffd" for c in text)
    print(text.encode(encoding, errors="replace").decode(encoding))
