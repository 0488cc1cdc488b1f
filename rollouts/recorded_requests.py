"""The judge on requests that were recorded: one table for each arm.

The judge needs requests in time order. With times, only what was recorded while both arms served is compared, and the
rest is left out and said; without, the arms are taken as recorded side by side, each in its file's order. What is
missing or doubtful never makes a pass: it stays possible to show harm, and "non-inferior" becomes "not proven".
"""

from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from decision.objectives import Slo
from decision.quantities import Margin
from evidence.results import JudgedMetric
from rollouts.judge import Requests, judge, overall
from rollouts.recorded_values import HarmDirection, Series, judge_values

FALSE_HARM = 0.01
"""Probability that an equal canary is called harmful, over all metrics of one analysis."""
_METRICS = ("error-rate", "latency-p95")
_SLO: Slo = {}
_QUARTERS = 4
_ENOUGH_TO_TELL = 40
_ALONE_AT_MOST = 0.1
"""Share of the canary's rows that may lie where no baseline was recorded, and a pass still be shown."""

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Recorded:
    """Columns of one arm, NaN where nothing was recorded; ``at_s``: epoch seconds; ``users``: "" where unknown.

    ``measures`` holds either ``latency_ms`` and ``error`` (0 or 1), or one series of any name.
    """

    measures: dict[str, Floats]
    at_s: Floats | None = None
    users: NDArray[np.object_] | None = None

    def __len__(self) -> int:
        return len(next(iter(self.measures.values())))

    def of(self, rows: NDArray[np.bool_] | NDArray[np.intp]) -> "Recorded":
        """The same of some rows."""
        return Recorded(
            {name: column[rows] for name, column in self.measures.items()},
            None if self.at_s is None else self.at_s[rows],
            None if self.users is None else self.users[rows],
        )


@dataclass(frozen=True)
class Judgement:
    """The judge's answer. ``problems`` say why nothing better could be shown, ``notes`` what else was left out."""

    verdict: Literal["harm", "non-inferior", "not-proven"]
    metrics: tuple[JudgedMetric, ...]
    needs_requests: int | None
    problems: tuple[str, ...]
    notes: tuple[str, ...]


def judge_requests(baseline: Recorded, canary: Recorded) -> Judgement:
    """Judge error rate and P95 of requests (measures ``latency_ms`` and ``error``)."""
    baseline, canary = _slow_where_failed(baseline, canary)
    pair = _side_by_side(baseline, canary)
    doubtful = set(_METRICS) if pair.problems else set()
    if _never_varies(pair, "latency_ms"):
        pair.problems.append("latency_ms never varies: that is no measurement")
        doubtful.add("latency-p95")
    return _judgement(_judge_requests(pair.before, pair.after), pair, doubtful)


def judge_series(
    name: str, baseline: Recorded, canary: Recorded, direction: HarmDirection, margin: Margin
) -> Judgement:
    """Judge the one series of each arm; ``direction`` is the harmful one."""
    pair = _side_by_side(baseline, canary)
    before, after = (Series(arm.measures[name], arm.at_s) for arm in (pair.before, pair.after))
    doubtful = {name} if pair.problems else set()
    if _never_varies(pair, name):
        pair.problems.append(f"{name} never varies: that is no measurement")
    return _judgement((judge_values(name, before, after, direction, margin),), pair, doubtful)


def _never_varies(pair: "_Pair", measure: str) -> bool:
    values = np.concatenate([pair.before.measures[measure], pair.after.measures[measure]])
    return min(len(pair.before), len(pair.after)) > 0 and float(np.ptp(values)) == 0


def _judgement(metrics: tuple[JudgedMetric, ...], pair: "_Pair", doubtful: set[str]) -> Judgement:
    metrics = tuple(
        m.model_copy(update={"verdict": "not-proven"}) if m.name in doubtful and m.verdict == "non-inferior" else m
        for m in metrics
    )
    verdict = overall(metrics)
    missing = [metric.needs_requests for metric in metrics if metric.verdict == "not-proven"]
    known = [needs for needs in missing if needs is not None]
    return Judgement(
        verdict=verdict,  # type: ignore[arg-type]
        metrics=metrics,
        needs_requests=max(known)
        if verdict == "not-proven" and not doubtful and known and len(known) == len(missing)
        else None,
        problems=tuple(pair.problems),
        notes=tuple(pair.notes),
    )


def _slow_where_failed(*arms: Recorded) -> list[Recorded]:
    """A failed request without a latency is as slow as the slowest of all: many logs have none for a time-out."""
    slowest = max((float(np.nanmax(a.measures["latency_ms"], initial=0.0)) for a in arms if len(a)), default=0.0)
    filled = []
    for arm in arms:
        latency_ms, error = arm.measures["latency_ms"], arm.measures["error"]
        latency_ms = np.where(np.isnan(latency_ms) & (error == 1), slowest, latency_ms)
        filled.append(replace(arm, measures={"latency_ms": latency_ms, "error": error}))
    return filled


@dataclass(frozen=True)
class _Pair:
    """Both arms in time order, without what cannot be used. ``problems`` stand against any pass, ``notes`` do not."""

    before: Recorded
    after: Recorded
    problems: list[str]
    notes: list[str]


def _side_by_side(baseline: Recorded, canary: Recorded) -> _Pair:
    problems: list[str] = []
    before, after = (_usable(name, arm, problems) for name, arm in (("baseline", baseline), ("canary", canary)))
    if before.users is not None and after.users is not None:
        shared = (set(before.users) & set(after.users)) - {""}
        if shared:
            problems.append(f"{len(shared):,} users are in both arms, such as {min(shared)!r}")
    if before.at_s is None or after.at_s is None or not len(before) or not len(after):
        return _Pair(before, after, problems, [])
    return _at_the_same_time(before, after, problems)


def _usable(name: str, arm: Recorded, problems: list[str]) -> Recorded:
    usable = np.all([np.isfinite(column) for column in arm.measures.values()], axis=0)
    if arm.at_s is not None:
        usable &= np.isfinite(arm.at_s)
    if not usable.all():
        problems.append(f"{name}: {(~usable).sum():,} of {len(arm):,} rows lack a value and were left out")
    if not usable.any():
        problems.append(f"{name}: no row can be used" if len(arm) else f"{name}: holds no rows")
    arm = arm.of(usable)
    return arm if arm.at_s is None else arm.of(np.argsort(arm.at_s, kind="stable"))


def _at_the_same_time(before: Recorded, after: Recorded, problems: list[str]) -> _Pair:
    """What was recorded while both arms were; nothing of the baseline when they never were."""
    times = [arm.at_s for arm in (before, after) if arm.at_s is not None]
    begin, end = max(at_s[0] for at_s in times), min(at_s[-1] for at_s in times)
    inside = [(at_s >= begin) & (at_s <= end) for at_s in times]
    kept_before, kept_after = before.of(inside[0]), after.of(inside[1])
    if not (len(kept_before) and len(kept_after) and _interleaved(kept_before, kept_after)):
        problems.append("the arms were not recorded at the same time: hours would be compared, not versions")
        return _Pair(before.of(np.zeros(len(before), dtype=bool)), after, problems, [])
    alone_before, alone_after = (int((~part).sum()) for part in inside)
    notes = []
    if alone_before or alone_after:
        notes.append(
            f"{alone_before:,} baseline and {alone_after:,} canary rows were recorded while the other arm was not, "
            "and were left out"
        )
    if alone_after > _ALONE_AT_MOST * len(after):
        return _Pair(kept_before, kept_after, [*problems, *notes], [])
    return _Pair(kept_before, kept_after, problems, notes)


def _interleaved(before: Recorded, after: Recorded) -> bool:
    """Whether each quarter of the requests holds both arms (asked only when there are enough of both)."""
    if min(len(before), len(after)) < _ENOUGH_TO_TELL:
        return True
    is_canary = _order(before, after) >= len(before)
    return all(part.any() and not part.all() for part in np.array_split(is_canary, _QUARTERS))


def _judge_requests(before: Recorded, after: Recorded) -> tuple[JudgedMetric, ...]:
    order = _order(before, after)
    is_canary = order >= len(before)
    columns = {
        name: np.concatenate([before.measures[name], after.measures[name]])[order] for name in ("latency_ms", "error")
    }
    requests = Requests(is_canary, columns["error"] == 1, np.zeros(len(order), dtype=bool), columns["latency_ms"])
    judged = judge(requests, _SLO, harm_alpha=FALSE_HARM / len(_METRICS), intervals=True)
    # Rejections cannot be told from other answers in these files.
    return tuple(metric for metric in judged if metric.name in _METRICS)


def _order(before: Recorded, after: Recorded) -> NDArray[np.intp]:
    """Indices into baseline followed by canary, in time order; arms of one instant, or without times, evenly mixed."""
    within = np.concatenate([_places_within(before.at_s, len(before)), _places_within(after.at_s, len(after))])
    if before.at_s is None or after.at_s is None:
        return np.argsort(within, kind="stable")
    return np.lexsort((within, np.concatenate([before.at_s, after.at_s])))


def _places_within(at_s: Floats | None, rows: int) -> Floats:
    """Where in its own instant each row stands, from 0 to 1 (ordered times); without times all are one instant."""
    if at_s is None or rows == 0:
        return (np.arange(rows) + 0.5) / max(rows, 1)
    _, first, counts = np.unique(at_s, return_index=True, return_counts=True)
    places: Floats = (np.arange(rows) - np.repeat(first, counts) + 0.5) / np.repeat(counts, counts)
    return places
