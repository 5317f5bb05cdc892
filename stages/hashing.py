"""Numbers from a text's hash: random choices that depend on nothing but what they are about."""

import hashlib


def hash_bits(text: str, bits: int = 64) -> int:
    """Return the first bits of a text's SHA-256: the same number on every machine."""
    digest = hashlib.sha256(text.encode(errors="replace")).digest()
    return int.from_bytes(digest[:8], "big") >> (64 - bits)
