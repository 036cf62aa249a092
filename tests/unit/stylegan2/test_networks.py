"""Properties of the networks that equality with the reference (test_stylegan2_reference.py) does not show."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from benchmark.config import NetConfig
from benchmark.stylegan2 import Discriminator, Generator, Nets
from benchmark.stylegan2.networks import SynthesisLayer, minibatch_std

TINY = NetConfig(resolution=16, z_dim=16, w_dim=16, mapping_layers=2, channel_base=128, channel_max=8)
LABELLED = TINY.model_copy(update={"c_dim": 3})


def random(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def shaken(cfg: NetConfig, seed: int = 0) -> Nets:
    """Networks in which biases, noise strengths and w_avg are not zero."""
    nets = Nets.create(cfg, seed)
    rng = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for net in (nets.g, nets.g_ema, nets.d):
            for p in net.parameters():
                p += 0.1 * torch.randn(p.shape, generator=rng)
        nets.g.mapping.w_avg.normal_(generator=rng)
    return nets


@pytest.fixture(scope="module")
def nets() -> Nets:
    return shaken(TINY)


@pytest.fixture(scope="module")
def labelled() -> Nets:
    return shaken(LABELLED)


# --- the modulated convolution


def by_grouped_convolution(layer: SynthesisLayer, x: Tensor, w: Tensor, noise: Tensor) -> Tensor:
    """Equations 1 to 3 of the StyleGAN2 paper, word by word: one weight per sample, modulated, then demodulated."""
    n, n_in, px, _ = x.shape
    weight = layer.weight[None] * layer.affine(w)[:, None, :, None, None]
    weight = weight / (weight.square().sum(dim=(2, 3, 4), keepdim=True) + 1e-8).sqrt()
    x = x.reshape(1, n * n_in, px, px)
    if layer.up:
        weight = weight.transpose(1, 2).flatten(0, 1)
        y = F.conv_transpose2d(x, weight, stride=2, groups=n)
        taps = torch.tensor([1.0, 3.0, 3.0, 1.0])
        fir = (taps.outer(taps) / 16).expand(y.shape[1], 1, 4, 4)
        y = F.conv2d(y, fir, padding=1, groups=y.shape[1])
    else:
        y = F.conv2d(x, weight.flatten(0, 1), padding=1, groups=n)
    y = y.reshape(n, -1, *y.shape[2:]) + noise * layer.noise_strength + layer.bias[None, :, None, None]
    y = F.leaky_relu(y, 0.2) * 2**0.5
    return y if layer.clamp is None else y.clamp(-layer.clamp, layer.clamp)


@pytest.mark.parametrize("up", [False, True])
@pytest.mark.parametrize("clamp", [None, 1.5])
def test_modulated_convolution_equals_one_with_weights_per_sample(up: bool, clamp: float | None) -> None:
    torch.manual_seed(0)
    layer = SynthesisLayer(6, 5, 16, px=16 if up else 8, up=up, clamp=clamp)
    with torch.no_grad():
        layer.bias.normal_()
        layer.noise_strength.fill_(0.7)
    inputs = [random(3, 6, 8, 8, seed=1), random(3, 16, seed=2), random(3, 1, layer.px, layer.px, seed=3)]
    ours = layer(*(t.clone() for t in inputs))
    theirs = by_grouped_convolution(layer, *inputs)
    torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-5)

    def gradients(y: Tensor) -> tuple[Tensor, ...]:
        return torch.autograd.grad(y.pow(3).mean(), list(layer.parameters()))

    torch.testing.assert_close(gradients(ours), gradients(theirs), rtol=1e-3, atol=1e-5)


# --- labels


def one_hot(*classes: int) -> Tensor:
    return F.one_hot(torch.tensor(classes), 3).float()


def test_labels_change_the_generators_images(labelled: Nets) -> None:
    z = random(2, 16)
    images = [labelled.g(z, one_hot(k, k), noise="const") for k in range(3)]
    assert images[0].shape == (2, 3, 16, 16)
    assert not images[0].allclose(images[1], atol=1e-3)
    mixed = labelled.g(z, one_hot(0, 1), noise="const")  # each sample follows its own label
    torch.testing.assert_close(mixed, torch.stack([images[0][0], images[1][1]]))


def test_labels_change_the_discriminators_logits_by_projection(labelled: Nets) -> None:
    images = random(4, 3, 16, 16)
    first, second = (labelled.d(images, one_hot(k, k, k, k)) for k in (0, 1))
    assert first.shape == (4, 1)
    assert not first.allclose(second, atol=1e-3)
    # Miyato and Koyama 2018: labels enter through one inner product, so logits are linear in the label's embedding.
    labels = random(20, 3, seed=1)  # more than the embedding has dimensions
    embedding = labelled.d.mapping(None, labels)
    logits = torch.stack([labelled.d(images, label.expand(4, 3))[:, 0] for label in labels])
    features = torch.linalg.lstsq(embedding, logits).solution
    torch.testing.assert_close(embedding @ features, logits, rtol=0, atol=1e-4)


def test_a_conditional_network_without_a_label_is_an_error(labelled: Nets) -> None:
    with pytest.raises(ValueError, match="3 classes"):
        labelled.g(random(2, 16))
    with pytest.raises(ValueError, match="3 classes"):
        labelled.d(random(4, 3, 16, 16))


# --- mapping


def test_latents_are_normalised_to_unit_second_moment(nets: Nets) -> None:
    z = random(4, 16)
    torch.testing.assert_close(nets.g.mapping(z), nets.g.mapping(100 * z), rtol=1e-4, atol=1e-5)


def test_truncation_reaches_from_w_avg_to_w(nets: Nets) -> None:
    z = random(4, 16)
    ws, centre = nets.g.mapping(z), nets.g.mapping.w_avg
    torch.testing.assert_close(nets.g.mapping(z, psi=0.0), centre.expand_as(ws))
    half = nets.g.mapping(z, psi=0.5, cutoff=2)
    torch.testing.assert_close(half[:, :2], (ws[:, :2] + centre) / 2)
    assert half[:, 2:].equal(ws[:, 2:])


def test_w_avg_moves_only_when_asked_and_by_the_batch_mean() -> None:
    g = shaken(TINY).g
    before, z = g.mapping.w_avg.clone(), random(8, 16)
    ws = g.mapping(z)
    g(z)
    assert g.mapping.w_avg.equal(before)
    g.mapping(z, update_avg=True)
    torch.testing.assert_close(g.mapping.w_avg, 0.995 * before + 0.005 * ws[:, 0].mean(dim=0))


# --- noise, blocks, features


def test_random_noise_differs_between_samples_layers_and_draws_and_follows_its_generator(nets: Nets) -> None:
    maps = nets.g.synthesis.random_noise(2, torch.Generator().manual_seed(0))
    assert {name: tuple(m.shape) for name, m in maps.items()} == {
        "b4.conv1": (2, 1, 4, 4),
        **{f"b{px}.conv{i}": (2, 1, px, px) for px in (8, 16) for i in (0, 1)},
    }
    assert not maps["b8.conv0"][0].equal(maps["b8.conv0"][1])
    assert not maps["b8.conv0"].equal(maps["b8.conv1"])
    ws = nets.g.mapping(random(2, 16))
    drawn, _ = nets.g.synthesis(ws, "random", rng=torch.Generator().manual_seed(0))
    given, _ = nets.g.synthesis(ws, maps)
    assert drawn.equal(given)
    again, _ = nets.g.synthesis(ws, "random", rng=torch.Generator().manual_seed(1))
    assert not drawn.equal(again)


def test_explicit_anchor_and_zero_maps_equal_the_named_modes(nets: Nets) -> None:
    ws, anchor = nets.g.mapping(random(2, 16)), nets.g.synthesis.anchor_noise()
    assert nets.g.synthesis(ws, anchor)[0].equal(nets.g.synthesis(ws, "const")[0])
    zeros = {name: torch.zeros_like(m) for name, m in anchor.items()}
    assert nets.g.synthesis(ws, zeros)[0].equal(nets.g.synthesis(ws, "none")[0])


def test_noise_that_does_not_fit_is_an_error_that_names_the_layers(nets: Nets) -> None:
    ws, maps = nets.g.mapping(random(2, 16)), nets.g.synthesis.random_noise(2)
    with pytest.raises(ValueError, match=r"b8\.conv1"):
        nets.g.synthesis(ws, {k: v for k, v in maps.items() if k != "b8.conv1"})
    with pytest.raises(ValueError, match=r"b32\.conv0"):
        nets.g.synthesis(ws, {**maps, "b32.conv0": torch.zeros(32, 32)})
    with pytest.raises(ValueError, match="'constant'"):
        nets.g.synthesis(ws, "constant")


def test_a_feature_map_is_the_blocks_last_output(nets: Nets) -> None:
    seen: dict[int, Tensor] = {}
    hooks = [
        block.conv1.register_forward_hook(lambda _, __, y, px=px: seen.update({px: y}))
        for px, block in nets.g.synthesis.blocks.items()
    ]
    _, features = nets.g.synthesis(nets.g.mapping(random(2, 16)), "const")
    for hook in hooks:
        hook.remove()
    assert {px: tuple(f.shape) for px, f in features.items()} == {4: (2, 8, 4, 4), 8: (2, 8, 8, 8), 16: (2, 8, 16, 16)}
    assert all(features[px].equal(seen[px]) for px in (4, 8, 16))


def test_each_layer_is_driven_by_its_own_w(nets: Nets) -> None:
    """ws[i] drives layer i; a block's RGB shares the w of the next block's first layer."""
    g = nets.g.synthesis
    ws = nets.g.mapping(random(1, 16)).detach()
    assert g.num_ws == ws.shape[1] == 6
    _, before = g(ws, "const")
    for i, first_px in enumerate([4, 8, 8, 16, 16, None]):
        changed = ws.clone()
        changed[:, i] += 1
        image, after = g(changed, "const")
        assert [px for px in after if not after[px].equal(before[px])] == [
            px for px in (4, 8, 16) if px >= (first_px or 99)
        ]
        assert not image.equal(g(ws, "const")[0])


def test_blocks_are_addressed_by_resolution(nets: Nets) -> None:
    assert list(nets.g.synthesis.blocks) == [4, 8, 16]
    assert nets.g.synthesis.blocks[8] is nets.g.synthesis.b8
    assert list(nets.d.blocks) == [16, 8]
    assert nets.d.blocks[16] is nets.d.b16


# --- discriminator


def test_minibatch_std_by_its_definition() -> None:
    x = random(8, 3, 4, 4)
    y = minibatch_std(x, group=4)
    assert y.shape == (8, 4, 4, 4)
    assert y[:, :3].equal(x)
    for members in ([0, 2, 4, 6], [1, 3, 5, 7]):  # groups interleave
        expected = x[members].var(dim=0, correction=0).add(1e-8).sqrt().mean()
        torch.testing.assert_close(y[members, 3], expected.expand(4, 4, 4))
    assert minibatch_std(x[:3], group=4)[0, 3, 0, 0] == minibatch_std(x[:3], group=3)[0, 3, 0, 0]


def test_logits_depend_on_the_group_and_on_nobody_else(nets: Nets) -> None:
    images = random(8, 3, 16, 16)
    logits = nets.d(images)
    changed = images.clone()
    changed[0] += 1
    moved = (nets.d(changed) - logits)[:, 0].abs() > 1e-6
    assert moved.tolist() == [True, False] * 4


# --- shapes, sizes, precision


@pytest.mark.parametrize(
    ("resolution", "base", "g", "d"), [(256, 16384, 24_767_458, 24_001_089), (1024, 32768, 30_370_060, 29_012_513)]
)
def test_full_sizes_have_the_published_parameter_counts(resolution: int, base: int, g: int, d: int) -> None:
    cfg = NetConfig(resolution=resolution, channel_base=base, channel_max=512)
    with torch.device("meta"):
        counts = [sum(p.numel() for p in net(cfg).parameters()) for net in (Generator, Discriminator)]
    assert counts == [g, d]


@pytest.mark.parametrize("resolution", [8, 16, 32, 64, 128, 256])
def test_every_resolution_maps_latents_to_images_to_logits(resolution: int) -> None:
    cfg = NetConfig(resolution=resolution, z_dim=8, w_dim=8, mapping_layers=1, channel_base=256, channel_max=4)
    nets = Nets.create(cfg, seed=0)
    with torch.no_grad():
        images = nets.g(random(2, 8))
        assert images.shape == (2, 3, resolution, resolution)
        assert nets.d(images).shape == (2, 1)


@pytest.mark.parametrize("clamp", [0.1, None])
def test_conv_clamp_bounds_features_rgb_and_discriminator(clamp: float | None) -> None:
    cfg = TINY.model_copy(update={"conv_clamp": clamp})
    nets = shaken(cfg)
    image, features = nets.g.synthesis(nets.g.mapping(random(4, 16)), "const")
    outputs: list[Tensor] = []
    layers = [nets.d.b16.fromrgb, nets.d.b16.skip, nets.d.b16.conv1, nets.d.b4.conv]
    hooks = [layer.register_forward_hook(lambda _, __, y: outputs.append(y)) for layer in layers]
    nets.d(random(4, 3, 16, 16))
    for hook in hooks:
        hook.remove()
    largest = [f.abs().max().item() for f in (*features.values(), *outputs)]
    free = largest.pop(4)  # the skip path is never clamped
    assert free > 0.1 * 0.5**0.5
    bounds = [0.1] * 4 + [0.1 * 0.5**0.5] + [0.1]  # a block's gain sqrt(1/2) scales its clamp
    if clamp is None:
        assert all(found > bound for found, bound in zip(largest, bounds, strict=True))
    else:
        assert largest == pytest.approx(bounds)
        first_rgb = nets.g.synthesis.b4.torgb(features[4], nets.g.mapping(random(4, 16))[:, 1])
        assert first_rgb.abs().max().item() == pytest.approx(0.1)
    assert image.isfinite().all()


def test_bfloat16_is_close_and_rgb_and_logits_stay_float32(nets: Nets) -> None:
    z, images = random(4, 16), random(4, 3, 16, 16)
    exact = nets.g(z, noise="const"), nets.d(images)
    half = nets.copy()
    half.g.synthesis.dtype = half.d.dtype = torch.bfloat16
    rounded = half.g(z, noise="const"), half.d(images)
    for a, b in zip(rounded, exact, strict=True):
        assert a.dtype == torch.float32
        assert 0 < (a - b).norm() < 0.02 * b.norm()


def test_channels_last_networks_give_the_same(nets: Nets) -> None:
    z, images = random(4, 16), random(4, 3, 16, 16)
    other = nets.copy().to("cpu")
    assert other.d.b16.conv0.weight.is_contiguous(memory_format=torch.channels_last)
    torch.testing.assert_close(other.g(z, noise="const"), nets.g(z, noise="const"), rtol=0, atol=1e-5)
    torch.testing.assert_close(other.d(images), nets.d(images), rtol=0, atol=1e-5)
