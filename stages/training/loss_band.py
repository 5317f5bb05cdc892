"""Is this loss normal? A run's training loss against the band in which runs like it have been.

A band is a file beside this one, with the settings of the runs that it was made from; it holds for
runs with the same settings, whatever their seed and wherever they run. `python -m
pipelines.make_loss_band` makes it.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import ValidationError

from schemas.settings import Config

FOLDER = Path(__file__).with_name("bands")
FAR = 2.0  # widths of the band, as ratios, outside of it: no accident


class LossBand(Config):
    """Between which values the terms of a loss were, at shares of a run."""

    settings: dict[str, Any]
    runs: int
    shares: tuple[float, ...]
    low: dict[str, tuple[float, ...]]
    high: dict[str, tuple[float, ...]]

    def outside(self, share: float, means: Mapping[str, float]) -> tuple[str, bool]:
        """Return which terms are outside of the band, in words, and whether one is far out.

        The sentence is empty where all are inside.
        """
        found, far = [], False
        for name in self.low:
            low = float(np.interp(share, self.shares, self.low[name]))
            high = float(np.interp(share, self.shares, self.high[name]))
            value = means[name]
            if not low <= value <= high:
                side = "below" if value < low else "above"
                found.append(f"{name} {value:.3g} is {side} the usual {low:.3g} to {high:.3g}")
                room = (high / low) ** FAR
                far = far or not low / room <= value <= high * room
        return ", ".join(found), far


def loss_band_of(cfg: Config) -> LossBand | None:
    """Return the band of runs with these settings, if there is one."""
    for path in sorted(FOLDER.glob("*.json")):
        band = LossBand.model_validate_json(path.read_text())
        if _same(band.settings, cfg):
            return band
    return None


def without_seed(cfg: Config) -> dict[str, Any]:
    """Return the settings that decide how a loss falls, as JSON would give them back."""
    tree = json.loads(json.dumps(cfg.what()))
    tree["fit"].pop("seed")
    return dict(tree)


def _same(settings: Mapping[str, Any], cfg: Config) -> bool:
    """Compare settings by meaning: one added later had its default's meaning before."""
    try:
        return without_seed(type(cfg).model_validate(settings)) == without_seed(cfg)
    except ValidationError:
        return False
