"""Group the files of a tar into samples.

Every picture is a row. Its captions are those of the same name but for the last ending (`0001.txt`
of `0001.jpg`, `cat.2020.txt` of `cat.2020.jpg`). Where it has none of its own, it takes one whose
name goes on where the picture's ends (`0001.caption.txt` of `0001.jpg`), or that begins the
picture's name and has no picture itself (`0001.txt` of `0001.input.png` and `0001.output.png`).
"""

from collections.abc import Iterator
from dataclasses import dataclass, field

from stages.crawl.sources.file_names import (
    CAPTION_ENDINGS,
    DOCUMENT_TEXTS,
    JSON_ENDING,
    TEXT_ENDINGS,
    is_document,
    split_ending,
)
from stages.crawl.sources.listed import Row, listed_row, problem_row
from stages.crawl.sources.survey import SECOND, Survey

OPEN_SAMPLES = 100_000  # of one tar: how far apart the files of a sample may be
NAMES_SHOWN = 5
WORDS = tuple(end[1:] for end in TEXT_ENDINGS)  # as in 0001.caption.txt


@dataclass(frozen=True)
class SampleFile:
    """A picture or a caption in a tar."""

    name: str
    stem: str  # the name without its last ending
    ending: str
    address: str  # where its bytes are
    is_picture: bool
    problem: str = ""  # why it is not read, as `reason: detail`

    @property
    def column(self) -> str:
        """Return the column of LISTED in which its address stands."""
        if self.is_picture:
            return "picture"
        return "json_files" if self.ending == JSON_ENDING else "text_files"


@dataclass
class _Sample:
    """Files of one stem, so far, by their names in small letters."""

    parts: dict[str, SampleFile] = field(default_factory=dict)
    taken: bool = False  # its captions are some picture's

    def pictures(self) -> list[SampleFile]:
        return [part for part in self.parts.values() if part.is_picture]

    def captions(self, column: str) -> list[SampleFile]:
        """Return the captions of one kind, the best first."""
        found = [part for part in self.parts.values() if part.column == column]
        return sorted(found, key=lambda part: CAPTION_ENDINGS.index(part.ending))


class Samples:
    """Puts the files of one tar together, wherever they are among `OPEN_SAMPLES` stems."""

    def __init__(self, label: str, survey: Survey) -> None:
        self.label, self.survey = label, survey
        self.under_way: dict[str, _Sample] = {}
        self.longer: dict[str, list[str]] = {}  # stems of captions alone, by what they go on from

    def add(self, part: SampleFile) -> Iterator[Row]:
        """Take a file in; yield the rows of samples that get no more."""
        sample = self.under_way.get(part.stem)
        if sample is not None and part.name.lower() in sample.parts:
            yield from self._rows(part.stem)  # another sample of the same name begins
            del self.under_way[part.stem]
        self.under_way.setdefault(part.stem, _Sample()).parts[part.name.lower()] = part
        if len(self.under_way) > OPEN_SAMPLES:
            first = next(iter(self.under_way))
            yield from self._rows(first)
            del self.under_way[first]

    def rest(self) -> Iterator[Row]:
        """Yield the rows of all that are under way when the tar ends, in their order."""
        alone = [stem for stem, sample in self.under_way.items() if not sample.pictures()]
        for stem in alone:
            for shorter in _beginnings(stem):
                self.longer.setdefault(shorter, []).append(stem)
        made = {s: list(self._rows(s)) for s, sample in self.under_way.items() if sample.pictures()}
        for stem in self.under_way:
            yield from made[stem] if stem in made else self._rows(stem)

    def _rows(self, stem: str) -> Iterator[Row]:
        sample = self.under_way[stem]
        link = next((part for part in sample.parts.values() if part.problem), None)
        pictures = sample.pictures()
        if link is not None:
            url = self._url(pictures[0].name if pictures else link.name)
            reason, _, detail = link.problem.partition(": ")
            yield problem_row(reason, detail, url)
        elif pictures:
            for picture in pictures:
                yield self._row(picture)
            self._second(sample)
        elif not sample.taken:
            yield from self._without_picture(stem, sample)

    def _row(self, picture: SampleFile) -> Row:
        columns: Row = {"picture": picture.address}
        for column in ("text_files", "json_files"):
            for stem in self._captions_at(picture):
                if found := self.under_way[stem].captions(column):
                    columns[column] = [part.address for part in found]
                    self.under_way[stem].taken = True
                    break
        return listed_row(self._url(picture.name), **columns)

    def _captions_at(self, picture: SampleFile) -> Iterator[str]:
        """Yield stems that may have a picture's captions, the closest first."""
        yield picture.stem
        shorter = list(_beginnings(picture.stem))
        others = [
            picture.name,  # 0001.jpg.txt
            *self.longer.get(picture.stem, ()),
            *(one for stem in shorter for one in (stem, *(f"{stem}.{word}" for word in WORDS))),
        ]
        for stem in others:
            if stem in self.under_way and not self.under_way[stem].pictures():
                yield stem

    def _second(self, sample: _Sample) -> None:
        for column in ("text_files", "json_files"):
            for part in sample.captions(column)[1:]:
                self.survey.pass_over(SECOND, self._url(part.name))

    def _without_picture(self, stem: str, sample: _Sample) -> Iterator[Row]:
        near = [s for s in (*_beginnings(stem), split_ending(stem)[0]) if s in self.under_way]
        names = [part.name for part in sample.parts.values()]
        if any(self.under_way[other].pictures() for other in near):
            for name in names:
                self.survey.pass_over(SECOND, self._url(name))
        elif is_document(stem.rpartition("/")[2]):
            self.survey.pass_over(DOCUMENT_TEXTS, self._url(names[0]))
        else:
            bases = ", ".join(name.rpartition("/")[2] for name in names[:NAMES_SHOWN])
            yield problem_row("missing_file", f"no picture for {bases}", self._url(names[0]))

    def _url(self, name: str) -> str:
        return f"{self.label}/{name}"


def _beginnings(stem: str) -> Iterator[str]:
    """Yield what a stem begins with, up to its dots, the longest first."""
    folder, slash, base = stem.rpartition("/")
    while "." in base:
        base = base.rpartition(".")[0]
        if base:
            yield folder + slash + base
