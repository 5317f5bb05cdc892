"""Verify that token shards are as encode left them, and as it would make them again.

Nothing is changed.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from infra.store import read_manifest, recorded_files
from pipelines.inspect_tokens.counts import THREADS, TokenCounts
from pipelines.inspect_tokens.reencoding import encode_again
from pipelines.inspect_tokens.repeats import hashes
from pipelines.inspect_tokens.token_shards import ShardSet, TokenShard, brief, row_groups
from schemas.artifacts import BPE, CLEAN_PAIRS, DROPPED_ROWS, DVAE, TRAIN, VAL
from schemas.errors import SchemaMismatch
from schemas.manifest import Manifest
from stages.data.digests import file_digest
from stages.progress import Progress
from stages.threads import in_threads

MOST_OTHER_CODES = 1e-3  # of a sample; devices disagree on near-ties, far less often
KEYS_NAMED = 3


@dataclass
class Verification:
    """A line for each check, and the problem of each broken file."""

    checked: dict[str, str] = field(default_factory=dict)
    broken: dict[str, str] = field(default_factory=dict)

    def add(self, broken: Mapping[str, str]) -> None:
        for name, problem in broken.items():
            known = self.broken.get(name)
            self.broken[name] = f"{known}; {problem}" if known else problem


def verify(found: ShardSet, tokens: TokenCounts) -> Verification:
    """Check pages, ids, keys and hashes, and encode a sample again."""
    result = Verification()
    result.add(tokens.shards.broken)
    good = tokens.shards.good
    sound = f"all pages and ids of {len(good):,} of {len(found.names):,} shards are valid"
    result.checked["content"] = sound
    _check_keys(found, tokens, result)
    if found.manifest is None:
        result.checked["bytes"] = "not compared: there is no manifest with hashes"
        result.checked["encoded again"] = "nothing: there is no manifest with settings"
        return result
    _check_bytes(found, found.manifest, result)
    for shard in good:
        for maker in (DVAE.name, BPE.name):
            have = getattr(shard.header, f"{maker}_sha256")
            want = found.manifest.inputs[maker].content_sha256
            if have != want:
                result.add({shard.name: f"{maker}_sha256 is {have}, the manifest has {want}"})
    _check_sample(found, found.manifest, good, result)
    return result


def _check_bytes(found: ShardSet, manifest: Manifest, result: Verification) -> None:
    """Compare every file of rows with its hash in the manifest."""
    listed = recorded_files(found.folder, manifest)
    rows = {n: d for n, d in listed.items() if n.startswith((TRAIN, VAL, DROPPED_ROWS))}
    if not found.whole:
        rows = {name: digest for name, digest in rows.items() if name in found.names}
    result.add({name: "it is not in the manifest; remove it"
                 for name in found.names if name not in rows})  # fmt: skip

    def compare(name: str) -> str | None:
        try:
            have = file_digest(found.folder, name)
        except FileNotFoundError:
            return "it is in the manifest, but missing"
        if have == rows[name]:
            return None
        if have.bytes != rows[name].bytes:
            return f"it has {have.bytes:,} bytes, the manifest has {rows[name].bytes:,}"
        return f"sha256 is {brief(have.sha256)}, the manifest has {brief(rows[name].sha256)}"

    damaged = {}
    total = sum(digest.bytes for digest in rows.values())
    with Progress("verify", total, unit="bytes") as progress:
        for name, problem in zip(rows, in_threads(compare, rows, THREADS), strict=True):
            progress.advance(rows[name].bytes)
            if problem is not None:
                damaged[name] = problem
    result.add(damaged)
    result.checked["bytes"] = (
        f"{len(rows) - len(damaged):,} of {len(rows):,} files match the manifest (sha256)"
    )


def _check_keys(found: ShardSet, tokens: TokenCounts, result: Verification) -> None:
    """Find the shards that have a key of an earlier row."""
    repeated = np.unique(tokens.keys.repeated())
    some = "" if tokens.keys.one_in == 1 else f" (of one in {tokens.keys.one_in})"
    result.checked["keys"] = f"{len(repeated):,} occur more than once{some}"
    holders: dict[str, str] = {}
    for shard in tokens.shards.good if len(repeated) else ():
        twice = []
        for group in row_groups(found.folder, shard.name, ["key"]):
            keys = np.array(group["key"].to_pylist(), object)
            for key in keys[np.isin(hashes(key.encode() for key in keys), repeated)]:
                if key in holders:
                    twice.append(f"{key} (also in {holders[key]})")
                holders.setdefault(key, shard.name)
        if twice:
            more = f" and {len(twice) - KEYS_NAMED:,} more" if len(twice) > KEYS_NAMED else ""
            result.add({shard.name: f"repeats the keys {', '.join(twice[:KEYS_NAMED])}{more}"})


def _check_sample(
    found: ShardSet, manifest: Manifest, good: list[TokenShard], result: Verification
) -> None:
    """Encode a few rows again if the artifacts they were made from are still there."""
    makers = {}
    for name in (CLEAN_PAIRS.name, DVAE.name, BPE.name):
        record = manifest.inputs[name]
        folder = found.beside(name, record.fingerprint)
        now = read_manifest(folder) if folder is not None else None
        if folder is None or now is None or now.content_sha256 != record.content_sha256:
            result.checked["encoded again"] = f"nothing: their {name} is gone"
            return
        makers[name] = folder
    try:
        again = encode_again(found.folder, manifest, makers, {shard.name for shard in good})
    except SchemaMismatch as error:
        result.checked["encoded again"] = f"nothing: {error}"
        return
    result.add(again.broken)
    if again.other_codes > MOST_OTHER_CODES * again.codes:
        result.add(again.other)
    result.checked["encoded again"] = (
        f"{again.rows:,} rows of {again.shards:,} shards: "
        f"{again.other_codes:,} of {again.codes:,} codes differ"
    )
