"""Refuse to encode a corpus with a dVAE that is not good enough."""

import math
from typing import NamedTuple

from schemas.errors import GateClosed
from schemas.manifest import Manifest
from schemas.settings import EncodeSettings


class Check(NamedTuple):
    """A setting of encode that bounds a figure of the dVAE's health."""

    setting: str
    figure: str
    what: str  # with a place for the number
    nothing: str  # what is said where there is none

    def met(self, found: float | None, bound: float) -> bool:
        if found is None:
            return False
        return found <= bound if self.setting.startswith("max_") else found >= bound

    def shown(self, found: float | None) -> str:
        return self.nothing if found is None else self.what.format(found)


CHECKS = (
    Check("min_codes_used", "codes_used", "{:g} codes in use", "no count of codes in use"),
    Check("min_perplexity", "perplexity", "a perplexity of {:.4g}", "no perplexity"),
    Check(
        "min_psnr_db", "psnr_db", "{:.1f} dB of reconstructions", "no decibels of reconstructions"
    ),
    Check(
        "max_psnr_gap_db",
        "psnr_gap_db",
        "a gap of {:.1f} dB between mixtures and single codes",
        "no gap between mixtures and single codes",
    ),
)
USUAL_ADVICE = "train it longer (dvae.fit.steps)"
TAKEN_OVER = "train one on these pictures instead (dvae.pretrained= with nothing behind it)"
UNMEASURED = "a figure that is not finite was not measured, so its weights are useless"


def check_quality(dvae: Manifest, cfg: EncodeSettings) -> None:
    """Raise GateClosed if the dVAE's health misses a bound and `force` is not set.

    Says each figure that was wanted and found, and what to change: what training saw go wrong
    stands in the manifest (`alarm`).
    """
    figures = {check: number(dvae.health.get(check.figure)) for check in CHECKS}
    missed = [
        check
        for check, found in figures.items()
        if not check.met(found, getattr(cfg.gate, check.setting))
    ]
    if cfg.gate.force or not missed:
        return
    wanted = [check.what.format(getattr(cfg.gate, check.setting)) for check in missed]
    found = [check.shown(figures[check]) for check in missed]
    settings = " and ".join(f"encode.gate.{check.setting}" for check in missed)
    raise GateClosed(
        f"wanted a dVAE good enough to encode with ({', '.join(wanted)}), "
        f"found {', '.join(found)}; {advice(dvae, figures)}; or move {settings}, or encode anyway "
        "with encode.gate.force=true"
    )


def number(found: object) -> float | None:
    """Return a figure of a manifest if it is a finite number; what is none stands there as null."""
    good = isinstance(found, int | float) and math.isfinite(found)
    return float(found) if good else None  # type: ignore[arg-type]


def advice(dvae: Manifest, figures: dict[Check, float | None]) -> str:
    usual = TAKEN_OVER if dvae.settings.get("pretrained") else USUAL_ADVICE
    if None in figures.values():
        return f"{UNMEASURED}; {usual}"
    return str(dvae.health.get("alarm") or usual)
