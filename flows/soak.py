"""The flow that soaks one target. ``gonogo soak`` does the same without Prefect."""

from pathlib import Path

from prefect import flow

from flows.soaking import soak_step, start_or_resume


@flow(name="soak", flow_run_name="soak {collect}")
def soak(plan: Path, collect: str, profile: str = "quick", home: Path = Path(".gonogo")) -> str:
    """Soak for the profile's time; started again after an interruption it goes on. Returns the record id."""
    return start_or_resume(soak_step(plan, collect, profile, home)).record_id
