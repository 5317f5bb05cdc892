"""What one row looks like at each boundary between stages.

Plain Arrow types only, so DuckDB, pandas or another language can open any table we write.
"""

import numpy as np
import pyarrow as pa

from schemas.errors import SchemaMismatch

PAIR = pa.schema(
    [
        # Stable across runs: shard and row of the source, 00003-000012. A picture's further
        # captions are rows of the same family, with the same url: 00003-000012.1, .2, ...
        pa.field("key", pa.string(), nullable=False),
        pa.field("url", pa.string(), nullable=False),  # or the path inside a picture folder
        pa.field("caption", pa.string()),
        pa.field("image", pa.binary()),  # encoded file, short side at most 1.5 x training side
        pa.field("width", pa.int32()),
        pa.field("height", pa.int32()),
        pa.field("original_width", pa.int32()),
        pa.field("original_height", pa.int32()),
        pa.field("sha256", pa.string()),  # of the bytes as fetched
        pa.field("status", pa.string(), nullable=False),  # "ok" or "failed"
        pa.field("reason", pa.string()),  # why it failed, one of a few words; null when ok
        pa.field("detail", pa.string()),  # the error message
        pa.field("source", pa.string()),  # other columns of the source, as JSON
    ]
)

# What is measured of each pair by itself; null without a picture, or if the score is off.
MEASURES = [
    pa.field("chars", pa.int32()),
    pa.field("words", pa.int32()),
    pa.field("english", pa.float32()),  # probability that the caption is English
    pa.field("boilerplate", pa.float32()),  # share of its letters that say nothing of the picture
    pa.field("aspect", pa.float32()),  # long side / short side of the original
    pa.field("short_side", pa.int32()),  # pixels, of the picture as it is kept
    pa.field("contrast", pa.float32()),  # standard deviation of the liveliest channel, 0 to 128
    pa.field("perceptual_hash", pa.uint64()),
    pa.field("nsfw", pa.float32()),  # 0 to 1
    pa.field("writing", pa.float32()),  # share of the picture that letters cover
    pa.field("watermark", pa.string()),  # the picture agency's name that is written in it
    pa.field("clip_score", pa.float32()),  # cosine of picture and caption, by a pretrained CLIP
]

# What can only be known by comparing a pair with others.
COMPARISONS = [
    pa.field("caption_pictures", pa.int64()),  # different pictures that have this very caption
    pa.field("overlaps", pa.string()),  # the evaluation set that has this picture, or nearly
]
SCORES = [*MEASURES, *COMPARISONS]

# One row for each pair, so that a changed threshold measures nothing again.
MEASURED = pa.schema(
    [
        pa.field("key", pa.string(), nullable=False),
        pa.field("caption", pa.string(), nullable=False),  # cleaned
        pa.field("caption_digest", pa.uint64(), nullable=False),  # of its lower-case form
        pa.field("sha256", pa.string()),
        *MEASURES,
    ]
)

CLEAN_PAIR = pa.schema(
    [
        pa.field("key", pa.string(), nullable=False),
        pa.field("url", pa.string(), nullable=False),
        pa.field("caption", pa.string(), nullable=False),
        pa.field("image", pa.binary(), nullable=False),
        pa.field("width", pa.int32(), nullable=False),
        pa.field("height", pa.int32(), nullable=False),
        pa.field("sha256", pa.string(), nullable=False),
        *SCORES,
        pa.field("group", pa.string(), nullable=False),  # rows of one group share a split
    ]
)

DROPPED = pa.schema(
    [
        pa.field("key", pa.string(), nullable=False),
        pa.field("url", pa.string(), nullable=False),
        pa.field("caption", pa.string()),
        pa.field("reason", pa.string(), nullable=False),
        *SCORES,
        pa.field("group", pa.string()),
    ]
)


FLIP = "#flip"  # at the end of the key of a mirrored picture


def list_of(kind: pa.DataType, width: int) -> pa.DataType:
    """Return the type of lists of `width`; without nulls in them, reading costs a third less."""
    return pa.list_(pa.field("element", kind, nullable=False), width)


def token_pair(*, text_len: int, grid: int) -> pa.Schema:
    """Return the row the prior learns from: text ids then pads, image codes in raster order."""
    return pa.schema(
        [
            # the clean pair's, then #1, #2, ... for further crops, then FLIP for its mirror image
            pa.field("key", pa.string(), nullable=False),
            pa.field("group", pa.string(), nullable=False),
            pa.field("caption", pa.string(), nullable=False),
            pa.field("text", list_of(pa.uint16(), text_len), nullable=False),
            pa.field("text_length", pa.uint16(), nullable=False),
            pa.field("image", list_of(pa.uint16(), grid * grid), nullable=False),
            # left, top, right, bottom of what was encoded, in pixels of the clean pair's picture
            pa.field("crop", list_of(pa.float32(), 4), nullable=False),
        ]
    )


SAMPLE = pa.schema(
    [
        pa.field("prompt_id", pa.int32(), nullable=False),  # position in the list of prompts
        pa.field("prompt", pa.string(), nullable=False),
        pa.field("set", pa.string(), nullable=False),  # which kind of prompt, e.g. "held_out"
        pa.field("seed", pa.int64(), nullable=False),
        pa.field("candidate", pa.int32(), nullable=False),
        pa.field("clip_score", pa.float32(), nullable=False),  # cosine similarity
        # Nats: the sum of ln p of its codes by the prior, after the caption and `given`. It is that
        # of the prior itself: without temperature, top-k, top-p and guidance.
        pa.field("log_likelihood", pa.float32(), nullable=False),
        pa.field("rank", pa.int32(), nullable=False),  # 0 = the prompt's best by sample.rank_by
        pa.field("given", pa.list_(pa.uint16())),  # codes of the top rows, if it completes them
        pa.field("png", pa.binary()),  # prompt, seed and candidate inside; null if forgotten
        pa.field("file", pa.string()),  # the same picture as a loose PNG, for the best few
    ]
)


def fixed_list(values: np.ndarray) -> pa.FixedSizeListArray:
    """Turn an (n, width) array into a column of fixed-size lists."""
    flat = pa.array(values.reshape(-1))
    return pa.FixedSizeListArray.from_arrays(flat, type=list_of(flat.type, values.shape[1]))


def matrix(column: pa.ChunkedArray | pa.Array) -> np.ndarray:
    """Turn a column of fixed-size lists back into an (n, width) array."""
    width = column.type.list_size
    if isinstance(column, pa.ChunkedArray):
        # combining copies, also where there is nothing to combine
        column = column.chunk(0) if column.num_chunks == 1 else column.combine_chunks()
    return column.flatten().to_numpy(zero_copy_only=False).reshape(-1, width)


def check(actual: pa.Schema, promised: pa.Schema, *, where: str) -> None:
    """Raise SchemaMismatch unless `actual` has exactly the promised names and types."""
    have = {f.name: f.type for f in actual}
    want = {f.name: f.type for f in promised}
    problems = (
        [f"missing '{n}' ({want[n]})" for n in want.keys() - have.keys()]
        + [f"unexpected '{n}' ({have[n]})" for n in have.keys() - want.keys()]
        + [
            f"'{n}' is {have[n]}, promised {want[n]}"
            for n in want.keys() & have.keys()
            if have[n] != want[n]
        ]
    )
    if problems:
        raise SchemaMismatch(
            f"{where}: " + "; ".join(sorted(problems)) + "; make the file again with its stage"
        )
