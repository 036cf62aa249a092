"""The StyleGAN2 generator and discriminator (Karras et al. 2020, arXiv 1912.04958), as in ADA (arXiv 2006.06676).

Parameter and buffer names, shapes and outputs equal those of stylegan2-ada-pytorch, so published weights load by name.
What differs is the interface: noise is an argument, features are a return value, blocks are addressed by resolution.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from benchmark.config import NetConfig
from benchmark.errors import MethodError
from benchmark.stylegan2 import ops

Noise = str | Mapping[str, Tensor]
""""const" (the stored anchor maps), "none", "random" (new per sample and layer), or maps by layer name.

A map is [H, W] or [N, 1, H, W]."""


def gaussian(*shape: int, over: float = 1.0) -> Tensor:
    """Standard normal numbers divided by `over`; none on the meta device: arithmetic there imports sympy."""
    made = torch.empty(*shape)
    return made if made.is_meta else made.normal_().div_(over)


def _unit_second_moment(x: Tensor) -> Tensor:
    return x * (x.square().mean(dim=1, keepdim=True) + 1e-8).rsqrt()


class FullyConnected(nn.Module):
    """Linear layer with equalised learning rate; `act` adds a leaky ReLU with gain sqrt 2."""

    def __init__(self, n_in: int, n_out: int, act: bool = False, lr_mult: float = 1.0, bias_init: float = 0.0) -> None:
        super().__init__()
        self.weight = nn.Parameter(gaussian(n_out, n_in, over=lr_mult))
        self.bias = nn.Parameter(torch.full((n_out,), float(bias_init)))
        self.weight_gain = lr_mult / math.sqrt(n_in)
        self.bias_gain = lr_mult
        self.act = act

    def forward(self, x: Tensor) -> Tensor:
        gain = ops.SQRT2 if self.act else 1.0
        y = torch.addmm(self.bias * (self.bias_gain * gain), x, self.weight.t() * (self.weight_gain * gain))
        return F.leaky_relu_(y, 0.2) if self.act else y


class Miner(nn.Module):
    """z + MLP(z), a network in front of the latent (Wang et al. 2020, arXiv 1912.05270); the identity at first."""

    def __init__(self, z_dim: int, layers: int) -> None:
        super().__init__()
        self.layers = layers
        for i in range(layers):
            self.add_module(f"fc{i}", FullyConnected(z_dim, z_dim, act=i < layers - 1))
        nn.init.zeros_(self.get_submodule(f"fc{layers - 1}").get_parameter("weight"))

    def forward(self, z: Tensor) -> Tensor:
        """Float32 [N, z_dim] to the same."""
        x = z
        for i in range(self.layers):
            x = self.get_submodule(f"fc{i}")(x)
        return z + x


class MappingNetwork(nn.Module):
    """z [N, z_dim] and perhaps a one-hot label c [N, c_dim] to ws [N, num_ws, w_dim] ([N, w_dim] if num_ws is None)."""

    w_avg: Tensor

    def __init__(self, z_dim: int, c_dim: int, w_dim: int, num_ws: int | None, layers: int, track: bool = True) -> None:
        super().__init__()
        self.z_dim, self.c_dim, self.w_dim, self.num_ws, self.layers = z_dim, c_dim, w_dim, num_ws, layers
        self.miner: Miner | None = None
        if c_dim:
            self.embed = FullyConnected(c_dim, w_dim)
        sizes = [z_dim + (w_dim if c_dim else 0)] + [w_dim] * layers
        for i in range(layers):
            self.add_module(f"fc{i}", FullyConnected(sizes[i], sizes[i + 1], act=True, lr_mult=0.01))
        if track:
            self.register_buffer("w_avg", torch.zeros(w_dim))

    def forward(
        self,
        z: Tensor | None,
        c: Tensor | None = None,
        psi: float = 1.0,
        cutoff: int | None = None,
        update_avg: bool = False,
    ) -> Tensor:
        """Truncation: w = lerp(w_avg, w, psi) in the first `cutoff` layers (None = all).

        `update_avg` moves w_avg towards the batch mean (decay 0.995); only the loop's main generator pass sets it.
        """
        parts = []
        if self.z_dim:
            assert z is not None
            z = z.float()
            parts.append(_unit_second_moment(z if self.miner is None else self.miner(z)))
        if self.c_dim:
            if c is None:
                raise ValueError(
                    f"this network is conditional on {self.c_dim} classes: pass c, a one-hot [N, {self.c_dim}] tensor"
                )
            parts.append(_unit_second_moment(self.embed(c.float())))
        x = torch.cat(parts, dim=1) if len(parts) > 1 else parts[0]
        for i in range(self.layers):
            x = getattr(self, f"fc{i}")(x)
        if update_avg:
            with torch.no_grad():
                self.w_avg.copy_(x.detach().mean(dim=0).lerp(self.w_avg, 0.995))
        if self.num_ws is None:
            return x
        ws = x.unsqueeze(1).repeat(1, self.num_ws, 1)
        if psi != 1.0:
            ws[:, :cutoff] = self.w_avg.lerp(ws[:, :cutoff], psi)
        return ws


class SynthesisLayer(nn.Module):
    """Modulated 3x3 convolution with demodulation, noise, bias and leaky ReLU; `up` doubles the resolution."""

    noise_const: Tensor
    resample_filter: Tensor

    def __init__(self, n_in: int, n_out: int, w_dim: int, px: int, up: bool, clamp: float | None) -> None:
        super().__init__()
        self.px, self.up, self.clamp = px, up, clamp
        self.affine = FullyConnected(w_dim, n_in, bias_init=1.0)
        self.weight = nn.Parameter(gaussian(n_out, n_in, 3, 3))
        self.bias = nn.Parameter(torch.zeros(n_out))
        self.noise_strength = nn.Parameter(torch.zeros([]))
        self.register_buffer("noise_const", gaussian(px, px))
        self.register_buffer("resample_filter", ops.fir_kernel())

    def forward(self, x: Tensor, w: Tensor, noise: Tensor | None) -> Tensor:
        """x [N, I, H, W], w [N, w_dim], noise [px, px] or [N, 1, px, px] -> [N, O, px, px] in x's dtype."""
        style = self.affine(w)
        weight: Tensor = self.weight  # read once: a reparametrised one is computed
        # Demodulation: 1 / |W * s| per output map (eq. 3 of the paper), without building per-sample weights.
        demod = (style.square() @ weight.square().sum(dim=(2, 3)).t() + 1e-8).rsqrt() * ops.SQRT2
        weight = weight.to(x.dtype)
        x = x * style.to(x.dtype)[:, :, None, None]
        if self.up:
            x = ops.conv_transpose2d(x, weight.transpose(0, 1), stride=2)
            x = ops.blur(x, self.resample_filter, padding=1, gain=4.0)
        else:
            x = ops.conv2d(x, weight, padding=1)
        bias = (self.bias * ops.SQRT2).to(x.dtype)[None, :, None, None]
        x = torch.addcmul(bias, x, demod.to(x.dtype)[:, :, None, None])
        if noise is not None:
            x = x.add_((noise * (self.noise_strength * ops.SQRT2)).to(x.dtype))
        return ops.lrelu(x, self.clamp)


class ToRGB(nn.Module):
    """Modulated 1x1 convolution to RGB, without demodulation, in float32."""

    def __init__(self, n_in: int, w_dim: int, clamp: float | None) -> None:
        super().__init__()
        self.clamp = clamp
        self.affine = FullyConnected(w_dim, n_in, bias_init=1.0)
        self.weight = nn.Parameter(gaussian(3, n_in, 1, 1))
        self.bias = nn.Parameter(torch.zeros(3))
        self.weight_gain = 1 / math.sqrt(n_in)

    def forward(self, x: Tensor, w: Tensor) -> Tensor:
        """x [N, I, H, W], w [N, w_dim] -> float32 [N, 3, H, W]."""
        style = self.affine(w) * self.weight_gain
        y = ops.conv2d(x * style.to(x.dtype)[:, :, None, None], self.weight.to(x.dtype)).float()
        y = y + self.bias[None, :, None, None]
        return y if self.clamp is None else y.clamp(-self.clamp, self.clamp)


class SynthesisBlock(nn.Module):
    """One resolution: (up-convolution,) convolution, and its addition to the RGB skip image."""

    resample_filter: Tensor

    def __init__(self, n_in: int, n_out: int, w_dim: int, px: int, clamp: float | None) -> None:
        super().__init__()
        self.px = px
        self.register_buffer("resample_filter", ops.fir_kernel())
        if n_in == 0:
            self.const = nn.Parameter(gaussian(n_out, px, px))
        else:
            self.conv0 = SynthesisLayer(n_in, n_out, w_dim, px, up=True, clamp=clamp)
        self.conv1 = SynthesisLayer(n_out, n_out, w_dim, px, up=False, clamp=clamp)
        self.torgb = ToRGB(n_out, w_dim, clamp)
        self.layers = [name for name in ("conv0", "conv1") if hasattr(self, name)]

    def forward(
        self,
        x: Tensor | None,
        rgb: Tensor | None,
        ws: Sequence[Tensor],
        noise: Sequence[Tensor | None],
        dtype: torch.dtype,
    ) -> tuple[Tensor, Tensor]:
        """Features and skip image of the resolution below -> those of this one."""
        if x is None:
            x = self.const.to(dtype).unsqueeze(0).expand(ws[0].shape[0], -1, -1, -1)
            x = x.contiguous(memory_format=torch.channels_last)
        for name, w, n in zip(self.layers, ws, noise, strict=False):
            x = getattr(self, name)(x, w, n)
        y = self.torgb(x, ws[-1])
        return x, y if rgb is None else ops.upsample(rgb, self.resample_filter) + y


class SynthesisNetwork(nn.Module):
    """ws [N, num_ws, w_dim] to an image [N, 3, R, R] in about [-1, 1]."""

    def __init__(self, cfg: NetConfig) -> None:
        super().__init__()
        self.resolutions = cfg.block_resolutions
        self.dtype = torch.float32
        """Compute type of the convolutions; weights, RGB and styles stay float32."""
        n_in = 0
        for px in self.resolutions:
            block = SynthesisBlock(n_in, cfg.channels(px), cfg.w_dim, px, cfg.conv_clamp)
            self.add_module(f"b{px}", block)
            n_in = cfg.channels(px)
        self.layer_names = tuple(f"b{px}.{name}" for px, block in self.blocks.items() for name in block.layers)
        self.num_ws = len(self.layer_names) + 1

    @property
    def blocks(self) -> dict[int, SynthesisBlock]:
        """{resolution in px: block}, coarse to fine."""
        return {px: getattr(self, f"b{px}") for px in self.resolutions}

    def anchor_noise(self) -> dict[str, Tensor]:
        """{layer name: [px, px]}, the constant noise maps that belong to the checkpoint."""
        return {name: self.get_submodule(name).noise_const for name in self.layer_names}  # type: ignore[misc]

    def random_noise(self, n: int, rng: torch.Generator | None = None) -> dict[str, Tensor]:
        """{layer name: [n, 1, px, px]}, unit normal, new for each sample and layer."""
        return {
            name: torch.randn(n, 1, *anchor.shape, generator=rng, device=anchor.device)
            for name, anchor in self.anchor_noise().items()
        }

    def _noise_maps(self, noise: Noise, n: int, rng: torch.Generator | None) -> Mapping[str, Tensor]:
        if not isinstance(noise, str):
            missing = set(self.layer_names).symmetric_difference(noise)
            if missing:
                raise ValueError(
                    f"noise maps must name exactly the layers {list(self.layer_names)}; differing: {sorted(missing)}"
                )
            return noise
        if noise == "const":
            return self.anchor_noise()
        if noise == "random":
            return self.random_noise(n, rng)
        if noise == "none":
            return {}
        raise ValueError(f"noise={noise!r}: expected 'const', 'none', 'random' or maps by layer name")

    def forward(
        self, ws: Tensor, noise: Noise = "random", rng: torch.Generator | None = None
    ) -> tuple[Tensor, dict[int, Tensor]]:
        """Image float32 [N, 3, R, R], and {px: output of that resolution's block [N, C, px, px]}.

        `rng` is the generator from which "random" noise is drawn (None: torch's global one).
        """
        maps = self._noise_maps(noise, ws.shape[0], rng)
        x = rgb = None
        features = {}
        w = ws.unbind(dim=1)
        i = 0
        for px, block in self.blocks.items():
            n = len(block.layers)
            noises = [maps.get(f"b{px}.{name}") for name in block.layers]
            # The block's last w goes to RGB and is shared with the first layer of the next block.
            x, rgb = block(x, rgb, w[i : i + n + 1], noises, self.dtype)
            features[px] = x
            i += n
        assert rgb is not None
        return rgb, features


class Generator(nn.Module):
    """Mapping and synthesis."""

    def __init__(self, cfg: NetConfig) -> None:
        super().__init__()
        self.cfg = cfg
        self.synthesis = SynthesisNetwork(cfg)
        self.mapping = MappingNetwork(cfg.z_dim, cfg.c_dim, cfg.w_dim, self.synthesis.num_ws, cfg.mapping_layers)
        if cfg.miner_layers:
            self.mapping.miner = Miner(cfg.z_dim, cfg.miner_layers)

    def add_miner(self, miner: Miner) -> None:
        """Put `miner` in front of the latents; it becomes part of the architecture. MethodError where there is one."""
        if self.mapping.miner is not None:
            raise MethodError("this generator has a miner already: adapt the source that it was mined from.")
        self.cfg = self.cfg.model_copy(update={"miner_layers": miner.layers})
        self.mapping.miner = miner

    def forward(
        self,
        z: Tensor,
        c: Tensor | None = None,
        noise: Noise = "random",
        psi: float = 1.0,
        rng: torch.Generator | None = None,
    ) -> Tensor:
        """z [N, z_dim] -> image float32 [N, 3, R, R]; about [-1, 1], not clamped."""
        image, _ = self.synthesis(self.mapping(z, c, psi=psi), noise, rng)
        return image


class ConvLayer(nn.Module):
    """Convolution with equalised learning rate; optional halving of the resolution and leaky ReLU."""

    resample_filter: Tensor

    def __init__(
        self,
        n_in: int,
        n_out: int,
        kernel: int,
        clamp: float | None,
        down: bool = False,
        act: bool = True,
        gain: float = 1.0,
    ) -> None:
        super().__init__()
        self.down, self.act, self.kernel = down, act, kernel
        self.gain = gain * (ops.SQRT2 if act else 1.0)
        self.clamp = None if clamp is None else clamp * gain
        self.weight = nn.Parameter(gaussian(n_out, n_in, kernel, kernel))
        self.weight_gain = 1 / math.sqrt(n_in * kernel**2)
        if act:
            self.bias = nn.Parameter(torch.zeros(n_out))
        self.register_buffer("resample_filter", ops.fir_kernel())

    def forward(self, x: Tensor) -> Tensor:
        weight = (self.weight * (self.weight_gain * self.gain)).to(x.dtype)
        if self.down and self.kernel == 1:
            x = ops.conv2d(ops.downsample(x, self.resample_filter), weight)
        elif self.down:
            x = ops.conv2d(ops.blur(x, self.resample_filter, padding=2), weight, stride=2)
        else:
            x = ops.conv2d(x, weight, padding=self.kernel // 2)
        if not self.act:
            return x
        x = x.add_((self.bias * self.gain).to(x.dtype)[None, :, None, None])
        return ops.lrelu(x, self.clamp)


class DiscriminatorBlock(nn.Module):
    """Residual block from px to px / 2; the finest one starts from RGB."""

    resample_filter: Tensor

    def __init__(self, n_in: int, n_out: int, from_rgb: bool, clamp: float | None) -> None:
        super().__init__()
        self.register_buffer("resample_filter", ops.fir_kernel())
        if from_rgb:
            self.fromrgb = ConvLayer(3, n_in, 1, clamp)
        self.conv0 = ConvLayer(n_in, n_in, 3, clamp)
        self.conv1 = ConvLayer(n_in, n_out, 3, clamp, down=True, gain=math.sqrt(0.5))
        self.skip = ConvLayer(n_in, n_out, 1, None, down=True, act=False, gain=math.sqrt(0.5))  # never clamped

    def forward(self, x: Tensor) -> Tensor:
        if hasattr(self, "fromrgb"):
            x = self.fromrgb(x)
        return self.skip(x) + self.conv1(self.conv0(x))


def minibatch_std(x: Tensor, group: int) -> Tensor:
    """Append one map with the mean standard deviation over groups of samples: [N, C, H, W] -> [N, C + 1, H, W].

    Karras et al. 2018 (arXiv 1710.10196), section 3. N must be at most `group` or a multiple of it.
    """
    n, _, h, w = x.shape
    g = min(group, n)
    y = x.reshape(g, n // g, *x.shape[1:]).float()
    y = ((y - y.mean(dim=0)).square().mean(dim=0) + 1e-8).sqrt()
    y = y.mean(dim=(1, 2, 3)).repeat(g)[:, None, None, None].expand(n, 1, h, w)
    return torch.cat([x, y.to(x.dtype)], dim=1)


class DiscriminatorEpilogue(nn.Module):
    """The last 4x4 features to one number for each label dimension; float32."""

    def __init__(self, channels: int, cmap_dim: int, group: int, clamp: float | None) -> None:
        super().__init__()
        self.group = group
        self.conv = ConvLayer(channels + 1, channels, 3, clamp)
        self.fc = FullyConnected(channels * 16, channels, act=True)
        self.out = FullyConnected(channels, cmap_dim or 1)

    def forward(self, x: Tensor) -> Tensor:
        x = self.conv(minibatch_std(x.float(), self.group))
        return self.out(self.fc(x.flatten(1)))


class Discriminator(nn.Module):
    """Images [N, 3, R, R] to logits [N, 1]; N must be a multiple of the minibatch-std group (or smaller than it)."""

    def __init__(self, cfg: NetConfig) -> None:
        super().__init__()
        self.cfg = cfg
        self.dtype = torch.float32
        self.resolutions = cfg.block_resolutions[:0:-1]
        for px in self.resolutions:
            block = DiscriminatorBlock(cfg.channels(px), cfg.channels(px // 2), px == cfg.resolution, cfg.conv_clamp)
            self.add_module(f"b{px}", block)
        self.cmap_dim = cfg.channels(4) if cfg.c_dim else 0
        if cfg.c_dim:
            self.mapping = MappingNetwork(0, cfg.c_dim, self.cmap_dim, None, 8, track=False)
        self.b4 = DiscriminatorEpilogue(cfg.channels(4), self.cmap_dim, cfg.mbstd_group, cfg.conv_clamp)

    @property
    def blocks(self) -> dict[int, DiscriminatorBlock]:
        """{resolution in px: block}, fine to coarse, without the 4 px epilogue `b4`."""
        return {px: getattr(self, f"b{px}") for px in self.resolutions}

    def forward(self, images: Tensor, c: Tensor | None = None) -> Tensor:
        """float [N, 3, R, R] in about [-1, 1] -> float32 [N, 1]; higher is more real."""
        x = images.to(self.dtype, memory_format=torch.channels_last)
        for block in self.blocks.values():
            x = block(x)
        return self._logits(x, c)

    def features(self, images: Tensor, c: Tensor | None = None) -> tuple[Tensor, dict[int, Tensor]]:
        """The logits of `forward`, and {px: float32 [N, C, px, px]}, the blocks' outputs from R / 2 down to 4 px.

        A map is what block `b{2 * px}` makes of its input; the 4 px one goes into the epilogue.
        """
        x = images.to(self.dtype, memory_format=torch.channels_last)
        maps = {}
        for px, block in self.blocks.items():
            x = block(x)
            maps[px // 2] = x.float()
        return self._logits(x, c), maps

    def _logits(self, x: Tensor, c: Tensor | None) -> Tensor:
        x = self.b4(x)
        if self.cmap_dim:
            x = (x * self.mapping(None, c)).sum(dim=1, keepdim=True) / math.sqrt(self.cmap_dim)
        return x
