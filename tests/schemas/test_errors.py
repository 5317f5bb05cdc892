"""How errors of others are worded for people."""

from schemas.errors import StorageFailed, of_storage


def test_what_a_storage_minds_is_one_short_line_beneath_our_own_words():
    cause = PermissionError("no\n  key " + "x" * 999)
    ours = StorageFailed("wanted to read it, but that failed")
    ours.__cause__ = cause
    assert of_storage(ours) == of_storage(cause) == f"PermissionError: no key {'x' * 293}"
    assert of_storage(StorageFailed("alone")) == "StorageFailed: alone"
