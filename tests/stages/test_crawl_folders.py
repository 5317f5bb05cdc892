"""Folders: what stands beside a picture is its caption, and several captions are one family."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from infra.store import open_folder
from schemas.configs import CrawlJob, SourceSettings
from stages import crawl
from stages.crawl.reasons import Refused
from stages.crawl.sources import pieces, read_piece
from stages.crawl.sources.beside import with_captions
from stages.crawl.sources.folder import FolderReader


def folder(tmp_path, files):
    for name, data in files.items():
        (tmp_path / "pics" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "pics" / name).write_bytes(data)
    return SourceSettings(kind="folder", path=str(tmp_path / "pics"))


def lines(*records):
    return b"".join(json.dumps(record).encode() + b"\n" for record in records)


def families(cfg, out, threads=2):
    """What a worker makes of each piece: key, url and caption, or the problem."""
    reader = FolderReader(cfg.source, 1_000)
    found = []
    for piece in pieces(cfg, out):
        rows = read_piece(piece, cfg.source, out).to_pylist()
        found += with_captions(rows, piece.index, reader, cfg.source, threads)
    return [(r["key"], r["url"], r["problem"] or r["caption"]) for r in found]


def test_captions_of_one_picture_are_one_family_of_keys(tmp_path):
    names = [f"f{n}.jpg" for n in (0, 1, 0, 2, 0, 1)]
    source = folder(
        tmp_path,
        {
            "metadata.jsonl": lines(
                *({"file_name": name, "text": f"line {n}"} for n, name in enumerate(names)),
                {"file_name": "f2.jpg", "captions": ["a", "b"], "licence": "free"},
                {"file_name": "f3.jpg"},
            ),
            "f0.jpg": b"",
            "many.jpg": b"",
            "many.txt": "\ufeff one\n\n two \r\nthree".encode(),
            "sub/many.jpg": b"",
            "sub/many.json": lines(["of", "the", "sub-folder"]),
            "sub/x.jpg": b"",
            "sub/x.json": lines({"caption": "from json", "id": 3}),
            "sub/y.jpg": b"",
            "sub/y.json": lines({"id": 3}),
            "sub/z.jpg": b"",
            "sub/z.txt": "\n".join(map(str, range(101))).encode(),
        },
    )
    source = source.model_copy(update={"caption": "each_line"})
    cfg = CrawlJob(side=8, rows_per_shard=4, source=source)
    found = families(cfg, open_folder(tmp_path / "out"))
    assert found == [
        ("00000-000000", "f0.jpg", "line 0"),
        ("00000-000001", "f1.jpg", "line 1"),
        ("00000-000000.1", "f0.jpg", "line 2"),
        ("00000-000003", "f2.jpg", "line 3"),
        ("00000-000000.2", "f0.jpg", "line 4"),
        ("00000-000001.1", "f1.jpg", "line 5"),
        ("00000-000003.1", "f2.jpg", "a"),
        ("00000-000003.2", "f2.jpg", "b"),
        ("00002-000000", "f3.jpg", None),
        ("00002-000001", "many.jpg", "one"),
        ("00002-000001.1", "many.jpg", "two"),
        ("00002-000001.2", "many.jpg", "three"),
        ("00002-000002", "sub/many.jpg", "of"),
        ("00002-000002.1", "sub/many.jpg", "the"),
        ("00002-000002.2", "sub/many.jpg", "sub-folder"),
        ("00002-000003", "sub/x.jpg", "from json"),
        ("00003-000000", "sub/y.jpg", None),
        ("00003-000001", "sub/z.jpg", "unreadable_row: its caption: 101 captions of one picture, "
         "at most 100"),
    ]  # fmt: skip
    assert len({key for key, _, _ in found}) == len(found)


@settings(deadline=None)
@given(st.lists(st.integers(0, 9), min_size=1, max_size=40), st.integers(1, 9))
def test_a_family_is_named_after_its_first_row_wherever_the_others_are(
    tmp_path_factory, numbers, rows_per_shard
):
    tmp_path = tmp_path_factory.mktemp("families")
    records = [{"file_name": f"{n}.jpg", "text": str(place)} for place, n in enumerate(numbers)]
    source = folder(tmp_path, {"metadata.jsonl": lines(*records)})
    cfg = CrawlJob(side=8, rows_per_shard=rows_per_shard, source=source)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("stages.crawl.sources.lists.LIST_ROWS", 7)  # so that there are several files
        found = families(cfg, open_folder(tmp_path / "out"))
    assert [caption for _, _, caption in found] == [r["text"] for r in records]
    by_url = {}
    for key, url, _ in found:
        by_url.setdefault(url, []).append(key)
    for first, *others in by_url.values():
        assert others == [f"{first}.{n}" for n in range(1, len(others) + 1)]
    assert len({key for key, _, _ in found}) == len(found)


def test_a_caption_file_that_cannot_be_read_is_a_reason(tmp_path):
    source = folder(
        tmp_path,
        {
            "a.jpg": b"",
            "a.txt": b"\xff",
            "b.jpg": b"",
            "b.json": b"[" * 100_000,
            "c.jpg": b"",
            "c.txt": b"x" * 1_001,
            "d.jpg": b"",
            "d.json": b'{"caption": "\\ud800"}',
            "e.jpg": b"",
            "e.json": b'{"caption": {"en": "x"}}',
            "f.jpg": b"",
            "f.txt": b"first\nsecond",
            "f.json": b'{"caption": "unused"}',
        },
    )
    cfg = CrawlJob(side=8, source=source)
    found = families(cfg, open_folder(tmp_path / "out"))
    assert found[0][2].startswith("unreadable_row: its caption: 'utf-8' codec")
    assert found[1][2].startswith(("too_large: ", "unreadable_row: its caption: "))
    assert found[2][2] == "too_large: its caption: more than 1000 bytes"
    assert found[3][2].startswith("unreadable_row: not UTF-8")
    assert [url for _, url, _ in found] == [f"{letter}.jpg" for letter in "abcdef"]
    assert found[4][2] == "unreadable_row: its caption: a caption that is no text"
    assert found[5][2] == "first\nsecond"


def test_links_out_of_the_folder_and_to_nowhere_are_rows_with_a_reason(tmp_path):
    source = folder(tmp_path, {"a.png": b"1", "b.png": b"2"})
    (tmp_path / "secret").write_text("a secret")
    (tmp_path / "pics" / "a.txt").symlink_to(tmp_path / "secret")
    (tmp_path / "pics" / "c.png").symlink_to(tmp_path / "nowhere")
    (tmp_path / "pics" / "d.png").symlink_to(tmp_path / "pics" / "b.png")
    cfg = CrawlJob(side=64, source=source)
    assert crawl.outside(cfg)
    found = families(cfg, open_folder(tmp_path / "out"))
    assert "bad_url: its caption: 'a.txt' is a link out of the folder" in str(found[0])
    reader = FolderReader(source, 1_000)
    assert reader.read("d.png") == b"2"
    for name, reason in (("a.txt", "bad_url"), ("c.png", "bad_url"), ("e.png", "missing_file")):
        with pytest.raises(Refused, match=reason):
            reader.read(name)
