"""Both targets behind the plan's router, under live traffic: where rollouts and rollbacks are rehearsed."""

from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from decision.collect import DrillCollect, RolloutCollect
from evidence.measurement import Measurement
from evidence.store import database_url
from flows.measuring import Step
from flows.targets import running_targets
from loadtests.traffic import Traffic, traffic
from processes.target import Target
from rollouts.kept_router import KeptRouter, kept_router
from rollouts.open_router import open_router
from rollouts.rehearsal import rehearse
from rollouts.router import Router

_SEED = 5
_STAGE_MINIMUM_S = 20.0


@dataclass(frozen=True)
class TrafficSpec:
    """What users do, and how often."""

    users: Path
    journey: str
    rate_per_s: float


@dataclass(frozen=True)
class Routed:
    """A router between running targets, and the traffic through it."""

    router: Router
    traffic: Traffic
    stable: Target
    candidate: Target


@contextmanager
def routed_traffic(
    step: Step[DrillCollect] | Step[RolloutCollect],
    load: TrafficSpec,
    *,
    salt: str,
    longest_s: float,
    candidate_env: Mapping[str, str] | None = None,
) -> Iterator[Routed]:
    """Start targets, router and traffic, in this order; all are stopped at the end of the block."""
    with ExitStack() as stack:
        stable, candidate = stack.enter_context(
            running_targets(step.plan_file, step.work_dir, candidate_env=candidate_env)
        )
        router = stack.enter_context(
            open_router(
                kind=step.plan.router.kind,
                stable_url=stable.url,
                candidate_url=candidate.url,
                salt=salt,
                work_dir=step.work_dir,
            )
        )
        running = stack.enter_context(_traffic_to(router.url, step, load, longest_s))
        yield Routed(router, running, stable, candidate)


@contextmanager
def kept_traffic(
    step: Step[DrillCollect], load: TrafficSpec, *, longest_s: float
) -> Iterator[tuple[KeptRouter, Traffic]]:
    """As ``routed_traffic``, with a router as it runs in production: one that outlives its controller."""
    with ExitStack() as stack:
        stable, candidate = stack.enter_context(running_targets(step.plan_file, step.work_dir))
        kept = stack.enter_context(
            kept_router(
                kind=step.plan.router.kind,
                stable_url=stable.url,
                candidate_url=candidate.url,
                work_dir=step.work_dir,
            )
        )
        running = stack.enter_context(_traffic_to(kept.url, step, load, longest_s))
        yield kept, running


def _traffic_to(
    url: str, step: Step[DrillCollect] | Step[RolloutCollect], load: TrafficSpec, longest_s: float
) -> AbstractContextManager[Traffic]:
    return traffic(
        url,
        locustfile=step.plan_file.resolve(load.users),
        journey=load.journey,
        rate_per_s=load.rate_per_s,
        seed=_SEED,
        work_dir=step.work_dir,
        longest_s=longest_s,
    )


def rehearse_plan(step: Step[DrillCollect] | Step[RolloutCollect], routed: Routed, *, timeout_s: float) -> Measurement:
    """Rehearse the plan's stages on the routed traffic."""
    return rehearse(
        routed.router,
        stable=routed.stable,
        candidate=routed.candidate,
        stages=step.plan.rollout.stages,
        stage_minimum_s=step.profile.stage_minimum or _STAGE_MINIMUM_S,
        slo=step.plan.slo,
        budget=step.plan.rollout.false_rollback_budget,
        memory_limit_bytes=step.plan.rollout.memory_limit,
        database_url=database_url(step.home),
        rollout_id=step.name,
        timeout_s=timeout_s,
        progress=step.progress,
        traffic_alive=routed.traffic.alive,
    )
