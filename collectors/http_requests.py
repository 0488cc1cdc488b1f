"""HTTP requests as a plan declares them, and what came back: nothing here knows any one service."""

import json
import re
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal

import httpx
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, JsonValue, model_validator

from processes.errors import IntegrityError

_LARGEST_ANSWER_BYTES = 5_000_000
_CONNECT_S = 2.0


class _Missing:
    def __repr__(self) -> str:
        return "missing"


MISSING = _Missing()
"""What ``value_at`` returns for a field that an answer does not have: not the same as a null."""


def _is_local(path: str) -> str:
    if not path.startswith("/") or path.startswith("//"):
        raise ValueError("expected a path of the target that starts with one /")
    return path


LocalPath = Annotated[str, AfterValidator(_is_local)]


class DeclaredRequest(BaseModel):
    """One request and what its answer must be.

    ``{name}`` in the path, headers and body is replaced by a value that an earlier request saved. ``text`` is a body
    sent as it stands (malformed JSON, say). ``expect`` lists the statuses that are right; empty: any 2xx. ``equals``
    and ``has`` name fields by dots (``metadata.tags.0``). ``save`` maps a name to a field of the answer.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    method: Literal["GET", "POST", "PUT", "PATCH", "DELETE"] = "GET"
    path: LocalPath
    headers: dict[str, str] = Field(default_factory=dict)
    body: JsonValue = None
    text: str | None = None
    expect: tuple[int, ...] = ()
    has: tuple[str, ...] = ()
    equals: dict[str, JsonValue] = Field(default_factory=dict)
    save: dict[str, str] = Field(default_factory=dict)

    @model_validator(mode="before")
    @classmethod
    def _one_status(cls, declared: Any) -> Any:
        if isinstance(declared, dict) and isinstance(declared.get("expect"), int):
            return {**declared, "expect": (declared["expect"],)}
        return declared

    @model_validator(mode="after")
    def _one_body(self) -> "DeclaredRequest":
        if self.body is not None and self.text is not None:
            raise ValueError("expected a body or a text, not both")
        return self


@dataclass(frozen=True)
class Exchange:
    """A request with its answer. ``status`` is None when none came, and ``error`` then says why."""

    method: str
    path: str
    status: int | None
    media_type: str
    text: str
    json: Any
    elapsed_ms: float
    error: str | None = None

    @property
    def name(self) -> str:
        """How messages refer to it."""
        return f"{self.method} {self.path}"

    def record(self) -> dict[str, JsonValue]:
        """What evidence keeps of it: the body, and no header."""
        return {
            "method": self.method,
            "path": self.path,
            "status": self.status,
            "media_type": self.media_type,
            "elapsed_ms": self.elapsed_ms,
            "body": self.text,
            "error": self.error,
        }


def read_exchange(entry: Mapping[str, Any]) -> Exchange:
    """The exchange that ``record`` kept. Raises KeyError."""
    status, text = entry["status"], entry["body"]
    return Exchange(
        method=entry["method"],
        path=entry["path"],
        status=status,
        media_type=entry["media_type"],
        text=text,
        json=MISSING if status is None else _json(text),
        elapsed_ms=entry["elapsed_ms"],
        error=entry["error"],
    )


Ask = Callable[[DeclaredRequest, Mapping[str, JsonValue]], Exchange]
"""Sends a request, with the values saved so far filled in."""


def over(client: httpx.Client, within_s: float) -> Ask:
    """Ask over HTTP. A transport error or an answer later than ``within_s`` is an exchange without a status."""
    return lambda request, saved: _send(client, request, saved, within_s)


def played_back(exchanges: Iterable[Exchange]) -> Ask:
    """Ask nobody: give recorded exchanges again, in their order. Raises IntegrityError for any other request."""
    left = iter(exchanges)

    def ask(request: DeclaredRequest, saved: Mapping[str, JsonValue]) -> Exchange:
        exchange, asked = next(left, None), f"{request.method} {_filled(request.path, saved)}"
        if exchange is None or exchange.name != asked:
            recorded = "no more exchange" if exchange is None else exchange.name
            raise IntegrityError(f"{asked} was to be asked next, and {recorded} was recorded")
        return exchange

    return ask


@dataclass
class Conversation:
    """Requests to one target in turn: what they saved, and every exchange so far."""

    answer: Ask
    saved: dict[str, JsonValue] = field(default_factory=dict)
    exchanges: list[Exchange] = field(default_factory=list)

    def send(self, request: DeclaredRequest) -> Exchange:
        """Send one request."""
        exchange = self.answer(request, self.saved)
        self.exchanges.append(exchange)
        for name, path in request.save.items():
            value = value_at(exchange.json, path)
            if value is not MISSING:
                self.saved[name] = value
        return exchange

    def ask(self, request: DeclaredRequest) -> tuple[Exchange, list[str]]:
        """Send one request; returns the exchange and in what the answer is not what was declared."""
        exchange = self.send(request)
        return exchange, problems_of_answer(exchange, request, self.saved)


def open_client(url: str, headers: Mapping[str, str] | None = None) -> httpx.Client:
    """A client of one target that ignores proxies of the environment and never follows redirects."""
    return httpx.Client(base_url=url, headers=dict(headers or {}), trust_env=False, follow_redirects=False)


def problems_of_answer(exchange: Exchange, request: DeclaredRequest, saved: Mapping[str, JsonValue]) -> list[str]:
    """In what an answer is not what its request declares; empty when it is."""
    if exchange.status is None:
        return [f"{exchange.name}: {exchange.error}"]
    right = exchange.status in request.expect if request.expect else 200 <= exchange.status < 300
    if not right:
        expected = " or ".join(map(str, request.expect)) or "2xx"
        return [f"{exchange.name} answered {exchange.status}, expected {expected}"]
    problems = [
        f"{exchange.name}: {path} is missing"
        for path in (*request.has, *request.save.values())
        if value_at(exchange.json, path) is MISSING
    ]
    for path, declared in request.equals.items():
        expected_value, observed = _filled(declared, saved), value_at(exchange.json, path)
        if observed is MISSING or not same_json(observed, expected_value):
            problems.append(f"{exchange.name}: {path} is {shown(observed)}, expected {shown(expected_value)}")
    return problems


def value_at(answer: Any, path: str) -> Any:
    """The value at a dotted path of a JSON value; MISSING when there is none."""
    for part in path.split("."):
        if isinstance(answer, dict) and part in answer:
            answer = answer[part]
        elif isinstance(answer, list) and part.isdecimal() and int(part) < len(answer):
            answer = answer[int(part)]
        else:
            return MISSING
    return answer


def same_json(left: Any, right: Any) -> bool:
    """Whether two JSON values are the same; True is not 1, the order of keys does not matter."""
    return json.dumps(left, sort_keys=True) == json.dumps(right, sort_keys=True)


def shown(value: Any) -> str:
    """A JSON value, short enough for a message."""
    text = repr(value) if value is MISSING else json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 120 else f"{text[:119]}…"


def _send(client: httpx.Client, request: DeclaredRequest, saved: Mapping[str, JsonValue], within_s: float) -> Exchange:
    path = str(_filled(request.path, saved))
    headers = {name: str(_filled(value, saved)) for name, value in request.headers.items()}
    content = request.text.encode() if request.text is not None else None
    if request.body is not None:
        content = json.dumps(_filled(request.body, saved)).encode()
    if content is not None and not any(name.lower() == "content-type" for name in headers):
        headers["content-type"] = "application/json"
    timeout = httpx.Timeout(within_s, connect=min(_CONNECT_S, within_s))
    started = time.monotonic()
    try:
        with client.stream(request.method, path, headers=headers, content=content, timeout=timeout) as answer:
            raw = _read(answer, started + within_s)
    except (httpx.TransportError, httpx.InvalidURL, httpx.DecodingError) as error:
        why = f"no answer: {type(error).__name__} {error}".rstrip()
        return Exchange(request.method, path, None, "", "", MISSING, _since_ms(started), why)
    if isinstance(raw, str):
        return Exchange(request.method, path, None, "", "", MISSING, _since_ms(started), f"no answer: {raw}")
    elapsed_ms = _since_ms(started)
    text = raw.decode(errors="replace")
    media_type = answer.headers.get("content-type", "").partition(";")[0].strip().lower()
    return Exchange(request.method, path, answer.status_code, media_type, text, _json(text), elapsed_ms)


def _read(answer: httpx.Response, deadline_s: float) -> bytes | str:
    """The whole body, or why there is none: a body that trickles in keeps every single read within its time-out."""
    raw = bytearray()
    for chunk in answer.iter_bytes():
        raw += chunk
        if len(raw) > _LARGEST_ANSWER_BYTES:
            return f"the body is larger than {_LARGEST_ANSWER_BYTES} bytes"
        if time.monotonic() > deadline_s:
            return "the body did not end in time"
    return bytes(raw)


def _json(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return MISSING


def _filled(declared: JsonValue, saved: Mapping[str, JsonValue]) -> JsonValue:
    if isinstance(declared, str):
        if (whole := re.fullmatch(r"\{(\w+)\}", declared)) and whole[1] in saved:
            return saved[whole[1]]
        return re.sub(r"\{(\w+)\}", lambda m: str(saved.get(m[1], m[0])), declared)
    if isinstance(declared, list):
        return [_filled(item, saved) for item in declared]
    if isinstance(declared, dict):
        return {key: _filled(value, saved) for key, value in declared.items()}
    return declared


def _since_ms(started_s: float) -> float:
    return round((time.monotonic() - started_s) * 1000, 3)
