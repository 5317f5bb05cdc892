"""Kept pairs are split by picture, free of duplicates, in an order that makes any prefix fair."""

import hashlib
import io
import math
from collections import Counter
from functools import cache

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from infra.store import open_folder
from schemas import rows
from schemas.artifacts import PAIRS
from schemas.manifest import Result
from schemas.settings import FilterSettings
from stages import filter as filter_stage
from stages.filter.decide import unit_hash
from stages.shards import Outcome, ShardStats
from tests.stages.finished import finish, table_of, with_scores

pytestmark = pytest.mark.ray

SIDE = 80  # pixels


@cache
def photo(number):
    """A picture like no other: random patches, softly joined."""
    patches = np.random.default_rng(number).integers(0, 256, (8, 8, 3), dtype=np.uint8)
    return Image.fromarray(patches).resize((SIDE, SIDE), Image.Resampling.BICUBIC)


def jpeg(image, quality=95):
    file = io.BytesIO()
    image.save(file, "JPEG", quality=quality)
    return file.getvalue()


def pair(number, *, picture=None, caption=None, failed=None, image=None, **changes):
    data = image or jpeg(photo(number if picture is None else picture))
    return {
        "key": f"{number // 50:05d}-{number % 50:06d}",
        "url": f"http://example.com/{number}.jpg",
        "caption": f"a red kite number {number} in the sky" if caption is None else caption,
        "image": None if failed else data,
        "width": None if failed else SIDE,
        "height": None if failed else SIDE,
        "original_width": None if failed else SIDE,
        "original_height": None if failed else SIDE,
        "sha256": None if failed else hashlib.sha256(data).hexdigest(),
        "status": "failed" if failed else "ok",
        "reason": failed,
        "detail": failed,
        "source": None,
    } | changes


def pairs_folder(path, found):
    out = open_folder(path)
    for start in range(0, len(found), 50):
        buffer = pa.BufferOutputStream()
        pq.write_table(pa.Table.from_pylist(found[start : start + 50], rows.PAIR), buffer)
        out.commit(f"shard-{start // 50:05d}.parquet", buffer.getvalue().to_pybytes())
    failed = Counter(row["reason"] for row in found if row["reason"])
    result = Result(rows_in=len(found), rows_out=len(found) - failed.total(), rejects=dict(failed))
    return with_scores(finish(out, PAIRS, result), open_folder(f"{path}-measured"))


def table(out, prefix, schema=rows.CLEAN_PAIR):
    return table_of(out, prefix, schema=schema).to_pylist()


def job(**settings):
    return FilterSettings(**{"side": 64, "buckets": 4, "validation_share": 0.2} | settings)


@pytest.fixture(scope="module")
def filtered(ray_cluster, tmp_path_factory):
    top = tmp_path_factory.mktemp("filter")
    found = [pair(n) for n in range(200)]
    found += [pair(n, picture=n - 200) for n in range(200, 230)]  # the same picture, other words
    found += [pair(n, picture=n - 230, caption=found[n - 230]["caption"]) for n in range(230, 250)]
    found += [pair(250, failed="http_404"), pair(251, failed="timeout")]
    found += [pair(252, caption="ein roter Drachen auf einer grünen Wiese")]
    found += [pair(253, width=20), pair(254, original_height=300), pair(255, caption="")]
    inputs = pairs_folder(top / "pairs", found)
    out = open_folder(top / "out")
    return found, inputs, out, filter_stage.run(inputs, out, job())


def test_every_row_is_kept_or_dropped_with_its_reason(filtered):
    found, _, out, result = filtered
    kept, dropped = table(out, "train/") + table(out, "val/"), table(out, "dropped/", rows.DROPPED)
    assert sorted(r["key"] for r in kept + dropped) == sorted(r["key"] for r in found)
    reasons = {row["key"]: row["reason"] for row in dropped}
    assert reasons == {r["key"]: "duplicate" for r in found[230:250]} | {
        found[250]["key"]: "http_404",
        found[251]["key"]: "timeout",
        found[252]["key"]: "not_english",
        found[253]["key"]: "too_small",
        found[254]["key"]: "too_elongated",
        found[255]["key"]: "caption_missing",
    }
    assert (result.rows_in, result.rows_out) == (256, 230)
    assert result.rejects == Counter(reasons.values())
    assert set(result.files) == set(out.list())


def test_rows_of_one_picture_are_on_one_side(filtered):
    _, _, out, _ = filtered
    train, val = table(out, "train/"), table(out, "val/")
    assert not {r["group"] for r in train} & {r["group"] for r in val}
    assert 0.1 < len(val) / (len(train) + len(val)) < 0.3
    by_group = Counter(row["group"] for row in train + val)
    assert sorted(by_group.values()) == [1] * 170 + [2] * 30


def test_a_bucket_holds_whole_groups_in_no_order_of_the_source(filtered):
    _, _, out, _ = filtered
    files = [pq.read_table(out.open(f"train/shard-{n:05d}.parquet")) for n in range(4)]
    groups = [set(file["group"].to_pylist()) for file in files]
    assert sum(map(len, groups)) == len(set.union(*groups))
    assert all(len(file) > 20 for file in files)
    for file in files:
        keys = file["key"].to_pylist()
        early = sum(key < "00002" for key in keys[: len(keys) // 2])
        assert 0.25 < early / (len(keys) // 2) < 0.75


def test_the_funnel_adds_up_and_shows_examples(filtered):
    _, _, _, result = filtered
    steps = result.health["funnel"]
    assert [s["rule"] for s in steps[:3]] == ["http_404", "timeout", "caption_missing"]
    assert steps[-1] == {
        "rule": "duplicate",
        "wanted": "another picture or caption than each kept pair",
        "rows_in": 250,
        "dropped": 20,
        "examples": steps[-1]["examples"],
    }
    assert len(steps[-1]["examples"]) == 20
    assert steps[0]["examples"] == [
        {
            "key": "00005-000000",
            "url": "http://example.com/250.jpg",
            "caption": "a red kite number 250 in the sky",
        }
    ]


def test_the_same_settings_give_the_same_bytes_and_another_seed_another_split(filtered, tmp_path):
    _, inputs, out, result = filtered
    again = open_folder(tmp_path / "again")
    assert filter_stage.run(inputs, again, job(run={"workers": 2})) == result
    other = open_folder(tmp_path / "other")
    filter_stage.run(inputs, other, job(seed=1))
    assert {r["key"] for r in table(other, "val/")} != {r["key"] for r in table(out, "val/")}


def scored(*hashes):
    stats = [
        ShardStats(
            name=str(n),
            rows_in=1,
            rows_out=1,
            rejects={},
            health={"lowest_hash": t, "highest_hash": t},
            files={},
        )
        for n, t in enumerate(hashes)
    ]
    return Outcome(tuple(stats), {})


def test_a_small_corpus_has_something_on_each_side():
    below = filter_stage.validation_below(scored(0.3, 0.7), 0.01)
    assert 0.3 < below < 0.7
    assert filter_stage.validation_below(scored(0.3, 0.7), 0.9) == 0.7
    assert filter_stage.validation_below(scored(0.3, 0.7), 0.5) == 0.5
    assert filter_stage.validation_below(scored(0.3), 0.01) == 0.01
    assert filter_stage.validation_below(scored(0.3, 0.7), 0) == 0
    assert filter_stage.validation_below(scored(), 0.2) == 0.2


def test_unit_hashes_are_uniform():
    hashes = [unit_hash(0, "split", str(n)) for n in range(4_000)]
    for share in (0.01, 0.2, 0.5):
        below = sum(t < share for t in hashes)
        assert abs(below - share * 4_000) < 4 * math.sqrt(4_000 * share * (1 - share))
