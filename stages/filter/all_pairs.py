"""Compare all pairs with each other by small signatures; no other step sees the whole corpus.

It runs in one task and holds about 80 bytes per pair. Its findings are written per shard of pairs,
only for the rows that have something in common with others, and a list for each evaluation set.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from schemas.folder import Folder
from schemas.settings import FilterSettings
from stages.data.parquet import PLAIN_FILE, parquet_bytes, read_table
from stages.filter.decontaminate import EvaluationPictures, evaluation_pictures
from stages.filter.near import clusters, nearest_within

COMPARED = "compared/"  # between the passes
OVERLAPS = "overlaps/"  # pictures of each evaluation set that are also among ours
SIGNATURE = ["caption_digest", "sha256", "contrast", "perceptual_hash"]

SCHEMA = pa.schema(
    [
        pa.field("row", pa.int32(), nullable=False),  # its place in the shard
        pa.field("group", pa.string(), nullable=False),
        pa.field("caption_pictures", pa.int64(), nullable=False),
        pa.field("overlaps", pa.string()),
    ]
)


@dataclass(frozen=True)
class Signatures:
    """What is compared, of the rows that have a picture; `picture` is an index of distinct ones."""

    shard: np.ndarray  # [rows], rising: which shard the row is in
    row: np.ndarray  # [rows]: and where
    picture: np.ndarray  # [rows]
    caption: np.ndarray  # [rows]
    sha256: pa.FixedSizeBinaryArray  # [pictures], in the order of their first rows
    contrast: np.ndarray  # [pictures]
    perceptual_hash: np.ndarray  # [pictures]


def compare(
    measured: Folder, names: Sequence[str], out: Folder, cfg: FilterSettings
) -> dict[str, Any]:
    """Write a table for each shard; return a few counts.

    A row's group is named after its first picture that equals or nearly equals the row's.
    """
    found = read_signatures(measured, names)
    first = near_groups(found, cfg)
    set_of, counts = evaluation_overlaps(found, out, cfg)
    sets = np.array([*_names(cfg), None], object)  # at -1: of those in none
    pictures = pictures_of_captions(found.caption, first[found.picture])
    group = first[found.picture]
    has_news = (group != found.picture) | (pictures > 1)
    has_news |= set_of[found.picture] >= 0
    news = np.flatnonzero(has_news)
    ends = np.searchsorted(found.shard[news], np.arange(1, len(names)))
    for name, here in zip(names, np.split(news, ends), strict=True):
        table = pa.table(
            {
                "row": found.row[here],
                "group": [found.sha256[of].as_py().hex() for of in group[here]],
                "caption_pictures": pictures[here],
                "overlaps": sets[set_of[found.picture[here]]],
            },
            SCHEMA,
        )
        out.commit(COMPARED + name, parquet_bytes(table, PLAIN_FILE))
    sizes = np.bincount(first)
    return {
        "pictures": len(first),
        "groups": int((sizes > 0).sum()),
        "largest_group": int(sizes.max(initial=0)),
        "evaluation_sets": counts,
    }


def read_signatures(measured: Folder, names: Sequence[str]) -> Signatures:
    """Read the signatures of all rows that have a picture, in the order of their keys."""
    shards, places, captions, hashes, contrasts, digests = [], [], [], [], [], []
    for number, name in enumerate(names):
        table = read_table(measured, name, SIGNATURE)
        places.append(np.flatnonzero(table["sha256"].is_valid()))
        shards.append(np.full(len(places[-1]), number, np.int32))
        table = table.take(places[-1])
        captions.append(table["caption_digest"].to_numpy())
        hashes.append(table["perceptual_hash"].fill_null(0).to_numpy())
        contrasts.append(table["contrast"].fill_null(0).to_numpy())  # of none: flat
        digests.append(pa.array(map(bytes.fromhex, table["sha256"].to_pylist()), pa.binary(32)))
    encoded = pa.chunked_array(digests, pa.binary(32)).dictionary_encode().combine_chunks()
    picture = encoded.indices.to_numpy()
    first = np.empty(len(encoded.dictionary), np.int64)
    first[picture[::-1]] = np.arange(len(picture))[::-1]  # of equal ones the first is written last
    return Signatures(
        shard=np.concatenate(shards),
        row=np.concatenate(places).astype(np.int32),
        picture=picture,
        caption=np.concatenate(captions),
        sha256=encoded.dictionary,
        contrast=np.concatenate(contrasts)[first],
        perceptual_hash=np.concatenate(hashes)[first],
    )


def near_groups(found: Signatures, cfg: FilterSettings) -> np.ndarray:
    """Return for each picture the first of its group of near duplicates, often itself.

    The hashes of flat pictures are noise, so they are near duplicates of nothing.
    """
    first = np.arange(len(found.sha256))
    if cfg.near_bits is not None:
        lively = np.flatnonzero(found.contrast >= cfg.min_contrast)
        first[lively] = lively[clusters(found.perceptual_hash[lively], cfg.near_bits)]
    return first


def evaluation_overlaps(
    found: Signatures, out: Folder, cfg: FilterSettings
) -> tuple[np.ndarray, dict[str, dict[str, int]]]:
    """Look for every picture in the evaluation sets, by its bytes and by its looks.

    Return for each the number of the first set that has it, or -1; and by each set's name its
    pictures, those unreadable, ours that overlap and theirs. A list of the latter is written for
    each set. Raises ConfigError if there is none that can be read in one of the sets.
    """
    set_of, counts = np.full(len(found.sha256), -1, np.int16), {}
    for number, (name, path) in enumerate(zip(_names(cfg), cfg.decontaminate, strict=True)):
        reference = evaluation_pictures(path)
        ours, theirs = overlaps_with(found, reference, cfg)
        set_of[ours & (set_of < 0)] = number
        out.commit(f"{OVERLAPS}{number}-{name}.jsonl", overlap_list(found, reference, theirs))
        counts[name] = {
            "pictures": len(reference.sha256),
            "unreadable": reference.unreadable,
            "overlaps": int(ours.sum()),
            "overlapping": int((theirs >= 0).sum()),
        }
    return set_of, counts


def overlaps_with(
    found: Signatures, reference: EvaluationPictures, cfg: FilterSettings
) -> tuple[np.ndarray, np.ndarray]:
    """Return which of our pictures an evaluation set has; for each of its own, one of ours or -1.

    Two are the same if their bytes are, or if their looks are near and neither is flat.
    """
    digests = pa.array(map(bytes.fromhex, reference.sha256), pa.binary(32))
    theirs = pc.index_in(digests, value_set=found.sha256).fill_null(-1).to_numpy().astype(np.int64)
    ours = pc.is_in(found.sha256, value_set=digests).to_numpy(zero_copy_only=False)
    if cfg.near_bits is None:
        return ours, theirs
    lively = reference.contrast >= cfg.min_contrast
    hashes = reference.perceptual_hash[lively]
    is_near = nearest_within(found.perceptual_hash, hashes, cfg.near_bits) >= 0
    near = np.flatnonzero(is_near & (found.contrast >= cfg.min_contrast))
    first = nearest_within(hashes, found.perceptual_hash[near], cfg.near_bits)
    alike = np.full(len(theirs), -1)
    alike[reference.decoded[lively]] = np.where(first < 0, -1, np.append(near, -1)[first])
    ours[near] = True
    return ours, np.where(theirs < 0, alike, theirs)


def overlap_list(found: Signatures, reference: EvaluationPictures, theirs: np.ndarray) -> bytes:
    """Return JSON lines: each picture of the set that we have too, and the sha256 of ours."""
    rows = [
        {"picture": name, "sha256": found.sha256[int(own)].as_py().hex()}
        for name, own in zip(reference.names, theirs, strict=True)
        if own >= 0
    ]
    return "".join(json.dumps(row) + "\n" for row in rows).encode()


def _names(cfg: FilterSettings) -> list[str]:
    return [path.rstrip("/").rpartition("/")[2] for path in cfg.decontaminate]


def pictures_of_captions(caption: np.ndarray, group: np.ndarray) -> np.ndarray:
    """Return for each row in how many different groups its caption is found."""
    order = np.lexsort((group, caption))
    caption, group = caption[order], group[order]
    new_caption = np.ones(len(order), bool)
    new_caption[1:] = caption[1:] != caption[:-1]
    new_group = new_caption.copy()
    new_group[1:] |= group[1:] != group[:-1]
    run = np.cumsum(new_caption) - 1
    pictures = np.empty(len(order), np.int64)
    pictures[order] = np.bincount(run, weights=new_group)[run]
    return pictures
