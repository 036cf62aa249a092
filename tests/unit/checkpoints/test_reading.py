"""Valid checkpoints of every kind load exactly: every tensor, the architecture, images and logits."""

from __future__ import annotations

import argparse
import contextlib
import io
import os
import pickle
import struct
import sys
from collections import OrderedDict
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch
from nvidia_pickle import shaken_nets as shaken_like
from nvidia_pickle import write_pickle
from safetensors.torch import save_file
from torch import Tensor

from benchmark.checkpoints import Converted, convert, read_checkpoint, rosinality
from benchmark.checkpoints.containers import open_checkpoint
from benchmark.checkpoints.tensors import LazyTensor
from benchmark.config import NetConfig
from benchmark.errors import WeightsError
from benchmark.stylegan2 import Nets, save

REFERENCE = Path(__file__).parents[2] / "data" / "reference_32.npz"
SMALL = NetConfig(
    resolution=8, z_dim=8, w_dim=8, mapping_layers=2, channel_base=32, channel_max=8, conv_clamp=None, mbstd_group=4
)
SHAPES: dict[str, dict[str, Any]] = {
    "plain": {},
    "32 px": {"resolution": 32, "channel_base": 128, "channel_max": 16},
    "64 px": {"resolution": 64, "channel_base": 256, "channel_max": 16},
    "z larger than w": {"z_dim": 12, "w_dim": 5},
    "z smaller than w": {"z_dim": 3, "mapping_layers": 1},
    "labels": {"c_dim": 3, "mapping_layers": 3},
    "labels, z smaller than w": {"c_dim": 3, "z_dim": 4},
    "odd channels": {"resolution": 16, "channel_base": 72, "channel_max": 9},
    "clamped": {"conv_clamp": 256.0},
    "clamped early": {"conv_clamp": 0.5},
    "groups of eight": {"mbstd_group": 8},
    "deep mapping": {"mapping_layers": 12},
}


def shaken_nets(**changes: Any) -> Nets:
    return shaken_like(NetConfig.model_validate(SMALL.model_dump() | changes))


@pytest.fixture(scope="module")
def nets() -> Nets:
    return shaken_nets()


def imported(path: Path) -> Converted:
    return convert(read_checkpoint(path), (), path.name)


def normal(*shape: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(7))


@torch.no_grad()
def outputs(nets: Nets) -> list[Tensor]:
    """Images of both generators and logits."""
    cfg = nets.cfg
    z, images = normal(8, cfg.z_dim), normal(8, 3, cfg.resolution, cfg.resolution)
    c = torch.eye(cfg.c_dim)[torch.arange(8) % cfg.c_dim] if cfg.c_dim else None
    return [nets.g(z, c, "const"), nets.g_ema(z, c, "const", psi=0.5), nets.d(images, c)]


def assert_same(found: Nets, expected: Nets, dtype: torch.dtype = torch.float32) -> None:
    """The same architecture, tensors as `dtype` keeps them, and, where that is exact, the same images and logits."""
    assert found.cfg == expected.cfg
    ours, theirs = found.state_dict(), expected.state_dict()
    assert ours.keys() == theirs.keys()
    assert [k for k, t in theirs.items() if not ours[k].equal(t.to(dtype).float())] == []
    assert {t.dtype for t in ours.values()} == {torch.float32}
    if dtype == torch.float32:
        assert all(a.equal(b) for a, b in zip(outputs(found), outputs(expected), strict=True))


# --- NVIDIA's pickles


@pytest.mark.parametrize("changes", SHAPES.values(), ids=list(SHAPES))
def test_nvidia_pickles_of_every_architecture(changes: dict[str, Any], tmp_path: Path) -> None:
    nets = shaken_nets(**changes)
    found = imported(write_pickle(tmp_path / "x.pkl", nets))
    assert_same(found.nets, nets)
    assert found.present == ("g", "g_ema", "d") and not found.notes


@pytest.mark.parametrize(
    ("protocol", "dtype"),
    [(2, torch.float32), (2, torch.float16), (3, torch.bfloat16), (4, torch.float64), (5, torch.float16)],
)
def test_nvidia_pickles_of_every_protocol_and_type(
    protocol: int, dtype: torch.dtype, nets: Nets, tmp_path: Path
) -> None:
    assert_same(imported(write_pickle(tmp_path / "x.pkl", nets, protocol, dtype)).nets, nets, dtype)


def test_a_width_that_channel_max_never_reaches_is_the_same_network(tmp_path: Path) -> None:
    nets = shaken_nets(channel_base=1000, channel_max=6)
    found = imported(write_pickle(tmp_path / "x.pkl", nets)).nets
    assert (found.cfg.channel_base, found.cfg.channel_max) == (8 * 6, 6)
    assert all(a.equal(b) for a, b in zip(outputs(found), outputs(nets), strict=True))


def test_fixnoise_maps_and_everything_else_in_a_pickle_are_named(nets: Nets, tmp_path: Path) -> None:
    extra = {"optimiser": {0: torch.zeros(3), "x": [1, 2.0, None, (True, "a")]}, "progress": torch.ones(())}
    path = write_pickle(tmp_path / "x.pkl", nets, noise_rand=True, extra=extra)
    checkpoint = read_checkpoint(path)
    assert checkpoint.format == "NVIDIA pickle"
    kept = ["augment_pipe", "optimiser", "progress", "training_set_kwargs"]
    assert checkpoint.left_out == [*kept, "noise_rand (stored random noise maps)"]
    assert_same(convert(checkpoint, (), "x").nets, nets)


def test_whole_batch_as_a_group(nets: Nets, tmp_path: Path) -> None:
    """NVIDIA's layer takes the whole batch where it recorded None."""
    path = write_pickle(tmp_path / "x.pkl", nets, attributes={("D.b4.mbstd", "group_size"): None})
    found, images = imported(path).nets, normal(6, 3, 8, 8)
    reference = shaken_nets(mbstd_group=6)
    assert found.d(images).equal(reference.d(images))


class CudaStorage:
    """What PyTorch before 1.6 wrote for a storage on a GPU: a stream of its own within the pickle."""

    def __init__(self, tensor: Tensor) -> None:
        self.data = legacy_file(tensor, lambda storage: storage)

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        return torch.storage._load_from_bytes, (self.data,)


class OldTensor:
    """A tensor as an old PyTorch pickled it."""

    def __init__(self, storage: Any, shape: tuple[int, ...], version: str = "_v2") -> None:
        self.storage, self.shape, self.version = storage, shape, version

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        stride = tuple(torch.empty(self.shape).stride())
        more = (False, OrderedDict()) if self.version else ()
        return getattr(torch._utils, f"_rebuild_tensor{self.version}"), (self.storage, 0, self.shape, stride, *more)


def legacy_file(tensor: Tensor, content: Callable[[Any], Any]) -> bytes:
    """A file of PyTorch before 1.6 by hand; `content` makes its object of the one storage, which lay on a GPU."""
    storage, kind = object(), {torch.float32: "FloatStorage", torch.float16: "HalfStorage"}[tensor.dtype]

    class Pickler(pickle.Pickler):
        def persistent_id(self, value: object) -> Any:
            if value is storage:
                return ("storage", getattr(torch.cuda, kind), "94", "cuda:0", tensor.numel(), None)
            return None

    file = io.BytesIO()
    system = {"protocol_version": 1001, "little_endian": True, "type_sizes": {"short": 2, "int": 4, "long": 4}}
    for value in (0x1950A86A20F9469CFC6C, 1001, system):
        pickle.dump(value, file, 2)
    Pickler(file, 2).dump(content(storage))
    pickle.dump(["94"], file, 2)
    file.write(struct.pack("<q", tensor.numel()) + tensor.numpy().tobytes())
    return file.getvalue()


def test_nvidia_pickles_with_storages_of_a_gpu(nets: Nets, tmp_path: Path) -> None:
    weight, bias = nets.g.mapping.fc0.weight.detach(), nets.g.mapping.fc0.bias.detach().half()
    old = {"weight": OldTensor(CudaStorage(weight), (8, 8)), "bias": OldTensor(CudaStorage(bias), (8,), "")}
    path = write_pickle(tmp_path / "x.pkl", nets, attributes={("G.mapping.fc0", "_parameters"): old})
    expected = nets.copy()
    expected.g.mapping.fc0.bias.data.copy_(bias)
    assert_same(imported(path).nets, expected)


@pytest.mark.parametrize("version", ["", "_v2"])
@pytest.mark.parametrize("dtype", [torch.float16, torch.float32])
def test_pytorch_files_with_storages_of_a_gpu(version: str, dtype: torch.dtype, tmp_path: Path) -> None:
    tensor = normal(3, 4).to(dtype)
    path = tmp_path / "x.pt"
    path.write_bytes(legacy_file(tensor, lambda storage: {"a": OldTensor(storage, (3, 4), version)}))
    with open_checkpoint(path) as (container, data):
        assert container == "torch" and data["a"].read().equal(tensor)


# --- numbers of stylegan2-ada-pytorch


@torch.no_grad()
def test_the_reference_networks_give_the_reference_images(tmp_path: Path) -> None:
    with np.load(REFERENCE) as file:
        ref = {name: torch.from_numpy(file[name]) for name in file.files}
    cfg = NetConfig(resolution=32, z_dim=64, w_dim=64, mapping_layers=3, channel_base=512, channel_max=32)
    nets = Nets.create(cfg, seed=0)
    for prefix, net in {"Gs/": nets.g, "Gt/": nets.g_ema, "D/": nets.d}.items():
        net.load_state_dict({k.removeprefix(prefix): t for k, t in ref.items() if k.startswith(prefix)})
    found = imported(write_pickle(tmp_path / "x.pkl", nets, noise_rand=True)).nets
    assert found.cfg == cfg
    made = {"img_const": found.g(ref["z"], noise="const"), "img_t_const": found.g_ema(ref["z"], noise="const")}
    made |= {"logits": found.d(ref["img_const"]), "ws_psi07_cut4": found.g.mapping(ref["z"], psi=0.7, cutoff=4)}
    for name, ours in made.items():
        torch.testing.assert_close(ours[: len(ref[name])], ref[name], rtol=0, atol=1e-4)


# --- state dicts

ZIP = {"zip": True, "legacy": False}


def rosinality_states(nets: Nets) -> dict[str, dict[str, Tensor]]:
    parts = {"g": nets.g.state_dict(), "g_ema": nets.g_ema.state_dict()}
    states = {part: rosinality.generator_to(state) for part, state in parts.items()}
    return {**states, "d": rosinality.discriminator_to(nets.d.state_dict())}


@pytest.mark.parametrize("new", ZIP.values(), ids=list(ZIP))
def test_rosinality_training_snapshots(new: bool, tmp_path: Path) -> None:
    nets = shaken_nets()
    nets.g.mapping.w_avg.copy_(nets.g_ema.mapping.w_avg)  # theirs has one for both
    optimiser = torch.optim.Adam(nets.d.parameters())
    nets.d(normal(4, 3, 8, 8)).sum().backward()
    optimiser.step()
    content = {
        **rosinality_states(nets),
        "g_optim": {"state": {}, "param_groups": [{"betas": (0.0, 0.99), "params": [0, 1]}]},
        "d_optim": optimiser.state_dict(),
        "args": argparse.Namespace(size=8, path="data", wandb=False, n_sample=None, mixing=0.9, list=[1]),
        "ada_aug_p": 0.25,
        "mean_path_length": torch.zeros(()),
        7: "seven",
    }
    torch.save(
        {**content, "latent_avg": nets.g_ema.mapping.w_avg}, tmp_path / "x.pt", _use_new_zipfile_serialization=new
    )
    checkpoint = read_checkpoint(tmp_path / "x.pt")
    assert checkpoint.format == "PyTorch state dicts, rosinality names"
    assert checkpoint.left_out == ["7", "ada_aug_p", "args", "d_optim", "g_optim", "mean_path_length"]
    assert_same(convert(checkpoint, (), "x").nets, nets)


@pytest.mark.parametrize("new", ZIP.values(), ids=list(ZIP))
@pytest.mark.parametrize("prefix", ["", "module."])
def test_state_dicts_under_nvidia_names(new: bool, prefix: str, nets: Nets, tmp_path: Path) -> None:
    parts = {"G": nets.g, "G_ema": nets.g_ema, "D": nets.d}
    states = {name: {f"{prefix}{k}": t for k, t in net.state_dict().items()} for name, net in parts.items()}
    torch.save(states, tmp_path / "x.pt", _use_new_zipfile_serialization=new)
    assert_same(imported(tmp_path / "x.pt").nets, nets)


@pytest.mark.parametrize("layout", ["nvidia", "rosinality", "nvidia, prefixed"])
@pytest.mark.parametrize("suffix", [".pt", ".safetensors"])
def test_a_bare_generator(layout: str, suffix: str, nets: Nets, tmp_path: Path) -> None:
    state = nets.g_ema.state_dict()
    average = {"latent_avg": state["mapping.w_avg"].clone()} if suffix == ".pt" else {}
    if layout == "rosinality":
        bare = {k: t.clone() for k, t in rosinality.generator_to(state).items()} | average
    else:
        bare = {f"{'G_ema.' if 'prefixed' in layout else ''}{k}": t for k, t in state.items()}
    path = tmp_path / f"x{suffix}"
    torch.save(bare, path) if suffix == ".pt" else save_file(bare, path)
    found = imported(path)
    assert found.present == ("g_ema",)
    expected = nets.copy()
    expected.g.load_state_dict(state)
    expected.d.load_state_dict(Nets.create(SMALL, seed=0).d.state_dict())
    if layout == "rosinality" and not average:
        assert found.notes[0].startswith("g_ema.mapping.w_avg is not the file's: it is the mean")
        w = nets.g_ema.mapping(torch.randn(10_000, 8, generator=torch.Generator().manual_seed(0)))[:, 0]
        torch.testing.assert_close(found.nets.g_ema.mapping.w_avg, w.mean(dim=0).detach(), rtol=0, atol=1e-5)
        for g in (expected.g, expected.g_ema):
            g.mapping.w_avg.copy_(found.nets.g_ema.mapping.w_avg)
    assert_same(found.nets, expected)
    assert found.notes[-2:] == (
        "g was not in the file: it is a copy of g_ema",
        "d was not in the file: no run can start from this source",
    )


@pytest.mark.parametrize("changes", [{}, {"conv_clamp": 0.5, "mbstd_group": 8}, {"c_dim": 3}])
def test_files_of_this_suite(changes: dict[str, Any], tmp_path: Path) -> None:
    nets = shaken_nets(**changes)
    save(tmp_path / "x.safetensors", nets)
    assert_same(imported(tmp_path / "x.safetensors").nets, nets)
    unreadable = tmp_path / os.fsdecode(b"r\xe9seaux.safetensors")
    (tmp_path / "x.safetensors").rename(unreadable)
    assert_same(imported(unreadable).nets, nets)


def test_a_file_of_this_suite_with_one_other_bit_is_damaged(nets: Nets, tmp_path: Path) -> None:
    path = tmp_path / "x.safetensors"
    save(path, nets)
    content = bytearray(path.read_bytes())
    content[-200] ^= 1
    path.write_bytes(content)
    with pytest.raises(WeightsError, match=r"x\.safetensors is damaged: it does not hold what was written"):
        read_checkpoint(path)


# --- tensors of every kind, as PyTorch itself reads them


def strange_tensors() -> dict[str, Tensor]:
    base = normal(4, 6, 5, 3)
    return {
        "base": base,
        "view with an offset": base[2, 1:4],
        "transposed": base.transpose(0, 2),
        "channels last": normal(2, 3, 4, 4).contiguous(memory_format=torch.channels_last),
        "every second": base.flatten()[::2],
        "scalar": torch.tensor(2.5),
        "empty": torch.empty(0, 3),
        "half": normal(5).half(),
        "bfloat16": normal(5).bfloat16(),
        "double": normal(5).double(),
        "parameter": torch.nn.Parameter(normal(3)),
        "long": torch.arange(-3, 3),
        "byte": torch.arange(4, dtype=torch.uint8),
        "bool": torch.tensor([True, False]),
    }


@pytest.mark.parametrize("new", ZIP.values(), ids=list(ZIP))
@pytest.mark.parametrize("protocol", [2, 4])
def test_every_kind_of_tensor_is_read_as_pytorch_reads_it(new: bool, protocol: int, tmp_path: Path) -> None:
    path = tmp_path / "x.pt"
    torch.save(strange_tensors(), path, pickle_protocol=protocol, _use_new_zipfile_serialization=new)
    theirs = torch.load(path, weights_only=protocol == 2)  # it reads no other protocol safely
    with open_checkpoint(path) as (_, data):
        assert data.keys() == theirs.keys()
        for name, expected in theirs.items():
            ours = data[name]
            assert isinstance(ours, LazyTensor)
            found = ours.read()
            assert found.dtype == expected.dtype and found.stride() == expected.stride(), name
            assert found.equal(expected), name
        assert data["base"].storage is data["transposed"].storage is data["view with an offset"].storage


def test_a_generator_whose_tensors_lie_strangely(nets: Nets, tmp_path: Path) -> None:
    """Everything on one storage, back to front in memory, or shared between the two generators."""
    state = nets.g.state_dict()
    offsets, room = {}, torch.zeros(sum(t.numel() for t in state.values()) + 100)
    at = 50
    for name, t in state.items():
        offsets[name] = room[at : at + t.numel()].view(tuple(reversed(t.shape))).permute([*reversed(range(t.ndim))])
        offsets[name].copy_(t)
        at += t.numel()
    torch.save({"G": offsets, "G_ema": offsets, "D": nets.d.state_dict()}, tmp_path / "x.pt")
    expected = nets.copy()
    expected.g_ema.load_state_dict(state)
    assert_same(imported(tmp_path / "x.pt").nets, expected)


# --- TensorFlow's pickles


class Network:
    """Stands for `dnnlib.tflib.network.Network` while a test writes a pickle."""

    def __init__(self, name: str, variables: dict[str, Any], static: dict[str, Any], **components: Network) -> None:
        self.state = {
            "version": 4,
            "name": name,
            "static_kwargs": static,
            "components": components,
            "build_module_src": "raise RuntimeError('never to be executed')",
            "build_func_name": name,
            "variables": list(variables.items()),
        }

    def __getstate__(self) -> dict[str, Any]:
        return self.state


@contextlib.contextmanager
def tflib(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    with monkeypatch.context() as patch:
        module = ModuleType("dnnlib.tflib.network")
        module.Network = Network  # type: ignore[attr-defined]
        for name in ("dnnlib", "dnnlib.tflib"):
            patch.setitem(sys.modules, name, ModuleType(name))
        patch.setitem(sys.modules, module.__name__, module)
        patch.setattr(Network, "__module__", module.__name__)
        yield


def array(t: Tensor) -> Any:
    """As TensorFlow gives a variable's value: an array, or a scalar of numpy's."""
    return np.float32(t.item()) if t.ndim == 0 else t.detach().contiguous().numpy()


def tf_dense(theirs: str, ours: str, state: dict[str, Tensor]) -> dict[str, Any]:
    return {f"{theirs}/weight": array(state[f"{ours}.weight"].t()), f"{theirs}/bias": array(state[f"{ours}.bias"])}


def tf_modulated(theirs: str, ours: str, state: dict[str, Tensor]) -> dict[str, Any]:
    weight = state[f"{ours}.weight"]
    weight = weight.flip(2, 3) if ours.endswith("conv0") else weight
    noise = {f"{theirs}/noise_strength": array(state[f"{ours}.noise_strength"])} if "conv" in ours else {}
    return noise | {
        f"{theirs}/weight": array(weight.permute(2, 3, 1, 0)),
        f"{theirs}/bias": array(state[f"{ours}.bias"]),
        f"{theirs}/mod_weight": array(state[f"{ours}.affine.weight"].t()),
        f"{theirs}/mod_bias": array(state[f"{ours}.affine.bias"] - 1),
    }


def tf_generator(cfg: NetConfig, state: dict[str, Tensor], static: dict[str, Any]) -> Network:
    synthesis: dict[str, Any] = {"lod": np.float32(0), "4x4/Const/const": array(state["synthesis.b4.const"][None])}
    layers = [("4x4/Conv", "synthesis.b4.conv1")]
    for px in cfg.block_resolutions:
        layers += [(f"{px}x{px}/Conv{i}{u}", f"synthesis.b{px}.conv{i}") for i, u in ((0, "_up"), (1, "")) if px > 4]
        synthesis |= tf_modulated(f"{px}x{px}/ToRGB", f"synthesis.b{px}.torgb", state)
    for i, (theirs, ours) in enumerate(layers):
        synthesis |= tf_modulated(theirs, ours, state)
        synthesis[f"noise{i}"] = array(state[f"{ours}.noise_const"][None, None])
    mapping: dict[str, Any] = {}
    for i in range(cfg.mapping_layers):
        mapping |= tf_dense(f"Dense{i}", f"mapping.fc{i}", state)
    own = {"lod": np.float32(0), "dlatent_avg": array(state["mapping.w_avg"])}
    parts = {"synthesis": Network("G_synthesis", synthesis, static), "mapping": Network("G_mapping", mapping, static)}
    return Network("G", own, static, **parts)


def tf_discriminator(cfg: NetConfig, state: dict[str, Tensor], static: dict[str, Any]) -> Network:
    found = {"lod": np.float32(0), **tf_dense("4x4/Dense0", "b4.fc", state), **tf_dense("Output", "b4.out", state)}
    names = {"4x4/Conv": "b4.conv", f"{cfg.resolution}x{cfg.resolution}/FromRGB": f"b{cfg.resolution}.fromrgb"}
    for px in cfg.block_resolutions[1:]:
        own = {"Conv0": "conv0", "Conv1_down": "conv1", "Skip": "skip"}
        names |= {f"{px}x{px}/{theirs}": f"b{px}.{ours}" for theirs, ours in own.items()}
    for theirs, ours in names.items():
        found[f"{theirs}/weight"] = array(state[f"{ours}.weight"].permute(2, 3, 1, 0))
        if "Skip" not in theirs:
            found[f"{theirs}/bias"] = array(state[f"{ours}.bias"])
    return Network("D", found, static)


@pytest.mark.parametrize("protocol", [2, 4])
@pytest.mark.parametrize(
    "changes", [{}, {"conv_clamp": 256.0, "mbstd_group": 8, "z_dim": 5, "resolution": 16, "channel_base": 64}]
)
def test_tensorflow_pickles(
    changes: dict[str, Any], protocol: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    nets = shaken_nets(**changes)
    for name, t in nets.state_dict().items():
        if name.endswith("affine.bias"):
            t.mul_(256).round_().div_(256)  # so that subtracting one and adding it again is exact
    cfg = nets.cfg
    static = {"num_channels": 3, "resolution": cfg.resolution, "label_size": 0, "resample_kernel": [1, 3, 3, 1]}
    static |= {} if cfg.conv_clamp is None else {"conv_clamp": 256}
    g, g_ema = (tf_generator(cfg, net.state_dict(), static) for net in (nets.g, nets.g_ema))
    d = tf_discriminator(cfg, nets.d.state_dict(), static | {"mbstd_group_size": cfg.mbstd_group})
    with tflib(monkeypatch):
        data = pickle.dumps((g, d, g_ema), protocol)
    if protocol == 2:  # as numpy before 2 named it
        data = data.replace(b"cnumpy._core.multiarray\n", b"cnumpy.core.multiarray\n")
    (tmp_path / "x.pkl").write_bytes(data)
    assert "dnnlib" not in sys.modules
    checkpoint = read_checkpoint(tmp_path / "x.pkl")
    assert checkpoint.format == "NVIDIA TensorFlow pickle"
    assert_same(convert(checkpoint, (), "x").nets, nets)
