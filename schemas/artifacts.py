"""The catalogue: every artifact's one name, and the files inside it."""

from dataclasses import dataclass

TRAIN, VAL, DROPPED_ROWS = "train/", "val/", "dropped/"  # the parts of a table of rows
WEIGHTS, MODEL_CONFIG = "model.safetensors", "config.json"
METRICS = "metrics.jsonl"
TOKENIZER = "tokenizer.json"
REPORT_JSON, REPORT_HTML = "report.json", "index.html"

STATS = "stats/"  # one file for each finished shard

# Files beside the content, for people and for resuming: they may differ between equal runs.
ASIDE = ("metrics.jsonl", "events/", "pictures/", STATS, "attempts/", "checkpoints/", "logs/")


@dataclass(frozen=True)
class Artifact:
    """A folder `<root>/<name>/<fingerprint>/`."""

    name: str
    content: str  # for people: one line


PAIRS = Artifact("pairs", "every input row, its picture or why there is none")
MEASURED = Artifact("measured", "scores of each pair, for any thresholds")
CLEAN_PAIRS = Artifact("clean_pairs", "pairs worth learning from, train/ and val/ apart")
BPE = Artifact("bpe", "tokenizer.json")
DVAE = Artifact("dvae", "weights of the discrete VAE")
TOKEN_PAIRS = Artifact("token_pairs", "text and image tokens, train/ and val/ apart")
PRIOR = Artifact("prior", "weights of the transformer")
CLIP = Artifact("clip", "weights of the reranker")
SAMPLES = Artifact("samples", "ranked pictures and their table")
REPORT = Artifact("report", "report.json and index.html")
