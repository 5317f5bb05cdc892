"""A finished run too small to be good at anything: every artifact with its manifest, in seconds.

The models have fresh weights; the tables follow schemas/rows.py. Tests of the rooms after training
read it as they would read a real run.
"""

import json

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch

from infra.store import Store, content_of, digest_all, publish
from schemas import rows
from schemas.artifacts import (
    BPE,
    CLEAN_PAIRS,
    CLIP,
    DVAE,
    MEASURED,
    METRICS,
    PAIRS,
    PRIOR,
    SAMPLES,
    TOKEN_PAIRS,
    TOKENIZER,
)
from schemas.folder import Inputs
from schemas.manifest import InputRecord, Manifest, StageSummary, Summary
from schemas.settings import ClipShape, DvaeShape, PriorShape, SampleSettings, TokenSpec
from stages import shapes, weights
from stages.data.parquet import read_table
from stages.models.bpe import train_bpe
from stages.models.clip import fresh_reranker
from stages.models.dvae import Dvae
from stages.models.prior import Prior
from stages.pictures import crop_centre, decode, encode_png
from stages.pictures.tensors import to_tensor
from stages.sample.prompts import Prompt
from stages.sample.stage import DrawShard
from stages.train_prior.task import measure, tokens_of
from tests.token_shards import header

SEED = 5
TOKENS = TokenSpec(text_vocab=300, text_len=12, image_vocab=16, grid=2)
SIZES = {"train": 24, "val": 8}
DVAE_SHAPE = DvaeShape(width=4, blocks=1, codebook_width=8)
PRIOR_SHAPE = PriorShape(layers=3, heads=2, head_dim=8, conv_kernel=3)
SAMPLE = SampleSettings(candidates=4, keep=2, tile=4, run={"threads": 1})
SETS = ("held_out", "seen", "two_shapes")
CLIP_SHAPE = ClipShape(width=16, layers=1, heads=2, patch=8, projection=16, text_len=10)
STAGES = {
    PAIRS: "crawl", MEASURED: "measure", CLEAN_PAIRS: "filter", BPE: "train_bpe",
    DVAE: "train_dvae", TOKEN_PAIRS: "encode", PRIOR: "train_prior", CLIP: "train_clip",
    SAMPLES: "sample",
}  # fmt: skip
READS = {
    MEASURED: (PAIRS,), CLEAN_PAIRS: (PAIRS, MEASURED), BPE: (CLEAN_PAIRS,), DVAE: (CLEAN_PAIRS,),
    TOKEN_PAIRS: (CLEAN_PAIRS, BPE, DVAE), PRIOR: (TOKEN_PAIRS,), CLIP: (CLEAN_PAIRS, BPE),
    SAMPLES: (BPE, DVAE, PRIOR, CLIP),
}  # fmt: skip


def fingerprint(artifact):
    """Any name will do: here the artifact's, spelled in hex."""
    return artifact.name.encode().hex()[:12].ljust(12, "0")


def folder(store, artifact):
    return store.folder(artifact.name, fingerprint(artifact))


def build(root):
    """Write the run and return its store."""
    torch.manual_seed(SEED)
    store = Store(str(root))
    clean = {split: clean_rows(split) for split in SIZES}
    table(store, PAIRS, "shard-00000.parquet", pair_rows(clean["train"]), rows.PAIR)
    for split, part in clean.items():
        table(store, CLEAN_PAIRS, f"{split}/shard-00000.parquet", part, rows.CLEAN_PAIR)
    table(store, CLEAN_PAIRS, "dropped/shard-00000.parquet", dropped_rows(), rows.DROPPED)
    bpe = train_bpe([row["caption"] for row in clean["train"]], TOKENS.text_vocab)
    dvae = Dvae(DVAE_SHAPE, TOKENS.image_vocab).eval()
    first = dvae.encoder.blocks[0].weight.data  # without the mean it sees shapes, not backgrounds
    first -= first.mean(dim=(1, 2, 3), keepdim=True)
    prior = Prior(TOKENS, PRIOR_SHAPE)
    torch.nn.init.normal_(prior.image_head.weight)  # fresh ones are zeros: all codes alike
    clip = fresh_reranker(CLIP_SHAPE, side=TOKENS.side, bpe=bpe)
    save_models(store, bpe, dvae, prior, clip)
    for split, part in clean.items():
        token_table(store, split, part, bpe, dvae)
    for artifact in (DVAE, PRIOR, CLIP):
        log = [{"step": s, "seconds": s / 2, "loss": 4 - s, "text": 1.0 / s} for s in (1, 2, 3)]
        log.append({"step": 3, "validation_loss": 1.5})
        text = "".join(json.dumps(line) + "\n" for line in log)
        folder(store, artifact).commit(METRICS, text.encode())
    for artifact in STAGES:
        if artifact is not SAMPLES:
            finish(store, artifact)
    draw_samples(store)
    finish(store, SAMPLES)
    summary = {
        stage: StageSummary(status="done", artifact=f"{artifact.name}/{fingerprint(artifact)}")
        for artifact, stage in STAGES.items()
    }
    store.top.commit("summary.json", Summary(stages=summary).model_dump_json().encode())
    return store


def draw_samples(store):
    """Draw a few prompts of each kind, as the stage's actors do."""
    texts = [(kind, text) for kind in SETS for text in shapes.prompts(kind, 3, SEED)]
    texts.append(("validation", "something of another world"))
    listed = [Prompt(place, text, kind) for place, (kind, text) in enumerate(texts)]
    made = DrawShard(inputs(store), SAMPLE)(("table/shard-00000.parquet", listed))
    for name, data in made.files.items():
        folder(store, SAMPLES).commit(name, data)


def save_models(store, bpe, dvae, prior, clip):
    folder(store, BPE).commit(TOKENIZER, bpe.to_json().encode())
    config = weights.DvaeConfig(shape=DVAE_SHAPE, image_vocab=TOKENS.image_vocab, side=TOKENS.side)
    weights.save_model(folder(store, DVAE), dvae, config)
    config = weights.PriorConfig(shape=PRIOR_SHAPE, tokens=TOKENS)
    weights.save_model(folder(store, PRIOR), prior, config)
    weights.save_clip(folder(store, CLIP), clip)


def inputs(store):
    """Return all artifacts of the run as a stage gets them."""
    return Inputs({artifact.name: folder(store, artifact) for artifact in STAGES})


def clip(of):
    return weights.load_clip(of.folder(CLIP))


@torch.inference_mode()
def cosine(reranker, row):
    """Score a row of samples from its stored picture alone."""
    image = reranker.image_features(to_tensor([decode(row["png"])]))
    return float(image[0] @ reranker.text_features([row["prompt"]])[0])


def clean_rows(split):
    """Pictures of the demo's world, a little larger than the training side."""
    found = []
    for index in range(SIZES[split]):
        scene = shapes.scene(SEED, index + 1000 * (split == "val"))
        pixels = shapes.draw(scene, 24, width=26, height=24)
        found.append(
            {
                "key": f"{split}-{index:04d}",
                "url": f"http://127.0.0.1:1/{split}/{index}.png",
                # the second caption repeats the first, as captions do
                "caption": found[0]["caption"] if index == 1 else scene.caption,
                "image": encode_png(pixels),
                "width": 26,
                "height": 24,
                "sha256": f"{index:064x}",
                "group": f"{split}{index}",
            }
        )
    return found


def pair_rows(clean):
    """The clean rows, and two that could not be fetched."""
    bad = [
        {"key": f"bad-{n}", "url": f"http://127.0.0.1:1/no/{n}.png", "caption": "gone",
         "status": "failed", "reason": "http_404", "detail": "HTTP Error 404: Not Found"}
        for n in range(2)
    ]  # fmt: skip
    keep = set(rows.PAIR.names)
    return [{k: v for k, v in row.items() if k in keep} | {"status": "ok"} for row in clean] + bad


def dropped_rows():
    return [{"key": "d", "url": "http://127.0.0.1:1/d.png", "caption": "x", "reason": "too_short"}]


def table(store, artifact, name, content, schema):
    buffer = pa.BufferOutputStream()
    pq.write_table(pa.Table.from_pylist(content, schema=schema), buffer)
    folder(store, artifact).commit(name, buffer.getvalue().to_pybytes())


def token_table(store, split, clean, bpe, dvae):
    """Encode the clean rows' centre squares, with the schema and metadata of real token shards."""
    encoded = [bpe.encode_padded(row["caption"], TOKENS.text_len) for row in clean]
    pixels = to_tensor([crop_centre(decode(row["image"]), TOKENS.side) for row in clean])
    with torch.inference_mode():
        codes = dvae.codes(pixels).reshape(len(clean), -1).numpy().astype(np.uint16)
    columns = {
        "key": [row["key"] for row in clean],
        "group": [row["group"] for row in clean],
        "caption": [row["caption"] for row in clean],
        "text": rows.fixed_list(np.stack([one.ids for one in encoded])),
        "text_length": pa.array([one.length for one in encoded], pa.uint16()),
        "image": rows.fixed_list(codes),
        "crop": rows.fixed_list(np.array([[1, 0, 25, 24]] * len(clean), np.float32)),
    }
    name = f"{split}/shard-00000.parquet"
    made_by = {f"{made.name}_fingerprint": fingerprint(made) for made in (DVAE, BPE)}
    buffer = pa.BufferOutputStream()
    pq.write_table(pa.table(columns, schema=header(TOKENS, name, **made_by).schema), buffer)
    folder(store, TOKEN_PAIRS).commit(name, buffer.getvalue().to_pybytes())


def health(store, artifact):
    """Return what the stage measured: the filter's funnel, the prior's loss, a word for others."""
    if artifact == PRIOR:
        return prior_loss(store)
    if artifact != CLEAN_PAIRS:
        return {"truncated_captions": 1}
    kept, examples = sum(SIZES.values()), [{"key": "d", "url": "u", "caption": "x"}]
    return {
        "funnel": [
            {"rule": "http_404", "wanted": "", "rows_in": kept + 3, "dropped": 2, "examples": []},
            {
                "rule": "too_short",
                "wanted": "chars at least min_chars",
                "rows_in": kept + 1,
                "dropped": 1,
                "examples": examples,
            },
        ]
    }


@torch.inference_mode()
def prior_loss(store):
    held_out = read_table(folder(store, TOKEN_PAIRS), "val/shard-00000.parquet")
    columns = {name: rows.matrix(held_out[name]).copy() for name in ("text", "image")}
    return measure(weights.load_prior(folder(store, PRIOR)), tokens_of(columns))


def finish(store, artifact):
    """Write the manifest."""
    train, val = SIZES["train"], SIZES["val"]
    counts = {PAIRS: (train + val + 3, train + val + 1, {"http_404": 2})}
    counts[CLEAN_PAIRS] = (train + val + 3, train + val, {"http_404": 2, "too_short": 1})
    rows_in, rows_out, rejects = counts.get(artifact, (train + val, train + val, {}))
    files = digest_all(folder(store, artifact), {})
    read = {
        a.name: InputRecord(fingerprint=fingerprint(a), content_sha256="0" * 64)
        for a in READS.get(artifact, ())
    }
    settings = {"side": TOKENS.side, "image_vocab": TOKENS.image_vocab, "seed": SEED}
    manifest = Manifest(
        stage=STAGES[artifact], artifact=artifact.name, fingerprint=fingerprint(artifact),
        revision=1, settings=SAMPLE.what() if artifact is SAMPLES else settings, inputs=read,
        outside={}, content_sha256=content_of(files), files=files, rows_in=rows_in,
        rows_out=rows_out, rejects=rejects, health=health(store, artifact), seconds=1.5,
        rows_per_second=20.0, finished_at="2026-01-01T00:00:00+00:00", versions={"torch": "2"},
    )  # fmt: skip
    publish(folder(store, artifact), manifest)
