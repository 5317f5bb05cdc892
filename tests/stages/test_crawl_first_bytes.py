"""A picture is known by its first bytes, and of a page a few words that are the same each time."""

import pytest

from stages.crawl.web.first_bytes import LOOKED_AT, is_picture, words
from tests.stages import formats


def test_what_decoders_read_is_known_by_its_first_bytes():
    forms = formats.in_colour() | formats.in_grey()
    assert [name for name, data in forms.items() if not is_picture(data[:LOOKED_AT])] == []


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b"", ""),
        (b"\xff\xd8\xff", ""),
        (b"<title> </title><p>Hello <b>you</b>", "Hello you"),
        (b"<TITLE>Not&nbsp;found &amp; gone</TITLE>", "Not found & gone"),
        (b"<script>if (a < b) go()</script>Hi<!-- no --> there", "Hi there"),
        (b"at 12:30:01 from 10.0.0.1 as 0af3e", "at # from # as #"),
        (b"\xef\xbb\xbfhi", "hi"),
        ("ü ".encode() * 40, "ü " * 39 + "ü"),
        (b"word " * 50, "word " * 19 + "word..."),
    ],
)
def test_the_words_of_a_page_are_few_and_the_same_each_time(body, said):
    assert words(body) == (said if len(said) < 100 else said[:99] + "...")
