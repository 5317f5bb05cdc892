"""Addresses as lists write them, and the request that each of them means."""

import pytest

from stages.crawl.web.addresses import meant_address, safe_url

A = "http://a.org/x.jpg"
MEANT = {
    # HTML's escapes
    f"{A}?w=8&amp;h=6": f"{A}?w=8&h=6",
    f"{A}?w=8&#38;h=6": f"{A}?w=8&h=6",
    f"{A}?w=8&#x26;h=6": f"{A}?w=8&h=6",
    f"{A}?w=8&#X26;h=6": f"{A}?w=8&h=6",
    f"{A}?w=8&amp;amp;h=6": f"{A}?w=8&h=6",
    f"{A}?t=&quot;a&quot;": f"{A}?t=%22a%22",
    f"{A}?t=it&#39;s": f"{A}?t=it's",
    "http://a.org/AT&amp;T.jpg": "http://a.org/AT&T.jpg",
    "http://a.org/caf&eacute;.jpg": "http://a.org/caf%C3%A9.jpg",
    "http:&#x2F;&#x2F;a.org&#x2F;x.jpg": A,
    # which these are not
    f"{A}?a=1&copy=1": f"{A}?a=1&copy=1",
    f"{A}?a=1&lt=3&para=4&reg=5&amp": f"{A}?a=1&lt=3&para=4&reg=5&amp",
    f"{A}?a=1&copy": f"{A}?a=1&copy",
    f"{A}?a=1&nothing;b=2": f"{A}?a=1&nothing;b=2",
    f"{A}?a=1;b=2&c=3": f"{A}?a=1;b=2&c=3",
    f"{A}?q=%26amp%3B": f"{A}?q=%26amp%3B",
    # spaces, line ends and marks around and inside
    f"  {A} \n": A,
    f"\ufeff{A}": A,
    f"{A}\u200b": A,
    "http://a.org/\n x.jpg": "http://a.org/%20x.jpg",
    "http://a.org/a\tb.jpg": "http://a.org/ab.jpg",
    "http://a.org/a b.jpg": "http://a.org/a%20b.jpg",
    "http://a.org/a%20b.jpg": "http://a.org/a%20b.jpg",
    "http://a.org/a+b.jpg": "http://a.org/a+b.jpg",
    # quotes and brackets around
    f'"{A}"': A,
    f"'{A}'": A,
    f"<{A}>": A,
    f'" {A} "': A,
    "http://a.org/'x'": "http://a.org/'x'",
    # schemes
    "//a.org/x.jpg": A,
    "www.a.org/x.jpg": "http://www.a.org/x.jpg",
    "WWW.a.org/x.jpg": "http://WWW.a.org/x.jpg",
    "HTTP://a.org/x.jpg": A,
    "Https://a.org/x.jpg": "https://a.org/x.jpg",
    "http:/a.org/x.jpg": A,
    "http:///a.org/x.jpg": A,
    "http:\\\\a.org\\x.jpg": A,
    "\\\\a.org\\x.jpg": A,
    f"{A}?p=c:\\d": f"{A}?p=c:%5Cd",
    # of exports
    "http:\\/\\/a.org\\/x.jpg": A,
    f"{A}?w=8\\u0026h=6": f"{A}?w=8&h=6",
    # the rest
    f"{A}#top": A,
    "http://bücher.example/ü.jpg": "http://xn--bcher-kva.example/%C3%BC.jpg",
    f"{A}?q=50%": f"{A}?q=50%",
    "http://a.org:8080/x.jpg": "http://a.org:8080/x.jpg",
    "http://[::1]/x.jpg": "http://[::1]/x.jpg",
    "http://a.org": "http://a.org",
    # no addresses of the web, which a reason will show
    "images/x.jpg": "images/x.jpg",
    "ftp://a.org/x.jpg": "ftp://a.org/x.jpg",
    "": "",
}


@pytest.mark.parametrize("url", MEANT)
def test_an_address_is_asked_for_as_it_is_meant(url):
    assert safe_url(meant_address(url)) == MEANT[url]
    assert safe_url(meant_address(meant_address(url))) == MEANT[url]
