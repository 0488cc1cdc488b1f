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

from cli import analyze, authorize, evidence, plan, report, rollout, sign, soak, verify
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
app.command(authorize.authorize)
app.command(plan.app)
app.command(soak.app)
app.command(report.report)
app.command(verify.verify)
app.command(sign.request_approval, name="request")
app.command(sign.approve_level, name="approve")
app.command(sign.accept_act, name="accept")
app.command(sign.waive_claim, name="waive")
app.command(sign.revoke_act, name="revoke")
app.command(evidence.app)
app.command(rollout.app)
app.command(analyze.app)


def run(arguments: Sequence[str]) -> int:
    """Run one command line and return its exit code."""
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


def _terminate(_signal: int, _frame: FrameType | None) -> None:
    raise Terminated


def main() -> None:
    """Run the command line of this process."""
    signal.signal(signal.SIGTERM, _terminate)
    sys.exit(run(sys.argv[1:]))


if __name__ == "__main__":
    main()
