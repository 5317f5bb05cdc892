"""Pictures that are completed: which rows are given, what is kept, and what cannot be used."""

import io
import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from PIL import Image
from torch import nn

from infra.store import open_folder
from schemas.artifacts import CLEAN_PAIRS, DVAE, TOKEN_PAIRS, VAL
from schemas.errors import ConfigError
from schemas.settings import (
    CrawlSettings,
    DvaeShape,
    PromptSettings,
    Settings,
    SourceSettings,
)
from stages import sample
from stages.data.parquet import read_rows
from stages.models.dvae import Dvae
from stages.pictures import PictureError, crop_centre, decode, encode_png
from stages.pictures.tensors import to_tensor
from stages.sample.completion import read
from stages.sample.prompts import EMPTY, NO_PICTURE, UNREADABLE, Prompt, address, prompts
from stages.sample.stage import DrawShard
from stages.weights import load_dvae
from tests import tiny_run
from tests.stages import test_sample
from tests.stages.finished import NOTHING
from tests.stages.test_sample import TABLE
from tests.stages.test_sample_prompts import file_of

ROWS, GRID = 1, tiny_run.TOKENS.grid


@pytest.fixture
def pictures(inputs, tmp_path):
    """Two pictures beside a file that names them, and codes of their top rows."""
    names = {}
    for number, row in enumerate(read_rows(inputs.folder(CLEAN_PAIRS), VAL, ["image"])):
        if number < 2:
            (tmp_path / f"{number}.png").write_bytes(row["image"])
            names[f"{number}.png"] = codes_of(inputs, row["image"])
    return names


def codes_of(inputs, data):
    """All codes of a picture, in raster order."""
    square = crop_centre(decode(data), tiny_run.TOKENS.side)
    with torch.inference_mode():
        return load_dvae(inputs.folder(DVAE)).codes(to_tensor([square])).flatten().tolist()


def settings(**changes):
    return test_sample.settings(**{"given_rows": ROWS} | changes)


def listed(folder, lines):
    return file_of(folder, "".join(json.dumps(line) + "\n" for line in lines), "p.jsonl")


def drawn(inputs, some, **changes):
    return test_sample.drawn(inputs, some, **{"given_rows": ROWS} | changes)


def test_a_validation_caption_brings_the_top_rows_of_its_own_picture(inputs):
    stored = {}
    for row in read_rows(inputs.folder(TOKEN_PAIRS), VAL, ["caption", "image"]):
        stored.setdefault(row["caption"], tuple(row["image"][: ROWS * GRID]))
    found = prompts(inputs, PromptSettings(kind="validation", count=5), given_rows=ROWS)
    assert len(found.kept) == 5
    assert all(prompt.given == stored[prompt.text] for prompt in found.kept)
    plain = prompts(inputs, PromptSettings(kind="validation", count=5))
    assert [p.text for p in plain.kept] == [p.text for p in found.kept]
    assert all(prompt.given == () for prompt in plain.kept)


def test_a_file_names_pictures_beside_it(tmp_path):
    cfg = listed(
        tmp_path,
        [
            {"prompt": "a red star", "picture": "in/a.png"},
            {"prompt": "a b", "picture": "/elsewhere/b.png"},
            {"prompt": "none"},
            {"prompt": " ", "picture": "a.png"},
            {"prompt": "no path", "picture": [1, 2]},
        ],
    )
    found = prompts(NOTHING, cfg, given_rows=ROWS)
    assert [prompt.given for prompt in found.kept] == [
        str(tmp_path / "in/a.png"),
        "/elsewhere/b.png",
    ]
    assert found.rejects == {NO_PICTURE: 1, EMPTY: 1, UNREADABLE: 1}
    assert len(prompts(NOTHING, cfg).kept) == 4  # without given rows nobody asks for them


def test_tables_name_pictures_too(tmp_path):
    row = {"prompt": "a red star", "picture": "a.png"}
    (tmp_path / "p.csv").write_text("prompt,picture\na red star,a.png\n")
    pq.write_table(pa.Table.from_pylist([row]), tmp_path / "p.parquet")
    for name in ("p.csv", "p.parquet"):
        cfg = PromptSettings(kind="file", path=str(tmp_path / name))
        (prompt,) = prompts(NOTHING, cfg, given_rows=ROWS).kept
        assert prompt.given == str(tmp_path / "a.png")


@pytest.mark.parametrize(
    ("picture", "where"),
    [
        ("a.png", "s3://bucket/lists/a.png"),
        ("s3://other/a.png", "s3://other/a.png"),
        ("http://127.0.0.1/a.png", "s3://bucket/lists/http://127.0.0.1/a.png"),
    ],
)
def test_pictures_lie_on_the_storage_of_their_list(picture, where):
    assert address("s3://bucket/lists/p.jsonl", picture) == where


def test_candidates_begin_with_the_encoders_codes_and_say_so(inputs, tmp_path, pictures):
    shard, texts = DrawShard(inputs, settings()), ["a red star", "a blue ring"]
    some = [
        Prompt(n, text, "prompts", str(tmp_path / name))
        for n, (text, name) in enumerate(zip(texts, pictures, strict=True))
    ]
    table = pq.read_table(pa.BufferReader(shard((TABLE, some)).files[TABLE])).to_pylist()
    wanted = [codes[: ROWS * GRID] for codes in pictures.values()]
    again = shard.generator.draw(texts, range(4), shard.cfg.seed, given=torch.tensor(wanted))
    for row, drawn in zip(table, [*again[0], *again[1]], strict=True):
        given = wanted[row["prompt_id"]]
        assert np.array_equal(decode(row["png"]), drawn.pixels)
        assert row["given"] == given
        said = Image.open(io.BytesIO(row["png"])).text
        assert said["given_rows"] == str(ROWS)
        assert said["given_codes"] == " ".join(map(str, given))
    assert len({row["png"] for row in table}) == 8  # what is not given is drawn


def test_without_given_rows_nothing_is_said_of_them(inputs):
    table, _ = drawn(inputs, [Prompt(0, "a red star", "seen")], given_rows=0)
    assert all(row["given"] is None for row in table)
    assert "given_rows" not in Image.open(io.BytesIO(table[0]["png"])).text


def test_a_pictures_codes_do_not_depend_on_its_company(inputs, tmp_path, pictures):
    some = [Prompt(n, "a red star", "x", str(tmp_path / name)) for n, name in enumerate(pictures)]
    together, _ = drawn(inputs, some)
    alone, _ = drawn(inputs, some[1:])
    assert [r["png"] for r in together if r["prompt_id"] == 1] == [r["png"] for r in alone]


def test_other_given_rows_give_other_pictures(inputs, tmp_path):
    codes = [(0, 1), (3, 2)]
    one, other = (drawn(inputs, [Prompt(0, "a red star", "x", given)])[0] for given in codes)
    assert {row["png"] for row in one}.isdisjoint(row["png"] for row in other)
    assert [row["seed"] for row in sorted(one, key=lambda r: r["candidate"])] == [
        row["seed"] for row in sorted(other, key=lambda r: r["candidate"])
    ]


def test_pictures_that_cannot_be_used_are_counted_with_a_reason(inputs, tmp_path, pictures):
    (tmp_path / "broken.png").write_bytes(b"no picture")
    small = np.zeros((8, 40, 3), np.uint8)
    (tmp_path / "small.png").write_bytes(encode_png(small))
    names = ["broken.png", "0.png", "small.png", "gone.png"]
    some = [Prompt(n, "a red star", "x", str(tmp_path / name)) for n, name in enumerate(names)]
    table, made = drawn(inputs, some)
    assert {row["prompt_id"] for row in table} == {1}
    assert made.rejects == {"undecodable": 1, "too_small": 1, "picture_missing": 1}
    assert (made.rows_in, made.rows_out) == (4, 4)
    table, made = drawn(inputs, some[:1])
    assert (table, made.rows_out) == ([], 0)


def test_a_file_without_an_end_is_not_read_whole(tmp_path, monkeypatch):
    monkeypatch.setattr("stages.sample.completion.MAX_BYTES", 10)
    (tmp_path / "a.png").write_bytes(bytes(11))
    with pytest.raises(ValueError, match="too_large"):
        read(str(tmp_path / "a.png"))


def test_kept_rows_decode_to_the_given_ones_above_the_reach_of_the_decoder():
    """A block looks 3 rows down, at 8, 4, 2 and 1 pixels a row: 45 pixels in all, and no more."""
    torch.manual_seed(0)
    grid, given_rows = 14, 13
    dvae = Dvae(DvaeShape(width=4, blocks=1, codebook_width=8), 16).eval().double()
    for module in dvae.decoder.modules():  # so that nothing cancels what comes from far below
        if isinstance(module, nn.Conv2d):
            module.weight.data.abs_()
        module.gain = 1.0
    codes = torch.randint(16, (2, grid, grid))
    codes[1, :given_rows] = codes[0, :given_rows]
    codes[1, given_rows:] = (codes[0, given_rows:] + 1) % 16
    with torch.inference_mode():
        one, other = dvae.decoder.from_codes(codes)
    edge = 8 * given_rows - 45
    assert torch.equal(one[:, :edge], other[:, :edge])
    assert not torch.equal(one[:, edge], other[:, edge])


@pytest.mark.parametrize("name", ["", "gone.png", "x" * 300, "a.png/b.png", "odd://a.png"])
def test_a_picture_that_is_not_there_is_missing(tmp_path, name):
    (tmp_path / "a.png").write_bytes(b"")
    with pytest.raises(PictureError, match="picture_missing"):
        read(name if "://" in name else str(tmp_path / name))


@pytest.mark.skipif(not Path("/proc/self/mem").exists(), reason="wants Linux")
def test_a_storage_that_fails_is_not_the_pictures_fault():
    with pytest.raises(ConfigError, match=r"of a picture to complete, found OSError: \[Errno"):
        read("/proc/self/mem")  # there, but cannot be read


@pytest.mark.ray
def test_the_stage_completes_what_can_be_completed(inputs, tmp_path, pictures, ray_cluster):
    lines = [
        {"prompt": "a red star", "picture": "0.png"},
        {"prompt": "a blue ring", "picture": "gone.png"},
        {"prompt": "a black cross"},
    ]
    out = open_folder(tmp_path / "samples")
    result = sample.run(inputs, out, settings(prompts=listed(tmp_path, lines)))
    assert (result.rows_in, result.rows_out) == (3, 4)
    assert result.rejects == {"picture_missing": 1, NO_PICTURE: 1}
    none = settings(prompts=listed(tmp_path, lines[1:]))
    with pytest.raises(ConfigError, match=r"picture that can be completed, found none.*_missing"):
        sample.run(inputs, open_folder(tmp_path / "none"), none)


def test_the_pictures_are_an_outside_input(tmp_path):
    cfg = listed(tmp_path, [{"prompt": "a b", "picture": "a.png"}, {"prompt": "c", "picture": [1]}])

    def outside(given_rows):
        return sample.outside(settings(prompts=cfg, given_rows=given_rows))

    gone = outside(1)
    (tmp_path / "a.png").write_bytes(b"one")
    first = outside(1)
    (tmp_path / "a.png").write_bytes(b"other")
    second = outside(1)
    assert gone.keys() == first.keys() == {"prompts", "pictures"}
    assert len({found["pictures"] for found in (gone, first, second)}) == 3
    assert len({found["prompts"] for found in (gone, first, second)}) == 1
    assert outside(0).keys() == {"prompts"}


def test_a_name_that_no_picture_can_have_stops_no_other(tmp_path):
    (tmp_path / "a.png").write_bytes(b"a picture")
    names = ["a.png", ".", "a.png/b.png", "b" * 999, "a\0b", "\ud800"]
    cfg = listed(tmp_path, [{"prompt": "a b", "picture": name} for name in names])
    assert sample.outside(settings(prompts=cfg)).keys() == {"prompts", "pictures"}
    found = prompts(NOTHING, cfg, given_rows=1)
    assert found.rejects == {UNREADABLE: 2}
    for prompt in found.kept[1:]:
        with pytest.raises(ValueError, match="picture_missing"):
            read(prompt.given)


def test_given_rows_are_part_of_what_is_drawn():
    assert settings(given_rows=1).digest != settings(given_rows=0).digest


@pytest.mark.parametrize(
    ("own", "said"),
    [
        ({"given_rows": 32}, "leaves nothing to draw of tokens.grid=32"),
        ({"given_rows": 15, "prompts": {"kind": "world"}}, "wants prompts with pictures"),
        ({"given_rows": -1}, "greater than or equal to 0"),
    ],
)
def test_settings_that_complete_nothing_are_refused(own, said):
    source = CrawlSettings(source=SourceSettings(kind="world"))
    with pytest.raises(ValueError, match=said):
        Settings(crawl=source, sample=own)
