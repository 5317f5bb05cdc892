"""One seed from many facts: random choices that depend on nothing but what they are about."""

import hashlib


def seed_of(text: str) -> int:
    """Return the first 63 bits of a text's sha256: any two texts get unrelated seeds.

    `text` names all that may decide: a setting's seed, a row's key, an epoch. 63 bits fit a signed
    integer of any library.
    """
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") >> 1
