"""Evaluation sets are read whole, whatever their form, and what cannot be read is counted."""

import hashlib

import cv2
import fsspec
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from schemas.errors import ConfigError
from stages.filter.decontaminate import evaluation_pictures
from stages.pictures import decode, encode_png
from stages.pictures.looks import perceptual_hash, whole


def picture(seed, side=64):
    small = np.random.default_rng(seed).integers(0, 256, (6, 6, 3), dtype=np.uint8)
    return encode_png(cv2.resize(small, (side, side), interpolation=cv2.INTER_CUBIC))


FILES = [picture(seed) for seed in range(4)]


def digests(files):
    return tuple(hashlib.sha256(data).hexdigest() for data in files)


def test_a_folder(tmp_path):
    (tmp_path / "deep" / "er").mkdir(parents=True)
    (tmp_path / "a.png").write_bytes(FILES[0])
    (tmp_path / "deep" / "B.PNG").write_bytes(FILES[1])
    (tmp_path / "deep" / "er" / "c.jpg").write_bytes(FILES[2][:40])
    (tmp_path / "deep" / "er" / "d.jpg").write_bytes(b"")
    (tmp_path / "labels.json").write_text("{}")
    found = evaluation_pictures(str(tmp_path))
    assert found.sha256 == digests([FILES[0], FILES[1], FILES[2][:40], b""])
    hashes = [perceptual_hash(whole(decode(data))) for data in FILES[:2]]
    assert found.perceptual_hash.tolist() == hashes
    assert (found.contrast > 5).all()
    assert found.unreadable == 2
    assert found.names == ("a.png", "deep/B.PNG", "deep/er/c.jpg", "deep/er/d.jpg")
    assert found.decoded.tolist() == [0, 1]
    one = evaluation_pictures(str(tmp_path / "a.png"))
    assert (one.sha256, one.names) == (digests(FILES[:1]), ("a.png",))


@pytest.mark.parametrize(
    ("name", "column"),
    [
        ("image", pa.array([*FILES, None, b""], pa.binary())),
        ("jpg", pa.array([*FILES, None, b"no"], pa.large_binary())),
        ("image", pa.array([{"bytes": data, "path": "x"} for data in (*FILES, None, b"no")])),
    ],
)
def test_a_parquet_file(tmp_path, name, column):
    path = tmp_path / "set.parquet"
    pq.write_table(pa.table({"label": range(6), name: column}), path, row_group_size=3)
    found = evaluation_pictures(str(path))
    assert found.sha256[:4] == digests(FILES)
    assert len(found.perceptual_hash) == len(found.contrast) == 4
    assert found.unreadable == 2
    assert found.names[:4] == ("set/0-0", "set/0-1", "set/0-2", "set/1-0")
    assert evaluation_pictures(str(tmp_path)).sha256 == found.sha256


def test_an_object_store():
    system = fsspec.filesystem("memory")
    system.pipe("/evaluation/a.png", FILES[0])
    assert evaluation_pictures("memory://evaluation").sha256 == digests(FILES[:1])
    system.rm("/evaluation", recursive=True)


def test_what_holds_no_pictures_is_refused(tmp_path):
    with pytest.raises(ConfigError, match="found none"):
        evaluation_pictures(str(tmp_path / "missing"))
    with pytest.raises(ConfigError, match="found none"):
        evaluation_pictures(str(tmp_path))
    pq.write_table(pa.table({"image": ["a path"], "text": ["words"]}), tmp_path / "set.parquet")
    with pytest.raises(ConfigError, match="found image, text"):
        evaluation_pictures(str(tmp_path))
    (tmp_path / "set.parquet").write_bytes(b"PAR1")
    with pytest.raises(ConfigError, match="cannot be read"):
        evaluation_pictures(str(tmp_path))
