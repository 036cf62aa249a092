"""Sources from files and back: what is written, what proves it, and that nothing is left behind when it fails."""

from __future__ import annotations

import contextlib
import json
import re
import resource
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from nvidia_pickle import shaken_nets as shaken_like
from nvidia_pickle import write_pickle
from safetensors.torch import save_file

from benchmark.checkpoints import convert, read_checkpoint
from benchmark.config import NetConfig
from benchmark.errors import ConfigError, DataError, UnknownName, WeightsError
from benchmark.sources import Source, file_source, find_source, list_sources, load_source
from benchmark.sources.check import verify
from benchmark.sources.exporting import LAYOUTS, SUFFIXES, export_source
from benchmark.sources.importing import import_source
from benchmark.stylegan2 import Nets, load, save
from benchmark.system.files import sha256_of

CFG = NetConfig(
    resolution=8, z_dim=8, w_dim=8, mapping_layers=2, channel_base=32, channel_max=8, conv_clamp=None, mbstd_group=4
)


def shaken_nets(**changes: int) -> Nets:
    return shaken_like(CFG.model_copy(update=changes))


@pytest.fixture(scope="module")
def nets() -> Nets:
    return shaken_nets()


@pytest.fixture
def pickle(nets: Nets, tmp_path: Path) -> Path:
    return write_pickle(tmp_path / "portraits.pkl", nets, noise_rand=True)


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    return tmp_path / "cache"


def everything(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def same(a: Nets, b: Nets) -> bool:
    ours, theirs = a.state_dict(), b.state_dict()
    return a.cfg == b.cfg and ours.keys() == theirs.keys() and all(ours[k].equal(theirs[k]) for k in ours)


# --- import


def test_an_imported_source_is_the_file_and_says_so(nets: Nets, pickle: Path, cache: Path) -> None:
    source = import_source(pickle, None, cache, licence="CC BY-NC 4.0 ©")
    assert source == find_source("portraits", cache) == list_sources(cache)["portraits"]
    assert "portraits" not in list_sources()
    card, origin = source.card, source.card.origin
    assert card.licence == "CC BY-NC 4.0 ©" and card.title == "portraits.pkl, a StyleGAN2 of 8 px (NVIDIA pickle)"
    assert origin is not None and (origin.file, origin.bytes) == ("portraits.pkl", pickle.stat().st_size)
    assert (origin.sha256, origin.format) == (sha256_of(pickle), "NVIDIA pickle")
    assert origin.networks == ("g", "g_ema", "d") and not origin.notes
    assert origin.left_out == ("augment_pipe", "training_set_kwargs", "noise_rand (stored random noise maps)")
    loaded, digest = load_source(source)
    assert same(loaded, nets) and digest == card.sha256 == sha256_of(source.path)
    assert {p.name for p in source.folder.iterdir()} == {"card.json", "weights.safetensors", "check.safetensors"}
    assert [p.name for p in source.folder.parent.iterdir()] == ["portraits"]
    assert source.path.stat().st_mode & 0o777 == 0o644


def test_the_same_file_gives_the_same_bytes(pickle: Path, cache: Path, tmp_path: Path) -> None:
    first = everything(import_source(pickle, "a", cache).folder)
    assert everything(import_source(pickle, "b", cache).folder) == first
    assert everything(import_source(pickle, "a", tmp_path / "other").folder) == first
    alone = tmp_path / "alone.pt"
    torch.save(load_source(find_source("a", cache))[0].g_ema.state_dict(), alone)
    made = [import_source(alone, name, cache).card for name in ("c", "d")]
    assert made[0] == made[1] and made[0].sha256 != find_source("a", cache).card.sha256


def test_what_was_missing_and_allowed_is_on_the_card(nets: Nets, cache: Path, tmp_path: Path) -> None:
    state = nets.g_ema.state_dict() | {"extra": torch.zeros(2)}
    torch.save({"g_ema": state}, tmp_path / "x.pt")
    with pytest.raises(WeightsError, match=r"g_ema\.extra is unexpected"):
        import_source(tmp_path / "x.pt", None, cache)
    origin = import_source(tmp_path / "x.pt", None, cache, allow=["g_ema.extra"]).card.origin
    assert origin is not None and origin.networks == ("g_ema",)
    assert origin.notes == (
        "g was not in the file: it is a copy of g_ema",
        "d was not in the file: no run can start from this source",
        "allowed: g_ema.extra is unexpected",
    )
    with_d = import_source(tmp_path / "x.pt", "y", cache, allow=["g_ema.extra", "d.*"]).card.origin
    assert with_d is not None and with_d.networks == ("g_ema", "d")


@pytest.mark.parametrize("name", ["", ".", "..", "a/b", "../a", "/a", "-a", ".a", "a b", "a\n", "ä", "a" * 65, "\0"])
def test_names_that_no_folder_should_have(name: str, pickle: Path, cache: Path) -> None:
    if name == "":
        pickle = pickle.rename(pickle.with_name("my portraits.pkl"))
    with pytest.raises(ConfigError, match=r"source name .*: use at most 64 letters"):
        import_source(pickle, name, cache)
    assert not cache.exists()


def test_names_that_are_taken(nets: Nets, pickle: Path, cache: Path, tmp_path: Path) -> None:
    for name in list_sources():
        for replace in (False, True):
            with pytest.raises(ConfigError, match=f"{name} belongs to a source of the suite"):
                import_source(pickle, name, cache, replace=replace)
    first = import_source(pickle, "a", cache)
    other = write_pickle(tmp_path / "other.pkl", shaken_nets(mapping_layers=1))
    before = everything(cache)
    with pytest.raises(ConfigError, match=r"source a exists.*--replace"):
        import_source(other, "a", cache)
    assert everything(cache) == before
    second = import_source(other, "a", cache, replace=True)
    assert second.card.sha256 != first.card.sha256 and load_source(second)[0].cfg.mapping_layers == 1
    assert [p.name for p in second.folder.parent.iterdir()] == ["a"]
    assert import_source(pickle, "new", cache, replace=True).name == "new"


# --- failures leave nothing behind


@contextlib.contextmanager
def disk_for(size: int) -> Iterator[None]:
    """No file can grow beyond `size` bytes in this block, as on a full disk."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.fixture
def earlier(pickle: Path, cache: Path) -> dict[str, bytes]:
    """A cache with a source in it, which every failure has to leave as it is."""
    import_source(pickle, "kept", cache)
    return everything(cache)


@pytest.mark.parametrize("name", ["new", "kept"])
def test_files_that_cannot_be_used(name: str, earlier: dict[str, bytes], pickle: Path, cache: Path) -> None:
    damaged = pickle.with_name("damaged.pkl")
    data = pickle.read_bytes()
    for content in (b"", data[: len(data) // 2], data[:-1], b"PK\x03\x04" + data, b"not a checkpoint at all\n"):
        damaged.write_bytes(content)
        with pytest.raises(WeightsError, match=r"damaged\.pkl"):
            import_source(damaged, name, cache, replace=True)
    for path in (pickle.with_name("missing.pkl"), pickle.parent):
        with pytest.raises(WeightsError, match=r"does not exist, or is no file|is a folder"):
            import_source(path, name, cache, replace=True)
    assert everything(cache) == earlier
    assert [p.name for p in (cache / "imported").iterdir()] == ["kept"]


@pytest.mark.parametrize("name", ["new", "kept"])
def test_a_full_disk(name: str, earlier: dict[str, bytes], pickle: Path, cache: Path) -> None:
    sizes = sorted(len(content) for content in earlier.values())
    for size in (0, 100, sizes[0] - 1, sizes[1] - 1, sizes[2] - 1):
        with disk_for(size), pytest.raises(DataError, match=r"cannot write to .*cache.*choose another --cache"):
            import_source(pickle, name, cache, replace=True)
        assert everything(cache) == earlier
        assert [p.name for p in (cache / "imported").iterdir()] == ["kept"]


@pytest.mark.parametrize("blocked", ["cache", "cache/imported"])
def test_a_cache_that_is_no_folder(blocked: str, pickle: Path, cache: Path, tmp_path: Path) -> None:
    path = tmp_path / blocked
    path.parent.mkdir(exist_ok=True)
    path.write_text("in the way")
    with pytest.raises(DataError, match="cannot write to"):
        import_source(pickle, "x", cache)
    assert path.read_text() == "in the way" and len(list(tmp_path.iterdir())) == 2


# --- sources that were altered


def altered(source: Source, change: Callable[[Nets], None], card_too: bool) -> Source:
    """`source` with other weights in its file, and perhaps their hash on its card."""
    nets = load(source.path)
    change(nets)
    save(source.path, nets)
    if card_too:
        path = source.folder / "card.json"
        path.write_text(json.dumps(json.loads(path.read_text()) | {"sha256": sha256_of(source.path)}))
    return find_source(source.name, source.folder.parents[1])


def louder(nets: Nets) -> None:
    nets.g_ema.synthesis.b8.conv1.noise_strength.add_(0.1)


def test_verify_says_what_it_checked(pickle: Path, cache: Path) -> None:
    source = import_source(pickle, "a", cache)
    lines = list(verify(source))
    assert [line.split()[0] for line in lines] == ["file", "weights", "images"]
    assert source.card.sha256 in lines[0]
    assert f"{len(load_source(source)[0].state_dict())} tensors, every name and shape fits: {CFG}" in lines[1]
    assert "4 at fixed latents differ by at most 0.0e+00 from check.safetensors" in lines[2]


def test_altered_weights_are_not_loaded(pickle: Path, cache: Path) -> None:
    source = altered(import_source(pickle, "a", cache), louder, card_too=False)
    for use in (lambda: load_source(source), lambda: list(verify(source))):
        with pytest.raises(WeightsError, match="It was altered; import it again"):
            use()
    source.path.unlink()
    with pytest.raises(WeightsError, match="does not exist; import it again"):
        load_source(source)


def test_verify_finds_other_weights_behind_a_corrected_card(pickle: Path, cache: Path) -> None:
    source = altered(import_source(pickle, "a", cache), louder, card_too=True)
    load_source(source)
    with pytest.raises(WeightsError, match=r"images differ by up to [\d.e+-]+ from check.safetensors"):
        list(verify(source))


def test_verify_finds_weights_that_draw_nothing(pickle: Path, cache: Path) -> None:
    def nothing(nets: Nets) -> None:
        nets.g_ema.synthesis.b8.torgb.bias.fill_(torch.nan)

    source = altered(import_source(pickle, "a", cache), nothing, card_too=True)
    with pytest.raises(WeightsError, match="images differ by up to nan"):
        list(verify(source))


def test_damaged_folders_end_in_one_line(pickle: Path, cache: Path) -> None:
    source = import_source(pickle, "a", cache)
    cards = [b"", b"{", b"\xff\xfe\x00", b"[]", b'{"title": 3, "licence": "x"}', b"[" * 100_000]
    for name, contents in {"card.json": cards, "check.safetensors": [b"", b"{}" * 100]}.items():
        path = source.folder / name
        good = path.read_bytes()
        for content in contents:
            path.write_bytes(content)
            with pytest.raises((ConfigError, WeightsError), match=name):
                list(verify(find_source("a", cache)))
        assert import_source(pickle, "a", cache, replace=True) == source
        assert path.read_bytes() == good


def test_the_suites_own_sources_verify() -> None:
    for name in list_sources():
        assert list(verify(find_source(name)))[-1].startswith("images")
    with pytest.raises(UnknownName, match="did you mean smoke-32"):
        find_source("smoke-23")


# --- images from elsewhere


@pytest.fixture
def expected(nets: Nets) -> dict[str, np.ndarray]:
    z = torch.randn(3, 8, generator=torch.Generator().manual_seed(5))
    with torch.no_grad():
        return {"z": z.numpy(), "images": nets.g_ema(z, noise="const").contiguous().numpy()}


def test_expected_images(expected: dict[str, np.ndarray], pickle: Path, cache: Path, tmp_path: Path) -> None:
    source = import_source(pickle, "a", cache)
    np.savez(tmp_path / "good.npz", **expected, other=np.array([{}]))
    save_file({k: torch.from_numpy(v) for k, v in expected.items()}, tmp_path / "good.safetensors")
    np.savez_compressed(tmp_path / "double.npz", **{k: v.astype(np.float64) for k, v in expected.items()})
    for name in ("good.npz", "good.safetensors", "double.npz"):
        assert "3 at fixed latents differ by at most" in list(verify(source, tmp_path / name))[-1]
    near = {**expected, "images": expected["images"] + 5e-4}
    np.savez(tmp_path / "near.npz", **near)
    assert re.search(r"at most [45]\.\de-04 from near.npz", list(verify(source, tmp_path / "near.npz"))[-1])
    for wrong in ({"images": expected["images"] + 2e-3}, {"z": expected["z"][::-1]}):
        np.savez(tmp_path / "wrong.npz", **{**expected, **wrong})
        with pytest.raises(WeightsError, match=r"images differ by up to .* from wrong\.npz"):
            list(verify(source, tmp_path / "wrong.npz"))


def test_expected_images_of_a_large_network_may_be_small(cache: Path, tmp_path: Path) -> None:
    nets = shaken_nets(resolution=128, channel_base=512, channel_max=4)
    source = import_source(write_pickle(tmp_path / "x.pkl", nets), None, cache)
    z = torch.randn(1, 8, generator=torch.Generator().manual_seed(5))
    with torch.no_grad():
        full = nets.g_ema(z, noise="const")
    blocks = full.reshape(1, 3, 64, 2, 64, 2).mean(dim=(3, 5))
    for size, images in {"large": full, "small": blocks}.items():
        save_file({"z": z, "images": images.contiguous()}, tmp_path / f"{size}.safetensors")
        assert "1 at fixed latents" in list(verify(source, tmp_path / f"{size}.safetensors"))[-1]
    save_file({"z": z, "images": blocks[..., ::2, ::2].contiguous()}, tmp_path / "tiny.safetensors")
    with pytest.raises(WeightsError, match=r"images are \[1, 3, 32, 32\]"):
        list(verify(source, tmp_path / "tiny.safetensors"))


def test_expected_images_of_classes(cache: Path, tmp_path: Path) -> None:
    nets = shaken_nets(c_dim=3)
    source = import_source(write_pickle(tmp_path / "x.pkl", nets), None, cache)
    assert "4 at fixed latents" in list(verify(source))[-1]
    z, c = torch.randn(2, 8, generator=torch.Generator().manual_seed(5)), torch.eye(3)[1:]
    with torch.no_grad():
        full = {"z": z, "c": c, "images": nets.g_ema(z, c, noise="const").contiguous()}
    save_file(full, tmp_path / "c.safetensors")
    assert "2 at fixed latents" in list(verify(source, tmp_path / "c.safetensors"))[-1]
    for wrong in ({"z": z, "images": full["images"]}, full | {"c": torch.eye(3)[:, 1:]}, full | {"c": c[:1]}):
        save_file({k: t.contiguous() for k, t in wrong.items()}, tmp_path / "c.safetensors")
        with pytest.raises(WeightsError, match=r"this network needs .*'c': \[2, 3\]"):
            list(verify(source, tmp_path / "c.safetensors"))


def test_files_of_expected_images_that_are_none(
    expected: dict[str, np.ndarray], pickle: Path, cache: Path, tmp_path: Path
) -> None:
    source = import_source(pickle, "a", cache)
    np.savez_compressed(tmp_path / "good.npz", **expected)
    good = (tmp_path / "good.npz").read_bytes()
    flipped = bytearray(good)
    flipped[len(good) // 2] ^= 255
    np.save(tmp_path / "array.npy", expected["z"])
    raw = {"empty": b"", "text": b"hello", "short": good[:100], "shorter": good[:-40], "flipped": bytes(flipped)}
    raw["array"] = (tmp_path / "array.npy").read_bytes()
    arrays = {
        "objects": {**expected, "z": np.array([{}])},
        "texts": {**expected, "z": np.array(["a"])},
        "none": {"images": np.zeros((0, 3, 8, 8)), "z": np.zeros((0, 8))},
        "flat": {**expected, "images": np.zeros(3)},
        "no z": {"images": expected["images"]},
        "scalars": {"images": np.zeros(()), "z": np.zeros(())},
        "other z": {**expected, "z": np.zeros((3, 9))},
        "fewer z": {**expected, "z": np.zeros((2, 8))},
        "other size": {**expected, "images": np.zeros((3, 3, 4, 4))},
        "classes": {**expected, "c": np.zeros((3, 1))},
    }
    for name, content in raw.items():
        (tmp_path / f"{name}.npz").write_bytes(content)
    for name, content in arrays.items():
        np.savez(tmp_path / f"{name}.npz", **content)
    for name in [*raw, *arrays]:
        with pytest.raises(WeightsError, match=f"{name}.npz") as error:
            list(verify(source, tmp_path / f"{name}.npz"))
        assert str(error.value).isprintable(), name
    with pytest.raises(WeightsError, match="expected images come as"):
        list(verify(source, pickle))


@contextlib.contextmanager
def memory_for(more: int) -> Iterator[None]:
    """This process cannot take so many bytes more in this block."""
    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    resource.setrlimit(resource.RLIMIT_AS, (pages * resource.getpagesize() + more, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, (soft, hard))


def bomb(path: Path, arrays: dict[str, tuple[int, ...]], mib: int) -> Path:
    """An `.npz` whose arrays declare these shapes of float32; each has so many MiB of zeros, packed to a hundredth."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        for name, shape in arrays.items():
            with archive.open(f"{name}.npy", "w", force_zip64=True) as entry:
                header = {"descr": "<f4", "fortran_order": False, "shape": shape}
                np.lib.format.write_array_header_1_0(entry, header)
                for _ in range(mib):
                    entry.write(bytes(2**20))
    return path


@pytest.mark.parametrize(
    ("arrays", "mib", "said"),
    [
        ({"z": (2**21, 12), "images": (2**13, 3, 32, 32)}, 96, "images with .* this network needs"),
        ({"z": (2**21 * 3 // 2, 8), "images": (2**21 * 3 // 2, 8)}, 96, "images are .*, the network makes"),
        ({"z": (3, 8), "images": (3, 3, 8, 8)}, 96, "z.npy is not as long as its header says"),
        ({"z": (10**9, 8), "images": (10**9, 3, 8, 8)}, 1, "z.npy is not as long as its header says"),
        ({"images": (3 * 2**23,)}, 96, "must hold z and images; found images"),
        ({"z": (3, 8), "images": (3, 3, 8, 8), "c": (1,)}, 350, "more than 1,073,741,824 bytes"),
    ],
)
def test_a_packed_file_is_measured_before_it_is_unpacked(
    arrays: dict[str, tuple[int, ...]], mib: int, said: str, pickle: Path, cache: Path, tmp_path: Path
) -> None:
    source, path = import_source(pickle, "a", cache), bomb(tmp_path / "bomb.npz", arrays, mib)
    with memory_for(2**26), pytest.raises(WeightsError, match=said) as error:
        list(verify(source, path))
    assert "bomb.npz" in str(error.value) and path.stat().st_size < 2**23


# --- export


@pytest.mark.parametrize("layout", LAYOUTS)
def test_an_export_imports_again_exactly(layout: str, nets: Nets, pickle: Path, cache: Path, tmp_path: Path) -> None:
    out = tmp_path / "new" / f"x{SUFFIXES[layout]}"
    notes = export_source(import_source(pickle, "a", cache), layout, out)
    again = load_source(import_source(out, "b", cache))[0]
    expected = nets.copy()
    if layout == "rosinality":  # one latent_avg for both
        expected.g.mapping.w_avg.copy_(expected.g_ema.mapping.w_avg)
        assert "build it with size=8, style_dim=8, n_mlp=2" in notes
        assert "its table of channels has to be changed to {4: 8, 8: 4}" in notes
        assert any("latent_avg is that of g_ema" in note for note in notes)
    else:
        assert not notes
    assert same(again, expected)
    assert [p.name for p in out.parent.iterdir()] == [out.name]
    if layout == "rosinality":
        theirs = torch.load(out, weights_only=True)
        assert set(theirs) == {"g", "g_ema", "d", "latent_avg"}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_only_networks_that_the_file_had_are_exported(layout: str, nets: Nets, cache: Path, tmp_path: Path) -> None:
    torch.save({"g_ema": nets.g_ema.state_dict()}, tmp_path / "x.pt")
    out = tmp_path / f"out{SUFFIXES[layout]}"
    export_source(import_source(tmp_path / "x.pt", None, cache), layout, out)
    assert convert(read_checkpoint(out), (), "out").present == ("g_ema",)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_an_adapted_checkpoint_is_exported_by_its_path(layout: str, nets: Nets, tmp_path: Path) -> None:
    save(tmp_path / "key.safetensors", nets, {"method": "finetune"})
    out = tmp_path / f"out{SUFFIXES[layout]}"
    export_source(file_source(tmp_path / "key.safetensors"), layout, out)
    assert convert(read_checkpoint(out), (), "out").nets.g_ema.synthesis.b4.const.equal(nets.g_ema.synthesis.b4.const)
    with pytest.raises(WeightsError, match="does not exist"):
        file_source(tmp_path / "other.safetensors")


def test_settings_survive_under_our_names(cache: Path, tmp_path: Path) -> None:
    nets = shaken_nets(conv_clamp=256.0, mbstd_group=8, c_dim=2, z_dim=5)
    source = import_source(write_pickle(tmp_path / "x.pkl", nets), None, cache)
    export_source(source, "nvidia", tmp_path / "out.safetensors")
    assert same(convert(read_checkpoint(tmp_path / "out.safetensors"), (), "out").nets, nets)


@pytest.mark.parametrize("changes", [{"c_dim": 2}, {"z_dim": 5}])
def test_what_rosinality_cannot_hold_is_not_written(changes: dict[str, int], cache: Path, tmp_path: Path) -> None:
    source = import_source(write_pickle(tmp_path / "x.pkl", shaken_nets(**changes)), None, cache)
    before = everything(tmp_path)
    with pytest.raises(WeightsError, match="cannot be written in rosinality's layout"):
        export_source(source, "rosinality", tmp_path / "out.pt")
    assert everything(tmp_path) == before


@pytest.mark.parametrize("layout", LAYOUTS)
def test_exports_that_cannot_be_written(layout: str, pickle: Path, cache: Path, tmp_path: Path) -> None:
    source = import_source(pickle, "a", cache)
    (tmp_path / "folder").mkdir()
    (tmp_path / "old").write_text("kept")
    before = everything(tmp_path)

    def refused(out: Path) -> None:
        with pytest.raises(DataError, match=r"cannot write .*choose another --out"):
            export_source(source, layout, out)

    refused(tmp_path / "folder")
    refused(tmp_path / "old" / "out")
    with disk_for(3000):
        refused(tmp_path / "old")
        refused(tmp_path / "new" / "out")
    assert everything(tmp_path) == before
