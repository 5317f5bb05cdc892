"""Where a killed run goes on: the newest two states, in the artifact's own folder.

Each worker commits the rows it holds (see `parts`), then rank 0 an index that names all files with
their digests. A step without its index does not exist; one whose files are not what its index says
is passed over for the one before.
"""

import hashlib
from typing import Any

from pydantic import ConfigDict, ValidationError

from schemas.folder import Folder
from schemas.manifest import FileDigest, Record
from stages.digests import file_digest
from stages.training import parts
from stages.training.parts import Saved, Written
from stages.training.pieces import pieces
from stages.training.state import State
from stages.training.task import Place
from stages.training.together import heard, together
from stages.training.watch import Say

FOLDER = "checkpoints/"
INDEX = "/index.json"
KEPT = 2  # the one before stays until the next is there, in case the last cannot be read


class Index(Record):
    """A run between two updates: what else it is than tensors, and where those are."""

    model_config = ConfigDict(ser_json_inf_nan="constants")

    numbers: dict[str, Any]
    world: int  # workers that wrote it; any number can read it
    tensors: dict[str, Saved]
    files: dict[str, FileDigest]
    sha256: str = ""  # of all that is above

    def sealed(self) -> "Index":
        """Return it with its own digest."""
        bare = self.model_copy(update={"sha256": ""}).model_dump_json()
        return self.model_copy(update={"sha256": hashlib.sha256(bare.encode()).hexdigest()})


def save(out: Folder, state: State, place: Place) -> None:
    """Commit a state, then delete all but the newest two; every worker takes part.

    If one of them cannot write, all raise UserError.
    """
    folder = f"{FOLDER}step-{state.step:08d}"
    with together(place, f"to save step {state.step} in {out.url}"):
        mine = parts.write(out, f"{folder}/", pieces(state.tensors, place), place)
        written = heard(place, mine)
        if place.rank == 0:
            index = Index(numbers=state.numbers, world=place.world, **_joined(written)).sealed()
            out.commit(folder + INDEX, index.model_dump_json(indent=1).encode())
            _rotate(out)


def _joined(written: list[Written]) -> dict[str, Any]:
    """Join what workers wrote: all files, and each tensor with all its rows in order."""
    tensors: dict[str, Saved] = {}
    for worker in written:
        for name, saved in worker.tensors.items():
            before = tensors[name].spans if name in tensors else ()
            tensors[name] = saved.model_copy(update={"spans": before + saved.spans})
    return {"tensors": tensors, "files": {k: v for each in written for k, v in each.files.items()}}


def load(out: Folder, state: State, place: Place, say: Say) -> None:
    """Put `state` back to the newest step that is whole, if there is one.

    Every worker takes part, and any number of them may have saved it.
    """
    with together(place, f"to go on from a checkpoint in {out.url}"):
        index = _newest(out, place, say)
        if index is None:
            return
        with parts.Reader(out, index.tensors) as reader:
            for name, piece in pieces(state.tensors, place).items():
                reader.fill(name, piece)
        state.numbers = index.numbers


def _newest(out: Folder, place: Place, say: Say) -> Index | None:
    """Return the same index to all workers; each of them reads an equal share of its files."""
    for folder in heard(place, steps(out))[0]:
        index, problem = _looked_at(out, folder, place)
        problems = [each for each in heard(place, problem) if each]
        if not problems:
            return index
        if place.rank == 0:
            line = f"{out.url}/{folder} cannot be used, going back one: {problems[0]}"
            say(0, line, alarm=True)
    return None


def _looked_at(out: Folder, folder: str, place: Place) -> tuple[Index | None, str | None]:
    """Return the index of a step and what is wrong with it, or with this worker's share of it."""
    try:
        with out.open(folder + INDEX) as file:
            index = Index.model_validate_json(file.read())
    except (FileNotFoundError, ValidationError):
        return None, "its index is missing or damaged"
    if index != index.sealed():
        return None, "its index is damaged"
    for name in sorted(index.files)[place.rank :: place.world]:
        try:
            if file_digest(out, name) != index.files[name]:
                return None, f"{name} is not what was written"
        except FileNotFoundError:
            return None, f"{name} is missing"
    return index, None


def steps(out: Folder) -> list[str]:
    """Return the folders of the steps that were saved, newest first."""
    indices = [name for name in out.list(FOLDER) if name.endswith(INDEX)]
    return [name.removesuffix(INDEX) for name in reversed(indices)]


def _rotate(out: Folder) -> None:
    """Delete all but the newest steps, also what a killed run wrote of one without finishing it."""
    kept = tuple(f"{folder}/" for folder in steps(out)[:KEPT])
    _delete(out, [name for name in out.list(FOLDER) if not name.startswith(kept)])


def remove(out: Folder) -> None:
    """Delete all states: the run is finished."""
    _delete(out, out.list(FOLDER))


def _delete(out: Folder, names: list[str]) -> None:
    """Delete files, indices first: killed in between, no index names what is gone."""
    for name in sorted(names, key=lambda name: not name.endswith(INDEX)):
        out.remove(name)
