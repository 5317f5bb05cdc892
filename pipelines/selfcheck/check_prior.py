"""Check that every way to run the prior gives the same logits, and that none looks ahead.

In float32, on token pairs of the run. Dimensions as in `stages.models.sampler`.
"""

from collections.abc import Callable
from functools import partial

import torch
from jaxtyping import Float, Int
from torch import Tensor

from pipelines.selfcheck.run import CheckResult, Run
from stages.models import sparse_attention
from stages.models.incremental_decoding import Prefix, TileDecoder
from stages.models.masks import Attend, MaskName, make_mask, masked_attention
from stages.models.prior import Prior
from stages.models.rotary import rotary_attention
from stages.models.sampling import guide

LIMIT = 1e-4  # relative to 1 + |logit|


def cached(run: Run) -> CheckResult:
    """Compare the logits of sampling with a KV cache with those of a forward pass.

    From the first code on, and with the first half of the codes given.
    """
    _, text, codes = run.example
    if reason := run.too_slow(3 * len(text)):
        return CheckResult(None, reason)
    plain = run.prior(text, codes)[1]
    half = codes.shape[1] // 2
    found = [
        _near(from_cache(run.prior, text, codes, given), plain[:, given:], f"{places} positions")
        for given, places in ((half, codes.shape[1] - half), (0, codes.shape[1]))
    ]
    return _first_failure(found)


def guided(run: Run) -> CheckResult:
    """Compare guidance 1, which runs each row with and without its caption, with no guidance."""
    _, text, codes = run.example
    if reason := run.too_slow(3 * len(text)):
        return CheckResult(None, reason)
    empty = torch.full_like(text, run.prior.pad)
    conditional, unconditional = from_cache(
        run.prior, torch.cat([text, empty]), torch.cat([codes, codes])
    ).chunk(2)
    plain = run.prior(text, codes)[1]
    return _near(guide(conditional, unconditional, 1.0), plain, f"{plain.shape[1]} positions")


def from_cache(
    prior: Prior, text: Int[Tensor, "b T"], codes: Int[Tensor, "b I"], given: int = 0
) -> Float[Tensor, "b I-given K"]:
    """Return the sampler's logits of every code, fed with `codes` whatever it would pick."""
    decoder = TileDecoder(prior, len(text), 1, torch.float32)
    prefixes = [Prefix(prior, *one) for one in zip(text, codes[:, :given], strict=True)]
    logits = [decoder.load(prefixes)]
    logits += [decoder.step(codes[:, place, None]) for place in range(given, codes.shape[1] - 1)]
    return torch.cat(logits, dim=1)


def whole_masks(run: Run) -> CheckResult:
    """Compare sparse attention, and attention in blocks, with dense attention under the mask."""
    _, text, codes = run.example
    if reason := run.too_slow(3 * len(text)):
        return CheckResult(None, reason)
    prior = run.prior

    def dense(name: MaskName) -> Attend:
        return partial(masked_attention, mask=make_mask(name, prior.layout).to(run.device))

    def in_blocks(name: MaskName) -> Attend:  # the forward pass does so for long sequences only
        return sparse_attention.in_blocks(name, prior.layout)

    wanted = _forward(prior, text, codes, dense)
    ways = [run.prior(text, codes)[1]]
    if run.device.type == "cpu":
        ways.append(_forward(prior, text, codes, in_blocks))
    found = [_near(logits, wanted, f"{prior.shape.layers} layers") for logits in ways]
    return _first_failure(found)


def _first_failure(found: list[CheckResult]) -> CheckResult:
    return next((one for one in found if not one.ok), found[-1])


def _forward(
    prior: Prior,
    text: Int[Tensor, "b T"],
    codes: Int[Tensor, "b I"],
    attention: Callable[[MaskName], Attend],
) -> Float[Tensor, "b I K"]:
    """Run the prior with the given attention for each mask."""
    codes = codes[:, :-1]
    places = torch.arange(codes.shape[1], device=codes.device)
    x = torch.cat([prior.embed_text(text), prior.embed_image(codes, places)], dim=1)
    for name, block in zip(prior.mask_names, prior.blocks, strict=True):
        attend = attention(name)
        if not prior.learned_positions:
            attend = partial(rotary_attention, angles=prior.get_buffer("angles"), attend=attend)
        x = block(x, attend)
    return prior.image_head(prior.norm(x)[:, prior.tokens.text_len :])


def causal(run: Run) -> CheckResult:
    """Change one token: earlier logits must not move by a bit, later ones must move."""
    _, text, codes = run.example
    length, words = codes.shape[1], text.shape[1]
    places = sorted({0, length // 3, length // 2, length - 2})
    slots = sorted({0, words // 2, words - 1})
    if reason := run.too_slow((1 + len(places) + len(slots)) * len(text)):
        return CheckResult(None, reason)
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
    message = f"{changes} tokens changed: earlier logits move by {max(before):.1g} (limit 0)"
    if stayed:
        message += f"; {stayed} of the changes leave all later logits as they were"
    return CheckResult(all(move == 0 for move in before) and not stayed, message)


def _moved(now: Tensor, before: Tensor) -> float:
    return (now - before).abs().max().item()


def _near(found: Tensor, wanted: Tensor, where: str) -> CheckResult:
    error = ((found - wanted).abs() / (1 + wanted.abs())).max().item()
    message = f"{where}: logits differ by {error:.1e} (limit {LIMIT:.0e})"
    return CheckResult(error <= LIMIT, message)
