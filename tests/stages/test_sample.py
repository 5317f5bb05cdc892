"""Prompts in, ranked pictures out: the same ones in any company."""

import io
import math

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from PIL import Image

from schemas import rows
from schemas.errors import ConfigError
from schemas.settings import EvaluateSettings, PriorShape, SampleSettings, Settings, TokenSpec
from stages import pictures
from stages.models.on_meta import on_meta
from stages.models.prior import Prior
from stages.models.ranking import best_first, is_flat
from stages.models.sampling import SamplingParams, candidate_seed
from stages.sample.generator import Picture, load_generator
from stages.sample.prompts import Prompt
from stages.sample.stage import DrawShard, slug
from stages.sample.tile_size import SHARE, bytes_of, fitting_tile
from tests import tiny_run


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


@pytest.mark.parametrize("rank_by", ["likelihood", "both"])
def test_ranking_otherwise_only_reorders(inputs, rank_by):
    """The same pictures with the same scores; the files are those of other favourites."""
    (by_clip, _), (table, made) = drawn(inputs), drawn(inputs, rank_by=rank_by)
    order = ("rank", "file")

    def plain(rows):
        rows = [{k: v for k, v in row.items() if k not in order} for row in rows]
        return sorted(rows, key=lambda row: (row["prompt"], row["candidate"]))

    assert plain(table) == plain(by_clip)
    for prompt in SOME:
        own = sorted(
            (row for row in table if row["prompt"] == prompt.text), key=lambda row: row["candidate"]
        )
        scores, nats = ([row[name] for row in own] for name in ("clip_score", "log_likelihood"))
        flat = [is_flat(pictures.decode(row["png"])) for row in own]
        ranks = [best_first(scores, nats, flat, rank_by).index(row["candidate"]) for row in own]
        assert [row["rank"] for row in own] == ranks
    assert {row["file"] for row in table if row["rank"] < 2} == made.files.keys() - {TABLE}


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
    with on_meta():
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
