"""Sources as people import them: what was filled in travels with the numbers; hostile files cost nothing."""

from __future__ import annotations

import json
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from made_records import kid, make
from nvidia_pickle import shaken_nets

from benchmark.config import NetConfig, Suite
from benchmark.domains import load_domain
from benchmark.errors import ConfigError, WeightsError
from benchmark.registry import find_method
from benchmark.report import write_report
from benchmark.results import ResultStore
from benchmark.running.make_record import notes
from benchmark.running.plan import check
from benchmark.sources import Source, file_source, list_sources, load_source
from benchmark.sources.check import verify
from benchmark.sources.exporting import export_source
from benchmark.sources.importing import import_source
from benchmark.stylegan2.weights import load, load_generator, read_header, save

CFG = NetConfig(
    resolution=8, z_dim=8, w_dim=8, mapping_layers=2, channel_base=32, channel_max=8, conv_clamp=None, mbstd_group=4
)
HELD = ("freezed", "freezesg", "adam", "ewc", "fsgan", "fixnoise+freezed", "freezed[layers=1]")


def imported(tmp_path: Path, drop: Callable[[str], bool], *allow: str) -> Source:
    """A source of a file that lacks the tensors whose names are dropped."""
    nets = shaken_nets(CFG)
    parts = {"G_ema": nets.g_ema, "D": nets.d}
    state = {f"{part}.{name}": t for part, net in parts.items() for name, t in net.state_dict().items()}
    torch.save({name: t for name, t in state.items() if not drop(name)}, tmp_path / "x.pt")
    return import_source(tmp_path / "x.pt", None, tmp_path / "cache", allow)


def checked(source: Source, *methods: str) -> None:
    suite = Suite(schema=1, name="x", resolution=8, source="x", domains=("d",), methods=methods)
    origin = source.card.origin
    assert origin is not None
    chosen = [find_method(name)() for name in methods]
    check(suite, chosen, CFG, origin.networks, origin.new_discriminator)


def test_a_new_discriminator_is_said_in_records_tables_and_page(tmp_path: Path) -> None:
    source = imported(tmp_path, lambda name: name.startswith("D."), "d.*")
    domain = load_domain("toy-disks", 8, 4, 4, tmp_path / "cache")
    said = notes(find_method("finetune")(), domain, source.card)
    assert "Source GAN: allowed: d was not in the file and starts as a new network." in said
    ResultStore(tmp_path / "results").write(make(metrics=kid(1.0), notes=tuple(said)))
    write_report(tmp_path / "results")
    for name in ("tables.md", "page.html"):
        assert "d was not in the file and starts as a new network" in (tmp_path / "results" / name).read_text(), name


@pytest.mark.parametrize("method", HELD)
def test_methods_that_hold_parts_of_the_discriminator_refuse_a_new_one(tmp_path: Path, method: str) -> None:
    whole = imported(tmp_path, lambda name: name.startswith("D."), "d.*")
    part = import_source(tmp_path / "x.pt", "part", tmp_path / "cache", ("d.*",))
    assert part.card.origin is not None
    surplus = part.card.origin.model_copy(update={"notes": ("allowed: d.b4.extra is unexpected",)})
    good = Source("good", part.card.model_copy(update={"origin": surplus}), part.folder)
    for source in (whole, part):
        with pytest.raises(ConfigError, match="relies on the source's discriminator"):
            checked(source, "finetune", method)
        checked(source, "finetune", "fixnoise")
    checked(good, "finetune", "freezed[layers=1]")


def test_a_part_of_a_discriminator_that_is_new_counts_too(tmp_path: Path) -> None:
    source = imported(tmp_path, lambda name: name == "D.b8.fromrgb.weight", "d.b8.fromrgb.weight")
    with pytest.raises(ConfigError, match="freezed relies on"):
        checked(source, "freezed")


def test_a_new_discriminator_is_not_lost_among_names_that_were_left_out(tmp_path: Path) -> None:
    nets = shaken_nets(CFG)
    g_ema, d = nets.g_ema.state_dict(), nets.d.state_dict()
    stray = {f"extra.{i}": torch.zeros(1) for i in range(250)}
    torch.save({"G_ema": g_ema | stray}, tmp_path / "whole.pt")
    torch.save({"G_ema": g_ema, "D": d | stray | {"b4.out.weight": torch.zeros(3, 8)}}, tmp_path / "part.pt")
    whole = import_source(tmp_path / "whole.pt", None, tmp_path / "cache", ("g_ema.extra.*", "d.*"))
    part = import_source(tmp_path / "part.pt", None, tmp_path / "cache", ("d.*",))
    said = (
        (whole, "allowed: d was not in the file and starts as a new network"),
        (part, "allowed at import: d.b4.out.weight: new and random"),
    )
    for source, caveat in said:
        origin = source.card.origin
        assert origin is not None and origin.new_discriminator and caveat in origin.caveats
        assert origin.notes[-1] == "allowed: 50 more tensors that are unexpected"
        with pytest.raises(ConfigError, match="relies on the source's discriminator"):
            checked(source, "freezed")


def test_caveats_say_the_same_in_few_sentences(tmp_path: Path) -> None:
    source = imported(tmp_path, lambda name: name.startswith(("D.b8.", "D.b4.fc")), "d.b8.*", "d.b4.fc*")
    assert source.card.origin is not None and len(source.card.origin.notes) > 8
    caveats = source.card.origin.caveats
    allowed = [text for text in caveats if text.startswith("allowed at import: d.")]
    assert len(allowed) == 1 and "more: new and random" in allowed[0]
    assert "g was not in the file: it is a copy of g_ema" in caveats


def test_sources_of_the_suite_have_nothing_to_say(tmp_path: Path) -> None:
    domain = load_domain("toy-disks", 8, 4, 4, tmp_path / "cache")
    for source in list_sources().values():
        assert (
            sum(text.startswith("Source GAN:") for text in notes(find_method("finetune")(), domain, source.card)) == 1
        )


# --- files that mean harm


def safetensors(header: str, data: bytes = bytes(4)) -> bytes:
    """A file with a tensor x [1] and this text for a header's "json"."""
    meta = {"x": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}, "__metadata__": {"json": header}}
    raw = json.dumps(meta).encode()
    return struct.pack("<Q", len(raw)) + raw + data


def architecture(**changes: Any) -> str:
    return json.dumps({"schema": 1, "architecture": CFG.model_dump() | changes})


HOSTILE = {
    "deep": safetensors("[" * 200_000),
    "deep object": safetensors('{"a":' * 200_000),
    "digits": safetensors(f'{{"schema": 1, "architecture": {{"z_dim": {"9" * 5000}}}}}'),
    "number": safetensors("7"),
    "text": safetensors('"x"'),
    "many layers": safetensors(architecture(mapping_layers=10**7)),
    "wide z": safetensors(architecture(z_dim=10**8)),
    "wide maps": safetensors(architecture(resolution=1024, channel_base=2**21, channel_max=2048)),
    "as wide as allowed": safetensors(
        architecture(resolution=1024, channel_base=2**23, channel_max=2**13, w_dim=2**13, mapping_layers=100)
    ),
    "huge base": safetensors(architecture(channel_base=10**12)),
    "many miners": safetensors(architecture(miner_layers=10**6)),
    "huge group": safetensors(architecture(mbstd_group=10**30)),
    "negative": safetensors(architecture(w_dim=-1)),
    "fraction": safetensors(architecture(w_dim=0.5)),
    "no clamp": safetensors(architecture(conv_clamp="NaN")),
    "deep header": struct.pack("<Q", 400_000) + b"[" * 400_000,
    "long header": struct.pack("<Q", 2**40) + b"{}",
    "huge header": struct.pack("<Q", 2**63) + b"{}",
    "short": b"\0\0",
    "empty": b"",
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_network_file_is_refused_before_anything_is_built(name: str, tmp_path: Path) -> None:
    """`sources verify` and `export`, and the weights in anybody's results folder."""
    path = tmp_path / "x.safetensors"
    path.write_bytes(HOSTILE[name])
    source = file_source(path)
    calls: tuple[Callable[[], object], ...] = (
        lambda: load(path),
        lambda: load_generator(path),
        lambda: load_source(source),
        lambda: list(verify(source)),
        lambda: export_source(source, "rosinality", tmp_path / "out.pt"),
        lambda: import_source(path, None, tmp_path / "cache"),
    )
    for call in calls:
        with pytest.raises(WeightsError) as error:
            call()
        assert str(error.value).isprintable() and len(str(error.value)) < 1000
    assert sorted(p.name for p in tmp_path.iterdir() if p.is_file()) == ["x.safetensors"]


def test_good_files_load_as_before(tmp_path: Path) -> None:
    nets = shaken_nets(CFG)
    save(tmp_path / "x.safetensors", nets)
    again = load(tmp_path / "x.safetensors").state_dict()
    assert all(t.equal(again[name]) for name, t in nets.state_dict().items())
    assert read_header(tmp_path / "x.safetensors")["architecture"] == CFG.model_dump()
