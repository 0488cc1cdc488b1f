import io
import tarfile
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from evidence.allowed_signers import Signer, line_of
from evidence.bundle import COLLECTORS, MANIFEST, read_bundle, write_bundle
from evidence.keys import public_text
from processes.errors import GonogoError, IntegrityError
from tests.unit.evidence.conftest import SUBJECT

KEY = Ed25519PrivateKey.generate()
FILES = {
    COLLECTORS: line_of(["collector"], public_text(KEY.public_key())).encode(),
    "plan.yaml": b"version: 1\n",
    "attachments/" + "ab" * 32: bytes(range(256)),
}


@pytest.fixture
def content(tmp_path: Path) -> bytes:
    write_bundle(tmp_path / "bundle.tar", FILES, SUBJECT, {"level": "full"}, KEY)
    return (tmp_path / "bundle.tar").read_bytes()


def packed(members: dict[str, bytes]) -> bytes:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w", format=tarfile.USTAR_FORMAT) as tar:
        for name, data in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    return stream.getvalue()


def members_of(content: bytes) -> dict[str, bytes]:
    with tarfile.open(fileobj=io.BytesIO(content)) as tar:
        return {m.name: extracted.read() for m in tar if (extracted := tar.extractfile(m))}


def test_a_bundle_is_read_back_as_it_was_written(content: bytes) -> None:
    bundle = read_bundle(content)
    assert dict(bundle.files) == FILES
    assert bundle.facts == {"level": "full"}
    assert list(bundle.folder("attachments")) == [("ab" * 32, bytes(range(256)))]


def test_the_same_files_make_the_same_bundle(tmp_path: Path, content: bytes) -> None:
    again = dict(reversed(FILES.items()))
    write_bundle(tmp_path / "again.tar", again, SUBJECT, {"level": "full"}, KEY)
    assert (tmp_path / "again.tar").read_bytes() == content


def test_every_single_changed_byte_of_a_bundle_is_found(content: bytes) -> None:
    for position in range(len(content)):
        changed = bytearray(content)
        changed[position] ^= 1 << (position % 8)
        with pytest.raises(GonogoError):
            read_bundle(bytes(changed))


@pytest.mark.parametrize("length", [0, 1, 511, 512, 5000])
def test_a_cut_or_lengthened_bundle_is_refused(content: bytes, length: int) -> None:
    with pytest.raises(IntegrityError):
        read_bundle(content[:length])
    with pytest.raises(IntegrityError):
        read_bundle(content + b"\0" * (length + 1))


def test_a_file_that_is_removed_added_or_exchanged_is_found(content: bytes) -> None:
    members = members_of(content)
    without = {name: data for name, data in members.items() if name != "plan.yaml"}
    for changed, problem in (
        (without, "plan.yaml is missing"),
        (dict(sorted({**members, "z": b""}.items())), "z is not named"),
        ({**members, "plan.yaml": b"version: 2\n"}, "plan.yaml was changed"),
    ):
        with pytest.raises(IntegrityError, match=problem):
            read_bundle(packed(changed))


def test_a_bundle_that_another_key_signed_anew_is_found_by_whoever_knows_the_key(tmp_path: Path) -> None:
    forger = Ed25519PrivateKey.generate()
    forged = {**FILES, COLLECTORS: line_of(["collector"], public_text(forger.public_key())).encode()}
    write_bundle(tmp_path / "forged.tar", forged, SUBJECT, {"level": "full"}, forger)
    content = (tmp_path / "forged.tar").read_bytes()
    assert read_bundle(content)
    with pytest.raises(IntegrityError, match="not signed by a trusted key"):
        read_bundle(content, (Signer(("collector",), KEY.public_key()),))


@pytest.mark.parametrize("name", ["../escape", "/etc/passwd", "a//b", "a b", ".hidden"])
def test_no_file_of_a_bundle_has_a_name_that_leads_elsewhere(content: bytes, name: str) -> None:
    with pytest.raises(IntegrityError, match="which no bundle does"):
        read_bundle(packed({**members_of(content), name: b""}))


def test_a_link_in_a_bundle_is_refused(content: bytes) -> None:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as tar:
        info = tarfile.TarInfo("plan.yaml")
        info.type, info.linkname = tarfile.SYMTYPE, "/etc/passwd"
        tar.addfile(info)
    with pytest.raises(IntegrityError, match="which no bundle does"):
        read_bundle(stream.getvalue())


def test_a_file_that_is_no_bundle_is_refused_in_a_line() -> None:
    with pytest.raises(IntegrityError):
        read_bundle(b"hello")
    with pytest.raises(IntegrityError, match=MANIFEST):
        read_bundle(packed({"plan.yaml": b""}))
