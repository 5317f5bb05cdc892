"""Inspect token shards: find, count, verify and compare them, and print what was found."""
