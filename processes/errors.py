"""The root of the error tree.

GonogoError
├── UsageError            wrong arguments, plan or files: the user can mend it
│   ├── PlanError         (decision) the release plan is wrong at a file, line and key
│   └── InputError        a data file given to a command cannot be used
├── ProcessError          a process under our control failed to start, or ended early
├── CollectError          something could not be measured
├── IntegrityError        a record, attachment or signature does not fit
└── UnrecordedError       a record does not hold what its result was computed from
"""


class GonogoError(Exception):
    """Anything that gonogo reports to its user in one line."""


class UsageError(GonogoError):
    """The user's own mistake: exit code 2."""


class InputError(UsageError):
    """A data file cannot be read as what it should be."""


class ProcessError(GonogoError):
    """A process could not be started, did not become ready, or ended early."""


class CollectError(GonogoError):
    """A measurement could not be made; its evidence is an error, never a pass."""


class IntegrityError(GonogoError):
    """A record, attachment, chain or signature does not fit what it claims to be."""


class Terminated(KeyboardInterrupt):
    """SIGTERM: a service is stopped, or the machine goes down. No error, and no person's Ctrl-C."""


class UnrecordedError(GonogoError):
    """A record does not hold what its result was computed from: it can be verified, and not replayed."""


def first_line(error: BaseException) -> str:
    """What an error says, in one line; its name when it says nothing."""
    return str(error).splitlines()[0] if str(error) else type(error).__name__
