"""Damaged and hostile tars: what can be read is kept, and one row says what cannot."""

import io
import os
import subprocess
import tarfile

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.errors import ConfigError
from stages.crawl.sources.survey import Survey
from stages.crawl.sources.tar_members import TarDamaged, WithoutEnd, members
from stages.crawl.sources.tars import TarReader
from tests.stages.folders import tar, written
from tests.stages.test_crawl_tars import LONG, rows_in, rows_of


def test_of_a_damaged_tar_the_readable_part_is_kept_and_the_rest_is_one_row(tmp_path):
    whole = tar([(f"{n:03d}.jpg", b"x" * 700) for n in range(20)], tarfile.USTAR_FORMAT)
    each = 512 + 1024
    for cut, kept in ((each * 3 + 100, 3), (each * 3 + 512 + 699, 3), (each * 3 + 512 + 700, 4)):
        rows = rows_of(tmp_path, whole[:cut])
        damage = [row for row in rows if row["problem"]]
        assert len(rows) - len(damage) == kept
        assert len(damage) == 1  # also where only the padding is cut
        begins = "unreadable_row: damaged: the rest of a.tar, at byte"
        assert all(row["problem"].startswith(begins) for row in damage)
    broken = bytearray(whole)
    broken[each * 5 + 130] ^= 1  # a size that no longer fits the checksum
    rows = rows_of(tmp_path, bytes(broken))
    assert len(rows) == 6
    assert [row["problem"] for row in rows if row["problem"]] == [
        f"unreadable_row: damaged: the rest of a.tar, at byte {each * 5}: no header of a tar"
    ]
    assert len(rows_of(tmp_path, whole + whole)) == 40  # one appended behind the end mark
    assert [row["url"] for row in rows_of(tmp_path, b"no tar at all" * 99)] == ["a.tar"]


def test_a_tar_without_its_end_mark_is_read_and_said_to_be(tmp_path):
    whole = tar([("1.jpg", b"x" * 700), ("2.jpg", b"x" * 700)], tarfile.USTAR_FORMAT)
    for length, pictures, unended in ((1536, 1, 1), (3072, 2, 1), (3584, 2, 0), (len(whole), 2, 0)):
        (tmp_path / "a.tar").write_bytes(whole[:length])
        survey = Survey("tars")
        rows = rows_in(tmp_path / "a.tar", survey)
        assert [row["problem"] for row in rows] == [None] * pictures
        assert survey.noted.total() == unended
        assert ("1 without its end mark: may be cut short (a.tar)" in survey.sentence("x")) == bool(
            unended
        )


@pytest.mark.parametrize(
    ("begins", "said"),
    [
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:1\n", "fetch the file with `git"),
        (b"\n <!DOCTYPE html><title>404</title>", "a page of HTML by its first bytes; download"),
        (b"PK\x03\x04", r"`unzip a\.tar` and `tar c`, or give"),
        (b"\x1f\x8b", r"`gzip -dc a\.tar > a-plain\.tar`, or give"),
    ],
)
def test_what_lies_there_in_place_of_a_tar_is_one_sentence(tmp_path, begins, said):
    with pytest.raises(ConfigError, match=said):
        rows_of(tmp_path, begins)


def test_a_header_may_lie_about_its_size(tmp_path):
    def with_size(field, *made):
        header = bytearray(tar(*made)[:512])
        header[124:136] = field
        header[148:156] = b" " * 8
        header[148:156] = b"%06o\0 " % sum(header)
        return bytes(header)

    first = tar([("first.jpg", b"x")], tarfile.USTAR_FORMAT)[:1024]
    for field in (
        b"77777777777\0",
        b"\x80" + b"\x7f" * 11,
        b"\xff" * 12,  # negative in the binary form
        b"-0000000001\0",
        b"0000_000001\0",
    ):
        liar = with_size(field, [("000.jpg", b"")], tarfile.USTAR_FORMAT)
        rows = rows_of(tmp_path, first + liar)
        assert [row["url"] for row in rows] == ["a.tar/first.jpg", "a.tar"], field
    [row] = rows_of(tmp_path, with_size(b"77777777777\0", [("a" * 200 + ".jpg", b"")]))
    assert "an extended header of 8589934591 bytes" in row["problem"]


GOOD = tar([(f"{LONG}{n}.jpg", b"x" * 600) for n in range(4)])


@given(st.lists(st.tuples(st.integers(0, len(GOOD) - 1), st.binary(min_size=1, max_size=9))))
def test_no_mutation_of_a_tar_crashes_or_runs_on(changes):
    data = bytearray(GOOD)
    for place, noise in changes:
        data[place : place + len(noise)] = noise
    found = []
    try:
        for member in members(io.BytesIO(data), len(data)):
            found.append(member)
    except (TarDamaged, WithoutEnd):
        pass  # which is what it may raise
    assert len(found) <= len(data) // 512
    assert all(0 <= m.offset <= m.offset + m.size <= len(data) for m in found)


@pytest.mark.parametrize("tar_format", ["gnu", "posix"])
def test_a_sparse_file_costs_its_own_row_and_a_hard_link_none(tmp_path, tar_format):
    written(tmp_path, {name: name for name in ("1.jpg", "3.jpg")})
    os.link(tmp_path / "1.jpg", tmp_path / "4.jpg")
    with (tmp_path / "2.jpg").open("wb") as file:
        for place in range(12):  # more pieces than one header holds
            file.seek(place * 65_536)
            file.write(b"x")
        file.truncate(2_000_000)
    names = ["1.jpg", "2.jpg", "3.jpg", "4.jpg"]
    subprocess.run(
        ["tar", "-S", f"--format={tar_format}", "-cf", "a.tar", *names], cwd=tmp_path, check=True
    )
    rows = rows_in(tmp_path / "a.tar")
    assert [row["url"] for row in rows] == [f"a.tar/{name}" for name in names]
    sparse = "unreadable_row: 2.jpg is a sparse file; pack it without tar's -S"
    assert [row["problem"] for row in rows] == [None, sparse, None, None]
    assert TarReader(99).read(rows[2]["picture"]) == b"3.jpg"
    assert TarReader(99).read(rows[3]["picture"]) == b"1.jpg"
