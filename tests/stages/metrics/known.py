"""Features whose moments are known exactly, and the metrics that other packages gave for some."""

import numpy as np

TWO_SETS = (7, 400, 24)  # seed, pictures of each set, features

# What by_other_packages.py printed for `two_sets` and `two_sets_of_logits`: torch-fidelity 0.4.0
# (in whose precision and recall the first set counts as drawn) and prdc 0.2, with numpy 2.4.6.
TORCH_FIDELITY = {
    "frechet": 0.1342620774139176,
    "kid_of_all": 0.005557537078857422,
    "inception_score": (3.29808789213618, 0.28111779782821317),
    "inception_score_of_64": (2.5387481226376987, 0.3347755894191198),
    "precision_recall_3": (0.74, 0.77),
}
PRDC = {
    3: {"precision": 0.74, "recall": 0.77, "density": 0.8216666666666665, "coverage": 0.82},
    5: {"precision": 0.8475, "recall": 0.8625, "density": 0.841, "coverage": 0.945},
}


def two_sets():
    """Return real and drawn features: float32, positive and skewed as Inception's."""
    seed, count, width = TWO_SETS
    rng = np.random.default_rng(seed)
    real = rng.gamma(2.0, 0.25, (count, width)) + 0.3 * rng.random((count, 1))
    drawn = rng.gamma(1.7, 0.28, (count, width)) + 0.4 * rng.random((count, 1))
    return real.astype(np.float32), drawn.astype(np.float32)


def two_sets_of_logits():
    seed, count, width = TWO_SETS
    return 2 * np.random.default_rng(seed + 1).standard_normal((count, width)).astype(np.float32)


def exact_sample(rng, mean, covariance, count):
    """Draw features whose sample mean and covariance are these to the last digits."""
    values = rng.standard_normal((count, len(mean)))
    values -= values.mean(axis=0)
    own = np.atleast_2d(np.cov(values.T))
    whitened = values @ np.linalg.inv(np.linalg.cholesky(own)).T
    return mean + whitened @ np.linalg.cholesky(covariance).T


def random_covariance(rng, width):
    factor = rng.standard_normal((width, width))
    return factor @ factor.T / width + 0.1 * np.eye(width)
