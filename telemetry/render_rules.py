"""Write a plan's alert rules as Prometheus reads them: ``python -m telemetry.render_rules PLAN > FILE``."""

import io
import sys
from pathlib import Path

from ruamel.yaml import YAML

from decision.collect import SoakCollect
from decision.objectives import Slo
from decision.plan_file import read_plan
from processes.errors import GonogoError, UsageError
from telemetry.alert_rules import WINDOW_S, alert_rules, rule_file

_HEAD = "# Rendered from the release plan's slo by telemetry.render_rules: change the plan, not this file.\n"
_EVALUATE_EVERY_S = 15.0


def rendered_rules(slo: Slo, *, memory_limit_bytes: float) -> str:
    """The rule file of scrape job ``release`` as YAML."""
    rules = alert_rules(
        slo, job="release", window_s=WINDOW_S, for_window_s=WINDOW_S, memory_limit_bytes=memory_limit_bytes
    )
    yaml = YAML()
    yaml.width = 4096
    text = io.StringIO()
    yaml.dump(rule_file("release", rules, interval_s=_EVALUATE_EVERY_S), text)
    return _HEAD + text.getvalue()


def main() -> None:
    """Print the rules of the plan that the first argument names; its soak says how much memory the target may use."""
    try:
        plan = read_plan(Path(sys.argv[1])).plan
        limits = {collect.memory_limit for collect in plan.collect.values() if isinstance(collect, SoakCollect)}
        if len(limits) != 1:
            raise UsageError("the memory rule needs a plan whose soaks name one memory_limit")
        sys.stdout.write(rendered_rules(plan.slo, memory_limit_bytes=limits.pop()))
    except GonogoError as error:
        sys.exit(f"error: {error}")


if __name__ == "__main__":
    main()
