"""Tokens on disk are the models' own answers, for any company, in files that any tool opens."""

import io
import json
import os
import subprocess
import sys
import time
from concurrent.futures import BrokenExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch

from infra.session import ROOT
from infra.store import open_folder
from schemas import rows
from schemas.artifacts import BPE, CLEAN_PAIRS, DVAE, TOKENIZER
from schemas.errors import SchemaMismatch
from schemas.folder import Inputs
from schemas.manifest import Result
from schemas.settings import DvaeShape, EncodeSettings, TokenSpec
from stages import encode, pictures, shapes
from stages.data.parquet import parquet_bytes
from stages.encode.crops import crop_rows
from stages.encode.encode_part import EncodePart
from stages.encode.row_ranges import Part, cut
from stages.models.bpe import train_bpe
from stages.models.dvae import Dvae
from stages.pictures.tensors import to_tensor
from stages.weights import DvaeConfig, save_model
from tests.stages.finished import finish

TINY = TokenSpec(text_vocab=300, text_len=24, image_vocab=32, grid=4)
NOTHING = Result(rows_in=0, rows_out=0)


def clean_pair(number, side):
    scene = shapes.scene(0, number)
    noise = np.random.default_rng(number).integers(0, 100, (side + number % 7,) * 2 + (3,))
    # noise, because an untrained encoder has one code for everything flat
    pixels = (shapes.draw(scene, side + number % 7) // 2 + noise).astype(np.uint8)
    return {
        "key": f"00000-{number:06d}",
        "url": f"http://a.org/{number}.png",
        "caption": scene.caption,
        "image": pictures.encode_png(pixels),
        "width": pixels.shape[1],
        "height": pixels.shape[0],
        "sha256": f"{number:064d}",
        "chars": 1,
        "words": 1,
        "english": 1.0,
        "aspect": 1.0,
        "group": f"{number:064d}",
    }


HEALTHY = {"codes_used": 3_000, "perplexity": 900.0, "psnr_db": 30.0, "psnr_gap_db": 0.1,
           "alarm": None}  # fmt: skip


def models(root, tokens, captions, *, width=4, **health):
    """Write a dVAE and a BPE with fresh weights, as their stages would leave them."""
    dvae, bpe = open_folder(f"{root}/dvae"), open_folder(f"{root}/bpe")
    torch.manual_seed(0)
    shape = DvaeShape(width=width, blocks=1, codebook_width=8)
    module = Dvae(shape, tokens.image_vocab)
    for parameter in module.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    config = DvaeConfig(shape=shape, image_vocab=tokens.image_vocab, side=tokens.side)
    save_model(dvae, module, config)
    bpe.commit(TOKENIZER, train_bpe(captions, tokens.text_vocab).to_json().encode())
    finish(dvae, DVAE, NOTHING, **(HEALTHY | health))
    finish(bpe, BPE, NOTHING)
    return {"dvae": dvae, "bpe": bpe}


def artifacts(root, tokens, pairs, **about_the_dvae):
    """Write the three artifacts that encode reads; `pairs` is file name -> rows."""
    clean = open_folder(f"{root}/clean_pairs")
    for name, found in pairs.items():
        table = pa.Table.from_pylist(found, rows.CLEAN_PAIR)
        clean.commit(name, parquet_bytes(table, {"row_group_size": 5}))
    finish(clean, CLEAN_PAIRS, NOTHING)
    captions = [row["caption"] for found in pairs.values() for row in found]
    return Inputs({"clean_pairs": clean, **models(root, tokens, captions, **about_the_dvae)})


def job(**settings):
    return EncodeSettings(**{"tokens": TINY, "tile": 4, "run": {"threads": 1}} | settings)


def actor(inputs, cfg):
    return EncodePart(
        inputs.folder(CLEAN_PAIRS), inputs.folder(DVAE), inputs.folder(BPE),
        encode.header(inputs, cfg), cfg,
    )  # fmt: skip


@pytest.fixture(scope="module")
def inputs(tmp_path_factory):
    pairs = [clean_pair(n, 40) for n in range(23)]
    broken = {**clean_pair(90, 40), "image": b"no picture"}
    small = {**clean_pair(91, 40), "image": pictures.encode_png(np.zeros((20, 90, 3), np.uint8))}
    return artifacts(
        tmp_path_factory.mktemp("encode"),
        TINY,
        {
            "train/shard-00000.parquet": [*pairs[:13], broken, small],
            "train/shard-00001.parquet": [],
            "val/shard-00000.parquet": pairs[13:],
        },
    )


WHOLE = Part("train/shard-00000.parquet", "train/shard-00000.parquet", 0, 15)


def made_of(inputs, part=WHOLE, **settings):
    return actor(inputs, job(**settings))(part)


def table_of(made, part=WHOLE):
    return pq.read_table(io.BytesIO(made.files[part.name]))


def codes_of(made, part=WHOLE):
    return rows.matrix(table_of(made, part)["image"]).tolist()


def test_a_row_is_what_the_models_say_of_its_crop(inputs):
    worker = actor(inputs, job())
    found = table_of(worker(WHOLE)).to_pylist()
    assert [row["key"] for row in found] == [f"00000-{n:06d}" for n in range(13)]
    dvae = worker.encoder.dvae
    for number, row in enumerate(found):
        source = clean_pair(number, 40)
        pixels = pictures.decode(source["image"])
        one = crop_rows([source], crops=1, seed=0, side=32)
        [crop], [box] = one.squares, [made["crop"] for made in one.rows]
        left, top, right, bottom = row["crop"]
        assert row["crop"] == pytest.approx(box)
        assert 0 <= left < right <= pixels.shape[1]
        assert 0 <= top < bottom <= pixels.shape[0]
        [codes] = dvae.codes(to_tensor([crop])).tolist()
        assert row["image"] == [code for line in codes for code in line]  # raster order
        assert len(set(row["image"])) > 1
        assert row["caption"] == source["caption"]
        ids = worker.bpe.encode(source["caption"])[: TINY.text_len]
        assert row["text"] == ids + [TINY.text_vocab] * (TINY.text_len - len(ids))
        assert row["text_length"] == len(ids)


def test_the_tile_and_the_company_change_nothing(inputs):
    one, *others = (codes_of(made_of(inputs, tile=tile)) for tile in (1, 4, 32))
    assert others == [one] * 2
    tail = Part(WHOLE.source, "train/shard-00000-00001.parquet", 10, 5)
    made = made_of(inputs, tail)
    assert codes_of(made, tail) == one[10:]
    assert made.rejects == {"too_small": 1, "undecodable": 1}


def test_only_full_tiles_are_computed(inputs):
    # kernels differ between batch sizes, and with them the last bits, and with them near ties
    worker, sizes = actor(inputs, job(tile=4)), set()
    worker.encoder.dvae.encoder.register_forward_pre_hook(lambda _, given: sizes.add(len(given[0])))
    worker(WHOLE)
    assert sizes == {4}


def test_another_seed_is_another_crop(inputs):
    row = clean_pair(3, 40)
    boxes = {crop_rows([row], crops=1, seed=seed, side=32).rows[0]["crop"] for seed in range(5)}
    assert len(boxes) > 1


def test_processes_that_crop_change_nothing(inputs):
    assert made_of(inputs, run={"threads": 1, "decoders": 2}) == made_of(inputs)


def test_a_picture_gives_several_rows_to_learn_from_and_one_to_measure(inputs):
    made = made_of(inputs, crops=3)
    found = table_of(made).to_pylist()
    keys = [row["key"] for row in found]
    assert keys[:4] == ["00000-000000", "00000-000000#1", "00000-000000#2", "00000-000001"]
    assert len(keys) == len(set(keys)) == made.rows_out == 39
    assert (made.rows_in, made.rejects) == (15, {"too_small": 1, "undecodable": 1})
    assert len({tuple(row["crop"]) for row in found[6:9]}) > 1
    once = table_of(made_of(inputs)).to_pylist()
    assert found[::3] == once  # the first crop is the one that there is without more
    held_out = Part("val/shard-00000.parquet", "val/shard-00000.parquet", 0, 10)
    assert made_of(inputs, held_out, crops=3).rows_out == 10


def test_a_flip_is_the_mirror_image_under_a_caption_that_says_so(inputs):
    worker = actor(inputs, job(crops=2, flips=True))
    found = table_of(worker(WHOLE)).to_pylist()
    plain = table_of(made_of(inputs, crops=2)).to_pylist()
    assert found[::2] == plain  # the others are what they are without flips
    for row, flip in zip(plain, found[1::2], strict=True):
        same = {name: flip[name] for name in ("group", "crop")}
        assert same == {name: row[name] for name in same}
        assert flip["key"] == row["key"] + "#flip"
        assert flip["caption"] == f"mirrored: {row['caption']}"
        assert flip["text"] == worker.bpe.encode_padded(flip["caption"], TINY.text_len).ids.tolist()
        assert flip["image"] != row["image"]
    one = crop_rows([clean_pair(3, 40)], crops=1, flips=True, seed=0, side=32)
    assert np.array_equal(one.squares[1], one.squares[0][:, ::-1])
    [codes] = worker.encoder.dvae.codes(to_tensor([one.squares[1]])).tolist()
    [encoded] = [row["image"] for row in found if row["key"] == "00000-000003#flip"]
    assert encoded == [code for line in codes for code in line]
    held_out = Part("val/shard-00000.parquet", "val/shard-00000.parquet", 0, 10)
    measured, once = (made_of(inputs, held_out, flips=how) for how in (True, False))
    assert table_of(measured, held_out).equals(table_of(once, held_out))


def test_sampled_codes_belong_to_the_row_and_the_seed(inputs):
    drawn = codes_of(made_of(inputs, codes="sampled"))
    assert drawn == codes_of(made_of(inputs, codes="sampled", tile=32))
    assert 0.05 < np.equal(drawn, codes_of(made_of(inputs))).mean() < 0.95
    assert drawn != codes_of(made_of(inputs, codes="sampled", seed=1))


def test_half_precision_says_how_many_codes_it_changes(inputs):
    made, exact = (made_of(inputs, tile=8, **how) for how in ({"precision": "bfloat16"}, {}))
    compared = np.not_equal(codes_of(made)[:8], codes_of(exact)[:8])
    assert 0 < compared.mean() < 1 / 4
    assert made.health["differing_codes"] == compared.sum()
    assert made.health["compared_codes"] == compared.size
    said = float(table_of(made).schema.metadata[b"differing_codes"])
    assert said == pytest.approx(compared.mean(), abs=1e-6)
    assert b"differing_codes" not in table_of(exact).schema.metadata


class Deadly(bytes):
    """Kills the process that reads it as a picture, as a decoder's crash would."""

    def __reduce__(self):
        return os._exit, (9,)


def test_a_process_that_dies_costs_its_part_and_no_other(inputs):
    worker = actor(inputs, job(run={"threads": 1, "decoders": 1}))
    with pytest.raises(BrokenExecutor):
        list(worker.pool.map(bytes, [Deadly()]))
    with pytest.raises(BrokenExecutor):
        worker(WHOLE)
    assert worker(WHOLE) == made_of(inputs)


ORPHANS = """
import os, sys
from stages.encode.crops import decoders
with decoders(2) as pool:
    print(*{pool.submit(os.getpid).result() for _ in range(50)}, flush=True)
    sys.stdin.read()
"""


def test_processes_that_crop_do_not_outlive_an_actor_that_was_killed():
    program = subprocess.Popen(
        [sys.executable, "-c", ORPHANS], stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=ROOT
    )
    workers = [Path("/proc") / number for number in program.stdout.readline().decode().split()]
    assert workers
    assert all(worker.exists() for worker in workers)
    program.kill()
    program.wait()
    until = time.monotonic() + 20
    while any(worker.exists() for worker in workers):
        assert time.monotonic() < until, "still there"
        time.sleep(0.05)


def test_a_large_file_becomes_several(inputs):
    parts = cut(inputs.folder(CLEAN_PAIRS), 6)
    assert [(part.name, part.start, part.rows) for part in parts] == [
        ("train/shard-00000-00000.parquet", 0, 6),
        ("train/shard-00000-00001.parquet", 6, 6),
        ("train/shard-00000-00002.parquet", 12, 3),
        ("train/shard-00001.parquet", 0, 0),
        ("val/shard-00000-00000.parquet", 0, 6),
        ("val/shard-00000-00001.parquet", 6, 4),
    ]


@pytest.mark.ray
def test_the_artifact(ray_cluster, inputs, tmp_path):
    out = open_folder(tmp_path)
    result = encode.run(inputs, out, job())
    assert (result.rows_in, result.rows_out) == (25, 23)
    assert result.rejects == {"too_small": 1, "undecodable": 1}
    assert set(result.files) == set(out.list())
    names = ["train/shard-00000.parquet", "train/shard-00001.parquet", "val/shard-00000.parquet"]
    assert [name for name in out.list() if name.startswith(("train", "val"))] == names
    for name in names:
        schema = pq.read_schema(out.open(name))
        rows.check(schema, rows.token_pair(text_len=24, grid=4), where=name)
        assert {key.decode(): value.decode() for key, value in schema.metadata.items()} == {
            "format_version": "2",
            "dvae_fingerprint": "0123456789ab",
            "dvae_sha256": "ab" * 32,
            "bpe_fingerprint": "0123456789ab",
            "bpe_sha256": "ab" * 32,
            "text_vocab": "300",
            "image_vocab": "32",
            "text_len": "24",
            "grid": "4",
            "crop": "listing 2",
            "crops": "1",
            "codes": "argmax",
            "precision": "float32",
            "source_shard": name,
        }
    dropped = pq.read_table(out.open("dropped/train-shard-00000.parquet"))
    assert dropped["reason"].to_pylist() == ["undecodable", "too_small"]
    part = Part("val/shard-00000.parquet", "val/shard-00000.parquet", 0, 10)
    assert made_of(inputs, part).files[part.name] == out.open(part.name).read()


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"image_vocab": 64}, "image_vocab 64, as the settings `tokens` say, found 32"),
        ({"grid": 8}, "side 64, as the settings `tokens` say, found 32"),
        ({"grid": 8, "patch": 4}, "patch 4, as the settings `tokens` say, found 8"),
        ({"text_vocab": 400}, "text_vocab 400, as the settings `tokens` say, found 300"),
    ],
)
def test_models_of_other_sizes_are_refused_in_a_sentence(inputs, tmp_path, changes, words):
    cfg = job(tokens=TokenSpec(**TINY.model_dump() | changes))
    with pytest.raises(SchemaMismatch, match=words):
        encode.run(inputs, open_folder(tmp_path), cfg)


def test_shards_of_the_papers_size_open_in_plain_pyarrow_and_pandas(tmp_path):
    paper = TokenSpec()
    assert (paper.text_len, paper.image_len, paper.side) == (256, 1024, 256)
    pairs = [clean_pair(n, 256) for n in range(5)]
    pairs[4]["caption"] = "a very long story about a red circle " * 40
    found = artifacts(tmp_path, paper, {"train/shard-00000.parquet": pairs})
    made = made_of(found, replace(WHOLE, rows=5), tokens=paper, tile=2)
    assert made.health["truncated_captions"] == 1
    path = tmp_path / "tokens.parquet"
    path.write_bytes(made.files[WHOLE.name])

    table = pq.read_table(path)
    text = table["text"].combine_chunks().flatten().to_numpy().reshape(-1, 256)
    image = table["image"].combine_chunks().flatten().to_numpy().reshape(-1, 1024)
    assert (text.dtype, image.dtype, len(text), len(image)) == ("uint16", "uint16", 5, 5)
    assert image.max() < 8_192
    assert len(np.unique(image)) > 3  # as varied as fresh weights are
    assert (text[0][table["text_length"][0].as_py() :] == 16_384).all()
    assert (text[4] < 16_384).all()

    frame = pd.read_parquet(path)
    assert np.array_equal(np.stack(frame["image"]), image)
    assert np.array_equal(np.stack(frame["text"]), text)
    assert frame["caption"].tolist() == [row["caption"] for row in pairs]

    column = pq.ParquetFile(path).metadata.row_group(0)
    described = {column.column(n).path_in_schema: column.column(n) for n in range(7)}
    for column in described.values():  # what DuckDB 1.2, fastparquet and Spark 3.5 read as well
        assert {*column.encodings} <= {"PLAIN", "RLE", "RLE_DICTIONARY"}
        assert column.compression == "ZSTD"
        assert not column.is_stats_set
    for name in ("text.list.element", "image.list.element"):
        assert "RLE_DICTIONARY" in described[name].encodings  # 16-bit ids: no plain 32-bit pages
    json.dumps({k.decode(): v.decode() for k, v in table.schema.metadata.items()})
