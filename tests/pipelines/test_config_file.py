"""A file of settings as people save it: any encoding, strict, bounded, one sentence."""

import pytest

from pipelines.config_file import read_file
from pipelines.options import resolve
from schemas.errors import ConfigError

TEXT = "# höhere Auflösung\nprior: {layers: 3}\nsample: {candidates: 9}\n"


def saved(tmp_path, data):
    file = tmp_path / "my.yaml"
    file.write_bytes(data if isinstance(data, bytes) else data.encode())
    return file


def settings(tmp_path, data):
    return resolve("tiny", saved(tmp_path, data), [])


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-32"])
@pytest.mark.parametrize("line_end", ["\n", "\r\n", "\r"])
def test_every_encoding_that_names_itself_is_read(tmp_path, encoding, line_end):
    found = settings(tmp_path, TEXT.replace("\n", line_end).encode(encoding))
    assert (found.prior.layers, found.sample.candidates) == (3, 9)


@pytest.mark.parametrize(
    "text",
    [
        "crawl.retries: 7",
        "crawl: {retries: 7}",
        "crawl:\n  retries: '7'",
        '{"crawl": {"retries": 7}}',
        "crawl: &c {retries: 7}",
        "crawl:\n  retries: 7 # seven\n...",
        "---\ncrawl:\n  retries: 7\n",
        "%YAML 1.1\n---\ncrawl: {retries: 7}",
    ],
)
def test_forms_that_mean_the_same(tmp_path, text):
    assert settings(tmp_path, text).crawl.retries == 7


@pytest.mark.parametrize(
    ("text", "path", "value"),
    [
        ("prior.fit.learning_rate: 1e-3", "prior.fit.learning_rate", 1e-3),  # YAML 1.1: a word
        ("crawl.retries: 010", "crawl.retries", 10),  # eight
        ("crawl.retries: 1_000", "crawl.retries", 1_000),
        ("encode.gate.force: on", "encode.gate.force", True),
        ("encode.gate.force: no", "encode.gate.force", False),
        ("encode.gate.force: True", "encode.gate.force", True),
        ("crawl.user_agent: no", "crawl.user_agent", "no"),  # false
        ("crawl.user_agent: 2024-01-01", "crawl.user_agent", "2024-01-01"),  # a date
        ("crawl.user_agent: 12", "crawl.user_agent", "12"),
        ("crawl.user_agent: 0x1F", "crawl.user_agent", "0x1F"),
        ("dvae.fit.clip_norm: null", "dvae.fit.clip_norm", None),
        ("dvae.fit.clip_norm: ~", "dvae.fit.clip_norm", None),
        ("dvae.fit.clip_norm:", "dvae.fit.clip_norm", None),
        ("dvae.fit.clip_norm: None", "dvae.fit.clip_norm", None),
        ("evaluate.judge: none", "evaluate.judge", "none"),
        ("crawl.run.allow_hosts: ['10.0.0.1:80', 10.0.0.1:8080]", "crawl.run.allow_hosts",
         ("10.0.0.1:80", "10.0.0.1:8080")),
        ("crawl.run.allow_hosts: 10.0.0.1:80", "crawl.run.allow_hosts", ("10.0.0.1:80",)),
        ("crawl.source.separator: '\t'", "crawl.source.separator", "\t"),
    ],
)  # fmt: skip
def test_a_value_means_what_it_means_to_set(tmp_path, text, path, value):
    found = settings(tmp_path, text)
    for name in path.split("."):
        found = getattr(found, name)
    assert (found, type(found)) == (value, type(value))


def test_anchors_and_merges_are_written_out(tmp_path):
    text = (
        "dvae:\n  fit: &f {learning_rate: 2e-3, batch_size: 9}\n"
        "prior:\n  fit:\n    <<: *f\n    learning_rate: 1e-3\n"
    )
    found = settings(tmp_path, text)
    assert (found.prior.fit.learning_rate, found.prior.fit.batch_size) == (1e-3, 9)
    assert found.dvae.fit.learning_rate == 2e-3


LAUGHS = "a: &a [x]\n" + "".join(
    f"{new}: &{new} [{', '.join([f'*{old}'] * 9)}]\n" for old, new in zip("abcdefgh", "bcdefghi",
                                                                        strict=True)
)  # fmt: skip


@pytest.mark.parametrize(
    ("data", "sentence"),
    [
        ("prior: {layers: 3, layers: 4}", "'layers' twice"),
        ("prior: {layers: 3}\nprior: {heads: 4}", "'prior' twice"),
        ("prior.layers: 3\nprior: {layers: 4}", "says 'prior.layers' twice"),
        (TEXT.encode("latin-1"), "is not UTF-8 (line 1); save it as UTF-8"),
        (TEXT.encode("shift_jis", "replace") + b"\x82", "is not UTF-8 (line 4)"),
        ("prior: {}".encode("utf-16-le"), "UTF-16 without its mark"),
        (TEXT.encode("utf-16")[:-1], "is not UTF-16"),
        (b"\x89PNG\r\n\x1a\n\0\0", "is not UTF-8"),
        (b"PK\x03\x04\0\0", "no text"),
        ("prior:\n\tlayers: 3", "indent with spaces"),
        ("[prior]\nlayers = 3", "is not YAML"),
        ("prior.layers = 3", "must map names to values, found 'prior.layers = 3'"),
        ("a: [", "is not YAML"),
        ("- prior", "must map names to values"),
        ("0", "must map names to values"),
        ("false", "must map names to values"),
        ("''", "must map names to values"),
        ("a: 1\n---\nb: 2", "single document"),
        ("prior: !!python/object/apply:os.system ['true']", "could not determine a constructor"),
        ("prior: !mine 3", "could not determine a constructor"),
        ("prior: {layers: *nobody}", "undefined alias"),
        (LAUGHS, "aliases stand for more than"),
        ("a: &a [*a]", "aliases stand for more than"),
        ("a: &a {b: *a}", "aliases stand for more than"),
        ("a: " + "[" * 5_000, "nested too deeply"),
        ("a: 1\n" * 300_000, "more than 1,048,576 bytes"),
        ("? [a]\n: 1", "unhashable"),
        ("prior: {layers: yes}", "prior.layers: input should be a valid integer"),
        ("prior: {layers: [3]}", "prior.layers: input should be a valid integer"),
        ("prior: {layers: null}", "prior.layers: input should be a valid integer"),
        ("prior: {fit: {learning_rate: 0,001}}", "there is no setting 'prior.fit.001'"),
        (
            "prior.fit.learning_rate: 0,001",
            "prior.fit.learning_rate: input should be a valid number",
        ),
        ("prior.fit.learning_rate: .nan", "prior.fit.learning_rate: input should be a"),
        (
            "prior.fit.learning_rate: nan",
            "prior.fit.learning_rate: input should be a finite number",
        ),
        (
            "prior.fit.learning_rate: inf",
            "prior.fit.learning_rate: input should be a finite number",
        ),
        ("prior.fit.steps: 1e5", "prior.fit.steps: input should be a valid integer"),
        ("crawl: {sorce: {}}", "there is no setting 'crawl.sorce'"),
        ("nosuch: {}", "there is no setting 'nosuch'"),
        ("crawl:\n- &x 1\n", "no setting 'crawl'; it has parts"),
        ("prior: {layers: {}}", "prior.layers: input should be a valid integer"),
        ("1: 2", "there is no setting '1'"),
        ("null: 2", "there is no setting 'None'"),
        ("a: \x07", "special characters are not allowed"),
    ],
)
def test_what_cannot_be_read_is_one_short_sentence(tmp_path, data, sentence):
    with pytest.raises(ConfigError) as caught:
        settings(tmp_path, data)
    assert sentence in str(caught.value)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 700


@pytest.mark.parametrize("text", ["", "\n", "# nothing yet\n", "---\n", "null", "\ufeff"])
def test_a_file_without_settings_changes_none(tmp_path, text):
    assert read_file(saved(tmp_path, text)) == {}


@pytest.mark.parametrize("text", ["prior: {}", "crawl: {source: {}}"])
def test_an_empty_part_of_a_file_changes_nothing(tmp_path, text):
    assert settings(tmp_path, text) == settings(tmp_path, "")


@pytest.mark.parametrize("place", [".", "nosuch.yaml", "-", "/dev/zero"])
def test_a_place_that_is_no_file_of_settings(tmp_path, place, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigError, match="--config wants"):
        resolve("tiny", tmp_path / place, [])
