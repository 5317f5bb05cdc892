"""Whether codes are worth having, in words."""

from typing import Any

ENOUGH_DECIBELS = 1.0  # above the best picture of a single colour: less is a collapse


def warning(health: dict[str, Any]) -> str | None:
    """Say in words that the codes collapsed, if they did."""
    if health["psnr_db"] < health["mean_colour_psnr_db"] + ENOUGH_DECIBELS:
        return (
            f"the codes carry next to nothing: {health['psnr_db']:.1f} dB, and a picture's mean "
            f"colour alone gives {health['mean_colour_psnr_db']:.1f} dB; "
            f"{health['codes_used']} codes are used. Train longer, with a smaller step size, "
            "a smaller batch or a larger dvae.beta"
        )
    return None
