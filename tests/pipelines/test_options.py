import pytest

from pipelines.options import leaf_paths, resolve
from schemas.configs import Settings, WorldSettings
from schemas.errors import ConfigError


def test_an_assignment_is_turned_into_the_fields_own_type():
    settings = resolve(
        "tiny", None, ["prior.layers=12", "prior.fit.lr=1e-3", "encode.force=true",
                       "crawl.allow_hosts=[127.0.0.1:80, a.test:80=10.0.0.1:8080]",
                       "dvae.fit.clip_norm=null"]
    )  # fmt: skip
    assert settings.prior.layers == 12
    assert settings.prior.fit.lr == 1e-3
    assert settings.encode.force is True
    assert settings.crawl.allow_hosts == ("127.0.0.1:80", "a.test:80=10.0.0.1:8080")
    assert settings.dvae.fit.clip_norm is None


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
        ("encode.force=on", True),
        ("encode.force=Yes", True),
        ("encode.force=0", False),
        ("dvae.fit.clip_norm=None", None),
        ("dvae.fit.clip_norm=none", None),
        ("dvae.fit.clip_norm=", None),
        ("crawl.source.separator=\t", "\t"),
        ("crawl.source.separator=';'", ";"),
        ("crawl.source.separator=,", ","),
        ("evaluate.judge=none", "none"),
        ("crawl.contact=https://example.org/?a=b", "https://example.org/?a=b"),
        ("crawl.source.columns=caption, url", ("caption", "url")),
        ("crawl.source.columns=[caption, url]", ("caption", "url")),
        ("crawl.source.columns=[010, no]", ("010", "no")),
        ("crawl.source.columns=[]", ()),
        ("crawl.allow_hosts=127.0.0.1:80", ("127.0.0.1:80",)),
    ],
)
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
        ("crawl.allow_hosts=[localhost]", "must be host:port, or host:port=address:port"),
        ("crawl.allow_hosts=[a", "--set wants a list such as [a, b], found '[a'"),
        ("prior.caption_dropout=0", "sample.guidance=1.5 wants a prior that is trained with some"),
        ("prior.fit.lr=0,001", "prior.fit.lr: input should be a valid number"),
        ("prior.fit.lr=1e\u20133", "prior.fit.lr: input should be a valid number"),
        ("prior.fit.lr=nan", "prior.fit.lr: input should be a finite number"),
        ("prior.fit.lr=-inf", "prior.fit.lr: input should be a finite number"),
        ("prior.layers=“12”", "prior.layers: input should be a valid integer"),
        ("prior.layers=true", "prior.layers: input should be a valid integer"),
        ("prior.layers=", "prior.layers: input should be a valid integer"),
        ("prior.layers=null", "prior.layers: input should be a valid integer"),
        ("prior.layers==3", "prior.layers: input should be a valid integer"),
        ("=3", "there is no setting ''"),
        ("", "--set wants path=value, found ''"),
        ("Prior.Layers=3", "did you mean 'prior.layers'?"),
        ("prior.layers.deep=3", "did you mean 'prior.layers'?"),
        ("encode.force=wahr", "encode.force: input should be a valid boolean"),
        ("crawl.allow_hosts=[a: b]", "crawl.allow_hosts.0: input should be a valid string"),
        ("crawl.allow_hosts=[!!python/name:os.system x]", "--set wants a list such as [a, b]"),
        (f"prior.layers={'9' * 5_000}", "prior.layers: unable to parse input string"),
        ("crawl.source.path=s3:/bucket/x", "crawl.source.path must be a path or an address"),
        ("crawl.source.path=C:\\pics", "crawl.source.path must be a path of this machine"),
        ("crawl.source.path=~nobody-of-that-name/x", "crawl.source.path must be a path, found"),
        ("crawl.source.kind=folder", "sample.prompts.kind=world wants crawl.source.kind=world"),
    ],
)
def test_a_bad_setting_is_one_sentence(assignment, sentence):
    with pytest.raises(ConfigError) as caught:
        resolve("tiny", None, [assignment])
    assert sentence in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_bad_file_is_one_sentence(tmp_path):
    file = tmp_path / "my.yaml"
    for text in ("- 1", "a: [", "prior: {layrs: 1}"):
        file.write_text(text)
        with pytest.raises(ConfigError) as caught:
            resolve("tiny", file, [])
        assert "\n" not in str(caught.value)


def test_the_demos_world_is_no_part_of_a_crawl_of_something_else():
    folder = ["crawl.source.kind=folder", "sample.prompts.kind=validation"]
    other = "crawl.source.world.seed=9"
    before, after = (resolve("tiny", None, [*folder, *more]) for more in ([], [other]))
    assert before.crawl.digest == after.crawl.digest
    assert resolve("tiny", None, []).crawl.digest != resolve("tiny", None, [other]).crawl.digest


def test_every_leaf_can_be_named_and_how_settings_leave_the_digest_alone():
    paths = list(leaf_paths())
    assert {"crawl.source.world.pictures", "prior.fit.lr", "tokens.grid"} <= set(paths)
    before = resolve("tiny", None, [])
    how = resolve("tiny", None, ["crawl.workers=9", "crawl.source.path=/x", "prior.fit.workers=3"])
    what = resolve("tiny", None, ["crawl.retries=9"])
    assert how.digest == before.digest
    assert what.digest != before.digest
    assert isinstance(Settings().crawl.source.world, WorldSettings)
