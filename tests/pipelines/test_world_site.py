import collections
import hashlib
import json
import urllib.error
import urllib.request
from urllib.parse import urlsplit

import numpy as np
import pyarrow.parquet as pq
import pytest

from pipelines.demo import world_site
from schemas.errors import ConfigError
from schemas.settings import WorldSettings
from stages import shapes
from stages.pictures import crop_centre, crop_for_prior, decode
from tests.stages.test_shapes_judge import right

WORLD = WorldSettings(pictures=200, bad_share=0.25, prompts=16)


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    return world_site.build(tmp_path_factory.mktemp("world"), WORLD)


@pytest.fixture(scope="module")
def rows(files):
    """List (url, caption, expected) in the order of the url list."""
    urls, truth = pq.read_table(files.urls).to_pylist(), pq.read_table(files.truth).to_pylist()
    return [
        (row["url"], row["caption"], true["expected"])
        for row, true in zip(urls, truth, strict=True)
        if row["url"] == true["url"]
    ]


def content(folder):
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def good_files(files, rows):
    return [
        (files.site / urlsplit(url).path.lstrip("/"), caption)
        for url, caption, expected in rows
        if expected == "ok"
    ]


def test_the_truth_has_one_line_for_each_url_and_the_promised_share_is_bad(rows):
    assert len({url for url, _, _ in rows}) == WORLD.pictures
    assert sum(expected != "ok" for _, _, expected in rows) == 50


def test_everything_that_can_go_wrong_does(rows):
    counts = collections.Counter(expected for _, _, expected in rows)
    assert set(counts) == {"ok", "duplicate", "truncated", *world_site._SPOIL}
    assert counts["timeout"] <= world_site.MOST_TIMEOUTS


def test_there_is_never_more_than_a_handful_of_timeouts():
    assert collections.Counter(world_site._kinds_of(1_000))["timeout"] == world_site.MOST_TIMEOUTS


def test_bad_rows_are_mixed_among_the_good_ones(rows):
    places = [place for place, row in enumerate(rows) if row[2] != "ok"]
    assert np.mean(places) == pytest.approx(len(rows) / 2, rel=0.25)


def test_each_bad_caption_and_picture_is_bad_in_one_way_only(files, rows):
    for url, caption, expected in rows:
        captions_only = expected in {"caption_missing", "not_english", "boilerplate"}
        if expected in {"caption_too_short", "caption_too_long"} or captions_only:
            assert min(decode(path_of(files, url).read_bytes()).shape[:2]) >= world_site.SIDE
        else:
            assert shapes.named(caption)
        if expected == "too_elongated":
            height, width = decode(path_of(files, url).read_bytes()).shape[:2]
            assert max(height, width) > 2.5 * min(height, width) >= 2.5 * world_site.SIDE
        if expected == "too_small":
            assert max(decode(path_of(files, url).read_bytes()).shape[:2]) <= world_site.TINY[1]


def path_of(files, url):
    return files.site / urlsplit(url).path.lstrip("/")


def test_a_duplicate_has_the_bytes_of_an_earlier_good_row(files, rows):
    seen = set()
    for url, _, expected in rows:
        if expected in {"ok", "duplicate"}:
            digest = hashlib.sha256(path_of(files, url).read_bytes()).digest()
            assert (digest in seen) == (expected == "duplicate")
            seen.add(digest)


def test_pictures_are_ordinary_files_of_mixed_formats_and_sizes(files, rows):
    good = good_files(files, rows)
    assert {path.suffix[1:] for path, _ in good} == set(world_site.FORMATS)
    sizes = {decode(path.read_bytes()).shape[:2] for path, _ in good}
    assert len(sizes) > 10
    assert max(max(size) / min(size) for size in sizes) <= 2
    assert any(height > width for height, width in sizes)
    assert any(height < width for height, width in sizes)


def test_files_and_captions_belong_together_also_after_the_papers_crop(files, rows):
    rng = np.random.default_rng(0)
    hits = []
    for path, caption in good_files(files, rows):
        pixels = decode(path.read_bytes())
        assert right(caption, crop_centre(pixels, 64)), path
        hits.append(right(caption, crop_for_prior(pixels, 64, rng)[0]))
    assert np.mean(hits) > 0.97


def test_prompts_come_in_three_sets(files):
    lines = [json.loads(line) for line in files.prompts.read_text().splitlines()]
    counts = collections.Counter(line["set"] for line in lines)
    assert counts == {"held_out": 16, "seen": 8, "two_shapes": 8}
    for line in lines:
        held_out = {kind in shapes.HELD_OUT for kind in shapes.named(line["prompt"])}
        assert held_out == {line["set"] == "held_out"}


def test_the_same_settings_give_the_same_files(files, tmp_path):
    assert content(world_site.build(tmp_path, WORLD).site) == content(files.site)


def test_building_again_keeps_what_is_there_and_other_settings_replace_it(tmp_path):
    first = WorldSettings(pictures=20, prompts=2)
    files = world_site.build(tmp_path, first)
    marked = next(path for path in files.site.rglob("*.*") if path.is_file())
    marked.write_bytes(b"touched")
    world_site.build(tmp_path, first)
    assert marked.read_bytes() == b"touched"
    world_site.build(tmp_path, WorldSettings(pictures=10, prompts=2))
    assert pq.read_table(files.urls).num_rows == 10
    assert not marked.exists() or marked.read_bytes() != b"touched"


def test_an_interrupted_build_is_done_again(tmp_path):
    world = WorldSettings(pictures=20, prompts=2)
    files = world_site.build(tmp_path, world)
    whole = content(tmp_path)
    (tmp_path / world_site.DONE).unlink()
    files.urls.unlink()
    world_site.build(tmp_path, world)
    assert content(tmp_path) == whole


def test_a_world_without_a_good_picture_is_refused(tmp_path):
    with pytest.raises(ConfigError, match="bad_share"):
        world_site.build(tmp_path, WorldSettings(pictures=5, bad_share=1.0))


def test_the_server_answers_as_the_truth_says(tmp_path):
    with world_site.serve(world_site.build(tmp_path, WORLD)) as server:
        answers = collections.defaultdict(set)
        for row in pq.read_table(tmp_path / world_site.TRUTH).to_pylist():
            url = urlsplit(row["url"])
            if row["expected"] == "timeout" or url.hostname != world_site.HOST:
                continue
            try:
                with urllib.request.urlopen(server.url + url.path, timeout=5) as answer:
                    answers[row["expected"]].add(answer.headers["Content-Type"].split("/")[0])
            except urllib.error.HTTPError as error:
                answers[row["expected"]].add(error.code)
    assert answers["http_404"] == {404}
    assert answers["http_403"] == {403}
    assert answers["not_an_image"] == {"image", "text"}
    assert all(answers[kind] == {"image"} for kind in ("ok", "duplicate", "too_small"))
