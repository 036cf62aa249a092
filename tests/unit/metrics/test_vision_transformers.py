"""DINOv2 and CLIP: small networks under the published names of weights, against torch's own transformer layers.

The published files are 1 GB and more; what is tested is what is done with their contents.
"""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from benchmark.metrics import Evaluator, Samples
from benchmark.metrics.networks import features
from benchmark.metrics.networks.vit import VisionTransformer, clip_state, dinov2_state, quick_gelu
from benchmark.metrics.networks.weight_files import WEIGHT_FILES

WIDTH, DEPTH, HEADS, PATCH, GRID = 16, 2, 4, 4, 5


def drawn(shapes: dict[str, tuple[int, ...]]) -> dict[str, Tensor]:
    rng = torch.Generator().manual_seed(0)
    return {name: torch.randn(shape, generator=rng) * 0.3 for name, shape in shapes.items()}


def dinov2_weights(width: int = WIDTH, depth: int = DEPTH, patch: int = PATCH, grid: int = GRID) -> dict[str, Tensor]:
    shapes: dict[str, tuple[int, ...]] = {
        "cls_token": (1, 1, width),
        "pos_embed": (1, grid * grid + 1, width),
        "mask_token": (1, width),
        "patch_embed.proj.weight": (width, 3, patch, patch),
        "patch_embed.proj.bias": (width,),
        "norm.weight": (width,),
        "norm.bias": (width,),
    }
    for i in range(depth):
        layers = {
            "norm1": (),
            "norm2": (),
            "attn.qkv": (3, 1),
            "attn.proj": (1, 1),
            "mlp.fc1": (4, 1),
            "mlp.fc2": (1, 4),
        }
        for name, sides in layers.items():
            out, inside = sides or (1, None)
            shapes[f"blocks.{i}.{name}.weight"] = (out * width, inside * width) if inside else (width,)
            shapes[f"blocks.{i}.{name}.bias"] = (out * width,)
        shapes |= {f"blocks.{i}.ls{k}.gamma": (width,) for k in (1, 2)}
    return drawn(shapes)


def clip_weights(width: int = WIDTH, depth: int = DEPTH, patch: int = PATCH, grid: int = GRID, out: int = 6) -> dict:
    shapes: dict[str, tuple[int, ...]] = {
        "text_projection": (3, 3),
        "visual.class_embedding": (width,),
        "visual.positional_embedding": (grid * grid + 1, width),
        "visual.proj": (width, out),
        "visual.conv1.weight": (width, 3, patch, patch),
    }
    for name in ("ln_pre", "ln_post", *(f"transformer.resblocks.{i}.ln_{k}" for i in range(depth) for k in (1, 2))):
        shapes |= {f"visual.{name}.{what}": (width,) for what in ("weight", "bias")}
    for i in range(depth):
        block = f"visual.transformer.resblocks.{i}"
        shapes |= {f"{block}.attn.in_proj_weight": (3 * width, width), f"{block}.attn.in_proj_bias": (3 * width,)}
        shapes |= {f"{block}.attn.out_proj.weight": (width, width), f"{block}.attn.out_proj.bias": (width,)}
        shapes |= {f"{block}.mlp.c_fc.weight": (4 * width, width), f"{block}.mlp.c_fc.bias": (4 * width,)}
        shapes |= {f"{block}.mlp.c_proj.weight": (width, 4 * width), f"{block}.mlp.c_proj.bias": (width,)}
    return drawn(shapes)


def layer(weights: dict[str, Tensor], names: dict[str, str], act: object, eps: float) -> nn.TransformerEncoderLayer:
    """Torch's pre-norm layer with these weights; `names` are theirs for torch's."""
    made = nn.TransformerEncoderLayer(WIDTH, HEADS, 4 * WIDTH, 0.0, act, eps, batch_first=True, norm_first=True)
    made.load_state_dict({mine: weights[theirs] for mine, theirs in names.items()})
    return made.eval()


def both(*pairs: tuple[str, str]) -> dict[str, str]:
    return {f"{mine}.{what}": f"{theirs}.{what}" for mine, theirs in pairs for what in ("weight", "bias")}


def test_dinov2_is_torchs_transformer_with_its_weights() -> None:
    """LayerScale multiplies what a layer adds, so it can be put into the last matrix of each half."""
    w = dinov2_weights()
    net = VisionTransformer(WIDTH, DEPTH, HEADS, PATCH, GRID, "dinov2")
    net.load_state_dict(dinov2_state(w))
    x = torch.randn(3, 3, PATCH * GRID, PATCH * GRID, generator=torch.Generator().manual_seed(1))
    tokens = F.conv2d(x, w["patch_embed.proj.weight"], w["patch_embed.proj.bias"], stride=PATCH)
    tokens = torch.cat([w["cls_token"].expand(3, -1, -1), tokens.flatten(2).transpose(1, 2)], 1) + w["pos_embed"]
    for i in range(DEPTH):
        b = f"blocks.{i}"
        scaled = dict(w)
        for k, name in ((1, "attn.proj"), (2, "mlp.fc2")):
            gamma = w[f"{b}.ls{k}.gamma"]
            scaled[f"{b}.{name}.weight"] = gamma[:, None] * w[f"{b}.{name}.weight"]
            scaled[f"{b}.{name}.bias"] = gamma * w[f"{b}.{name}.bias"]
        scaled |= {f"{b}.in_proj_{what}": w[f"{b}.attn.qkv.{what}"] for what in ("weight", "bias")}
        names = both(("self_attn.out_proj", f"{b}.attn.proj"), ("linear1", f"{b}.mlp.fc1"), ("linear2", f"{b}.mlp.fc2"))
        names |= both(("norm1", f"{b}.norm1"), ("norm2", f"{b}.norm2"))
        names |= {f"self_attn.in_proj_{what}": f"{b}.in_proj_{what}" for what in ("weight", "bias")}
        tokens = layer(scaled, names, F.gelu, 1e-6)(tokens)
    expected = F.layer_norm(tokens[:, 0], (WIDTH,), w["norm.weight"], w["norm.bias"], 1e-6)
    with torch.inference_mode():
        assert torch.allclose(net(x), expected, rtol=1e-4, atol=1e-5)


def test_clip_is_torchs_transformer_with_its_weights() -> None:
    w = clip_weights()
    net = VisionTransformer(WIDTH, DEPTH, HEADS, PATCH, GRID, "clip")
    net.load_state_dict(clip_state(w))
    x = torch.randn(3, 3, PATCH * GRID, PATCH * GRID, generator=torch.Generator().manual_seed(2))
    tokens = F.conv2d(x, w["visual.conv1.weight"], stride=PATCH).flatten(2).transpose(1, 2)
    tokens = torch.cat([w["visual.class_embedding"].expand(3, 1, -1), tokens], 1) + w["visual.positional_embedding"]
    tokens = F.layer_norm(tokens, (WIDTH,), w["visual.ln_pre.weight"], w["visual.ln_pre.bias"])
    for i in range(DEPTH):
        b = f"visual.transformer.resblocks.{i}"
        names = both(("self_attn.out_proj", f"{b}.attn.out_proj"), ("norm1", f"{b}.ln_1"), ("norm2", f"{b}.ln_2"))
        names |= both(("linear1", f"{b}.mlp.c_fc"), ("linear2", f"{b}.mlp.c_proj"))
        names |= {f"self_attn.in_proj_{what}": f"{b}.attn.in_proj_{what}" for what in ("weight", "bias")}
        tokens = layer(w, names, quick_gelu, 1e-5)(tokens)
    expected = F.layer_norm(tokens[:, 0], (WIDTH,), w["visual.ln_post.weight"], w["visual.ln_post.bias"])
    with torch.inference_mode():
        assert torch.allclose(net(x), expected, rtol=1e-4, atol=1e-5)


def test_dinov2_takes_other_sizes_by_positions_in_between() -> None:
    """Positions that rise from left to right still do so on a smaller grid, and the class token keeps its own."""
    net = VisionTransformer(WIDTH, DEPTH, HEADS, PATCH, 9, "dinov2")
    ramp = torch.arange(9.0).repeat(9)[:, None].expand(-1, WIDTH)
    net.pos.data = torch.cat([torch.full((1, WIDTH), -7.0), ramp])
    found = net.positions(4)
    assert found.shape == (17, WIDTH) and (found[0] == -7).all()
    rows = found[1:, 0].view(4, 4)
    assert (rows.diff(dim=1) > 1).all() and torch.allclose(rows, rows[:1].expand(4, -1), atol=1e-4)
    assert net.positions(9) is net.pos


@pytest.mark.filterwarnings("ignore:.*torch.jit.*:DeprecationWarning")
def test_the_slots_measure_with_a_file_and_say_what_is_missing_without(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Small networks in files of the published kinds: a state dict, and a TorchScript archive of the whole of CLIP."""

    class Scripted(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return x

    class Named(Scripted):
        def __init__(self, weights: dict[str, Tensor]) -> None:
            super().__init__()
            for name, value in weights.items():
                at, (*folders, last) = self, name.split(".")
                for folder in folders:
                    if folder not in at._modules:
                        at.add_module(folder, Scripted())
                    at = at._modules[folder]
                at.register_buffer(last, value.half())

    torch.save(dinov2_weights(patch=56, grid=3), tmp_path / "dino.pth")
    torch.jit.script(Named(clip_weights(patch=112, grid=3))).save(str(tmp_path / "clip.pt"))

    def small(width: int, depth: int, heads: int, patch: int, grid: int, kind: str) -> VisionTransformer:
        return VisionTransformer(WIDTH, DEPTH, HEADS, 56 if kind == "dinov2" else 112, 3, kind)

    monkeypatch.setattr(features, "VisionTransformer", small)
    monkeypatch.setattr(features.Dinov2, "dim", WIDTH)
    monkeypatch.setattr(features.ClipImages, "dim", 6)
    given = {"dinov2": tmp_path / "dino.pth", "clip_vitl14_336": tmp_path / "clip.pt"}
    hashes = {key: hashlib.sha256(path.read_bytes()).hexdigest() for key, path in given.items()}
    files = {**WEIGHT_FILES, **{key: replace(WEIGHT_FILES[key], sha256=value) for key, value in hashes.items()}}
    names = ["fd_dinov2", "cmmd"]
    fakes, real = (np.random.default_rng(s).integers(0, 256, (6, 3, 32, 32), dtype=np.uint8) for s in (0, 1))
    samples = Samples(fakes, fakes, fakes)
    found = Evaluator(names, tmp_path, weights=given, files=files)(samples, real, "digest").scores
    assert found["fd_dinov2"].value > 0 and found["cmmd"].value > 0 and found["cmmd"].n == 6
    same = Evaluator(names, tmp_path, weights=given, files=files)(samples, fakes, "other digest").scores
    assert same["cmmd"].value == pytest.approx(0, abs=1e-6)

    monkeypatch.setenv("BENCHMARK_WEIGHTS_DIR", str(tmp_path / "empty"))
    for key, name in (("dinov2", "fd_dinov2"), ("clip_vitl14_336", "cmmd")):
        reason = Evaluator([name], tmp_path / "none")(samples, real, "digest").scores[name].reason
        assert reason.startswith("not available: needs ") and WEIGHT_FILES[key].sha256 in reason
