"""Two thousand pairs: each is there once, and its tokens are what the models say of it alone."""

import pytest
import torch

from infra.store import open_folder
from schemas import rows
from schemas.artifacts import BPE, DVAE
from schemas.settings import TokenSpec
from stages import encode
from stages.encode.crops import crop_rows
from stages.pictures.tensors import to_tensor
from stages.weights import load_bpe, load_dvae
from tests.stages.finished import table_of
from tests.stages.test_encode import artifacts, clean_pair, job

pytestmark = [pytest.mark.ray, pytest.mark.slow]

TOKENS = TokenSpec(text_vocab=300, text_len=24, image_vocab=64, grid=8)
ROWS = 2_000
CERTAIN = 1e-4  # between the two best logits; sums taken in another order differ by less
EXCEPTIONS = 1e-5  # of all codes


@pytest.fixture(scope="module")
def pairs():
    found = [clean_pair(n, 64) for n in range(ROWS)]
    for pair in found[::100]:
        pair["caption"] += " As Long As It Takes To Be Too Long For Its Place"
    return found


@pytest.fixture(scope="module")
def inputs(pairs, tmp_path_factory):
    files = {f"train/shard-{n:05d}.parquet": pairs[n * 600 : (n + 1) * 600] for n in range(3)}
    files["val/shard-00000.parquet"] = pairs[1800:]
    return artifacts(tmp_path_factory.mktemp("corpus"), TOKENS, files, width=8)


def encoded(inputs, out, **settings):
    """Return encode's result and its rows, in the order of their keys."""
    result = encode.run(inputs, out, job(tokens=TOKENS, tile=16, **settings))
    return result, table_of(out, "train/", "val/").sort_by("key")


@pytest.fixture(scope="module")
def once(ray_cluster, inputs, tmp_path_factory):
    return encoded(inputs, open_folder(tmp_path_factory.mktemp("once")))


def test_every_pair_is_there_once(once, pairs):
    result, table = once
    assert (result.rows_in, result.rows_out) == (ROWS, ROWS)
    assert table["key"].to_pylist() == [pair["key"] for pair in pairs]
    assert table["caption"].to_pylist() == [pair["caption"] for pair in pairs]


@pytest.mark.parametrize(
    "settings",
    [
        {"run": {"workers": 2}, "rows_per_shard": 150},
        {"run": {"workers": 3, "decoders": 1}, "rows_per_shard": 37},
    ],
)
def test_workers_and_the_size_of_shards_change_no_row(once, inputs, tmp_path, settings):
    result, table = encoded(inputs, open_folder(tmp_path), **settings)
    assert table.equals(once[1])
    assert result.health == once[0].health


def test_codes_are_the_argmax_of_each_picture_alone(once, inputs, pairs):
    dvae, codes = load_dvae(inputs.folder(DVAE)), rows.matrix(once[1]["image"])
    squares = crop_rows(pairs, crops=1, seed=0, side=64).squares
    certain, differing, used = 0, 0, set()
    with torch.inference_mode():
        for square, mine in zip(squares, codes, strict=True):
            logits = dvae.logits(to_tensor([square]))[0].flatten(1)
            best, second = logits.topk(2, dim=0).values
            sure = (best - second > CERTAIN).numpy()
            alone = logits.argmax(dim=0).numpy()
            certain += int(sure.sum())
            differing += int((alone != mine)[sure].sum())
            used.update(alone.tolist())
    assert len(used) > 8
    assert certain > 0.99 * codes.size
    assert differing <= EXCEPTIONS * codes.size


def test_text_reads_back_as_the_lower_cased_caption(once, inputs):
    bpe, truncated = load_bpe(inputs.folder(BPE)), 0
    for row in once[1].drop_columns(["image"]).to_pylist():
        read, caption = bpe.decode(row["text"]), row["caption"].lower()
        if read != caption:
            assert caption.startswith(read)
            assert row["text_length"] == TOKENS.text_len
            truncated += 1
    assert truncated == once[0].health["truncated_captions"] >= ROWS // 100
