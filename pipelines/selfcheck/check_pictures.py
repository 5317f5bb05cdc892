"""Check that a picture does not depend on its batch."""

from pipelines.selfcheck.run import CheckResult, Run
from schemas.settings import LANE, ComputeRun, SampleSettings
from stages.sample.generator import load_generator

CANDIDATES = LANE + 1  # so that a prompt has two lanes
SEED = 0


def alone_and_in_a_batch(run: Run) -> CheckResult:
    """Draw a picture alone and in a batch of candidates of two prompts: no bit may differ."""
    prompts = run.example.captions
    rows = 2 * LANE  # of a tile, always computed as a whole
    if reason := run.too_slow(rows * len(prompts) + rows):
        return CheckResult(None, reason)
    generator = load_generator(
        run.inputs, SampleSettings(tile=rows, run=ComputeRun(gpu=run.device.type == "cuda"))
    )
    batch = generator.draw(prompts, range(CANDIDATES), SEED)
    ((alone,),) = generator.draw(prompts[-1:], range(1), SEED)
    (same,) = (drawn for drawn in batch[-1] if drawn.candidate == 0)
    values, score = int((alone.pixels != same.pixels).sum()), alone.clip_score != same.clip_score
    differ = values + int(score)
    compared = f"{differ} of {alone.pixels.size + 1:,} values"
    batch_size = len(prompts) * CANDIDATES
    return CheckResult(differ == 0, f"{compared} differ in a batch of {batch_size} (limit 0)")
