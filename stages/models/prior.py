"""The prior: a sparse decoder-only transformer over a caption, then the codes of its picture.

Paper: section 2.2 and appendix B.1. The input is [start, T text tokens, I - 1 image codes]; slot by
slot it predicts all T + I tokens, so the last text slot predicts the first code.

What the paper leaves open, and what we do:

* Block: as in the Sparse Transformer it cites (sections 5.2 and 6), with the exact GELU. Not its
  initial weights, which are eight times smaller: they cost narrow models hundreds of updates.
* Two heads, each with its own softmax: a slot always predicts a text token or always an image code,
  so no probability is spent on tokens of the other kind. The loss is weighted by the same split.
* A pad is one more class of the text head, and counts in the text loss like every other of the 256
  tokens: the model learns where captions end, and each pair has the same weight.
* Embeddings and heads are not tied; no dropout, unless it is asked for.

`masks` decides which slots attend to which, `sparse_attention` computes that.

Dimensions: b batch, T text length, I image length, n slots, d width, h heads, k head width,
V text classes (the vocabulary and the pad), K image codes.
"""

import math
from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import torch
import torch.nn.functional as F
from einops import rearrange
from jaxtyping import Float, Int
from torch import Tensor, nn

from schemas.settings import PriorShape, TokenSpec
from stages.models import rotary, sparse_attention
from stages.models.masks import (
    Attend,
    MaskName,
    SequenceLayout,
    make_mask,
    mask_of_layer,
    masked_attention,
)

EMBEDDING_STD = 0.5
ALIGNED = 8  # weights that the rows of a head are padded to a multiple of, on a GPU


def make_norm(shape: PriorShape) -> nn.Module:
    return nn.RMSNorm(shape.width) if shape.block == "llama" else nn.LayerNorm(shape.width)


class Attention(nn.Module):
    """Multi-head attention with its norm: what it adds to the residual stream."""

    def __init__(self, shape: PriorShape) -> None:
        super().__init__()
        d, bias = shape.width, shape.block == "gpt"
        self.heads = shape.heads
        self.norm = make_norm(shape)
        self.qkv = nn.Linear(d, 3 * d, bias=bias)
        self.q_norm = self.k_norm = None
        if shape.qk_norm:
            self.q_norm, self.k_norm = nn.RMSNorm(shape.head_dim), nn.RMSNorm(shape.head_dim)
        self.out = nn.Linear(d, d, bias=bias)

    def forward(self, x: Float[Tensor, "b n d"], attend: Attend) -> Float[Tensor, "b n d"]:
        qkv = self.qkv(self.norm(x))
        q, k, v = rearrange(qkv, "b n (three h k) -> three b h n k", three=3, h=self.heads)
        if self.q_norm is not None and self.k_norm is not None:
            q, k = self.q_norm(q.float()).to(v.dtype), self.k_norm(k.float()).to(v.dtype)
        return self.out(rearrange(attend(q, k, v), "b h n k -> b n (h k)"))


class FeedForward(nn.Module):
    """A feed-forward with its norm: what it adds to the residual stream.

    The paper's, or one with SwiGLU (Shazeer 2020) and about as many weights.
    """

    def __init__(self, shape: PriorShape) -> None:
        super().__init__()
        d, self.gated = shape.width, shape.block == "llama"
        hidden = 8 * math.ceil(d / 3) if self.gated else 4 * d  # gated, 8/3 of the width
        self.norm = make_norm(shape)
        self.up = nn.Linear(d, 2 * hidden if self.gated else hidden, bias=not self.gated)
        self.out = nn.Linear(hidden, d, bias=not self.gated)

    def forward(self, x: Float[Tensor, "b n d"]) -> Float[Tensor, "b n d"]:
        hidden = self.up(self.norm(x))
        if not self.gated:
            return self.out(F.gelu(hidden))
        gate, value = hidden.chunk(2, dim=-1)
        return self.out(F.silu(gate) * value)


class Block(nn.Module):
    """Pre-norm attention and feed-forward, each added to the residual stream.

    While it learns, a share `dropout` of the numbers that are added is left out.
    """

    def __init__(self, shape: PriorShape, dropout: float = 0.0) -> None:
        super().__init__()
        self.attention = Attention(shape)
        self.mlp = FeedForward(shape)
        self.dropout = nn.Dropout(dropout)

    def reset_parameters(self, layers: int) -> None:
        """Draw fresh weights; what adds to the residual stream is smaller in deeper models."""
        for linear in (self.attention.qkv, self.attention.out, self.mlp.up, self.mlp.out):
            std = 1 / math.sqrt(linear.in_features)  # keeps the scale of its input
            if linear in (self.attention.out, self.mlp.out):
                std /= math.sqrt(2 * layers)
            nn.init.normal_(linear.weight, std=std)
            if linear.bias is not None:
                nn.init.zeros_(linear.bias)

    def forward(self, x: Float[Tensor, "b n d"], attend: Attend) -> Float[Tensor, "b n d"]:
        x = x + self.dropout(self.attention(x, attend))
        return x + self.dropout(self.mlp(x))


class Head(nn.Linear):
    """Logits, computed and kept in 32 bits even under autocast (appendix D.2).

    On a GPU the product may use TF32, as the trainers allow. It takes twice as long there over rows
    that do not begin at a multiple of 16 bytes, so the number of classes is padded.
    """

    def forward(self, input: Float[Tensor, "b n d"]) -> Float[Tensor, "b n c"]:
        weight: Tensor = self.weight
        bias: Tensor = self.bias
        spare = -len(weight) % ALIGNED if input.device.type == "cuda" else 0
        if spare:
            weight, bias = F.pad(weight, (0, 0, 0, spare)), F.pad(bias, (0, spare))
        with torch.autocast(input.device.type, enabled=False):
            logits = F.linear(input.float(), weight.float(), bias.float())
        return logits[..., : logits.shape[-1] - spare]


class Prior(nn.Module):
    """Predict each next token of text, then image, from all the tokens before it."""

    def __init__(self, tokens: TokenSpec, shape: PriorShape, dropout: float = 0.0) -> None:
        super().__init__()
        self.tokens, self.shape = tokens, shape
        d = shape.width
        self.start = nn.Parameter(torch.empty(d))
        self.text_token = nn.Embedding(tokens.text_vocab, d)
        self.text_pad = nn.Embedding(tokens.text_len, d)  # section 2.2: one for each position
        self.layout = SequenceLayout(1 + tokens.text_len, tokens.grid, shape.conv_kernel)
        layers = range(1, shape.layers + 1)
        self.mask_names = [mask_of_layer(n, shape.layers, shape.attention) for n in layers]
        self.learned_positions = shape.positions == "learned"
        if self.learned_positions:
            self.text_position = nn.Embedding(tokens.text_len, d)
        self.image_token = nn.Embedding(tokens.image_vocab, d)
        if self.learned_positions:
            self.image_row = nn.Embedding(tokens.grid, d)
            self.image_column = nn.Embedding(tokens.grid, d)
        else:
            angles = rotary.rotary_angles(self.layout, shape.head_dim)
            self.register_buffer("angles", angles, persistent=False)
        self.blocks = nn.ModuleList(Block(shape, dropout) for _ in range(shape.layers))
        self.norm = make_norm(shape)
        self.text_head = Head(d, tokens.text_vocab + 1)
        self.image_head = Head(d, tokens.image_vocab)
        self.reset_parameters()

    @property
    def text_slots(self) -> int:
        """Slots before the first image code: the start token and the text."""
        return self.layout.text_slots

    @property
    def pad(self) -> int:
        """The id that fills a caption up to its fixed length."""
        return self.tokens.text_vocab

    def reset_parameters(self) -> None:
        """Draw fresh weights: two or three embeddings of EMBEDDING_STD add up to scale 1."""
        for module in self.modules():
            if isinstance(module, nn.Embedding):
                nn.init.normal_(module.weight, std=EMBEDDING_STD)
            elif isinstance(module, Head):
                nn.init.zeros_(module.weight)  # a fresh model scores chance
                nn.init.zeros_(module.bias)
            elif isinstance(module, Block):
                module.reset_parameters(self.shape.layers)
        nn.init.normal_(self.start, std=EMBEDDING_STD)

    def attention(self, name: MaskName, slots: int, device: torch.device) -> Attend:
        """Return the attention with this mask over the first `slots` slots."""
        if slots == self.layout.slots:
            attend = sparse_attention.attention(name, self.layout, device)
        else:
            attend = partial(
                masked_attention, mask=make_mask(name, self.layout)[:slots, :slots].to(device)
            )
        if self.learned_positions:
            return attend
        angles = self.get_buffer("angles")[:slots]
        return partial(rotary.rotary_attention, angles=angles, attend=attend)

    def angles_at(self, slots: slice | Int[Tensor, " n"]) -> Float[Tensor, "n p"] | None:
        """Return the rotary angles of these slots; None where positions are learned."""
        return None if self.learned_positions else self.get_buffer("angles")[slots]

    def embed_text(self, text: Int[Tensor, "b T"]) -> Float[Tensor, "b T+1 d"]:
        """Embed the start token and the caption; each position has a pad embedding of its own."""
        padded = rearrange(text == self.pad, "b t -> b t 1")
        token = self.text_token(text.clamp(max=self.pad - 1))
        x = torch.where(padded, self.text_pad.weight, token)
        if self.learned_positions:
            x = x + self.text_position.weight
        start = self.start.expand(len(text), 1, -1)
        return torch.cat([start, x], dim=1)

    def embed_image(
        self, codes: Int[Tensor, "b i"], position: Int[Tensor, "#i"]
    ) -> Float[Tensor, "b i d"]:
        x = self.image_token(codes)
        if not self.learned_positions:
            return x
        row, column = position // self.tokens.grid, position % self.tokens.grid
        return x + self.image_row(row) + self.image_column(column)

    def forward(
        self, text: Int[Tensor, "b T"], image: Int[Tensor, "b i"]
    ) -> tuple[Float[Tensor, "b T V"], Float[Tensor, "b j K"]]:
        """Return the logits of all text tokens, and of image codes 0..i given the first i codes.

        With all I codes given, of codes 0..I - 1: the last one is a target only.
        """
        image = image[:, : self.tokens.image_len - 1]
        position = torch.arange(image.shape[1], device=image.device)
        x = torch.cat([self.embed_text(text), self.embed_image(image, position)], dim=1)
        for name, block in zip(self.mask_names, self.blocks, strict=True):
            x = block(x, self.attention(name, x.shape[1], x.device))
        x = self.norm(x)
        last_text = self.tokens.text_len  # its slot predicts the first code
        return self.text_head(x[:, :last_text]), self.image_head(x[:, last_text:])


class PriorTerms(NamedTuple):
    """Sums over a batch, so that those of batches and workers add up."""

    text: Float[Tensor, ""]  # nats
    text_tokens: int
    image: Float[Tensor, ""]  # nats
    image_tokens: int


def prior_terms(
    prior: Callable[..., tuple[Tensor, Tensor]], text: Int[Tensor, "b T"], image: Int[Tensor, "b I"]
) -> PriorTerms:
    """Sum the cross entropy, in nats, of all text tokens (pads included) and all image codes.

    `prior` is a Prior, or a distributed wrapper around one.
    """
    text_logits, image_logits = prior(text, image)
    return PriorTerms(
        text=F.cross_entropy(text_logits.flatten(0, 1), text.flatten(), reduction="sum"),
        text_tokens=text.numel(),
        image=F.cross_entropy(image_logits.flatten(0, 1), image.flatten(), reduction="sum"),
        image_tokens=image.numel(),
    )
