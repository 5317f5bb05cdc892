"""The layouts of three benchmarks: the prompts they ask for, and the files their scorers read.

GenEval (Ghosh et al. 2023; README.md, "Image generation", and evaluation/evaluate_images.py of
github.com/djghosh13/geneval): a folder for each line of evaluation_metadata.jsonl, named by its
number, with the line and the pictures.

    00000/metadata.jsonl    00000/samples/0000.png    00000/samples/0001.png    00001/...

DPG-Bench (Hu et al. 2024; README.md and dpg_bench/compute_dpg_bench.py of
github.com/TencentQQGYLab/ELLA): a picture for each file of dpg_bench/prompts, of its name. It is a
grid of up to 2 x 2 without gaps, which the scorer cuts up again.

    1.png    256.png    ...

T2I-CompBench (Huang et al. 2023; Readme.md, GORS_finetune/inference_eval.py and
BLIPvqa_eval/BLIP_vqa.py of github.com/Karine-Huang/T2I-CompBench): all pictures in one folder,
named by their prompt and numbered in the order of the file of prompts. Scorers take the prompt from
the name, up to the first underscore.

    samples/a green bench and a blue bowl_000000.png    samples/a green bench ..._000001.png    ...
"""

import json
from collections.abc import Callable, Sequence
from typing import NamedTuple

from pipelines.export_tokens.new_files import NewFiles
from schemas.errors import ConfigError
from stages.pictures import contact_sheet, decode, encode_png
from stages.storage import opened, reaching, system_of, text_lines

LONGEST_NAME = 255  # bytes, of a file
GRID = 2  # pictures beside each other, and below


class Asked(NamedTuple):
    """One prompt of a benchmark."""

    number: int  # in the benchmark's order, from 0
    text: str
    label: str = ""  # GenEval: its line of metadata; DPG-Bench: the name of its file


class Layout(NamedTuple):
    """How one benchmark asks, and where its scorer looks."""

    benchmark: str
    prompts: str  # what its own prompts are called
    pictures: int  # of each prompt, as it is published
    most: int | None  # pictures that its scorer can take of a prompt
    read: Callable[[str], list[Asked]]
    write: Callable[[NewFiles, Asked, Sequence[bytes]], None]


def geneval_prompts(address: str) -> list[Asked]:
    """Read evaluation_metadata.jsonl; raise ConfigError for a line that GenEval cannot score."""
    found = []
    for number, line in enumerate(_lines(address)):
        prompt = _scorable(line)
        if prompt is None:
            raise ConfigError(
                "wanted GenEval's evaluation_metadata.jsonl, an object with tag and prompt in each "
                f"line, found '{line[:60]}' in line {number + 1} of '{address}'; name that file"
            )
        found.append(Asked(number, prompt, line))
    return found


def _scorable(line: str) -> str | None:
    """Return the prompt of a line of GenEval's metadata; None for any other line."""
    try:
        about = json.loads(line)
    except (ValueError, RecursionError):
        return None
    if not isinstance(about, dict) or not isinstance(about.get("tag"), str):
        return None
    prompt = about.get("prompt")
    return prompt if isinstance(prompt, str) and prompt.strip() else None


def write_geneval(files: NewFiles, asked: Asked, pictures: Sequence[bytes]) -> None:
    folder = f"{asked.number:05d}"
    _write(files, f"{folder}/metadata.jsonl", asked.label.encode())
    for number, png in enumerate(pictures):
        _write(files, f"{folder}/samples/{number:04d}.png", png)


def dpg_prompts(address: str) -> list[Asked]:
    """Read a folder of prompts, one a file; raise ConfigError if it has none."""
    with reaching(address, "--prompts"):
        system, top = system_of(address)
        names = sorted(system.glob(f"{top}/*.txt"))
        texts = [system.cat_file(name).decode().strip() for name in names]
    if not names:
        raise ConfigError(
            "wanted a folder of prompts, as DPG-Bench's dpg_bench/prompts is, found no .txt files "
            f"in '{address}'; name that folder with --prompts"
        )
    labels = [name.rpartition("/")[2].removesuffix(".txt") for name in names]
    return [Asked(n, *each) for n, each in enumerate(zip(texts, labels, strict=True))]


def write_dpg(files: NewFiles, asked: Asked, pictures: Sequence[bytes]) -> None:
    grid = contact_sheet([decode(png) for png in pictures], min(GRID, len(pictures)), gap=0)
    _write(files, f"{asked.label}.png", encode_png(grid))


def compbench_prompts(address: str) -> list[Asked]:
    """Read a file of prompts, one a line; raise ConfigError for one that no name can hold."""
    found = [Asked(n, line.partition("\t")[0].strip()) for n, line in enumerate(_lines(address))]
    for asked in found:
        name = _compbench_name(asked, 0)
        if set("_/\0") & set(asked.text) or len(name.encode()) > LONGEST_NAME:
            raise ConfigError(
                "wanted prompts without '_' and '/' that fit into a file's name, where "
                f"T2I-CompBench reads them, found '{asked.text[:60]}' in '{address}'; leave it out"
            )
    return found


def write_compbench(files: NewFiles, asked: Asked, pictures: Sequence[bytes]) -> None:
    for number, png in enumerate(pictures, start=asked.number * len(pictures)):
        _write(files, f"samples/{_compbench_name(asked, number)}", png)


def _compbench_name(asked: Asked, number: int) -> str:
    return f"{asked.text}_{number:06d}.png"


def _lines(address: str) -> list[str]:
    with reaching(address, "--prompts"), opened(address) as file:
        return [line for line in text_lines(file.read()) if line.strip()]


def _write(files: NewFiles, name: str, data: bytes) -> None:
    with files.create(name) as file:
        file.write(data)


LAYOUTS = {
    "geneval": Layout(
        "GenEval", "evaluation_metadata.jsonl", 4, None, geneval_prompts, write_geneval
    ),
    "dpg": Layout(
        "DPG-Bench", "the folder dpg_bench/prompts", 4, GRID**2, dpg_prompts, write_dpg
    ),
    "t2i-compbench": Layout(
        "T2I-CompBench", "a file such as color_val.txt", 10, None, compbench_prompts,
        write_compbench,
    ),
}  # fmt: skip
