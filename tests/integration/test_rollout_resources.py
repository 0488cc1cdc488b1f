"""A rollout whose plan limits memory and CPU, and the candidate's metrics as they may fail, over HTTP."""

from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from types import SimpleNamespace

import pytest

from flows.staged_rollout import resources_of_candidate
from rollouts.orders import resume
from tests.unit.rollouts.simulated import Simulation, spec_of

METRICS = "process_resident_memory_bytes {memory}\nprocess_cpu_seconds_total {cpu}\nprocess_start_time_seconds 1000\n"
STAGES = [
    {"name": "canary", "share": "10%", "minimum": "3m", "requests": 500, "salt": "a"},
    {"name": "full", "share": "100%", "requests": 300},
]


class Candidate:
    """Answers /metrics as it is told."""

    status, memory, cpu, encoding = 200, "1e8", "12.5", ""

    @contextmanager
    def serving(self) -> Iterator[str]:
        candidate = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                content = METRICS.format(memory=candidate.memory, cpu=candidate.cpu).encode()
                self.send_response(candidate.status)
                self.send_header("Content-Length", str(len(content)))
                if candidate.encoding:
                    self.send_header("Content-Encoding", candidate.encoding)
                self.end_headers()
                self.wfile.write(content)

            def log_message(self, format: str, *args: object) -> None:
                pass

        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        thread = Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            server.server_close()
            thread.join()


@pytest.mark.parametrize(
    "failure",
    [{"status": 500}, {"memory": "NaN"}, {"cpu": "NaN"}, {"memory": "+Inf"}, {"encoding": "gzip"}, {"memory": "text"}],
)
def test_metrics_that_fail_freeze_the_rollout_after_three_windows_and_it_goes_on_when_they_are_back(
    tmp_path: Path, failure: dict[str, object]
) -> None:
    candidate = Candidate()
    with candidate.serving() as url:
        started = SimpleNamespace(metrics_path="/metrics", router=SimpleNamespace(candidate_url=url))
        read = resources_of_candidate(started)  # type: ignore[arg-type]
        simulation = Simulation(tmp_path, spec_of(STAGES, watch="5m"), resources=lambda _: read())
        for minute in range(3):
            assert simulation.pass_time(60, requests=300).hold == "", minute
        for name, value in failure.items():
            setattr(candidate, name, value)
        assert simulation.pass_time(60, requests=300).hold == ""
        for _ in range(5):
            state = simulation.pass_time(60, requests=300)
        assert state.hold == "frozen"
        assert "was not measured in 3 of the last" in state.why
        assert state.stage == 0
        for name in failure:
            setattr(candidate, name, getattr(Candidate, name))
        resume(simulation.rollout, "the metrics are back")
        for _ in range(40):
            state = simulation.pass_time(60, requests=3000)
        assert state.outcome == "completed"
