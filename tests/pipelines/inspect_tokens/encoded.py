"""A small corpus encoded for real, by the stage's own code in this process, with its manifest."""

import shutil

from infra.store import content_of, digest_all, publish
from schemas.artifacts import BPE, CLEAN_PAIRS, DVAE, TOKEN_PAIRS
from schemas.manifest import InputRecord, Manifest
from schemas.settings import EncodeSettings
from stages import encode
from stages.encode.encode_part import EncodePart
from stages.encode.row_ranges import cut
from tests import tiny_run

JOB = {"tile": 8, "rows_per_shard": 10, "tokens": tiny_run.TOKENS}


def encode_again(store, name=None, **settings):
    """Replace the run's token_pairs, or make another artifact of this name; return its folder."""
    cfg, inputs = EncodeSettings(**JOB | settings), tiny_run.inputs(store)
    made_from = tiny_run.folder(store, TOKEN_PAIRS)
    with made_from.open("manifest.json") as file:
        manifest = Manifest.model_validate_json(file.read())
    out = store.folder(TOKEN_PAIRS.name, name) if name else made_from
    shutil.rmtree(out.path, ignore_errors=True)
    clean, dvae, bpe = (inputs.folder(artifact) for artifact in (CLEAN_PAIRS, DVAE, BPE))
    encoder = EncodePart(clean, dvae, bpe, encode.header(inputs, cfg), cfg)
    for part in cut(clean, cfg.rows_per_shard):
        for file, data in encoder(part).files.items():
            out.commit(file, data)
    read = {
        artifact.name: InputRecord(
            fingerprint=tiny_run.fingerprint(artifact),
            content_sha256=inputs.manifest(artifact).content_sha256,
        )
        for artifact in (CLEAN_PAIRS, BPE, DVAE)
    }
    files = digest_all(out, {})
    publish(
        out,
        manifest.model_copy(
            update={
                "files": files, "content_sha256": content_of(files), "inputs": read,
                "settings": cfg.model_dump(mode="json"), "revision": encode.REVISION,
            }
        ),
    )  # fmt: skip
    return out
