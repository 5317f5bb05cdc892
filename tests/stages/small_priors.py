"""Settings of priors that are small enough to measure what is estimated of them."""

from schemas.settings import PriorSettings, PriorShape, TokenSpec
from tests.stages.training.toy import settings

TOKENS = TokenSpec(text_vocab=50, text_len=15, image_vocab=40, grid=7)


def shape(layers, **options):
    return PriorShape(layers=layers, heads=2, head_dim=32, conv_kernel=3, **options)


def job(layers, **changes):
    return PriorSettings(**dict(shape(layers)), tokens=TOKENS, **dict(settings(**changes)))
