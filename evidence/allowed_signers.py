"""Who may sign: files in the format that OpenSSH calls ``allowed_signers`` (ssh-keygen(1), ALLOWED SIGNERS).

One line a key: principals, options, key type, key. Of the options ``namespaces``, ``valid-after`` and ``valid-before``
are known here; times are UTC, with or without the ``Z`` (ssh-keygen takes those without one as local).
"""

import fnmatch
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import load_ssh_public_key

from evidence.keys import is_weak
from processes.errors import UsageError

NAMESPACE = "gonogo"

_LINE = re.compile(
    r'(?P<principals>"[^"]+"|[^\s"]+)\s+(?:(?P<options>[a-z-]+(?:="[^"]*")?(?:,[a-z-]+(?:="[^"]*")?)*)\s+)?'
    r"(?P<type>(?:ssh|ecdsa|sk)-\S+)\s+(?P<key>\S+)(?:\s+.*)?"
)
_TIMES = {8: "%Y%m%d", 12: "%Y%m%d%H%M", 14: "%Y%m%d%H%M%S"}


@dataclass(frozen=True)
class Signer:
    """One allowed key; its times are aware UTC, None where there is no limit."""

    principals: tuple[str, ...]
    key: Ed25519PublicKey
    valid_after: datetime | None = None
    valid_before: datetime | None = None

    def valid_at(self, at: datetime) -> bool:
        """Whether the key may sign at an aware time."""
        return (self.valid_after is None or self.valid_after <= at) and (
            self.valid_before is None or at < self.valid_before
        )


def read_allowed_signers(path: Path) -> tuple[Signer, ...]:
    """The signers of a file; none when there is no file. Raises UsageError, naming the line."""
    if not path.exists():
        return ()
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"{path}: cannot be read: {error}") from error
    return parse_allowed_signers(text, name=str(path))


def parse_allowed_signers(text: str, *, name: str) -> tuple[Signer, ...]:
    """The signers of a text. Raises UsageError that begins with ``name`` and the line."""
    return tuple(_signers(text, name))


def _signers(text: str, name: str) -> Iterator[Signer]:
    for number, line in enumerate(text.split("\n"), start=1):
        stripped = line.strip()
        if not stripped or stripped.startswith("#"):
            continue
        try:
            signer = _signer(stripped)
        except (ValueError, UnsupportedAlgorithm) as error:
            raise UsageError(f"{name}:{number}: {error}") from error
        if signer is not None:
            yield signer


def _signer(line: str) -> Signer | None:
    """The signer of a line; None when the line is for other namespaces."""
    match = _LINE.fullmatch(line)
    if match is None:
        raise ValueError("expected: principals [options] ssh-ed25519 key")
    if match["type"] != "ssh-ed25519":
        raise ValueError(f"expected an ssh-ed25519 key, not {match['type']}")
    key = load_ssh_public_key(f"{match['type']} {match['key']}".encode())
    assert isinstance(key, Ed25519PublicKey)
    if is_weak(key):
        raise ValueError("this key verifies signatures that nobody made: it is of small order")
    options = dict(found := list(_options(match["options"] or "")))
    if len(options) != len(found):
        raise ValueError("an option is given twice")
    if "!" in options.get("namespaces", ""):
        raise ValueError("namespaces that are taken out with ! are not known here")
    if not any(fnmatch.fnmatchcase(NAMESPACE, pattern) for pattern in options.get("namespaces", "*").split(",")):
        return None
    return Signer(
        principals=tuple(match["principals"].strip('"').split(",")),
        key=key,
        valid_after=_time(options.get("valid-after")),
        valid_before=_time(options.get("valid-before")),
    )


def _options(text: str) -> Iterator[tuple[str, str]]:
    for name, value in re.findall(r'([a-z-]+)(?:="([^"]*)")?', text):
        if name not in ("namespaces", "valid-after", "valid-before"):
            raise ValueError(f"the option {name} is not known here: such a key cannot be judged")
        yield name, value


def _time(text: str | None) -> datetime | None:
    if text is None:
        return None
    digits = text.removesuffix("Z")
    if not digits.isdigit() or len(digits) not in _TIMES:
        raise ValueError(f"expected a time such as 20251022 or 202510221400Z, not {text!r}")
    return datetime.strptime(digits, _TIMES[len(digits)]).replace(tzinfo=UTC)


def line_of(principals: Sequence[str], public_key: str) -> str:
    """A line that allows an OpenSSH public key (``ssh-ed25519 AAAA…``) to sign in our namespace."""
    return f'{",".join(principals)} namespaces="{NAMESPACE}" {public_key}\n'
