import pytest

from schemas.artifacts import TOKENIZER
from schemas.errors import ArtifactMissing
from schemas.folder import Inputs
from schemas.settings import BpeSettings
from stages import train_bpe, weights
from stages.models.bpe import Bpe
from tests.stages.training.pairs import SIZES, clean_pairs, clean_row, inputs


@pytest.fixture
def out(tmp_path):
    from infra.store import open_folder

    return open_folder(tmp_path / "out")


def test_the_alphabet_is_learned_from_the_training_captions(tmp_path, out):
    unheard = clean_row(99, caption="zyzzyva " * 50)
    clean_pairs(tmp_path, unheard)
    result = train_bpe.run(inputs(tmp_path), out, BpeSettings(text_vocab=320))
    bpe = weights.load_bpe(out)
    assert bpe.vocab == 320 == result.health["vocab"]
    assert result.rows_in == SIZES["train"] + 1
    assert len(bpe.encode("zyzzyva")) < len("zyzzyva")
    captions = [clean_row(n)["caption"] for n in range(SIZES["train"])] + [unheard["caption"]]
    lengths = [len(bpe.encode(caption)) for caption in captions]
    assert result.health["tokens_per_caption"] == pytest.approx(sum(lengths) / len(lengths))
    assert result.health["tokens_per_caption_longest"] == max(lengths)


def test_no_more_captions_are_read_than_the_settings_say(tmp_path, out):
    clean_pairs(tmp_path, clean_row(99, caption="zyzzyva " * 50))  # the last row
    result = train_bpe.run(
        inputs(tmp_path), out, BpeSettings(text_vocab=320, captions=SIZES["train"])
    )
    assert result.rows_out == SIZES["train"]
    assert len(weights.load_bpe(out).encode("zyzzyva")) == len(" zyzzyva")


def test_running_again_writes_the_same_bytes(tmp_path, out):
    clean_pairs(tmp_path)
    first = train_bpe.run(inputs(tmp_path), out, BpeSettings(text_vocab=320))
    assert train_bpe.run(inputs(tmp_path), out, BpeSettings(text_vocab=320)) == first
    with out.open(TOKENIZER) as file:
        assert Bpe.from_json(file.read().decode()).vocab == 320


def test_no_captions_is_a_sentence(tmp_path, out):
    from infra.store import open_folder

    empty = Inputs({"clean_pairs": open_folder(tmp_path / "empty")})
    with pytest.raises(ArtifactMissing, match="wanted rows to learn from"):
        train_bpe.run(empty, out, BpeSettings(text_vocab=320))
