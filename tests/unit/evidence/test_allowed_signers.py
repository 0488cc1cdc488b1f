import subprocess
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from evidence.allowed_signers import line_of, parse_allowed_signers, read_allowed_signers
from evidence.keys import load_signing_key, public_text
from processes.errors import UsageError

KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(32))).public_key()  # it stands in names of tests
TEXT = public_text(KEY)


def parse(line: str) -> list[str]:
    return [",".join(s.principals) for s in parse_allowed_signers(line, name="team.allowed")]


@pytest.mark.parametrize(
    ("line", "principals"),
    [
        (f"ada@example.org {TEXT}", ["ada@example.org"]),
        (f"ada@example.org,grace@example.org {TEXT} a comment", ["ada@example.org,grace@example.org"]),
        (f'"ada lovelace" namespaces="git,gonogo" {TEXT}', ["ada lovelace"]),
        (f'ada namespaces="go*" {TEXT}', ["ada"]),
        (f'ada namespaces="git" {TEXT}', []),
        (f"\n# nobody\n  \nada {TEXT}\n", ["ada"]),
        ("", []),
    ],
)
def test_lines_are_read_as_openssh_writes_them(line: str, principals: list[str]) -> None:
    assert parse(line) == principals


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ("ada", "team.allowed:1: expected: principals"),
        ("# one\nada ssh-rsa AAAAB3NzaC1yc2EAAA", "team.allowed:2: expected an ssh-ed25519 key, not ssh-rsa"),
        (f"ada cert-authority {TEXT}", "cert-authority is not known here"),
        (f'ada valid-after="soon" {TEXT}', "expected a time such as"),
        ("ada ssh-ed25519 AAAA", "team.allowed:1:"),
    ],
)
def test_a_line_that_cannot_be_judged_is_an_error_with_its_place(line: str, problem: str) -> None:
    with pytest.raises(UsageError, match=problem):
        parse(line)


def test_a_key_signs_within_its_times_only() -> None:
    line = f'ada valid-after="20260101",valid-before="202602011200Z" {TEXT}'
    (signer,) = parse_allowed_signers(line, name="x")
    begin, end = datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 2, 1, 12, tzinfo=UTC)
    assert [signer.valid_at(at) for at in (begin - timedelta(seconds=1), begin, end - timedelta(seconds=1), end)] == [
        False, True, True, False,
    ]  # fmt: skip


def test_a_file_that_is_not_there_allows_nobody(tmp_path: Path) -> None:
    assert read_allowed_signers(tmp_path / "none.allowed") == ()


def test_ssh_keygen_takes_the_lines_written_here(tmp_path: Path) -> None:
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", tmp_path / "key"], check=True)
    key = load_signing_key(tmp_path / "key", lambda: pytest.fail("no passphrase is needed"))
    (tmp_path / "allowed").write_text(line_of(["ada"], public_text(key.public_key())))
    (tmp_path / "text").write_text("text")
    sign = ["ssh-keygen", "-q", "-Y", "sign", "-f", tmp_path / "key", "-n", "gonogo", tmp_path / "text"]
    subprocess.run(sign, check=True, capture_output=True)
    verify = ["ssh-keygen", "-Y", "verify", "-f", tmp_path / "allowed", "-I", "ada", "-n", "gonogo", "-s",
              tmp_path / "text.sig"]  # fmt: skip
    subprocess.run(verify, check=True, capture_output=True, input=b"text")
    assert read_allowed_signers(tmp_path / "allowed")[0].key == key.public_key()


def test_a_protected_key_opens_with_its_passphrase_only(tmp_path: Path) -> None:
    command = ["ssh-keygen", "-q", "-t", "ed25519", "-a", "1", "-N", "open sesame", "-f", tmp_path / "key"]
    subprocess.run(command, check=True)
    assert load_signing_key(tmp_path / "key", lambda: "open sesame")
    with pytest.raises(UsageError, match="passphrase does not open"):
        load_signing_key(tmp_path / "key", lambda: "wrong")


@pytest.mark.parametrize("kind", ["rsa", "ecdsa"])
def test_a_key_of_another_kind_is_refused_in_a_line(tmp_path: Path, kind: str) -> None:
    subprocess.run(["ssh-keygen", "-q", "-t", kind, "-N", "", "-f", tmp_path / "key"], check=True)
    with pytest.raises(UsageError, match="Ed25519"):
        load_signing_key(tmp_path / "key", lambda: "")
