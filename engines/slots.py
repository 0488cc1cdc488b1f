"""Which users belong to a share: a salted hash of the id gives one of 10,000 slots, and a share is the first of them.

Sticky, and monotone: who is in at 5 % is in at 50 %. Two purposes need two salts, or the users of one would all lie on
one side of the other.
"""

import hashlib

SLOTS = 10_000


def slot(salt: str, user_id: str) -> int:
    """The user's slot, from 0 to 9,999; the salt has at most 64 bytes."""
    digest = hashlib.blake2b(user_id.encode("utf-8", "surrogatepass"), key=salt.encode(), digest_size=8).digest()
    return int.from_bytes(digest) % SLOTS


def within(salt: str, user_id: str, percentage: float) -> bool:
    """Whether the user belongs to the first ``percentage`` (0 to 100, in steps of 0.01) of slots."""
    return slot(salt, user_id) < round(percentage * SLOTS / 100)
