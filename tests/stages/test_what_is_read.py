"""The chapter "What is read" is true: its tables are printed from the readers' constants."""

import re
from pathlib import Path

import pytest

from stages.crawl.what_is_read import TABLES

README = (Path(__file__).resolve().parents[2] / "stages/crawl/README.md").read_text()


@pytest.mark.parametrize("name", TABLES)
def test_a_table_is_what_the_code_prints(name):
    shown = re.search(rf"<!-- {name}:begin.*?-->\n(.*?)\n?<!-- {name}:end -->", README, re.DOTALL)
    assert shown is not None
    assert shown[1] == TABLES[name]()


def test_every_table_of_the_chapter_is_printed():
    assert set(re.findall(r"<!-- (\w+):begin", README)) == set(TABLES)
