"""What is exported is what plain pyarrow reads in the shards, in forms that others read."""

import filecmp
import io
import itertools
import json
import re
import tarfile

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import webdataset

from infra.store import digest_all, open_folder
from pipelines.export_tokens import __main__ as export_tokens
from pipelines.export_tokens.new_files import new_files
from schemas import rows
from schemas.artifacts import TOKEN_PAIRS
from schemas.errors import ConfigError
from schemas.manifest import Result
from schemas.settings import TokenSpec
from stages.data.parquet import TOKEN_FILE, parquet_bytes
from tests import s3, tiny_run
from tests.stages.finished import finish
from tests.token_shards import header

SPEC = TokenSpec(text_len=5, grid=3)


def shard_of(keys, **metadata):
    """A token shard of random rows with these keys, four in a row group."""
    draw = np.random.default_rng(len(keys))
    columns = {
        "key": keys,
        "group": [f"g{n}" for n in range(len(keys))],
        "caption": [f"Ein Bär, {n} 🐻" for n in range(len(keys))],
        "text": rows.fixed_list(draw.integers(0, 2**16, (len(keys), 5)).astype(np.uint16)),
        "text_length": draw.integers(0, 6, len(keys)).astype(np.uint16),
        "image": rows.fixed_list(draw.integers(0, 2**16, (len(keys), 9)).astype(np.uint16)),
        "crop": rows.fixed_list(draw.random((len(keys), 4)).astype(np.float32)),
    }
    schema = header(SPEC, **metadata).schema
    return parquet_bytes(pa.table(columns, schema), dict(TOKEN_FILE) | {"row_group_size": 4})


@pytest.fixture
def shard(tmp_path):
    path = tmp_path / "shard-00007.parquet"
    path.write_bytes(
        shard_of([f"00003-{n:06d}" for n in range(10)] + ["00003-000009.1", "00003-000009.1#1"])
    )
    return path


def exported(to, address, out, code=0):
    assert export_tokens.main([str(address), "--to", to, "--out", str(out)]) == code


def samples(data):
    """Read a tar as WebDataset does: neighbours of one name up to the first dot are a sample."""
    with tarfile.open(fileobj=io.BytesIO(data)) as tar:
        named = [(m.name.partition("."), tar.extractfile(m).read()) for m in tar]
    for key, members in itertools.groupby(named, key=lambda member: member[0][0]):
        yield key, {name[2]: data for name, data in members}


def rows_in_tar(data):
    """The rows of a tar, as pyarrow would give them."""
    for base, sample in samples(data):
        assert sample.keys() == {"text.npy", "image.npy", "txt", "json"}
        about = json.loads(sample["json"])
        assert base == about["key"].replace(".", "_")
        arrays = {name: np.load(io.BytesIO(sample[f"{name}.npy"])) for name in ("text", "image")}
        assert {array.dtype for array in arrays.values()} == {np.dtype("uint16")}
        yield about | {
            "caption": sample["txt"].decode(),
            **{name: array.tolist() for name, array in arrays.items()},
        }


def rows_in_arrays(folder):
    arrays = {name: np.load(folder / f"{name}.npy", mmap_mode="r") for name in
              ("text", "image", "text_length")}  # fmt: skip
    assert {type(array) for array in arrays.values()} == {np.memmap}
    assert {array.dtype for array in arrays.values()} == {np.dtype("uint16")}
    for number, row in enumerate(pq.read_table(folder / "rows.parquet").to_pylist()):
        yield row | {name: array[number].tolist() for name, array in arrays.items()}


def test_tars_hold_the_rows_of_one_shard(shard, tmp_path):
    exported("webdataset", shard, tmp_path / "out")
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == ["meta.json", "shard-00007.tar"]
    data = (tmp_path / "out/shard-00007.tar").read_bytes()
    assert list(rows_in_tar(data)) == pq.read_table(shard).to_pylist()
    with tarfile.open(fileobj=io.BytesIO(data)) as tar:
        assert {(m.mtime, m.uid, m.gid, m.uname, m.mode) for m in tar} == {(0, 0, 0, "", 0o644)}


def test_the_webdataset_library_reads_the_tars(shard, tmp_path):
    exported("webdataset", shard, tmp_path / "out")
    tars = webdataset.WebDataset(str(tmp_path / "out/shard-00007.tar"), shardshuffle=False)
    found = [
        sample["json"] | {
            "caption": sample["txt"],
            "text": sample["text.npy"].tolist(),
            "image": sample["image.npy"].tolist(),
        }
        for sample in tars.decode()
    ]  # fmt: skip
    assert found == pq.read_table(shard).to_pylist()


def test_arrays_hold_the_rows_of_one_shard(shard, tmp_path):
    exported("npy", shard, tmp_path / "out")
    assert list(rows_in_arrays(tmp_path / "out")) == pq.read_table(shard).to_pylist()
    assert np.load(tmp_path / "out/image.npy").shape == (12, 9)
    meta = json.loads((tmp_path / "out/meta.json").read_text())
    assert meta["tokens"] == header(SPEC).text()
    assert meta["parts"]["all"] == {
        "rows": 12, "files": ["text.npy", "image.npy", "text_length.npy", "rows.parquet"]
    }  # fmt: skip


@pytest.mark.parametrize("what", ["root", "artifact"])
def test_a_whole_artifact_is_exported_part_by_part(run, tmp_path, what, caplog):
    tokens = tiny_run.folder(run, TOKEN_PAIRS)
    address = {"root": run.root, "artifact": tokens.url}[what]
    for to in ("npy", "webdataset"):
        with caplog.at_level("INFO"):
            exported(to, address, tmp_path / to)
    assert "export: 32/32 rows" in caplog.text
    for part, size in (("train", 24), ("val", 8)):
        wanted = pq.read_table(tokens.path / part / "shard-00000.parquet").to_pylist()
        assert list(rows_in_arrays(tmp_path / "npy" / part)) == wanted
        data = (tmp_path / "webdataset" / part / "shard-00000.tar").read_bytes()
        assert list(rows_in_tar(data)) == wanted
        assert json.loads((tmp_path / "npy/meta.json").read_text())["parts"][part]["rows"] == size


@pytest.mark.parametrize("to", ["npy", "webdataset"])
def test_the_same_rows_are_the_same_bytes(shard, tmp_path, to):
    for out in ("once", "again"):
        exported(to, shard, tmp_path / out)
    names = [path.name for path in (tmp_path / "once").iterdir()]
    _, differing, missing = filecmp.cmpfiles(tmp_path / "once", tmp_path / "again", names, False)
    assert differing + missing == []


def test_shards_of_several_files_become_one_array_and_several_tars(tmp_path):
    found = open_folder(tmp_path / "token_pairs/0123456789ab")
    for number in range(3):
        keys = [f"{number:05d}-{n:06d}" for n in range(4 + number)]
        own = {"source": f"train/{number}", "differing_codes": f"0.00{number}"}
        found.commit(f"train/shard-{number:05d}.parquet", shard_of(keys, **own))
    finish(found, TOKEN_PAIRS, Result(rows_in=15, rows_out=15, files=digest_all(found, {})))
    exported("npy", found.url, tmp_path / "npy")
    exported("webdataset", found.url, tmp_path / "tars")
    wanted = pq.read_table(tmp_path / "token_pairs/0123456789ab/train").to_pylist()
    assert list(rows_in_arrays(tmp_path / "npy/train")) == wanted
    assert np.load(tmp_path / "npy/val/image.npy").shape == (0, 9)
    tars = sorted((tmp_path / "tars/train").iterdir())
    assert [row for tar in tars for row in rows_in_tar(tar.read_bytes())] == wanted


ALIKE = ("a.b", "a_b", "A_B", "a/b", "../../etc/x", "/etc/x", "", ".", "..", "k" * 300, "k" * 301,
         "ключ", "a b", "a\x00b", "CON", "a~2")  # fmt: skip


def test_no_two_keys_are_one_sample_and_none_leaves_the_folder(tmp_path):
    path = tmp_path / "shard.parquet"
    path.write_bytes(shard_of(ALIKE))
    exported("webdataset", path, tmp_path / "out")
    found = list(samples((tmp_path / "out/shard.tar").read_bytes()))
    assert [json.loads(sample["json"])["key"] for _, sample in found] == list(ALIKE)
    bases = [base for base, _ in found]
    assert len({base.lower() for base in bases}) == len(ALIKE)
    assert all(re.fullmatch(r"[\w#~-]{1,204}", base, re.ASCII) for base in bases)
    assert bases[:3] == ["a_b", "a_b~2", "A_B~3"]


def test_two_shards_of_one_name_are_not_one_file(tmp_path):
    def write_twice():
        with new_files(str(tmp_path / "out")) as files:
            for data in (b"one", b"other"):
                with files.create("train/shard.tar") as file:
                    file.write(data)

    with pytest.raises(ConfigError, match="found two shards of that name"):
        write_twice()
    assert not [path for path in (tmp_path / "out").rglob("*") if path.is_file()]


def test_an_object_store_is_read_and_written(shard, tmp_path):
    with s3.served("exported") as bucket:
        far = open_folder(f"{bucket}/run")
        far.commit("shard-00007.parquet", shard.read_bytes())
        for to in ("npy", "webdataset"):
            exported(to, shard, tmp_path / to)
            exported(to, f"{far.url}/shard-00007.parquet", f"{bucket}/{to}")
            written = open_folder(f"{bucket}/{to}")
            assert written.list() == sorted(path.name for path in (tmp_path / to).iterdir())
            for name in written.list():
                with written.open(name) as file:
                    assert file.read() == (tmp_path / to / name).read_bytes()
            exported(to, shard, written.url, code=2)


def refused(capsys, address, out, said):
    exported("npy", address, out, code=2)
    error = capsys.readouterr().err
    assert re.match(rf"error: .*{said}", error), error
    assert error.count("\n") == 1


def test_nothing_is_overwritten(shard, tmp_path, capsys):
    (tmp_path / "out").mkdir()
    (tmp_path / "out/mine").write_text("mine")
    refused(capsys, shard, tmp_path / "out", "wanted a new or empty folder .* name another")
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["mine"]


def test_a_shard_that_breaks_on_the_way_is_named_and_leaves_nothing(shard, tmp_path, capsys):
    data = bytearray(shard.read_bytes())
    column = pq.ParquetFile(shard).metadata.row_group(2).column(5)
    data[column.dictionary_page_offset + column.total_compressed_size - 2] ^= 1
    shard.write_bytes(data)
    for to in ("npy", "webdataset"):
        exported(to, shard, tmp_path / "out", code=2)
        assert re.match(r"error: .*shard-00007.parquet cannot be read .*put back a good copy",
                        capsys.readouterr().err)  # fmt: skip
        assert not [path for path in (tmp_path / "out").rglob("*") if path.is_file()]


def test_damage_to_a_finished_artifact_is_found_before_anything_is_written(run, tmp_path, capsys):
    path = tiny_run.folder(run, TOKEN_PAIRS).path / "val/shard-00000.parquet"
    data = bytearray(path.read_bytes())
    data[100] ^= 1
    path.write_bytes(data)
    refused(capsys, run.root, tmp_path / "out", "val/shard-00000.parquet is damaged")
    assert not (tmp_path / "out").exists()


def test_what_is_no_finished_set_of_token_shards_is_one_sentence(run, tmp_path, capsys):
    out, tokens = tmp_path / "out", tiny_run.folder(run, TOKEN_PAIRS)
    refused(capsys, tmp_path / "nothing", out, "wanted a (run|finished)")
    other = tmp_path / "other.parquet"
    pq.write_table(pa.table({"x": [1]}), other)
    refused(capsys, other, out, "other.parquet: wanted a token file, .* found none")
    other.write_bytes(b"PAR1")
    refused(capsys, other, out, "other.parquet cannot be read")
    tokens.commit("train/shard-00009.parquet", shard_of(["a"]))
    refused(capsys, tokens.url, out, "shard-00009.parquet: 'image' is")
    tokens.remove("train/shard-00009.parquet")
    tokens.remove("manifest.json")
    refused(capsys, tokens.url, out, "wanted a finished artifact, found no manifest.json")
