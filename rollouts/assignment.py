"""Which users see the candidate: a salted hash of the user id into 10,000 slots.

A user is exposed when his slot is below the number of canary slots. Hence the assignment is sticky (the slot depends
on salt and user alone), monotone (a growing share keeps everyone who was exposed) and, for different salts,
independent. Requests without a user id have the last slot: they see the candidate only when everyone does.
"""

import hashlib

SLOTS = 10_000
NOBODY_SLOT = SLOTS - 1
USER_HEADER = "X-User-Id"
NO_USER = "-"


def slot_of(user_id: str | None, salt_key: str) -> int:
    """The slot of a user under a salt, from 0 to 9,999 (BLAKE2b; HAProxy uses xxh32, under the same laws)."""
    if user_id is None:
        return NOBODY_SLOT
    digest = hashlib.blake2b(user_id.encode(), key=salt_key.encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") % SLOTS


def is_exposed(user_id: str | None, salt_key: str, canary_slots: int) -> bool:
    """Whether the user sees the candidate while ``canary_slots`` slots do."""
    return slot_of(user_id, salt_key) < canary_slots


def user_hash(user_id: str | None) -> str:
    """A short name for a user that a request log may hold; ``-`` for a request without a user id."""
    return NO_USER if user_id is None else hashlib.blake2b(user_id.encode(), digest_size=8).hexdigest()


def salt_key(salt: str) -> str:
    """A salt of any text as 16 hexadecimal digits: safe in commands and configuration of any router."""
    return hashlib.blake2b(salt.encode(), digest_size=8).hexdigest()


def slots_of_share(share: float) -> int:
    """The number of slots of a share from 0 to 1, at least one for a share above 0."""
    return 0 if share <= 0 else max(1, round(share * SLOTS))
