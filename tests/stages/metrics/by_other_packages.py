"""Print what other packages give for the sets of known.py, to be written down there.

`python -m tests.stages.metrics.by_other_packages`, where torch-fidelity and prdc are installed; no
test needs them.
"""

import sys
from importlib.metadata import version

import numpy as np
import torch

from tests.stages.metrics.known import two_sets, two_sets_of_logits


def by_torch_fidelity(real, drawn, logits):
    from torch_fidelity import metric_fid, metric_isc, metric_kid, metric_prc

    quiet = {"verbose": False}
    statistics = [metric_fid.fid_features_to_statistics(torch.from_numpy(f)) for f in (real, drawn)]
    tensors = torch.from_numpy(real), torch.from_numpy(drawn)
    yield "frechet", metric_fid.fid_statistics_to_metric(*statistics, False)
    # one subset that holds all pictures
    yield (
        "kid_of_all",
        metric_kid.kid_features_to_metric(
            *tensors, kid_subsets=1, kid_subset_size=len(real), rng_seed=0, **quiet
        ),
    )
    for name, some in (("inception_score", logits), ("inception_score_of_64", logits[:64])):
        yield (
            name,
            metric_isc.isc_features_to_metric(
                torch.from_numpy(some), splits=10, shuffle=False, rng_seed=0
            ),
        )
    yield (
        "precision_recall",
        metric_prc.prc_features_to_metric(
            *tensors, prc_neighborhood=3, prc_batch_size=1_000, save_cpu_ram=False, **quiet
        ),
    )


def by_prdc(real, drawn):
    from prdc import compute_prdc

    for k in (3, 5):
        yield f"k = {k}", {name: float(v) for name, v in compute_prdc(real, drawn, k).items()}


def main():
    print(sys.version.split()[0], "numpy", np.__version__, "torch", torch.__version__)
    for package, found in (
        ("torch-fidelity", by_torch_fidelity(*two_sets(), two_sets_of_logits())),
        ("prdc", by_prdc(*two_sets())),
    ):
        print(package, version(package))
        for name, value in found:
            print(" ", name, value)


if __name__ == "__main__":
    main()
