import json
import shutil

import pytest

from infra.store import Store
from schemas.artifacts import DVAE, TOKEN_PAIRS
from stages import weights
from tests.pipelines.runs import full, statuses
from tests.stages.weights.test_published import agree, publish, released


@pytest.mark.ray
def test_the_release_replaces_the_training_and_encodes_pictures(tiny_run, tmp_path):
    root = shutil.copytree(tiny_run, tmp_path / "run")
    encoder, decoder = released(n_hid=4, n_init=8, vocab_size=32)
    release = publish(tmp_path / "release", encoder, decoder)
    setting = ("--set", f"dvae.pretrained={release}")
    log = full(*setting, "--until", "encode", root=root)
    assert "step " not in log
    assert statuses(root)["train_dvae"] == statuses(root)["encode"] == "done"
    store = Store(str(root))
    agree(weights.load_dvae(store.newest(DVAE)), encoder, decoder)
    with store.newest(DVAE).open("manifest.json") as file:
        dvae = json.load(file)
    assert set(dvae["outside"]) == {"pretrained"}
    with store.newest(TOKEN_PAIRS).open("manifest.json") as file:
        assert json.load(file)["inputs"]["dvae"]["fingerprint"] == dvae["fingerprint"]

    moved = shutil.move(release, tmp_path / "elsewhere")
    full("--set", f"dvae.pretrained={moved}", "--until", "encode", root=root)
    assert statuses(root)["train_dvae"] == statuses(root)["encode"] == "skipped"
