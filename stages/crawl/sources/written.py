"""Clean up addresses as web pages, spreadsheets and exports write them."""

import html
import re
from html.entities import html5

ROUNDS = 4  # of unescaping: pages escape what was escaped already
# Only with its semicolon: `&copy=1` is a parameter, and no page would take it for a letter either.
ENTITY = re.compile(r"&(?:#[0-9]{1,7}|#[xX][0-9a-fA-F]{1,6}|[A-Za-z][A-Za-z0-9]{1,31});")
AROUND = {'"': '"', "'": "'", "<": ">", "“": "”", "`": "`"}
NOWHERE = dict.fromkeys(map(ord, "\t\r\n\ufeff\u200b"))  # browsers leave line ends out too
SCHEME = re.compile(r"(https?):[/\\]*", re.IGNORECASE)


def meant_address(url: str) -> str:
    """Return the address to ask for; what is none stays as it is, for the reason to show it."""
    url = _unescaped(_bare(url).translate(NOWHERE)).replace("\\/", "/").replace("\\u0026", "&")
    if scheme := SCHEME.match(url):
        return f"{scheme[1].lower()}://{_with_slashes(url[scheme.end() :])}"
    if url.startswith(("//", "\\\\")):
        return f"http://{_with_slashes(url[2:])}"
    return f"http://{url}" if url[:4].lower() == "www." else url


def _bare(url: str) -> str:
    """Take away what stands around an address: spaces, and a pair of quotes or brackets."""
    url = url.strip().strip("\ufeff\u200b").strip()
    if len(url) > 1 and AROUND.get(url[0]) == url[-1]:
        return url[1:-1].strip()
    return url


def _unescaped(url: str) -> str:
    for _ in range(ROUNDS):
        before, url = url, ENTITY.sub(_letter, url)
        if url == before:
            break
    return url


def _letter(entity: re.Match[str]) -> str:
    is_one = entity[0].startswith("&#") or entity[0][1:] in html5
    return html.unescape(entity[0]) if is_one else entity[0]


def _with_slashes(rest: str) -> str:
    """Write slashes for backslashes in host and path, as browsers do; a query may hold any."""
    path, mark, query = rest.partition("?")
    return path.replace("\\", "/") + mark + query
