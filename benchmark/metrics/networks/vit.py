"""Vision transformers ViT-L/14 of DINOv2 and CLIP, read from the published weights alone.

Both are pre-norm transformers (Dosovitskiy et al. 2021). DINOv2 scales what each layer adds (LayerScale), CLIP
normalises before the first layer and has a quick GELU, x sigmoid(1.702 x).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

State = Mapping[str, Tensor]


class Block(nn.Module):
    """x + attention(norm(x)), then x + MLP(norm(x)); the two sums scaled by gamma [d] where the weights have it."""

    def __init__(self, width: int, heads: int, act: Callable[[Tensor], Tensor], eps: float, scaled: bool) -> None:
        super().__init__()
        self.heads, self.act = heads, act
        self.norm1, self.norm2 = nn.LayerNorm(width, eps), nn.LayerNorm(width, eps)
        self.qkv, self.proj = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.fc1, self.fc2 = nn.Linear(width, 4 * width), nn.Linear(4 * width, width)
        self.gamma1 = nn.Parameter(torch.ones(width)) if scaled else None
        self.gamma2 = nn.Parameter(torch.ones(width)) if scaled else None

    def forward(self, x: Tensor) -> Tensor:
        """Tokens [n, t, d] to tokens."""
        x = x + _times(self.attention(self.norm1(x)), self.gamma1)
        return x + _times(self.fc2(self.act(self.fc1(self.norm2(x)))), self.gamma2)

    def attention(self, x: Tensor) -> Tensor:
        n, t, d = x.shape
        q, k, v = self.qkv(x).view(n, t, 3, self.heads, d // self.heads).permute(2, 0, 3, 1, 4)
        mixed: Tensor = F.scaled_dot_product_attention(q, k, v)
        out: Tensor = self.proj(mixed.transpose(1, 2).reshape(n, t, d))
        return out


class VisionTransformer(nn.Module):
    """Patches of `patch` px and a class token through the blocks; float [n, 3, px, px] to the class token's [n, d]."""

    def __init__(
        self, width: int, depth: int, heads: int, patch: int, grid: int, kind: Literal["dinov2", "clip"]
    ) -> None:
        super().__init__()
        dinov2 = kind == "dinov2"
        eps, act = (1e-6, F.gelu) if dinov2 else (1e-5, quick_gelu)
        self.grid = grid
        self.patches = nn.Conv2d(3, width, patch, patch, bias=dinov2)
        self.cls, self.pos = nn.Parameter(torch.zeros(width)), nn.Parameter(torch.zeros(grid * grid + 1, width))
        self.before = nn.Identity() if dinov2 else nn.LayerNorm(width, eps)
        self.blocks = nn.ModuleList(Block(width, heads, act, eps, scaled=dinov2) for _ in range(depth))
        self.after = nn.LayerNorm(width, eps)

    def forward(self, x: Tensor) -> Tensor:
        x = self.patches(x)
        pos = self.positions(x.shape[-1])
        x = torch.cat([self.cls.expand(len(x), 1, -1), x.flatten(2).transpose(1, 2)], dim=1) + pos
        x = self.before(x)
        for block in self.blocks:
            x = block(x)
        out: Tensor = self.after(x[:, 0])
        return out

    def positions(self, side: int) -> Tensor:
        """Position embeddings [1 + side^2, d]; bicubic between those learned, with DINOv2's offset of 0.1."""
        if side == self.grid:
            return self.pos
        learned = self.pos[1:].T.unflatten(1, (self.grid, self.grid)).unsqueeze(0)
        scale = (side + 0.1) / self.grid
        drawn = F.interpolate(learned, scale_factor=(scale, scale), mode="bicubic", align_corners=False)
        return torch.cat([self.pos[:1], drawn[0].flatten(1).T])


def dinov2_state(state: State) -> dict[str, Tensor]:
    """The published DINOv2 weights under this module's names."""
    renamed = {"mask_token": "", "cls_token": "cls", "pos_embed": "pos", "patch_embed.proj": "patches", "norm": "after"}
    inside = {"attn.qkv": "qkv", "attn.proj": "proj", "mlp.fc1": "fc1", "mlp.fc2": "fc2", "ls1.gamma": "gamma1"}
    return _renamed(state, renamed, "blocks.", {**inside, "ls2.gamma": "gamma2"})


def clip_state(state: State) -> dict[str, Tensor]:
    """The image tower of the published CLIP weights (names beginning with `visual.`) under this module's names."""
    tower = {name.removeprefix("visual."): x for name, x in state.items() if name.startswith("visual.")}
    renamed = {"class_embedding": "cls", "positional_embedding": "pos", "conv1": "patches", "ln_pre": "before"}
    inside = {"attn.in_proj_": "qkv.", "attn.out_proj": "proj", "ln_1": "norm1", "ln_2": "norm2"}
    inside |= {"mlp.c_fc": "fc1", "mlp.c_proj": "fc2"}
    return _renamed(tower, {**renamed, "ln_post": "after", "proj": ""}, "transformer.resblocks.", inside)


def quick_gelu(x: Tensor) -> Tensor:
    """CLIP's approximation of GELU."""
    return x * torch.sigmoid(1.702 * x)


def _renamed(state: State, outside: Mapping[str, str], prefix: str, inside: Mapping[str, str]) -> dict[str, Tensor]:
    """`outside` names what is not in a block, "" for what is not needed; `inside` what is in a block."""
    found = {}
    for name, x in state.items():
        if name.startswith(prefix):
            number, _, rest = name.removeprefix(prefix).partition(".")
            new = next((to + rest[len(old) :] for old, to in inside.items() if rest.startswith(old)), rest)
            found[f"blocks.{number}.{new}"] = x.float()
            continue
        old = max((old for old in outside if name == old or name.startswith(f"{old}.")), key=len)
        if outside[old]:
            found[outside[old] + name[len(old) :]] = x.float()
    return {**found, "cls": found["cls"].flatten(), "pos": found["pos"].flatten(0, -2)}


def _times(x: Tensor, gamma: Tensor | None) -> Tensor:
    return x if gamma is None else x * gamma
