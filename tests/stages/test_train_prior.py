import itertools
import math

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch

from infra.store import open_folder
from schemas.errors import SchemaMismatch
from schemas.rows import fixed_list, token_pair
from schemas.settings import PriorSettings
from stages import pictures, train_prior, weights
from stages.data.parquet import TOKEN_FILE, parquet_bytes
from stages.data.table import first, open_table
from stages.train_prior.task import PriorTask
from stages.training.distributed import DistributedContext
from stages.training.trainer import Trainer
from tests.stages.training.pairs import SIZES, TOKENS, inputs, token_pairs
from tests.stages.training.toy import ALONE, SHORT, nodes, silent

CHANCE = {"text": math.log(301), "image": math.log(16)}


def settings(*, dropout=0.1, caption_dropout=0.0, **fit):
    return PriorSettings(
        layers=2, heads=2, head_dim=8, conv_kernel=3, tokens=TOKENS, bpe_dropout=dropout,
        caption_dropout=caption_dropout, **nodes(SHORT | {"learning_rate": 3e-3} | fit),
    )  # fmt: skip


def task_of(root, cfg):
    found = token_pairs(root)
    schema = token_pair(text_len=12, grid=2)
    train, val = open_table(found, "train/", schema), open_table(found, "val/", schema)
    return PriorTask(cfg, train, val, weights.load_bpe(open_folder(root / "bpe")),
                     open_folder(root / "dvae"))  # fmt: skip


def test_text_counts_an_eighth_of_the_mean_nats_and_images_the_rest(tmp_path):
    """Section 2.2, token by token."""
    task = task_of(tmp_path, settings())
    batch = next(task.batches(0, ALONE))
    torch.manual_seed(0)
    model = task.build()
    for weight in model.parameters():
        torch.nn.init.normal_(weight, std=0.3)
    sums, counts = task.loss_sums(model, batch, 0), task.loss_counts(batch)
    weight = task.loss_weights(0)
    loss = sum(weight[name] * sums[name] / counts[name] for name in sums)

    text_logits, image_logits = model(batch["text"].long(), batch["image"].long())
    nats = {"text": [], "image": []}
    for row, position in itertools.product(range(8), range(12)):
        log_p = text_logits[row, position].log_softmax(0)
        nats["text"].append(-log_p[batch["text"][row, position]].item())
    for row, position in itertools.product(range(8), range(4)):
        log_p = image_logits[row, position].log_softmax(0)
        nats["image"].append(-log_p[batch["image"][row, position]].item())
    expected = np.mean(nats["text"]) / 8 + np.mean(nats["image"]) * 7 / 8
    assert loss.item() == pytest.approx(expected, rel=1e-4)


def test_bpe_dropout_spells_a_caption_anew_each_epoch_and_never_without_a_reason(tmp_path):
    task = task_of(tmp_path, settings(dropout=0.5))
    epochs = SIZES["train"] // 8
    first, again = next(task.batches(0, ALONE)), next(task.batches(0, ALONE))
    assert torch.equal(first["text"], again["text"])
    spellings = {}
    for batch in itertools.islice(task.batches(0, ALONE), 3 * epochs):
        for text, image in zip(batch["text"], batch["image"], strict=True):
            ids = [i for i in text.tolist() if i != 300]
            spellings.setdefault(int(image[0]), set()).add(tuple(ids))
    assert sum(len(ways) for ways in spellings.values()) > 2 * SIZES["train"]


def test_two_workers_then_three_then_one_see_the_same_global_batches(tmp_path):
    """Also their spellings, and a batch of eight is not to be had in three."""
    task = task_of(tmp_path, settings(dropout=0.5, caption_dropout=0.3))

    def seen(steps, world):
        places = [DistributedContext(rank, world) for rank in range(world)]
        ranks = [itertools.islice(task.batches(steps.start, p), len(steps)) for p in places]
        for parts in zip(*ranks, strict=True):
            batch = {name: torch.cat([part[name].int() for part in parts]) for name in parts[0]}
            yield sorted(torch.cat([batch["text"], batch["image"]], dim=1).tolist())

    whole = list(seen(range(9), 1))
    resized = [*seen(range(0, 3), 2), *seen(range(3, 7), 3), *seen(range(7, 9), 1)]
    assert resized == whole
    assert [len(batch) for batch in whole] == [8] * 9


def test_without_dropout_the_stored_tokens_are_learned(tmp_path):
    task = task_of(tmp_path, settings(dropout=0.0))
    stored = {tuple(row) for row in first(task.train, ("text",), 99)["text"].tolist()}
    seen = {tuple(row) for row in next(task.batches(0, ALONE))["text"].tolist()}
    assert seen <= stored


def test_some_captions_are_left_out_others_in_each_epoch_and_never_in_validation(tmp_path):
    task = task_of(tmp_path, settings(dropout=0.0, caption_dropout=0.5))
    epochs = SIZES["train"] // 8
    share = []
    for epoch in range(4):
        every = itertools.islice(task.batches(epoch * epochs, ALONE), epochs)
        share.append([bool((b["text"] == 300).all(dim=1)[i]) for b in every for i in range(8)])
    assert np.mean(share) == pytest.approx(0.5, abs=0.15)
    assert len({tuple(each) for each in share}) == 4
    first, again = next(task.batches(0, ALONE)), next(task.batches(0, ALONE))
    assert torch.equal(first["text"], again["text"])
    model = task.build()
    torch.nn.init.normal_(model.text_head.weight, std=0.3)
    whole = task_of(tmp_path / "whole", settings(dropout=0.0))
    with torch.no_grad():
        assert task.validate(model, 0).scalars == whole.validate(model, 0).scalars


def test_a_fresh_model_scores_chance_on_held_out_pairs(tmp_path):
    task = task_of(tmp_path, settings())
    with torch.no_grad():
        found, files, _ = task.validate(task.build().eval(), 0)
    assert found["validation_text"] == pytest.approx(CHANCE["text"], rel=1e-5)
    assert found["validation_image"] == pytest.approx(CHANCE["image"], rel=1e-5)
    assert found["validation_loss"] == pytest.approx(CHANCE["text"] / 8 + CHANCE["image"] * 7 / 8)
    sheet = pictures.decode(files["samples"])
    assert sheet.shape == (4 * 18 + 2, 4 * 18 + 2, 3)


def test_it_learns_and_leaves_a_model_that_loads(tmp_path):
    task, out = task_of(tmp_path, settings(steps=40)), open_folder(tmp_path / "out")
    health = Trainer(task, task.cfg, out, ALONE, silent).fit()
    assert health["validation_text"] < 0.85 * CHANCE["text"]
    prior = weights.load_prior(out)
    assert prior.tokens == TOKENS
    with torch.no_grad():
        again = task.validate(prior, 40).scalars
    assert again["validation_loss"] == pytest.approx(health["validation_loss"])


def another_of(key):
    def change(table):
        metadata = table.schema.metadata | {key.encode(): b"another"}
        return table.replace_schema_metadata(metadata)

    return change


def another_grid(table):
    codes = fixed_list(np.zeros((len(table), 9), np.uint16))
    field = pa.field("image", codes.type, nullable=False)
    return table.set_column(table.column_names.index("image"), field, codes)


SAID = ["dvae_sha256", "dvae_fingerprint", "bpe_sha256", "text_vocab", "format_version", "grid"]
FOREIGN = {key: (another_of(key), rf"wanted {key} \S+, found another; .*make it") for key in SAID}
FOREIGN["codes"] = another_grid, r"'image' is .*\[9\], promised .*\[4\]"


@pytest.mark.parametrize("kind", FOREIGN)
@pytest.mark.parametrize("split", ["train", "val"])
def test_one_foreign_shard_among_others_is_named(tmp_path, kind, split):
    change, said = FOREIGN[kind]
    found = token_pairs(tmp_path)
    with found.open(f"{split}/shard-00000.parquet") as file:
        table = change(pq.read_table(file))
    found.commit(f"{split}/shard-00001.parquet", parquet_bytes(table, TOKEN_FILE))
    with pytest.raises(SchemaMismatch, match=rf"{split}/shard-00001.parquet: .*{said}"):
        train_prior.run(inputs(tmp_path), open_folder(tmp_path / "out"), settings())


def cut_short(data):
    return data[:-20]


def bit_flipped(data):
    return data[:300] + bytes([data[300] ^ 4]) + data[301:]


@pytest.mark.parametrize("damage", [cut_short, bit_flipped])
def test_a_damaged_shard_is_named_at_the_start_and_nothing_is_touched(tmp_path, damage):
    found = token_pairs(tmp_path)
    name = "val/shard-00000.parquet"
    with found.open(name) as file:
        data = damage(file.read())
    found.commit(name, data)
    with pytest.raises(SchemaMismatch, match=rf"{name} (is damaged|cannot be read)"):
        train_prior.run(inputs(tmp_path), open_folder(tmp_path / "out"), settings())
    assert open_folder(tmp_path / "out").list() == []
    with found.open(name) as file:
        assert file.read() == data


def test_tokens_are_widened_by_the_model_alone(tmp_path):
    batch = next(task_of(tmp_path, settings(caption_dropout=0.5)).batches(0, ALONE))
    assert {name: tokens.dtype for name, tokens in batch.items()} == {
        "text": torch.uint16,
        "image": torch.uint16,
    }


@pytest.mark.ray
def test_the_stage_on_a_ray_worker(tmp_path, ray_cluster):
    token_pairs(tmp_path)
    out = open_folder(tmp_path / "out")
    result = train_prior.run(inputs(tmp_path), out, settings())
    assert result.rows_in == SIZES["train"]
    assert weights.load_prior(out).tokens == TOKENS
