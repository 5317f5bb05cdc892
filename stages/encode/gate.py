"""Is the dVAE good enough to encode a corpus with?"""

from typing import NamedTuple

from schemas.configs import EncodeJob
from schemas.errors import GateClosed
from schemas.manifest import Manifest


class Check(NamedTuple):
    """A setting of encode that bounds a figure of the dVAE's health."""

    setting: str
    figure: str
    what: str  # with a place for the number

    def met(self, found: float, bound: float) -> bool:
        """Say whether the figure is on the right side of its bound."""
        return found <= bound if self.setting.startswith("max_") else found >= bound


CHECKS = (
    Check("min_codes_used", "codes_used", "{:g} codes in use"),
    Check("min_perplexity", "perplexity", "a perplexity of {:.4g}"),
    Check("min_psnr_db", "psnr_db", "{:.1f} dB of reconstructions"),
    Check("max_psnr_gap_db", "psnr_gap_db", "a gap of {:.1f} dB between mixtures and single codes"),
)
USUAL_ADVICE = "train it longer (dvae.fit.steps)"
TAKEN_OVER = "train one on these pictures instead (dvae.pretrained= with nothing behind it)"


def check_quality(dvae: Manifest, cfg: EncodeJob) -> None:
    """Raise GateClosed if the dVAE's health misses a bound and `force` is not set.

    Says each figure that was wanted and found, and what to change: what training saw go wrong
    stands in the manifest (`alarm`).
    """
    missed = [
        check
        for check in CHECKS
        if not check.met(dvae.health[check.figure], getattr(cfg, check.setting))
    ]
    if cfg.force or not missed:
        return
    wanted = [check.what.format(getattr(cfg, check.setting)) for check in missed]
    found = [check.what.format(dvae.health[check.figure]) for check in missed]
    settings = " and ".join(f"encode.{check.setting}" for check in missed)
    usual = TAKEN_OVER if dvae.settings.get("pretrained") else USUAL_ADVICE
    advice = dvae.health["alarm"] or usual
    raise GateClosed(
        f"wanted a dVAE good enough to encode with ({', '.join(wanted)}), "
        f"found {', '.join(found)}; {advice}; or move {settings}, or encode anyway with "
        "encode.force=true"
    )
