"""How a killed training resumes: from the newest of two checkpoints in the artifact's own folder.

When a stage runs again, or Ray restarts its workers, `Trainer` builds a fresh State and calls
`load`, which puts back all that updates change (`State`); batches and noise follow from the seed
and the step. At most `save_every` updates are repeated (twice as many if the newest
checkpoint is damaged); on CPUs with as many workers, the weights are the same to the bit.

checkpoints/step-00001000/part-00000-of-00002-0000.safetensors   rows of tensors, by worker and file
checkpoints/step-00001000/index.json                             numbers, and digests of all files

`save`: each worker commits the rows it holds (see `checkpoint_files`), then rank 0 the index. A
step without an index does not exist; one whose files differ from their digests is passed over for
the one before. Any number of workers can load what any number saved. Once the stage has committed
its result, `remove` deletes them.
"""

import hashlib
from typing import Any

from pydantic import ConfigDict, ValidationError

from schemas.folder import Folder
from schemas.manifest import FileDigest, Record
from stages.data.digests import file_digest
from stages.training import checkpoint_files
from stages.training.checkpoint_files import CheckpointReader, SavedTensor, Written, local_shards
from stages.training.distributed import DistributedContext
from stages.training.state import State
from stages.training.watch import Log

FOLDER = "checkpoints/"
INDEX = "/index.json"
KEPT = 2  # the one before stays until the next is there, in case the last cannot be read


class Index(Record):
    """What a checkpoint holds besides tensors, and where those are."""

    model_config = ConfigDict(ser_json_inf_nan="constants")

    numbers: dict[str, Any]
    world: int  # workers that wrote it
    tensors: dict[str, SavedTensor]
    files: dict[str, FileDigest]
    sha256: str = ""  # of all that is above

    def sealed(self) -> "Index":
        bare = self.model_copy(update={"sha256": ""}).model_dump_json()
        return self.model_copy(update={"sha256": hashlib.sha256(bare.encode()).hexdigest()})


def save(out: Folder, state: State, context: DistributedContext) -> None:
    """Commit a state, then delete all but the newest two; every worker takes part.

    If one of them cannot write, all raise UserError.
    """
    folder = f"{FOLDER}step-{state.step:08d}"
    with context.all_or_none(f"to save step {state.step} in {out.url}"):
        mine = checkpoint_files.write(
            out, f"{folder}/", local_shards(state.tensors, context), context
        )
        written = context.all_gather(mine)
        if context.rank == 0:
            index = Index(numbers=state.numbers, world=context.world_size, **_joined(written))
            out.commit(folder + INDEX, index.sealed().model_dump_json(indent=1).encode())
            _rotate(out)


def _joined(written: list[Written]) -> dict[str, Any]:
    """Join what workers wrote: all files, and each tensor with all its rows in order."""
    tensors: dict[str, SavedTensor] = {}
    for worker in written:
        for name, saved in worker.tensors.items():
            before = tensors[name].spans if name in tensors else ()
            tensors[name] = saved.model_copy(update={"spans": before + saved.spans})
    return {"tensors": tensors, "files": {k: v for each in written for k, v in each.files.items()}}


def load(out: Folder, state: State, context: DistributedContext, log: Log) -> None:
    """Put `state` back to the newest whole checkpoint, if there is one; every worker takes part."""
    with context.all_or_none(f"to go on from a checkpoint in {out.url}"):
        index = _newest(out, context, log)
        if index is None:
            return
        with CheckpointReader(out, index.tensors) as reader:
            for name, shard in local_shards(state.tensors, context).items():
                reader.fill(name, shard)
        state.numbers = index.numbers


def _newest(out: Folder, context: DistributedContext, log: Log) -> Index | None:
    """Return the same index to all workers; each of them checks an equal share of its files."""
    for folder in context.all_gather(steps(out))[0]:
        index, problem = _checked(out, folder, context)
        problems = [each for each in context.all_gather(problem) if each]
        if not problems:
            return index
        if context.rank == 0:
            line = f"{out.url}/{folder} cannot be used, going back one: {problems[0]}"
            log(0, line, alarm=True)
    return None


def _checked(
    out: Folder, folder: str, context: DistributedContext
) -> tuple[Index | None, str | None]:
    """Return a step's index, and what is wrong with it or with this worker's share of its files."""
    try:
        with out.open(folder + INDEX) as file:
            index = Index.model_validate_json(file.read())
    except (FileNotFoundError, ValidationError):
        return None, "its index is missing or damaged"
    if index != index.sealed():
        return None, "its index is damaged"
    for name in sorted(index.files)[context.rank :: context.world_size]:
        try:
            if file_digest(out, name) != index.files[name]:
                return None, f"{name} is not what was written"
        except FileNotFoundError:
            return None, f"{name} is missing"
    return index, None


def steps(out: Folder) -> list[str]:
    """Return the folders of the saved steps, newest first."""
    indices = [name for name in out.list(FOLDER) if name.endswith(INDEX)]
    return [name.removesuffix(INDEX) for name in reversed(indices)]


def _rotate(out: Folder) -> None:
    """Delete all but the newest steps, also the files of a step left unfinished by a kill."""
    kept = tuple(f"{folder}/" for folder in steps(out)[:KEPT])
    _delete(out, [name for name in out.list(FOLDER) if not name.startswith(kept)])


def remove(out: Folder) -> None:
    """Delete all checkpoints: the run is finished."""
    _delete(out, out.list(FOLDER))


def _delete(out: Folder, names: list[str]) -> None:
    """Delete files, indices first: killed in between, no index names what is gone."""
    for name in sorted(names, key=lambda name: not name.endswith(INDEX)):
        out.remove(name)
