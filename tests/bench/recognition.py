"""Whether a stranger recognises what a run draws: sheets without their key, and the score.

`python -m tests.bench.recognition --root RUN --to DIR` takes held-out captions that no training
picture has, though training has every word of them, and writes numbered pictures, each beside eight
numbered captions, as DIR/sheets/; what is right lies apart, in DIR/key/. Three versions: drawings
(the best of 32, as the run chooses), nearest (the training picture with the nearest caption) and
real (the held-out picture). Two kinds: the other seven are held-out captions at random, or the
seven of all captions that are nearest in words. Judge the drawings first: what else is there gives
answers away, as the same captions recur.

`... --to DIR --answers FILE ...` prints how many answers are right. A line of FILE is the name of
a version and kind, and numbers in the order of the pictures, `-` for none: `drawings-near 3 8 -`.
"""

import argparse
import json
import random
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from infra.store import Store
from pipelines.command import command
from pipelines.draw.text_to_image import TextToImage
from schemas.artifacts import CLEAN_PAIRS, TRAIN, VAL
from schemas.errors import ConfigError
from schemas.folder import Folder
from stages.data.parquet import read_rows
from stages.evaluate.baselines.nearest_captions import nearest_pictures, words
from stages.evaluate.intervals import wilson
from stages.evaluate.reconstructions import captioned
from stages.hashing import hash_bits
from stages.pictures import Pixels, encode_png
from stages.sample.generator import Generator, Picture
from tests.bench.task_sheets import Asked, beside, sheets

SHOWN = 8  # captions beside a picture
COUNT, CANDIDATES = 60, 32  # captions, and pictures drawn for each
KEY, SHEETS = "key/key.json", "sheets"


def askable(training: Sequence[str], held_out: Sequence[str]) -> list[str]:
    """Return the different held-out captions that training has not, but has every word of."""
    known = {caption.casefold() for caption in training}
    of_training = frozenset[str]().union(*map(words, training))
    found = {caption.casefold(): caption for caption in reversed(held_out)}
    return [
        own for key, own in sorted(found.items()) if key not in known and words(own) <= of_training
    ]


def at_random(own: str, captions: Sequence[str], seed: str) -> list[str]:
    others = sorted(different(own, captions))
    return random.Random(f"{seed} {own}").sample(others, SHOWN - 1)


def nearest(own: str, captions: Sequence[str]) -> list[str]:
    """Return the captions with most words in common, over words in either (Jaccard 1912)."""
    asked = words(own)

    def near(other: str) -> tuple[float, int]:
        said = words(other)
        return -len(asked & said) / max(len(asked | said), 1), hash_bits(f"{own} {other}")

    return sorted(different(own, captions), key=near)[: SHOWN - 1]


def different(own: str, captions: Sequence[str]) -> list[str]:
    """Return the captions other than `own`, each once, whatever their letters' case."""
    found = {caption.casefold(): caption for caption in captions}
    return [caption for key, caption in found.items() if key != own.casefold()]


class Task(NamedTuple):
    """One question: which of these captions does a picture have?"""

    own: str  # the caption of the picture
    captions: Sequence[str]  # as shown

    @property
    def right(self) -> int:
        """Return the number of the right one, from 1 on."""
        return self.captions.index(self.own) + 1


def tasks(asked: Sequence[str], others: Callable[[str], list[str]], seed: str) -> list[Task]:
    """Return a question for each caption, in an order that says nothing."""
    chance = random.Random(seed)
    found = []
    for own in chance.sample(asked, len(asked)):
        shown = [own, *others(own)]
        found.append(Task(own, chance.sample(shown, len(shown))))
    return found


def drawn(generator: Generator, captions: Sequence[str], count: int) -> Iterator[list[Picture]]:
    """Yield so many candidates of each caption, the run's choice of them first."""
    at_once = max(1, generator.sampler.tile // count)
    for start in range(0, len(captions), at_once):
        yield from generator.draw(captions[start : start + at_once], range(count), 0)


def first(ranked: Sequence[Picture]) -> Picture:
    """Return the candidate that was drawn first, whatever its rank."""
    return min(ranked, key=lambda picture: picture.candidate)


def captions_of(clean: Folder, part: str) -> list[str]:
    return [row["caption"] for row in read_rows(clean, part, ["caption"])]


def pictures_of(
    model: Generator, clean: Folder, asked: Sequence[str]
) -> dict[str, Mapping[str, Pixels]]:
    """Return the pictures of each version, by caption."""
    side = model.tokens.side
    held_out = captioned(read_rows(clean, VAL, ["caption", "image"]), side)
    real = {own.caption: own.pixels for own in held_out}
    near = zip(asked, nearest_pictures(clean, side, asked), strict=True)
    best = (ranked[0].pixels for ranked in drawn(model, asked, CANDIDATES))
    return {
        "drawings": dict(zip(asked, best, strict=True)),
        "nearest": {own: picture for own, picture in near if picture is not None},
        "real": {own: real[own] for own in asked if own in real},
    }


def make(root: str, to: Path, count: int, seed: int) -> None:
    """Write the sheets and their key; raise ConfigError where too little was held out."""
    store = Store(root)
    clean = store.newest(CLEAN_PAIRS)
    training, held_out = captions_of(clean, TRAIN), captions_of(clean, VAL)
    fit = askable(training, held_out)
    if not fit or len(different("", held_out)) < SHOWN:
        raise ConfigError(
            f"wanted {SHOWN} held-out captions and one that training has not but has every word "
            f"of, found {len(different('', held_out))} and {len(fit)}; set a larger "
            "filter.validation_share"
        )
    asked = random.Random(seed).sample(fit, min(count, len(fit)))
    print(f"{len(asked)} of {len(fit)} captions; {len(training)} training pictures", flush=True)
    pictures = pictures_of(TextToImage(root).generator, clean, asked)
    kinds = {
        "random": lambda own: at_random(own, held_out, str(seed)),
        "near": lambda own: nearest(own, [*training, *held_out]),
    }
    key = {}
    for version, of_captions in pictures.items():
        for kind, others in kinds.items():
            name = f"{version}-{kind}"
            found = tasks(sorted(of_captions), others, f"{seed} {name}")
            key[name] = [{"right": task.right, **task._asdict()} for task in found]
            shown = [Asked(of_captions[task.own], task.captions) for task in found]
            for number, sheet in enumerate(sheets(shown, name), 1):
                commit(to / SHEETS / f"{name}-{number}.png", encode_png(sheet))
    commit(to / KEY, json.dumps(key, indent=1, ensure_ascii=False).encode())
    rows = [(own, [of.get(own) for of in pictures.values()]) for own in asked]
    commit(to / "key/beside.png", encode_png(beside(rows, list(pictures))))


def commit(file: Path, data: bytes) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(data)


def score(key: Mapping[str, Sequence[int]], answers: str) -> dict[str, tuple[int, int]]:
    """Return right answers and answers of each version and kind; `key` has the right numbers.

    Raises ConfigError for another version, another number of answers or another number.
    """
    found: dict[str, list[str]] = {}
    for line in answers.splitlines():
        name, *numbers = line.split() or [""]
        if name:
            found.setdefault(name, []).extend(numbers)
    counts = {}
    for name, numbers in found.items():
        right = key.get(name)
        known = {"-", *map(str, range(1, SHOWN + 1))}
        if right is None or len(numbers) != len(right) or not known.issuperset(numbers):
            wanted = ", ".join(f"{len(own)} for {name}" for name, own in key.items())
            raise ConfigError(
                f"wanted numbers from 1 to {SHOWN}, or -: {wanted}; found {len(numbers)} for "
                f"{name} ({' '.join(sorted(set(numbers) - known)) or 'all well formed'})"
            )
        given = [(int(n), own) for n, own in zip(numbers, right, strict=True) if n != "-"]
        counts[name] = sum(n == own for n, own in given), len(given)
    return counts


def line_of(name: str, right: int, given: int) -> str:
    low, high = wilson(right, given)
    return (
        f"{name}: {right} of {given} right, {right / max(given, 1):.0%} ({low:.0%} to {high:.0%}); "
        f"chance {1 / SHOWN:.0%}"
    )


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m tests.bench.recognition", description=__doc__.splitlines()[0]
    )
    parser.add_argument("--root", default="runs/demo", help="a finished run")
    parser.add_argument("--to", type=Path, required=True, help="folder of the sheets and their key")
    parser.add_argument("--count", type=int, default=COUNT, help="captions that are asked for")
    parser.add_argument("--seed", type=int, default=0, help="which captions, in which order")
    parser.add_argument("--answers", type=Path, nargs="+", help="files of answers: score them")
    return parser


@command(_parser)
def main(asked: argparse.Namespace) -> int:
    if not asked.answers:
        make(asked.root, asked.to, asked.count, asked.seed)
        return 0
    key = json.loads((asked.to / KEY).read_text())
    right = {name: [task["right"] for task in found] for name, found in key.items()}
    for file in asked.answers:
        print(file.name)
        for name, counts in score(right, file.read_text()).items():
            print(f"  {line_of(name, *counts)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
