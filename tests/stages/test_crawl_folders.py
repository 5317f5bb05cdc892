"""Folders: what stands beside a picture is its caption, and several captions are one family."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.stages.folders import folder, lines, listed


def families(source, out, rows_per_shard=2_000):
    """What a worker makes of each piece: key, url and caption, or the problem."""
    rows = listed(source, out, rows_per_shard)
    return [(r["key"], r["url"], r["problem"] or r["caption"]) for r in rows]


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
            **{f"f{n}.jpg": b"" for n in range(4)},
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
        caption="each_line",
    )
    found = families(source, tmp_path / "out", rows_per_shard=4)
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


@given(st.lists(st.integers(0, 9), min_size=1, max_size=40), st.integers(1, 9))
def test_a_family_is_named_after_its_first_row_wherever_the_others_are(
    tmp_path_factory, numbers, rows_per_shard
):
    tmp_path = tmp_path_factory.mktemp("families")
    records = [{"file_name": f"{n}.jpg", "text": str(place)} for place, n in enumerate(numbers)]
    pictures = {f"{n}.jpg": b"" for n in numbers}
    source = folder(tmp_path, pictures | {"metadata.jsonl": lines(*records)})
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("stages.crawl.sources.lists.LIST_ROWS", 7)  # so that there are several files
        found = families(source, tmp_path / "out", rows_per_shard)
    assert [caption for _, _, caption in found] == [r["text"] for r in records]
    by_url = {}
    for key, url, _ in found:
        by_url.setdefault(url, []).append(key)
    for first, *others in by_url.values():
        assert others == [f"{first}.{n}" for n in range(1, len(others) + 1)]
    assert len({key for key, _, _ in found}) == len(found)


WHY = "unreadable_row: its caption: "
CAPTIONS = [
    ("txt", b"\xff", f"{WHY}not UTF-8; crawl.source.encoding can name another"),
    ("json", b"[" * 999, WHY),
    ("json", b"[" * 100_000, "too_large: "),
    ("txt", b"x" * 1_001, "too_large: its caption: more than 1000 bytes"),
    ("json", b'{"caption": "\\ud800"}', "unreadable_row: half of a character"),
    ("json", b'{"caption": {"en": "x"}}', f"{WHY}a caption that is no text"),
    ("txt", b"first\nsecond", "first\nsecond"),
]


@pytest.mark.parametrize(("ending", "data", "said"), CAPTIONS)
def test_a_caption_file_that_cannot_be_read_is_a_reason(tmp_path, ending, data, said):
    files = {"a.jpg": b"", f"a.{ending}": data, "b.jpg": b"", "b.txt": b"good"}
    (_, url, found), (*_, good) = families(folder(tmp_path, files), tmp_path / "out")
    assert (url, good) == ("a.jpg", "good")
    assert found.startswith(said)
