import re

import pytest

from pipelines.full import main
from pipelines.options import resolve
from pipelines.renamed import RENAMED
from schemas.errors import ConfigError
from schemas.settings import Settings, WorldSettings, leaves


@pytest.mark.parametrize(
    ("assignment", "value"),
    [
        ("prior.layers = 12", 12),
        (" prior.layers=12 ", 12),
        ("prior.layers=1_2", 12),
        ("prior.layers=+12", 12),
        ("prior.layers='12'", 12),
        ("prior.layers=012", 12),
        ("prior.layers=12.0", 12),
        ("prior.fit.learning_rate=1e-3", 1e-3),
        ("encode.gate.force=true", True),
        ("encode.gate.force=on", True),
        ("encode.gate.force=Yes", True),
        ("encode.gate.force=0", False),
        ("dvae.fit.clip_norm=null", None),
        ("dvae.fit.clip_norm=None", None),
        ("dvae.fit.clip_norm=none", None),
        ("dvae.fit.clip_norm=", None),
        ("crawl.source.separator=\t", "\t"),
        ("crawl.source.separator=';'", ";"),
        ("crawl.source.separator=,", ","),
        ("evaluate.judge=none", "none"),
        ("crawl.run.contact=https://example.org/?a=b", "https://example.org/?a=b"),
        ("crawl.source.columns=caption, url", ("caption", "url")),
        ("crawl.source.columns=[caption, url]", ("caption", "url")),
        ("crawl.source.columns=[010, no]", ("010", "no")),
        ("crawl.source.columns=[]", ()),
        ("crawl.run.allow_hosts=127.0.0.1:80", ("127.0.0.1:80",)),
        ("crawl.run.allow_hosts=[a.test:80=10.0.0.1:8080, b:80]",
         ("a.test:80=10.0.0.1:8080", "b:80")),
    ],
)  # fmt: skip
def test_a_value_as_people_write_it(assignment, value):
    found = resolve("tiny", None, [assignment])
    for name in assignment.partition("=")[0].strip().split("."):
        found = getattr(found, name)
    assert (found, type(found)) == (value, type(value))


def test_a_file_goes_over_the_preset_and_assignments_over_the_file(tmp_path):
    file = tmp_path / "my.yaml"
    file.write_text("prior: {layers: 3, heads: 5}\nsample: {candidates: 9}\n")
    settings = resolve("tiny", file, ["prior.heads=7"])
    assert (settings.prior.layers, settings.prior.heads, settings.sample.candidates) == (3, 7, 9)


@pytest.mark.parametrize(
    ("assignment", "sentence"),
    [
        ("prior.layrs=3", "there is no setting 'prior.layrs'; did you mean 'prior.layers'?"),
        ("prior=3", "there is no setting 'prior'; it has parts, such as 'prior.layers'"),
        ("prior.layers=-1", "prior.layers: input should be greater than 0, found '-1'"),
        ("prior.layers=many", "prior.layers: input should be a valid integer"),
        ("prior.layers", "--set wants path=value, found 'prior.layers'"),
        ("prior.conv_kernel=4", "prior: conv_kernel must be odd to have a centre, found 4"),
        ("crawl.source.kind=ftp", "crawl.source.kind: input should be 'urls', 'folder'"),
        ("crawl.run.allow_hosts=[localhost]", "must be host:port, or host:port=address:port"),
        ("crawl.run.allow_hosts=[a", "--set wants a list such as [a, b], found '[a'"),
        ("prior.caption_dropout=0", "sample.guidance=1.5 wants a prior that is trained with some"),
        (
            "prior.fit.learning_rate=0,001",
            "prior.fit.learning_rate: input should be a valid number",
        ),
        (
            "prior.fit.learning_rate=1e\u20133",
            "prior.fit.learning_rate: input should be a valid number",
        ),
        ("prior.fit.learning_rate=nan", "prior.fit.learning_rate: input should be a finite number"),
        (
            "prior.fit.learning_rate=-inf",
            "prior.fit.learning_rate: input should be a finite number",
        ),
        ("prior.layers=“12”", "prior.layers: input should be a valid integer"),
        ("prior.layers=true", "prior.layers: input should be a valid integer"),
        ("prior.layers=", "prior.layers: input should be a valid integer"),
        ("prior.layers=null", "prior.layers: input should be a valid integer"),
        ("prior.layers==3", "prior.layers: input should be a valid integer"),
        ("=3", "there is no setting ''"),
        ("", "--set wants path=value, found ''"),
        ("Prior.Layers=3", "did you mean 'prior.layers'?"),
        ("prior.layers.deep=3", "did you mean 'prior.layers'?"),
        ("encode.gate.force=wahr", "encode.gate.force: input should be a valid boolean"),
        ("crawl.run.allow_hosts=[a: b]", "crawl.run.allow_hosts.0: input should be a valid string"),
        ("crawl.run.allow_hosts=[!!python/name:os.system x]", "--set wants a list such as [a, b]"),
        (f"prior.layers={'9' * 5_000}", "prior.layers: unable to parse input string"),
        ("crawl.source.path=s3:/bucket/x", "crawl.source.path must be a path or an address"),
        ("crawl.source.path=C:\\pics", "crawl.source.path must be a path of this machine"),
        ("crawl.source.path=~nobody-of-that-name/x", "crawl.source.path must be a path, found"),
        ("crawl.source.kind=folder", "sample.prompts.kind=world wants crawl.source.kind=world"),
        # What only a stage would have refused, hours later.
        ("tokens.text_vocab=255", "tokens.text_vocab must be at least 256, one id for each byte"),
        ("tokens.text_len=16384", "must be at most 16384, because an attention mask"),
        ("tokens.patch=5", "tokens.patch: patch must be 4, 8 (the paper's) or 16, found 5"),
        ("tokens.grid=2000", "tokens: text_len + grid x grid must be at most 16384"),
        ("crawl.max_pixels=255", "crawl.max_pixels must be at least 256, the pixels of a picture"),
        ("crawl.timeout_seconds=1e6", "input should be less than or equal to 86400"),
        ("crawl.run.contact=a\nb", "crawl.run.contact: string should match pattern"),
        ("crawl.source.world.seed=-1", "input should be greater than or equal to 0"),
        ("filter.max_chars=4", "min_chars (5) must not exceed max_chars (4): every caption"),
        ("filter.max_aspect=0.9", "filter.max_aspect: input should be greater than or equal to 1"),
        ("filter.validation_share=1", "filter.validation_share: input should be less than 1"),
        ("dvae.temperature_end=1e-9", "input should be greater than or equal to 0.000001"),
        ("dvae.fit.seed=9223372036854775808", "dvae.fit.seed: input should be less than"),
        ("prior.fit.learning_rate=1e99", "prior.fit.learning_rate: must be between 1e-30 and 1e30"),
        ("encode.rows_per_shard=2147483648", "encode.rows_per_shard: input should be less than"),
        ("clip.run.micro_batch_size=2", "micro_batch_size must be null, because every pair is"),
        ("clip.heads=3", "clip: width must be a multiple of heads, found 16 and 3"),
        (
            "clip.patch=17",
            "clip.patch must be at most 16, the side of a picture with tokens.grid=2",
        ),
        ("clip.text_len=2", "clip.text_len: input should be greater than or equal to 3"),
        (
            "sample.tile=24",
            "sample: tile must be a multiple of 16, or less than that, found 24; try 16",
        ),
        ("sample.temperature=1e-7", "input should be greater than or equal to 0.000001"),
    ],
)
def test_a_bad_setting_is_one_sentence(assignment, sentence):
    with pytest.raises(ConfigError) as caught:
        resolve("tiny", None, [assignment])
    assert sentence in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(("old", "new"), RENAMED.items())
def test_a_renamed_setting_answers_with_its_new_name(old, new, tmp_path):
    assert new in {leaf.path for leaf in leaves()}
    file = tmp_path / "old.yaml"
    file.write_text(f"{old}: 1")
    for given in ({"assignments": [f"{old}=1"]}, {"file": file}):
        with pytest.raises(ConfigError, match=f"'{old}' is called '{new}' now; use that name$"):
            resolve("tiny", **given)


def test_the_settings_are_printed_in_80_columns_with_all_that_was_set(capsys):
    assert main(["--preset", "tiny", "--set", "prior.layers=12", "--settings"]) == 0
    printed = capsys.readouterr().out
    assert all(len(line) <= 80 for line in printed.splitlines())
    lines = [" ".join(line.split()) for line in printed.splitlines()]
    assert "prior.layers = 12 (default 64) what" in lines
    assert 'crawl.source.path = "" input' in lines
    said = " ".join(lines)
    for path, field, kind in leaves():
        assert re.search(rf"{re.escape(path)} = .* {kind} {re.escape(field.description)}", said)
    assert main(["--settings", "prior.run"]) == 0
    printed = capsys.readouterr().out
    assert "gradient accumulation" in printed
    assert {line.split(" = ")[0].rpartition(".")[0] for line in printed.splitlines()
            if " = " in line} == {"prior.run"}  # fmt: skip
    assert main(["--settings", "priors"]) == 2
    assert "found 'priors'; did you mean 'prior'?" in capsys.readouterr().err


def test_every_leaf_can_be_named_and_how_settings_leave_the_digest_alone():
    paths = [leaf.path for leaf in leaves()]
    assert {"crawl.source.world.pictures", "prior.fit.learning_rate", "tokens.grid"} <= set(paths)
    before = resolve("tiny", None, [])
    how = resolve(
        "tiny", None, ["crawl.run.workers=9", "crawl.source.path=/x", "prior.run.workers=3"]
    )
    what = resolve("tiny", None, ["crawl.retries=9"])
    assert how.digest == before.digest
    assert what.digest != before.digest
    assert isinstance(Settings().crawl.source.world, WorldSettings)


@pytest.mark.parametrize(
    ("preset", "tokenizer"),
    [
        ("paper", ("random", 8, 256)),
        ("h200", ("random", 8, 256)),
        ("tiny", ("random", 8, 16)),
        ("demo", ("random", 8, 96)),
        ("small", ("patches", 4, 64)),
    ],
)
def test_only_small_starts_as_kmeans(preset, tokenizer):
    dvae = resolve(preset).dvae
    assert (dvae.init, dvae.patch, dvae.side) == tokenizer
