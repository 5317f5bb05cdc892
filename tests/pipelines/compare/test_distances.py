"""Distances by feature networks in two reports: compared only where they were made alike."""

import pytest

from pipelines.compare import __main__ as compare
from pipelines.compare.comparison_file import RunComparison
from schemas.metric_value import FeatureNetwork, ReferenceSet, Reported, Resize
from schemas.run_report.networks_part import DistanceFromHeldOut, NetworkFigures
from tests.stages.reports import small_report


def measured(name, sha256, value):
    """What a network of this name and weights says of first pictures, 0.1 to either side."""
    made = Reported(
        metric="fd_without_bias",
        value=value,
        interval=(value - 0.1, value + 0.1),
        network=FeatureNetwork(name=name, sha256=sha256 * 64),
        reference=ReferenceSet(name="held-out pairs", sha256="f" * 64, count=500),
        resize=Resize(method="bicubic", antialias=True, side=224),
        count=300,
        depends_on_count=False,
    )
    distance = DistanceFromHeldOut(at_count=made, without_bias=made)
    return NetworkFigures(network=made.network, distances={"first": distance}, copies=None)


def report(path, clip, dino):
    networks = (measured("clip:of-the-run", clip, 0.5), measured("dinov2:base", "d", dino))
    found = small_report().model_copy(update={"networks": networks})
    path.write_text(found.model_dump_json())
    return str(path)


@pytest.mark.parametrize(
    ("second", "verdict"), [(1.5, "A better, p < 0.001"), (1.05, "not beyond noise")]
)
def test_the_same_network_is_compared_and_each_runs_own_clip_is_not(
    second, verdict, tmp_path, capsys
):
    one = report(tmp_path / "one.json", "a", 1.0)
    other = report(tmp_path / "other.json", "b", second)
    page = tmp_path / "compare.html"
    assert compare.main([one, other, "--out", str(page)]) == 0
    rows = {
        row.section.rpartition(" ")[2]: row
        for row in RunComparison.model_validate_json(page.with_suffix(".json").read_bytes()).figures
        if row.section.startswith("distance from held-out pictures")
    }
    dino, clip = rows["dinov2:base"], rows["clip:of-the-run"]
    assert (dino.name, dino.values) == ("first pictures drawn", (1.0, second))
    assert dino.verdicts[0].words == verdict
    assert clip.verdicts[0].finding == "not compared"
    assert "feature network: clip:of-the-run (aaaaaaaaaaaa)" in clip.verdicts[0].how
    printed = " ".join(capsys.readouterr().out.split())
    assert "distance from held-out pictures, by dinov2:base" in printed
    assert "0.9 to 1.1" in printed  # a distance has no unit; its interval neither
    assert "0.9 to 1.1" in page.read_text()
