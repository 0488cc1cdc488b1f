"""Typed criteria of a claim: which value of a result must lie where."""

import math
import types
from collections.abc import Iterator, Sequence
from typing import Annotated, Literal, Union, get_args, get_origin

from pydantic import BaseModel, BeforeValidator, ConfigDict, model_validator
from pydantic.fields import FieldInfo

from decision.quantities import Number, parse_number
from evidence.kinds import RESULTS
from evidence.results import Result

Holds = Literal["yes", "no", "too-little", "undetermined"]
"""too-little: more of the same measurement could still reach the limit; undetermined: the value is not known."""

_UNDETERMINED = frozenset({"not-proven", "frozen", "unfinished"})


def _literal(value: object) -> object:
    """Read ``98%`` as a number, keep words and truth values."""
    if isinstance(value, bool):
        return value
    try:
        return parse_number(value)
    except ValueError:
        return value


class Criterion(BaseModel):
    """Limits for one field of a result. All given limits must hold; at least one is given.

    ``all_of`` holds further criteria for the same field.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    at_least: Number | None = None
    at_most: Number | None = None
    within: tuple[Number, Number] | None = None
    equals: Annotated[bool | float | str, BeforeValidator(_literal)] | None = None
    all_of: tuple["Criterion", ...] = ()

    @model_validator(mode="after")
    def _says_something(self) -> "Criterion":
        if not self.all_of and not self._own_limits():
            raise ValueError("a criterion needs one of at_least, at_most, within, equals, all_of")
        if self.within and self.within[0] > self.within[1]:
            raise ValueError("within expects [low, high]")
        return self

    def _own_limits(self) -> bool:
        return any(limit is not None for limit in (self.at_least, self.at_most, self.within, self.equals))

    def __str__(self) -> str:
        parts = []
        if self.at_least is not None:
            parts.append(f">= {self.at_least:g}")
        if self.at_most is not None:
            parts.append(f"<= {self.at_most:g}")
        if self.within is not None:
            parts.append(f"within {self.within[0]:g} .. {self.within[1]:g}")
        if self.equals is not None:
            parts.append(f"= {_plain(self.equals)}")
        return " and ".join([*parts, *map(str, self.all_of)])


class CriterionResult(BaseModel):
    """One criterion held against one observed value. ``margin`` is the distance to the nearest limit, signed:
    negative when the limit is missed; None where a distance has no meaning."""

    model_config = ConfigDict(frozen=True)

    field: str
    limit: str
    observed: bool | float | str | None
    holds: Holds
    margin: float | None


def evaluate(field: str, criterion: Criterion, result: Result) -> CriterionResult:
    """Hold ``criterion`` against ``result.field``. Unknown values and NaN never hold."""
    observed = getattr(result, field)
    holds: Holds
    margin: float | None = None
    if observed is None or observed != observed or (isinstance(observed, str) and observed in _UNDETERMINED):
        holds = "undetermined"
    else:
        parts = list(_flat(criterion))
        if isinstance(observed, int | float) and not isinstance(observed, bool):
            margin = min((m for part in parts for m in _margins(part, float(observed))), default=None)
        held = {_holds(part, observed, type(result), field) for part in parts}
        holds = "no" if "no" in held else "too-little" if "too-little" in held else "yes"
    return CriterionResult(field=field, limit=str(criterion), observed=observed, holds=holds, margin=margin)


def _flat(criterion: Criterion) -> Iterator[Criterion]:
    """The criterion's own limits, and each of those it holds."""
    if criterion._own_limits():
        yield criterion
    for part in criterion.all_of:
        yield from _flat(part)


def _holds(part: Criterion, observed: bool | float | str, model: type[Result], field: str) -> Holds:
    if isinstance(observed, bool) or not isinstance(observed, int | float):
        return "yes" if type(observed) is type(part.equals) and observed == part.equals else "no"
    missed = any(value < 0 for value in _margins(part, float(observed)))
    if not missed and (part.equals is None or observed == part.equals):
        return "yes"
    return "too-little" if _is_amount(model, field, part, observed) else "no"


def _margins(criterion: Criterion, observed: float) -> Iterator[float]:
    if criterion.at_least is not None:
        yield observed - criterion.at_least
    if criterion.at_most is not None:
        yield criterion.at_most - observed
    if criterion.within is not None:
        yield min(observed - criterion.within[0], criterion.within[1] - observed)


def _is_amount(model: type[Result], field: str, criterion: Criterion, observed: float) -> bool:
    """Whether the value says how much was seen, and only falls short: then more of it can still prove the claim."""
    extra = model.model_fields[field].json_schema_extra
    amount = isinstance(extra, dict) and extra.get("amount") is True
    return amount and criterion.at_least is not None and observed < criterion.at_least


def problems_of(kind: str, criteria: dict[str, Criterion]) -> list[str]:
    """What no evidence of ``kind`` could ever satisfy: unknown fields, limits of the wrong type, values never taken."""
    model = RESULTS[kind]
    found = []
    for name, criterion in criteria.items():
        field = model.model_fields.get(name)
        if field is None:
            known = ", ".join(sorted(n for n, f in model.model_fields.items() if _simple(f.annotation)))
            found.append(f"{kind} evidence has no field {name!r}; it has {known}")
            continue
        found += _impossible(name, field, list(_flat(criterion)))
    return found


def _impossible(name: str, field: FieldInfo, parts: Sequence[Criterion]) -> Iterator[str]:
    """Why no value of a field can satisfy all parts of its criterion."""
    choices = _simple(field.annotation)
    limits = [limit for part in parts for limit in (part.at_least, part.at_most, *(part.within or ()))]
    wanted = [part.equals for part in parts if part.equals is not None]
    if not parts:
        yield f"{name}: all_of holds no limit"
    elif not choices:
        yield f"{name} is no single value: criteria cannot use it"
    elif any(limit is not None for limit in limits) and not choices & {int, float}:
        yield f"{name} is no number: use equals"
    elif impossible := [value for value in wanted if not _can_equal(choices, value)]:
        expected = " or ".join(sorted(str(c) for c in choices if isinstance(c, str))) or "another type"
        yield f"{name} is never {_plain(impossible[0])}: expected {expected}"
    elif choices & {int, float}:
        yield from _empty_range(name, field, parts)
    elif len(set(wanted)) > 1:
        yield f"{name} cannot equal two values at once"


def _empty_range(name: str, field: FieldInfo, parts: Sequence[Criterion]) -> Iterator[str]:
    low, high = _range_of(field)
    exact = [float(part.equals) for part in parts if isinstance(part.equals, int | float)]
    at_least = [*(p.at_least for p in parts if p.at_least is not None), *(p.within[0] for p in parts if p.within)]
    at_most = [*(p.at_most for p in parts if p.at_most is not None), *(p.within[1] for p in parts if p.within)]
    if (bottom := max([*at_least, *exact], default=low)) > high:
        share = f" (a share: {bottom:g}% is meant?)" if high == 1 else ""
        yield f"{name} is never above {high:g}: {bottom:g} cannot be reached{share}"
    elif (top := min([*at_most, *exact], default=high)) < low:
        yield f"{name} is never below {low:g}: {top:g} cannot be reached"
    elif bottom > top:
        yield f"{name}: no value is at least {bottom:g} and at most {top:g}"


def _range_of(field: FieldInfo) -> tuple[float, float]:
    """The lowest and highest value that a field's type allows."""
    low, high = -math.inf, math.inf
    for found in (*field.metadata, *_metadata_of(field.annotation)):
        low = max(low, float(getattr(found, "ge", low)))
        high = min(high, float(getattr(found, "le", high)))
    return low, high


def _metadata_of(annotation: object) -> Iterator[object]:
    """The constraints inside ``X | None`` and ``Annotated``; a FieldInfo among them holds its own."""
    for part in get_args(annotation) if get_origin(annotation) in (types.UnionType, Union, Annotated) else ():
        if isinstance(part, FieldInfo):
            yield from part.metadata
        elif get_origin(part) is Annotated:
            yield from _metadata_of(part)


def _simple(annotation: object) -> set[object]:
    """The simple types or literal values that an annotation allows; empty for collections and models."""
    origin = get_origin(annotation)
    if origin is Literal:
        return set(get_args(annotation))
    if origin in (types.UnionType, Union):
        return set().union(*(_simple(part) for part in get_args(annotation) if part is not type(None)))
    if origin is Annotated:
        return _simple(get_args(annotation)[0])
    return {annotation} if annotation in (int, float, bool, str) else set()


def _can_equal(choices: set[object], value: bool | float | str) -> bool:
    if isinstance(value, bool):
        return bool in choices
    if isinstance(value, str):
        return str in choices or value in choices
    return bool(choices & {int, float})


def _plain(value: bool | float | str) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:g}" if isinstance(value, float) else value
