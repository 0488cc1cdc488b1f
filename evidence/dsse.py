"""Dead Simple Signing Envelope 1.0 (https://github.com/secure-systems-lab/dsse) with Ed25519.

Written here because the ready-made libraries reject envelopes without a key id or count one key under two ids twice;
securesystemslib and openssl verify these envelopes in the tests.
"""

import base64
import binascii
import hashlib
import json
from collections.abc import Collection
from typing import Any

import rfc8785
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from processes.errors import IntegrityError

PAYLOAD_TYPE = "application/vnd.in-toto+json"


def pre_authentication_encoding(payload_type: str, payload: bytes) -> bytes:
    """The bytes that are signed (DSSE protocol, section Signature Definition)."""
    kind = payload_type.encode()
    return b"DSSEv1 %d %b %d %b" % (len(kind), kind, len(payload), payload)


def key_id(key: Ed25519PublicKey) -> str:
    """The sha256 (hex) of the key's DER SubjectPublicKeyInfo: a hint for people, never trusted."""
    return hashlib.sha256(key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)).hexdigest()


def sign(statement: dict[str, Any], key: Ed25519PrivateKey) -> bytes:
    """Sign a statement as RFC 8785 canonical JSON and return the envelope, itself canonical JSON."""
    payload = rfc8785.dumps(statement)
    signature = key.sign(pre_authentication_encoding(PAYLOAD_TYPE, payload))
    return _envelope(payload, signature, key_id(key.public_key()))


def verify(envelope: bytes, trusted: Collection[Ed25519PublicKey]) -> tuple[dict[str, Any], str]:
    """Return the statement and the id of the trusted key that signed it.

    An envelope is accepted in one form only, the one that ``sign`` writes: no byte can change unnoticed, and what was
    signed once cannot come back under another record id. The key id by itself decides nothing.
    Raises IntegrityError.
    """
    parsed = parse_strict(envelope)
    try:
        payload_type = parsed["payloadType"]
        payload = _decode(parsed["payload"])
        (signature,) = [_decode(s["sig"]) for s in parsed["signatures"]]
    except (KeyError, TypeError, ValueError, binascii.Error) as error:
        raise IntegrityError("is no DSSE envelope with one signature") from error
    if payload_type != PAYLOAD_TYPE:
        raise IntegrityError("is no in-toto envelope")
    signed = pre_authentication_encoding(payload_type, payload)
    for key in trusted:
        try:
            key.verify(signature, signed)
        except InvalidSignature:
            continue
        if _envelope(payload, signature, key_id(key)) != envelope:
            raise IntegrityError("is not written as its signer wrote it, or names another key")
        return parse_strict(payload), key_id(key)
    raise IntegrityError("is not signed by a trusted key")


def _envelope(payload: bytes, signature: bytes, keyid: str) -> bytes:
    return canonical_json(
        {
            "payload": base64.b64encode(payload).decode(),
            "payloadType": PAYLOAD_TYPE,
            "signatures": [{"keyid": keyid, "sig": base64.b64encode(signature).decode()}],
        }
    )


def canonical_json(value: object) -> bytes:
    """A value as RFC 8785 canonical JSON: the same bytes everywhere. NaN is refused."""
    return rfc8785.dumps(value)  # type: ignore[arg-type]


def json_sha256(value: object) -> str:
    """The sha256 (hex) of a value as RFC 8785 canonical JSON."""
    return hashlib.sha256(canonical_json(value)).hexdigest()


def unverified_payload(envelope: bytes) -> dict[str, Any]:
    """The statement of an envelope that nobody has verified yet. Raises IntegrityError."""
    try:
        return parse_strict(base64.b64decode(parse_strict(envelope)["payload"], validate=True))
    except (KeyError, TypeError, ValueError) as error:
        raise IntegrityError("is no DSSE envelope") from error


def _decode(text: str) -> bytes:
    """Base64 as it is encoded here: Python ignores the last character's spare bits, which would hide a change."""
    content = base64.b64decode(text, validate=True)
    if base64.b64encode(content).decode() != text:
        raise IntegrityError("is not encoded as it would be here")
    return content


def parse_strict(text: bytes) -> dict[str, Any]:
    """Parse a JSON object, refusing duplicate keys. Raises IntegrityError."""

    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        keys = dict(pairs)
        if len(keys) != len(pairs):
            raise IntegrityError("has a key twice")
        return keys

    try:
        parsed = json.loads(text, object_pairs_hook=unique)
    except (ValueError, RecursionError) as error:
        raise IntegrityError("is no valid JSON") from error
    if not isinstance(parsed, dict):
        raise IntegrityError("is no JSON object")
    return parsed
