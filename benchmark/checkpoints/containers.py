"""Containers of checkpoints, recognised by their first bytes and not by the file's name, read as inert data."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import Any, BinaryIO

from safetensors import SafetensorError, safe_open

from benchmark.checkpoints.damage import DAMAGE, shown, unreadable
from benchmark.checkpoints.inert import NAMES
from benchmark.checkpoints.pickle_file import MAX_VALUE, read_pickle
from benchmark.checkpoints.tensors import MAX_NETWORK, MAX_TENSORS, NETWORKS, Storage
from benchmark.checkpoints.torch_stream import TORCH_MAGIC, read_torch_stream, storage_id
from benchmark.errors import WeightsError
from benchmark.stylegan2.weights import is_damaged
from benchmark.system.file_kinds import HEAD, other_kind, picture_format
from benchmark.system.files import in_utf8

MAX_ENTRIES = 20_000
"""Of a ZIP; networks with their optimisers have about 3,000."""
MAX_LISTING = 4 * 2**20
"""Bytes of a ZIP's or safetensors' list of entries."""
MAX_PICKLE = 128 * 2**20
ENDINGS = (".pkl", ".pt", ".pth", ".ckpt", ".safetensors")
"""Of the names that checkpoints have, for whoever has to be told what to give."""


@contextmanager
def open_checkpoint(path: Path) -> Iterator[tuple[str, Any]]:
    """("pickle" | "torch" | "safetensors", inert data); tensors are read while the file is open.

    Raises WeightsError for what is missing, damaged, of another kind, or wants to run something; also inside the
    `with` block, where reading a tensor may find the damage.
    """
    refuse_other_paths(path)
    try:
        with path.open("rb") as file:
            yield _read(file, path)
    except (*DAMAGE, OSError, SafetensorError, zipfile.BadZipFile) as error:
        raise unreadable(path.name, error) from None


PACK = "give the .pt itself, or pack the folder again: zip -0 -r NAME.pt FOLDER"


def refuse_other_paths(path: Path) -> None:
    """WeightsError for what is no file: an address, a folder, a part of a `.pt` that a system unpacked."""
    if str(path).startswith(("http:", "https:", "ftp:")):
        raise WeightsError(f"{str(path).replace(':/', '://', 1)} is an address: download it first, then give the file.")
    inside = [path / "data.pkl", *path.glob("*/data.pkl")] if path.is_dir() else []
    if any(part.is_file() for part in inside):
        raise WeightsError(f"{path} is a .pt that was unpacked (it is a ZIP inside); {PACK}.")
    if path.is_dir():
        raise WeightsError(f"{path} is a folder; give the checkpoint in it.")
    if not path.is_file():
        raise WeightsError(f"checkpoint {path} does not exist, or is no file.")
    if path.name == "data.pkl" and (path.parent / "data").is_dir():
        raise WeightsError(f"{path} is a part of a .pt that was unpacked (it is a ZIP inside); {PACK}.")


WHAT_TO_DO = {
    "a page of a web site (HTML)": "the site asks for a login, a click or a longer wait: get the file in a browser",
    "an XML text": "servers refuse in this form: get the file in a browser",
    "a pointer of Git LFS": "get the file itself: git lfs pull",
    "a text with the address of a web page": "download the file from there",
}


def refuse_other_kinds(head: bytes, name: str) -> None:
    """WeightsError for a file whose first bytes are another kind's."""
    kind = other_kind(head)
    found = kind or picture_format(head)
    if found and kind != "a ZIP":
        raise WeightsError(
            f"{name} is {found if kind else f'a {found} picture'}, no checkpoint; {WHAT_TO_DO.get(kind, UNPACK)}."
        )


def refuse_texts(file: BinaryIO, name: str) -> None:
    """WeightsError for a short text, such as a server's answer. The oldest pickles are texts with known beginnings."""
    data = file.read(HEAD)
    file.seek(0)
    try:
        text = data.decode() if len(data) < HEAD and not data.startswith((b"(", b"c")) else "\0"
    except UnicodeDecodeError:
        return
    if all(c.isprintable() or c in "\r\n\t" for c in text):
        raise WeightsError(
            f"{name} is a text ({shown(' '.join(text.split()), 80)}), no checkpoint: did a server refuse? "
            "Get the file in a browser."
        )


UNPACK = "unpack or convert it, or give the checkpoint itself"


def _read(file: BinaryIO, path: Path) -> tuple[str, Any]:
    head = file.read(HEAD)
    file.seek(0)
    if not head:
        raise WeightsError(f"{path.name} is empty. Fetch it again.")
    if head[:4] == b"PK\x03\x04":
        return "torch", read_torch_zip(file, path.name)
    if head[8:9] == b"{" and int.from_bytes(head[:8], "little") < 2**28:
        return "safetensors", read_safetensors(path)
    refuse_other_kinds(head, path.name)
    refuse_texts(file, path.name)
    first = read_pickle(file, NAMES, path.name)
    if first == TORCH_MAGIC:
        file.seek(0)
        length = path.stat().st_size
        return "torch", read_torch_stream(file, length, lambda at, n: piece_of(file, at, n), path.name, NAMES)
    return "pickle", first


def piece_of(file: BinaryIO, at: int, n: int) -> bytes:
    """The `n` bytes at this position."""
    file.seek(at)
    return file.read(n)


class Limited:
    """A file for `zipfile`, which would read a list of entries of any length that the file declares."""

    def __init__(self, file: BinaryIO, most: int) -> None:
        self.file, self.most = file, most
        self.seek, self.tell, self.seekable = file.seek, file.tell, file.seekable

    def read(self, n: int = -1) -> bytes:
        """As files do; ValueError where it is more than the limit."""
        if n > self.most:
            raise ValueError("its list of entries, or one of them, is too long")
        return self.file.read(n)


def read_torch_zip(file: BinaryIO, where: str) -> Any:
    """A file of `torch.save` since 1.6: a ZIP of uncompressed storages and one pickle."""
    limited = Limited(file, MAX_LISTING)
    archive = zipfile.ZipFile(limited)  # type: ignore[call-overload]
    limited.most = MAX_VALUE
    refuse_plain_zip(archive, where)
    main, names = checked_entries(archive, file.seek(0, 2), where)
    root = main.filename.removesuffix("data.pkl")
    if main.file_size > MAX_PICKLE:
        raise ValueError("its pickle is too long")
    if f"{root}byteorder" in names and archive.read(f"{root}byteorder") != b"little":
        raise ValueError("it is of a big-endian machine")
    storages: dict[str, Storage] = {}

    def persistent(pid: Any) -> Storage:
        dtype, key, count = storage_id(pid, (5,))
        if key not in storages:
            storages[key] = Storage(dtype, count, lambda: archive.read(f"{root}data/{key}"))
            if names.get(f"{root}data/{key}") != count * dtype.itemsize:
                raise ValueError(f"a storage declares {count} {dtype} values that its entry does not hold")
        return storages[key].expect(dtype, count)

    return read_pickle(io.BytesIO(archive.read(main)), NAMES, where, persistent)


def refuse_plain_zip(archive: zipfile.ZipFile, where: str) -> None:
    """WeightsError for a ZIP that somebody packed, with a checkpoint in it or with other files."""
    files = [entry for entry in archive.infolist() if not entry.is_dir()]
    names = [PurePosixPath(entry.filename) for entry in files]
    if not files or any(name.name == "data.pkl" or name.parent.name == "data" for name in names):
        return  # of PyTorch, whole or damaged
    inside = [str(name) for name in names if name.suffix.lower() in ENDINGS and not name.name.startswith(".")]
    if inside:
        more = f" and {len(inside) - 1} more" if len(inside) > 1 else ""
        raise WeightsError(
            f"{where} is a plain ZIP with {shown(inside[0], 80)}{more} in it, no checkpoint itself; unpack it, then "
            "give the file."
        )
    raise WeightsError(
        f"{where} is a plain ZIP of {len(files)} files such as {shown(str(names[0]), 80)}, none of them a checkpoint; "
        f"expected {', '.join(ENDINGS)}."
    )


def checked_entries(archive: zipfile.ZipFile, length: int, where: str) -> tuple[zipfile.ZipInfo, dict[str, int]]:
    """(the entry with the pickle, {name of entry: its bytes}) of a ZIP of `length` bytes, as PyTorch writes them."""
    entries = archive.infolist()
    if any(entry.filename.count("/") and entry.filename.split("/")[1] == "constants.pkl" for entry in entries):
        raise WeightsError(
            f"{where} is a TorchScript program, which would have to be run. Where its network is, save the weights "
            "alone: torch.save({'g_ema': network.state_dict()}, FILE)."
        )
    names = {entry.filename: entry.file_size for entry in entries}
    plain_entries = all(e.compress_type == zipfile.ZIP_STORED and e.compress_size == e.file_size for e in entries)
    if len(entries) > MAX_ENTRIES or not plain_entries:
        raise ValueError("PyTorch does not compress, and writes fewer entries")
    if len(names) < len(entries) or sum(names.values()) > length:
        raise ValueError("its entries overlap, or have the same name")
    main = [entry for entry in entries if entry.filename.count("/") == 1 and entry.filename.endswith("/data.pkl")]
    if len(main) != 1:
        raise ValueError("it has no data.pkl, or several")
    return main[0], names


def read_safetensors(path: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    """({name: tensor}, architecture where this suite wrote the file); the library runs nothing.

    WeightsError where the header's digest is another one than that of the tensors and the header.
    """
    with path.open("rb") as raw:
        header_bytes = int.from_bytes(raw.read(8), "little")
        if header_bytes > MAX_LISTING or path.stat().st_size > NETWORKS * MAX_NETWORK:
            raise ValueError("its header or its weights are larger than those of any StyleGAN2")
        with safe_open(in_utf8(path, raw.fileno()), framework="pt") as file:
            if len(file.keys()) > NETWORKS * MAX_TENSORS:
                raise ValueError("it has more tensors than any StyleGAN2")
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (not a dict)
            header = json.loads((file.metadata() or {}).get("json", "{}"))
    header = header if isinstance(header, dict) else {}
    if is_damaged(tensors, header, header.pop("digest", None)):
        raise WeightsError(f"{path.name} is damaged: it does not hold what was written. Fetch it again.")
    architecture = header.get("architecture")
    return tensors, architecture if isinstance(architecture, dict) else {}
