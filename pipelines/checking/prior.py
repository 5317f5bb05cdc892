"""Does the prior compute the same in all its ways, and never look ahead?

All in float32, on token pairs of the run. Dimensions as in `stages.models.sampler`.
"""

from collections.abc import Callable
from functools import partial

import torch
from jaxtyping import Float, Int
from torch import Tensor

from pipelines.checking.run import Found, Run
from stages.models import sparse_attention
from stages.models.incremental_decoding import Prefix, TileDecoder
from stages.models.masks import Attend, MaskName, make_mask, masked_attention
from stages.models.prior import Prior
from stages.models.rotary import rotary_attention
from stages.models.sampling import guide

ALLOWED = 1e-4  # of a logit's size and one


def cached(run: Run) -> Found:
    """Compare the sampler's logits, code by code from its cache, with the forward pass's.

    Once from the first code on, and once with half of a picture given, as when it is completed.
    """
    _, text, codes = run.example
    much = run.too_much(3 * len(text))
    if much:
        return Found(None, much)
    plain = run.prior(text, codes)[1]
    half = codes.shape[1] // 2
    found = [
        _near(from_cache(run.prior, text, codes, given), plain[:, given:], f"{places} positions")
        for given, places in ((half, codes.shape[1] - half), (0, codes.shape[1]))
    ]
    return next((one for one in found if not one.good), found[-1])


def guided(run: Run) -> Found:
    """Compare guidance 1, which computes each row with and without its caption, with none."""
    _, text, codes = run.example
    much = run.too_much(3 * len(text))
    if much:
        return Found(None, much)
    empty = torch.full_like(text, run.prior.pad)
    conditional, unconditional = from_cache(
        run.prior, torch.cat([text, empty]), torch.cat([codes, codes])
    ).chunk(2)
    plain = run.prior(text, codes)[1]
    return _near(guide(conditional, unconditional, 1.0), plain, f"{plain.shape[1]} positions")


def from_cache(
    prior: Prior, text: Int[Tensor, "b T"], codes: Int[Tensor, "b I"], given: int = 0
) -> Float[Tensor, "b I-given K"]:
    """Return the sampler's logits of every code, whatever they say taking the given ones."""
    decoder = TileDecoder(prior, len(text), 1, torch.float32)
    logits = [
        decoder.load([Prefix(prior, *one) for one in zip(text, codes[:, :given], strict=True)])
    ]
    logits += [decoder.step(codes[:, place, None]) for place in range(given, codes.shape[1] - 1)]
    return torch.cat(logits, dim=1)


def whole_masks(run: Run) -> Found:
    """Compare the forward pass, and attention in blocks, with one that reads whole masks."""
    _, text, codes = run.example
    much = run.too_much(3 * len(text))
    if much:
        return Found(None, much)
    prior = run.prior

    def dense(name: MaskName) -> Attend:
        return partial(masked_attention, mask=make_mask(name, prior.layout).to(run.device))

    def in_blocks(name: MaskName) -> Attend:  # only longer sequences are computed so otherwise
        return sparse_attention.in_blocks(name, prior.layout)

    wanted = _forward(prior, text, codes, dense)
    ways = [run.prior(text, codes)[1]]
    if run.device.type == "cpu":
        ways.append(_forward(prior, text, codes, in_blocks))
    found = [_near(logits, wanted, f"{prior.shape.layers} layers") for logits in ways]
    return next((one for one in found if not one.good), found[-1])


def _forward(
    prior: Prior,
    text: Int[Tensor, "b T"],
    codes: Int[Tensor, "b I"],
    attention: Callable[[MaskName], Attend],
) -> Float[Tensor, "b I K"]:
    """Write the forward pass out, with the given attention of each mask."""
    codes = codes[:, :-1]
    places = torch.arange(codes.shape[1], device=codes.device)
    x = torch.cat([prior.embed_text(text), prior.embed_image(codes, places)], dim=1)
    for name, block in zip(prior.mask_names, prior.blocks, strict=True):
        attend = attention(name)
        if not prior.learned_positions:
            attend = partial(rotary_attention, angles=prior.get_buffer("angles"), attend=attend)
        x = block(x, attend)
    return prior.image_head(prior.norm(x)[:, prior.tokens.text_len :])


def causal(run: Run) -> Found:
    """Change a code or a word: what comes before may not move by a bit, what comes after must."""
    _, text, codes = run.example
    length, words = codes.shape[1], text.shape[1]
    places = sorted({0, length // 3, length // 2, length - 2})
    slots = sorted({0, words // 2, words - 1})
    much = run.too_much((1 + len(places) + len(slots)) * len(text))
    if much:
        return Found(None, much)
    of_text, of_codes = run.prior(text, codes)
    before: list[float] = []
    stayed = 0
    for place in places:
        other = codes.clone()
        other[:, place] = (other[:, place] + 1) % run.prior.tokens.image_vocab
        text_now, codes_now = run.prior(text, other)
        before.append(_moved(text_now, of_text))
        before.append(_moved(codes_now[:, : place + 1], of_codes[:, : place + 1]))
        stayed += int(_moved(codes_now[:, place + 1 :], of_codes[:, place + 1 :]) == 0)
    for slot in slots:
        other = text.clone()
        other[:, slot] = (other[:, slot] + 1) % run.prior.pad
        text_now, codes_now = run.prior(other, codes)
        before.append(_moved(text_now[:, : slot + 1], of_text[:, : slot + 1]))
        stayed += int(_moved(codes_now, of_codes) == 0)
    changes = len(places) + len(slots)
    said = f"{changes} tokens changed: earlier logits move by {max(before):.1g}, 0 allowed"
    if stayed:
        said += f"; {stayed} of them change nothing after them"
    return Found(all(move == 0 for move in before) and not stayed, said)


def _moved(now: Tensor, before: Tensor) -> float:
    return (now - before).abs().max().item()


def _far(found: Tensor, wanted: Tensor) -> float:
    return ((found - wanted).abs() / (1 + wanted.abs())).max().item()


def _near(found: Tensor, wanted: Tensor, where: str) -> Found:
    far = _far(found, wanted)
    return Found(far <= ALLOWED, f"{where}: apart by {far:.1e} at most, {ALLOWED:.0e} allowed")
