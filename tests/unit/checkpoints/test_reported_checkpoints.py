"""Checkpoints as people have them: public bug reports as tests, each with its whole kind."""

from __future__ import annotations

import collections
import datetime
import io
import uuid
import zipfile
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
import pytest
import torch
from nvidia_pickle import Persistent, dumps, pickle_of, shaken_nets
from torch import Tensor, nn

from benchmark.checkpoints import Converted, convert, read_checkpoint, rosinality
from benchmark.config import NetConfig
from benchmark.errors import WeightsError
from benchmark.sources import load_source
from benchmark.sources.importing import import_source
from benchmark.stylegan2 import Nets

CFG = NetConfig(
    resolution=16, z_dim=8, w_dim=8, mapping_layers=2, channel_base=64, channel_max=8, conv_clamp=None, mbstd_group=4
)
State = dict[str, Tensor]


@pytest.fixture(scope="module")
def nets() -> Nets:
    return shaken_nets(CFG)


@pytest.fixture
def theirs(nets: Nets) -> dict[str, State]:
    """As rosinality saves them; may be changed."""
    parts = {
        "g": rosinality.generator_to(nets.g.state_dict()),
        "g_ema": rosinality.generator_to(nets.g_ema.state_dict()),
    }
    parts["d"] = rosinality.discriminator_to(nets.d.state_dict())
    return {part: {name: t.clone() for name, t in state.items()} for part, state in parts.items()}


@pytest.fixture
def load(tmp_path: Path) -> Callable[..., Converted]:
    def call(content: Any, *allow: str) -> Converted:
        path = tmp_path / "x.pt"
        if isinstance(content, bytes):
            path.write_bytes(content)
        else:
            torch.save(content, path)
        return convert(read_checkpoint(path), allow, "x.pt")

    return call


Load = Callable[..., Converted]


def refusal(call: Callable[[], object]) -> str:
    with pytest.raises(WeightsError) as error:
        call()
    message = str(error.value)
    assert message.isprintable()
    return message


def equal(a: nn.Module, b: nn.Module, but: str = "nothing") -> bool:
    """Whether all tensors are the same, but those whose names end so."""
    other = b.state_dict()
    return all(t.equal(other[name]) for name, t in a.state_dict().items() if not name.endswith(but))


def without(states: dict[str, State], *ends: str) -> dict[str, State]:
    return {part: {k: t for k, t in state.items() if not k.endswith(ends)} for part, state in states.items()}


# --- kinds of buffers that a whole generation of files lacks


def test_files_of_before_noise_maps_get_new_ones_and_one_note(theirs: dict[str, State], nets: Nets, load: Load) -> None:
    """rosinality's own 550000.pt."""
    old = {part: {k: t for k, t in state.items() if not k.startswith("noises.")} for part, state in theirs.items()}
    found = load({**old, "latent_avg": nets.g.mapping.w_avg.clone()})
    assert found.notes == ("the file has no noise maps (it was saved before they existed): new random ones (seed 0)",)
    assert found.present == ("g", "g_ema", "d")
    for part in ("g", "g_ema"):
        state = getattr(found.nets, part).state_dict()
        maps = {name: t for name, t in state.items() if name.endswith("noise_const")}
        assert len(maps) == 5 and all(0.3 < float(t.std()) < 3 for t in maps.values())
        kept = {k: t for k, t in getattr(nets, part).state_dict().items() if k not in maps and k != "mapping.w_avg"}
        assert all(t.equal(state[name]) for name, t in kept.items())
    again = load({**old, "latent_avg": nets.g.mapping.w_avg.clone()})
    assert equal(found.nets.g, again.nets.g)


@pytest.mark.parametrize("gone", ["g", "g_ema", "one"])
def test_single_noise_maps_that_are_missing_are_refused(gone: str, theirs: dict[str, State], load: Load) -> None:
    if gone == "one":
        del theirs["g"]["noises.noise_1"], theirs["g_ema"]["noises.noise_1"]
    else:
        theirs[gone] = {k: t for k, t in theirs[gone].items() if not k.startswith("noises.")}
    assert "noise_const is missing" in refusal(lambda: load(theirs))


def test_files_without_any_filters_get_those_of_stylegan2(nets: Nets, theirs: dict[str, State], load: Load) -> None:
    ours = {"G": nets.g.state_dict(), "G_ema": nets.g_ema.state_dict(), "D": nets.d.state_dict()}
    for states, ends in ((ours, ("resample_filter",)), (theirs, ("kernel",))):
        bare = without(states, *ends)
        bare |= {"latent_avg": nets.g.mapping.w_avg.clone()} if ends == ("kernel",) else {}
        found = load(bare)
        assert found.notes == ("the file has no low-pass filters: those of StyleGAN2, [1, 3, 3, 1]",)
        assert equal(found.nets.d, nets.d) and equal(found.nets.g_ema, nets.g_ema, but="w_avg")
    some = {part: {k: t for k, t in state.items() if k != "convs.0.conv.blur.kernel"} for part, state in theirs.items()}
    assert "resample_filter is missing" in refusal(lambda: load(some))


# --- sizes that one tensor shows


@pytest.mark.parametrize("labels", [1, 8, 24])
@pytest.mark.parametrize("layout", ["rosinality", "NVIDIA"])
@pytest.mark.parametrize("d", [True, False])
def test_a_conditional_network_without_its_embedding_is_refused(labels: int, layout: str, d: bool, load: Load) -> None:
    """Converters lose it; half of the first layer would have got random numbers instead of a label."""
    lost = shaken_nets(CFG.model_copy(update={"z_dim": 8 + labels}))
    if layout == "rosinality":
        square = shaken_nets(CFG)
        states = {"g_ema": rosinality.generator_to(square.g_ema.state_dict())}
        states["g_ema"]["style.1.weight"] = lost.g_ema.state_dict()["mapping.fc0.weight"].clone()
        states |= {"d": rosinality.discriminator_to(square.d.state_dict())} if d else {}
    else:
        states = {"G_ema": lost.g_ema.state_dict()} | ({"D": lost.d.state_dict()} if d else {})
    message = refusal(lambda: load(states, "*"))
    assert f"takes {8 + labels} numbers where w has 8" in message and "conditional network" in message


def test_other_sizes_of_latents_are_accepted_where_they_cannot_be_labels(load: Load, tmp_path: Path) -> None:
    narrow = shaken_nets(CFG.model_copy(update={"z_dim": 4}))
    assert load({"G_ema": narrow.g_ema.state_dict()}).nets.cfg.z_dim == 4
    wide = shaken_nets(CFG.model_copy(update={"z_dim": 24}))
    (tmp_path / "wide.pkl").write_bytes(pickle_of(wide))  # records its z_dim
    assert convert(read_checkpoint(tmp_path / "wide.pkl"), (), "wide.pkl").nets.cfg.z_dim == 24


@pytest.mark.parametrize(
    ("channels", "said"), [(1, "grey images of 1 channel;"), (4, "RGBA images of 4"), (2, "alpha")]
)
def test_other_images_than_rgb_are_refused_whatever_is_allowed(
    channels: int, said: str, nets: Nets, load: Load
) -> None:
    """`--allow '*torgb*'` would have made random output layers."""
    g, d = (
        {
            name: t[:1].repeat(channels, *[1] * (t.ndim - 1)) if ".torgb.weight" in name or ".torgb.bias" in name else t
            for name, t in net.state_dict().items()
        }
        for net in (nets.g_ema, nets.d)
    )
    for states in ({"G_ema": g, "D": d}, {"g_ema": rosinality.generator_to(g)}):
        message = refusal(lambda states=states: load(states, "*"))  # type: ignore[misc]
        assert said in message and "--allow" not in message


def test_images_that_are_not_square_are_refused(nets: Nets, load: Load) -> None:
    g = dict(nets.g_ema.state_dict())
    g["synthesis.b4.const"] = torch.randn(8, 4, 7)
    assert "not square (it begins at 4x7 px" in refusal(lambda: load({"G_ema": g}, "*"))


def test_allow_is_no_advice_for_layers_that_read_or_make_images(nets: Nets, load: Load) -> None:
    d = dict(nets.d.state_dict())
    d["b16.fromrgb.weight"] = torch.randn(4, 1, 1, 1)
    both = {"G_ema": nets.g_ema.state_dict(), "D": d}
    assert "fromrgb.weight has shape" in refusal(lambda: load(both)) and "--allow" not in refusal(lambda: load(both))
    del d["b16.fromrgb.weight"]
    assert "--allow NAME" in refusal(lambda: load(both))


# --- averages beside the networks


@pytest.mark.parametrize("shape", [(8,), (1, 8), (6, 8), (1, 1, 8)])
def test_an_average_in_any_shape_that_people_store(
    shape: tuple[int, ...], nets: Nets, theirs: dict[str, State], load: Load
) -> None:
    average = nets.g_ema.mapping.w_avg.expand(shape).clone()
    found = load({**theirs, "latent_avg": average})
    assert found.notes == () and found.nets.g_ema.mapping.w_avg.equal(nets.g_ema.mapping.w_avg)


@pytest.mark.parametrize("average", [torch.randn(6, 8), torch.zeros(0, 8), torch.tensor(1.0), torch.randn(9)])
def test_any_other_average_is_refused_by_its_name_in_the_file(
    average: Tensor, theirs: dict[str, State], load: Load
) -> None:
    message = refusal(lambda: load({**theirs, "latent_avg": average}))
    assert "latent_avg" in message or "w_avg has shape" in message


# --- other projects' layouts


def test_the_decoder_of_an_encoder_is_a_generator(
    nets: Nets, theirs: dict[str, State], load: Load, tmp_path: Path
) -> None:
    """pSp, e4e, ReStyle."""
    state = {f"decoder.{name}": t for name, t in theirs["g_ema"].items()}
    state |= {"encoder.input_layer.0.weight": torch.randn(4, 3, 3, 3)}
    content = {"state_dict": state, "latent_avg": nets.g_ema.mapping.w_avg[None], "opts": {"output_size": 16}}
    found = load(content)
    assert found.present == ("g_ema",) and equal(found.nets.g_ema, nets.g_ema)
    assert read_checkpoint(tmp_path / "x.pt").left_out == ["encoder", "opts"]


def mmgeneration(state: State, generator: bool) -> State:
    """A state dict of rosinality's under mmgeneration's names."""
    named = {}
    for name, t in state.items():
        linear = ".modulation.weight" in name or name.startswith(("style.", "final_linear."))
        if linear and name.endswith(".weight"):
            name = name.removesuffix(".weight") + ".linear.weight_orig"
        elif generator and name.endswith(".conv.weight"):
            name += "_orig"
        elif not generator and name.endswith(".weight"):
            name = name.removesuffix(".weight") + ".conv.weight_orig"
        for ours, other in (
            (".modulation.", ".style_modulation."),
            ("input.input", "constant_input.input"),
            (".noise.weight", ".noise_injector.weight"),
            ("noises.noise_", "injected_noise_"),
        ):
            name = name.replace(ours, other)
        named["style_mapping." + name.removeprefix("style.") if name.startswith("style.") else name] = t
    return named


def test_mmgenerations_names_are_read(nets: Nets, theirs: dict[str, State], load: Load) -> None:
    parts = {
        "generator": mmgeneration(theirs["g"], True),
        "generator_ema": mmgeneration(theirs["g_ema"], True),
        "discriminator": mmgeneration(theirs["d"], False),
    }
    assert "convs.0.conv.style_modulation.linear.weight_orig" in parts["generator"]
    state = {f"{part}.{name}": t for part, named in parts.items() for name, t in named.items()}
    found = load({"meta": {"epoch": 1}, "state_dict": state, "optimizer": {}})
    assert found.present == ("g", "g_ema", "d")
    assert equal(found.nets.d, nets.d) and equal(found.nets.g_ema, nets.g_ema, but="w_avg")
    only = load({"state_dict": {name: t for name, t in state.items() if name.startswith("generator_ema.")}})
    assert only.present == ("g_ema",)


def test_an_import_of_mmgenerations_says_that_its_colours_may_be_exchanged_and_exchanges_them(
    theirs: dict[str, State], tmp_path: Path
) -> None:
    named = {"generator": "g", "generator_ema": "g_ema", "discriminator": "d"}
    renamed = {part: mmgeneration(theirs[ours], ours != "d") for part, ours in named.items()}
    file = tmp_path / "net.pt"
    torch.save({"state_dict": {f"{part}.{n}": t for part, state in renamed.items() for n, t in state.items()}}, file)
    as_it_is, turned = (import_source(file, f"net-{bgr}", tmp_path, bgr=bgr) for bgr in (False, True))
    assert as_it_is.card.origin and "of mmgeneration" in as_it_is.card.origin.format
    assert any("--bgr" in note for note in as_it_is.card.origin.caveats)
    (one, _), (two, _) = load_source(as_it_is), load_source(turned)
    z = torch.randn(3, one.cfg.z_dim, generator=torch.Generator().manual_seed(1))
    with torch.inference_mode():
        images = [nets.g_ema(z, noise=nets.g_ema.synthesis.anchor_noise()) for nets in (one, two)]
        assert not images[0].equal(images[1])
        torch.testing.assert_close(images[1], images[0].flip(1))
        torch.testing.assert_close(two.d(images[1]), one.d(images[0]))


def test_a_wrapped_state_dict_without_prefixes_is_read(nets: Nets, theirs: dict[str, State], load: Load) -> None:
    found = load({"state_dict": theirs["g_ema"], "epoch": 3})
    assert found.present == ("g_ema",) and equal(found.nets.g_ema, nets.g_ema, but="w_avg")


def test_a_network_that_a_file_has_twice_is_refused_wherever_the_two_lie(theirs: dict[str, State], load: Load) -> None:
    one, two = theirs["g_ema"], theirs["g"]
    decoder, twin, named = ({f"{p}.{k}": t for k, t in one.items()} for p in ("decoder", "generator_ema", "g_ema"))
    files: dict[str, dict[str, Any]] = {
        "state_dict.decoder and state_dict.generator_ema": {"state_dict": decoder | twin},
        "state_dict.decoder and state_dict.g_ema": {"state_dict": decoder | named},
        "g_ema and state_dict.decoder": {"g_ema": two, "state_dict": decoder},
        "G_ema and state_dict.generator_ema": {"state_dict": twin, "G_ema": two},
        "g_ema and state_dict.g_ema": {"g_ema": two, "state_dict": {"g_ema": one}},
    }
    for places, content in files.items():
        assert f"x.pt has {places}; it is not clear which of them counts" in refusal(lambda c=content: load(c))
    assert load({"g": two, "d": None, "state_dict": decoder}).present == ("g", "g_ema")


# --- classes of other code


class Own(nn.Module):
    """A person's network with what such have."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Conv2d(3, 4, 3), nn.LayerNorm(4), nn.MultiheadAttention(4, 1), nn.GELU())
        self.act = nn.functional.relu
        self.sizes = [1, 2]


def test_an_entry_of_other_classes_is_left_out_by_name(nets: Nets, tmp_path: Path) -> None:
    """An auxiliary discriminator of torch.nn layers made the whole file unusable."""
    for aux in (Own(), nn.Sequential(nn.Linear(2, 2)), [nn.ReLU()], {"a": nn.ModuleList([nn.Tanh()])}):
        (tmp_path / "x.pkl").write_bytes(pickle_of(nets, extra={"D_aux": aux}))
        checkpoint = read_checkpoint(tmp_path / "x.pkl")
        left_out = [name.split(" ")[0] for name in checkpoint.left_out]
        assert left_out == ["D_aux", "augment_pipe", "training_set_kwargs"]
        if isinstance(aux, nn.Module):
            assert type(aux).__name__ in checkpoint.left_out[0]
        found = convert(checkpoint, (), "x")
        assert found.present == ("g", "g_ema", "d") and equal(found.nets.d, nets.d) and equal(found.nets.g, nets.g)


@pytest.mark.parametrize("place", ["g_ema", "G_ema", "D", "generator", "whole"])
def test_a_whole_pickled_module_is_refused_with_what_to_do(place: str, load: Load, theirs: dict[str, State]) -> None:
    content: Any = Own() if place == "whole" else {"g": theirs["g"], place: Own()}
    message = refusal(lambda: load(content))
    assert "a whole " in message and "Own object, and its code is not run" in message
    assert "torch.save({'g_ema': network.state_dict()}, FILE)" in message


def test_a_needed_network_with_a_foreign_layer_is_refused_by_name(nets: Nets, tmp_path: Path) -> None:
    state = {"_parameters": {}, "_buffers": {}, "_modules": {"projected": nn.Conv2d(1, 1, 1)}}
    path = tmp_path / "x.pkl"
    path.write_bytes(pickle_of(nets, extra={"D": Persistent("Discriminator", state)}))
    message = refusal(lambda: read_checkpoint(path))
    assert "projected is a torch.nn.modules.conv.Conv2d, a class of other code" in message


def test_an_average_that_is_not_finite_is_called_so_and_an_array_is_read(
    nets: Nets, theirs: dict[str, State], load: Load
) -> None:
    average = nets.g_ema.mapping.w_avg.clone()
    found = load({**theirs, "latent_avg": average.numpy()})
    assert found.notes == () and found.nets.g_ema.mapping.w_avg.equal(average)
    average[3] = float("nan")
    assert "g_ema.mapping.w_avg holds numbers that are not finite" in refusal(
        lambda: load({**theirs, "latent_avg": average})
    )


def test_data_of_python_beside_the_networks_is_left_out(nets: Nets, theirs: dict[str, State], load: Load) -> None:
    """Options and schedulers hold paths, dates and counters; one of these cost the whole file."""
    beside = {
        "g_optim": {"state": collections.defaultdict(dict, {0: {"step": torch.zeros(1)}}), "param_groups": []},
        "scheduler": {"milestones": collections.Counter([3, 3, 5])},
        "args": {"out": PurePosixPath("a/b"), "when": datetime.datetime(2026, 1, 1), "id": uuid.UUID(int=3)},
        "more": [Decimal("0.1"), 1j, range(3), torch.float16, datetime.timedelta(3)],
    }
    for protocol in (2, 5):
        torch.save(
            {**theirs, **beside, "latent_avg": nets.g.mapping.w_avg.clone()},
            file := io.BytesIO(),
            pickle_protocol=protocol,
        )
        found = load(file.getvalue())
        assert found.notes == () and equal(found.nets.g_ema, nets.g_ema, "w_avg") and equal(found.nets.d, nets.d)


@pytest.mark.parametrize("wrapper", ["module.", "_orig_mod.", "module._orig_mod."])
def test_prefixes_of_wrappers_are_taken_off(wrapper: str, nets: Nets, theirs: dict[str, State], load: Load) -> None:
    wrapped = {part: {wrapper + name: t for name, t in state.items()} for part, state in theirs.items()}
    assert equal(load(wrapped).nets.g_ema, nets.g_ema, "w_avg") and equal(
        load(wrapped["g_ema"]).nets.g_ema, nets.g_ema, "w_avg"
    )


def test_networks_of_different_trainings_are_told(theirs: dict[str, State], load: Load) -> None:
    larger = shaken_nets(CFG.model_copy(update={"resolution": 32}))
    wide = rosinality.generator_to(larger.g_ema.state_dict())
    assert "its d is for 16 px, its generator makes 32 px" in refusal(lambda: load({"g_ema": wide, "d": theirs["d"]}))
    assert "its g is for 16 px, its generator makes 32" in refusal(lambda: load({"g_ema": wide, "g": theirs["g"]}))
    classes = shaken_nets(CFG.model_copy(update={"c_dim": 3}))
    plain = shaken_nets(CFG)
    mixed = {"G_ema": classes.g_ema.state_dict(), "D": plain.d.state_dict()}
    assert "its d is not conditional, its generator is" in refusal(lambda: load(mixed))
    mixed = {"G_ema": plain.g_ema.state_dict(), "D": classes.d.state_dict()}
    assert "its d is conditional, its generator is not" in refusal(lambda: load(mixed))


@pytest.mark.parametrize("name", ["model", "ema", "model_state_dict", "GAN"])
def test_entries_of_unknown_names_are_told(name: str, theirs: dict[str, State], load: Load) -> None:
    message = refusal(lambda: load({name: theirs["g_ema"], "epoch": 3}))
    assert f"its entries are {name}. Where one is a StyleGAN2 generator, save it alone" in message


CALLS = ["os.system", "subprocess.Popen", "builtins.eval", "torch.load", "torch.hub.load", "torch.nn.functional.relu"]


@pytest.mark.parametrize("called", CALLS)
def test_functions_and_what_acts_in_python_stay_refused_in_every_entry(called: str, nets: Nets, tmp_path: Path) -> None:
    class Calls:
        def __reduce__(self) -> tuple[Any, tuple[str]]:
            module, _, name = called.rpartition(".")
            return getattr(__import__(module, fromlist=[name]), name), ("x",)

    (tmp_path / "x.pkl").write_bytes(pickle_of(nets, extra={"D_aux": Calls()}))
    message = refusal(lambda: read_checkpoint(tmp_path / "x.pkl"))
    assert "wants to call" in message or "is not callable" in message


def test_frozen_layers_that_are_buffers_are_weights(nets: Nets, load: Load) -> None:
    held = ("G.mapping.fc", "G_ema.mapping.fc", "D.b8.")
    found = load(pickle_of(nets, held=held))
    assert equal(found.nets.g_ema, nets.g_ema) and equal(found.nets.g, nets.g) and equal(found.nets.d, nets.d)


def test_the_content_decides_and_not_the_name(nets: Nets, theirs: dict[str, State], tmp_path: Path) -> None:
    (tmp_path / "nvidia.pt").write_bytes(pickle_of(nets))
    torch.save(theirs, tmp_path / "theirs.pkl")
    for name in ("nvidia.pt", "theirs.pkl"):
        assert equal(convert(read_checkpoint(tmp_path / name), (), name).nets.g_ema, nets.g_ema, "w_avg")


# --- files that are no checkpoints

BEGINNINGS = {
    "page.pkl": (b"<!DOCTYPE html><html><title>Google Drive - Quota exceeded</title>", "a page of a web site (HTML)"),
    "page.pt": (b"\n\n  <HTML><head>", "a page of a web site (HTML)"),
    "denied.pt": (b"<?xml version='1.0'?><Error><Code>AccessDenied</Code></Error>", "an XML text"),
    "pointer.pt": (b"version https://git-lfs.github.com/spec/v1\noid sha256:00\n", "git lfs pull"),
    "address.pkl": (b"https://example.org/network.pkl\n", "the address of a web page"),
    "packed.pkl": (b"\x1f\x8b\x08\x00", "a gzip archive"),
    "a.pt": (b"7z\xbc\xaf\x27\x1c", "a 7-Zip archive"),
    "weights.h5.pt": (b"\x89HDF\r\n\x1a\n", "an HDF5 file"),
    "array.pkl": (b"\x93NUMPY\x01\x00", "a NumPy array"),
    "grid.pkl": (b"\x89PNG\r\n\x1a\n", "a PNG picture"),
}


@pytest.mark.parametrize("name", BEGINNINGS)
def test_a_file_of_another_kind_is_called_what_it_is(name: str, tmp_path: Path) -> None:
    content, said = BEGINNINGS[name]
    (tmp_path / name).write_bytes(content + bytes(600))
    message = refusal(lambda: read_checkpoint(tmp_path / name))
    assert said in message and "opcode" not in message and "no checkpoint" in message


@pytest.mark.parametrize("text", ['{"error": "Not found"}', "Not Found\n", "import torch\n", "magnet:?xt=urn:btih:0"])
def test_a_short_text_is_quoted(text: str, tmp_path: Path) -> None:
    (tmp_path / "a.pkl").write_text(text)
    message = refusal(lambda: read_checkpoint(tmp_path / "a.pkl"))
    assert f"is a text ({text.strip()}), no checkpoint" in message


def test_a_torchscript_program_says_what_to_do(tmp_path: Path) -> None:
    torch.jit.save(torch.jit.script(nn.Linear(2, 2)), tmp_path / "a.pt")
    assert "is a TorchScript program" in refusal(lambda: read_checkpoint(tmp_path / "a.pt"))


def test_an_address_a_folder_and_parts_of_an_unpacked_file_are_told(tmp_path: Path) -> None:
    assert "https://x.org/a.pkl is an address" in refusal(lambda: read_checkpoint(Path("https://x.org/a.pkl")))
    inside = tmp_path / "unpacked" / "name"
    (inside / "data").mkdir(parents=True)
    (inside / "data.pkl").write_bytes(dumps({}))
    for part in (inside / "data.pkl", inside, inside.parent):
        assert ".pt that was unpacked" in refusal(lambda part=part: read_checkpoint(part))  # type: ignore[misc]
    assert "is a folder; give the checkpoint in it" in refusal(lambda: read_checkpoint(tmp_path))
    assert "does not exist" in refusal(lambda: read_checkpoint(tmp_path / "none.pt"))
    (tmp_path / "noise.pkl").write_bytes(np.random.default_rng(0).bytes(100))
    assert "opcode" not in refusal(lambda: read_checkpoint(tmp_path / "noise.pkl"))
    buffer = io.BytesIO()
    torch.save({}, buffer)
    (tmp_path / "cut.pt").write_bytes(buffer.getvalue()[:40])
    assert "cannot be read as a checkpoint" in refusal(lambda: read_checkpoint(tmp_path / "cut.pt"))


def test_a_plain_zip_says_what_is_in_it(tmp_path: Path) -> None:
    """As sites pack what one downloads; nobody has to guess that it must be unpacked."""
    torch.save({}, whole := io.BytesIO())
    packed = tmp_path / "download.zip"
    cases = {
        ("a/README.md", "a/network-snapshot.pkl"): "a plain ZIP with a/network-snapshot.pkl in it",
        ("ffhq.pt", "cats.PTH", ".hidden.pt"): "a plain ZIP with ffhq.pt and 1 more in it",
        ("0.png", "1.png"): "a plain ZIP of 2 files such as 0.png, none of them a checkpoint",
        ("x\x1b[31m/a.ckpt",): "a plain ZIP with x",
    }
    for names, said in cases.items():
        with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
            for name in names:
                archive.writestr(name, whole.getvalue())
        message = refusal(lambda: read_checkpoint(packed))
        assert said in message and "Fetch it again" not in message
        assert "unpack it, then give the file" in message or "expected .pkl, .pt" in message
