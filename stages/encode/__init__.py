"""Turn every picture into its grid of codes and every caption into its ids, once, on disk.

Reads   clean_pairs, dvae, bpe
Writes  token_pairs  (rows.token_pair in train/ and val/, rows.DROPPED in dropped/)
Where   Ray Data actors: each loads the models once, then takes shard after shard; processes of
        its own crop the pictures that its encoder is given next
Paper   section 2.2: codes are the argmax of the encoder, without Gumbel noise; listing 2: the crop
"""

from collections import Counter

from schemas.artifacts import BPE, CLEAN_PAIRS, DVAE
from schemas.errors import SchemaMismatch
from schemas.folder import Folder, Inputs
from schemas.manifest import Result
from schemas.settings import EncodeSettings
from schemas.tokens import TokenHeader
from stages.encode.encode_part import EncodePart
from stages.encode.gate import check_quality
from stages.encode.row_ranges import cut
from stages.shards import Shard, run_shards
from stages.weights import DvaeConfig, load_bpe, read_config

REVISION = 3


def run(inputs: Inputs, out: Folder, cfg: EncodeSettings) -> Result:
    """Encode every clean pair, file by file, unless the dVAE is too poor."""
    check_quality(inputs.manifest(DVAE), cfg)
    check_sizes(inputs, cfg)
    clean = inputs.folder(CLEAN_PAIRS)
    parts = cut(clean, cfg.rows_per_shard)
    outcome = run_shards(
        EncodePart,
        {
            "clean": clean,
            "dvae": inputs.folder(DVAE),
            "bpe": inputs.folder(BPE),
            "header": header(inputs, cfg),
            "cfg": cfg,
        },
        [Shard(part.name.removesuffix(".parquet"), part, rows=part.rows) for part in parts],
        out,
        what="encode",
        workers=cfg.run.workers,
        gpus=1.0 if cfg.run.gpu else 0.0,
    )
    health: Counter[str] = Counter()
    for stats in outcome.stats:
        health.update(stats.health)
    return outcome.result(health=dict(health))


def check_sizes(inputs: Inputs, cfg: EncodeSettings) -> None:
    """Raise SchemaMismatch unless both models have the alphabets and the side of the settings."""
    dvae = read_config(inputs.folder(DVAE), DvaeConfig)
    found = {
        "image_vocab": (dvae.image_vocab, cfg.tokens.image_vocab, "train_dvae"),
        "side": (dvae.side, cfg.tokens.side, "train_dvae"),
        "patch": (dvae.shape.patch, cfg.tokens.patch, "train_dvae"),
        "text_vocab": (load_bpe(inputs.folder(BPE)).vocab, cfg.tokens.text_vocab, "train_bpe"),
    }
    for name, (have, want, stage) in found.items():
        if have != want:
            raise SchemaMismatch(
                f"wanted a model with {name} {want}, as the settings `tokens` say, found {have}; "
                f"run {stage} again with these settings"
            )


def header(inputs: Inputs, cfg: EncodeSettings) -> TokenHeader:
    made_by = TokenHeader.of(inputs.manifest(DVAE), inputs.manifest(BPE), cfg.tokens)
    return made_by.and_also(
        crop="listing 2",
        crops=cfg.crops,
        flips=cfg.flips or None,
        codes=cfg.codes,
        precision=cfg.precision,
    )
