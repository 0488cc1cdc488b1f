"""Prove that every alert fires for metrics that break its limit, reaches a receiver, and is quiet for healthy ones."""

from collections.abc import Sequence
from dataclasses import dataclass

from evidence.results import Check
from telemetry.alert_rules import AlertRule
from telemetry.prometheus_server import Scraped
from telemetry.synthetic_exporter import HEALTHY, SyntheticExporter
from telemetry.webhook_receiver import WebhookReceiver

PROOF_JOB = "alert-proof"
PROOF_WINDOW_S = 5.0
"""One window in the proof: enough scrapes for a rate."""

PROOF_FOR_WINDOW_S = 1.0
"""Each further window that a limit must be broken for, in the proof."""

_PREFIX = "proof-"


@dataclass(frozen=True)
class AlertProof:
    """The proof under way: what is scraped for it, and what has arrived at the receiver so far."""

    rules: Sequence[AlertRule]
    exporter: SyntheticExporter
    receiver: WebhookReceiver

    def scraped(self) -> list[Scraped]:
        """The addresses that Prometheus must scrape."""
        url = f"http://127.0.0.1:{self.exporter.server_port}"
        return [Scraped(PROOF_JOB, f"{_PREFIX}{name}", f"{url}/{name}") for name in self.exporter.broken]

    def proven(self) -> set[str]:
        """The alerts that have reached the receiver for the target that breaks their limit."""
        received = self.receiver.received()
        return {rule.alert for rule in self.rules if (rule.alert, f"{_PREFIX}{rule.alert}") in received}

    def complete(self) -> bool:
        """Whether every alert is proven."""
        return len(self.proven()) == len(self.rules)

    def checks(self) -> list[Check]:
        """One check for each alert, and one that none of them fired for healthy metrics."""
        proven = self.proven()
        checks = [
            Check(
                name=f"alert {rule.alert}",
                passed=rule.alert in proven,
                observed="fired and reached the receiver" if rule.alert in proven else "did not reach the receiver",
            )
            for rule in self.rules
        ]
        false = sorted(alert for alert, target in self.receiver.received() if target == f"{_PREFIX}{HEALTHY}")
        quiet = Check(name="no alert for healthy metrics", passed=not false, observed=", ".join(false) or "none fired")
        return [*checks, quiet]
