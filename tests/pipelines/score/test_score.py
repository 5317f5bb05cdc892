"""A small set in MS-COCO's formats goes the way of the 30,000 captions; what is off is named."""

import hashlib
import html
import io
import json
import re

import numpy as np
import pytest
import torch
from rich.console import Console
from scipy.linalg import sqrtm

from pipelines.score.__main__ import main
from pipelines.score.picture_files import fitted
from pipelines.score.score_file import ScoreFile, require_comparable
from pipelines.score.score_table import show
from schemas.errors import ConfigError
from stages.features.networks import open_network
from stages.metrics.blur import gaussian_blur
from stages.pictures import decode
from tests.pipelines.score import coco
from tests.stages.published import save_clip


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """The set, a CLIP, and drawings of two systems, named by picture: one of them noisier."""
    folder = coco.build(tmp_path_factory.mktemp("score"))
    (folder / "clip").mkdir()
    torch.manual_seed(0)
    save_clip(folder / "clip", text_len=24, projection=8)
    coco.draw(folder / "ours", coco.image_ids())
    coco.draw(folder / "noisy", coco.image_ids(), noise=90)
    return folder


def score(folder, capsys, *more, out="score.json", pictures=("ours",), reference="val2014"):
    """Run the command; return its exit code, what it wrote, and what it printed."""
    line = [
        "--captions", folder / "captions_val2014.json", "--count", 20, "--side", coco.SIDE,
        "--reference", folder / reference, "--features", folder / "clip", "--out", folder / out,
    ]  # fmt: skip
    for name in pictures:
        line += ["--pictures", folder / name]
    code = main([str(word) for word in (*line, *more)])
    printed = capsys.readouterr()
    found = None
    if code != 2:
        found = ScoreFile.model_validate_json((folder / out).read_bytes())
    return code, found, printed.out + printed.err


def values(system, metric, overlap=False):
    return [
        one.value
        for one in system.values
        if one.metric == metric and ("overlap" in one.parameters) == overlap
    ]


def features(folder, files, radius):
    network = open_network(str(folder / "clip"), "clean")
    pixels = [fitted(decode(file.read_bytes()), coco.SIDE) for file in files]
    return network.see([gaussian_blur(one, radius) for one in pixels]).features.astype(float)


def distance(x, y):
    """The Frechet distance written out, with the root of a product that is not symmetric."""
    a, b = np.cov(x.T), np.cov(y.T)
    away = x.mean(0) - y.mean(0)
    return away @ away + np.trace(a + b - 2 * sqrtm(a @ b).real)


def test_all_is_measured_as_it_is_defined(made, capsys):
    code, found, printed = score(made, capsys, pictures=("ours", "noisy"))
    assert code == 0
    assert (found.captions.listed, found.captions.chosen) == (coco.PICTURES * coco.EACH, 20)
    ours, noisy = found.systems
    assert (ours.name, ours.count, ours.called) == (
        "ours",
        20,
        "NAME.png, NAME is the picture's id",
    )
    drawn = [made / "ours" / f"{number}.png" for number in coco.image_ids()]
    chosen = found_names(made)
    drawn = [file for file in drawn if file.stem in chosen]
    real = sorted((made / "val2014").iterdir())
    for radius, value in zip((0, 1, 2, 4, 8), values(ours, "fd"), strict=True):
        wanted = distance(features(made, real, radius), features(made, drawn, radius))
        assert value == pytest.approx(wanted, abs=1e-6)
    assert values(ours, "fd")[0] < values(noisy, "fd")[0]
    metrics = {one.metric for one in ours.values}
    assert metrics == {
        "fd", "kid", "precision", "recall", "density", "coverage", "cmmd", "clip_score",
        "r_precision",
    }  # fmt: skip
    for word in ("ours", "noisy", "Frechet distance by blur radius", "KID", "CLIP score"):
        assert word in printed


def found_names(folder):
    """The picture ids of the choice, as --list writes them."""
    path = folder / "chosen.jsonl"
    line = ["--captions", folder / "captions_val2014.json", "--count", 20, "--list", path]
    assert main([str(word) for word in line]) == 0
    names = [json.loads(row)["picture"] for row in path.read_text().splitlines()]
    return {str(int(name.rpartition("_")[2])) for name in names}


def test_every_number_says_what_it_was_made_with(made, capsys):
    _, found, printed = score(made, capsys)
    weights = hashlib.sha256((made / "clip/model.safetensors").read_bytes()).hexdigest()
    real = sorted((made / "val2014").iterdir())
    lines = "".join(f"{f.name} {hashlib.sha256(f.read_bytes()).hexdigest()}\n" for f in real)
    reference = hashlib.sha256(lines.encode()).hexdigest()
    for one in found.systems[0].values:
        assert one.network.sha256 == weights
        assert (one.count, one.resize.side) == (20, 16)
        assert one.reference is None or one.reference.sha256 == reference
        assert one.parameters["pictures"] == "centre square, bicubic to 32"
        assert "20 drawn" in one.flag
    assert "* of only 20 drawn and 24 reference pictures, fewer than 10,000" in printed
    assert "only equal numbers compare" not in printed


def test_the_same_evaluation_writes_the_same_bytes(made, capsys):
    for out in ("one.json", "two.json"):
        score(made, capsys, "--infinity", out=out)
    assert (made / "one.json").read_bytes() == (made / "two.json").read_bytes()


def test_overlaps_are_left_out_of_a_second_set_of_numbers(made, capsys, tmp_path):
    """They are those of a reference that never had these pictures."""
    names = sorted(file.name for file in (made / "val2014").iterdir())
    path = tmp_path / "overlap.txt"
    path.write_text("\n".join([*names[:4], "other.jpg"]))
    code, found, printed = score(made, capsys, "--overlap", path)
    (ours,) = found.systems
    rest = made / "rest"
    rest.mkdir()
    for name in names[4:]:
        (rest / name).write_bytes((made / "val2014" / name).read_bytes())
    _, wanted, _ = score(made, capsys, reference="rest")
    assert code == 0
    for metric in ("fd", "precision", "recall", "density", "coverage"):
        assert values(ours, metric, True) == pytest.approx(values(wanted.systems[0], metric))
    hashes = {one.reference.sha256 for one in ours.values if "overlap" in one.parameters}
    assert hashes == {wanted.systems[0].values[0].reference.sha256}
    assert (found.reference.overlap.listed, found.reference.overlap.found) == (5, 4)
    assert "without overlap.txt" in printed
    assert "not in the reference: 1 (other.jpg)" in " ".join(printed.split())


def test_what_is_missing_or_unreadable_is_named_and_left_out(made, capsys):
    chosen = sorted(found_names(made))
    folder = coco.draw(made / "holes", [*chosen[3:], "77"])
    (folder / f"{chosen[3]}.png").write_bytes(b"no picture")
    real = made / "damaged"
    real.mkdir()
    for file in (made / "val2014").iterdir():
        (real / file.name).write_bytes(file.read_bytes())
    first, second = sorted(real.iterdir())[:2]
    first.write_bytes(first.read_bytes()[:40])
    second.unlink()
    code, found, printed = score(made, capsys, pictures=("holes", "ours"), reference="damaged")
    assert code == 3
    assert [system.count for system in found.systems] == [16, 20]
    assert "only equal numbers compare" in printed
    said = " ".join(printed.split())
    assert "holes: captions without a picture: 3 (" in said
    assert "holes: pictures of no chosen caption: 1 (77.png)" in said
    assert f"holes: files that cannot be read as pictures: 1 ({chosen[3]}.png)" in said
    assert f"reference: files that cannot be read as pictures: 1 ({first.name})" in said
    assert found.systems[0].values[0].reference.count == 22


def test_captions_that_are_off_are_named_on_the_whole_way(made, capsys):
    """As MS-COCO's file may be: a picture without a caption, the same caption for two pictures."""
    images, annotations = coco.read(made)
    annotations = annotations[coco.EACH :]  # the first picture has none left
    for annotation in annotations[: 2 * coco.EACH]:
        annotation["caption"] = "a cat"
    annotations[-1]["caption"] = "\n"
    annotations[-2]["image_id"] = 7
    (made / "off").mkdir()
    coco.write(made / "off", images, annotations)
    line = ["--captions", made / "off/captions_val2014.json", "--count", coco.PICTURES - 1]
    code, found, printed = score(made, capsys, *line, "--page", made / "off/score.html")
    assert code == 3
    assert [(one.count, one.called) for one in found.systems] == [
        (coco.PICTURES - 1, "NAME.png, NAME is the picture's id")
    ]
    said = " ".join(printed.split())
    page = html.unescape((made / "off/score.html").read_text())
    for whose, words in (
        ("captions", f"listed pictures without a caption: 1 ({coco.file_name(100)}); left out"),
        ("captions", "captions with the words of an earlier one: 1 ("),
        ("captions", f"empty captions: 1 ({annotations[-1]['id']}); left out"),
        ("captions", f"of pictures that the file does not list: 1 ({annotations[-2]['id']})"),
        ("ours", "pictures of no chosen caption: 1 (100.png); left out"),
    ):
        assert words in said
        assert f"<b>{whose}</b>: " in page
        assert words in page


def test_the_curve_over_the_number_of_candidates(made, capsys):
    """The best of 4 by a score that knows the real pictures is nearest to them."""
    names = sorted(found_names(made))
    folder = made / "candidates"
    for number in range(3):
        coco.draw(folder, [f"{name}/{number}" for name in names], noise=200 - 90 * number)
    for name in names:
        real = made / "val2014" / coco.file_name(int(name))
        (folder / name / "3.png").write_bytes(real.read_bytes())
    rows = [{"picture": f"{n}/{i}.png", "score": i} for n in names for i in range(4)]
    (folder / "scores.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    _, found, printed = score(made, capsys, "--best-of", 1, 2, 4, pictures=("candidates",))
    assert [system.best_of for system in found.systems] == [1, 2, 4]
    distances = [values(system, "fd")[0] for system in found.systems]
    assert distances[2] < min(distances[:2])
    assert len(set(distances)) == 3
    assert "candidates, best of 4" in printed


def test_earlier_numbers_stand_beside_these_only_if_they_were_made_alike(made, capsys):
    score(made, capsys, pictures=("noisy",), out="earlier.json")
    _, _, printed = score(made, capsys, "--beside", made / "earlier.json")
    assert "noisy (" in printed
    score(made, capsys, "--side", 24, pictures=("noisy",), out="other.json")
    code, _, printed = score(made, capsys, "--beside", made / "other.json")
    assert code == 2
    assert "differs in pictures: centre square, bicubic to 32 and centre square, bicubic to 24" in (
        printed
    )
    (made / "foreign.json").write_text("{}")
    code, _, printed = score(made, capsys, "--beside", made / "foreign.json")
    assert code == 2
    assert "wanted a score.json of format 2" in printed


def test_numbers_of_other_captions_do_not_stand_beside_these(made, capsys):
    """A CLIP score and an R-precision are as high as their captions are easy."""
    _, ours, _ = score(made, capsys)

    def with_captions(**fields):
        return ours.model_copy(update={"captions": ours.captions.model_copy(update=fields)})

    require_comparable(ours, with_captions(sha256="f" * 64), "chosen.jsonl of the same benchmark")
    require_comparable(ours, ours.model_copy(update={"captions": None}), "distances alone")
    for fields in ({"format": "CUB"}, {"format": "a table", "name": "birds.jsonl"}):
        with pytest.raises(ConfigError, match="wanted numbers of the same captions, found in 'x'"):
            require_comparable(ours, with_captions(sha256="f" * 64, **fields), "x")


def test_pictures_without_captions_are_compared_with_the_reference_alone(made, capsys):
    line = [
        "--pictures", f"real={made / 'val2014'}", "--reference", made / "val2014", "--side", "32",
        "--features", made / "clip", "--out", made / "real.json", "--radii", "0",
    ]  # fmt: skip
    assert main([str(word) for word in line]) == 0
    found = ScoreFile.model_validate_json((made / "real.json").read_bytes())
    (system,) = found.systems
    assert (system.name, system.count, found.captions) == ("real", coco.PICTURES, None)
    assert values(system, "fd") == [pytest.approx(0, abs=1e-6)]
    assert (values(system, "precision"), values(system, "coverage")) == ([1], [1])
    assert "clip_score" not in {one.metric for one in system.values}


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("", "--pictures: wanted a system's pictures to measure, found none"),
        ("--pictures a", "--reference: wanted real pictures, found none"),
        ("--pictures a --reference b", "--features: wanted a network"),
        ("--pictures x/a --pictures y/a --reference b", "--pictures: wanted names that differ"),
        ("--list c.jsonl", "--captions: wanted captions to list"),
        ("--list c.jsonl --captions c --count 0", "--count: wanted 1 or more, found 0"),
        ("--pictures a --reference b --features c --seed -1", "--seed: wanted 0 or more"),
        ("--pictures a --reference b --features c --radii -1", "--radii: wanted 0 or more"),
        ("--pictures a --reference b --features c --best-of 4", "--captions: wanted captions"),
    ],
)
def test_senseless_arguments_are_refused_in_a_sentence(line, said, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main(line.split()) == 2
    assert f"error: {said}" in capsys.readouterr().err


def test_too_few_pictures_are_refused(made, capsys):
    few = coco.draw(made / "few", list(found_names(made))[:3])
    code, _, printed = score(made, capsys, pictures=(few.name,))
    assert code == 2
    assert "--pictures: wanted at least 6 readable pictures, found 3" in printed


def test_a_picture_of_another_size_is_cut_and_resized():
    wide = np.random.default_rng(0).integers(0, 256, (20, 31, 3), dtype=np.uint8)
    assert np.array_equal(fitted(wide, 20), wide[:, 5:25])
    assert fitted(wide, 8).shape == (8, 8, 3)
    assert fitted(wide, 0) is wide


def test_the_schema_of_the_file_is_written_down():
    """Whoever changes what is in score.json raises FORMAT_VERSION, and this digest with it."""
    schema = json.dumps(ScoreFile.model_json_schema(), sort_keys=True)
    assert hashlib.sha256(schema.encode()).hexdigest()[:12] == "d9d1fe1c0004"


def test_published_rows_are_those_of_the_paper(made, capsys):
    _, found, printed = score(made, capsys)
    rows = {
        row.system: [*row.fid.values(), *row.inception_score.values()] for row in found.published
    }
    assert rows == {
        "AttnGAN": [35.2, 44.0, 72.0, 108.0, 100.0, 23.3],
        "DM-GAN": [26.5, 39.0, 73.0, 119.0, 112.3, 32.2],
        "DF-GAN": [26.5, 33.8, 55.9, 91.0, 97.0, 18.7],
        "DALL-E": [27.5, 28.0, 45.5, 83.5, 85.0, 17.9],
        "CogView": [27.1, 19.4, 13.9, 19.4, 23.6, 18.2],
    }
    assert "published" not in printed  # beside a distance that is no FID


def test_fid_stands_beside_what_papers_published_in_80_columns(made, capsys):
    _, found, _ = score(made, capsys)
    (system,) = found.systems
    renamed = [
        v.model_copy(update={"metric": v.metric.replace("fd", "fid")}) for v in system.values
    ]
    found = found.model_copy(update={"systems": (system.model_copy(update={"values": renamed}),)})
    file = io.StringIO()
    show(Console(width=80, file=file, highlight=False), found, {})
    printed = file.getvalue()
    assert max(map(len, printed.splitlines())) <= 80
    assert "…" not in printed
    (row,) = re.findall(r"^DALL-E +published +(.*?) *$", printed, re.MULTILINE)
    assert row.split() == ["27.50", "28.00", "45.50", "83.50", "85.00"]
    assert "published, not measured here" in printed
