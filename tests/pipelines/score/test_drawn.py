"""Each caption finds its picture under any of the usual names; what does not fit is named."""

import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from infra.store import Store
from pipelines.score.caption_files import read_captions
from pipelines.score.caption_set import chosen
from pipelines.score.drawn import drawings, read_scores, without_captions
from pipelines.score.overlap import read_overlap
from pipelines.score.picture_files import file_batches
from pipelines.score.picture_set import open_pictures
from schemas.artifacts import SAMPLES
from schemas.errors import ConfigError
from schemas.rows import SAMPLE
from stages.data.parquet import PICTURE_FILE, parquet_bytes, read_rows
from tests import tiny_run
from tests.pipelines.score import coco


@pytest.fixture
def captions(tmp_path):
    folder = coco.build(tmp_path / "coco")
    return chosen(read_captions(str(folder / "captions_val2014.json")), 12, seed=0)


def drawn(captions, folder, best_of=1):
    source = open_pictures(str(folder), "--pictures")
    found = drawings(source, captions, best_of, read_scores(source, str(folder)))
    return found, {one.kind: (one.count, *one.examples) for one in found.problems}


@pytest.mark.parametrize("scheme", range(3))
@pytest.mark.parametrize("layout", ["{}", "deep/{}", "{}/0"])
def test_pictures_may_be_called_by_file_picture_or_caption(captions, tmp_path, scheme, layout):
    names = [layout.format(caption.names[scheme]) for caption in captions.captions]
    found, problems = drawn(captions, coco.draw(tmp_path / "drawn", names))
    assert [pair.picture for pair in found.pairs] == [f"{name}.png" for name in names]
    assert [pair.caption for pair in found.pairs] == list(captions.captions)
    assert captions.schemes[scheme] in found.called
    assert problems == {}


def test_a_number_may_be_padded_with_zeros(captions, tmp_path):
    names = [f"{int(caption.names[1]):012d}" for caption in captions.captions]
    found, problems = drawn(captions, coco.draw(tmp_path / "drawn", names))
    assert len(found.pairs) == 12
    assert problems == {}


def test_missing_foreign_and_doubled_pictures_are_named(captions, tmp_path):
    names = [caption.names[1] for caption in captions.captions]
    folder = coco.draw(tmp_path / "drawn", [*names[2:], "7", f"other/{names[5]}"])
    found, problems = drawn(captions, folder)
    assert len(found.pairs) == 10
    assert found.pairs[3].picture == f"{names[5]}.png"
    assert problems == {
        "no_picture": (2, *names[:2]),
        "no_caption": (1, "7.png"),
        "doubled_picture": (1, f"other/{names[5]}.png"),
    }


def test_a_folder_without_any_picture_of_a_caption_is_refused(captions, tmp_path):
    with pytest.raises(ConfigError, match=r"called as captions are, such as .*found x.png"):
        drawn(captions, coco.draw(tmp_path / "drawn", ["x"]))


@pytest.fixture
def candidates(captions, tmp_path):
    """Four candidates of each caption, of which number (i + 1) % 4 of caption i is scored best."""
    names = [caption.names[1] for caption in captions.captions]
    folder = coco.draw(tmp_path / "drawn", [f"{name}/{n}" for name in names for n in range(4)])
    rows = [
        {"picture": f"{name}/{n}.png", "score": 1 - ((n - i - 1) % 4) / 4}
        for i, name in enumerate(names)
        for n in range(4)
    ]
    (folder / "scores.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return folder, names


def test_the_best_of_the_first_n_is_taken_by_score(captions, candidates):
    folder, names = candidates
    for best_of, wanted in ((1, [0] * 12), (2, [1, 0, 0, 0] * 3), (4, [1, 2, 3, 0] * 3)):
        found, problems = drawn(captions, folder, best_of)
        numbers = zip(names, wanted, strict=True)
        assert [pair.picture for pair in found.pairs] == [f"{name}/{n}.png" for name, n in numbers]
        assert problems == {}


def test_equal_scores_are_the_first_ones(captions, candidates):
    folder, names = candidates
    rows = [{"picture": f"{name}/{n}", "score": 1} for name in names for n in range(4)]
    (folder / "scores.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    found, _ = drawn(captions, folder, 4)
    assert {pair.picture.rpartition("/")[2] for pair in found.pairs} == {"0.png"}


def test_missing_candidates_and_scores_are_named(captions, candidates):
    folder, names = candidates
    (folder / names[0] / "1.png").unlink()
    lines = (folder / "scores.jsonl").read_text().splitlines()
    (folder / "scores.jsonl").write_text("\n".join(lines[:-1]))
    found, problems = drawn(captions, folder, 4)
    assert len(found.pairs) == 12
    assert problems == {"few_candidates": (1, names[0]), "no_score": (1, f"{names[-1]}/3.png")}


@pytest.mark.parametrize("scores", [None, '{"picture": "a", "score": "high"}'])
def test_a_choice_without_scores_is_refused(captions, candidates, scores):
    folder, _ = candidates
    (folder / "scores.jsonl").unlink()
    if scores:
        (folder / "scores.jsonl").write_text(scores)
    with pytest.raises(ConfigError, match=r"--best-of.*found (no scores|could not convert)"):
        drawn(captions, folder, 2)


def test_pictures_in_parquet_are_found_by_their_name(captions, tmp_path):
    names = [caption.names[1] for caption in captions.captions]
    folder = coco.draw(tmp_path / "drawn", names)
    rows = [
        {"name": f"{name}.png", "png": {"bytes": (folder / f"{name}.png").read_bytes()}}
        for name in names
    ]
    (tmp_path / "table").mkdir()
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "table/a.parquet", row_group_size=5)
    found, problems = drawn(captions, tmp_path / "table")
    assert len(found.pairs) == 12
    assert problems == {}
    for pair in found.pairs:
        assert found.source.read(pair.picture) == (folder / pair.picture).read_bytes()


@pytest.fixture
def samples(tmp_path):
    tiny_run.build(tmp_path / "run")
    return Store(str(tmp_path / "run")).newest(SAMPLES)


def test_the_samples_of_a_run_are_candidates_of_the_captions_that_were_its_prompts(
    samples, tmp_path
):
    """Of which the run's favourite is the best; also if the captions come in another order."""
    rows = list(read_rows(samples, "table/", ("prompt_id", "prompt", "rank", "png")))
    prompts = {row["prompt_id"]: row["prompt"] for row in rows}
    (tmp_path / "prompts.txt").write_text("".join(f"{one}\n" for one in reversed(prompts.values())))
    favourites = {row["prompt"]: row["png"] for row in rows if row["rank"] == 0}
    count = len(rows) // len(prompts)
    root = str(tmp_path / "run")
    for place in (root, samples.url, f"{samples.url}/table"):
        for address in (str(tmp_path / "prompts.txt"), root):
            listed = chosen(read_captions(address), None, seed=0)
            assert len(listed.captions) == len(prompts)
            found, problems = drawn(listed, place, count)
            problems.pop("doubled_caption", None)
            assert problems == {}
            for pair in found.pairs:
                assert found.source.read(pair.picture) == favourites[pair.caption.text]


def test_the_best_of_a_run_are_its_own_whatever_it_ranked_by(samples, tmp_path):
    (name,) = samples.list("table/")
    rows = pq.read_table(samples.path / name).to_pylist()
    last = max(row["rank"] for row in rows)
    turned = [row | {"rank": last - row["rank"]} for row in rows]
    samples.commit(name, parquet_bytes(pa.Table.from_pylist(turned, SAMPLE), PICTURE_FILE))
    listed = chosen(read_captions(str(tmp_path / "run")), None, seed=0)
    found, _ = drawn(listed, samples.url, last + 1)
    worst = {row["prompt"]: row["png"] for row in rows if row["rank"] == last}
    assert len(found.pairs) == len(worst)
    for pair in found.pairs:
        assert found.source.read(pair.picture) == worst[pair.caption.text]


def test_captions_that_a_run_has_not_drawn_are_named_and_doubled_ones_need_two(samples, tmp_path):
    rows = list(read_rows(samples, "table/", ("prompt",)))
    (tmp_path / "prompts.txt").write_text(f"a cat\n{rows[0]['prompt']}\n{rows[0]['prompt']}\n")
    listed = chosen(read_captions(str(tmp_path / "prompts.txt")), None, seed=0)
    found, problems = drawn(listed, samples.url)
    assert len(found.pairs) == 1
    assert problems["no_picture"][0] == 2
    (tmp_path / "prompts.txt").write_text("a cat\n")
    with pytest.raises(ConfigError, match=r"--pictures: wanted pictures of the prompts"):
        drawn(chosen(read_captions(str(tmp_path / "prompts.txt")), None, seed=0), samples.url)


def test_a_run_is_a_reference_by_the_pictures_that_it_held_out(samples, tmp_path):
    found = open_pictures(str(tmp_path / "run"), "--reference")
    assert list(found.names) == [f"val-{n:04d}" for n in range(tiny_run.SIZES["val"])]


def test_a_table_without_pictures_is_refused(tmp_path):
    pq.write_table(pa.table({"caption": ["a"]}), tmp_path / "a.parquet")
    with pytest.raises(ConfigError, match=r"column of picture files.*found caption"):
        open_pictures(str(tmp_path), "--reference")
    with pytest.raises(ConfigError, match=r"--reference: wanted pictures .*found none"):
        open_pictures(str(tmp_path / "none"), "--reference")


def test_overlaps_are_named_by_path_or_file_with_or_without_ending(tmp_path):
    names = ["x/a.png", "x/b.png", "c.png", "d.png"]
    path = tmp_path / "overlap.txt"
    path.write_text("# found by looking\nx/a.png\nb\n\nd.jpg\nc.png\nc.png\n")
    found = read_overlap(str(path), names)
    assert found.names == {"x/a.png", "x/b.png", "c.png"}
    assert (found.record.listed, found.record.found) == (4, 3)
    assert [(one.kind, one.count, one.examples) for one in found.problems] == [
        ("foreign_overlap", 1, ("d.jpg",))
    ]
    with pytest.raises(ConfigError, match=r"none.txt. of --overlap, found"):
        read_overlap(str(tmp_path / "none.txt"), names)
    path.write_text("# none\n")
    with pytest.raises(ConfigError, match=r"--overlap: wanted names .*found none"):
        read_overlap(str(path), names)


def test_a_file_that_cannot_be_opened_is_no_picture(tmp_path):
    picture = coco.draw(tmp_path, ["1"]) / "1.png"
    (tmp_path / "2.png").symlink_to(tmp_path / "gone.png")
    source = open_pictures(str(tmp_path), "--pictures")
    (files,) = file_batches(source, source.names, coco.SIDE)
    assert files.names == ["1.png", "2.png"]
    assert [one is None for one in files.pixels] == [False, True]
    assert files.contents == [picture.read_bytes(), b""]


def test_pictures_without_captions_come_in_no_order_of_classes(tmp_path):
    """Those of one class next to each other would be splits of an Inception Score of 1."""
    coco.draw(tmp_path, [f"{kind}/{number}" for kind in "abcd" for number in range(5)])
    source = open_pictures(str(tmp_path), "--pictures")
    names = [pair.picture for pair in without_captions(source).pairs]
    assert sorted(names) == sorted(source.names)
    assert all(len({name[0] for name in names[at : at + 5]}) > 1 for at in range(0, 20, 5))
