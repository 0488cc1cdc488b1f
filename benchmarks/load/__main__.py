"""Runs the benchmark; see the package for what it claims."""

import json
import math
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import httpx
import numpy as np

from benchmarks.load.server import BASE_S, stall_left_s
from loadtests.generator import Load, generating
from loadtests.schedule import arrivals, constant
from loadtests.windows import sum_windows
from processes.ports import free_port
from processes.supervised import supervised, wait_until_ready

RATE_PER_S = 100.0
STEADY_S = 15.0
STALLING_S = 40.0
CONNECTIONS = 10
WITHIN_MS, WITHIN = 1.0, 0.05
LEAST_PER_S = 10 * RATE_PER_S
CLAIM_DOES_NOT_HOLD = 3

_FOLDER = Path(__file__).parent
_LUA = """
done = function(summary, latency, requests)
  io.write(string.format("LATENCY %f %f %f %d %f\\n", latency:percentile(50), latency:percentile(95),
    latency:percentile(99), summary.requests, summary.duration))
end
"""

Percentiles = tuple[float, float, float]
"""P50, P95 and P99 in milliseconds."""


def main() -> int:
    """Measure, print, and check the claims."""
    if shutil.which("wrk") is None:
        print("the benchmark needs wrk; on Debian: apt-get install wrk", file=sys.stderr)
        return 2
    with tempfile.TemporaryDirectory() as folder:
        work_dir, port = Path(folder), free_port()
        url = f"http://127.0.0.1:{port}"
        argv = [sys.executable, "-m", "benchmarks.load.server", str(port)]
        with supervised("the server", argv, log=work_dir / "server.log", cwd=_FOLDER.parents[1]) as server:
            wait_until_ready(server, f"{url}/fast", timeout_s=30)
            claims = [_capacity(url, work_dir), *_steady(url, work_dir), *_stalling(url, work_dir)]
    for claim, holds in claims:
        print(f"{'holds' if holds else 'DOES NOT HOLD'}: {claim}")
    return 0 if all(holds for _, holds in claims) else CLAIM_DOES_NOT_HOLD


Claim = tuple[str, bool]


def _capacity(url: str, work_dir: Path) -> Claim:
    _, per_s = _wrk(f"{url}/fast", 3, work_dir)
    print(f"server alone: {per_s:.0f} requests/s, the loads ask for {RATE_PER_S:g}")
    return f"the server is no bottleneck: at least {LEAST_PER_S:g} requests/s", per_s >= LEAST_PER_S


def _steady(url: str, work_dir: Path) -> list[Claim]:
    _head(f"steady server, answers after 5 to 25 ms, {STEADY_S:g} s")
    ours, _ = _ours(url, "steady", STEADY_S, work_dir)
    truth = _taken(url)
    _row("the server's own, under ours", truth)
    _row("ours, open", ours)
    wrk, _ = _wrk(f"{url}/steady", STEADY_S, work_dir)
    _row("the server's own, under wrk", _taken(url))
    _row("wrk, closed", wrk)
    _row("Locust by itself, closed", _plain(url, "/steady", STEADY_S, work_dir))
    _taken(url)
    tolerance = f"{WITHIN_MS:g} ms or {WITHIN:.0%}"
    return [
        (f"steady: ours is within {tolerance} of the server's own percentiles", _near(ours, truth)),
        (f"steady: ours is within {tolerance} of wrk's", _near(ours, wrk)),
    ]


def _stalling(url: str, work_dir: Path) -> list[Claim]:
    _head(f"server that stalls for 2 s of every 20 s, {STALLING_S:g} s")
    _row("the truth, arrivals at any time", (BASE_S * 1000, BASE_S * 1000 + 1000, BASE_S * 1000 + 1800))
    ours, began_at = _ours(url, "stalling", STALLING_S, work_dir)
    truth = _stalled(began_at, _taken(url)[0] / 1000)
    _row("the truth, for our arrivals", truth)
    _row("ours, open", ours)
    wrk, _ = _wrk(f"{url}/stalling", STALLING_S, work_dir)
    _row("wrk, closed", wrk)
    _row("Locust by itself, closed", _plain(url, "/stalling", STALLING_S, work_dir))
    return [(f"stalling: ours is within {WITHIN_MS:g} ms or {WITHIN:.0%} of the truth", _near(ours, truth))]


def _ours(url: str, journey: str, seconds: float, work_dir: Path) -> tuple[Percentiles, float]:
    """Our percentiles, and when the load began (epoch)."""
    load = Load(url, _FOLDER / "journeys.py", journey, RATE_PER_S, seconds, 1, 5.0)
    with generating(load, work_dir, name=journey) as generator:
        generator.wait(every_s=1.0, tell=lambda _: True)
    windows = generator.windows()
    totals = sum_windows(windows)
    assert totals.completed == totals.offered, "not every request was completed"
    cores = max(window.generator_cpu for window in windows)
    print(f"  ({totals.completed} requests, late {totals.late}, generator {cores:.2f} cores)")
    latency = totals.latency
    p50, p95, p99 = (math.nan if ms is None else ms for ms in (latency.p50_ms, latency.p95_ms, latency.p99_ms))
    return (p50, p95, p99), windows[0].started_at_s


def _stalled(began_at: float, base_s: float) -> Percentiles:
    """The true percentiles of our arrivals: one that would be answered during a stall is answered at its end."""
    taken = []
    for at_s in arrivals(seed=1, shape=constant(RATE_PER_S, STALLING_S)):
        ready = began_at + at_s + base_s
        taken.append(ready + stall_left_s(ready) - began_at - at_s)
    return _percentiles(taken)


def _wrk(url: str, seconds: float, work_dir: Path) -> tuple[Percentiles, float]:
    """wrk's percentiles and requests a second."""
    script = work_dir / "percentiles.lua"
    script.write_text(_LUA)
    command = ["wrk", "-t1", f"-c{CONNECTIONS}", f"-d{seconds:.0f}s", "--timeout", "10s", "-s", str(script), url]
    printed = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    found = re.search(r"LATENCY (\S+) (\S+) (\S+) (\d+) (\S+)", printed)
    assert found is not None, printed
    p50, p95, p99, requests, duration_us = (float(value) for value in found.groups())
    return (p50 / 1000, p95 / 1000, p99 / 1000), requests / duration_us * 1e6


def _plain(url: str, path: str, seconds: float, work_dir: Path) -> Percentiles:
    """The percentiles of Locust by itself, as it rounds them."""
    command = [sys.executable, "-m", "locust", "--locustfile", str(_FOLDER / "plain.py"), "--headless", "--json"]
    command += ["--host", url, "--users", "10", "--spawn-rate", "10", "--run-time", f"{seconds:.0f}s"]
    environment = os.environ | {"BENCHMARK_PATH": path, "HOME": str(work_dir)}
    printed = subprocess.run(command, check=True, capture_output=True, text=True, env=environment).stdout
    (entry,) = json.loads(printed[printed.index("[") :])
    times = sorted((float(ms), count) for ms, count in entry["response_times"].items())
    return _percentiles([ms / 1000 for ms, count in times for _ in range(count)])


def _taken(url: str) -> Percentiles:
    """What the server itself has measured since it was last asked."""
    return _percentiles(httpx.get(f"{url}/taken", trust_env=False, timeout=10).json())


def _percentiles(seconds: Sequence[float]) -> Percentiles:
    p50, p95, p99 = (float(value) * 1000 for value in np.percentile(seconds, (50, 95, 99)))
    return p50, p95, p99


def _near(found: Percentiles, truth: Percentiles) -> bool:
    return all(abs(f - t) <= max(WITHIN_MS, WITHIN * t) for f, t in zip(found, truth, strict=True))


def _head(text: str) -> None:
    print(f"\n{text}\n{'':<34}{'P50':>10}{'P95':>10}{'P99':>10}  ms", flush=True)


def _row(name: str, values: Percentiles) -> None:
    print(f"{name:<34}" + "".join(f"{value:>10.1f}" for value in values), flush=True)


if __name__ == "__main__":
    sys.exit(main())
