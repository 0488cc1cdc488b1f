"""People sign, waive, refuse and revoke, and what they signed travels: the command line with ssh-keygen's own keys."""

import base64
import json
import random
import shutil
import subprocess
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from decision.inputs import inputs_of, subject_of
from decision.plan_file import read_plan
from evidence.allowed_signers import read_allowed_signers
from evidence.bundle import read_bundle, write_bundle
from evidence.dsse import verify
from evidence.keys import load_or_create_key
from evidence.measurement import Measurement
from evidence.record import Subject
from evidence.store import open_store
from flows.bundling import verify_bundle
from processes.errors import GonogoError, IntegrityError
from tests.e2e.small_release import gonogo, make_release
from tests.unit.decision.factories import suite_result


@pytest.fixture(scope="module")
def measured(tmp_path_factory):
    folder = make_release(tmp_path_factory.mktemp("release") / "shop")
    for name in ("ada", "stranger"):
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", folder / name], check=True)
    (folder / "ada.allowed").write_text(f'ada@shop.example namespaces="gonogo" {(folder / "ada.pub").read_text()}')
    assert gonogo(folder, "authorize", "plan.yaml", "--level", "full").returncode == 30
    return folder


@pytest.fixture
def release(measured, tmp_path):
    return Path(shutil.copytree(measured, tmp_path / "shop"))


def report_of(release: Path, level: str = "full") -> dict:
    return json.loads(gonogo(release, "report", "plan.yaml", "--level", level, "--format", "json").stdout)


def root_of(release: Path) -> str:
    return report_of(release)["authorization"]["roots"][0]["digest"]


def approve(release: Path, *more: str, key: str = "ada", root: str | None = None):
    root = root or root_of(release)[:32]
    arguments = ("--level", "full", "--role", "approver", "--root", root, "--key", key)
    return gonogo(release, "approve", "plan.yaml", *arguments, *more)


def test_a_signed_level_is_a_go_until_the_evidence_changes(release):
    ran = approve(release)
    assert ran.returncode == 0, ran.stderr
    assert "Ada approves level full" in ran.stdout
    signed = gonogo(release, "report", "plan.yaml", "--level", "full")
    assert signed.returncode == 0
    assert "APPROVED BY: Ada (approver) for level full" in signed.stdout
    assert gonogo(release, "verify", "--ledger").returncode == 0
    again = gonogo(release, "authorize", "plan.yaml", "--level", "full", "--rerun", "documents")
    assert again.returncode == 30
    assert "VOID: Ada (approver) approved level full" in again.stdout
    assert "changed since it was signed: the evidence for written" in " ".join(again.stdout.split())


def test_a_key_that_is_not_allowed_cannot_sign_and_writes_nothing(release):
    ran = approve(release, key="stranger")
    assert ran.returncode == 2
    assert "not allowed for approver" in ran.stderr
    assert json.loads(gonogo(release, "evidence", "list", "--kind", "approval", "--json").stdout) == []


def test_nobody_signs_what_they_did_not_read(release):
    ran = approve(release, root="0" * 32)
    assert ran.returncode == 2
    assert root_of(release) in ran.stderr
    assert approve(release, root=root_of(release)[:12]).returncode == 2


def test_a_level_that_is_not_proven_can_be_refused_but_not_approved(release):
    (release / "checks" / "test_shop.py").write_text("def test_shop():\n    assert False\n")
    assert gonogo(release, "authorize", "plan.yaml", "--level", "full").returncode == 20
    ran = approve(release)
    assert ran.returncode == 2
    assert "not ready to be signed: not proven: works" in ran.stderr


def test_a_refusal_is_a_no_go_and_names_person_and_reason(release):
    assert approve(release, "--refuse").returncode == 2
    assert approve(release, "--refuse", "--reason", "the runbook was not tried").returncode == 0
    ran = gonogo(release, "report", "plan.yaml", "--level", "full")
    assert ran.returncode == 20
    assert "Ada (approver) refused level full: the runbook was not tried" in ran.stdout


def test_a_revoked_signature_does_not_count(release):
    record = json.loads(approve(release, "--json").stdout)["record_id"]
    revoke = ("revoke", "plan.yaml", record[:12], "--role", "approver", "--key", "ada", "--reason", "too early")
    assert gonogo(release, *revoke).returncode == 0
    ran = gonogo(release, "report", "plan.yaml", "--level", "full")
    assert ran.returncode == 30
    assert "revoked by Ada (approver): too early" in ran.stdout


def test_a_waiver_makes_the_go_conditional_and_stands_in_the_report(release):
    (release / "README.md").write_text("# Shop\n")
    assert gonogo(release, "authorize", "plan.yaml", "--level", "rehearsal").returncode == 20
    waive = ("waive", "plan.yaml", "written", "--role", "approver", "--key", "ada", "--owner", "operator",
             "--reason", "the section is being written")  # fmt: skip
    assert gonogo(release, *waive, "--expires", "30d").returncode == 2
    assert gonogo(release, *waive, "--expires", "7d").returncode == 0
    ran = gonogo(release, "report", "plan.yaml", "--level", "rehearsal")
    assert ran.returncode == 10
    assert "IN FORCE: written: waived by Ada (approver)" in ran.stdout
    assert "the section is being written" in ran.stdout


def test_what_was_signed_elsewhere_is_taken_in_by_whoever_has_the_ledger(release, tmp_path):
    request = gonogo(release, "request", "plan.yaml", "--level", "full").stdout
    elsewhere = Path(shutil.copytree(release, tmp_path / "elsewhere", ignore=shutil.ignore_patterns(".gonogo")))
    (elsewhere / "request.json").write_text(request)
    signed = approve(elsewhere, "--request", "request.json", root=json.loads(request)["digest"])
    assert signed.returncode == 0, signed.stderr
    (release / "approval.json").write_text(signed.stdout)
    for said in ("signed: Ada approves level full", "already in the ledger: Ada approves level full"):
        assert gonogo(release, "accept", "plan.yaml", "approval.json").stdout.startswith(said)
    assert gonogo(release, "report", "plan.yaml", "--level", "full").returncode == 0
    (elsewhere / "request.json").write_text(request.replace("gonogo/1", "gonogo/2"))
    changed = approve(elsewhere, "--request", "request.json", root=json.loads(request)["digest"])
    assert changed.returncode == 2
    assert changed.stderr == "gonogo: --request: its digest is not that of its content\n"


def test_what_is_printed_is_not_in_the_ledger_until_it_is_accepted(release):
    (release / "approval.json").write_text(approve(release, "--print").stdout)
    assert gonogo(release, "report", "plan.yaml", "--level", "full").returncode == 30
    assert approve(release, "--print", key="stranger").returncode == 2
    assert gonogo(release, "accept", "plan.yaml", "approval.json").returncode == 0
    assert gonogo(release, "report", "plan.yaml", "--level", "full").returncode == 0


@pytest.mark.parametrize(
    "arguments",
    [
        ("accept", "plan.yaml", "plan.yaml"),
        ("accept", "plan.yaml", "no-such.json"),
        ("request", "plan.yaml"),
        ("approve", "plan.yaml", "--level", "full", "--role", "approver", "--root", "0" * 12, "--key", "ada",
         "--request", "plan.yaml"),
        ("approve", "plan.yaml"),
        ("approve", "plan.yaml", "--level", "full", "--role", "nobody", "--root", "0" * 32, "--key", "ada"),
        ("approve", "plan.yaml", "--level", "full", "--role", "approver", "--root", "0" * 32, "--key", "none"),
        ("approve", "plan.yaml", "--level", "full", "--role", "approver", "--root", "0" * 32, "--key", "plan.yaml"),
        ("waive", "plan.yaml", "no-such", "--role", "approver", "--key", "ada", "--owner", "operator", "--reason", "x",
         "--expires", "1d"),
        ("waive", "plan.yaml", "works", "--role", "approver", "--key", "ada", "--owner", "operator", "--reason", "x",
         "--expires", "soon"),
        ("revoke", "plan.yaml", "00", "--role", "approver", "--key", "ada", "--reason", "x"),
        ("approve", "plan.yaml", "--level", "full", "--role", "approver", "--root", "0" * 32, "--key", "ada",
         "--not-before", "9999-12-31"),
        ("waive", "plan.yaml", "works", "--role", "approver", "--key", "ada", "--owner", "operator", "--reason", " ",
         "--expires", "1d"),
        ("waive", "plan.yaml", "works", "--role", "approver", "--key", "ada", "--owner", "operator", "--reason", "x",
         "--expires", "99999999999999999999d"),
        ("evidence", "export", "plan.yaml", "--output", "no/such/folder.tar"),
        ("verify", "no-such.tar"),
        ("verify", "plan.yaml", "--ledger"),
        ("evidence", "export", "plan.yaml", "--home", "elsewhere"),
    ],
)  # fmt: skip
def test_wrong_usage_is_told_in_a_line(release, arguments):
    ran = gonogo(release, *arguments)
    assert ran.returncode == 2
    assert ran.stderr.startswith("gonogo: ")
    assert "Traceback" not in ran.stderr


@pytest.fixture(scope="module")
def bundle(measured, tmp_path_factory):
    release = Path(shutil.copytree(measured, tmp_path_factory.mktemp("bundle") / "shop"))
    assert approve(release).returncode == 0
    assert gonogo(release, "evidence", "export", "plan.yaml", "--level", "full", "--output", "shop.tar").returncode == 0
    return release / "shop.tar"


def test_a_bundle_is_verified_where_there_is_no_ledger(bundle, tmp_path):
    shutil.copy(bundle, tmp_path / "shop.tar")
    ran = gonogo(tmp_path, "verify", "shop.tar", "--json")
    assert ran.returncode == 0, ran.stdout
    said = json.loads(ran.stdout)
    assert (said["decision"], said["level"], said["records"]) == ("GO", "full", 5)
    shutil.copy(bundle.parent / ".gonogo" / "keys" / "collectors.allowed", tmp_path / "trust")
    assert gonogo(tmp_path, "verify", "shop.tar", "--trust", "trust").returncode == 0
    shutil.copy(bundle.parent / "ada.allowed", tmp_path / "others")
    other = gonogo(tmp_path, "verify", "shop.tar", "--trust", "others")
    assert other.returncode == 20
    assert "not signed by a trusted key" in other.stdout


def test_a_bundle_holds_the_evidence_behind_its_trends(measured, tmp_path):
    release = Path(shutil.copytree(measured, tmp_path / "shop"))
    store = open_store(release / ".gonogo")
    at = datetime.now(UTC) - timedelta(days=30)
    before = Subject("shop", "1.0", "dirHash1:" + "1" * 64)
    earlier = store.record(before, "tests", {}, Measurement(suite_result(), "passed", "tests", at, at))
    plan_file, now = read_plan(release / "plan.yaml"), datetime.now(UTC)
    again = Measurement(suite_result(), "passed", "tests", now, now)
    store.record(subject_of(plan_file), "tests", inputs_of(plan_file, "tests"), again)
    store.ledger.close()
    assert gonogo(release, "evidence", "export", "plan.yaml", "--output", "shop.tar").returncode == 0
    verified = verify_bundle((release / "shop.tar").read_bytes())
    assert earlier.record_id not in {record.record_id for record in verified.records}
    assert "1.0 111111111111" in verified.bundle.file("report.txt").decode()
    name = f"earlier/{earlier.record_id}.json"
    for files in ({name: None}, {name: None, f"records/{earlier.record_id}.json": verified.bundle.file(name)}):
        with pytest.raises(IntegrityError):
            verify_bundle(forged(release / "shop.tar", tmp_path, files))


def test_changed_bytes_of_a_bundle_are_found(bundle):
    content = bundle.read_bytes()
    chance = random.Random(7)
    for position in [chance.randrange(len(content)) for _ in range(100)]:
        changed = bytearray(content)
        changed[position] ^= 1
        with pytest.raises(GonogoError):
            verify_bundle(bytes(changed))


def test_the_verification_summary_names_every_record_that_was_used(bundle):
    verified = verify_bundle(bundle.read_bytes())
    trusted = read_allowed_signers(bundle.parent / ".gonogo" / "keys" / "collectors.allowed")
    summary, _ = verify(verified.bundle.file("verification-summary.dsse.json"), [s.key for s in trusted])
    assert summary["predicateType"] == "https://slsa.dev/verification_summary/v1"
    predicate = summary["predicate"]
    assert predicate["verificationResult"] == "PASSED"
    assert predicate["verifiedLevels"][-1] == "GONOGO_FULL"
    used = {claim.record_id for claim in verified.decision.claims}
    assert {item["digest"]["sha256"] for item in predicate["inputAttestations"]} == used


def test_openssl_alone_verifies_the_approval_in_a_bundle(bundle, tmp_path):
    verified = verify_bundle(bundle.read_bytes())
    approval = next(record for record in verified.records if record.kind == "approval")
    envelope = json.loads(verified.bundle.file(f"records/{approval.record_id}.json"))
    payload = base64.b64decode(envelope["payload"])
    kind = envelope["payloadType"].encode()
    (tmp_path / "signed").write_bytes(b"DSSEv1 %d %b %d %b" % (len(kind), kind, len(payload), payload))
    (tmp_path / "sig").write_bytes(base64.b64decode(envelope["signatures"][0]["sig"]))
    raw = base64.b64decode((bundle.parent / "ada.pub").read_text().split()[1])[-32:]
    (tmp_path / "key.der").write_bytes(bytes.fromhex("302a300506032b6570032100") + raw)  # RFC 8410, section 10.1
    form = ["-keyform", "DER", "-inkey", "key.der"]
    command = ["openssl", "pkeyutl", "-verify", "-rawin", "-pubin", *form, "-in", "signed", "-sigfile", "sig"]
    assert subprocess.run(command, cwd=tmp_path, capture_output=True, check=False).returncode == 0


def forged(bundle: Path, tmp_path: Path, files: dict | None = None, **facts) -> bytes:
    """A bundle that its own collector signed with other content."""
    made = read_bundle(bundle.read_bytes())
    key = load_or_create_key(bundle.parent / ".gonogo" / "keys" / "collector")
    changed = {name: data for name, data in {**made.files, **(files or {})}.items() if data is not None}
    write_bundle(tmp_path / "forged.tar", changed, made.subject, {**made.facts, **facts}, key)
    return (tmp_path / "forged.tar").read_bytes()


def test_a_collector_cannot_make_a_bundle_say_what_its_evidence_does_not(bundle, tmp_path):
    made = read_bundle(bundle.read_bytes())
    wanted = made.facts["wanted"]
    other = {"subject": "dirHash1:" + "e" * 64, "inputs": {}}
    record = next(name for name in made.files if name.startswith("records/"))
    attachment = next(name for name in made.files if name.startswith("attachments/"))
    assert verify_bundle(forged(bundle, tmp_path)).decision.decision == "GO"
    for facts in (
        {"level": "moon"},
        {"level": "canary"},
        {"level": None},
        {"decided_at": "9999-12-31T00:00:00+00:00"},
        {"decided_at": "2100-01-01T00:00:00+00:00"},
        {"decided_at": "2020-01-01T00:00:00"},
        {"wanted": {}},
        {"wanted": None},
        {"wanted": {"0": other, **wanted}},
        {"wanted": {**wanted, "tests": other}},
        {"wanted": {**wanted, "tests": {**wanted["tests"], "inputs": {"more": "sha256:00"}}}},
        {"invalid_records": ["f" * 64]},
        {"run": {}},
        {"run": {**made.facts["run"], "host": 7}},
        {"more": 1},
    ):
        with pytest.raises(GonogoError):
            verify_bundle(forged(bundle, tmp_path, **facts))
    for files in (
        {"plan.yaml": None},
        {"plan.yaml": b"version: 2020-13-45"},
        {"plan.yaml": b"\xff"},
        {"plan.yaml": made.files["plan.yaml"].replace(b"at_least: 1", b"at_least: 0")},
        {"chain.txt": b"\xff"},
        {"chain.txt": b""},
        {"chain.txt": made.files["chain.txt"] * 2},
        {"signers/approver.allowed": b"\xff"},
        {"signers/approver.allowed": b""},
        {"signers/operator.allowed": made.files["signers/approver.allowed"]},
        {"report.txt": made.files["report.txt"].replace(b"Ada", b"Eve")},
        {"decision.json": made.files["decision.json"].replace(b"GO", b"NO")},
        {record: None},
        {record: made.files["decision.json"]},
        {attachment: None},
        {attachment: b""},
        {"attachments/" + "0" * 64: b""},
        {"verification-summary.dsse.json": made.files[record]},
    ):
        with pytest.raises(GonogoError):
            verify_bundle(forged(bundle, tmp_path, files))
