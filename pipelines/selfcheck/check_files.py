"""Check that files are as their stages left them, and that token shards match the models."""

import pyarrow.parquet as pq

from infra.store import content_of
from pipelines.draw.text_to_image import MODELS
from pipelines.inspect_tokens.token_shards import UNREADABLE, brief, describe_error, shard_names
from pipelines.selfcheck.run import CheckResult, Run
from schemas.artifacts import BPE, DVAE, TOKEN_PAIRS, Artifact
from schemas.settings import TokenSpec
from schemas.tokens import TokenHeader, text_metadata
from stages.threads import in_threads
from stages.weights import DvaeConfig, load_bpe, read_config

MOST_SHARDS = 256  # evenly spread


def weights(run: Run) -> CheckResult:
    """Compare every file of the models with the sha256 in its manifest."""
    there = [artifact for artifact in MODELS if not run.missing((artifact,))]
    if not there:
        return CheckResult(None, "no finished model yet")
    for artifact in there:
        wrong = changed(run, artifact)
        if wrong is not None:
            return CheckResult(False, wrong)
    count = sum(len(run.files(artifact)) for artifact in there)
    return CheckResult(True, f"{count} files of {len(there)} models match their manifests (sha256)")


def changed(run: Run, artifact: Artifact) -> str | None:
    """Describe the first file of an artifact that is not as its stage left it; None if all are."""
    manifest = run.inputs.manifest(artifact)
    again = f"put back a good copy, or run with --force {manifest.stage}"
    recorded = manifest.files or {}
    for name, have in run.files(artifact).items():
        if have is None:
            return f"{artifact.name}: {name} is gone; {again}"
        if name in recorded and have.sha256 != recorded[name].sha256:
            return (
                f"{artifact.name}: {name} has sha256 {have.sha256[:12]}..., in its manifest it is "
                f"{recorded[name].sha256[:12]}...; {again}"
            )
    if content(run, artifact) != manifest.content_sha256:
        return f"{artifact.name}: its manifest is inconsistent; run with --force {manifest.stage}"
    return None


def content(run: Run, artifact: Artifact) -> str:
    """Hash the files that an artifact has now, the way `content_sha256` does."""
    there = {name: digest for name, digest in run.files(artifact).items() if digest is not None}
    return content_of(there)


def shards(run: Run) -> CheckResult:
    """Compare the dVAE and BPE named in token shards with those of the run."""
    folder = run.inputs.folder(TOKEN_PAIRS)
    names = shard_names(folder)
    some = names[:: -(-len(names) // MOST_SHARDS)] if names else []
    wanted = _expected_metadata(run)

    def wrong(name: str) -> str | None:
        try:
            with folder.open(name) as file:
                found = text_metadata(pq.read_schema(file))
        except UNREADABLE as error:
            return f"{name}: {describe_error(error)}"
        for key, value in wanted.items():
            if found.get(key) != value:
                return (
                    f"{name}: {key} is {brief(found.get(key, 'missing'))}, wanted "
                    f"{brief(value)}; run with --force encode"
                )
        return None

    if not some:
        return CheckResult(False, f"found none in {folder.url}; run encode")
    good = f"{len(some)} of {len(names)} were made with this dVAE and BPE (sha256)"
    problem = next(filter(None, in_threads(wrong, some)), None)
    return CheckResult(problem is None, problem or good)


def _expected_metadata(run: Run) -> dict[str, str]:
    found = read_config(run.inputs.folder(DVAE), DvaeConfig)
    vocab = load_bpe(run.inputs.folder(BPE)).vocab
    patch = found.shape.patch
    tokens = TokenSpec(
        text_vocab=vocab, image_vocab=found.image_vocab, grid=found.side // patch, patch=patch
    )
    dvae, bpe = (
        run.inputs.manifest(made).model_copy(update={"content_sha256": content(run, made)})
        for made in (DVAE, BPE)
    )
    expected = TokenHeader.of(dvae, bpe, tokens).text()
    del expected["text_len"]  # neither of them knows it
    return expected
