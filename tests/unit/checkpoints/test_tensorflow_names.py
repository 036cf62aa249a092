"""Variables of the TensorFlow generation: the same images and logits under our names, and no trust in the record.

The reference below computes with the variables as TensorFlow's StyleGAN2 has them (axes, padding, order of operations),
from the formulas, in float64. It shares no operation with our networks.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from benchmark.checkpoints.inert import Array, Record
from benchmark.checkpoints.tensorflow import discriminator_from, generator_from
from benchmark.checkpoints.tensorflow_records import variables_of
from benchmark.config import NetConfig
from benchmark.errors import WeightsError
from benchmark.stylegan2.networks import Discriminator, Generator

Variables = dict[str, np.ndarray]

PX, Z, W, DEPTH, LABELS = 32, 12, 16, 3, 5
CHANNELS = {4: 16, 8: 16, 16: 8, 32: 4}
CFG = NetConfig(
    resolution=PX,
    z_dim=Z,
    w_dim=W,
    mapping_layers=DEPTH,
    channel_base=128,
    channel_max=16,
    conv_clamp=None,
    mbstd_group=4,
)
LABELLED = CFG.model_copy(update={"c_dim": LABELS})


# --- the reference: variables


def shaken(shapes: Mapping[str, tuple[int, ...]], seed: int) -> Variables:
    rng = np.random.default_rng(seed)
    return {name: rng.standard_normal(shape).astype(np.float32) for name, shape in shapes.items()}


def mapping_variables(labels: int = 0) -> Variables:
    embed = {"LabelEmbed/weight": (labels, W), "LabelEmbed/bias": (W,)} if labels else {}
    shapes = {f"Dense{i}/weight": (W if i else Z + (W if labels else 0), W) for i in range(DEPTH)}
    net = shaken({**embed, **shapes, **{f"Dense{i}/bias": (W,) for i in range(DEPTH)}}, seed=1)
    return {name: value * 100 if name.startswith("Dense") else value for name, value in net.items()}


def synthesis_variables() -> Variables:
    shapes: dict[str, tuple[int, ...]] = {"4x4/Const/const": (1, CHANNELS[4], 4, 4)}

    def layer(name: str, n_in: int, n_out: int, kernel: int = 3) -> None:
        shapes.update({f"{name}/weight": (kernel, kernel, n_in, n_out), f"{name}/bias": (n_out,)})
        shapes.update({f"{name}/mod_weight": (W, n_in), f"{name}/mod_bias": (n_in,)})
        if kernel == 3:
            shapes[f"{name}/noise_strength"] = ()

    for px, n in CHANNELS.items():
        if px > 4:
            layer(f"{px}x{px}/Conv0_up", CHANNELS[px // 2], n)
        layer(f"{px}x{px}/Conv1" if px > 4 else "4x4/Conv", n, n)
        layer(f"{px}x{px}/ToRGB", n, 3, kernel=1)
    for i, px in enumerate([4, 8, 8, 16, 16, 32, 32]):
        shapes[f"noise{i}"] = (1, 1, px, px)
    return shaken(shapes, seed=2)


def discriminator_variables(labels: int = 0, lr_mult: float = 0.1) -> Variables:
    top = CHANNELS[4]
    shapes: dict[str, tuple[int, ...]] = {f"{PX}x{PX}/FromRGB/weight": (1, 1, 3, CHANNELS[PX])}
    shapes[f"{PX}x{PX}/FromRGB/bias"] = (CHANNELS[PX],)
    for px in (32, 16, 8):
        n_in, n_out = CHANNELS[px], CHANNELS[px // 2]
        shapes |= {f"{px}x{px}/Conv0/weight": (3, 3, n_in, n_in), f"{px}x{px}/Conv0/bias": (n_in,)}
        shapes |= {f"{px}x{px}/Conv1_down/weight": (3, 3, n_in, n_out), f"{px}x{px}/Conv1_down/bias": (n_out,)}
        shapes[f"{px}x{px}/Skip/weight"] = (1, 1, n_in, n_out)
    shapes |= {"4x4/Conv/weight": (3, 3, top + 1, top), "4x4/Conv/bias": (top,)}
    shapes |= {"4x4/Dense0/weight": (top * 16, top), "4x4/Dense0/bias": (top,)}
    shapes |= {"Output/weight": (top, top if labels else 1), "Output/bias": (top if labels else 1,)}
    if labels:
        shapes |= {"LabelEmbed/weight": (labels, top), "LabelEmbed/bias": (top,)}
        for i in range(8):
            shapes |= {f"Mapping{i}/weight": (top, top), f"Mapping{i}/bias": (top,)}
    net = shaken(shapes, seed=3)
    return {name: value / np.float32(lr_mult) if name.startswith("Mapping") else value for name, value in net.items()}


# --- the reference: operations


def tensor(v: Variables, name: str) -> Tensor:
    return torch.from_numpy(v[name]).double()


def lrelu(x: Tensor) -> Tensor:
    return torch.where(x > 0, x, 0.2 * x) * math.sqrt(2)


def normalized(x: Tensor) -> Tensor:
    return x / (x.square().mean(dim=1, keepdim=True) + 1e-8).sqrt()


def dense(v: Variables, name: str, x: Tensor, lr_mult: float = 1.0) -> Tensor:
    weight = tensor(v, f"{name}/weight")
    return x @ (weight * lr_mult / math.sqrt(weight.shape[0])) + tensor(v, f"{name}/bias") * lr_mult


def correlate(x: Tensor, w: Tensor, stride: int = 1) -> Tensor:
    """x [N, I, H, W] without padding, w [k, k, I, O]."""
    k = w.shape[0]
    h = (x.shape[2] - k) // stride + 1
    patches = F.unfold(x, k, stride=stride).reshape(x.shape[0], x.shape[1], k, k, h, h)
    return torch.einsum("niabhw,abio->nohw", patches, w)


def padded(x: Tensor, before: int, after: int) -> Tensor:
    return F.pad(x, (before, after, before, after))


def fir(x: Tensor, before: int, after: int, gain: float = 1.0) -> Tensor:
    """Pad, then [1, 3, 3, 1] / 8 along both axes."""
    x = padded(x, before, after)
    for axis in (2, 3):
        size = x.shape[axis] - 3
        x = sum(tap / 8 * x.narrow(axis, i, size) for i, tap in enumerate([1, 3, 3, 1]))
    return x * gain


def upsampled(x: Tensor) -> Tensor:
    n, c, h, w = x.shape
    zeros = x.new_zeros(n, c, 2 * h, 2 * w)
    zeros[:, :, ::2, ::2] = x
    return fir(zeros, 2, 1, gain=4.0)


def up_convolution(x: Tensor, w: Tensor) -> Tensor:
    """TensorFlow's conv2d_transpose (each input paints the kernel) with the kernel turned by 180°, then the filter."""
    kernel = w.flip(0, 1)
    n, _, h, _ = x.shape
    y = x.new_zeros(n, w.shape[3], 2 * h + 1, 2 * h + 1)
    for a in range(3):
        for b in range(3):
            y[:, :, a : a + 2 * h : 2, b : b + 2 * h : 2] += torch.einsum("nihw,io->nohw", x, kernel[a, b])
    return fir(y, 1, 1, gain=4.0)


def modulated(v: Variables, name: str, x: Tensor, w: Tensor, up: bool = False, demodulate: bool = True) -> Tensor:
    """Equations 1 to 3 of the paper, sample by sample."""
    weight = tensor(v, f"{name}/weight")
    weight = weight / math.sqrt(weight[..., 0].numel())
    style = w @ (tensor(v, f"{name}/mod_weight") / math.sqrt(w.shape[1])) + tensor(v, f"{name}/mod_bias") + 1
    images = []
    for one, s in zip(x, style, strict=True):
        k = weight * s[:, None]
        if demodulate:
            k = k / (k.square().sum(dim=(0, 1, 2)) + 1e-8).sqrt()
        half = (k.shape[0] - 1) // 2
        images.append(up_convolution(one[None], k) if up else correlate(padded(one[None], half, half), k))
    return torch.cat(images)


# --- the reference: networks


def reference_mapping(v: Variables, z: Tensor, c: Tensor | None = None) -> Tensor:
    x = normalized(z.double())
    if c is not None:
        x = torch.cat([x, normalized(dense(v, "LabelEmbed", c.double()))], dim=1)
    for i in range(DEPTH):
        x = lrelu(dense(v, f"Dense{i}", x, lr_mult=0.01))
    return x


def reference_synthesis(v: Variables, ws: Tensor) -> Tensor:
    """ws [N, 8, W]: one for each convolution, and the last for the last RGB."""
    ws = ws.double()
    index = 0

    def layer(x: Tensor, name: str, up: bool = False) -> Tensor:
        nonlocal index
        x = modulated(v, name, x, ws[:, index], up)
        x = x + tensor(v, f"noise{index}") * tensor(v, f"{name}/noise_strength")
        index += 1
        return lrelu(x + tensor(v, f"{name}/bias")[:, None, None])

    x = tensor(v, "4x4/Const/const").expand(len(ws), -1, -1, -1)
    image = torch.zeros(())
    for px in CHANNELS:
        block = f"{px}x{px}"
        if px > 4:
            x = layer(x, f"{block}/Conv0_up", up=True)
            image = upsampled(image)
        x = layer(x, f"{block}/Conv1" if px > 4 else "4x4/Conv")
        rgb = modulated(v, f"{block}/ToRGB", x, ws[:, index], demodulate=False)
        image = image + rgb + tensor(v, f"{block}/ToRGB/bias")[:, None, None]
    return image


def scaled(v: Variables, name: str) -> Tensor:
    weight = tensor(v, f"{name}/weight")
    return weight / math.sqrt(weight[..., 0].numel())


def with_deviation(x: Tensor, group: int = 4) -> Tensor:
    """Samples i, i + N/4, i + 2N/4, ... are one group; its mean deviation becomes a further map."""
    n = len(x)
    maps = x.new_zeros(n, 1, 4, 4)
    for first in range(n // group):
        members = [first + k * (n // group) for k in range(group)]
        maps[members] = (x[members].var(dim=0, unbiased=False) + 1e-8).sqrt().mean()
    return torch.cat([x, maps], dim=1)


def reference_logits(v: Variables, images: Tensor, c: Tensor | None = None, lr_mult: float = 0.1) -> Tensor:
    def activated(x: Tensor, name: str) -> Tensor:
        return lrelu(x + tensor(v, f"{name}/bias")[:, None, None])

    x = activated(correlate(images.double(), scaled(v, "32x32/FromRGB")), "32x32/FromRGB")
    for px in (32, 16, 8):
        block = f"{px}x{px}"
        skip = correlate(fir(x, 1, 1), scaled(v, f"{block}/Skip"), stride=2)
        x = activated(correlate(padded(x, 1, 1), scaled(v, f"{block}/Conv0")), f"{block}/Conv0")
        x = activated(correlate(fir(x, 2, 2), scaled(v, f"{block}/Conv1_down"), stride=2), f"{block}/Conv1_down")
        x = (x + skip) / math.sqrt(2)
    x = activated(correlate(padded(with_deviation(x), 1, 1), scaled(v, "4x4/Conv")), "4x4/Conv")
    x = dense(v, "Output", lrelu(dense(v, "4x4/Dense0", x.flatten(1))))
    if c is None:
        return x
    y = normalized(dense(v, "LabelEmbed", c.double()))
    for i in range(8):
        y = lrelu(dense(v, f"Mapping{i}", y, lr_mult))
    return (x * y).sum(dim=1, keepdim=True) / math.sqrt(y.shape[1])


# --- records


def record(variables: Variables, version: Any = 5, **components: Any) -> Record:
    """As the restricted reader has it: arrays in wrappers, TensorFlow's scalars as numbers, arrays read-only."""

    def stored(value: np.ndarray) -> Any:
        if value.ndim == 0:
            return float(value)
        array = Array()
        array.value = np.frombuffer(value.tobytes(), np.float32).reshape(value.shape)
        return array

    pairs = [(name, stored(value)) for name, value in variables.items()]
    return Record("dnnlib.tflib.network.Network", {"version": version, "variables": pairs, "components": components})


def generator_record(labels: int = 0, **changes: np.ndarray) -> Record:
    own = shaken({"lod": (), "dlatent_avg": (W,)}, seed=4)
    return record(own, synthesis=record(synthesis_variables() | changes), mapping=record(mapping_variables(labels)))


def plain(state: Any) -> SimpleNamespace:
    return SimpleNamespace(state=state)


def variables(*pairs: Any) -> SimpleNamespace:
    return plain({"version": 4, "variables": list(pairs), "components": {}})


def normal(*shape: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(6))


def one_hot(*labels: int) -> Tensor:
    return F.one_hot(torch.tensor(labels), LABELS).float()


def loaded(cfg: NetConfig, state: dict[str, Tensor]) -> Generator:
    g = Generator(cfg).requires_grad_(False)
    g.load_state_dict(state, strict=True)
    return g


def assert_agree(ours: Tensor, reference: Tensor) -> None:
    """To 1e-4 of the typical value, which is not small."""
    scale = float(reference.square().mean().sqrt())
    assert reference.std() > 0.1
    torch.testing.assert_close(ours.double(), reference, rtol=1e-4, atol=1e-4 * min(scale, 1.0))


# --- the same networks


def test_images_agree() -> None:
    g = loaded(CFG, generator_from(variables_of(generator_record())))
    z, ws = normal(3, Z), normal(3, 8, W)
    assert_agree(g.mapping(z)[:, 0], reference_mapping(mapping_variables(), z))
    assert_agree(g.synthesis(ws, "const")[0], reference_synthesis(synthesis_variables(), ws))


def unturned(state: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name: t.flip(2, 3) if name.endswith("conv0.weight") else t for name, t in state.items()}


def without_one(state: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name: t - 1 if name.endswith("affine.bias") else t for name, t in state.items()}


@pytest.mark.parametrize("mistake", [unturned, without_one])
def test_parity_would_show_a_wrong_conversion(mistake: Callable[[dict[str, Tensor]], dict[str, Tensor]]) -> None:
    g = loaded(CFG, mistake(generator_from(variables_of(generator_record()))))
    ws = normal(3, 8, W)
    with pytest.raises(AssertionError, match="close"):
        assert_agree(g.synthesis(ws, "const")[0], reference_synthesis(synthesis_variables(), ws))


def test_labelled_generator_agrees() -> None:
    g = loaded(LABELLED, generator_from(variables_of(generator_record(LABELS))))
    z, c = normal(3, Z), one_hot(0, 4, 2)
    assert_agree(g.mapping(z, c)[:, 0], reference_mapping(mapping_variables(LABELS), z, c))


def test_w_average_carries_over() -> None:
    state = generator_from(variables_of(generator_record()))
    np.testing.assert_array_equal(
        state["mapping.w_avg"], shaken({"lod": (), "dlatent_avg": (W,)}, seed=4)["dlatent_avg"]
    )


@torch.no_grad()
def test_logits_agree() -> None:
    v = discriminator_variables()
    d = Discriminator(CFG)
    d.load_state_dict(discriminator_from(variables_of(record(v))), strict=True)
    images = normal(8, 3, PX, PX) * torch.linspace(0.2, 3, 8)[:, None, None, None]  # two groups
    assert_agree(d(images), reference_logits(v, images))


@torch.no_grad()
@pytest.mark.parametrize("given", [{}, {"mapping_lr_mult": 0.1}, {"mapping_lr_mult": 0.01}])
def test_labelled_logits_agree_whatever_multiplier_their_mapping_has(given: dict[str, float]) -> None:
    lr_mult = given.get("mapping_lr_mult", 0.1)
    v = discriminator_variables(LABELS, lr_mult)
    d = Discriminator(LABELLED)
    d.load_state_dict(discriminator_from(variables_of(record(v)), **given), strict=True)
    images, c = normal(4, 3, PX, PX), one_hot(1, 3, 0, 1)
    assert_agree(d(images, c), reference_logits(v, images, c, lr_mult))


@pytest.mark.parametrize("lr_mult", [0, -0.01, math.nan, math.inf, True, "0.01", None, [0.01]])
def test_a_multiplier_that_is_none_is_refused(lr_mult: Any) -> None:
    with pytest.raises(WeightsError, match="mapping_lrmul"):
        generator_from({}, lr_mult)


# --- what does not fit is there to be reported


def test_unknown_names_stay() -> None:
    odd = {
        "8x8/Conv2/weight": (3, 3, 2, 4),
        "noise7x": (1, 1, 8, 8),
        "noise01": (1, 1, 8, 8),
        "2048x2048/Conv1/weight": (3, 3, 1, 1),
        "8x16/Conv1/weight": (3, 3, 1, 1),
        "mapping/LabelConcat/weight": (3, 12),
    }
    state = generator_from(variables_of(generator_record(**shaken(odd, seed=7))))
    report = Generator(CFG).load_state_dict(state, strict=False)
    assert sorted(report.unexpected_keys) == sorted(f"synthesis/{name}" for name in odd)
    assert not report.missing_keys
    assert all(state[f"synthesis/{name}"].shape == shape for name, shape in odd.items())


def test_a_missing_variable_stays_missing() -> None:
    v = variables_of(generator_record())
    del v["synthesis/16x16/Conv1/bias"], v["synthesis/noise5"]
    report = Generator(CFG).load_state_dict(generator_from(v), strict=False)
    assert sorted(report.missing_keys) == ["synthesis.b16.conv1.bias", "synthesis.b32.conv0.noise_const"]


@pytest.mark.parametrize("convert", [generator_from, discriminator_from])
@pytest.mark.parametrize("shape", [(), (0,), (3,), (2, 3), (2, 2, 3, 4), (1, 2, 3, 4, 5), (1,) * 30])
def test_any_rank_of_any_variable_is_converted_or_left(
    convert: Callable[[Variables], dict[str, Tensor]], shape: tuple[int, ...]
) -> None:
    known = {**variables_of(generator_record(LABELS)), **discriminator_variables(LABELS)}
    given = {name: np.ones(shape, np.float32) for name in known if name != "lod"}
    found = {name: t for name, t in convert(given).items() if not name.endswith("resample_filter")}
    assert len(found) == len(given)
    right_rank = {name for name, array in known.items() if array.ndim == len(shape)}
    if not right_rank:
        assert all(t.shape == shape for t in found.values())


def test_a_vector_called_lod_is_no_level_of_detail() -> None:
    assert list(generator_from(variables_of(variables(("lod", np.zeros(3, np.float32)))))) == ["lod"]


@pytest.mark.parametrize("name", ["mapping.fc0.weight", "synthesis.b8.resample_filter", "mapping.w_avg"])
def test_our_own_names_cannot_be_smuggled_in(name: str) -> None:
    with pytest.raises(WeightsError, match=name):
        generator_from({name: np.zeros(3, np.float32)})


# --- records that are not what they should be


@pytest.mark.parametrize("version", [3, 0, -1])
def test_older_networks_are_refused(version: int) -> None:
    with pytest.raises(WeightsError, match="before StyleGAN2"):
        variables_of(record({}, version))
    with pytest.raises(WeightsError, match="before StyleGAN2"):
        variables_of(record({}, mapping=record({}, version)))


ONE = np.ones(3, np.float32)


@pytest.mark.parametrize(
    "odd",
    [
        None,
        7,
        plain(None),
        plain([]),
        plain({}),
        plain({"version": True, "variables": [], "components": {}}),
        plain({"version": "4", "variables": [], "components": {}}),
        plain({"version": 4, "components": {}}),
        plain({"version": 4, "variables": []}),
        plain({"version": 4, "variables": {"a": ONE}, "components": {}}),
        plain({"version": 4, "variables": "ab", "components": {}}),
        plain({"version": 4, "variables": [], "components": [("a", ONE)]}),
        plain({"version": 4, "variables": [], "components": {"a": None}}),
        plain({"version": 4, "variables": [], "components": {3: record({})}}),
        plain({"version": 4, "variables": [], "components": {"": record({})}}),
        variables(3),
        variables("ab"),
        variables(("a",)),
        variables(("a", ONE, ONE)),
        variables((3, ONE)),
        variables((["a"], ONE)),
        variables(("", ONE)),
        variables(("a" * 100_000, ONE)),
        variables(("a", None)),
        variables(("a", [1.0])),
        variables(("a", 3)),
        variables(("a", "text")),
        variables(("a", np.array([None, {}], dtype=object))),
        variables(("a", np.array(["b"]))),
        variables(("a", np.zeros(2, dtype="i4,f4"))),
        variables(("a", np.array([1j]))),
        variables(("a", np.array([1, 2]))),
        variables(("a", np.array([True]))),
        variables(("a", ONE), ("a", ONE)),
        plain({"version": 4, "variables": [("b/a", ONE)], "components": {"b": variables(("a", ONE))}}),
    ],
)
def test_a_record_of_another_kind_is_a_weights_error(odd: Any) -> None:
    with pytest.raises(WeightsError) as error:
        variables_of(odd)
    assert len(str(error.value)) < 400 and "\n" not in str(error.value)


def test_components_of_themselves_end() -> None:
    cyclic = record({"a": ONE})
    cyclic.state["components"] = {f"c{i}": cyclic for i in range(50)}
    with pytest.raises(WeightsError, match="without end"):
        variables_of(cyclic)


def test_components_may_be_four_deep() -> None:
    chain = record({"a": ONE})
    for _ in range(4):
        chain = record({}, c=chain)
    assert list(variables_of(chain)) == ["c/c/c/c/a"]
    with pytest.raises(WeightsError, match="without end"):
        variables_of(record({}, c=chain))


def test_a_tree_of_shared_components_ends() -> None:
    tree = record({})
    for _ in range(4):  # within the depth, but 200 ** 4 leaves
        tree = record({}, **{f"c{i}": tree for i in range(200)})
    with pytest.raises(WeightsError, match="without end"):
        variables_of(tree)


def test_one_array_named_often_does_not_fill_the_memory() -> None:
    shared = np.zeros((1024, 1024), np.float32)  # 4 MB
    with pytest.raises(WeightsError, match="more than"):
        variables_of(variables(*((f"a{i}", shared) for i in range(9000))))
    few = variables_of(variables(*((f"a{i}", shared) for i in range(20))))
    assert all(np.shares_memory(array, shared) for array in few.values())


@pytest.mark.parametrize("dtype", [">f4", "<f8", ">f8", "f2"])
def test_other_floats_become_float32(dtype: str) -> None:
    values = np.array([[0.5, -2.0], [3.0, 4.0]])
    state = generator_from(variables_of(variables(("mapping/Dense0/weight", values.astype(dtype)))))
    torch.testing.assert_close(state["mapping.fc0.weight"] * 1, torch.tensor([[0.5, 3.0], [-2.0, 4.0]]))


def test_memory_order_does_not_matter() -> None:
    values = np.arange(6, dtype=np.float32).reshape(2, 3)
    for same in (np.asfortranarray(values), values[::-1].copy()[::-1], np.float32(values)):
        v = variables_of(variables(("mapping/Dense0/weight", same)))
        np.testing.assert_array_equal(generator_from(v)["mapping.fc0.weight"], values.T)
