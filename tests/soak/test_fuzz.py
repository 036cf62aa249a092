"""Changed checkpoints of every kind, imported: one clear error or a network, nothing is run, and it ends soon.

Run it with `pytest tests/soak/test_fuzz.py -m soak -s`. BENCHMARK_FUZZ_FILES says how many files (300 take about a
minute), BENCHMARK_SOAK_SEED chooses other ones, and a file that fails is kept, under a name that says how it was made.
"""

from __future__ import annotations

import io
import json
import multiprocessing
import os
import random
import resource
import shutil
import sys
import time
from collections import Counter
from collections.abc import Callable
from multiprocessing.connection import Connection
from pathlib import Path

import pytest
import torch
from hostile import CFG, CODE, LONGEST_MESSAGE
from nvidia_pickle import pickle_of
from safetensors.torch import save
from waiting import PATIENCE

from benchmark.errors import BenchmarkError
from benchmark.sources.importing import import_source
from benchmark.stylegan2 import Nets
from benchmark.stylegan2 import save as save_nets

pytestmark = [
    pytest.mark.soak,
    pytest.mark.skipif(not sys.platform.startswith("linux"), reason="limits processes as Linux does"),
]
SECONDS = 10
"""Of the processor, that one file may take."""
MEMORY = 4 << 30
"""Bytes that one file may take."""
SIZES = [-1, 0, 1, 2, 3, 7, 255, 256, 65_535, 2**20, 10**7, 2**31 - 1, 2**31, 2**32, 2**40, 2**63 - 1, 10**30, 10**400]
"""Numbers that something may be multiplied by, be allocated or be counted to."""


def torch_file(data: object, new: bool) -> bytes:
    file = io.BytesIO()
    torch.save(data, file, _use_new_zipfile_serialization=new)
    return file.getvalue()


def whole_files(folder: Path) -> dict[str, bytes]:
    """Good files; the last one is as this suite writes sources."""
    nets = Nets.create(CFG, seed=0)
    states = {name: getattr(nets, name).state_dict() for name in ("g", "g_ema", "d")}
    tensors = {name: t.contiguous() for name, t in states["g_ema"].items()}
    save_nets(folder / "own.safetensors", nets, {"origin_sha256": "00"})
    return {
        "pickle of protocol 4": pickle_of(nets),
        "pickle of protocol 2": pickle_of(nets, protocol=2),
        "PyTorch": torch_file(states, new=True),
        "old PyTorch": torch_file(states, new=False),
        "safetensors": save(tensors),
        "a source": (folder / "own.safetensors").read_bytes(),
    }


def flip(raw: bytearray, rng: random.Random) -> None:
    """Bits, most of them near the beginning or the end, where structure is."""
    for _ in range(rng.choice([1, 1, 2, 8, 64])):
        raw[place(raw, rng)] ^= 1 << rng.randrange(8)


def place(raw: bytearray, rng: random.Random) -> int:
    most = min(len(raw), rng.choice([100, 1000, len(raw)]))
    return rng.randrange(most) if rng.random() < 0.5 else len(raw) - 1 - rng.randrange(most)


def cut(raw: bytearray, rng: random.Random) -> None:
    at = place(raw, rng)
    del raw[at : at + rng.choice([1, 4, 100, len(raw)])]


def repeat(raw: bytearray, rng: random.Random) -> None:
    """A piece once more, or very often."""
    at, size = place(raw, rng), rng.choice([1, 9, 100, 4096])
    raw[at:at] = raw[at : at + size] * rng.choice([1, 2, 1000])


def exchange(raw: bytearray, rng: random.Random) -> None:
    a, b, size = place(raw, rng), place(raw, rng), rng.choice([1, 4, 8, 64])
    raw[a : a + size], raw[b : b + size] = raw[b : b + size], raw[a : a + size]


def integers(raw: bytearray, rng: random.Random) -> None:
    """A number of one, two, four or eight bytes, of any order, that says another size."""
    width, at = rng.choice([1, 2, 4, 8]), place(raw, rng)
    value = rng.choice(SIZES) & (256**width - 1)
    raw[at : at + width] = value.to_bytes(width, rng.choice(["little", "big"]))


def digits(raw: bytearray, rng: random.Random) -> None:
    """A number in text, as in the header of safetensors, that says another size or another kind."""
    starts = [i for i in range(min(len(raw), 50_000)) if chr(raw[i]).isdigit() and not chr(raw[i - 1]).isdigit()]
    if starts:
        at = end = rng.choice(starts)
        while end < len(raw) and chr(raw[end]).isdigit():
            end += 1
        other = rng.choice([*map(str, SIZES), "1e12", "1e400", "NaN", "null", "[]", '"x"', "[" * 10_000, "9" * 5_000])
        raw[at:end] = other.encode()


def header(raw: bytearray, rng: random.Random) -> None:
    """An entry of the header of safetensors is another one, with the right length in front."""
    length = int.from_bytes(raw[:8], "little")
    if length > len(raw) or raw[8:9] != b"{":
        flip(raw, rng)
        return
    try:
        said = json.loads(raw[8 : 8 + length])
        holder = rng.choice([said, *(value for value in said.values() if isinstance(value, dict))])
        name = rng.choice([*holder])
        if name == "json":
            inner = json.loads(holder[name])
            inner["architecture"][rng.choice([*inner["architecture"]])] = rng.choice([*SIZES, 1e12, None, [], "x"])
            holder[name] = json.dumps(inner)
        else:
            holder[name] = rng.choice([*SIZES, "F64", [0, 2**40], {}, None, [], "x" * 10_000])
    except (ValueError, KeyError, IndexError, TypeError, RecursionError):
        flip(raw, rng)
        return
    new = json.dumps(said).encode()
    raw[: 8 + length] = len(new).to_bytes(8, "little") + new


CHANGES: tuple[Callable[[bytearray, random.Random], None], ...] = (
    *(flip, cut, repeat, exchange, integers, digits, header),
)


def changed(content: bytes, rng: random.Random) -> tuple[bytes, str]:
    """(the file, what was done to it)."""
    raw, chosen = bytearray(content), rng.choices(CHANGES, k=rng.choice([1, 1, 2, 4]))
    for change in chosen:
        if raw:
            change(raw, rng)
    return bytes(raw), ", ".join(change.__name__ for change in chosen)


def attempt(path: Path, folder: Path, pipe: Connection) -> None:
    """Import a file in a process that the system ends where it takes too much; sends (outcome, seconds)."""
    resource.setrlimit(resource.RLIMIT_CPU, (SECONDS, SECONDS + 1))
    has = int(Path("/proc/self/statm").read_text("ascii").split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (has + MEMORY, resource.RLIM_INFINITY))
    torch.set_num_threads(1)
    try:
        import_source(path, "x", folder)
        said = "imported"
    except BenchmarkError as error:
        whole = str(error)
        said = "refused" if whole.isprintable() and len(whole) <= LONGEST_MESSAGE else f"unreadable: {whole[:200]!r}"
    except BaseException as error:
        said = f"{type(error).__name__}: {error}"[:300]
    if ran := CODE & sys.modules.keys():
        said = f"imported {ran}"
    pipe.send((said, time.process_time()))
    os._exit(0)


def outcome(path: Path, folder: Path) -> tuple[str, float]:
    """What the import of a file came to, and seconds of the processor; a process of its own for each file."""
    ours, theirs = multiprocessing.Pipe()
    child = multiprocessing.get_context("fork").Process(target=attempt, args=(path, folder, theirs))
    child.start()
    theirs.close()
    try:
        said, seconds = ours.recv() if ours.poll(PATIENCE) else ("does not end", float(PATIENCE))
    except EOFError:
        child.join()
        said, seconds = f"ended with {child.exitcode}, as where it takes more than {SECONDS} s", float(SECONDS)
    child.kill()
    child.join()
    return said, seconds


def test_changed_checkpoints_are_read_or_refused_soon(tmp_path: Path) -> None:
    seed, count = os.environ.get("BENCHMARK_SOAK_SEED", "0"), int(os.environ.get("BENCHMARK_FUZZ_FILES", "300"))
    rng = random.Random(f"fuzz {seed}")
    files, folder, path = whole_files(tmp_path), tmp_path / "cache", tmp_path / "x.bin"
    torch.set_num_threads(1)  # others do not survive a fork
    for kind, content in files.items():
        path.write_bytes(content)
        assert outcome(path, folder)[0] == "imported", kind
        shutil.rmtree(folder)
    found, longest, bad = Counter[str](), (0.0, "none"), list[str]()
    for number in range(count):
        kind = rng.choice([*files])
        content, how = changed(files[kind], rng)
        path.write_bytes(content)
        said, seconds = outcome(path, folder)
        longest = max(longest, (seconds, f"{kind}: {how}"))
        found[said if said in ("imported", "refused") else "bad"] += 1
        if said not in ("imported", "refused"):
            shutil.copy(path, tmp_path / f"bad-{number}.bin")
            bad.append(f"bad-{number}.bin ({kind}: {how}): {said}")
        shutil.rmtree(folder, ignore_errors=True)
    left = {entry.name for entry in tmp_path.iterdir()} - {"x.bin", "own.safetensors"}
    assert not [name for name in left if not name.startswith("bad-")], "a file was written elsewhere"
    print(f"\nfuzz seed {seed}: {count} files, {dict(found)}, the longest {longest[0]:.1f} s ({longest[1]})")
    assert not bad, f"{tmp_path}: {bad}"
