"""Schemathesis over the OpenAPI document of real servers: no server error, nothing the document does not say."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.engines.conftest import serving

pytestmark = pytest.mark.phase4

KEY = "key-of-the-tests"
ROOT = Path(__file__).parents[2]


def test_documents_and_answers_agree(new_database, tmp_path):
    with serving("phase4", ION_API_KEYS=KEY, ION_DATABASE_URL=new_database()) as client:
        said = run_schemathesis(f"{client.base_url}/openapi.json", tmp_path)
        assert said.returncode == 0, said.stdout + said.stderr
        assert client.get("/health/ready").status_code == 200
        assert 'status="500"' not in client.get("/metrics").text


def test_documents_and_answers_of_phase_3_agree(tmp_path):
    with serving("phase3", ION_API_KEYS=KEY) as client:
        said = run_schemathesis(f"{client.base_url}/openapi.json", tmp_path)
        assert said.returncode == 0, said.stdout + said.stderr


def run_schemathesis(url, folder):
    """All its checks in all its phases; fewer random examples than by default, for what they cost each time."""
    argv = [sys.executable, "-c", "from schemathesis.cli import schemathesis; schemathesis()", "run", url]
    argv += ["--header", f"Authorization: Bearer {KEY}", "--checks", "all", "--seed", "1", "--max-examples", "10"]
    argv += ["--phases", "examples,coverage,fuzzing,stateful", "--no-color"]
    argv += ["--request-timeout", "60", "--suppress-health-check", "all"]  # a slow machine is no finding
    hooks = {"SCHEMATHESIS_HOOKS": "tests.engines.openapi_formats", "PYTHONPATH": str(ROOT)}
    return subprocess.run(argv, env=os.environ | hooks, cwd=folder, capture_output=True, text=True, timeout=300)
