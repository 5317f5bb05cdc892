"""Compare all pairs with each other, by small signatures: the only step that sees the whole corpus.

It runs in one task and holds about 80 bytes a pair. What it finds is written for each shard of
pairs, for the rows alone that have something in common with others: most have not.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from schemas.configs import FilterJob
from schemas.folder import Folder
from stages.filter.decontaminate import evaluation_pictures
from stages.filter.near import clusters, nearest_within
from stages.tables import PLAIN_FILE, parquet_bytes

COMPARED = "compared/"  # between the passes
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
    """What is compared, of the rows that have a picture; `picture` numbers the different ones."""

    shard: np.ndarray  # [rows], rising: which shard the row is in
    row: np.ndarray  # [rows]: and where
    picture: np.ndarray  # [rows]
    caption: np.ndarray  # [rows]
    sha256: pa.Array  # [pictures], in the order of their first rows
    contrast: np.ndarray  # [pictures]
    perceptual_hash: np.ndarray  # [pictures]


def compare(measured: Folder, names: Sequence[str], out: Folder, cfg: FilterJob) -> dict[str, int]:
    """Write what the rows of each shard have in common with others; return a few counts.

    A row's group is the first picture that its own is the same as, or nearly.
    """
    found = read_signatures(measured, names)
    first = near_groups(found, cfg)
    overlaps = evaluation_overlaps(found, cfg)
    pictures = pictures_of_captions(found.caption, first[found.picture])
    group = first[found.picture]
    has_news = (group != found.picture) | (pictures > 1)
    has_news |= np.asarray(overlaps.is_valid())[found.picture]
    news = np.flatnonzero(has_news)
    ends = np.searchsorted(found.shard[news], np.arange(1, len(names)))
    for name, here in zip(names, np.split(news, ends), strict=True):
        table = pa.table(
            {
                "row": found.row[here],
                "group": found.sha256.take(pa.array(group[here])),
                "caption_pictures": pictures[here],
                "overlaps": overlaps.take(pa.array(found.picture[here])),
            },
            SCHEMA,
        )
        out.commit(COMPARED + name, parquet_bytes(table, PLAIN_FILE))
    sizes = np.bincount(first)
    return {
        "pictures": len(first),
        "groups": int((sizes > 0).sum()),
        "largest_group": int(sizes.max(initial=0)),
    }


def read_signatures(measured: Folder, names: Sequence[str]) -> Signatures:
    """Read the signatures of all rows that have a picture, in the order of their keys."""
    shards, places, captions, hashes, contrasts, digests = [], [], [], [], [], []
    for number, name in enumerate(names):
        with measured.open(name) as file:
            table = pq.read_table(file, columns=SIGNATURE)
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
        sha256=pa.array([digest.hex() for digest in encoded.dictionary.to_pylist()], pa.string()),
        contrast=np.concatenate(contrasts)[first],
        perceptual_hash=np.concatenate(hashes)[first],
    )


def near_groups(found: Signatures, cfg: FilterJob) -> np.ndarray:
    """Return for each picture the first one of its group of near duplicates, often itself.

    The hashes of flat pictures are noise, so these are no near duplicates of anything.
    """
    first = np.arange(len(found.sha256))
    if cfg.near_bits is not None:
        lively = np.flatnonzero(found.contrast >= cfg.min_contrast)
        first[lively] = lively[clusters(found.perceptual_hash[lively], cfg.near_bits)]
    return first


def evaluation_overlaps(found: Signatures, cfg: FilterJob) -> pa.Array:
    """Name for each picture the first evaluation set that holds it, or nearly; null for most."""
    names = np.full(len(found.sha256), None, object)
    for path in reversed(cfg.decontaminate):
        reference = evaluation_pictures(path)
        same = np.isin(found.sha256.to_numpy(zero_copy_only=False), list(reference.sha256))
        if cfg.near_bits is not None:
            theirs = reference.perceptual_hash[reference.contrast >= cfg.min_contrast]
            near = nearest_within(found.perceptual_hash, theirs, cfg.near_bits) >= 0
            same |= near & (found.contrast >= cfg.min_contrast)
        names[same] = path.rstrip("/").rpartition("/")[2]
    return pa.array(names, pa.string())


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
