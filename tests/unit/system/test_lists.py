"""Lists on one line: names with fields in brackets, paths with commas."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmark.system.text.lists import split_names, split_paths


def test_commas_in_brackets_belong_to_a_name() -> None:
    assert split_names("a, b[c=1,d=[2,3]] ,e") == ["a", "b[c=1,d=[2,3]]", "e"]
    assert split_names("a[x=1e+5]+b", "+") == ["a[x=1e+5]", "b"]


def test_a_comma_in_the_path_of_a_folder_belongs_to_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    names = ["a, b & c (final) [2] #1 =x", "2,5D", "plain", "odd[name"]
    for name in names:
        (tmp_path / name).mkdir()
    (tmp_path / "x,y.zip").touch()
    paths = [*(str(tmp_path / name) for name in names), str(tmp_path / "x,y.zip")]
    assert split_paths(",".join(["micah", *paths, "toy-circles"])) == ["micah", *paths, "toy-circles"]
    assert split_paths(f"micah , {paths[1]},") == ["micah", paths[1]]
    monkeypatch.chdir(tmp_path)
    assert split_paths("2,5D,plain") == ["2,5D", "plain"]
    assert split_paths("2,6D,plain") == ["2", "6D", "plain"]
    (tmp_path / "ends in space ").mkdir()
    assert split_paths("ends in space , plain") == ["ends in space ", "plain"]
