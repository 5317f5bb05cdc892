"""A run whose source nobody has named: the plan says what is missing, a run does not begin."""

import pytest
from PIL import Image

from pipelines.full import main

FOLDER = (
    "crawl.source.kind=folder needs crawl.source.path, found none; name a folder of pictures, "
    "such as --set crawl.source.path=pictures/"
)
BY_KIND = {
    "folder": FOLDER,
    "tars": "crawl.source.kind=tars needs crawl.source.path, found none; name tars, such as --set "
    "'crawl.source.path=tars/*.tar'",
    "urls": "crawl.source.kind=urls needs crawl.source.path, found none; name url lists, such as "
    "--set crawl.source.path=list.parquet",
}


@pytest.fixture
def said(tmp_path, capsys):
    """Call the command with a root of its own; return what it prints, and its errors."""

    def said(*arguments, code=0):
        assert main(["--root", str(tmp_path / "run"), *arguments]) == code
        out, errors = capsys.readouterr()
        return out, [line for line in errors.splitlines() if line.startswith("error: ")]

    return said


def test_the_plan_of_small_says_what_to_name(said):
    out, errors = said("--preset", "small", "--plan")
    assert f"before a run: {FOLDER}" in " ".join(out.split())
    assert not errors


@pytest.mark.parametrize("kind", BY_KIND)
def test_a_run_that_cannot_crawl_is_one_sentence_and_makes_nothing(said, tmp_path, kind):
    out, errors = said("--preset", "small", "--set", f"crawl.source.kind={kind}", code=2)
    assert (out, errors) == ("", [f"error: {BY_KIND[kind]}"])
    assert not any(path.is_file() for path in tmp_path.rglob("*"))


def test_nothing_is_missing_where_it_is_named_not_wanted_or_made(said, tmp_path):
    (tmp_path / "pictures").mkdir()
    Image.new("RGB", (8, 8)).save(tmp_path / "pictures" / "a.png")
    named = f"crawl.source.path={tmp_path / 'pictures'}"
    small = ["--preset", "small"]
    for arguments in ([*small, "--set", named], [*small, "--from", "train_bpe"], []):
        out, _ = said(*arguments, "--plan")
        assert "before a run:" not in out
