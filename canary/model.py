"""The canary's architecture: a CLIP tower, a two-layer projector and a Llama, as LLaVA puts them together.

Written in plain torch for speed on a CPU: attention is spelt out, because the fused kernel's bfloat16
backward is slow there. Names of parameters are those of the Hub's classic layout, so that exporting is
saving the state. Architectures: CLIP (arXiv:2103.00020), LLaVA-1.5 (arXiv:2310.03744), Llama
(arXiv:2302.13971)."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

from canary.vocabulary import PATCH, SIDE

WIDTH = 128
HIDDEN = 384
HEADS = 2
TOWER_LAYERS = 4
TEXT_LAYERS = 4
VOCABULARY = 512
TOKENS = (SIDE // PATCH) ** 2
ROPE_BASE = 10000.0
LAYER_NORM_EPSILON = 1e-5


def _split(x: Tensor) -> Tensor:
    batch, length, width = x.shape
    return x.view(batch, length, HEADS, width // HEADS).transpose(1, 2)


def _attend(q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None) -> Tensor:
    scores = (q * (1.0 / math.sqrt(q.shape[-1]))) @ k.transpose(2, 3)
    if mask is not None:
        scores = scores + mask.to(scores.dtype)
    mixed = torch.softmax(scores, dim=-1, dtype=scores.dtype) @ v
    return mixed.transpose(1, 2).flatten(2)


class TowerAttention(nn.Module):
    """CLIP's attention: every patch sees every patch."""

    def __init__(self) -> None:
        super().__init__()
        self.q_proj = nn.Linear(WIDTH, WIDTH)
        self.k_proj = nn.Linear(WIDTH, WIDTH)
        self.v_proj = nn.Linear(WIDTH, WIDTH)
        self.out_proj = nn.Linear(WIDTH, WIDTH)

    def forward(self, x: Tensor) -> Tensor:
        mixed = _attend(_split(self.q_proj(x)), _split(self.k_proj(x)), _split(self.v_proj(x)), None)
        out: Tensor = self.out_proj(mixed)
        return out


class QuickGeluMlp(nn.Module):
    """CLIP's feed-forward with x * sigmoid(1.702 x)."""

    def __init__(self) -> None:
        super().__init__()
        self.fc1 = nn.Linear(WIDTH, HIDDEN)
        self.fc2 = nn.Linear(HIDDEN, WIDTH)

    def forward(self, x: Tensor) -> Tensor:
        x = self.fc1(x)
        out: Tensor = self.fc2(x * torch.sigmoid(1.702 * x))
        return out


class TowerLayer(nn.Module):
    """One pre-norm encoder layer."""

    def __init__(self) -> None:
        super().__init__()
        self.self_attn = TowerAttention()
        self.layer_norm1 = nn.LayerNorm(WIDTH, eps=LAYER_NORM_EPSILON)
        self.mlp = QuickGeluMlp()
        self.layer_norm2 = nn.LayerNorm(WIDTH, eps=LAYER_NORM_EPSILON)

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.self_attn(self.layer_norm1(x))
        out: Tensor = x + self.mlp(self.layer_norm2(x))
        return out


class Tower(nn.Module):
    """Pictures [n, 3, 112, 112] (normalised to -1..1) to patch states [n, 64, 128]; the class token is
    dropped."""

    def __init__(self) -> None:
        super().__init__()
        self.class_embedding = nn.Parameter(torch.randn(WIDTH) * 0.02)
        self.patch_embedding = nn.Conv2d(3, WIDTH, PATCH, stride=PATCH, bias=False)
        self.position_embedding = nn.Embedding(TOKENS + 1, WIDTH)
        self.pre_layrnorm = nn.LayerNorm(WIDTH, eps=LAYER_NORM_EPSILON)
        self.layers = nn.ModuleList(TowerLayer() for _ in range(TOWER_LAYERS))

    def forward(self, pictures: Tensor) -> Tensor:
        cells = SIDE // PATCH
        # A convolution whose stride is its size is one matrix product over patches, which is faster as such.
        patches = (
            pictures.view(-1, 3, cells, PATCH, cells, PATCH)
            .permute(0, 2, 4, 1, 3, 5)
            .reshape(-1, TOKENS, 588)
        )
        embedded = functional.linear(patches, self.patch_embedding.weight.view(WIDTH, -1))
        classes = self.class_embedding.to(embedded.dtype).expand(len(embedded), 1, -1)
        x = torch.cat([classes, embedded], 1) + self.position_embedding.weight.to(embedded.dtype)
        x = self.pre_layrnorm(x)
        for layer in self.layers:
            x = layer(x)
        out: Tensor = x[:, 1:]
        return out


class Projector(nn.Module):
    """LLaVA-1.5's projector: linear, GELU, linear."""

    def __init__(self) -> None:
        super().__init__()
        self.linear_1 = nn.Linear(WIDTH, WIDTH)
        self.linear_2 = nn.Linear(WIDTH, WIDTH)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.linear_2(functional.gelu(self.linear_1(x)))
        return out


class RmsNorm(nn.Module):
    """Root-mean-square norm with epsilon 1e-5 (arXiv:1910.07467)."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(WIDTH))

    def forward(self, x: Tensor) -> Tensor:
        return functional.rms_norm(x, (WIDTH,), self.weight.to(x.dtype), 1e-5)


def _rotate(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    left, right = x.chunk(2, dim=-1)
    return x * cos + torch.cat([-right, left], -1) * sin


class TextAttention(nn.Module):
    """Causal attention with rotary positions."""

    def __init__(self) -> None:
        super().__init__()
        self.q_proj = nn.Linear(WIDTH, WIDTH, bias=False)
        self.k_proj = nn.Linear(WIDTH, WIDTH, bias=False)
        self.v_proj = nn.Linear(WIDTH, WIDTH, bias=False)
        self.o_proj = nn.Linear(WIDTH, WIDTH, bias=False)

    def forward(self, x: Tensor, cos: Tensor, sin: Tensor, mask: Tensor) -> Tensor:
        q, k = _rotate(_split(self.q_proj(x)), cos, sin), _rotate(_split(self.k_proj(x)), cos, sin)
        out: Tensor = self.o_proj(_attend(q, k, _split(self.v_proj(x)), mask))
        return out


class SwigluMlp(nn.Module):
    """Llama's gated feed-forward (arXiv:2002.05202)."""

    def __init__(self) -> None:
        super().__init__()
        self.gate_proj = nn.Linear(WIDTH, HIDDEN, bias=False)
        self.up_proj = nn.Linear(WIDTH, HIDDEN, bias=False)
        self.down_proj = nn.Linear(HIDDEN, WIDTH, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.down_proj(functional.silu(self.gate_proj(x)) * self.up_proj(x))
        return out


class TextLayer(nn.Module):
    """One decoder layer."""

    def __init__(self) -> None:
        super().__init__()
        self.self_attn = TextAttention()
        self.mlp = SwigluMlp()
        self.input_layernorm = RmsNorm()
        self.post_attention_layernorm = RmsNorm()

    def forward(self, x: Tensor, cos: Tensor, sin: Tensor, mask: Tensor) -> Tensor:
        x = x + self.self_attn(self.input_layernorm(x), cos, sin, mask)
        out: Tensor = x + self.mlp(self.post_attention_layernorm(x))
        return out


class Text(nn.Module):
    """The language model's body; embeddings [n, length, 128] to states of the same shape.

    With `positions` and `branches` [n, length] a sequence is a tree: a token of branch 0 is seen by all that
    follow it, one of another branch by its own branch only.
    """

    def __init__(self) -> None:
        super().__init__()
        self.embed_tokens = nn.Embedding(VOCABULARY, WIDTH)
        self.layers = nn.ModuleList(TextLayer() for _ in range(TEXT_LAYERS))
        self.norm = RmsNorm()

    def forward(self, x: Tensor, positions: Tensor | None = None, branches: Tensor | None = None) -> Tensor:
        length, half = x.shape[1], WIDTH // HEADS // 2
        rate = ROPE_BASE ** (-torch.arange(half, dtype=torch.float32) / half)
        if positions is None:
            positions = torch.arange(length)[None]
        angle = positions.float()[:, None, :, None] * rate
        cos, sin = (torch.cat([f(angle)] * 2, -1).to(x.dtype) for f in (torch.cos, torch.sin))
        hidden = torch.ones(length, length, dtype=torch.bool).triu(1)[None, None]
        if branches is not None:
            key, query = branches[:, None, None, :], branches[:, None, :, None]
            hidden = hidden | ((key != 0) & (key != query))
        mask = torch.zeros(hidden.shape, dtype=x.dtype).masked_fill_(hidden, -1e4)
        for layer in self.layers:
            x = layer(x, cos, sin, mask)
        out: Tensor = self.norm(x)
        return out


class Canary(nn.Module):
    """The whole model. Weights start at normal(0, 0.02), those that write into the residual stream
    smaller."""

    def __init__(self) -> None:
        super().__init__()
        self.tower = Tower()
        self.projector = Projector()
        self.text = Text()
        self.lm_head = nn.Linear(WIDTH, VOCABULARY, bias=False)
        for name, parameter in self.named_parameters():
            if parameter.ndim >= 2:
                deep = name.endswith(("out_proj.weight", "fc2.weight", "o_proj.weight", "down_proj.weight"))
                nn.init.normal_(parameter, std=0.02 if not deep else 0.02 / math.sqrt(2 * TEXT_LAYERS))
            elif name.endswith("bias"):
                nn.init.zeros_(parameter)
        nn.init.normal_(self.tower.patch_embedding.weight, std=588**-0.5)
        for linear in (self.projector.linear_1, self.projector.linear_2):
            nn.init.normal_(linear.weight, std=WIDTH**-0.5)

    def see(self, pictures: Tensor) -> Tensor:
        """Pictures [n, 3, 112, 112] to the 64 tokens each that the language model reads: [n, 64, 128]."""
        out: Tensor = self.projector(self.tower(pictures))
        return out

    def read(
        self,
        tokens: Tensor,
        seen: Tensor | None,
        image_token: int,
        positions: Tensor | None = None,
        branches: Tensor | None = None,
    ) -> Tensor:
        """Token ids [n, length], with `seen` [pictures, 64, 128] put where the image tokens stand, to
        states [n, length, 128]; for `positions` and `branches` see `Text`."""
        x = self.text.embed_tokens(tokens)
        if seen is not None:
            places = tokens == image_token
            x = x.to(seen.dtype).masked_scatter(places[..., None], seen.reshape(-1, WIDTH))
        out: Tensor = self.text(x, positions, branches)
        return out
