"""The first picture that each run drew for the prompts that all of them drew."""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass

import pyarrow.compute as pc

from pipelines.compare.compared_runs import ComparedRun
from schemas.artifacts import SAMPLES
from schemas.folder import Folder
from stages.data.parquet import read_table, row_groups
from stages.pictures import Pixels, decode

TABLE = "table/"
SHOWN_OF_SET = 8  # prompts, the first ones


@dataclass(frozen=True)
class SharedPrompt:
    """A prompt, and the first candidate of each run: nobody chose it."""

    set: str
    text: str
    pictures: tuple[Pixels, ...]


def shared_prompts(runs: Sequence[ComparedRun]) -> list[SharedPrompt]:
    """Return a few prompts of each set that all runs drew; none if samples are not at hand."""
    folders = [folder for run in runs if (folder := run.folder(SAMPLES)) is not None]
    if len(folders) < len(runs):
        return []
    drawn = [dict.fromkeys(_prompts(folder)) for folder in folders]
    chosen: dict[str, list[str]] = {}
    for kind, text in drawn[0]:
        if all((kind, text) in others for others in drawn[1:]):
            chosen.setdefault(kind, []).append(text)
    texts = {(kind, text) for kind, own in chosen.items() for text in own[:SHOWN_OF_SET]}
    pictures = [dict(_first_pictures(folder, texts)) for folder in folders]
    return [
        SharedPrompt(kind, text, tuple(decode(found[kind, text]) for found in pictures))
        for kind, own in chosen.items()
        for text in own[:SHOWN_OF_SET]
        if all((kind, text) in found for found in pictures)
    ]


def _prompts(samples: Folder) -> Iterator[tuple[str, str]]:
    for name in samples.list(TABLE):
        table = read_table(samples, name, ["set", "prompt"])
        yield from zip(table["set"].to_pylist(), table["prompt"].to_pylist(), strict=True)


def _first_pictures(
    samples: Folder, wanted: Collection[tuple[str, str]]
) -> Iterator[tuple[tuple[str, str], bytes]]:
    """Yield the PNG of candidate 0 of each prompt, reading only shards that hold such prompts."""
    for name in samples.list(TABLE):
        light = read_table(samples, name, ["set", "prompt"])
        here = set(zip(light["set"].to_pylist(), light["prompt"].to_pylist(), strict=True))
        if here.isdisjoint(wanted):
            continue
        for group in row_groups(samples, name, ["set", "prompt", "candidate", "png"]):
            for row in group.filter(pc.equal(group["candidate"], 0)).to_pylist():
                key = row["set"], row["prompt"]
                if key in wanted and row["png"] is not None:
                    yield key, row["png"]
