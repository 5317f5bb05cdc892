"""Resolve a picture's name in metadata, as people and programs write names."""

import posixpath
import re
import urllib.parse
from collections import defaultdict
from dataclasses import dataclass

from stages.crawl.sources.file_names import folded, stem_of_picture
from stages.crawl.sources.links import MISSING
from stages.crawl.sources.listing import Listing

OUTSIDE = "outside_folder"
WEB = re.compile(r"[a-z][a-z0-9+.-]+://", re.IGNORECASE)
DRIVE = re.compile(r"[a-z]:/", re.IGNORECASE)
STAY = "names are relative to the metadata file"


@dataclass(frozen=True)
class Pointed:
    """The picture that is meant, or else a label and why there is none, as `reason: detail`."""

    label: str
    picture: str | None = None
    problem: str = ""


class Pointer:
    """Finds pictures by the names that metadata files have for them."""

    def __init__(self, listing: Listing) -> None:
        self.files = set(listing.tree.files)
        self.tops = [f"{listing.tree.top}/", listing.tree.address("")]
        self.pictures = listing.pictures
        self.exact: dict[str, list[str]] = defaultdict(list)
        self.alike: dict[str, list[str]] = defaultdict(list)
        self.bases: dict[str, list[str]] = defaultdict(list)  # by names without their folders
        for name, stems in listing.pictures.items():
            for stem in stems:
                self.exact[stem].append(name)
                self.alike[folded(stem)].append(name)
                self.bases[folded(posixpath.basename(stem))].append(name)
        self.with_pictures = {posixpath.dirname(name) for name in listing.pictures}

    def find(self, written: str, folder: str, *, moved: bool = False) -> Pointed:
        """Return the picture of this name, relative to `folder` or else to the whole folder.

        `moved` names come from a program that ran elsewhere: the end of one is enough.
        """
        as_it_is = posixpath.join(folder, written)
        if as_it_is in self.pictures:
            return Pointed(as_it_is, as_it_is)
        name = self._plain(written)
        if not name:
            return Pointed("", problem=f"{MISSING}: no name of a file")
        if WEB.match(name):
            why = "an address of the web, not a file (crawl.source.kind=urls reads lists of these)"
            return Pointed(name, problem=f"bad_url: {why}")
        above = posixpath.basename(folder or self.tops[0].rstrip("/"))
        inside = _inside(name, folder, above, moved)
        for way in inside:
            if (found := self._meant(way)) is not None:
                return Pointed(found, found)
        below = self._below(name.removeprefix("./"), folder)
        if len(below) == 1 and folder not in self.with_pictures:
            return Pointed(below[0], below[0])
        return self._nothing(name, inside, below)

    def _below(self, name: str, folder: str) -> list[str]:
        """Return the pictures of this bare name in folders below, those with its letters first."""
        start = f"{folder}/" if folder else ""
        found = dict.fromkeys(self.bases.get(folded(name), ()))
        below = [one for one in found if one.startswith(start)]
        exact = [one for one in below if posixpath.basename(one) == name]
        return exact or below

    def _plain(self, written: str) -> str:
        """Return a name with slashes, and without the way to the folder itself."""
        name = written.strip().replace("\\", "/")
        for top in self.tops:
            if name.startswith(top):
                return f"./{name.removeprefix(top)}"
        return name

    def _meant(self, way: str) -> str | None:
        """Return the picture of this name, or the only one of it without an ending, or alike."""
        if way in self.pictures:
            return way
        for found in (self.exact.get(way), self.alike.get(folded(way))):
            if found is not None and len(set(found)) == 1:
                return found[0]
        return None

    def _nothing(self, name: str, inside: list[str], below: list[str]) -> Pointed:
        if not inside:
            return Pointed(name, problem=f"{OUTSIDE}: a name that leads out of the folder; {STAY}")
        label = inside[0]
        if any(way in self.files for way in inside):
            return Pointed(label, problem="not_an_image: neither its name nor its first bytes are")
        if several := self.exact.get(label):
            why = f"{len(several)} pictures can be meant, give the ending too"
            return Pointed(label, problem=f"{MISSING}: {why}")
        there = f"; there is {below[0]}, put metadata beside it" if below else ""
        return Pointed(label, problem=f"{MISSING}: no such picture in the folder{there}")

    def is_like(self, name: str) -> bool:
        """Return whether a text looks like the name of a picture, or is one without its ending."""
        base = posixpath.basename(name.strip().replace("\\", "/"))
        return stem_of_picture(base) is not None or folded(base) in self.bases


def _inside(name: str, folder: str, above: str, moved: bool) -> list[str]:
    """Return the names that can be meant, but for those that lead out of the folder.

    `above` is what the folder of the metadata is called.
    """
    ways = []
    if not name.startswith("/") and not DRIVE.match(name):
        ways += [posixpath.join(folder, name), name]
        if name.startswith(f"{above}/"):  # written beside the folder, and moved into it
            ways.append(posixpath.join(folder, name.removeprefix(f"{above}/")))
        ways += [urllib.parse.unquote(way) for way in ways if "%" in way]
    if moved:
        parts = [part for part in name.split("/") if part]
        ways += [posixpath.join(folder, *parts[at:]) for at in range(len(parts))]
    plain = dict.fromkeys(map(posixpath.normpath, ways))
    return [way for way in plain if way not in (".", "..") and not way.startswith(("../", "/"))]
