"""The whole tree of settings, and what its parts must agree on."""

from collections.abc import Iterator
from typing import Annotated, Literal, NamedTuple, Self

from pydantic import Field, model_validator
from pydantic.fields import FieldInfo

from schemas.settings.base import Config, How, Input, Shared
from schemas.settings.clip import ClipSettings
from schemas.settings.crawl import CrawlSettings
from schemas.settings.dvae import DvaeSettings
from schemas.settings.encode import EncodeSettings
from schemas.settings.evaluate import EvaluateSettings
from schemas.settings.filter import FilterSettings
from schemas.settings.measure import MeasureSettings
from schemas.settings.prior import PriorSettings
from schemas.settings.sample import SampleSettings
from schemas.settings.tokens import BYTES, BpeSettings, TokenSpec

Minutes = Annotated[float, Field(ge=1, le=10_080)]  # a week


class Settings(Config):
    """The whole tree; `--set path=value` reaches any leaf. The defaults are the paper's."""

    minutes: Minutes | None = Field(
        None,
        description="about how long a run on CPUs may take; sizes models and trainings by it, by "
        "the number of pictures and by the machine; null: all as set",
    )
    tokens: TokenSpec = TokenSpec()
    crawl: CrawlSettings = CrawlSettings()
    measure: MeasureSettings = MeasureSettings()
    filter: FilterSettings = FilterSettings()
    bpe: BpeSettings = BpeSettings()
    dvae: DvaeSettings = DvaeSettings()
    encode: EncodeSettings = EncodeSettings()
    prior: PriorSettings = PriorSettings()
    clip: ClipSettings = ClipSettings()
    sample: SampleSettings = SampleSettings()
    evaluate: EvaluateSettings = EvaluateSettings()

    @model_validator(mode="after")
    def _stages_know_the_sizes(self) -> Self:
        sizes = dict(self.tokens) | {"side": self.tokens.side, "tokens": self.tokens}
        for name in type(self).model_fields:
            node = getattr(self, name)
            if not isinstance(node, Config):
                continue
            given = {field: sizes[field] for field in node.marked(Shared)}
            self.__dict__[name] = node.model_copy(update=given)  # frozen for everybody else
        return self

    @model_validator(mode="after")
    def _every_picture_can_be_kept_and_written(self) -> Self:
        tokens, clip = self.tokens, self.clip
        if tokens.text_vocab < BYTES:
            raise ValueError(
                f"tokens.text_vocab must be at least {BYTES}, one id for each byte so that any "
                f"caption can be written, found {tokens.text_vocab}"
            )
        if tokens.side**2 > self.crawl.max_pixels:
            raise ValueError(
                f"crawl.max_pixels must be at least {tokens.side**2}, the pixels of a picture with "
                f"tokens.grid={tokens.grid}, found {self.crawl.max_pixels}"
            )
        if clip.patch > tokens.side and not clip.pretrained:
            raise ValueError(
                f"clip.patch must be at most {tokens.side}, the side of a picture with "
                f"tokens.grid={tokens.grid}, found {clip.patch}"
            )
        return self

    @model_validator(mode="after")
    def _prompts_can_be_drawn_and_judged(self) -> Self:
        sample, prompts = self.sample, self.sample.prompts
        if sample.guidance != 1 and self.prior.caption_dropout == 0:
            raise ValueError(
                f"sample.guidance={sample.guidance} wants a prior that is trained with some "
                "captions left out; set prior.caption_dropout to 0.1, or guidance to 1"
            )
        if self.evaluate.judge != "none" and sample.forget:
            raise ValueError(
                f"evaluate.judge={self.evaluate.judge} wants the pixels of every candidate, found "
                "sample.forget=true; set it to false, or evaluate.judge to none"
            )
        if sample.given_rows >= self.tokens.grid:
            raise ValueError(
                f"sample.given_rows={sample.given_rows} leaves nothing to draw of "
                f"tokens.grid={self.tokens.grid} rows; the paper gives 15 of 32"
            )
        if sample.given_rows and prompts.kind == "world":
            raise ValueError(
                f"sample.given_rows={sample.given_rows} wants prompts with pictures, and the "
                "world's have none; use sample.prompts.kind=validation, or a file that names them"
            )
        if prompts.kind == "world" and self.crawl.source.kind != "world":
            raise ValueError(
                "sample.prompts.kind=world wants crawl.source.kind=world, found "
                f"{self.crawl.source.kind}; use validation or file"
            )
        return self


class Leaf(NamedTuple):
    """One setting that can be set."""

    path: str  # dotted
    field: FieldInfo
    kind: Literal["what", "how", "input"]  # in the fingerprint: its value, nothing, what is there


def leaves(node: type[Config] = Settings, prefix: str = "") -> Iterator[Leaf]:
    """Yield every setting: of each node its own, then those of the nodes in it."""
    below = {}
    for name, field in node.model_fields.items():
        if name in node.marked(Shared):
            continue
        if isinstance(field.default, Config):
            below[f"{prefix}{name}."] = type(field.default)
        elif name in node.marked(Input):
            yield Leaf(prefix + name, field, "input")
        else:
            yield Leaf(prefix + name, field, "how" if issubclass(node, How) else "what")
    for path, inside in below.items():
        yield from leaves(inside, path)
