"""Read a target's /metrics directly, without a Prometheus server."""

import math
from collections.abc import Mapping
from dataclasses import dataclass

import httpx
from prometheus_client.parser import text_string_to_metric_families

from processes.errors import CollectError

TIMEOUT_S = 5.0


@dataclass(frozen=True)
class ScrapedMetrics:
    """One reading: the names of all metric families and samples, and the samples by name and labels."""

    names: frozenset[str]
    samples: Mapping[tuple[str, frozenset[tuple[str, str]]], float | None]

    def total(self, name: str, **labels: str) -> float | None:
        """The sum of all samples of ``name`` that have these labels; None when there are none, or one is no number."""
        wanted = set(labels.items())
        values = [value for (sample, has), value in self.samples.items() if sample == name and wanted <= has]
        numbers = [value for value in values if value is not None]
        return sum(numbers) if values and len(numbers) == len(values) else None


def scrape(metrics_url: str, *, timeout_s: float = TIMEOUT_S) -> ScrapedMetrics:
    """Read and parse ``metrics_url`` once. Raises CollectError when it does not answer 200 with metrics."""
    try:
        answer = httpx.get(metrics_url, timeout=timeout_s, trust_env=False)
        if answer.status_code != 200:
            raise CollectError(f"{metrics_url} answered {answer.status_code}")
        families = list(text_string_to_metric_families(answer.text))
    except (httpx.RequestError, ValueError) as error:
        raise CollectError(f"{metrics_url} gave no metrics: {error}") from error
    samples = {
        (sample.name, frozenset(sample.labels.items())): sample.value if math.isfinite(sample.value) else None
        for family in families
        for sample in family.samples
    }
    if not samples:
        raise CollectError(f"{metrics_url} gave no metrics: it is empty")
    return ScrapedMetrics(frozenset(family.name for family in families) | {name for name, _ in samples}, samples)
