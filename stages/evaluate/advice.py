"""What to change where a run is weak: never what the run did already.

A setting is named with the value that it should have, or with the one that it has now. What is not
in a manifest, because the run is of an older release, had today's default.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

from schemas.run_report.baselines_part import ChooserFigures
from schemas.run_report.stages_part import StageRecord
from schemas.run_report.training_part import HeldOutLoss
from schemas.settings import RankBy, Settings
from stages.evaluate.held_out_loss import overfits
from stages.models.ranking import CALLED

# Stages, and what their part of the settings is called.
STAGES = (
    ("train_dvae", "dvae"),
    ("train_prior", "prior"),
    ("train_clip", "clip"),
    ("sample", "sample"),
)
SMALLEST_PATCH = 4


@dataclass(frozen=True)
class Advice:
    """Remedies for one run, each a clause without its full stop."""

    settings: Mapping[str, Mapping[str, Any]]  # of the stages, by their part of the settings
    overfits: bool

    @classmethod
    def of(cls, stages: Mapping[str, StageRecord], prior: HeldOutLoss | None) -> Self:
        """Read what the stages did from their manifests, and whether the prior overfitted."""
        defaults = Settings().model_dump()
        found = {part: stages[name].settings if name in stages else {} for name, part in STAGES}
        settings = {part: _filled(defaults[part], own) for part, own in found.items()}
        return cls(settings, overfits=prior is not None and overfits(prior))

    def value(self, path: str) -> Any:
        """Return what the run had for a setting."""
        part, *names = path.split(".")
        found: Any = self.settings[part]
        for name in names:
            found = found[name]
        return found

    def now(self, path: str) -> str:
        """Name a setting with what the run had for it."""
        value = self.value(path)
        return f"{path}, now {format(value, 'g') if isinstance(value, float) else value}"

    def codes_like_kmeans(self) -> str:
        """Say how reconstructions come to be as good as those of k-means."""
        longer = self.now("dvae.fit.steps")
        if self.value("dvae.pretrained"):
            return self._other_dvae()
        if self.value("dvae.init") == "patches":
            return f"train what its decoder adds longer ({longer})"
        return f"let the dVAE start there (dvae.init=patches), or train it longer ({longer})"

    def more_codes(self) -> str:
        """Say how more of the codebook comes into use."""
        if self.value("dvae.pretrained"):
            return self._other_dvae()
        if self.value("dvae.init") == "patches":
            patch, vocab = self.value("dvae.patch"), self.value("dvae.image_vocab")
            if patch > SMALLEST_PATCH:
                return f"let a code stand for fewer pixels (tokens.patch, now {patch})"
            return (
                f"so few codes are all that these pictures need (tokens.image_vocab, now {vocab})"
            )
        shares = ("dvae.beta_ramp_share", "dvae.temperature_share")
        slower = [self.now(path) for path in shares if self.value(path) < 1]
        longer = f"train the dVAE longer ({self.now('dvae.fit.steps')})"
        if not slower:
            return longer
        named = "; ".join(slower)
        return f"{longer}, or let its KL weight and temperature change more slowly ({named})"

    def better_prior(self) -> str:
        """Say how the prior comes to know more of pictures it has not seen."""
        if self.overfits:
            return (
                f"it overfits, so use more pictures or more dropout ({self.now('prior.dropout')})"
            )
        size = "; ".join(self.now(path) for path in ("prior.layers", "prior.heads"))
        longer = self.now("prior.fit.steps")
        return f"train the prior longer ({longer}), or with more parameters ({size})"

    def no_overfitting(self, lowest_step: int) -> str:
        """Say how the prior is kept from overfitting."""
        best_of = self.value("prior.fit.best_of") == 1
        return (
            f"stop there (prior.fit.steps={lowest_step}), "
            + ("keep the best (prior.fit.best_of=10), " if best_of else "")
            + f"or use more pictures or more dropout ({self.now('prior.dropout')})"
        )

    def likelier_drawings(self) -> str:
        """Say how pictures are drawn that the prior finds likelier."""
        return f"lower {'; '.join(self.now(f'sample.{name}') for name in ('temperature', 'top_p'))}"

    def other_ranking(self, found: ChooserFigures | None) -> str | None:
        """Say what would choose better among the candidates; None if nothing that was measured."""
        ours: RankBy = self.value("sample.rank_by")
        shares = {} if found is None else _shares(found)
        best = max(shares, key=lambda way: (shares[way], way == ours), default=ours)
        if best == ours:
            return None
        right = f"{100 * shares[best]:.1f} %"
        return f"rank by {CALLED[best]} (sample.rank_by={best}), whose choice is right for {right}"

    def better_ranking(self) -> str:
        """Say how what the run ranks by comes to tell more."""
        if self.value("sample.rank_by") == "likelihood":
            return self.better_prior()
        if self.value("clip.pretrained"):
            return f"take another CLIP ({self.now('clip.pretrained')})"
        return f"train CLIP longer ({self.now('clip.fit.steps')})"

    def _other_dvae(self) -> str:
        return f"take other weights ({self.now('dvae.pretrained')}), or train the dVAE here"


def _filled(defaults: Mapping[str, Any], found: Mapping[str, Any]) -> dict[str, Any]:
    """Return a tree of settings, with the defaults where it has none."""
    nodes = {
        name: _filled(own, found.get(name, {}))
        for name, own in defaults.items()
        if isinstance(own, Mapping)
    }
    return {**defaults, **found, **nodes}


def _shares(found: ChooserFigures) -> dict[RankBy, float]:
    """Return how often each way to rank is right, of those that were measured."""
    every = found.all
    shares: dict[RankBy, float | None] = {
        "clip": every.clip, "likelihood": every.prior_likelihood, "both": every.both,
    }  # fmt: skip
    return {way: share for way, share in shares.items() if share is not None}
