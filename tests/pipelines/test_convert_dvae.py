import json

import pytest
import torch

from infra.store import open_folder
from pipelines.convert_dvae import main
from schemas.settings import DvaeShape
from stages import weights
from stages.models.dvae import Dvae
from tests.stages.weights.test_published import agree, publish, released


def test_the_release_becomes_ours_and_plain_files_again(tmp_path, capsys):
    encoder, decoder = released()
    release = publish(tmp_path / "release", encoder, decoder)
    ours, plain = str(tmp_path / "ours"), str(tmp_path / "plain")
    assert main([release, ours]) == 0
    assert "wrote model.safetensors and config.json to" in capsys.readouterr().out
    agree(weights.load_dvae(open_folder(ours)), encoder, decoder)

    assert main([ours, plain, "--published"]) == 0
    for part, name in ((encoder, "encoder.pt"), (decoder, "decoder.pt")):
        found = torch.load(tmp_path / "plain" / name, weights_only=True)
        assert all(torch.equal(found.pop(n), value) for n, value in part.state_dict().items())
        assert not found


@pytest.mark.parametrize(("options", "side"), [([], 256), (["--side", "64"], 64)])
def test_the_side_is_the_releases_unless_told(tmp_path, options, side):
    release, ours = publish(tmp_path / "release", *released()), tmp_path / "ours"
    assert main([release, str(ours), *options]) == 0
    assert json.loads((ours / "config.json").read_text())["side"] == side
    assert main([str(ours), str(tmp_path / "again")]) == 0
    assert json.loads((tmp_path / "again/config.json").read_text())["side"] == side


def test_files_that_are_there_are_not_overwritten(tmp_path, capsys):
    release, ours = publish(tmp_path / "release", *released()), tmp_path / "ours"
    assert main([release, str(ours)]) == 0
    before = {path.name: path.read_bytes() for path in ours.iterdir()}
    assert main([release, str(ours)]) == 2
    assert "found model.safetensors and config.json in" in capsys.readouterr().err
    assert {path.name: path.read_bytes() for path in ours.iterdir()} == before
    assert main([release, str(ours), "--published"]) == 0  # other names
    assert main([release, str(ours), "--published"]) == 2


@pytest.mark.parametrize(
    "other",
    [
        {"patch": 4},
        {"init": "patches"},
        {"init": "patches", "patch": 4, "width": 6, "blocks": 2},
        {"init": "patches", "patch": 16},
    ],
)
def test_networks_of_ours_alone_have_no_released_form(tmp_path, capsys, other):
    shape = DvaeShape(**{"width": 4, "blocks": 1, "codebook_width": 8} | other)
    sizes = weights.DvaeConfig(shape=shape, image_vocab=16, side=16)
    weights.save_model(open_folder(tmp_path / "ours"), Dvae(shape, 16), sizes)
    assert main([str(tmp_path / "ours"), str(tmp_path / "again")]) == 0
    assert weights.read_config(open_folder(tmp_path / "again"), weights.DvaeConfig) == sizes
    assert main([str(tmp_path / "ours"), str(tmp_path / "plain"), "--published"]) == 2
    assert "tokens.patch=8), found" in capsys.readouterr().err
    assert not (tmp_path / "plain").exists()


def test_a_decoder_of_another_day_is_one_sentence(tmp_path, capsys):
    shape = DvaeShape(width=4, blocks=1, codebook_width=8, init="patches")
    dvae = Dvae(shape, 16)
    del dvae.decoder.drawn
    sizes = weights.DvaeConfig(shape=shape, image_vocab=16, side=16)
    weights.save_model(open_folder(tmp_path / "ours"), dvae, sizes)
    assert main([str(tmp_path / "ours"), str(tmp_path / "again")]) == 2
    assert "wanted decoder.centres.weight, decoder.codebook" in capsys.readouterr().err


def test_what_cannot_be_converted_is_one_sentence_and_exit_code_2(tmp_path, capsys):
    assert main([str(tmp_path / "nothing"), str(tmp_path / "ours")]) == 2
    release = publish(tmp_path / "release", *released())
    assert main([release, str(tmp_path / "ours"), "--side", "100"]) == 2
    assert main(["nothing://release", str(tmp_path / "ours")]) == 2
    assert main([release, f"{release}/encoder.pkl"]) == 2
    (tmp_path / "release/decoder.pkl").write_bytes(b"<html>not found</html>")
    assert main([release, str(tmp_path / "ours")]) == 2
    printed = capsys.readouterr().err.splitlines()
    assert [text.split(" ", 2)[:2] for text in printed] == [
        ["error:", "wanted"], ["error:", "--side:"], *[["error:", "wanted"]] * 3
    ]  # fmt: skip
    assert "'nothing://release' of a dVAE's weights, found ValueError: Proto" in printed[2]
    assert "wanted to write" in printed[3]
    assert "encoder.pkl" in printed[3]
    assert "decoder.pkl, found" in printed[4]
    assert not (tmp_path / "ours").exists()
