"""Taking a turn: what concerns one session happens in the order in which it arrived, and nothing of it is lost."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from engines.conversation.memory import MOST_TURNS, Context, context_of, tokens_of
from engines.conversation.session import ClosedSession, Session, StoredTurn, TooManyWaiting, TurnInProgress
from engines.conversation.sessions import Sessions
from engines.conversation.text_source import Text, TextSource

# Together with the 2 s that a text may take this is less than the time in which a stopping server finishes requests.
WAIT_S = 5.0


@dataclass(frozen=True)
class Taken:
    """A turn that is stored, with the text that answered it."""

    session: Session
    turn: StoredTurn
    text: Text
    next_suggestion: str | None

    @property
    def tokens(self) -> int:
        """Tokens of message and answer, as the budget counts them."""
        return tokens_of(self.turn.user_message) + tokens_of(self.turn.response_text)


@dataclass(eq=False)
class _Line:
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    length: int = 0


class Lines:
    """One line a session for those who want something of it; whoever came first is first.

    There are only as many lines as requests in flight, and none is longer than a session may have turns.
    """

    def __init__(self) -> None:
        self._lines: dict[str, _Line] = {}

    def __len__(self) -> int:
        return len(self._lines)

    @asynccontextmanager
    async def place(self, session_id: str, wait_s: float = WAIT_S) -> AsyncIterator[None]:
        """Be the only one at this session. Raises TooManyWaiting for a full line, or after ``wait_s``."""
        line = self._lines.setdefault(session_id, _Line())
        if line.length >= MOST_TURNS:
            raise TooManyWaiting
        line.length += 1
        try:
            try:
                async with asyncio.timeout(wait_s):
                    await line.lock.acquire()
            except TimeoutError as error:
                raise TooManyWaiting from error
            try:
                yield
            finally:
                line.lock.release()
        finally:
            line.length -= 1
            if line.length == 0:
                del self._lines[session_id]


class TurnTaker:
    """Takes turns of the sessions of a store, with the texts of a source."""

    def __init__(self, sessions: Sessions, texts: TextSource) -> None:
        self._sessions, self._texts = sessions, texts
        self._lines = Lines()

    async def take(self, session_id: str, user_id: str | None, message: str) -> Taken:
        """Answer a message and store both.

        In one process turns wait for each other. When another process was faster, the text is made anew, from a context
        that holds the other's turn: what is stored as the answer to a turn has seen all turns before it.

        Raises UnknownSession, ClosedSession, or TooManyWaiting; then nothing was stored.
        """
        until_s = time.monotonic() + WAIT_S
        async with self._lines.place(session_id):
            while True:
                session, before = await self._sessions.calls.run(self._read, session_id, user_id)
                context = context_of(before, message, uses_memory=session.uses_memory)
                text = await self._texts.answer(session.persona, context, message)
                try:
                    turn = await self._sessions.calls.run(self._sessions.add_turn, session, message, text.text)
                except TurnInProgress as error:
                    if time.monotonic() > until_s:
                        raise TooManyWaiting from error
                    continue
                return Taken(session, turn, text, suggestion(context))

    def _read(self, session_id: str, user_id: str | None) -> tuple[Session, list[StoredTurn]]:
        session = self._sessions.get(session_id, user_id)
        if session.state != "active" or session.turn_count >= MOST_TURNS:
            raise ClosedSession
        # A turn stored since then is left out: it is not of this state of the session, and adding will fail.
        return session, self._sessions.turns(session_id)[: session.turn_count]


def suggestion(context: Context) -> str | None:
    """What to speak of next, from what was spoken of: the oldest topic, or an end before the last turn."""
    if context.number >= MOST_TURNS:
        return None
    if context.number == MOST_TURNS - 1:
        return "One turn is left: shall we sum up?"
    topics = context.memory.topics
    return f"Shall we come back to {topics[0]}?" if len(topics) > 3 else None
