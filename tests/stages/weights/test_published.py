"""The released encoder and decoder, from the unmodified package, against ours after conversion."""

import dall_e
import pytest
import safetensors.torch
import torch
import torch.nn.functional as F

from infra.store import open_folder
from schemas.errors import ConfigError, SchemaMismatch
from schemas.settings import DvaeShape
from stages import weights
from stages.models.dvae import Dvae, map_pixels
from stages.models.published_dvae import to_published
from stages.weights.published import digest_of, open_published, save_published

SIZES = [  # n_hid, n_blk_per_group, n_init, vocab_size
    (8, 1, 8, 16),
    (8, 3, 24, 40),
    (16, 2, 12, 512),
    (64, 1, 128, 96),
    (64, 2, 16, 64),
]


def released(n_hid=8, n_blk_per_group=1, n_init=8, vocab_size=16, seed=0):
    """Both modules with random weights, and biases that are not zero."""
    torch.manual_seed(seed)
    common = {"n_hid": n_hid, "n_blk_per_group": n_blk_per_group, "vocab_size": vocab_size}
    encoder, decoder = dall_e.Encoder(**common), dall_e.Decoder(**common, n_init=n_init)
    for part in (encoder, decoder):
        for name, value in part.named_parameters():
            if name.endswith(".b"):
                value.data.normal_(std=0.1)
    return encoder, decoder


def publish(folder, encoder, decoder, **form):
    folder.mkdir(exist_ok=True)
    torch.save(encoder, folder / "encoder.pkl", **form)
    torch.save(decoder, folder / "decoder.pkl", **form)
    return str(folder)


def within(found, wanted, relative=1e-5):
    assert found.shape == wanted.shape
    assert (found - wanted).abs().max() <= relative * wanted.abs().max()


def agree(dvae, encoder, decoder):
    """Compare logits of pictures, and the maps of hard and of relaxed codes."""
    torch.manual_seed(1)
    pixels = torch.rand(2, 3, 16, 24)
    with torch.no_grad():
        logits = encoder(dall_e.map_pixels(pixels))
        within(dvae.logits(pixels), logits)
        within(dvae.encoder(map_pixels(pixels)), logits)
        codes = logits.argmax(1)
        assert torch.equal(dvae.codes(pixels), codes)
        one_hot = F.one_hot(codes, logits.shape[1]).permute(0, 3, 1, 2).float()
        maps = decoder(one_hot)
        within(dvae.decoder.from_codes(codes), maps)
        within(dvae.decode(codes), dall_e.unmap_pixels(maps[:, :3].sigmoid()))
        relaxed = logits.softmax(1)
        within(dvae.decoder(relaxed), decoder(relaxed))


@pytest.mark.parametrize("form", [{}, {"_use_new_zipfile_serialization": False}])
@pytest.mark.parametrize("sizes", SIZES)
def test_whole_modules_of_the_release_give_the_same_logits_and_maps_here(tmp_path, sizes, form):
    encoder, decoder = released(*sizes)
    found = open_published(publish(tmp_path / "release", encoder, decoder, **form))
    agree(found.dvae, encoder, decoder)
    width, blocks, codebook_width, image_vocab = sizes
    assert found.shape == DvaeShape(width=width, blocks=blocks, codebook_width=codebook_width)
    assert (found.image_vocab, found.side) == (image_vocab, None)


@pytest.mark.parametrize("sizes", SIZES)
def test_our_weights_give_the_same_logits_and_maps_in_the_release(tmp_path, sizes):
    width, blocks, codebook_width, image_vocab = sizes
    shape = DvaeShape(width=width, blocks=blocks, codebook_width=codebook_width)
    torch.manual_seed(2)
    dvae = Dvae(shape, image_vocab).eval()
    save_published(open_folder(tmp_path), dvae)
    encoder, decoder = released(*sizes)
    for part, name in ((encoder, "encoder.pt"), (decoder, "decoder.pt")):
        part.load_state_dict(torch.load(tmp_path / name, weights_only=True), strict=True)
    agree(dvae, encoder, decoder)


def equal(found, wanted):
    assert found.keys() == wanted.keys()
    assert all(torch.equal(found[name], value) for name, value in wanted.items())


def test_there_and_back_again_is_the_same_to_the_bit(tmp_path):
    encoder, decoder = released()
    dvae = open_published(publish(tmp_path / "release", encoder, decoder)).dvae
    for found, part in zip(to_published(dvae), (encoder, decoder), strict=True):
        equal(found, part.state_dict())
    save_published(open_folder(tmp_path / "plain"), dvae)
    equal(open_published(str(tmp_path / "plain")).dvae.state_dict(), dvae.state_dict())


def test_our_own_artifact_is_taken_as_well_and_tells_its_side(tmp_path):
    dvae = Dvae(DvaeShape(width=4, blocks=1, codebook_width=8), 16)
    config = weights.DvaeConfig(shape=DvaeShape(width=4, blocks=1, codebook_width=8),
                                image_vocab=16, side=16)  # fmt: skip
    weights.save_model(open_folder(tmp_path), dvae, config)
    found = open_published(str(tmp_path))
    equal(found.dvae.state_dict(), dvae.state_dict())
    assert (found.shape, found.image_vocab, found.side) == (config.shape, 16, 16)
    alone = open_published(str(tmp_path / "model.safetensors"))
    equal(alone.dvae.state_dict(), dvae.state_dict())
    assert alone.side is None


def test_one_file_may_hold_both_parts_under_the_released_names(tmp_path):
    encoder, decoder = released()
    both = {f"encoder.{n}": v for n, v in encoder.state_dict().items()}
    both |= {f"decoder.{n}": v for n, v in decoder.state_dict().items()}
    torch.save(both, tmp_path / "both.pt")
    agree(open_published(str(tmp_path / "both.pt")).dvae, encoder, decoder)
    half = {name: value.half() for name, value in both.items()}
    safetensors.torch.save_file(half, tmp_path / "half.safetensors")
    found = open_published(str(tmp_path / "half.safetensors")).dvae
    assert all(torch.equal(v, half[n].float()) for n, v in released_names(found).items())


def released_names(dvae):
    encoder, decoder = to_published(dvae)
    return {f"encoder.{n}": v for n, v in encoder.items()} | {
        f"decoder.{n}": v for n, v in decoder.items()
    }


def test_at_the_paper_size_names_and_sizes_are_those_of_the_release():
    with torch.device("meta"):
        parts = to_published(Dvae(DvaeShape(), 8_192))
    meta = torch.device("meta")
    modules = dall_e.Encoder(device=meta), dall_e.Decoder(device=meta)
    for found, module, count in zip(parts, modules, (53_786_240, 43_829_766), strict=True):
        wanted = {name: value.shape for name, value in module.state_dict().items()}
        assert {name: value.shape for name, value in found.items()} == wanted
        assert sum(value.numel() for value in found.values()) == count


def refusal(folder, encoder, decoder):
    with pytest.raises(SchemaMismatch) as caught:
        open_published(publish(folder, encoder, decoder))
    return str(caught.value)


def test_networks_that_are_not_the_released_ones_are_refused_in_a_sentence(tmp_path):
    encoder, decoder = released()
    grey = dall_e.Encoder(n_hid=8, n_blk_per_group=1, vocab_size=16, input_channels=1)
    assert "wanted 3 channels in and 6 out" in refusal(tmp_path, grey, decoder)
    wider = released(n_hid=16)[1]
    assert "wanted decoder.blocks.group_1.block_1.id_path.weight of size (64, 8, 1, 1), found " in (
        refusal(tmp_path, encoder, wider)
    )
    assert "of size (16, 64, 1, 1), found (32, " in refusal(
        tmp_path, released(vocab_size=32)[0], decoder
    )
    assert "each under its name" in refusal(tmp_path, decoder, encoder)
    for part in (encoder, decoder):
        del part.blocks.group_4
        del part.blocks.group_3
    assert "wanted 4 groups of blocks (3 or 5 in a dVAE of ours), found 2" in refusal(
        tmp_path, encoder, decoder
    )


def test_a_missing_a_strange_and_an_infinite_tensor_are_named(tmp_path):
    encoder, decoder = released()
    plain = encoder.state_dict()
    lost = {name: value for name, value in plain.items() if name != "blocks.input.b"}
    assert "encoder.blocks.input.bias of size (8,), found none" in refusal(tmp_path, lost, decoder)
    more = plain | {"blocks.extra.w": torch.ones(2)}
    assert "encoder.blocks.extra.weight of size none" in refusal(tmp_path, more, decoder)
    broken = plain | {"blocks.input.b": torch.full((8,), torch.nan)}
    assert "found others in encoder.blocks.input.bias" in refusal(tmp_path, broken, decoder)
    whole = plain | {"blocks.input.b": torch.ones(8, dtype=torch.int64)}
    assert "(torch.int64)" in refusal(tmp_path, whole, decoder)
    large = plain | {"blocks.input.b": torch.full((8,), 1e300, dtype=torch.float64)}
    assert "(torch.float64)" in refusal(tmp_path, large, decoder)
    empty = {name: value for name, value in plain.items() if ".block_" not in name}
    for number in range(1, 5):
        empty[f"blocks.group_{number}.w"] = torch.ones(1)
    for name in list(decoder.blocks._modules):
        if name.startswith("group_"):
            del decoder.blocks._modules[name]
    assert "wanted blocks in each group, found none" in refusal(tmp_path, empty, decoder)
    decoder = released()[1]
    narrow = plain | {"blocks.input.w": torch.ones(2, 3, 7, 7)}
    assert "at least 4 channels, found 2" in refusal(tmp_path, narrow, decoder)


def test_half_of_the_release_is_refused_with_what_to_do(tmp_path):
    publish(tmp_path, *released())
    (tmp_path / "decoder.pkl").unlink()
    with pytest.raises(ConfigError, match="found neither; give the folder that holds both files"):
        open_published(str(tmp_path))
    with pytest.raises(SchemaMismatch, match="give both of its parts"):
        open_published(str(tmp_path / "encoder.pkl"))
    with pytest.raises(ConfigError, match="found neither"):
        digest_of(str(tmp_path / "nowhere"))


def test_the_digest_is_of_the_weights_wherever_they_are(tmp_path):
    here, there = (publish(tmp_path / name, *released()) for name in ("here", "there"))
    (tmp_path / "there/README").write_text("not read")
    assert digest_of(here) == digest_of(there)
    assert digest_of(publish(tmp_path / "there", *released(seed=1))) != digest_of(here)
