"""Methods from outside: they are found, named, and cannot harm the shelf or each other."""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from benchmark.errors import ConfigError, MethodError, UnknownName
from benchmark.registry import SHELF, catalogue, find_method, guard, unusable
from benchmark.registry.composition import fields_of
from benchmark.registry.plugins import package_entries
from benchmark.suites import load_suite
from benchmark.system.process_state import ProcessState

GOOD = """
from __future__ import annotations
from typing import Literal
from benchmark.api import Field, Method

class Mine(Method):
    name = "mine"
    side: Literal["left", "right"] = Field("left", description="which")
"""
BROKEN = {
    "does not parse": ("class Mine(Method:\n", r"cannot be imported \(SyntaxError: .* \(mine.py, line 1\)\)\."),
    "raises": ("raise RuntimeError('boom')\n", r"RuntimeError: boom \(mine.py, line 1\)"),
    "forgets an import": (
        GOOD + "\n    layer: nn.Module\n\nnn.ReLU()\n",
        r"name 'nn' is not defined \(mine.py, line 12\)",
    ),
    "ends the process": ("raise SystemExit(3)\n", "SystemExit: 3"),
    "ends the process at once": (
        "import os\nos._exit(0)\n",
        r"it ends the process by os._exit\(0\) \(mine.py, line 2\)",
    ),
    "ends the process behind a catch-all": ("import os\ntry:\n    os._exit(0)\nexcept Exception:\n    pass\n", "_exit"),
    "raises what is no exception": (
        "raise BaseException\n",
        r"cannot be imported \(BaseException \(mine.py, line 1\)\)",
    ),
    "raises what ends a generator": ("raise GeneratorExit('now')\n", "GeneratorExit: now"),
    "replaces a function": (
        "import torch\ntorch.randn = None\n",
        "changes torch.randn while it is imported",
    ),
    "replaces a loss": (
        "import torch.nn.functional as F\nF.softplus = lambda x: x\n",
        "changes torch.nn.functional.softplus",
    ),
    "replaces an operator": ("import torch\ntorch.Tensor.__add__ = lambda a, b: a\n", "changes Tensor.__add__"),
    "sets the default dtype": ("import torch\ntorch.set_default_dtype(torch.float64)\n", "torch.set_default_dtype"),
    "stops gradients": ("import torch\ntorch.set_grad_enabled(False)\n", "torch.set_grad_enabled"),
    "draws elsewhere": ("import torch\ntorch.set_default_device('meta')\n", "torch.set_default_device"),
    "rounds elsewhere": ("import torch\ntorch.set_flush_denormal(True)\n", "torch.set_flush_denormal"),
    "computes in bfloat16": ("import torch\ntorch.set_autocast_enabled('cpu', True)\n", "torch.set_autocast_enabled"),
    "wants determinism": (
        "import torch\ntorch.use_deterministic_algorithms(True)\n",
        "torch.use_deterministic_algorithms",
    ),
    "raises at zero": ("import numpy\nnumpy.seterr(all='raise')\n", "numpy.seterr"),
    "hears nothing": ("import signal\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\n", "signal.signal"),
    "opens all files": ("import os\nos.umask(0)\n", "os.umask"),
    "goes elsewhere": ("import os\nos.chdir('/')\n", "the current folder"),
    "needs what is not there": ("import no_such_package\n", "no_such_package"),
    "has no method": ("x = 1\n", "no Method that has a name"),
    "has only another's method": ("from benchmark.methods.finetune import Finetune\n", "no Method that has a name"),
    "has no name": (GOOD.replace('name = "mine"', ""), "no Method that has a name"),
    "has the name of a hook": (GOOD.replace('"mine"', '"noise"'), "'noise': this word has a meaning"),
    "has the name of settings": (GOOD.replace('"mine"', '"train"'), "'train': this word has a meaning"),
    "has a name with a plus": (GOOD.replace('"mine"', '"a+b"'), "small letters, digits"),
    "has a name that is no text": (GOOD.replace('"mine"', "7"), "7: a name has"),
    "has two of one name": (GOOD + "\nclass Other(Method):\n    name = 'mine'\n", "2 methods called 'mine'"),
}


@pytest.fixture
def plugin(tmp_path: Path) -> Path:
    path = tmp_path / "mine.py"
    path.write_text(GOOD)
    return path


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder in which packages count as installed."""
    monkeypatch.syspath_prepend(tmp_path)
    package_entries.cache_clear()
    yield tmp_path
    package_entries.cache_clear()
    for name in ("lab_methods", "lab_methods.deep"):
        sys.modules.pop(name, None)


def install(site: Path, text: str, *points: str) -> None:
    """Put a package with these entry points where pip would."""
    (site / "lab_methods.py").write_text(text)
    info = site / "lab-1.2.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: lab\nVersion: 1.2\n")
    (info / "entry_points.txt").write_text("[benchmark.methods]\n" + "".join(f"{point}\n" for point in points))


def test_an_import_without_end_is_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(guard, "PATIENCE", 0.2)
    (tmp_path / "endless.py").write_text("while True:\n    try:\n        pass\n    except Exception:\n        pass\n")
    with pytest.raises(
        MethodError, match=r"cannot be imported \(its import takes more than 0.2 s \(endless.py, line \d\)\)"
    ):
        find_method("endless", [str(tmp_path / "endless.py")])
    assert signal.getitimer(signal.ITIMER_REAL) == (0.0, 0.0) and signal.getsignal(signal.SIGALRM) == signal.SIG_DFL


def test_what_a_plug_in_replaced_is_put_back(tmp_path: Path) -> None:
    before = torch.randn, torch.get_default_dtype(), torch.is_grad_enabled(), Path.cwd(), os._exit
    text = "import os, torch\ntorch.randn = 1\ntorch.set_default_dtype(torch.float64)\nos.chdir('/')\n"
    (tmp_path / "changes.py").write_text(f"{text}torch.set_grad_enabled(False)\n")
    with pytest.raises(MethodError):
        find_method("changes", [str(tmp_path / "changes.py")])
    assert (torch.randn, torch.get_default_dtype(), torch.is_grad_enabled(), Path.cwd(), os._exit) == before


def test_settings_that_a_plug_in_changed_are_put_back(tmp_path: Path) -> None:
    before = ProcessState()
    lines = (text for text, said in BROKEN.values() if said.startswith(("torch.set_", "torch.use_", "os.", "sig")))
    (tmp_path / "settings.py").write_text("".join(lines))
    with pytest.raises(MethodError, match="while it is imported: all methods would get that"):
        find_method("settings", [str(tmp_path / "settings.py")])
    assert before.changed() == []


def test_ctrl_c_during_an_import_is_ctrl_c(tmp_path: Path) -> None:
    (tmp_path / "stopped.py").write_text("raise KeyboardInterrupt\n")
    with pytest.raises(KeyboardInterrupt):
        find_method("stopped", [str(tmp_path / "stopped.py")])


def test_a_broken_plug_in_that_nobody_asked_for_is_named_and_tried_once(plugin: Path, tmp_path: Path) -> None:
    torn, tries = tmp_path / "torn.py", tmp_path / "tries"
    torn.write_text(f"open({str(tries)!r}, 'a').write('x')\nraise ValueError('torn')\n")
    plugins = [str(torn), str(plugin)]
    assert find_method("mine", plugins).name == "mine"
    assert unusable(plugins) == [
        f"method torn: plug-in {torn} cannot be imported (ValueError: torn (torn.py, line 2))."
    ]
    assert tries.read_text() == "x"


def test_a_file_is_a_method(plugin: Path) -> None:
    kind = find_method("mine", [str(plugin)])
    assert kind(side="right").side == "right"  # type: ignore[call-arg, attr-defined]
    assert catalogue([str(plugin)])["mine"].origin == f"plug-in {plugin}"
    with pytest.raises(UnknownName):
        find_method("mine")
    assert find_method("mine", [str(plugin)]) is kind, "one file, one class"


def test_a_suite_runs_it_and_sets_its_fields(plugin: Path) -> None:
    _, made = load_suite("smoke", ["mine.side=right"], {"methods": ["mine", "finetune"]}, [str(plugin)])
    assert fields_of(made[0]) == {"side": "right"}


def test_a_changed_file_is_read_again(plugin: Path) -> None:
    find_method("mine", [str(plugin)])
    old = plugin.stat()
    plugin.write_text(GOOD.replace('"left", "right"', '"left", "roght"'))
    os.utime(plugin, ns=(old.st_atime_ns, old.st_mtime_ns))  # as where times have whole seconds
    assert plugin.stat().st_size == old.st_size
    assert find_method("mine", [str(plugin)])(side="roght")  # type: ignore[call-arg]


def test_a_file_takes_nobodys_place_among_modules(tmp_path: Path) -> None:
    (tmp_path / "json.py").write_text(GOOD)
    assert find_method("mine", [str(tmp_path / "json.py")])
    assert sys.modules["json"] is json


def test_a_file_may_hold_several_methods_and_a_module_those_below_it(site: Path) -> None:
    (site / "lab_methods").mkdir()
    (site / "lab_methods" / "__init__.py").write_text("from lab_methods.deep import Mine\n")
    (site / "lab_methods" / "deep.py").write_text(GOOD)
    other = site / "several.py"
    other.write_text(GOOD.replace("mine", "one") + "\nclass Two(Mine):\n    name = 'two'\n")
    known = catalogue(["lab_methods", str(other)])
    assert {n: e.origin for n, e in known.items() if e.origin != SHELF} == {
        "mine": "plug-in lab_methods", "one": f"plug-in {other}", "two": f"plug-in {other}",
    }  # fmt: skip
    assert {known[name].load().name for name in ("mine", "one", "two")} == {"mine", "one", "two"}


@pytest.mark.parametrize(("text", "reason"), BROKEN.values(), ids=BROKEN)
def test_a_broken_file_is_unavailable_with_its_reason_and_harms_nobody(plugin: Path, text: str, reason: str) -> None:
    good = plugin.with_name("good.py")
    good.write_text(GOOD.replace("mine", "good"))
    plugin.write_text(text)
    plugins = [str(plugin), str(good)]
    with pytest.raises(MethodError, match=f"method mine: plug-in .*mine.py .*{reason}"):
        find_method("mine", plugins)
    assert find_method("good", plugins).name == "good" and find_method("finetune", plugins).name == "finetune"


@pytest.mark.parametrize(
    ("given", "name", "reason"),
    [
        ("no/such/file.py", "file", "does not exist"),
        ("file.py", "file", "does not exist"),
        ("no.such.module", "module", "ModuleNotFoundError"),
        ("folder/file", "file", "does not exist"),
        ("", "", "cannot be imported"),
        ("..", "", "cannot be imported"),
    ],
)
def test_what_is_not_there_is_said(given: str, name: str, reason: str) -> None:
    with pytest.raises(MethodError, match=reason):
        catalogue([given])[name].load()


def test_what_is_no_python_is_said(tmp_path: Path) -> None:
    (tmp_path / "folder.py").mkdir()
    (tmp_path / "weights.bin").write_bytes(b"\0" * 9)
    (tmp_path / "latin.py").write_bytes(b"name = '\xe9'\n")
    for name, reason in (("folder", "is no file"), ("weights", "is no Python file"), ("latin", "SyntaxError")):
        (path,) = tmp_path.glob(f"{name}.*")
        with pytest.raises(MethodError, match=reason):
            catalogue([str(path)])[name].load()


def test_a_plugin_finds_the_data_beside_it(plugin: Path) -> None:
    """As `pkgutil.get_data` does: by the loader of the module."""
    (plugin.parent / "more.txt").write_text("left")
    more = "from pathlib import Path\nMORE = __loader__.get_data(str(Path(__file__).parent / 'more.txt')).decode()\n"
    plugin.write_text(GOOD + more)
    assert sys.modules[find_method("mine", [str(plugin)]).__module__].MORE == "left"


def test_nobody_takes_the_name_of_another(plugin: Path, tmp_path: Path) -> None:
    plugin.write_text(GOOD.replace("mine", "finetune"))
    with pytest.raises(ConfigError, match=r"mine.py: its method finetune has the name of another \(shelf\)"):
        catalogue([str(plugin)])
    plugin.write_text(GOOD)
    (tmp_path / "again.py").write_text(GOOD)
    with pytest.raises(ConfigError, match=r"again.py: its method mine .* \(plug-in .*mine.py\)"):
        catalogue([str(plugin), str(tmp_path / "again.py")])
    assert catalogue([str(plugin), str(plugin)])["mine"].load()


@pytest.mark.parametrize("broken", ["import no_such_package\n", None], ids=["broken", "missing"])
def test_a_plug_in_that_cannot_be_used_takes_nobodys_name(tmp_path: Path, broken: str | None, plugin: Path) -> None:
    """What it is called is only a guess by its file's name: with a typo in a path, that is all there is."""
    (folder := tmp_path / "my").mkdir()
    for name in ("freezed.py", "mine.py") if broken else ():
        (folder / name).write_text(broken or "")
    plugins = [str(folder / "freezed.py"), str(folder / "mine.py"), str(plugin), "no/such/mine.py"]
    known = catalogue(plugins)
    assert known["freezed"].origin == SHELF and known["mine"].origin == f"plug-in {plugin}"
    assert find_method("freezed", plugins).__module__ == "benchmark.methods.freezed"
    assert find_method("mine", plugins).name == "mine"
    unavailable = {plugins[0]: "freezed (plug-in)", plugins[1]: "mine (plug-in)", plugins[3]: "mine (plug-in 2)"}
    for path, name in unavailable.items():
        with pytest.raises(MethodError, match=f"plug-in {path} (cannot be imported|does not exist)"):
            known[name].load()
        with pytest.raises(MethodError, match="unknown method"):
            find_method(name, plugins)
    assert len(unusable(plugins)) == 3


def test_a_name_that_is_not_known_comes_with_the_plug_ins_that_cannot_be_used(plugin: Path, tmp_path: Path) -> None:
    (several := tmp_path / "several.py").write_text(GOOD.replace("mine", "one") + "class Two(Method:\n")
    said = r"unknown method 'one': .* It may be in what cannot be used: method several: plug-in .*several.py cannot be"
    for plugins in ([str(several)], [str(plugin), str(several)]):
        with pytest.raises(MethodError, match=rf"{said} imported \(SyntaxError: .* \(several.py, line 9\)"):
            find_method("one", plugins)


def test_the_line_that_fails_is_that_of_the_plug_in_and_not_of_what_it_calls(site: Path) -> None:
    (site / "lab_torn").mkdir()
    (site / "lab_torn" / "__init__.py").write_text("import json\n\nfrom lab_torn.deep import Mine\n")
    (site / "lab_torn" / "deep.py").write_text("import json\n\n\njson.loads('{')\n")
    with pytest.raises(MethodError, match=r"\(JSONDecodeError: .* \(deep.py, line 4\)\)"):
        find_method("lab_torn", ["lab_torn"])


def test_an_installed_package_is_found_by_its_entry_point_and_imported_when_asked(site: Path) -> None:
    install(site, GOOD, "mine = lab_methods:Mine")
    assert catalogue()["mine"].origin == "package lab 1.2"
    assert "lab_methods" not in sys.modules
    assert find_method("mine").name == "mine"


def test_an_entry_point_may_name_a_module(site: Path) -> None:
    install(site, GOOD, "mine = lab_methods")
    assert find_method("mine").name == "mine"


@pytest.mark.parametrize(
    ("text", "point", "reason"),
    [
        ("import no_such_package\n", "mine = lab_methods:Mine", "no_such_package"),
        (GOOD, "mine = lab_methods:Yours", "AttributeError"),
        (GOOD, "mine = no_such_module", "ModuleNotFoundError"),
        (GOOD, "yours = lab_methods:Mine", "has no Method called 'yours'"),
        ("mine = 3\n", "mine = lab_methods:mine", "has no Method called 'mine'"),
    ],
)
def test_a_broken_package_is_unavailable_with_its_reason(site: Path, text: str, point: str, reason: str) -> None:
    install(site, text, point)
    name = point.split()[0]
    with pytest.raises(MethodError, match=f"method {name}: package lab 1.2 .*{reason}"):
        find_method(name)
    assert find_method("finetune").name == "finetune"


def test_a_package_with_the_name_of_another_is_listed_and_refused(site: Path, plugin: Path) -> None:
    install(site, GOOD, "finetune = lab_methods:Mine", "mine = lab_methods:Mine")
    known = catalogue([str(plugin)])
    assert known["finetune"].origin == SHELF and known["mine"].origin == f"plug-in {plugin}"
    for name in ("finetune", "mine"):
        with pytest.raises(MethodError, match=f"method {name}: the name belongs to another"):
            known[f"{name} (package lab 1.2)"].load()
    with pytest.raises(UnknownName):
        find_method("finetune (package lab 1.2)")
