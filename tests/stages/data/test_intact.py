"""Files that are no longer what their stage left are named before anything is read of them."""

import pytest

from infra.store import digest_all
from schemas.artifacts import TOKEN_PAIRS, TRAIN, VAL
from schemas.errors import ArtifactMissing, SchemaMismatch
from schemas.manifest import Result
from stages.data import intact
from stages.data.intact import require_intact
from tests.stages.finished import finish

FILES = {f"{part}shard-{n:05d}.parquet": bytes([n]) * 99 for part in (TRAIN, VAL) for n in (0, 1)}


def finished(folder, **changes):
    """The manifest of a stage that left these files, and one of another kind."""
    for name, data in FILES.items():
        folder.commit(name, data)
    folder.commit("stats/train.json", b"{}")
    result = Result(rows_in=12, rows_out=12, files=digest_all(folder, {}))
    manifest = finish(folder, TOKEN_PAIRS, result).manifest(TOKEN_PAIRS)
    return manifest.model_copy(update=changes)


def check(folder, manifest, rows=12):
    require_intact(folder, manifest, (TRAIN, VAL), rows)


def test_what_the_stage_left_is_accepted(folder):
    manifest = finished(folder)
    folder.commit("stats/train.json", b"{...}")  # a file beside the rows, for people
    check(folder, manifest)


def test_a_flipped_bit_is_found_and_named(folder):
    manifest = finished(folder)
    folder.commit("val/shard-00001.parquet", bytes([1]) * 98 + bytes([3]))
    with pytest.raises(SchemaMismatch, match=r"val/shard-00001.parquet is damaged: .*--force by_"):
        check(folder, manifest)


def test_of_very_many_bytes_only_the_names_are_compared(folder, monkeypatch):
    monkeypatch.setattr(intact, "HASHED_BYTES", 4 * 99 - 1)
    manifest = finished(folder)
    folder.commit("val/shard-00001.parquet", b"other")
    check(folder, manifest)


def test_a_missing_and_a_foreign_file_are_named(folder):
    manifest = finished(folder)
    folder.commit("val/shard-00007.parquet", b"")
    with pytest.raises(SchemaMismatch, match=r"found .*val/shard-00007.parquet; take it out"):
        check(folder, manifest)
    folder.remove("val/shard-00007.parquet")
    folder.remove("train/shard-00000.parquet")
    with pytest.raises(
        ArtifactMissing, match=r"wanted .*train/shard-00000.parquet, one of 4 files"
    ):
        check(folder, manifest)


def test_where_no_list_says_what_is_there_the_rows_are_counted(folder):
    manifest = finished(folder, files=None)
    check(folder, manifest)
    with pytest.raises(
        ArtifactMissing, match=r"wanted the 12 rows that by_hand left in .*, found 11"
    ):
        check(folder, manifest, rows=11)
