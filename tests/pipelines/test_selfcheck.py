"""Each line of the self-check is fine on a sound run, and fails where its own fault is put in."""

import shutil

import pytest
import torch

from infra.store import Store, content_of, digest_all, publish
from pipelines.selfcheck import __main__ as selfcheck
from pipelines.selfcheck import check_prior as checking
from schemas.artifacts import BPE, CLEAN_PAIRS, CLIP, DVAE, PRIOR
from schemas.manifest import Manifest, Summary
from stages.models import incremental_decoding, sampler, sparse_attention
from stages.models.dvae import Dvae
from stages.models.masks import masked_attention
from stages.models.prior import Prior
from tests import tiny_run
from tests.pipelines.inspect_tokens.damage import flipped_bytes, no_metadata, other_dvae, shard
from tests.pipelines.inspect_tokens.encoded import encode_again

WEIGHTS = "model.safetensors"
NAMES = [check.name for check in selfcheck.CHECKS]
OF_THE_PRIOR = {"sparse = dense", "causality", "cache on = off", "guidance 1 = plain"}


@pytest.fixture(scope="module")
def sound(tmp_path_factory):
    """A finished run whose token shards say what they were really made with."""
    store = tiny_run.build(tmp_path_factory.mktemp("sound"))
    encode_again(store)
    measured = selfcheck.check_dvae.travel(selfcheck.Run(store.root)).psnr_db
    change_manifest(store, DVAE, lambda m: {"health": m.health | {"psnr_db": measured}})
    return store


@pytest.fixture
def run(sound, tmp_path):
    """A copy that may be damaged."""
    return Store(str(shutil.copytree(sound.root, tmp_path / "run")))


def change_manifest(store, artifact, change):
    folder = tiny_run.folder(store, artifact)
    with folder.open("manifest.json") as file:
        manifest = Manifest.model_validate_json(file.read())
    publish(folder, manifest.model_copy(update=change(manifest)))


def checked(store, capsys, *arguments):
    """Run the command; return its exit code, how each line went, and all that it printed."""
    code = selfcheck.main(["--root", store.root, *arguments])
    printed = capsys.readouterr().out
    states = {line[5:23].strip(): line[:4].strip() for line in printed.splitlines()[1:-1]}
    return code, {name: states[name] for name in NAMES}, printed


def failed(states):
    return {name for name, state in states.items() if state == "FAIL"}


def test_a_sound_run_is_ok_in_every_line(sound, capsys):
    code, states, printed = checked(sound, capsys)
    assert set(states.values()) == {"ok"}, printed
    assert code == 0
    lines = printed.splitlines()
    assert len(lines) == 2 + len(NAMES)  # one line each
    assert all(len(line) <= 80 for line in lines[1:])
    assert lines[-1].startswith(f"{len(NAMES)} ok, 0 failed, 0 not done, in ")


@pytest.mark.gpu
def test_a_sound_run_is_ok_on_a_gpu(sound, capsys):
    code, states, printed = checked(sound, capsys, "--gpu")
    assert set(states.values()) == {"ok"}, printed
    assert code == 0
    assert "on cuda" in printed


def flipped(store, artifact, name):
    path = tiny_run.folder(store, artifact).path / name
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


def cut_short(store, artifact, name):
    path = tiny_run.folder(store, artifact).path / name
    path.write_bytes(path.read_bytes()[:-4])


def gone(store, artifact, name):
    (tiny_run.folder(store, artifact).path / name).unlink()


def other_manifest(store, artifact, name):
    change_manifest(store, artifact, lambda m: {"content_sha256": "0" * 64})


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (flipped, "has sha256"),
        (cut_short, "has sha256"),
        (gone, "is gone"),
        (other_manifest, "its manifest is inconsistent"),
    ],
)
@pytest.mark.parametrize(
    ("artifact", "name"),
    [(BPE, "tokenizer.json"), (DVAE, WEIGHTS), (PRIOR, "config.json"), (CLIP, "config.json")],
)
def test_changed_files_of_a_model_fail_and_it_is_not_loaded(
    run, capsys, artifact, name, damage, said
):
    damage(run, artifact, name)
    code, states, printed = checked(run, capsys)
    assert code == 1
    assert failed(states) == {"weights"}
    needing = {check.name for check in selfcheck.CHECKS if artifact in check.needs}
    assert {name for name, state in states.items() if state == "-"} == needing
    words = " ".join(printed.split())
    assert f"{artifact.name}: " in words
    assert said in words
    assert f"--force {tiny_run.STAGES[artifact]}" in words
    assert f"{artifact.name} was changed after its stage" in words


def test_shards_of_a_dvae_that_was_made_again_fail(run, capsys):
    """All is as its stage left it, but the codes are another dVAE's."""
    flipped(run, DVAE, WEIGHTS)
    files = digest_all(tiny_run.folder(run, DVAE), {})
    again = {"files": files, "content_sha256": content_of(files)}
    change_manifest(run, DVAE, lambda m: again)
    code, states, printed = checked(run, capsys)
    assert code == 1
    assert failed(states) == {"token shards"}
    assert "dvae_sha256 is" in printed


@pytest.mark.parametrize(
    ("damage", "said"),
    [(other_dvae, "dvae_sha256 is eeeeeeeeeeee..., wanted"), (no_metadata, "is missing, wanted")],
)
def test_a_shard_of_another_making_fails(run, capsys, damage, said):
    damage(sorted(shard(run).parent.glob("*.parquet"))[-1])
    code, states, printed = checked(run, capsys)
    assert code == 1
    assert failed(states) == {"token shards"}
    assert said in " ".join(printed.split())


def test_rows_that_cannot_be_read_fail_where_they_are_needed(run, capsys):
    flipped_bytes(shard(run, "val"))
    code, states, printed = checked(run, capsys)
    assert code == 1
    assert failed(states) >= OF_THE_PRIOR
    assert "Traceback" not in printed


def test_pictures_that_cannot_be_read_fail(run, capsys):
    flipped_bytes(tiny_run.folder(run, CLEAN_PAIRS).path / "val/shard-00000.parquet")
    code, states, printed = checked(run, capsys)
    assert code == 1
    assert failed(states) == {"dVAE round trip", "decoded codes"}
    assert "put back a good copy" in " ".join(printed.split())


@pytest.mark.parametrize(("off", "fails"), [(0.9, set()), (1.1, {"dVAE round trip"})])
def test_pictures_worse_than_in_training_fail(run, capsys, off, fails):
    change_manifest(run, DVAE, lambda m: {"health": {"psnr_db": m.health["psnr_db"] + off}})
    assert failed(checked(run, capsys)[1]) == fails


def test_without_a_measured_psnr_there_is_nothing_to_compare(run, capsys):
    change_manifest(run, DVAE, lambda m: {"health": {}})
    code, states, _ = checked(run, capsys)
    assert (code, states["dVAE round trip"]) == (0, "-")


def test_codes_that_never_come_back_fail(sound, capsys, monkeypatch):
    decode = Dvae.decode
    monkeypatch.setattr(Dvae, "decode", lambda self, codes: 1 - decode(self, codes.flip(1)))
    assert "decoded codes" in failed(checked(sound, capsys)[1])


def test_a_mask_that_looks_ahead_fails(sound, capsys, monkeypatch):
    def attention(name, layout, device):
        mask = torch.ones(layout.slots, layout.slots, dtype=torch.bool).tril(1)
        return lambda q, k, v: masked_attention(q, k, v, mask)

    monkeypatch.setattr(sparse_attention, "attention", attention)
    code, states, _ = checked(sound, capsys)
    assert code == 1
    assert "causality" in failed(states)


def test_blocks_that_are_not_the_mask_fail(sound, capsys, monkeypatch):
    right = sparse_attention.windows_of

    def windows_of(name, layout):
        windows = right(name, layout)
        return windows._replace(hidden=torch.zeros_like(windows.hidden))

    monkeypatch.setattr(sparse_attention, "windows_of", windows_of)
    assert failed(checked(sound, capsys)[1]) == {"sparse = dense"}


def test_codes_without_effect_fail(sound, capsys, monkeypatch):
    right = Prior.embed_image
    monkeypatch.setattr(Prior, "embed_image", lambda self, c, place: right(self, c * 0, place))
    states = checked(sound, capsys)[1]
    assert "causality" in failed(states)


def test_a_cache_that_puts_codes_elsewhere_fails(sound, capsys, monkeypatch):
    right = Prior.embed_image

    def embed_image(self, codes, position):
        return right(self, codes, position * 0 if len(position) == 1 else position)

    monkeypatch.setattr(Prior, "embed_image", embed_image)
    assert failed(checked(sound, capsys)[1]) == {"cache on = off", "guidance 1 = plain"}


def test_given_codes_that_are_not_kept_fail(sound, capsys, monkeypatch):
    right = incremental_decoding.TileDecoder.load

    def load(self, prompts):
        logits = right(self, prompts)
        if len(prompts[0].given):
            for cache in self.caches:
                cache.values.zero_()
        return logits

    monkeypatch.setattr(incremental_decoding.TileDecoder, "load", load)
    assert failed(checked(sound, capsys)[1]) == {"cache on = off"}


def test_pictures_that_depend_on_their_company_fail(sound, capsys, monkeypatch):
    drawn = []
    right = sampler.uniforms

    def uniforms(seed, count):
        drawn.append(seed)
        return right(len(drawn), count)

    monkeypatch.setattr(sampler, "uniforms", uniforms)
    assert failed(checked(sound, capsys)[1]) == {"batch of 1 = of N"}


def test_numbers_that_are_none_are_not_ok():
    nothing = torch.full((2, 3), float("nan"))
    assert checking._near(nothing, torch.zeros(2, 3), "here").ok is False


def test_a_run_that_ended_early_is_checked_so_far(run, capsys):
    summary = run.summary()
    stages = dict(list(summary.stages.items())[:6])
    assert list(stages)[-1] == "encode"
    run.top.commit("summary.json", Summary(stages=stages).model_dump_json().encode())
    code, states, printed = checked(run, capsys)
    assert code == 0
    assert {name for name, state in states.items() if state == "-"} == OF_THE_PRIOR | {
        "batch of 1 = of N"
    }
    assert "not finished: prior, clip" in printed
    assert "4 ok, 0 failed, 5 not done" in printed


def test_a_prior_too_large_for_a_cpu_is_left_to_a_gpu(sound, capsys, monkeypatch):
    monkeypatch.setattr(selfcheck.Run, "too_slow", lambda self, rows: "9 TFLOP; use --gpu")
    code, states, printed = checked(sound, capsys)
    assert code == 0
    assert {name for name, state in states.items() if state == "-"} >= OF_THE_PRIOR
    assert "use --gpu" in printed


def test_no_run_is_one_sentence(tmp_path, capsys):
    assert selfcheck.main(["--root", str(tmp_path)]) == 2
    said = capsys.readouterr().err
    assert said.startswith("error: wanted a run under")
    assert len(said.splitlines()) == 1


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_a_gpu_that_is_not_there_is_one_sentence(sound, capsys):
    assert selfcheck.main(["--root", sound.root, "--gpu"]) == 2
    assert "found none" in capsys.readouterr().err
