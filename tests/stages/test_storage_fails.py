"""A storage that fails is one sentence, whichever setting names a path there."""

import pytest
from s3fs import S3FileSystem

from schemas.errors import UserError
from schemas.settings import FilterSettings, MeasureSettings
from stages import filter as filter_stage
from stages import measure
from stages.filter.decontaminate import evaluation_pictures
from stages.sample import prompts
from stages.weights import published, torch_files

FAILS = {
    "s3://bucket/x.png": "ValueError: Invalid endpoint",
    "gs://bucket/x.png": "ImportError",
    "nosuch://bucket/x.png": "ValueError: Protocol not known",
}


def filtered(**changes):
    return filter_stage.outside(FilterSettings(side=8, **changes))


READERS = {
    "a dVAE's weights": published.open_published,
    "a model's weights": torch_files.read_tensors,
    "sample.prompts.path": prompts._read,
    "filter.decontaminate": evaluation_pictures,
    "filter.decontaminate[0]": lambda path: filtered(decontaminate=(path,)),
    "measure.clip": lambda path: measure.outside(MeasureSettings(clip=path)),
}


@pytest.fixture
def no_store(monkeypatch):
    """Lead to nowhere."""
    for name, value in {
        "AWS_ENDPOINT_URL": "nowhere", "AWS_ACCESS_KEY_ID": "somebody",
        "AWS_SECRET_ACCESS_KEY": "something",
    }.items():  # fmt: skip
        monkeypatch.setenv(name, value)
    S3FileSystem.clear_instance_cache()
    yield
    S3FileSystem.clear_instance_cache()


@pytest.mark.parametrize("path", FAILS)
@pytest.mark.parametrize("setting", READERS)
def test_it_is_one_sentence_that_names_the_path_and_what_failed(no_store, setting, path):
    with pytest.raises(UserError) as error:
        READERS[setting](path)
    said = str(error.value)
    assert said.startswith(f"wanted to look into '{path}' of {setting}, found {FAILS[path]}")
    assert said.endswith("; mend that, or give another")
    assert "\n" not in said
