"""The journal as it stands while a tick writes into it."""

from dataclasses import dataclass, field
from typing import Any

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

    def __post_init__(self) -> None:
        self.state = state_of(self.entries)

    def write(self, *drafts: Draft) -> None:
        """Commit entries, unless somebody else wrote one meanwhile."""
        at = self.rollout.now()
        self.entries += self.rollout.journal.append(drafts, at=at, after=self.state.number)
        self.state = state_of(self.entries)

    def draft(self, action: str, slots: int | None = None, **detail: Any) -> Draft:
        """An entry about the current stage."""
        at_most = self.state.at_most if slots is None else slots
        return Draft(action, stage_of(self.rollout.spec, self.state).name, at_most, detail)

    def carry_out(self) -> None:
        """Tell the router what the journal says, and confirm it there."""
        router, state = self.rollout.router, self.state
        if not router.read().is_as_told(state.told, state.salt):
            router.set_share(state.told, state.salt)
        self.write(self.draft("confirm", state.told))

    def renew_lease(self) -> None:
        """Let the canary's traffic go on, where there is any; for good where nothing takes it back."""
        if self.state.at_most > 0:
            for_good = self.state.ended or irreversible(self.rollout.spec, self.state) is not None
            self.rollout.router.renew_lease(FOR_GOOD_S if for_good else self.rollout.lease_s)
