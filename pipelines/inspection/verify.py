"""Are token shards what encode left, and what it would make again? Nothing is changed."""

from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

import numpy as np

from infra.store import read_manifest, recorded_files
from pipelines.inspection.again import Again, encode_again
from pipelines.inspection.counts import THREADS, Tokens
from pipelines.inspection.repeats import hashes
from pipelines.inspection.shards import Shard, Target, row_groups
from schemas.artifacts import BPE, CLEAN_PAIRS, DROPPED_ROWS, DVAE, TRAIN, VAL
from schemas.errors import SchemaMismatch
from schemas.manifest import Manifest
from stages.digests import file_digest
from stages.progress import Progress

MOST_OTHER_CODES = 1e-3  # of a sample: two devices disagree on near ties, far less often
KEYS_NAMED = 3


@dataclass
class Verdict:
    """What was looked at, in words, and what is wrong with which file."""

    checked: dict[str, str] = field(default_factory=dict)
    broken: dict[str, str] = field(default_factory=dict)

    def add(self, broken: Mapping[str, str]) -> None:
        """Note what is wrong, beside what is known already."""
        for name, why in broken.items():
            self.broken[name] = f"{self.broken[name]}; {why}" if name in self.broken else why


def verify(found: Target, tokens: Tokens) -> Verdict:
    """Compare the shards with the manifest, with each other, and a sample with its making."""
    verdict = Verdict()
    verdict.add(tokens.shards.broken)
    good = tokens.shards.good
    sound = f"{len(good):,} of {len(found.names):,} shards can be read, every page and id of them"
    verdict.checked["content"] = sound
    _check_keys(found, tokens, verdict)
    if found.manifest is None:
        verdict.checked["bytes"] = "not compared: no manifest says what encode left"
        verdict.checked["encoded again"] = "nothing: no manifest says with which settings"
        return verdict
    _check_bytes(found, found.manifest, verdict)
    verdict.add(_foreign(good, found.manifest))
    _check_sample(found, found.manifest, good, verdict)
    return verdict


def _check_bytes(found: Target, manifest: Manifest, verdict: Verdict) -> None:
    """Compare every file of rows with the hash that the manifest has of it."""
    listed = recorded_files(found.folder, manifest)
    rows = {n: d for n, d in listed.items() if n.startswith((TRAIN, VAL, DROPPED_ROWS))}
    if not found.whole:
        rows = {name: digest for name, digest in rows.items() if name in found.names}
    verdict.add({name: "it is not one of the files that encode left; take it out"
                 for name in found.names if name not in rows})  # fmt: skip

    def compare(name: str) -> str | None:
        try:
            have = file_digest(found.folder, name)
        except FileNotFoundError:
            return "encode left it, but it is not there"
        if have == rows[name]:
            return None
        if have.bytes != rows[name].bytes:
            return f"it has {have.bytes:,} bytes, encode left {rows[name].bytes:,}"
        return (
            f"its bytes are not those that encode left: the sha256 is {have.sha256[:12]}..., "
            f"the manifest has {rows[name].sha256[:12]}..."
        )

    damaged = {}
    with (
        ThreadPoolExecutor(THREADS) as threads,
        Progress("verify", sum(digest.bytes for digest in rows.values()), unit="bytes") as progress,
    ):
        for name, wrong in zip(rows, threads.map(compare, rows), strict=True):
            progress.advance(rows[name].bytes)
            if wrong is not None:
                damaged[name] = wrong
    verdict.add(damaged)
    verdict.checked["bytes"] = (
        f"{len(rows) - len(damaged):,} of {len(rows):,} files are what encode left (sha256)"
    )


def _foreign(shards: Iterable[Shard], manifest: Manifest) -> dict[str, str]:
    """Return the shards that were made with another dVAE or BPE than the manifest tells of."""
    broken = {}
    for shard in shards:
        for maker in (DVAE.name, BPE.name):
            have, want = (
                getattr(shard.header, f"{maker}_sha256"),
                manifest.inputs[maker].content_sha256,
            )
            if have != want:
                broken[shard.name] = f"{maker}_sha256 is {have}, the manifest has {want}"
    return broken


def _check_keys(found: Target, tokens: Tokens, verdict: Verdict) -> None:
    """Name the shards that have a key which an earlier row has."""
    repeated = np.unique(tokens.keys.repeated())
    some = "" if tokens.keys.one_in == 1 else f" (one in {tokens.keys.one_in} was looked at)"
    verdict.checked["keys"] = f"{len(repeated):,} belong to several rows{some}"
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
            verdict.add({shard.name: f"repeats the keys {', '.join(twice[:KEYS_NAMED])}{more}"})


def _check_sample(found: Target, manifest: Manifest, good: list[Shard], verdict: Verdict) -> None:
    """Encode a few rows again, if all that they were made from is still there."""
    makers = {}
    for name in (CLEAN_PAIRS.name, DVAE.name, BPE.name):
        record = manifest.inputs[name]
        folder = found.beside(name, record.fingerprint)
        now = read_manifest(folder) if folder is not None else None
        if folder is None or now is None or now.content_sha256 != record.content_sha256:
            verdict.checked["encoded again"] = f"nothing: the {name} they were made from is gone"
            return
        makers[name] = folder
    try:
        again = encode_again(found.folder, manifest, makers, {shard.name for shard in good})
    except SchemaMismatch as error:
        verdict.checked["encoded again"] = f"nothing: {error}"
        return
    verdict.add(again.broken)
    if again.other_codes > MOST_OTHER_CODES * again.codes:
        verdict.add(again.other)
    verdict.checked["encoded again"] = _words(again)


def _words(again: Again) -> str:
    return (
        f"{again.rows:,} rows of {again.shards:,} shards, "
        f"{again.other_codes:,} of their {again.codes:,} codes came out otherwise"
    )
