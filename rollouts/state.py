"""Where a rollout stands: its journal, entry by entry. Pure.

Every change of traffic is two entries: one that decides it, committed before the router is told, and ``confirm`` after
the router has done it. On the way up the first raises what may see the canary; on the way down only ``confirm`` lowers
it. So the router never sends more than the journal says, wherever a tick was killed; what is not confirmed is told
again.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Literal

from rollouts.journal import Entry

Phase = Literal["waiting", "stage", "watch", "back", "ended"]
Hold = Literal["", "paused", "frozen"]

AB_TEST = "ab-test"
"""Why a rollout is frozen whose A/B test has not shown what it had to."""
_NOTHING_SHOWN: dict[str, Any] = {
    "to_sign": 0, "shown_by": 0, "look": 0, "verdict": "", "verdict_why": "", "answered": False,
}  # fmt: skip

TOLD = frozenset(
    {
        "start",
        "expose",
        "pause",
        "resume",
        "freeze",
        "watch",
        "complete",
        "roll-back",
        "abort",
        "restore",
        "review",
        "show",
        "verdict",
    }
)
"""Actions of which people are told."""


@dataclass(frozen=True)
class State:
    """Where a rollout stands after its journal entry ``number``.

    ``stage`` is the index of the current stage, -1 before the first. At most ``at_most`` slots may see the canary, and
    the router is to be told ``told`` slots under ``salt``; ``confirmed`` says whether it has done so. ``began_at`` is
    when the stage (or the watch, once ``watched``) began. Requests count that started after ``observed_from``, which
    entry ``observed_by`` set.

    What the stage has shown by entry ``to_sign`` is not signed yet (0: all is), and was shown of what was observed
    since ``shown_by``. ``look`` is the entry that began the one look at the stage's A/B test, ``verdict`` what it
    showed; ``answered`` says that people went on after it had frozen the rollout.
    """

    number: int = 0
    phase: Phase = "waiting"
    hold: Hold = ""
    hold_kind: str = ""
    stage: int = -1
    at_most: int = 0
    told: int = 0
    salt: str = ""
    confirmed: bool = True
    began_at: datetime | None = None
    observed_from: datetime | None = None
    observed_by: int = 0
    outcome: Literal["", "completed", "rolled-back", "aborted"] = ""
    why: str = ""
    decided_at: datetime | None = None
    ended_at: datetime | None = None
    recorded: bool = False
    watched: bool = False
    to_sign: int = 0
    shown_by: int = 0
    look: int = 0
    verdict: str = ""
    verdict_why: str = ""
    answered: bool = False

    @property
    def ended(self) -> bool:
        """Whether nothing more is decided."""
        return self.phase == "ended"

    @property
    def active(self) -> bool:
        """Whether the candidate is judged: in a stage, or watched after the last one."""
        return self.phase in ("stage", "watch")


def state_of(entries: Sequence[Entry]) -> State:
    """The state after all entries (oldest first). Raises ValueError for an action that is none."""
    state = State()
    for entry in entries:
        state = replace(state, **_change(state, entry), number=entry.number)
    return state


def _change(state: State, entry: Entry) -> dict[str, Any]:
    why = str(entry.detail.get("why", ""))
    match entry.action:
        case "start" | "promote" | "review":
            return {}
        case "expose":
            return {
                "phase": "stage",
                "stage": state.stage + 1,
                "at_most": max(state.at_most, entry.canary_slots),
                "told": entry.canary_slots,
                "salt": str(entry.detail["salt"]) or state.salt,
                "confirmed": False,
                "began_at": None,
                "why": why,
                **_NOTHING_SHOWN,
            }
        case "restore":
            return {"confirmed": False}
        case "confirm":
            return _confirmed(state, entry)
        case "pause":
            return {"hold": "paused", "hold_kind": "", "why": why}
        case "freeze":
            return {"hold": "frozen", "hold_kind": str(entry.detail["kind"]), "why": why}
        case "resume":
            again = {"observed_from": entry.at, "observed_by": entry.number} if state.hold == "frozen" else {}
            return {"hold": "", "hold_kind": "", "why": why, **again} | {
                "answered": state.answered or state.hold_kind == AB_TEST
            }
        case "watch":
            return {"phase": "watch", "watched": True, "began_at": entry.at, "why": why} | _observed(entry)
        case "complete":
            return {"phase": "ended", "hold": "", "outcome": "completed", "why": why, "ended_at": entry.at}
        case "roll-back" | "abort":
            outcome = "rolled-back" if entry.action == "roll-back" else "aborted"
            back = {"phase": "back", "hold": "", "told": 0, "confirmed": False, "outcome": outcome, "why": why}
            return back | {"decided_at": entry.at} | _observed(entry)
        case "show":
            return {"to_sign": entry.number, "shown_by": state.observed_by}
        case "look":
            return {"look": entry.number}
        case "verdict":
            return {"verdict": str(entry.detail["verdict"]), "verdict_why": why}
        case "record":  # of a stage, or of all of the rollout
            return {"to_sign": 0} if entry.stage else {"recorded": True}
    raise ValueError(f"the journal holds an action that this gonogo does not know: {entry.action!r}")


def _confirmed(state: State, entry: Entry) -> dict[str, Any]:
    done: dict[str, Any] = {"confirmed": True, "at_most": state.told}
    if state.phase == "back":
        return done | {"phase": "ended", "ended_at": entry.at}
    if state.active:
        return done | {"began_at": state.began_at or entry.at} | _observed(entry)
    return done


def _observed(entry: Entry) -> dict[str, Any]:
    return {"observed_from": entry.at, "observed_by": entry.number}
