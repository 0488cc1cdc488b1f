"""Recommendation ids that prove what was recommended to whom: nothing is remembered until feedback comes.

Any process with the same secret reads them, after a restart as well. An id is 20 bytes in base64url: the persona and
the key by their places, 8 random bytes, and 10 bytes of a keyed BLAKE2b over these and the user's id.
"""

import base64
import binascii
import hashlib
import hmac
import secrets
from typing import NamedTuple

from engines.personas import Persona
from engines.resonance_key import ALL_KEYS, ResonanceKey

SECRET_BYTES = 32

_PERSONAS = tuple(Persona)
_PLACE_OF_PERSONA = {persona: place for place, persona in enumerate(_PERSONAS)}
_PLACE_OF_KEY = {key: place for place, key in enumerate(ALL_KEYS)}
_RANDOM_BYTES, _PROOF_BYTES = 8, 10


class Receipt(NamedTuple):
    """What an id stands for."""

    persona: Persona
    key: ResonanceKey


def issue(secret: bytes, user_id: str, persona: Persona, key: ResonanceKey) -> str:
    """A new id."""
    said = bytes((_PLACE_OF_PERSONA[persona], _PLACE_OF_KEY[key])) + secrets.token_bytes(_RANDOM_BYTES)
    return _text(said + _proof(secret, said, user_id))


def read(secret: bytes, user_id: str, recommendation_id: str) -> Receipt | None:
    """What was recommended; None for an id that was not issued to this user."""
    try:
        content = base64.b64decode(recommendation_id + "=", altchars=b"-_", validate=True)
    except (binascii.Error, ValueError):
        return None
    if _text(content) != recommendation_id:  # two bits of the last character are ignored: one form is an id, not four
        return None
    said, proof = content[: 2 + _RANDOM_BYTES], content[2 + _RANDOM_BYTES :]
    if not hmac.compare_digest(proof, _proof(secret, said, user_id)):
        return None
    return Receipt(_PERSONAS[said[0]], ALL_KEYS[said[1]])


def _text(content: bytes) -> str:
    return base64.urlsafe_b64encode(content).rstrip(b"=").decode()


def _proof(secret: bytes, said: bytes, user_id: str) -> bytes:
    return hashlib.blake2b(
        said + user_id.encode("utf-8", "surrogatepass"), key=secret, digest_size=_PROOF_BYTES
    ).digest()
