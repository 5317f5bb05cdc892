"""Score how likely a picture is not safe for work, by the model in the package nudenet."""

from schemas.errors import ConfigError
from stages import pictures

# Of the 18 classes of the model, those that must not be in a public sample.
UNSAFE = frozenset(
    {
        "ANUS_EXPOSED",
        "BUTTOCKS_EXPOSED",
        "FEMALE_BREAST_EXPOSED",
        "FEMALE_GENITALIA_EXPOSED",
        "MALE_GENITALIA_EXPOSED",
    }
)


class Nsfw:
    """The detector, opened once; raises ConfigError where its package is not installed."""

    def __init__(self) -> None:
        try:
            from nudenet import NudeDetector
        except ImportError as error:
            raise ConfigError(
                "measure.nsfw wants the package nudenet, found none; "
                "run `pip install 'dalle-ray[nsfw]'` on every machine, or set it to false"
            ) from error
        self.detector = NudeDetector()

    def score(self, picture: bytes) -> float:
        """Return the surest finding's score, 0 to 1; the model keeps quiet below 0.2."""
        found = self.detector.detect(pictures.decode(picture)[..., ::-1])
        return max((hit["score"] for hit in found if hit["class"] in UNSAFE), default=0.0)
