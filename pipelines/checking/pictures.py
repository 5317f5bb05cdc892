"""Is a picture the same in any company?"""

from pipelines.checking.run import Found, Run
from schemas.configs import SampleSettings
from stages.models.sampler import LANE
from stages.sample.generator import load_generator

CANDIDATES = LANE + 1  # so that a prompt has two lanes
SEED = 0


def company(run: Run) -> Found:
    """Draw pictures of one prompt alone, and among many of two prompts: not a bit may differ."""
    prompts = run.example.captions
    rows = 2 * LANE  # of a tile, always computed as a whole
    much = run.too_much(rows * len(prompts) + rows)
    if much:
        return Found(None, much)
    generator = load_generator(run.inputs, SampleSettings(tile=rows, gpu=run.device.type == "cuda"))
    together = generator.draw(prompts, range(CANDIDATES), SEED)
    ((alone,),) = generator.draw(prompts[-1:], range(1), SEED)
    (same,) = (drawn for drawn in together[-1] if drawn.candidate == 0)
    values, score = int((alone.pixels != same.pixels).sum()), alone.clip_score != same.clip_score
    differ = values + int(score)
    many = len(prompts) * CANDIDATES
    said = f"{differ} of {alone.pixels.size + 1:,} values differ among {many}, 0 allowed"
    return Found(differ == 0, said)
