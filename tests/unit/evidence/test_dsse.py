import base64
import itertools
import json
import shlex
import subprocess
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from securesystemslib.dsse import Envelope
from securesystemslib.signer import SSlibKey

from evidence.dsse import PAYLOAD_TYPE, key_id, parse_strict, pre_authentication_encoding, sign, verify
from processes.errors import IntegrityError

KEY = Ed25519PrivateKey.generate()
STATEMENT = {"_type": "https://in-toto.io/Statement/v1", "predicate": {"tests": 418, "name": "Größe ✓"}}


def test_the_signed_bytes_are_those_of_the_protocols_own_vector() -> None:
    encoded = pre_authentication_encoding("http://example.com/HelloWorld", b"hello world")
    assert encoded == b"DSSEv1 29 http://example.com/HelloWorld 11 hello world"


def test_what_was_signed_is_read_back() -> None:
    statement, signer = verify(sign(STATEMENT, KEY), [KEY.public_key()])
    assert statement == STATEMENT
    assert signer == key_id(KEY.public_key())


def test_securesystemslib_verifies_our_envelope() -> None:
    envelope = Envelope.from_dict(json.loads(sign(STATEMENT, KEY)))
    raw = KEY.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw).hex()
    key = SSlibKey(key_id(KEY.public_key()), "ed25519", "ed25519", {"public": raw})
    assert len(envelope.verify([key], 1)) == 1


def test_openssl_verifies_our_envelope(tmp_path: Path) -> None:
    envelope = json.loads(sign(STATEMENT, KEY))
    payload = base64.b64decode(envelope["payload"])
    (tmp_path / "signed").write_bytes(pre_authentication_encoding(PAYLOAD_TYPE, payload))
    (tmp_path / "sig").write_bytes(base64.b64decode(envelope["signatures"][0]["sig"]))
    (tmp_path / "key.pem").write_bytes(KEY.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))
    command = shlex.split("openssl pkeyutl -verify -rawin -pubin -inkey key.pem -in signed -sigfile sig")
    answer = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert answer.returncode == 0, answer.stderr


def test_no_bit_of_an_envelope_can_change_unnoticed() -> None:
    envelope = sign(STATEMENT, KEY)
    for position, bit in itertools.product(range(len(envelope)), range(8)):
        changed = bytearray(envelope)
        changed[position] ^= 1 << bit
        with pytest.raises(IntegrityError):
            verify(bytes(changed), [KEY.public_key()])


def test_a_foreign_signature_is_refused() -> None:
    with pytest.raises(IntegrityError, match="trusted"):
        verify(sign(STATEMENT, KEY), [Ed25519PrivateKey.generate().public_key()])


def test_a_second_value_under_one_key_is_refused() -> None:
    with pytest.raises(IntegrityError, match="twice"):
        parse_strict(b'{"result": "FAILED", "result": "PASSED"}')
