"""Facts of the methods that look through a frozen network: D's features, EfficientNet-Lite0's, CLIP's."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from benchmark.methods.jojogan import JoJoGAN, features
from benchmark.methods.projected import Projected, discriminator
from benchmark.methods.stylegan_nada import StyleGANNADA
from benchmark.methods.vision_aided import VisionAided
from small_nets import CFG, TRAIN, generator_step, prepared, reals, rng, source, trained
from torch import Tensor, nn

from benchmark.api import ClipImages, DiscriminatorStep, EfficientNetLite0, Extra, Method, Nets, Turn
from benchmark.api.needed import given, needed
from benchmark.config import NetConfig
from benchmark.conformity.stand_ins import clip, with_stand_ins, write_stand_in
from benchmark.errors import ConfigError, MethodError
from benchmark.metrics.networks.features import load_feature_network
from benchmark.metrics.networks.weight_files import WEIGHT_FILES, locate
from benchmark.registry import find_method
from benchmark.stylegan2 import Discriminator
from benchmark.training.train import train

JOJO, NADA = JoJoGAN(references=3, inversion_steps=3), StyleGANNADA(images=6)
PROJECTED, AIDED = Projected(px=64, width=4), VisionAided(px=64)


@pytest.fixture(autouse=True)
def stand_ins() -> Iterator[None]:
    with with_stand_ins(["effnetlite0", "clip_vit_b32"]):
        yield


def free(method: Method) -> tuple[Nets, Extra, list[nn.Parameter], list[nn.Parameter]]:
    """As `prepared`, and what trains requires gradients."""
    nets, extra, g, d = prepared(method)
    assert extra.state_dict(), "each of these methods remembers something"
    for p in [*g, *d]:
        p.requires_grad_(True)
    return nets, extra, g, d


def same(a: nn.Module, b: nn.Module) -> bool:
    return all(p.equal(q) for p, q in zip(a.parameters(), b.parameters(), strict=True))


# Trainings without an adversary


@pytest.mark.parametrize("method", [JOJO, NADA], ids=lambda m: m.name)
def test_without_an_adversary_d_and_the_mapping_stay_and_g_follows_the_loss_alone(method: Method) -> None:
    assert not method.adversarial
    nets = trained(method)
    assert same(nets.d, source().d) and same(nets.g.mapping, source().g_ema.mapping)
    assert not nets.g.synthesis.b8.conv0.weight.equal(source().g_ema.synthesis.b8.conv0.weight)
    still = trained(method.model_copy(update={"weight": 0.0})) if "weight" in type(method).model_fields else None
    assert still is None or same(still.g, source().g_ema), "no loss, no change"


@pytest.mark.parametrize("method", [JOJO, NADA], ids=lambda m: m.name)
def test_without_an_adversary_there_is_no_average_and_no_path_length(method: Method) -> None:
    """predict.py and ZSSGAN/train.py have neither: what is evaluated is what was trained."""
    suite = TRAIN.model_copy(update={"pl_weight": 2.0, "pl_every": 1, "ema_kimg": 1.25})
    own = method.settings(suite)
    assert own == suite.model_copy(update={"pl_weight": 0.0, "ema_kimg": own.ema_kimg}) == method.settings(own)
    nets = source().copy()
    state = train(nets, reals(), method, suite, ("without", 0))
    assert set(state.ticks[-1].losses) == {method.name if method is JOJO else "direction"}
    assert all(a.equal(b) for a, b in zip(nets.g.parameters(), nets.g_ema.parameters(), strict=True))
    assert not same(nets.g, source().g_ema)


@pytest.mark.parametrize(
    ("name", "hook"),
    [
        ("jojogan+lecam", "discriminator_loss"),
        ("cdc+jojogan", "judge, latents"),
        ("stylegan_nada+projected", "judge"),
        ("finetune_augmented+jojogan", "augment"),
        ("genda+stylegan_nada", "truncation"),
    ],
)
def test_without_an_adversary_nothing_about_judgement_can_be_added(name: str, hook: str) -> None:
    alone = "stylegan_nada" if "nada" in name else "jojogan"
    (other,) = set(name.split("+")) - {alone}
    with pytest.raises(ConfigError, match=rf"{alone} trains without an adversary, so what {other} does .*\({hook}\)"):
        find_method(name)


def test_a_composition_is_adversarial_only_if_all_its_parts_are() -> None:
    assert not find_method("jojogan+l2sp").adversarial and find_method("lecam+l2sp").adversarial
    assert find_method("jojogan+stylegan_nada")().needs == ("clip_vit_b32",)
    both = find_method("stylegan_nada+fixnoise[match=vgg]")
    assert both().needs == ("vgg16", "clip_vit_b32") and not find_method("fixnoise+lecam")().needs


# JoJoGAN


def test_jojogans_loss_is_the_mean_l1_distance_of_ds_features() -> None:
    method = JOJO.model_copy(update={"mixed_share": 1.0})
    nets, extra, _, d = free(method)
    step = generator_step(nets, source().g_ema, extra)
    which = torch.randint(3, (4,), generator=rng(8))
    drawn = rng(8)
    torch.randint(3, (4,), generator=drawn)
    image = nets.g(step.z, rng=drawn)  # all layers are replaced, the noise is random
    ours, theirs = (nets.d.features(x)[1] for x in (image, extra.get_buffer("images")[which]))
    expected = np.abs((ours[8] - theirs[8]).detach().numpy()).mean()  # what the first block makes
    loss = method.generator_loss(step)["jojogan"]
    assert loss.item() == pytest.approx(expected, rel=1e-5)
    loss.backward()
    assert d == [] and all(p.grad is None for p in nets.g.mapping.parameters())
    assert nets.g.synthesis.b4.conv1.weight.grad is not None and all(p.grad is None for p in nets.d.parameters())


def test_jojogan_compares_the_first_the_third_to_the_fifth_block_from_the_image() -> None:
    """At 1024 px what the blocks of 1024, 256, 128 and 64 px make, the authors' layers 1, 3, 4, 5."""
    for px, maps in ((1024, (512, 128, 64, 32)), (256, (128, 32, 16, 8)), (64, (32, 8, 4)), (16, (8,))):
        with torch.device("meta"):
            d = Discriminator(NetConfig(resolution=px, channel_base=4096, channel_max=4))
            assert tuple(m.shape[-1] for m in features(d, torch.zeros(2, 3, px, px))) == maps


def test_jojogan_replaces_the_fine_layers_of_the_references_codes() -> None:
    method = JOJO.model_copy(update={"mixed_share": 1 / 3})  # of three resolutions
    nets, extra, _, _ = free(method)
    handed: list[Tensor] = []
    nets.g.synthesis.register_forward_pre_hook(lambda module, inputs: handed.append(inputs[0]))
    step = generator_step(nets, source().g_ema, extra, torch.zeros(4, 3, 16, 16))
    method.generator_loss(step)
    own, random = extra.get_buffer("codes")[torch.randint(3, (4,), generator=rng(8))], nets.g.mapping(step.z)
    assert handed[-1][:, :3].equal(own[:, :3]), "the constant's convolution and the two at 8 px"
    assert handed[-1][:, 3:].equal(random[:, 3:]) and handed[-1].shape[1] == 6


def test_jojogans_inversion_comes_nearer_to_its_references() -> None:
    def distance(steps: int) -> float:
        nets, extra, _, _ = free(JoJoGAN(references=3, inversion_steps=steps))
        with torch.no_grad():
            images = nets.g.synthesis(extra.get_buffer("codes"), "const")[0]
            ours, theirs = (
                [f for i in x.split(1) for f in nets.d.features(i)[1].values()]
                for x in (images, extra.get_buffer("images"))
            )
        return float(sum((a - b).abs().mean() for a, b in zip(ours, theirs, strict=True)))

    assert distance(30) < distance(3) < distance(0)


# StyleGAN-NADA


def test_nadas_loss_is_one_less_the_cosine_to_the_direction_of_the_domain() -> None:
    nets, extra, g, d = free(NADA)
    encode, chosen = ClipImages(), torch.randperm(8, generator=rng())[:6]
    generator = rng()
    torch.randperm(8, generator=generator)
    z = torch.randn(6, CFG.z_dim, generator=generator)
    with torch.no_grad():
        target = encode(torch.from_numpy(reals())[chosen] / 127.5 - 1).mean(dim=0)
        direction = target - encode(source().g_ema(z, noise="const")).mean(dim=0)
    direction = direction / direction.norm()
    torch.testing.assert_close(extra.get_buffer("direction"), direction)
    with torch.no_grad():
        for p in g:
            p.add_(torch.randn(p.shape, generator=rng(9)), alpha=1.0)
    step = generator_step(nets, source().g_ema, extra)
    ours, theirs = (encode(net(step.z, noise="const")) for net in (nets.g, source().g_ema))
    moved = (ours - theirs).detach().double().numpy()
    lengths = np.linalg.norm(moved, axis=1)
    assert lengths.min() < 0.05 < lengths.max(), "both sides of where differences count in proportion"
    cosine = moved @ direction.double().numpy() / np.maximum(lengths, 0.05)
    loss = NADA.generator_loss(step)["direction"]
    assert loss.item() == pytest.approx(1 - cosine.mean(), rel=1e-4)
    loss.backward()
    assert d == [] and all(p.grad is not None for name, p in nets.g.synthesis.named_parameters() if p in set(g))
    assert not any(p.requires_grad for b in nets.g.synthesis.blocks.values() for p in b.torgb.parameters())


def test_nadas_gradient_is_bounded_where_both_generators_agree() -> None:
    nets, extra, g, _ = free(NADA)
    loss = NADA.generator_loss(generator_step(nets, source().g_ema, extra))["direction"]
    loss.backward()
    assert loss.item() == pytest.approx(1)
    assert max(p.grad.abs().max().item() for p in g if p.grad is not None) < 1e3


def test_the_encoder_of_clip_is_a_vision_transformer() -> None:
    """Against torch's own layers with the same weights, and quick GELU."""
    state = {name.removeprefix("visual."): t for name, t in clip().items()}
    images = torch.randn(2, 3, 64, 64, generator=rng(1)).clamp(-1, 1)
    block = "transformer.resblocks.0."
    attention = nn.MultiheadAttention(64, 1, batch_first=True)
    attention.load_state_dict({k.removeprefix(f"{block}attn."): t for k, t in state.items() if f"{block}attn" in k})

    def norm(x: Tensor, name: str) -> Tensor:
        return F.layer_norm(x, (64,), state[f"{name}.weight"], state[f"{name}.bias"])

    mean, std = (torch.tensor(v)[:, None, None] for v in (
        (0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)
    ))  # fmt: skip
    patches = F.conv2d((images / 2 + 0.5 - mean) / std, state["conv1.weight"], stride=32).flatten(2).transpose(1, 2)
    x = torch.cat([state["class_embedding"].expand(2, 1, 64), patches], dim=1) + state["positional_embedding"]
    x = norm(x, "ln_pre")
    y = norm(x, f"{block}ln_1")
    x = x + attention(y, y, y, need_weights=False)[0]
    y = F.linear(norm(x, f"{block}ln_2"), state[f"{block}mlp.c_fc.weight"], state[f"{block}mlp.c_fc.bias"])
    y = y * torch.sigmoid(1.702 * y)
    x = x + F.linear(y, state[f"{block}mlp.c_proj.weight"], state[f"{block}mlp.c_proj.bias"])
    expected = F.normalize(norm(x[:, 0], "ln_post") @ state["proj"], dim=1)
    torch.testing.assert_close(ClipImages()(images), expected, rtol=1e-4, atol=1e-5)


def test_the_encoder_reads_openais_kind_of_file(tmp_path: Path) -> None:
    """A TorchScript archive, in half precision."""

    class Archive(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.visual = nn.Module()
            for name, tensor in clip().items():
                *path, last = name.split(".")[1:]
                owner = self.visual
                for part in path:
                    if not hasattr(owner, part):
                        owner.add_module(part, nn.Module())
                    owner = owner.get_submodule(part)
                owner.register_buffer(last, tensor.half())

        def forward(self, x: Tensor) -> Tensor:
            return x

    torch.jit.script(Archive()).save(str(tmp_path / "ViT-B-32.pt"))
    images = torch.randn(2, 3, 64, 64, generator=rng(1))
    expected = ClipImages()(images)
    with given({"clip_vit_b32": tmp_path / "ViT-B-32.pt"}):
        torch.testing.assert_close(ClipImages()(images), expected, rtol=2e-2, atol=2e-2)


# Projected and vision-aided discriminators


def test_the_four_scales_end_in_the_features_that_metrics_pool() -> None:
    path = locate(WEIGHT_FILES["effnetlite0"], {}, Path()).path
    if path is None:
        pytest.skip("EfficientNet-Lite0's weights are not installed")
    pixels = torch.randint(0, 256, (2, 3, 128, 128), generator=rng(1), dtype=torch.uint8)
    with given({"effnetlite0": path}):
        network = EfficientNetLite0(128)
    with torch.no_grad():
        maps = network((pixels.float() - 127) / 127.5)
        net = network.net
        pooled = net._swish(net._bn1(net._conv_head(maps[-1]))).mean((2, 3))  # type: ignore[operator, union-attr]
        expected = load_feature_network("effnetlite0_128", {"effnetlite0": path})(pixels)
    torch.testing.assert_close(pooled, expected, rtol=1e-3, atol=1e-3)
    assert [tuple(m.shape[1:]) for m in maps] == [(24, 32, 32), (40, 16, 16), (112, 8, 8), (320, 4, 4)]


@pytest.mark.parametrize("method", [PROJECTED, AIDED, NADA], ids=lambda m: m.name)
def test_the_network_is_held_and_not_stored(method: Method) -> None:
    _, extra, g, d = free(method)
    trains = {id(p) for p in [*g, *d]}
    assert {id(p) for p in extra.parameters()} <= trains
    stored = sum(t.numel() for t in extra.state_dict().values())
    assert stored < 2_000_000 and not any("net." in name or "clip" in name for name in extra.state_dict())


def test_projected_discriminators_judge_alone() -> None:
    nets, extra, _, d = free(PROJECTED)
    turn = Turn(nets, extra, rng(1), 0)
    images = torch.randn(3, 3, 16, 16, generator=rng(2), requires_grad=True)
    logits = PROJECTED.judge(turn, images, None)
    assert logits.shape == (3, 25 + 25 + 25 + 1)  # maps of 8, 8, 8 and 4 px before 4 x 4 convolutions
    logits.sum().backward()
    assert images.grad is not None and images.grad.ne(0).any()
    assert all(p.grad is not None for p in d) and {id(p) for p in d} == {id(p) for p in extra.d.parameters()}
    assert same(trained(PROJECTED).d, source().d), "the source's discriminator has no part in it"


@pytest.mark.parametrize(
    ("channels", "px", "widths"),
    [(64, 112, [64, 128, 256, 512]), (64, 56, [128, 256, 512]), (128, 28, [256, 512]), (256, 14, [512])],
)
def test_projected_discriminators_are_as_wide_as_the_authors(channels: int, px: int, widths: list[int]) -> None:
    """Theirs have 64 channels at 64 px, doubled at every halving down to 8 px."""
    layers = [m for m in discriminator(channels, px, 64) if isinstance(m, nn.Conv2d)]
    assert [m.out_channels for m in layers] == [*widths, 1] and layers[0].in_channels == channels


def test_the_projection_is_random_held_and_the_runs_own() -> None:
    one, two = (free(PROJECTED)[1].get_submodule("projection") for _ in range(2))
    assert not list(one.parameters())
    for a, b in zip(one.buffers(), two.buffers(), strict=True):
        assert a.equal(b), "the same in each process of a training, and after an interruption"
    maps = [torch.randn(1, c, 16 // 2**i, 16 // 2**i, generator=rng(i)) for i, c in enumerate((24, 40, 112, 320))]
    out = [tuple(x.shape[1:]) for x in one(maps)]
    assert out == [(4, 32, 32), (4, 16, 16), (8, 8, 8), (16, 4, 4)]
    changed = [*maps[:3], maps[3] + 1]
    assert not one(changed)[0].equal(one(maps)[0]), "coarse features reach the finest scale"


def test_vision_aided_adds_a_second_judge_in_both_updates() -> None:
    nets, extra, _, d = free(AIDED)
    head, network = copy.deepcopy(extra.d).eval(), extra.get_submodule("network")
    fakes, reals_ = (torch.randn(4, 3, 16, 16, generator=rng(i)) for i in (2, 3))
    logits = torch.zeros(4, 1)
    step_d = DiscriminatorStep(nets, source().g_ema, reals_, fakes, logits, logits, rng(8), 0, fakes, extra)
    extra.d.eval()  # spectral norms of the same state
    fake, real = (head(network(x)[-1]).detach().double().numpy() for x in (fakes, reals_))
    losses = {"d_vision": np.log1p(np.exp(fake)).mean() + np.log1p(np.exp(-real)).mean()}
    assert AIDED.discriminator_loss(step_d)["d_vision"].item() == pytest.approx(losses["d_vision"], rel=1e-4)
    step = generator_step(nets, source().g_ema, extra, fakes.clone().requires_grad_(True))
    loss = AIDED.generator_loss(step)["g_vision"]
    assert loss.item() == pytest.approx(np.log1p(np.exp(-fake)).mean(), rel=1e-4)
    (gradient,) = torch.autograd.grad(loss, step.images)
    assert gradient.ne(0).any()
    augmented = replace(step, images=reals_, judged=step.images)  # as the first discriminator saw them
    assert AIDED.generator_loss(augmented)["g_vision"].equal(AIDED.generator_loss(step)["g_vision"])
    assert not AIDED.generator_loss(replace(step, images=reals_))["g_vision"].equal(loss)
    assert len(d) == len([*nets.d.parameters()]) + len([*extra.d.parameters()])


# Files


def test_a_method_gets_only_files_that_were_handed_in(tmp_path: Path) -> None:
    with given({"a": tmp_path / "a"}):
        assert needed("a") == tmp_path / "a"
        with pytest.raises(MethodError, match=r"needs the file b.*name it in `needs`"):
            needed("b")
    with pytest.raises(MethodError, match="no stand-in"):
        write_stand_in("unknown", tmp_path)


def test_stand_ins_are_the_same_every_time_and_leave_the_global_random_state(tmp_path: Path) -> None:
    before = torch.get_rng_state()
    for key in ("effnetlite0", "clip_vit_b32", "vgg16"):
        one = torch.load(write_stand_in(key, tmp_path), weights_only=True)
        two = torch.load(write_stand_in(key, tmp_path), weights_only=True)
        assert one.keys() == two.keys() and all(one[k].equal(two[k]) for k in one)
    assert torch.get_rng_state().equal(before)
