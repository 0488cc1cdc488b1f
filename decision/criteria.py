"""Typed criteria of a claim: which value of a result must lie where."""

import types
from collections.abc import Iterator
from typing import Annotated, Literal, Union, get_args, get_origin

from pydantic import BaseModel, BeforeValidator, ConfigDict, model_validator

from decision.quantities import Number, parse_number
from evidence.results import RESULTS, Result

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
    """Limits for one field of a result. All given limits must hold; at least one is given."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    at_least: Number | None = None
    at_most: Number | None = None
    within: tuple[Number, Number] | None = None
    equals: Annotated[bool | float | str, BeforeValidator(_literal)] | None = None

    @model_validator(mode="after")
    def _says_something(self) -> "Criterion":
        if not self.model_fields_set:
            raise ValueError("a criterion needs one of at_least, at_most, within, equals")
        if self.within and self.within[0] > self.within[1]:
            raise ValueError("within expects [low, high]")
        return self

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
        return " and ".join(parts)


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
    elif isinstance(observed, int | float) and not isinstance(observed, bool):
        margins = list(_margins(criterion, float(observed)))
        margin = min(margins) if margins else None
        missed = any(value < 0 for value in margins) or (criterion.equals is not None and observed != criterion.equals)
        holds = "yes" if not missed else "too-little" if _is_amount(type(result), field, criterion, observed) else "no"
    else:
        holds = "yes" if type(observed) is type(criterion.equals) and observed == criterion.equals else "no"
    return CriterionResult(field=field, limit=str(criterion), observed=observed, holds=holds, margin=margin)


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
        choices = _simple(field.annotation)
        ordered = criterion.at_least is not None or criterion.at_most is not None or criterion.within is not None
        if not choices:
            found.append(f"{name} is no single value: criteria cannot use it")
        elif ordered and not choices & {int, float}:
            found.append(f"{name} is no number: use equals")
        elif criterion.equals is not None and not _can_equal(choices, criterion.equals):
            expected = " or ".join(sorted(str(c) for c in choices if isinstance(c, str))) or "another type"
            found.append(f"{name} is never {_plain(criterion.equals)}: expected {expected}")
        elif (
            criterion.at_least is not None and criterion.at_most is not None and criterion.at_least > criterion.at_most
        ):
            found.append(f"{name}: at_least is above at_most")
    return found


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
