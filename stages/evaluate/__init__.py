"""Measure the whole run and write it down for people: report.json, one page, contact sheets.

Reads   pairs, clean_pairs, bpe, dvae, token_pairs, prior, clip, samples
Writes  report    (report.json, index.html, sheets/<set>.png, sheets/reconstructions.png)
Where   one process; pictures stream through, none of the tables is held whole
Paper   figures 1, 3 and 9 in spirit: reconstructions, best of N, the effect of N
"""

from stages.evaluate.report import REVISION, outside, run

__all__ = ["REVISION", "outside", "run"]
