"""The data stages on an object store, which has no rename: a real S3 server on this machine."""

import os
import pickle
import subprocess
import sys

import pyarrow.parquet as pq
import pytest

from infra import session
from infra.store import open_folder
from schemas import rows
from schemas.artifacts import CLEAN_PAIRS, MEASURED, PAIRS, TOKEN_PAIRS
from schemas.folder import Inputs
from schemas.settings import FilterSettings, MeasureSettings, TokenSpec
from stages import crawl, encode, measure
from stages import filter as filter_stage
from tests import s3
from tests.stages import worlds
from tests.stages.finished import finish
from tests.stages.test_encode import job, models
from tests.stages.test_filter import table

TOKENS = TokenSpec(text_vocab=300, text_len=24, image_vocab=32, grid=8)
ROOT = "s3://pictures/run"
MADE = PAIRS, MEASURED, CLEAN_PAIRS, TOKEN_PAIRS


def run_all(root, crawl_job):
    """Crawl, measure, filter and encode below `root`; return what each says."""
    pairs, measured, clean, tokens = (open_folder(f"{root}/{made.name}") for made in MADE)
    crawled = crawl.run(Inputs({}), pairs, crawl_job)
    inputs = finish(pairs, PAIRS, crawled)
    scored = measure.run(inputs, measured, MeasureSettings())
    filtered = filter_stage.run(
        finish(measured, MEASURED, scored, reads=inputs),
        clean,
        FilterSettings(side=64, buckets=2, validation_share=0.2, near_bits=None),
    )
    finish(clean, CLEAN_PAIRS, filtered)
    inputs = Inputs({"clean_pairs": clean, **models(root, TOKENS, ["a red circle"])})
    return crawled, scored, filtered, encode.run(inputs, tokens, job(tokens=TOKENS, tile=8))


def main():
    session.start(temp_dir=sys.argv[2])
    with open(sys.argv[1], "rb") as file:
        crawl_job = pickle.load(file)
    for _ in range(2):  # the second time everything is found done
        results = run_all(ROOT, crawl_job)
    with open(sys.argv[1] + ".done", "wb") as file:
        pickle.dump(results, file)


@pytest.fixture
def bucket():
    with s3.served("pictures"):
        yield


@pytest.mark.ray
@pytest.mark.slow
def test_crawl_filter_and_encode_on_an_object_store(bucket, tmp_path):
    with worlds.served(tmp_path / "world", pictures=100, bad_share=0.4) as world:
        task = tmp_path / "task"
        task.write_bytes(pickle.dumps(world.job()))
        program = [
            sys.executable,
            "-m",
            "tests.stages.test_object_store",
            str(task),
            f"/tmp/ray-s3-{os.getpid()}",
        ]
        subprocess.run(program, cwd=session.ROOT, check=True)
    results = pickle.loads((tmp_path / "task.done").read_bytes())
    pairs, _, clean, tokens = folders = [open_folder(f"{ROOT}/{made.name}") for made in MADE]
    for folder, result in zip(folders, results, strict=True):
        left = {name for name in folder.list() if name != "manifest.json"}
        assert left == set(result.files)  # nothing of the work in between is left

    kept = {part: table(clean, part, rows.CLEAN_PAIR) for part in ("train/", "val/")}
    dropped = table(clean, "dropped/", rows.DROPPED)
    fate = {row["url"]: row["reason"] for row in dropped}
    fate |= {row["url"]: "ok" for part in kept.values() for row in part}
    truth = pq.read_table(world.files.truth).to_pylist()
    assert fate == {row["url"]: row["expected"] for row in truth}
    assert len(dropped) + sum(map(len, kept.values())) == len(truth) == 100
    assert len(table(pairs, "shard-", rows.PAIR)) == 100

    schema = rows.token_pair(text_len=24, grid=8)
    for part, clean_rows in kept.items():
        encoded = table(tokens, part, schema)
        assert [row["key"] for row in encoded] == [row["key"] for row in clean_rows]


if __name__ == "__main__":
    main()
