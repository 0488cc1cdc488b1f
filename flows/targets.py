"""Start the plan's targets as real processes, each on a free port of 127.0.0.1, and stop them again."""

import os
import shlex
import sys
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path

from decision.collect import TargetName
from decision.plan_file import PlanFile
from decision.plan_parts import TargetSpec
from processes.ports import free_port
from processes.supervised import Supervised, supervised, wait_until_ready
from processes.target import Target

_PASSED_ON = ("PATH", "HOME", "LANG", "LC_ALL", "TMPDIR", "TZ", "VIRTUAL_ENV")
"""All that a target sees of our environment: what it is measured with stands in the plan, not in a shell."""

_READY_WITHIN_S = 60.0


@contextmanager
def running_target(
    plan_file: PlanFile, name: TargetName, work_dir: Path, env: Mapping[str, str] | None = None
) -> Iterator[Target]:
    """One target, ready; ``env`` is added to the plan's. Raises ProcessError when it does not become ready."""
    with ExitStack() as stack:
        process, target, ready = _start(stack, plan_file, name, work_dir, env or {})
        wait_until_ready(process, ready, timeout_s=_READY_WITHIN_S)
        yield target


@contextmanager
def running_targets(
    plan_file: PlanFile, work_dir: Path, *, candidate_env: Mapping[str, str] | None = None
) -> Iterator[tuple[Target, Target]]:
    """Stable and candidate, started side by side, both ready. Raises ProcessError."""
    with ExitStack() as stack:
        started = [
            _start(stack, plan_file, "stable", work_dir, {}),
            _start(stack, plan_file, "candidate", work_dir, candidate_env or {}),
        ]
        for process, _, ready in started:
            wait_until_ready(process, ready, timeout_s=_READY_WITHIN_S)
        yield started[0][1], started[1][1]


def _start(
    stack: ExitStack, plan_file: PlanFile, name: TargetName, work_dir: Path, env: Mapping[str, str]
) -> tuple[Supervised, Target, str]:
    spec: TargetSpec = getattr(plan_file.plan.targets, name)
    port = free_port()
    argv = shlex.split(spec.start.replace("{port}", str(port)))
    if argv[0] in ("python", "python3"):
        argv[0] = sys.executable
    environment = {key: os.environ[key] for key in _PASSED_ON if key in os.environ}
    environment |= {"PYTHONDONTWRITEBYTECODE": "1", **spec.env, **env}
    log = work_dir / f"{name}-{port}.log"
    process = stack.enter_context(
        supervised(f"target {name}", argv, log=log, env=environment, cwd=plan_file.resolve(spec.cwd))
    )
    url = f"http://127.0.0.1:{port}"
    metrics_url = f"{url}{spec.metrics}" if spec.metrics else None
    return process, Target(name=name, url=url, metrics_url=metrics_url, pid=process.pid, log=log), f"{url}{spec.ready}"
