"""A digest says what is in files, and does not take a passing failure for it."""

import pytest

from schemas.errors import UserError
from stages.data.digests import digest_of, digest_of_files


def test_equal_content_has_an_equal_digest_wherever_it_lies(tmp_path):
    for name, text in (("one", "same"), ("two", "same"), ("three", "other")):
        (tmp_path / name / "deep").mkdir(parents=True)
        (tmp_path / name / "deep" / "file.txt").write_text(text)
    one, two, three = (digest_of(str(tmp_path / name)) for name in ("one", "two", "three"))
    assert one == two != three


def test_a_link_that_leads_nowhere_is_part_of_the_content(tmp_path):
    (tmp_path / "file.txt").write_text("text")
    before = digest_of(str(tmp_path))
    (tmp_path / "link.png").symlink_to(tmp_path / "nowhere")
    missing = digest_of(str(tmp_path))
    (tmp_path / "loop.png").symlink_to(tmp_path / "loop.png")
    assert len({before, missing, digest_of(str(tmp_path))}) == 3


def test_a_file_that_cannot_be_read_now_stops_the_plan_and_is_no_content(tmp_path):
    (tmp_path / "disk.png").symlink_to("/proc/self/mem")  # there, open to us, and reading fails
    with pytest.raises(UserError, match=r"disk.png, found \[Errno .*; nothing was changed"):
        digest_of(str(tmp_path))


def test_of_what_has_no_address_the_name_counts(tmp_path):
    (tmp_path / "a::b").write_text("text")
    read = ("a", f"file://{tmp_path}/a::b")
    digests = [digest_of_files(files) for files in ([read], [read, ("b", None)], [("a", None)])]
    assert len(set(digests)) == 3
