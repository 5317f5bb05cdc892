"""Folders of real pictures with captions, from packages of registries; nothing is downloaded here.

`python -m tests.bench.corpora emoji --to DIR --package FOLDER` writes NAME.png and NAME.txt for
each picture, square, on white, as `crawl.source.kind=folder` reads them. FOLDER is where the
package was unpacked; without it, where Debian installs it. No picture of theirs is committed here.

emoji     names and skin tones of Unicode (emoji-datasource-google of npm; Noto's are Apache-2.0)
stamps    a sentence each (Debian's tuxpaint-stamps-default; GPL-2)
clip-art  titles and subjects (Debian's openclipart-png and -svg; dedicated to the public domain)
"""

import argparse
import html
import json
import re
import sys
import warnings
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from hashlib import sha256
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
from PIL import Image

from pipelines.command import command
from schemas.errors import ConfigError
from stages.pictures import PictureError, Pixels, decode, encode_png

SMALLEST, LARGEST = 64, 256  # pixels of a square's side; smaller ones are left out
Found = Iterator[tuple[Path, str]]  # a picture and its caption

TONES = {
    "1F3FB": "light skin tone",
    "1F3FC": "medium-light skin tone",
    "1F3FD": "medium skin tone",
    "1F3FE": "medium-dark skin tone",
    "1F3FF": "dark skin tone",
}
MIRRORED = re.compile(r"_(mirror|flip)$")  # the same stamp once more
SHARED = 3  # pictures that one title is told apart by; more, and it names a collection
# Titles there say nothing, and file names number what nobody can tell apart.
LEFT_OUT = ("shapes/stars", "special", "unsorted")
TITLE = re.compile(r"<dc:title\s*/>|<dc:title>(.*?)</dc:title>", re.DOTALL)
METADATA = re.compile(r"<metadata.*?</metadata>", re.DOTALL)


def emoji(folder: Path) -> Found:
    """Yield every emoji and its skin tones, in all styles that the package has."""
    listed = json.loads((folder / "emoji.json").read_text())
    names = Counter(one["name"].lower() for one in listed)
    for one in listed:
        name = one["name"].lower()
        if names[name] > 1:  # the man and the person in a tuxedo
            name = spaced(one["short_name"])
        for tones, own in {"": one, **one.get("skin_variations", {})}.items():
            for file in sorted(folder.glob(f"img/*/64/{own['image']}")):
                yield file, toned(name, tones)


def toned(name: str, tones: str) -> str:
    """Add skin tones, which are codes joined by hyphens, to an emoji's name."""
    said = ", ".join(TONES[code] for code in tones.split("-") if code)
    return f"{name}: {said}" if said else name


def stamps(folder: Path) -> Found:
    """Yield every stamp with the first line of its text, or with the words of its file's name."""
    for file in sorted(folder.rglob("*.png")):
        if not MIRRORED.search(file.stem):
            text = file.with_suffix(".txt")
            first = text.read_text(errors="replace").partition("\n")[0] if text.exists() else ""
            yield file, first.strip() or file_words(file.stem)


def clip_art(folder: Path) -> Found:
    """Yield every drawing with its title and the folders that it lies in."""
    drawings = folder / "png"
    files = sorted(drawings.rglob("*.png"))
    titles = {file: said_of(folder / "svg" / file.relative_to(drawings)) for file in files}
    uses = Counter(title.casefold() for title, _ in titles.values())
    for file in files:
        title, authors = titles[file]
        place = file.relative_to(drawings).parent
        if not any(place.is_relative_to(other) for other in LEFT_OUT):
            telling = 0 < uses[title.casefold()] <= SHARED and re.search("[A-Za-z]{3}", title)
            name = spaced(title) if telling else file_words(file.stem, authors)
            yield file, ", ".join([name, *(spaced(part) for part in place.parts[-2:])]).lower()


def said_of(drawing: Path) -> tuple[str, list[str]]:
    """Return the title of an SVG and the words of its authors' names; nothing where there is none.

    Drawings hold much that is no valid XML, so their metadata are searched as text.
    """
    file = drawing.with_suffix(".svg")
    text = file.read_text(errors="replace") if file.exists() else ""
    found = METADATA.search(text)
    titles = [html.unescape(one).strip() for one in TITLE.findall(found[0] if found else "")]
    return (titles or [""])[0], " ".join(titles[1:]).casefold().split()


def file_words(stem: str, authors: Sequence[str] = ()) -> str:
    """Return the words of a file's name without the number and the author that it ends in.

    A long name of an author is cut off in files' names.
    """
    words = re.findall(r"[^\W\d_]+", stem)
    while len(words) > 1 and any(name.startswith(words[-1].casefold()) for name in authors):
        words.pop()
    return " ".join(words) or stem


def spaced(name: str) -> str:
    return " ".join(re.split(r"[\s_-]+", name.strip()))


class Corpus(NamedTuple):
    """What is read, and what to say where it is not there."""

    folder: str  # of the unpacked package
    how: str  # to get it
    license: str
    pictures: Callable[[Path], Found]


DEBIAN = "apt-get download {0} && for p in *.deb; do dpkg-deb -x $p FOLDER; done"
CORPORA = {
    "emoji": Corpus(
        "package",
        "npm pack emoji-datasource-google@16.0.0 && tar xzf emoji-datasource-google-16.0.0.tgz -C "
        "FOLDER",
        "Apache-2.0 (Noto's pictures)",
        emoji,
    ),
    "stamps": Corpus(
        "usr/share/tuxpaint/stamps", DEBIAN.format("tuxpaint-stamps-default"), "GPL-2", stamps
    ),
    "clip-art": Corpus(
        "usr/share/openclipart",
        DEBIAN.format("openclipart-png openclipart-svg"),
        "dedicated to the public domain",
        clip_art,
    ),
}


def square(pixels: Pixels) -> Pixels:
    """Lay a picture in the middle of a white square, and shrink that where it is large."""
    height, width = pixels.shape[:2]
    side = max(height, width)
    top, left = (side - height) // 2, (side - width) // 2
    white = np.full((side, side, 3), 255, np.uint8)
    white[top : top + height, left : left + width] = pixels
    if side <= LARGEST:
        return white
    return cv2.resize(white, (LARGEST, LARGEST), interpolation=cv2.INTER_AREA)


def write(found: Found, to: Path) -> Counter[str]:
    """Write pictures with their captions; return how many were written, and left out for what."""
    counts: Counter[str] = Counter()
    seen: set[tuple[str, str]] = set()
    for file, caption in found:
        try:
            picture = square(decode(file.read_bytes()))
        except PictureError:
            counts["not read"] += 1
            continue
        pair = sha256(picture.tobytes()).hexdigest(), caption.casefold()
        if len(picture) < SMALLEST:
            counts["too small"] += 1
        elif pair in seen:
            counts["there already"] += 1
        else:
            seen.add(pair)
            name = f"{counts['written']:05d}-{file.stem}"
            (to / f"{name}.png").write_bytes(encode_png(picture))
            (to / f"{name}.txt").write_text(caption + "\n")
            counts["written"] += 1
    return counts


def make(name: str, package: Path, to: Path) -> Counter[str]:
    """Make a corpus; raise ConfigError where its package is not there, or `to` is not empty."""
    corpus = CORPORA[name]
    folder = package / corpus.folder
    if not folder.is_dir():
        raise ConfigError(
            f"{name}: wanted {corpus.folder} in {package}, found none; get it by `{corpus.how}`, "
            "and add --package FOLDER"
        )
    to.mkdir(parents=True, exist_ok=True)
    if any(to.iterdir()):
        raise ConfigError(f"--to: wanted an empty folder, found files in {to}; give another")
    return write(corpus.pictures(folder), to)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m tests.bench.corpora", description=__doc__.splitlines()[0]
    )
    parser.add_argument("corpus", choices=CORPORA)
    parser.add_argument("--to", type=Path, required=True, help="empty folder to write into")
    parser.add_argument("--package", type=Path, default="/", help="where it was unpacked")
    return parser


@command(_parser)
def main(asked: argparse.Namespace) -> int:
    warnings.simplefilter("ignore", Image.DecompressionBombWarning)  # decode refuses those
    counts = make(asked.corpus, asked.package, asked.to)
    left_out = ", ".join(f"{n} {why}" for why, n in sorted(counts.items()) if why != "written")
    print(f"{counts['written']} pictures in {asked.to}; left out: {left_out or 'none'}")
    print(f"license of the pictures: {CORPORA[asked.corpus].license}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
