"""The entry point: parses the command line, prints errors as one line each, and sets exit codes.

0 GO or success, 10 CONDITIONAL GO, 20 NO-GO or not intact, 30 HOLD, 2 wrong usage or plan, 70 internal error,
130 interrupted. 1 is never used: a crash must not look like a verdict.
"""

import signal
import sys
import traceback
from collections.abc import Sequence
from importlib.metadata import version
from types import FrameType

from cyclopts import App, CycloptsError

from processes.errors import GonogoError, Terminated, UsageError

INTERNAL_ERROR = 70
WRONG_USAGE = 2
INTERRUPTED = 130

app = App(
    name="gonogo",
    help="Decides from signed evidence whether a release may go to production, and takes it there.",
    version=version("gonogo"),
    version_flags=["--version"],
    result_action="return_value",
    suppress_keyboard_interrupt=False,  # told in a line below
)
# Named, not imported: a command waits only for what it needs itself, which is seldom SciPy and pandas.
for _name, _path in {
    "authorize": "cli.authorize:authorize",
    "plan": "cli.plan:app",
    "soak": "cli.soak:app",
    "report": "cli.report:report",
    "verify": "cli.verify:verify",
    "request": "cli.sign:request_approval",
    "approve": "cli.sign:approve_level",
    "accept": "cli.sign:accept_act",
    "waive": "cli.sign:waive_claim",
    "revoke": "cli.sign:revoke_act",
    "evidence": "cli.evidence:app",
    "rollout": "cli.rollout:app",
    "analyze": "cli.analyze:app",
}.items():
    app.command(_path, name=_name)


def run(arguments: Sequence[str]) -> int:
    """Run one command line and return its exit code."""
    if not arguments or set(arguments) & set(app.help_flags):
        _import_commands(app)
    try:
        result = app(list(arguments), exit_on_error=False, print_error=False)
    except CycloptsError as error:
        print(f"gonogo: {' '.join(str(error).split())} (gonogo --help)", file=sys.stderr)
        return WRONG_USAGE
    except GonogoError as error:
        print(f"gonogo: {error}", file=sys.stderr)
        return WRONG_USAGE if isinstance(error, UsageError) else INTERNAL_ERROR
    except KeyboardInterrupt:
        print("gonogo: interrupted; everything that was started is stopped", file=sys.stderr)
        return INTERRUPTED
    except BrokenPipeError:
        sys.stderr.close()
        return INTERNAL_ERROR
    except Exception:  # noqa: BLE001 - a defect of gonogo: shown whole, and never as a verdict
        traceback.print_exc()
        print("gonogo: internal error; this is a defect of gonogo, not a verdict", file=sys.stderr)
        return INTERNAL_ERROR
    return result if isinstance(result, int) else 0


def _import_commands(group: App) -> None:
    """Import what is named only: what the list of commands says of each stands with its code."""
    for name in group:
        if not name.startswith("-"):
            _import_commands(group[name])


def _terminate(_signal: int, _frame: FrameType | None) -> None:
    raise Terminated


def main() -> None:
    """Run the command line of this process."""
    signal.signal(signal.SIGTERM, _terminate)
    sys.exit(run(sys.argv[1:]))


if __name__ == "__main__":
    main()
