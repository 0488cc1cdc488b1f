"""The journal as it stands while a tick writes into it."""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from processes.errors import ProcessError
from rollouts.journal import Draft, Entry
from rollouts.running_router import FOR_GOOD_S
from rollouts.state import State, state_of
from rollouts.under_way import Rollout, irreversible, stage_of


@dataclass
class OneTick:
    """A tick: what it works on, and all entries with the state after them."""

    rollout: Rollout
    entries: list[Entry]
    state: State = field(init=False)
    known_at: datetime = field(init=False)

    def __post_init__(self) -> None:
        self.state, self.known_at = state_of(self.entries), self.rollout.now()

    def write(self, *drafts: Draft) -> None:
        """Commit entries, unless somebody else wrote one meanwhile."""
        at = self.rollout.now()
        self.entries += self.rollout.journal.append(drafts, at=at, after=self.state.number)
        self.state, self.known_at = state_of(self.entries), at

    def draft(self, action: str, slots: int | None = None, **detail: Any) -> Draft:
        """An entry about the current stage."""
        at_most = self.state.at_most if slots is None else slots
        return Draft(action, stage_of(self.rollout.spec, self.state).name, at_most, detail)

    def carry_out(self) -> None:
        """Tell the router what the journal says, and confirm it there.

        Raises ProcessError when more traffic would go to the canary by what was known longer than a lease ago: a
        process that stood still may have lost its lock meanwhile, and another one may have gone on.
        """
        router, state = self.rollout.router, self.state
        routing = router.read()
        if not routing.is_as_told(state.told, state.salt):
            still_s = (self.rollout.now() - self.known_at).total_seconds()
            if state.told > routing.slots and still_s > self.rollout.lease_s:
                raise ProcessError(f"this tick stood still for {still_s:.0f} s; what it knew may be over: tick again")
            router.set_share(state.told, state.salt)
        self.write(self.draft("confirm", state.told))

    def renew_lease(self) -> None:
        """Let the canary's traffic go on, where there is any; for good where nothing takes it back."""
        if self.state.at_most > 0:
            for_good = self.state.ended or irreversible(self.rollout.spec, self.state) is not None
            self.rollout.router.renew_lease(FOR_GOOD_S if for_good else self.rollout.lease_s)
