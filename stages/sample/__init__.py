"""Draw many candidates for every prompt and rank them by CLIP, by likelihood, or by both.

Reads   bpe, dvae, prior, clip, and token_pairs for validation captions
Writes  samples  (rows.SAMPLE: every candidate, best first; loose PNGs of the best few)
Where   Ray Data actors: each loads the models once, then draws shards of prompts
Paper   section 2.6: 512 candidates, temperature 1, reranked by CLIP
"""

from stages.sample.stage import REVISION, forecast, outside, run

__all__ = ["REVISION", "forecast", "outside", "run"]
