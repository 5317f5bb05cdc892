"""Are the files those that the stages left, and do token shards name the models that are there?"""

from concurrent.futures import ThreadPoolExecutor

import pyarrow.parquet as pq

from infra.store import content_of
from pipelines.checking.run import Found, Run
from pipelines.inspection.shards import UNREADABLE, why
from schemas.artifacts import BPE, CLIP, DVAE, PRIOR, TOKEN_PAIRS, TRAIN, VAL, Artifact
from schemas.settings import TokenSpec
from schemas.tokens import TokenHeader, text_metadata
from stages.training.weights import DvaeConfig, load_bpe, read_config

MODELS = (BPE, DVAE, PRIOR, CLIP)
MOST_SHARDS = 256  # spread over all
FILES_AT_ONCE = 16


def weights(run: Run) -> Found:
    """Compare every file of the models with the sha256 in its manifest."""
    there = [artifact for artifact in MODELS if not run.missing((artifact,))]
    if not there:
        return Found(None, "no finished model yet")
    for artifact in there:
        wrong = changed(run, artifact)
        if wrong is not None:
            return Found(False, wrong)
    count = sum(len(run.files(artifact)) for artifact in there)
    return Found(True, f"{count} files of {len(there)} models have their manifests' sha256")


def changed(run: Run, artifact: Artifact) -> str | None:
    """Say which file of an artifact is not what its stage left; None if all are."""
    manifest = run.inputs.manifest(artifact)
    again = f"put back a good copy, or run with --force {manifest.stage}"
    recorded = manifest.files or {}
    for name, have in run.files(artifact).items():
        if have is None:
            return f"{artifact.name}: {name} is gone; {again}"
        if name in recorded and have.sha256 != recorded[name].sha256:
            return (
                f"{artifact.name}: {name} has the sha256 {have.sha256[:12]}..., its manifest says "
                f"{recorded[name].sha256[:12]}...; {again}"
            )
    if content(run, artifact) != manifest.content_sha256:
        return (
            f"{artifact.name}: its manifest contradicts itself; run with --force {manifest.stage}"
        )
    return None


def content(run: Run, artifact: Artifact) -> str:
    """Return the hash of what an artifact holds now, as its manifest and its readers name it."""
    there = {name: digest for name, digest in run.files(artifact).items() if digest is not None}
    return content_of(there)


def shards(run: Run) -> Found:
    """Compare what token shards say they were made with, and the models that are there."""
    folder = run.inputs.folder(TOKEN_PAIRS)
    names = [n for part in (TRAIN, VAL) for n in folder.list(part) if n.endswith(".parquet")]
    some = names[:: -(-len(names) // MOST_SHARDS)] if names else []
    wanted = _promised(run)

    def wrong(name: str) -> str | None:
        try:
            with folder.open(name) as file:
                found = text_metadata(pq.read_schema(file))
        except UNREADABLE as error:
            return f"{name}: {why(error)}"
        for key, value in wanted.items():
            if found.get(key) != value:
                return (
                    f"{name}: {key} is {_brief(found.get(key, 'missing'))}, wanted "
                    f"{_brief(value)}; run with --force encode"
                )
        return None

    with ThreadPoolExecutor(FILES_AT_ONCE) as threads:
        faults = [fault for fault in threads.map(wrong, some) if fault is not None]
    if faults or not some:
        return Found(False, faults[0] if faults else f"none in {folder.url}; run encode")
    return Found(True, f"{len(some)} of {len(names)} name this dvae and this bpe, by content")


def _promised(run: Run) -> dict[str, str]:
    """Return what token shards must say to be read with the models that are there."""
    found = read_config(run.inputs.folder(DVAE), DvaeConfig)
    vocab = load_bpe(run.inputs.folder(BPE)).vocab
    tokens = TokenSpec(text_vocab=vocab, image_vocab=found.image_vocab, grid=found.side // 8)
    dvae, bpe = (
        run.inputs.manifest(made).model_copy(update={"content_sha256": content(run, made)})
        for made in (DVAE, BPE)
    )
    promised = TokenHeader.of(dvae, bpe, tokens).text()
    del promised["text_len"]  # which neither of them knows
    return promised


def _brief(value: str) -> str:
    return value if len(value) < 16 else f"{value[:12]}..."
