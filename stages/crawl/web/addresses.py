"""Clean up addresses as people and programs write them, and decide which may be connected to."""

import html
import ipaddress
import re
import urllib.parse
from html.entities import html5
from typing import NamedTuple

import idna

from stages.crawl.reasons import Refused

SAFE = "%/:=&?~#+!$,;'@()*[]|"  # letters that stay as they are
PORTS = {"http": 80, "https": 443}
NAT64 = ipaddress.IPv6Network("64:ff9b::/96")
# Public by their number (to some versions of Python), yet inside somebody's network: addresses for
# protocols, a translator for a site's own private ones, and the host agent of Azure's machines.
INSIDE = tuple(
    map(ipaddress.ip_network, ("192.0.0.0/24", "64:ff9b:1::/48", "3fff::/20", "168.63.129.16/32"))
)

ROUNDS = 4  # of unescaping: pages escape what was escaped already
# Only with its semicolon: `&copy=1` is a parameter, and no page would take it for a letter either.
ENTITY = re.compile(r"&(?:#[0-9]{1,7}|#[xX][0-9a-fA-F]{1,6}|[A-Za-z][A-Za-z0-9]{1,31});")
AROUND = {'"': '"', "'": "'", "<": ">", "“": "”", "`": "`"}
NOWHERE = dict.fromkeys(map(ord, "\t\r\n\ufeff\u200b"))  # browsers leave line ends out too
SCHEME = re.compile(r"(https?):[/\\]*", re.IGNORECASE)


class Address(NamedTuple):
    """An http or https url in the parts that a request needs."""

    scheme: str
    host: str  # in lower case, without the brackets of IPv6
    port: int
    target: str  # path and query

    @property
    def place(self) -> str:
        """`host:port`, as `crawl.run.allow_hosts` has it."""
        return f"{self.host}:{self.port}"

    @property
    def origin(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{self.scheme}://{host}:{self.port}"


def parse(url: str) -> Address:
    """Take a url apart; raise Refused with reason `bad_url` if it is none of the web."""
    try:
        parts = urllib.parse.urlsplit(url)
        scheme, host, port = parts.scheme.lower(), parts.hostname or "", parts.port
    except ValueError as error:
        raise Refused("bad_url", str(error)) from error
    if scheme not in PORTS:
        raise Refused("bad_url", f"unknown url type '{scheme[:20]}'")
    if "@" in parts.netloc:
        raise Refused("bad_url", "a user name in an address")
    if not re.fullmatch(r"[\w.:%-]+", host):
        raise Refused("bad_url", f"'{host[:100]}' is no name of a host")
    target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    return Address(scheme, host, PORTS[scheme] if port is None else port, target)


def is_public(address: str) -> bool:
    """Return whether an IP address, or the IPv4 address in an IPv6 one, is on the internet."""
    ip = ipaddress.ip_address(address.partition("%")[0])
    if isinstance(ip, ipaddress.IPv6Address):
        nat64 = ipaddress.IPv4Address(int(ip) & 0xFFFFFFFF) if ip in NAT64 else None
        for inner in (ip.ipv4_mapped, ip.sixtofour, (ip.teredo or (None, None))[1], nat64):
            if inner is not None:
                return is_public(str(inner))
        if ip.is_site_local:
            return False
    if any(ip in network for network in INSIDE):
        return False
    return ip.is_global and not ip.is_multicast and not ip.is_reserved


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


def safe_url(url: str) -> str:
    """Write the spaces and foreign letters of an address the way the web wants them."""
    url = url.strip()
    try:
        parts = urllib.parse.urlsplit(url)
        host = parts.netloc if parts.netloc.isascii() else _ascii_host(parts.netloc)
        # A surrogate of broken text has no bytes of its own.
        path, query = (
            urllib.parse.quote(part, safe=SAFE, errors="replace")
            for part in (parts.path, parts.query)
        )
    except ValueError:
        return url  # opening it will say what is wrong
    return urllib.parse.urlunsplit((parts.scheme, host, path, query, ""))


def _ascii_host(netloc: str) -> str:
    """Write a host's name as browsers do; raise ValueError if it cannot be one."""
    host, colon, port = netloc.partition(":")
    try:
        name = idna.encode(host, uts46=True).decode()
    except idna.IDNAError:  # an old name, or one with emoji, which only the older rules allow
        name = host.encode("idna").decode()
    return name + colon + port


def joined(url: str, location: str) -> str:
    """Return where a redirect from `url` leads; a `location` is bytes that HTTP calls Latin-1."""
    try:
        location = location.encode("latin-1").decode()
    except UnicodeError:
        location = urllib.parse.quote(location, safe=SAFE, encoding="latin-1")
    try:
        return safe_url(urllib.parse.urljoin(url, location.strip()))
    except ValueError as error:
        raise Refused("bad_url", f"redirected to {location[:100]}: {error}") from error
