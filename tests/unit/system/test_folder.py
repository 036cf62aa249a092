"""A folder of somebody else: what is opened lies inside, is a regular file, and is no larger than allowed."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from benchmark.errors import DataError
from benchmark.system.folder import Folder, NotPlain

LIMIT = 100


@pytest.fixture
def outside(tmp_path: Path) -> Path:
    path = tmp_path / "outside"
    path.mkdir()
    (path / "x").write_text("mine")
    return path


@pytest.fixture
def folder(tmp_path: Path, outside: Path) -> Folder:
    root = tmp_path / "given"
    (root / "sub").mkdir(parents=True)
    (root / "sub/good").write_bytes(b"good")
    (root / "sub/large").write_bytes(bytes(LIMIT + 1))
    (root / "sub/link").symlink_to(outside / "x")
    (root / "sub/inner").symlink_to("good")
    (root / "sub/nowhere").symlink_to(outside / "new")
    (root / "sub/device").symlink_to("/dev/zero")
    os.mkfifo(root / "sub/pipe")
    (root / "away").symlink_to(outside)
    (root / "sub/away").symlink_to(outside)
    return Folder(root)


BAD = ("sub/link", "sub/inner", "sub/nowhere", "sub/device", "sub/pipe", "sub/large", "away/x", "sub/away/x", "sub")
CLIMBING = ("../outside/x", "sub/../../outside/x", "/etc/passwd", "", "sub/a\0b")
READERS: dict[str, Callable[[Folder, str], Any]] = {
    "read": lambda folder, name: folder.read(name, LIMIT),
    "sha256": lambda folder, name: folder.sha256(name, LIMIT),
    "open": lambda folder, name: folder.open(name, LIMIT),
}


@pytest.mark.parametrize("name", [*BAD, *CLIMBING])
@pytest.mark.parametrize("how", READERS)
def test_nothing_but_regular_files_inside_is_read(folder: Folder, how: str, name: str) -> None:
    with pytest.raises(NotPlain):
        READERS[how](folder, name)


def test_regular_files_are_read(folder: Folder) -> None:
    assert folder.read("sub/good", LIMIT) == b"good"
    assert folder.sha256("sub/good", LIMIT) == "770e607624d689265ca6c44884d0807d9b054d23c473c106c72be9de08b7376c"
    with pytest.raises(FileNotFoundError):
        folder.read("sub/none", LIMIT)


def test_the_folder_itself_may_be_a_link(folder: Folder, tmp_path: Path) -> None:
    (tmp_path / "short").symlink_to(folder.root)
    assert Folder(tmp_path / "short").read("sub/good", LIMIT) == b"good"


@pytest.mark.parametrize("name", ["sub/link", "sub/inner", "sub/nowhere", "sub/device", "sub/pipe", "sub/good"])
def test_writing_replaces_what_has_the_name(folder: Folder, outside: Path, name: str) -> None:
    folder.write(name, b"new")
    assert folder.read(name, LIMIT) == b"new"
    assert [path.read_text() for path in outside.iterdir()] == ["mine"]
    assert name == "sub/good" or folder.read("sub/good", LIMIT) == b"good"


@pytest.mark.parametrize("name", ["sub/link", "sub/inner", "sub/nowhere", "sub/device", "sub/pipe"])
def test_appending_replaces_what_is_no_file_of_ours(folder: Folder, outside: Path, name: str) -> None:
    for _ in range(2):
        with folder.append(name) as file:
            file.write(b"line\n")
    assert folder.read(name, LIMIT) == b"line\nline\n"
    assert [path.read_text() for path in outside.iterdir()] == ["mine"]


def test_appending_leaves_another_name_of_the_file_alone(folder: Folder, outside: Path) -> None:
    os.link(outside / "x", folder.root / "sub/further")
    with folder.append("sub/further") as file:
        file.write(b"line\n")
    assert (outside / "x").read_text() == "mine" and folder.read("sub/further", LIMIT) == b"line\n"


def test_only_empty_files_of_ours_remain_among_locks(folder: Folder, outside: Path) -> None:
    locks = folder.root / "locks"
    locks.mkdir()
    (locks / "good.lock").touch()
    os.link(locks / "good.lock", outside / "copy.lock")  # as a backup by hard links makes
    (locks / "link.lock").symlink_to(outside / "x")
    os.link(outside / "x", locks / "further.lock")
    os.mkfifo(locks / "pipe.lock")
    folder.drop_false_locks("locks")
    folder.drop_false_locks("none")
    assert folder.names("locks") == ["good.lock"] and (outside / "x").read_text() == "mine"


@pytest.mark.parametrize("name", ["away/x", "away/new", "sub/away/new", *CLIMBING])
def test_nothing_is_written_or_listed_behind_a_link(folder: Folder, outside: Path, name: str) -> None:
    for write in (lambda: folder.write(name, b"new"), lambda: folder.append(name)):
        with pytest.raises(NotPlain):
            write()
    with pytest.raises(NotPlain):
        folder.names("away")
    assert [path.read_text() for path in outside.iterdir()] == ["mine"]


def test_linked_folders_are_found_at_any_depth(folder: Folder) -> None:
    assert folder.linked(["none", "away"]) == "away"
    assert folder.linked(["sub"]) == "sub/away", "links to files are harmless: they are replaced"
    (folder.root / "sub/away").unlink()
    assert folder.linked(["none", "sub"]) is None


@contextlib.contextmanager
def nobody() -> Iterator[None]:
    """Somebody who may not open the folders of this test."""
    mine = os.geteuid()
    os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(mine)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can be somebody else")
def test_a_closed_folder_is_told_on_one_line(folder: Folder) -> None:
    folder.root.chmod(0o700)
    with nobody():
        with pytest.raises(DataError, match=r"cannot write .*given/sub: Permission denied; choose another folder"):
            folder.linked(["sub"])
        with pytest.raises(PermissionError):
            folder.read("sub/good", LIMIT)


@pytest.mark.parametrize(
    ("name", "said"), [("a" * 300, "File name too long"), ("file", "Not a directory"), ("loop", "symbolic links")]
)
def test_what_cannot_be_a_folder_is_told_on_one_line(folder: Folder, name: str, said: str) -> None:
    (folder.root / "file").touch()
    (folder.root / "loop").symlink_to("loop")
    with pytest.raises(DataError, match=rf"cannot write .*/sub: .*{said}.*; choose another folder with --out"):
        Folder(folder.root / name).linked(["sub"])
