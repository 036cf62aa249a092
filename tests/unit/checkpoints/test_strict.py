"""What does not fit is refused by its name, all of it at once, unless it was allowed by its name."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from nvidia_pickle import write_pickle
from rosinality_net import shaken
from safetensors.torch import save_file
from torch import Tensor

from benchmark.checkpoints import Checkpoint, Converted, convert, read_checkpoint, rosinality
from benchmark.config import NetConfig
from benchmark.errors import WeightsError
from benchmark.stylegan2 import Discriminator, Generator, Nets, save
from benchmark.stylegan2.networks import Miner

CFG = NetConfig(resolution=16, z_dim=8, w_dim=8, mapping_layers=2, channel_base=64, channel_max=8, mbstd_group=4)
States = dict[str, dict[str, Tensor]]


@pytest.fixture(scope="module")
def nets() -> Nets:
    nets = Nets.create(CFG, seed=0)
    for seed, net in enumerate((nets.g, nets.g_ema, nets.d)):
        shaken(net, seed)
    return nets


@pytest.fixture
def states(nets: Nets) -> States:
    """May be changed."""
    parts = {"G": nets.g, "G_ema": nets.g_ema, "D": nets.d}
    return {part: {k: t.clone() for k, t in net.state_dict().items()} for part, net in parts.items()}


@pytest.fixture
def load(tmp_path: Path) -> Callable[..., Converted]:
    def call(content: Any, *allow: str) -> Converted:
        torch.save(content, tmp_path / "x.pt")
        return convert(read_checkpoint(tmp_path / "x.pt"), allow, "x.pt")

    return call


Load = Callable[..., Converted]


def refused(call: Callable[[], object]) -> str:
    """The one printable line of the WeightsError that `call` ends in."""
    with pytest.raises(WeightsError) as error:
        call()
    message = str(error.value)
    assert message.isprintable()
    return message


# --- single tensors

CHANGES: dict[str, tuple[Callable[[Tensor], Tensor], str]] = {
    "shape": (lambda t: torch.cat([t, t]), r"has shape [16, 8], expected [8, 8]"),
    "transposed shape": (lambda t: t[None], r"has shape [1, 8, 8], expected [8, 8]"),
    "integers": (lambda t: t.long(), "is of torch.int64, not of floating point numbers"),
    "nan": (lambda t: t.where(t < t.max(), math.nan), "holds numbers that are not finite"),
    "infinity": (lambda t: t.where(t > t.min(), -math.inf), "holds numbers that are not finite"),
    "beyond float32": (lambda t: t.double() * 1e300, "holds numbers that are not finite"),
}


@pytest.mark.parametrize(("change", "problem"), CHANGES.values(), ids=list(CHANGES))
@pytest.mark.parametrize("name", ["G.mapping.fc1.weight", "G_ema.synthesis.b8.conv1.affine.weight"])
def test_a_wrong_tensor(
    name: str, change: Callable[[Tensor], Tensor], problem: str, states: States, load: Load
) -> None:
    part, _, rest = name.partition(".")
    states[part][rest] = change(states[part][rest])
    ours = f"{part.lower()}.{rest}"
    assert f"weights show: {ours} {problem}. Is" in refused(lambda: load(states))
    allowed = load(states, ours)
    assert allowed.notes == (f"allowed: {ours} {problem}",)
    fresh = Nets.create(CFG, seed=0).state_dict()[ours]
    assert allowed.nets.state_dict()[ours].equal(fresh)


def problems_of(networks: States) -> str:
    """What `convert` says of these state dicts, in memory; quick enough to try each tensor."""
    with pytest.raises(WeightsError) as error:
        convert(Checkpoint("test", networks), (), "x")
    return str(error.value)


@pytest.mark.parametrize("part", ["g_ema", "d"])
def test_each_tensor_that_is_missing_or_misshapen_is_named(part: str) -> None:
    small = CFG.model_copy(update={"resolution": 8, "channel_base": 32, "mapping_layers": 1})
    both = {"g_ema": Generator(small).state_dict(), "d": Discriminator(small).state_dict()}
    networks = both if part == "d" else {"g_ema": both["g_ema"]}
    for name, t in networks[part].items():
        longer = torch.cat([t, t[:1]]) if t.ndim else t[None]
        wrong = networks | {part: networks[part] | {name: longer}}
        assert f"{part}.{name} has shape {list(longer.shape)}, expected {list(t.shape)}." in problems_of(wrong)
        fewer = networks | {part: {k: t for k, t in networks[part].items() if k != name}}
        if name == "mapping.fc0.weight":  # only this one says how large z is
            assert "it has no mapping.fc0.weight" in problems_of(fewer)
        elif name != "mapping.w_avg":  # which can be estimated
            assert f"{part}.{name} is missing." in problems_of(fewer)


@pytest.mark.parametrize("name", ["synthesis.b32.conv1.weight", "mapping.fc0.scale", "b4.out.weight", "x y", 7])
def test_an_unexpected_tensor(name: str, states: States, load: Load) -> None:
    states["G"][name] = torch.zeros(3)
    assert f"weights show: g.{name} is unexpected. Is" in refused(lambda: load(states))
    assert f"g.{name} is unexpected" in refused(lambda: load(states, "g.x"))
    assert load(states, f"g.{name}").notes == (f"allowed: g.{name} is unexpected",)


def test_a_further_mapping_layer_in_one_of_two_networks(states: States, load: Load) -> None:
    states["G_ema"]["mapping.fc2.bias"] = torch.zeros(8)
    message = refused(lambda: load(states))
    for problem in ("g_ema.mapping.fc2.weight is missing", "g.mapping.fc2.weight is missing"):
        assert problem in message


def test_all_problems_are_listed_and_only_what_is_named_is_accepted(states: States, load: Load) -> None:
    del states["D"]["b4.out.bias"], states["G"]["synthesis.b4.const"]
    states["D"]["b4.extra"] = torch.zeros(1)
    states["D"]["b4.fc.bias"] = torch.zeros(9)
    states["G_ema"]["mapping.fc0.bias"].mul_(math.nan)
    states["G_ema"]["synthesis.b8.resample_filter"] = torch.full((4, 4), 1 / 16)
    problems = {
        "d.b4.extra": "is unexpected",
        "d.b4.fc.bias": "has shape [9], expected [8]",
        "d.b4.out.bias": "is missing",
        "g.synthesis.b4.const": "is missing",
        "g_ema.mapping.fc0.bias": "holds numbers that are not finite",
        "g_ema.synthesis.b8.resample_filter": "is another low-pass filter than [1, 3, 3, 1]",
    }
    listed = {f"{name} {what}" for name, what in problems.items()}

    def mentioned(*allow: str) -> set[str]:
        message = refused(lambda: load(states, *allow))
        return {text for text in listed if text in message}

    assert mentioned() == listed
    assert mentioned("d.b4") == mentioned("D.*") == mentioned("b4.*") == listed  # no names, and case counts
    assert mentioned("d.b4.*") == {text for text in listed if not text.startswith("d.")}
    assert mentioned(*list(problems)[1:]) == {"d.b4.extra is unexpected"}
    done = load(states, "d.b4.*", "g*.mapping.fc0.bias", "g.synthesis.b4.const", "*resample_filter")
    assert set(done.notes) == {f"allowed: {text}" for text in listed}
    own, fresh = done.nets.state_dict(), Nets.create(CFG, seed=0).state_dict()
    for name in own:
        part, _, rest = name.partition(".")
        given = states[{"g": "G", "g_ema": "G_ema", "d": "D"}[part]].get(rest)
        assert own[name].equal(fresh[name] if name in problems else given), name


def test_a_low_pass_filter_may_be_rounded(states: States, load: Load) -> None:
    states["D"]["b8.skip.resample_filter"] = states["D"]["b8.skip.resample_filter"].half()
    load(states)
    states["D"]["b8.skip.resample_filter"] = states["D"]["b8.skip.resample_filter"] * 1.01
    assert "d.b8.skip.resample_filter is another low-pass filter" in refused(lambda: load(states))


def test_names_that_nobody_can_print(states: States, load: Load) -> None:
    states["G"]["evil\x1b[31m\n\ud800" + "x" * 10_000] = torch.zeros(1)
    message = refused(lambda: load(states))
    assert "g.evil?[31m??xxx" in message and len(message) < 500
    notes = load(states, "g.evil*").notes
    assert len(notes) == 1 and notes[0].isprintable()


def test_names_beside_the_networks_are_printable(states: States, tmp_path: Path) -> None:
    torch.save({**states, "a\nb\ud800": 3, "y" * 1000: torch.zeros(1)}, tmp_path / "x.pt")
    assert read_checkpoint(tmp_path / "x.pt").left_out == ["a?b?", "y" * 40]


# --- whole networks


def test_what_a_missing_network_becomes(states: States, load: Load) -> None:
    g, g_ema, d = states.values()
    copied = "g was not in the file: it is a copy of g_ema"
    no_d = "d was not in the file: no run can start from this source"
    assert load({"G": g, "G_ema": g_ema, "D": d}).notes == ()
    done = load({"G_ema": g_ema, "D": d})
    assert (done.present, done.notes) == (("g_ema", "d"), (copied,))
    assert done.nets.g.mapping.fc0.weight.equal(g_ema["mapping.fc0.weight"])
    done = load({"G": g})
    assert (done.present, done.notes) == (("g",), ("g_ema was not in the file: it is a copy of g", no_d))
    assert done.nets.g_ema.synthesis.b4.const.equal(g["synthesis.b4.const"])
    assert not any(p.requires_grad for p in done.nets.g_ema.parameters())
    for allow in (["d.b4.*"], ["d.b4.out.weight"], ["d"], ["g.*"]):
        assert load({"G_ema": g_ema}, *allow).present == ("g_ema",)
    for allow in (["d.*"], ["d.b16.*", "d.b8.*", "d.b4.*"], ["*"]):
        done = load({"G_ema": g_ema}, *allow)
        new = "allowed: d was not in the file and starts as a new network"
        assert (done.present, done.notes) == (("g_ema", "d"), (copied, new))
    assert "holds no generator, only d" in refused(lambda: load({"D": d}))
    for empty in ({}, {"G": {}}, {"G_ema": g_ema, "D": {}}, {"x": g}, [g], 3, None):
        assert "x.pt holds" in refused(lambda content=empty: load(content))


@pytest.mark.parametrize("part", ["G", "G_ema"])
def test_a_missing_w_average_is_estimated_and_said(part: str, states: States, load: Load) -> None:
    del states[part]["mapping.w_avg"]
    done = load(states)
    assert done.notes == (
        f"{part.lower()}.mapping.w_avg is not the file's: it is the mean over 10,000 mapped latents (seed 0)",
    )
    g = done.nets.g if part == "G" else done.nets.g_ema
    z = torch.randn(4000, 8, generator=torch.Generator().manual_seed(1))
    w = g.mapping(z)[:, 0]
    error = (w.mean(dim=0) - g.mapping.w_avg).abs() / w.std(dim=0)
    assert error.max() < 0.1 and g.mapping.w_avg.abs().max() > 0.1
    wrong = load({**states, part: {**states[part], "mapping.w_avg": torch.zeros(9)}}, "*.w_avg")
    again = wrong.nets.g if part == "G" else wrong.nets.g_ema
    assert again.mapping.w_avg.equal(g.mapping.w_avg) and len(wrong.notes) == 2


def test_one_network_under_two_names(states: States, load: Load) -> None:
    assert "G_ema and Gs" in refused(lambda: load({**states, "Gs": states["G"]}))
    flat = {f"{part}.{name}": t for part, state in states.items() for name, t in state.items()}
    assert load(flat).present == ("g", "g_ema", "d")
    twice = refused(lambda: load({**flat, "g.mapping.w_avg": torch.zeros(8)}))
    assert "mapping.w_avg of g under two names" in twice
    assert "mapping.w_avg of g under two names" in refused(lambda: load({**flat, "mapping.w_avg": torch.zeros(8)}))
    assert "g.something is unexpected" in refused(lambda: load({**flat, "something": torch.zeros(8)}))


def test_a_flat_file_may_hold_three_networks_of_the_largest_size(
    states: States, load: Load, monkeypatch: pytest.MonkeyPatch
) -> None:
    largest = max(sum(t.nbytes for t in state.values()) for state in states.values())
    monkeypatch.setattr("benchmark.checkpoints.tensors.MAX_NETWORK", largest)
    flat = {f"{part}.{name}": t for part, state in states.items() for name, t in state.items()}
    assert load(flat).present == ("g", "g_ema", "d")
    assert "more than" in refused(lambda: load({**flat, "much": torch.zeros(3 * largest // 4)}))


def test_networks_that_do_not_belong_together(states: States, load: Load) -> None:
    other = Nets.create(CFG.model_copy(update={"resolution": 8}), seed=0)
    message = refused(lambda: load({**states, "D": other.d.state_dict()}))
    assert "its d is for 8 px, its generator makes 16 px" in message
    labelled = Nets.create(CFG.model_copy(update={"c_dim": 2}), seed=0)
    assert "its d is conditional, its generator is not" in refused(
        lambda: load({**states, "D": labelled.d.state_dict()})
    )
    message = refused(lambda: load({**states, "G_ema": labelled.g.state_dict()}))
    assert "its g is not conditional, its generator is. These networks were not trained together" in message


def test_other_generations(states: States, load: Load) -> None:
    stylegan3 = {"synthesis.input.weight": torch.zeros(4, 4), "synthesis.L0_36_512.weight": torch.zeros(4, 4, 3, 3)}
    assert "is a StyleGAN3" in refused(lambda: load({"G_ema": stylegan3 | {"mapping.fc0.weight": torch.zeros(4, 4)}}))
    stylegan1 = {"g_mapping.dense0.weight": torch.zeros(4, 4), "g_synthesis.blocks.4x4.const": torch.zeros(1)}
    assert "is no StyleGAN2 generator" in refused(lambda: load({"G": stylegan1}))
    gap = {k: t for k, t in states["G"].items() if not k.startswith("synthesis.b8.")}
    assert "[4, 16], expected 4, 8, 16" in refused(lambda: load({"G": gap}))


@pytest.mark.parametrize("wide", [2**13 + 1, 2**33, 2**39])
def test_tensors_without_a_number_cannot_ask_for_memory(wide: int, states: States, load: Load) -> None:
    """A tensor without rows may declare any width; an average of that width must not be made."""
    state = states["G_ema"]
    del state["mapping.w_avg"]
    for name in state:
        if name.endswith("affine.weight"):
            state[name] = torch.empty(0, wide)
    message = refused(lambda: load({"G_ema": state}, "*"))
    assert f"is no StyleGAN2 generator: w_dim = {wide}: Input should be less than or equal to 8192" in message


def test_a_file_of_few_numbers_cannot_ask_for_large_networks(states: States, load: Load) -> None:
    state = states["G_ema"]
    for px in (4, 8, 16):
        for name in ("conv1.bias", "torgb.affine.bias"):
            state[f"synthesis.b{px}.{name}"] = torch.zeros(8_192)
        state[f"synthesis.b{px}.conv1.weight"] = torch.empty(8_192, 0)
    assert "no StyleGAN2 is that large" in refused(lambda: load({"G_ema": state}, "*"))


@pytest.mark.parametrize("mined", ["g", "g_ema"])
def test_a_network_with_a_miner_is_called_so_whatever_is_allowed(mined: str, nets: Nets, tmp_path: Path) -> None:
    """--allow would drop the miner, and with it what the method learned."""
    made, file = nets.copy(), tmp_path / "mined.safetensors"
    getattr(made, mined).add_miner(Miner(8, 2))
    save(file, made)
    for allow in ([], ["*"]):
        message = refused(lambda allow=allow: convert(read_checkpoint(file), allow, file.name))
        assert message.startswith("mined.safetensors has a miner in front of its latents")
        assert "results folder" in message and "--allow" not in message


def test_channels_that_follow_no_rule(states: States, load: Load) -> None:
    wide = Nets.create(CFG.model_copy(update={"channel_max": 6}), seed=0).g.state_dict()
    mixed = {k: wide[k] if k.startswith("synthesis.b4.") else t for k, t in states["G"].items()}
    assert "{4: 6, 8: 8, 16: 4} feature maps" in refused(lambda: load({"G": mixed}))


# --- what NVIDIA's modules recorded

RECORDED: list[tuple[str, str, Any, str]] = [
    ("G.mapping.fc0", "weight_gain", 0.1 / math.sqrt(8), "g.mapping.fc0.weight_gain is 0.0353"),
    ("G_ema.mapping.fc1", "bias_gain", 1.0, "g_ema.mapping.fc1.bias_gain is 1.0, expected 0.01"),
    ("D.b8.conv1", "weight_gain", math.nan, "d.b8.conv1.weight_gain is nan"),
    ("D.b4.out", "bias_gain", "1", "d.b4.out.bias_gain is 1, expected 1"),
    ("D.b8", "architecture", "orig", "architecture = orig is not supported"),
    ("D.b16", "architecture", "skip", "architecture of d is skip, expected resnet"),
    ("G.synthesis.b8", "architecture", "resnet", "architecture of g is resnet, expected skip"),
    ("G.synthesis.b8.conv0", "activation", "re\x1blu\n", "activation = re?lu? is not supported"),
    ("G_ema.mapping.fc1", "activation", "linear", "g_ema.mapping.fc1.activation is linear, expected lrelu"),
    ("G_ema.synthesis.b8.conv0", "activation", "linear", "g_ema.synthesis.b8.conv0.activation is linear"),
    ("D.b16.conv0", "activation", "linear", "d.b16.conv0.activation is linear, expected lrelu"),
    ("G_ema.synthesis.b8.conv0.affine", "activation", "lrelu", "b8.conv0.affine.activation is lrelu, expected linear"),
    ("G.synthesis.b8.conv0", "use_noise", False, "use_noise = False"),
    ("D.b4.mbstd", "num_channels", 2, "num_channels = 2"),
    ("D.b4.mbstd", "group_size", 2.5, "group_size 2.5"),
    ("D.b4.mbstd", "group_size", 0, "mbstd_group = 0"),
    ("D.b8.conv0", "conv_clamp", None, "different conv_clamp (256.0, None)"),
    ("G.synthesis.b16.torgb", "conv_clamp", 128, "different conv_clamp (128, 256.0)"),
    ("G", "z_dim", 9, "g says that z_dim is 9; its weights show 8"),
    ("D", "img_resolution", 32, "d says that img_resolution is 32; its weights show 16"),
    ("D", "c_dim", None, "d says that c_dim is None; its weights show 0"),
    ("G.mapping", "anything", -(2**100), "mapping.anything is an absurdly large number"),
    ("G", "_modules", {"x" * 200: None}, "among its modules"),
]


@pytest.mark.parametrize(("path", "name", "value", "problem"), RECORDED, ids=[f"{p}.{n}" for p, n, _, _ in RECORDED])
def test_recorded_settings_that_our_networks_do_not_have(
    path: str, name: str, value: Any, problem: str, nets: Nets, tmp_path: Path
) -> None:
    file = write_pickle(tmp_path / "x.pkl", nets, attributes={(path, name): value})
    assert problem in refused(lambda: convert(read_checkpoint(file), ["*"], "x.pkl"))


def test_all_differing_gains_are_listed(nets: Nets, tmp_path: Path) -> None:
    attributes = {(f"G.mapping.fc{i}", "bias_gain"): 0.1 for i in range(2)}
    path = write_pickle(tmp_path / "x.pkl", nets, attributes=attributes | {("D.b4.fc", "weight_gain"): 1})
    message = refused(lambda: convert(read_checkpoint(path), [], "x.pkl"))
    for name in ("g.mapping.fc0.bias_gain", "g.mapping.fc1.bias_gain", "d.b4.fc.weight_gain"):
        assert name in message


@pytest.mark.parametrize(
    "said",
    [
        {"conv_clamp": [1]},
        {"conv_clamp": "256"},
        {"conv_clamp": True},
        {"conv_clamp": -1},
        {"conv_clamp": math.nan},
        {"conv_clamp": 10**400},
        {"mbstd_group": {}},
        {"mbstd_group": 1.5},
        {"mbstd_group": 0},
        {"z_dim": 9},
    ],
)
def test_a_header_that_says_nonsense(said: dict[str, Any], states: States, tmp_path: Path) -> None:
    header = {"json": json.dumps({"schema": 1, "architecture": said})}
    save_file(states["G"], tmp_path / "x.safetensors", header)
    assert "x.safetensors" in refused(
        lambda: convert(read_checkpoint(tmp_path / "x.safetensors"), ["*"], "x.safetensors")
    )


def test_rosinality_problems_have_names_too(nets: Nets, load: Load) -> None:
    g, d = rosinality.generator_to(nets.g_ema.state_dict()), rosinality.discriminator_to(nets.d.state_dict())
    del g["convs.1.conv.weight"], d["final_linear.1.bias"]
    g["to_rgbs.0.bias"] = torch.zeros(1, 3)
    g["extra"] = torch.zeros(1)
    message = refused(lambda: load({"g_ema": g, "d": d}))
    for text in (
        "g_ema.synthesis.b8.conv1.weight is missing",
        "d.b4.out.bias is missing",
        "g_ema.synthesis.b8.torgb.bias has shape [1, 3], expected [3]",
        "g_ema.extra is unexpected",
    ):
        assert text in message
