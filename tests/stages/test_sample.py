"""Prompts in, ranked pictures out: the same ones in any company, and again after a kill."""

import csv
import io
import json
import math

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from PIL import Image

from infra.store import open_folder
from schemas import rows
from schemas.errors import ConfigError
from schemas.settings import (
    EvaluateSettings,
    PriorShape,
    PromptSettings,
    SampleSettings,
    Settings,
    TokenSpec,
)
from stages import sample
from stages.data.parquet import parquet_bytes
from stages.models.prior import Prior
from stages.models.sampling import SamplingParams, candidate_seed
from stages.sample.generator import Picture, load_generator
from stages.sample.prompts import EMPTY, UNREADABLE, Prompt, prompts
from stages.sample.stage import DrawShard, slug
from stages.sample.tile_size import SHARE, bytes_of, fitting_tile
from stages.shards import ShardStats, stats_file
from tests import tiny_run
from tests.stages.finished import NOTHING, contents, table_of

WANTED = [Prompt(0, "a red star", "seen"), Prompt(2, "two words", "prompts")]


def file_of(folder, data, name="p.txt", **how):
    """Write a file of prompts; return the settings that name it."""
    path = folder / name
    path.write_bytes(data if isinstance(data, bytes) else data.encode())
    return PromptSettings(**{"kind": "file", "path": str(path)} | how)


def csv_of(table, delimiter):
    file = io.StringIO()
    writer = csv.DictWriter(file, ["prompt", "set", "note"], delimiter=delimiter)
    writer.writeheader()
    writer.writerows(table)
    return file.getvalue().encode()


ROWS = [
    {"prompt": "a red star", "set": "seen"},
    {"prompt": " ", "set": "seen"},
    {"prompt": "two words", "set": ""},
]
FILES = {
    "p.jsonl": "".join(json.dumps(row) + "\n" for row in ROWS).encode(),
    "p.csv": csv_of(ROWS, ","),
    "p.tsv": csv_of(ROWS, "\t"),
    "p.parquet": parquet_bytes(pa.Table.from_pylist(ROWS), {"row_group_size": 2}),
}


@pytest.mark.parametrize("kind", ["file", "world"])
@pytest.mark.parametrize("name", FILES)
def test_files_of_prompts(tmp_path, name, kind):
    found = prompts(NOTHING, file_of(tmp_path, FILES[name], name, kind=kind))
    assert found.kept == WANTED
    assert found.rejects == {EMPTY: 1}
    assert found.listed == 3


def test_of_the_worlds_prompts_the_first_of_each_set_are_drawn(tmp_path):
    listed = [{"prompt": f"{kind} {n}", "set": kind} for kind in "ab" for n in range(3)]
    data = "".join(json.dumps(line) + "\n" for line in listed)

    def drawn(kind, count):
        found = prompts(NOTHING, file_of(tmp_path, data, "p.jsonl", kind=kind, count=count))
        return [prompt.text for prompt in found.kept]

    assert drawn("world", 2) == ["a 0", "a 1", "b 0", "b 1"]
    assert drawn("world", 64) == drawn("file", 2) == ["a 0", "a 1", "a 2", "b 0", "b 1", "b 2"]


def test_a_text_file_has_one_prompt_a_line(tmp_path):
    found = prompts(NOTHING, file_of(tmp_path, "\N{BOM}a b\n\nc d\r\n"))
    assert [(p.prompt_id, p.text) for p in found.kept] == [(0, "a b"), (2, "c d")]


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("p.txt", "a\u2028b\x85c\na b\r\n"),
        ("p.jsonl", '{"prompt": "a\u2028b\x85c"}\n{"prompt": "a b"}\r\n'),
        ("p.csv", "prompt\ra\u2028b\x85c\ra b\r"),
        ("p.tsv", "prompt\tx\r\na\u2028b\x85c\t1\r\na b\t2\r\n"),
    ],
)
def test_lines_end_where_they_do_in_a_file_and_not_within_a_prompt(tmp_path, name, data):
    found = prompts(NOTHING, file_of(tmp_path, data, name))
    assert [p.text for p in found.kept] == ["a\u2028b\x85c", "a b"]
    assert not found.rejects


def test_lines_that_cannot_be_read_are_counted(tmp_path):
    lines = [
        '{"prompt": "a b"}', '{"prompt":', '{"prompt": 3}', '["x"]', "[" * 100_000, "9" * 5_000,
        r'{"prompt": "half of a \ud83d pair"}', r'{"prompt": "a whole \ud83d\ude00 one"}',
        r'{"prompt": "a b", "set": "\ud83d"}',
    ]  # fmt: skip
    found = prompts(NOTHING, file_of(tmp_path, "\n".join(lines), "p.jsonl"))
    assert [p.text for p in found.kept] == ["a b", "a whole \N{GRINNING FACE} one"]
    assert found.rejects == {UNREADABLE: 7}


@pytest.mark.parametrize(
    ("name", "data", "said"),
    [
        ("p.txt", b"\n\n", "at least one prompt"),
        ("p.docx", b"x", "ends in .txt, .jsonl"),
        ("p.csv", b"caption\na b\n", "no column 'prompt'"),
        ("p.csv", b'prompt\n"never closed\na b\n', "holds no prompts: unexpected end"),
        ("p.csv", b"prompt\n" + b"a" * 2**22, "holds no prompts: field larger"),
        ("p.parquet", b"not parquet", "holds no prompts"),
        ("p.txt", b"\xff\xfe\xff", "holds no prompts"),
    ],
)
def test_a_useless_file_is_one_sentence(tmp_path, name, data, said):
    with pytest.raises(ConfigError, match=said):
        prompts(NOTHING, file_of(tmp_path, data, name))


@pytest.mark.parametrize("name", ["no.txt", "nowhere://no.txt", "a\0b.txt"])
def test_a_missing_file_is_one_sentence(tmp_path, name):
    path = name if "://" in name else str(tmp_path / name)
    with pytest.raises(
        ConfigError, match=r"of sample\.prompts\.path, found (FileNotFound|Value)Error"
    ):
        prompts(NOTHING, PromptSettings(kind="file", path=path))


def test_only_a_users_own_file_is_an_outside_input(tmp_path):
    def outside(data, **how):
        return sample.outside(SampleSettings(prompts=file_of(tmp_path, data, **how)))

    first, second = outside("a b"), outside("a c")
    assert first.keys() == second.keys() == {"prompts"}
    assert first != second
    assert outside("a b", kind="world") == {}


@pytest.mark.parametrize(
    ("prompt", "name"),
    [
        ("A small, green STAR!", "a-small-green-star"),
        ("../../etc/passwd", "etc-passwd"),
        ("\N{WHITE STAR} 星", "prompt"),
        ("x" * 200, "x" * 48),
    ],
)
def test_slugs_are_safe_in_a_path(prompt, name):
    assert slug(prompt) == name


@pytest.fixture(scope="module")
def generator(inputs):
    return load_generator(inputs, settings())


def settings(**changes):
    base = {"candidates": 4, "keep": 2, "tile": 2, "prompts_per_shard": 2,
            "run": {"threads": 1}}  # fmt: skip
    return SampleSettings(**base | changes)


TABLE = "table/shard-00000.parquet"
SOME = [Prompt(0, "a red star", "seen"), Prompt(1, "a blue ring", "held_out")]


def drawn(inputs, some=SOME, **changes):
    made = DrawShard(inputs, settings(**changes))((TABLE, some))
    table = pq.read_table(pa.BufferReader(made.files[TABLE]))
    rows.check(table.schema, rows.SAMPLE, where="the table")
    return table.to_pylist(), made


def by_candidate(table):
    return {(row["prompt"], row["candidate"]): row["png"] for row in table}


@pytest.mark.parametrize("fewer", [1, 2, 3])
def test_candidates_are_the_same_pictures_whatever_their_number(inputs, fewer):
    many, few = by_candidate(drawn(inputs)[0]), by_candidate(drawn(inputs, candidates=fewer)[0])
    assert few.keys() == {key for key in many if key[1] < fewer}
    assert all(few[key] == many[key] for key in few)


def test_guidance_by_a_prior_that_saw_every_caption_is_refused(inputs):
    with pytest.raises(
        ConfigError, match=r"found prior.caption_dropout=0; leave guidance at 1, or"
    ):
        drawn(inputs, guidance=2.0)


def test_pictures_do_not_depend_on_the_other_prompts(inputs):
    alone = by_candidate(drawn(inputs, some=SOME[1:])[0])
    together = by_candidate(drawn(inputs)[0])
    assert all(together[key] == png for key, png in alone.items())


def test_another_seed_draws_other_pictures(inputs):
    assert by_candidate(drawn(inputs, seed=1)[0]) != by_candidate(drawn(inputs)[0])


def test_ranks_follow_the_scores(inputs):
    table, _ = drawn(inputs)
    for prompt in SOME:
        own = [row for row in table if row["prompt"] == prompt.text]
        assert [row["rank"] for row in own] == [0, 1, 2, 3]
        scores = [row["clip_score"] for row in own]
        assert scores == sorted(scores, reverse=True)
        assert sorted(row["candidate"] for row in own) == [0, 1, 2, 3]
        assert {row["set"] for row in own} == {prompt.set}


def test_the_score_is_the_cosine_of_the_stored_picture(inputs):
    table, _ = drawn(inputs)
    clip = tiny_run.clip(inputs)
    for row in table[:2]:
        assert row["clip_score"] == pytest.approx(tiny_run.cosine(clip, row), abs=1e-5)


def test_the_best_are_loose_pngs_that_say_how_to_draw_them_again(inputs):
    table, made = drawn(inputs)
    assert {row["file"] for row in table if row["rank"] < 2} == made.files.keys() - {TABLE}
    assert all(row["file"] is None for row in table if row["rank"] >= 2)
    best = table[0]
    assert best["file"].startswith("pictures/00000-000-a-red-star")
    assert made.files[best["file"]] == best["png"]
    text = Image.open(io.BytesIO(best["png"])).text
    assert text["prompt"] == "a red star"
    assert text["seed"] == str(best["seed"])
    assert text["candidate"] == str(best["candidate"])
    assert float(text["clip_score"]) == best["clip_score"]
    for artifact in (tiny_run.PRIOR, tiny_run.DVAE, tiny_run.CLIP, tiny_run.BPE):
        assert text[artifact.name] == inputs.manifest(artifact).fingerprint
    how = {"temperature": "1.0", "top_k": "0", "top_p": "1.0", "guidance": "1.0"}
    assert text.items() >= (how | {"precision": "float32", "tile": "2", "run_seed": "0"}).items()


def test_the_log_likelihood_is_the_priors_in_any_company(inputs):
    """Each candidate's own, after it was ranked; to the bit the same with fewer beside it."""

    def found(**changes):
        table, _ = drawn(inputs, **changes)
        return {(row["prompt"], row["candidate"]): row["log_likelihood"] for row in table}

    many, generator = found(), load_generator(inputs, settings())
    for prompt in SOME:
        seeds = torch.tensor([[candidate_seed(0, prompt.text, n) for n in range(4)]])
        wanted = generator.sampler.draw(generator.tokenize([prompt.text]), seeds).log_likelihood
        assert [many[prompt.text, n] for n in range(4)] == wanted[0].tolist()
    few = found(some=SOME[1:], candidates=3)
    assert few.items() <= many.items()
    assert len(few) == 3


AWKWARD = (0.1 + 0.2, 1e-7, 1 / 3, 5e-324, 1.7976931348623157e308, 1.0000001, 123456.789, 7, 1.0)


@pytest.mark.parametrize("value", [*AWKWARD, math.inf, -0.0])
def test_each_number_in_a_png_reads_back_as_what_it_was(generator, value):
    picture = Picture("1e-7", 2**40, 2**63 - 1, value, -1.0, 0, np.zeros((2, 2, 3), np.uint8))
    sampling = SamplingParams(temperature=value, top_k=2**20, top_p=value, guidance=value)
    png = generator.png(picture, 1 - 2**53, sampling)
    text = Image.open(io.BytesIO(png)).text
    for name in ("temperature", "top_p", "guidance", "clip_score"):
        assert (float(text[name]), text[name]) == (value, str(value))
    whole = {name: int(text[name]) for name in ("seed", "candidate", "run_seed", "top_k", "tile")}
    assert list(whole.values()) == [2**63 - 1, 2**40, 1 - 2**53, 2**20, 2]
    assert text["prompt"] == "1e-7"


def test_pixels_of_what_is_not_kept_can_be_forgotten(inputs):
    whole, _ = drawn(inputs)
    table, made = drawn(inputs, forget=True)
    assert [row["png"] for row in table] == [
        row["png"] if row["rank"] < 2 else None for row in whole
    ]
    for score in ("clip_score", "log_likelihood"):
        assert [row[score] for row in table] == [row[score] for row in whole]
    assert len(made.files) == 2 * len(SOME) + 1


def test_all_can_be_kept_as_loose_pngs(inputs):
    table, made = drawn(inputs, keep=None)
    assert len(made.files) == 4 * len(SOME) + 1
    assert all(made.files[row["file"]] == row["png"] for row in table)


def test_the_judge_and_forgetting_are_refused_together():
    with pytest.raises(ValueError, match=r"sample.forget=true; set it to false"):
        Settings(sample=SampleSettings(forget=True), evaluate=EvaluateSettings(judge="shapes"))


@pytest.fixture
def meta_prior():
    with torch.device("meta"):
        return Prior(TokenSpec(), PriorShape(layers=24, heads=28))


def test_the_tile_is_the_largest_that_memory_holds(meta_prior):
    cfg = SampleSettings()
    weights = sum(weight.nbytes for weight in meta_prior.parameters())
    for tile in (16, 128, 512):
        need = (weights + bytes_of(meta_prior, tile, cfg)) / SHARE
        assert fitting_tile(meta_prior, cfg, int(need * 1.01), 512) == tile
        assert fitting_tile(meta_prior, cfg, int(need * 0.99), 512) < tile
    assert fitting_tile(meta_prior, cfg, 10**15, 64) == 64
    with pytest.raises(ConfigError, match=r"memory for the prior and one picture, .* GiB, found"):
        fitting_tile(meta_prior, cfg, weights, 512)


def test_half_precision_halves_a_tile_and_guidance_doubles_it(meta_prior):
    def caches(**changes):
        cfg = SampleSettings(**changes)
        empty = bytes_of(meta_prior, 16, cfg) - bytes_of(meta_prior, 1, cfg)
        return empty / 15

    assert caches(precision="bfloat16") < 0.6 * caches()
    assert caches(guidance=2.0) == 2 * caches()


def test_a_prompt_longer_than_the_text_is_drawn_and_counted(inputs):
    _, made = drawn(inputs, some=[Prompt(0, "word " * 50, "seen")])
    assert made.health == {"truncated_for_prior": 1, "truncated_for_clip": 1}
    assert made.rows_out == 4


def commit_shard(out, inputs, cfg, number, some):
    """Leave what a worker leaves that finished one shard."""
    made = DrawShard(inputs, cfg)((f"table/shard-{number:05d}.parquet", some))
    stats = ShardStats(
        name=f"shard-{number:05d}",
        rows_in=made.rows_in,
        rows_out=made.rows_out,
        rejects={},
        health=dict(made.health),
        files={name: out.commit(name, data) for name, data in made.files.items()},
    )
    out.commit(stats_file(stats.name), stats.model_dump_json().encode())


@pytest.mark.ray
def test_a_killed_run_goes_on_with_what_is_missing(inputs, tmp_path, ray_cluster):
    texts = ["a red star", "", "a blue ring", "a cat"]
    cfg = settings(prompts=file_of(tmp_path, "\n".join(texts)))
    first, last = [Prompt(i, texts[i], "prompts") for i in (0, 2)], [Prompt(3, "a cat", "prompts")]
    out, undisturbed = open_folder(tmp_path / "samples"), open_folder(tmp_path / "undisturbed")
    commit_shard(out, inputs, cfg, 0, first)
    out.commit("pictures/00003-000-a-cat.png", b"of a shard that was not finished")
    kept = tmp_path / "samples/table/shard-00000.parquet"
    before = kept.stat().st_mtime_ns
    result = sample.run(inputs, out, cfg)
    assert (result.rows_in, result.rows_out, result.rejects) == (4, 12, {EMPTY: 1})
    assert kept.stat().st_mtime_ns == before
    commit_shard(undisturbed, inputs, cfg, 0, first)
    commit_shard(undisturbed, inputs, cfg, 1, last)
    assert contents(out) == contents(undisturbed)


@pytest.mark.ray
def test_pictures_do_not_depend_on_workers_or_shards(inputs, tmp_path, ray_cluster):
    cfg = settings(prompts=file_of(tmp_path, "a red star\na blue ring\na cat\n"))
    found = []
    for workers, size in ((1, 3), (2, 1)):
        out = open_folder(tmp_path / f"{workers}")
        run = cfg.run.model_copy(update={"workers": workers})
        sample.run(inputs, out, cfg.model_copy(update={"run": run, "prompts_per_shard": size}))
        found.append(table_of(out, "table/").to_pylist())
    assert found[0] == found[1]
    assert len(found[0]) == 12


@pytest.mark.ray
def test_a_run_goes_on_with_the_tile_it_began_with(inputs, tmp_path, ray_cluster):
    """Chosen by the memory of one machine, used also where another one has more."""
    cfg = settings(tile=None, prompts=file_of(tmp_path, "a red star"))
    chosen, begun = open_folder(tmp_path / "chosen"), open_folder(tmp_path / "begun")
    begun.commit("tile.json", b'{"tile": 3}')
    for out, tile in ((chosen, 64), (begun, 3)):
        result = sample.run(inputs, out, cfg)
        assert result.health["tile"] == tile
        assert "tile.json" in result.files
        with out.open(TABLE) as file:
            (png, *_) = pq.read_table(file)["png"].to_pylist()
        assert Image.open(io.BytesIO(png)).text["tile"] == str(tile)


def test_validation_captions_are_distinct_and_in_order(inputs):
    found = prompts(inputs, PromptSettings(kind="validation", count=3))
    assert [p.set for p in found.kept] == ["validation"] * 3
    assert [p.text for p in found.kept] == list(
        dict.fromkeys(row["caption"] for row in tiny_run.clean_rows("val"))
    )[:3]
