"""What only a look at all pairs can tell: duplicates, stock captions, leaks; and what is kept."""

import io
import json

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image, ImageEnhance

from infra.store import open_folder
from pipelines.score.overlap import read_overlap
from pipelines.score.picture_set import open_pictures
from schemas import rows
from schemas.artifacts import PAIRS
from schemas.errors import SchemaMismatch
from schemas.folder import Inputs
from schemas.manifest import MANIFEST
from schemas.settings import MeasureSettings
from stages import filter as filter_stage
from stages.filter.all_pairs import pictures_of_captions
from stages.filter.gather import Layouts, without_duplicates
from stages.filter.rules import why_drop
from stages.measure.pairs import MeasureCaptions
from tests.stages.test_filter import job, jpeg, pair, pairs_folder, photo, table

pytestmark = pytest.mark.ray

UNCOMPARED = {"caption_pictures": 1, "overlaps": None}


def reasons(out):
    return {row["key"]: row["reason"] for row in table(out, "dropped/", rows.DROPPED)}


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    """Sixty pictures, then copies of some of them, flat ones, and a caption on very many."""
    found = [pair(n) for n in range(60)]
    found += [
        pair(60, image=jpeg(photo(0), quality=30)),
        pair(61, image=jpeg(photo(1).resize((200, 200))), width=200, height=200),
        pair(62, image=jpeg(ImageEnhance.Brightness(photo(2)).enhance(1.15))),
        pair(63, picture=3, caption=found[3]["caption"].upper()),
        pair(64, picture=3),  # the same bytes under other words: one more caption
        pair(65, image=jpeg(Image.new("RGB", (80, 80), (90, 120, 90)))),
        pair(66, image=jpeg(Image.new("RGB", (80, 80), (120, 90, 90)))),
    ]
    found += [pair(n, caption="a picture of our shop") for n in range(70, 76)]
    found += [pair(76, image=b"no picture")]
    top = tmp_path_factory.mktemp("compare")
    return top, found, pairs_folder(top / "pairs", found)


@pytest.fixture(scope="module")
def filtered(ray_cluster, corpus):
    top, found, inputs = corpus
    out = open_folder(top / "out")
    return found, out, filter_stage.run(inputs, out, job(max_caption_pictures=5))


def test_each_row_that_goes_has_its_reason(filtered):
    """Copies however they were saved again; flat pictures are no copies of each other."""
    found, out, _ = filtered
    dropped = reasons(out)
    assert [dropped.get(row["key"]) for row in found] == [
        *[None] * 60,
        *["near_duplicate"] * 3,
        "duplicate",
        None,  # the same bytes under other words
        *["flat"] * 2,
        *["caption_repeated"] * 6,  # a caption of very many pictures says nothing of any
        "undecodable",
    ]


def test_a_near_duplicate_names_the_picture_that_stayed_in_its_place(filtered):
    found, out, result = filtered
    groups = {r["key"]: r["group"] for r in table(out, "dropped/", rows.DROPPED)}
    assert groups[found[60]["key"]] == found[0]["sha256"]
    assert result.health["largest_group"] == 2
    assert result.health["pictures"] == 72


def test_pictures_that_kill_their_workers_leave_rows_that_say_so(corpus):
    _, found, inputs = corpus
    stand_in = MeasureCaptions(inputs.folders["pairs"], MeasureSettings())
    made = stand_in(("shard-00000.parquet", "its worker died 3 times"))
    measured = pq.read_table(io.BytesIO(made.files["shard-00000.parquet"])).to_pylist()
    assert [row["key"] for row in measured] == [row["key"] for row in found[:50]]
    for row in measured:
        assert row["english"] > 0.2
        assert why_drop(row | UNCOMPARED, job().model_dump()) == "undecodable"


def test_the_ends_of_a_chain_may_both_stay():
    def row(sha256, hashed, caption="a red kite"):
        return {"sha256": sha256, "perceptual_hash": hashed, "group": "g", "caption": caption}

    chain = [row("a", 0), row("b", 0b111), row("c", 0b111111), row("c", 0b111111, "A Red Kite")]
    chain += [row("a", 0, "a kite"), row("d", 0b1000111, "another")]
    no_pictures = Layouts(pa.chunked_array([], pa.binary()))
    kept, dropped = without_duplicates(chain, job(near_bits=3), no_pictures)
    assert [(r["sha256"], r["caption"]) for r in kept] == [
        ("a", "a red kite"),
        ("c", "a red kite"),
        ("a", "a kite"),
        ("d", "another"),
    ]
    assert [r["reason"] for r in dropped] == ["near_duplicate", "duplicate"]


def test_other_thresholds_read_the_same_scores(filtered, corpus, tmp_path):
    out = open_folder(tmp_path / "out")
    result = filter_stage.run(corpus[2], out, job(near_bits=None, min_contrast=0))
    assert result.rejects == {"duplicate": 1, "undecodable": 1}


def test_scores_of_other_pairs_are_refused(corpus, tmp_path):
    _, _, inputs = corpus
    pairs = open_folder(tmp_path / "pairs")
    crawled = inputs.manifest(PAIRS).model_copy(update={"content_sha256": "another"})
    pairs.commit(MANIFEST, crawled.model_dump_json().encode())
    mixed = Inputs({**inputs.folders, PAIRS.name: pairs})
    with pytest.raises(SchemaMismatch, match="--from measure"):
        filter_stage.run(mixed, open_folder(tmp_path / "out"), job())


def test_pictures_of_an_evaluation_set_are_not_learned(ray_cluster, corpus, tmp_path):
    _, found, inputs = corpus
    benchmark = tmp_path / "benchmark"
    benchmark.mkdir()
    (benchmark / "exact.jpg").write_bytes(found[7]["image"])
    (benchmark / "broken.jpg").write_bytes(b"nor is this")
    (benchmark / "flat.jpg").write_bytes(found[65]["image"])
    Image.new("RGB", (90, 90), (90, 120, 90)).save(benchmark / "flat.png")
    photo(8).resize((160, 160)).save(benchmark / "near.png")
    photo(999).save(benchmark / "other.png")
    cfg = job(decontaminate=(str(benchmark),))
    out = open_folder(tmp_path / "out")
    result = filter_stage.run(inputs, out, cfg)
    overlapping = {key for key, why in reasons(out).items() if why == "evaluation_overlap"}
    assert overlapping == {found[7]["key"], found[8]["key"]}
    assert result.rejects["evaluation_overlap"] == 2
    listed = out.open("overlaps/0-benchmark.jsonl").read().decode().splitlines()
    same = {"exact.jpg": 7, "flat.jpg": 65, "near.png": 8}  # a flat one by its bytes alone
    assert [json.loads(line) for line in listed] == [
        {"picture": name, "sha256": found[number]["sha256"]} for name, number in same.items()
    ]
    assert result.health["evaluation_sets"]["benchmark"] == {
        "pictures": 6, "unreadable": 1, "overlaps": 3, "overlapping": 3,
    }  # fmt: skip
    # the list is what `pipelines.score --overlap` leaves out of the same set
    names = open_pictures(str(benchmark), "--reference").names
    left_out = read_overlap(str(tmp_path / "out/overlaps/0-benchmark.jsonl"), names)
    assert (left_out.names, left_out.problems) == (same.keys(), [])
    before = filter_stage.outside(cfg)
    (benchmark / "other.png").unlink()
    assert filter_stage.outside(cfg) != before


def test_pictures_of_a_caption_are_counted_once_for_each_group():
    caption = np.array([5, 9, 5, 5, 9, 7])
    group = np.array([1, 1, 2, 1, 1, 3])
    assert pictures_of_captions(caption, group).tolist() == [2, 1, 2, 2, 1, 1]


def test_the_answer_does_not_depend_on_how_many_workers_there_are(filtered, corpus, tmp_path):
    fresh = pairs_folder(tmp_path / "pairs", corpus[1])
    again = open_folder(tmp_path / "again")
    assert (
        filter_stage.run(fresh, again, job(max_caption_pictures=5, run={"workers": 2}))
        == filtered[2]
    )


def test_scores_stand_beside_every_row(filtered):
    _, out, _ = filtered
    kept = pq.read_table(io.BytesIO(out.open("train/shard-00000.parquet").read())).to_pylist()
    assert all(row["contrast"] > 20 and row["perceptual_hash"] is not None for row in kept)
    assert {row["nsfw"] for row in kept} == {None}
