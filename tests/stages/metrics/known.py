"""Features whose moments are known exactly, and the metrics that other packages gave for some."""

import numpy as np

# What torch-fidelity, torchmetrics and prdc gave for `two_sets()`; by_other_packages.py says how.
TWO_SETS = (7, 400, 24)  # seed, pictures of each set, features


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
    whitened = values @ np.linalg.inv(np.linalg.cholesky(np.cov(values.T))).T
    return mean + whitened @ np.linalg.cholesky(covariance).T


def random_covariance(rng, width):
    factor = rng.standard_normal((width, width))
    return factor @ factor.T / width + 0.1 * np.eye(width)
