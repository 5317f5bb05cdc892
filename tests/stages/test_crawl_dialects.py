"""Dialects of CSV: blanks before quotes, and quotes that a backslash or nothing escapes."""

import pytest

from tests.stages.test_crawl_lists import read

URL, NEXT = "http://a.org/1", ("http://a.org/2", "two")


def rows(tmp_path, cell, separator=",", more=""):
    text = f"url{separator}caption\n{URL}{separator}{cell}\n{NEXT[0]}{separator}{NEXT[1]}\n{more}"
    return read(tmp_path, "list.csv", text.encode())


BLANKS = {
    ' "a dog"': "a dog",
    '   "a dog, and a cat"': "a dog, and a cat",
    ' "a ""big"" dog"': 'a "big" dog',
    ' a "big" dog': 'a "big" dog',
    " a dog": "a dog",
    '"a dog" ': "a dog",
    ' "a dog, and a cat"  ': "a dog, and a cat",
    ' ""  ': "",
}


def test_blanks_stand_in_the_line_of_names_too(tmp_path):
    text = f'"url", "caption", "id"\n"{URL}", "a dog, a cat", "7"\n'
    assert read(tmp_path, "list.csv", text.encode()) == ([(URL, "a dog, a cat")], [])


BACKSLASHES = {
    r'"a \"big\" dog"': 'a "big" dog',
    r'"\"Hi\""': '"Hi"',
    r'"say \"hi\", dog"': 'say "hi", dog',
    r'"a \", b"': 'a ", b',
    r'"ends \""': 'ends "',
    r'"\"begins"': '"begins',
    '"a \\"big\\"\ndog"': 'a "big"\ndog',
    r'"C:\dir \"x\" and \\"': 'C:\\dir "x" and \\',
    r'"both \"one\" and ""other"""': 'both "one" and "other"',
    # by the rules of CSV as they are, so a backslash is text
    r'"a \ dog"': "a \\ dog",
    r'"ends with one \"': "ends with one \\",
    r"5\" pipe": r"5\" pipe",
    r'"a \""big\"" dog"': r"a \"big\" dog",
}


CELLS = BLANKS | BACKSLASHES | {'"Big" dog': '"Big" dog'}  # which begins with a quoted word


@pytest.mark.parametrize("cell", CELLS)
@pytest.mark.parametrize("separator", [",", ";", "\t", "|"])
def test_what_a_cell_says_is_known_by_looking(tmp_path, cell, separator):
    cell, caption = cell.replace(",", separator), CELLS[cell].replace(",", separator)
    assert rows(tmp_path, cell, separator) == ([(URL, caption), NEXT], [])


@pytest.mark.parametrize("cell", ['"a "big" dog"', '"Big" and "small"', '"a "big", dog"'])
def test_a_quote_that_nothing_escapes_is_a_row_that_says_so(tmp_path, cell):
    good, [problem] = rows(tmp_path, cell)
    assert good == [NEXT]
    assert "line 2: text behind a closing quote (a quote inside is written twice): " in problem
