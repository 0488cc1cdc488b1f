"""A release small enough to be authorized in seconds: a folder served by Python, one test file, one document."""

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]

PLAN = """\
version: 1
release: shop-2
title: Shop 2
subject: {name: shop, version: "2.0", source: service}
people:
  approver: {name: Ada, signers: ada.allowed}
  operator: {name: Grace}
targets:
  stable: {start: "python -m http.server {port} --bind 127.0.0.1 --directory service", ready: /}
  candidate: {start: "python -m http.server {port} --bind 127.0.0.1 --directory service", ready: /}
slo:
  error-rate: {unit: ratio, promote_at_most: 0.5%, roll_back_above: 1%, for: 3 windows}
profiles:
  quick: {load: 5s, soak: 5s}
collect:
  tests: {kind: test-suite, run: pytest checks}
  documents: {kind: documentation, documents: [{path: README.md, sections: [Usage]}]}
  contract:
    kind: contract
    checks:
      - {name: the page is served, check: requests, requests: [{path: /index.html}, {path: /no-such, expect: 404}]}
claims:
  - {id: works, says: It works, needs: tests, criteria: {failed: {equals: 0}, passed: {at_least: 1}},
     max_age: 24h, gates: [rehearsal, canary, ab-test, full]}
  - {id: written, says: It is written down, needs: documents, criteria: {complete: {at_least: 1}},
     max_age: 7d, gates: [rehearsal, canary, ab-test, full]}
  - {id: answers, says: It answers, needs: contract, criteria: {failed: {equals: 0}, checks: {at_least: 1}},
     max_age: 24h, gates: [rehearsal, canary, ab-test, full]}
summary:
  - {says: All of it, claims: [works, written, answers]}
risks:
  - {risk: It breaks, mitigation: Tests, proven_by: [works]}
approvals:
  full: [{role: approver}]
waivers: {roles: [approver], valid: 14d}
rollout:
  stages: [{name: full, share: 100%}]
schedule: {authorize: "2026-01-10T12:00Z", deploy: "2026-01-12T12:00Z"}
"""


def make_release(folder: Path) -> Path:
    """Write the release into ``folder`` and return it."""
    (folder / "service").mkdir(parents=True)
    (folder / "checks").mkdir()
    (folder / "plan.yaml").write_text(PLAN)
    (folder / "service" / "index.html").write_text("<p>shop</p>\n")
    (folder / "checks" / "test_shop.py").write_text("def test_shop():\n    assert True\n")
    (folder / "README.md").write_text("# Shop\n\n## Usage\n\nOpen it.\n")
    return folder


def command(*arguments: str) -> list[str]:
    """The command line that runs gonogo from these sources."""
    return [sys.executable, "-m", "cli.main", *arguments]


def environment(home: Path) -> dict[str, str]:
    """What a user's shell has, with an empty home."""
    home.mkdir(exist_ok=True)
    kept = {key: os.environ[key] for key in ("PATH", "LANG", "VIRTUAL_ENV") if key in os.environ}
    return kept | {"HOME": str(home), "PYTHONPATH": str(ROOT)}


def gonogo(folder: Path, *arguments: str, timeout_s: float = 300) -> "subprocess.CompletedProcess[str]":
    """Run gonogo in ``folder`` as a user would."""
    return subprocess.run(
        command(*arguments),
        cwd=folder,
        env=environment(folder / "user-home"),
        capture_output=True,
        text=True,
        timeout=timeout_s,
        check=False,
    )
