"""Read a release plan from YAML; every error names file, line, key and what was expected."""

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError
from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap, CommentedSeq
from ruamel.yaml.error import MarkedYAMLError, YAMLError

from decision.plan import BrokenReferences, Plan
from processes.errors import UsageError, first_line


class PlanError(UsageError):
    """The release plan is wrong; each line of the message names a place and what was expected."""


_LARGEST_BYTES = 2_000_000
_MOST_VALUES = 100_000


@dataclass(frozen=True)
class PlanFile:
    """A plan with the file it came from. ``digest`` is the sha256 of the file's bytes, in hex."""

    plan: Plan
    path: Path
    digest: str

    @property
    def base(self) -> Path:
        """The folder that the plan's relative paths start from."""
        return self.path.parent

    def resolve(self, path: Path) -> Path:
        """A path of the plan as an absolute one."""
        return (self.base / path).resolve()


def read_plan(path: Path) -> PlanFile:
    """Read and validate a plan. Raises PlanError."""
    try:
        content = path.read_bytes()
    except OSError as error:
        raise PlanError(f"{path}: cannot be read: {error.strerror}") from error
    return parse_plan(content, path)


def parse_plan(content: bytes, path: Path) -> PlanFile:
    """Validate the bytes of a plan that came from ``path``. Raises PlanError."""
    if len(content) > _LARGEST_BYTES:
        raise PlanError(f"{path}: is larger than {_LARGEST_BYTES:,} bytes")
    document = _document(content, path)
    try:
        plan = Plan.model_validate(_plain(document, [_MOST_VALUES]))
    except ValidationError as error:
        lines = [line for details in error.errors() for line in _explain(path, document, details)]
        raise PlanError("\n".join(lines)) from error
    return PlanFile(plan=plan, path=path.resolve(), digest=hashlib.sha256(content).hexdigest())


def check_users(plan_file: PlanFile, path: Path) -> None:
    """Raise PlanError where the plan, read from ``path``, names users whose file does not exist."""
    document = _document(path.read_bytes(), path)
    missing = [
        _at(path, document, ("collect", name, "users"), f"there is no file {users}")
        for name, collect in plan_file.plan.collect.items()
        if (users := getattr(collect, "users", None)) is not None and not plan_file.resolve(users).is_file()
    ]
    if missing:
        raise PlanError("\n".join(missing))


def _document(content: bytes, path: Path) -> CommentedMap:
    try:
        document = YAML(typ="rt").load(content.decode())
    except UnicodeDecodeError as error:
        raise PlanError(f"{path}: is not UTF-8 text") from error
    except MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise PlanError(f"{path}:{line}: {error.problem}") from error
    except YAMLError as error:
        raise PlanError(f"{path}: is no valid YAML: {error}") from error
    except (ValueError, RecursionError) as error:  # a date that is none, a number too long, too deep a nesting
        raise PlanError(f"{path}: holds a value that cannot be read: {first_line(error)}") from error
    if not isinstance(document, CommentedMap):
        raise PlanError(f"{path}:1: expected a mapping with the keys version, release, subject, …")
    return document


def _plain(node: Any, left: list[int]) -> Any:
    """YAML nodes as plain values (scalars of ruamel are subclasses, which strict types refuse).

    ``left`` holds how many values may still come: an alias of an alias of an alias can stand for millions.
    """
    left[0] -= 1
    if left[0] < 0:
        raise PlanError(f"the plan holds more than {_MOST_VALUES:,} values")
    if isinstance(node, CommentedMap):
        return {str(key): _plain(value, left) for key, value in node.items()}
    if isinstance(node, CommentedSeq):
        return [_plain(value, left) for value in node]
    for plain_type in (bool, int, float, str):
        if isinstance(node, plain_type):
            return plain_type(node)
    return node


def _explain(path: Path, document: CommentedMap, details: Any) -> Iterator[str]:
    cause = details.get("ctx", {}).get("error")
    if isinstance(cause, BrokenReferences):
        for place, message in cause.problems:
            yield _at(path, document, place, message)
        return
    message = details["msg"].removeprefix("Value error, ")
    if details["type"] == "missing":
        message = f"is missing: expected the key {details['loc'][-1]!r}"
    elif details["type"] == "extra_forbidden":
        message = "is not a key that gonogo knows here"
    elif details["type"] != "value_error" and not isinstance(details["input"], dict | list | tuple):
        message = f"{message}, not {details['input']!r}"
    yield _at(path, document, details["loc"], message)


def _at(path: Path, document: CommentedMap, location: Sequence[str | int], message: str) -> str:
    line, key = _place(document, [part for part in location if part != "[key]"])
    return f"{path}:{line}: {key or 'plan'}: {message}"


def _place(document: CommentedMap, location: Sequence[str | int]) -> tuple[int, str]:
    """The line (from 1) and dotted key of a pydantic location; parts that are no keys (union tags) are passed over."""
    node: Any = document
    line, keys = 1, []
    for part in location:
        if isinstance(node, CommentedMap) and part in node:
            line = node.lc.key(part)[0] + 1
        elif isinstance(node, CommentedSeq) and isinstance(part, int) and part < len(node):
            line = node.lc.item(part)[0] + 1
        else:
            if part == location[-1] and isinstance(node, CommentedMap) and part != node.get("kind"):
                keys.append(str(part))
            continue
        keys.append(str(part))
        node = node[part]
    return line, ".".join(keys)
