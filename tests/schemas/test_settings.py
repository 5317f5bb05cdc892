"""What a fingerprint has of the settings, and that each says what it is."""

import hashlib
import json

import pytest
from pydantic import create_model

from pipelines.full import dalle
from schemas.errors import SchemaMismatch
from schemas.manifest import Manifest
from schemas.settings import Config, How, Settings, TokenSpec, leaves
from schemas.tokens import TokenHeader

STAGES = {stage.name: stage for stage in dalle(Settings())}
DEFAULTS = {  # stage -> its REVISION, and a digest of its defaults
    "crawl": (3, "e058ea686b07"),
    "measure": (2, "2dcb4a83fd04"),
    "filter": (3, "f55f7302e5cd"),
    "train_bpe": (1, "43924763e10a"),
    "train_dvae": (2, "1ecaca267623"),
    "encode": (3, "3a74f602ec62"),
    "train_prior": (4, "fb4fab33c595"),
    "train_clip": (2, "90a44a348ca7"),
    "sample": (6, "e64ee2c215d6"),
    "evaluate": (15, "32fb780c1af9"),
}


@pytest.mark.parametrize("name", STAGES)
def test_a_default_is_what_it_was_when_its_stages_revision_was_made(name):
    """A fingerprint has only what differs from its default, so a default never changes alone."""
    stage = STAGES[name]
    text = json.dumps(stage.config.what(), sort_keys=True)
    found = (stage.module.REVISION, hashlib.sha256(text.encode()).hexdigest()[:12])
    assert found == DEFAULTS[name], (
        f"REVISION or defaults of {name} are now {found}. Update this table if the REVISION was "
        "raised, or for a new setting whose default changes nothing; else raise the REVISION"
    )


@pytest.mark.parametrize("name", STAGES)
def test_a_new_setting_makes_nothing_stale_unless_it_is_set(name):
    config = STAGES[name].config
    newer = create_model("Newer", __base__=type(config), novelty=(int, 3))
    own = {field: getattr(config, field) for field in type(config).model_fields}
    assert newer(**own).digest == config.digest
    assert newer(**own, novelty=4).digest != config.digest


def test_what_differs_from_a_part_of_another_default_counts():
    """Of the same fit, each training has its own defaults."""
    cfg = Settings()
    own = cfg.prior.model_copy(update={"fit": cfg.clip.fit})
    assert own.changed()["fit"]["learning_rate"] == cfg.clip.fit.learning_rate
    assert cfg.prior.changed() == cfg.clip.changed() == {}


def test_a_part_is_how_if_and_only_if_it_is_called_run_or_gate():
    def parts(node):
        for name in type(node).model_fields:
            if isinstance(value := getattr(node, name), Config):
                yield name, value
                yield from parts(value)

    for name, part in parts(Settings()):
        assert isinstance(part, How) == (name in ("run", "gate")), name


@pytest.mark.parametrize("leaf", list(leaves()), ids=lambda leaf: leaf.path)
def test_every_setting_says_what_it_is(leaf):
    assert len((leaf.field.description or "").split()) >= 2


def test_a_picture_has_the_pixels_of_its_codes():
    sides = {patch: TokenSpec(grid=6, patch=patch).side for patch in (4, 8, 16)}
    assert sides == {4: 24, 8: 48, 16: 96}
    cfg = Settings.model_validate({"tokens": {"grid": 6, "patch": 4}, "dvae": {"patch": 16}})
    assert (cfg.dvae.patch, cfg.dvae.side, cfg.crawl.side) == (4, 24, 24)
    assert "tokens.patch" in {leaf.path for leaf in leaves()} >= {"clip.patch"}
    assert "dvae.patch" not in {leaf.path for leaf in leaves()}


def test_a_token_file_says_how_large_its_codes_are_where_they_are_not_the_papers():
    usual, finer = header_of(8), header_of(4)
    assert "patch" not in usual.text()  # as in files that could have no other
    assert (usual.spec.patch, finer.spec.patch) == (8, 4)
    assert usual.differences(finer) == {"patch": ("nothing", "4")}
    assert TokenHeader.read(finer.schema, where="x") == finer
    with pytest.raises(SchemaMismatch, match="a wrong value of"):
        TokenHeader.read(finer.and_also(patch=5).schema, where="x")


def header_of(patch):
    dvae, bpe = (
        Manifest.model_construct(fingerprint=name, content_sha256=name) for name in ("dvae", "bpe")
    )
    spec = TokenSpec(text_vocab=300, text_len=5, image_vocab=7, grid=3, patch=patch)
    return TokenHeader.of(dvae, bpe, spec)


def test_sizes_that_stages_share_are_set_in_one_place():
    cfg = Settings.model_validate({"tokens": {"grid": 4}, "crawl": {"side": 7}})
    assert cfg.crawl.side == cfg.filter.side == cfg.dvae.side == cfg.clip.side == 32
    assert cfg.encode.tokens == cfg.prior.tokens == cfg.tokens
    assert not [leaf.path for leaf in leaves() if leaf.path.endswith((".side", ".tokens"))]
