"""Finished artifacts with a handful of rows, for tests of the trainers."""

import numpy as np
import pyarrow as pa

from infra.store import digest_all, open_folder
from schemas import rows
from schemas.artifacts import BPE, CLEAN_PAIRS, DVAE, TOKEN_PAIRS, TOKENIZER
from schemas.folder import Inputs
from schemas.manifest import Result
from schemas.settings import DvaeShape, TokenSpec
from schemas.tokens import TokenHeader
from stages import pictures, shapes, weights
from stages.data.parquet import PICTURE_FILE, parquet_bytes
from stages.data.table import open_table
from stages.models.bpe import train_bpe
from stages.models.dvae import Dvae
from tests.stages.finished import finish

TOKENS = TokenSpec(text_vocab=300, text_len=12, image_vocab=16, grid=2)
SIZES = {"train": 40, "val": 12}


def clean_row(index, **changes):
    scene = shapes.scene(0, index)
    pixels = shapes.draw(scene, 20)
    return {
        "key": f"{index:06d}",
        "url": f"http://pictures.test/{index}",
        "caption": scene.caption,
        "image": pictures.encode_png(pixels),
        "width": 20,
        "height": 20,
        "sha256": f"{index:064x}",
        "group": str(index),
    } | changes


def clean_pairs(root, *more):
    """Pictures of the demo's world; `more` are rows added to those to learn from."""
    out = open_folder(root / "clean_pairs")
    start = 0
    for split, size in SIZES.items():
        found = [clean_row(n) for n in range(start, start + size)]
        start += size
        table = pa.Table.from_pylist(
            found + list(more if split == "train" else []), schema=rows.CLEAN_PAIR
        )
        data = parquet_bytes(table, dict(PICTURE_FILE) | {"row_group_size": 16})
        out.commit(f"{split}/shard-00000.parquet", data)
    finish(out, CLEAN_PAIRS, Result(rows_in=start, rows_out=start))
    return out


def tables(root, *more):
    """Return what to learn from, and what to measure with."""
    clean = clean_pairs(root, *more)
    return [open_table(clean, part, rows.CLEAN_PAIR) for part in ("train/", "val/")]


def bpe_of(root):
    out = open_folder(root / "bpe")
    captions = [clean_row(n)["caption"] for n in range(20)]
    out.commit(TOKENIZER, train_bpe(captions, TOKENS.text_vocab).to_json().encode())
    finish(out, BPE, Result(rows_in=20, rows_out=20))
    return out


def dvae_of(root):
    out = open_folder(root / "dvae")
    shape = DvaeShape(width=4, blocks=1, codebook_width=8)
    config = weights.DvaeConfig(shape=shape, image_vocab=TOKENS.image_vocab, side=TOKENS.side)
    weights.save_model(out, Dvae(shape, TOKENS.image_vocab), config)
    finish(out, DVAE, Result(rows_in=20, rows_out=20))
    return out


def token_pairs(root, **metadata):
    """Pairs whose codes are all (n % 16) for row n, and what they were made with."""
    bpe = weights.load_bpe(bpe_of(root))
    dvae_of(root)
    made_by = Inputs({"dvae": open_folder(root / "dvae"), "bpe": open_folder(root / "bpe")})
    header = TokenHeader.of(made_by.manifest(DVAE), made_by.manifest(BPE), TOKENS)
    out = open_folder(root / "token_pairs")
    schema = header.schema.with_metadata(header.text() | metadata)
    start = 0
    for split, size in SIZES.items():
        captions = [clean_row(n)["caption"] for n in range(start, start + size)]
        encoded = [bpe.encode_padded(caption, 12) for caption in captions]
        columns = {
            "key": [f"{start + n:06d}" for n in range(size)],
            "group": [str(start + n) for n in range(size)],
            "caption": captions,
            "text": rows.fixed_list(np.stack([one.ids for one in encoded])),
            "text_length": pa.array([one.length for one in encoded], pa.uint16()),
            "image": rows.fixed_list(
                np.repeat((np.arange(size) % 16).astype(np.uint16), 4).reshape(size, 4)
            ),
            "crop": rows.fixed_list(np.zeros((size, 4), np.float32)),
        }
        table = pa.table(columns, schema=schema)
        out.commit(f"{split}/shard-00000.parquet", parquet_bytes(table, {"row_group_size": 16}))
        start += size
    finish(out, TOKEN_PAIRS, Result(rows_in=start, rows_out=start, files=digest_all(out, {})))
    return out


def inputs(root):
    """All artifacts made above that exist under `root`."""
    found = [
        name for name in ("clean_pairs", "bpe", "dvae", "token_pairs") if (root / name).is_dir()
    ]
    return Inputs({name: open_folder(root / name) for name in found})
