"""Loading of suites: YAML and `--set` become one frozen Suite and frozen methods, once, before anything runs."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmark.api import Method
from benchmark.config import Collection, Suite
from benchmark.errors import ConfigError, UnknownName
from benchmark.metrics.catalogue import OF_PICTURES
from benchmark.registry import find_method
from benchmark.suites.fields import chosen_fields, configured, require_different, trained_lengths
from benchmark.suites.validated import SHORTEN, names_of, validated
from benchmark.system.packages import offers
from benchmark.system.text.plain_yaml import NotPlainYaml, plain_yaml, short

SHELF = Path(__file__).parent
GROUP = "benchmark.suites"
"""Entry points of packages with suites of their own: name -> the path of a YAML file, or a function that gives it."""
MAX_BYTES = 1 << 18
SECTIONS = ("train", "eval", "split")
LEAST_SAMPLES, LEAST_PAIRS, LEAST_STEPS = 32, 8, 2
"""Of a rehearsal."""


def suite_names() -> list[str]:
    """Suites and collections of suites that come with this package, then those of other installed packages."""
    own = sorted(p.stem for p in SHELF.glob("*.yaml"))
    return [*own, *(name for name in offers(GROUP) if name not in own)]


def _packaged(name: str) -> Path:
    """The YAML file that the entry point `name` names: a path, or a function that returns one; ConfigError."""
    offer = offers(GROUP)[name]
    path = offer.made()
    if not isinstance(path, str | Path):
        raise ConfigError(f"suite {name}: {offer.origin} offers {type(path).__name__}, not the path of a YAML file.")
    return Path(path)


def load_suites(
    name: str,
    settings: Sequence[str] = (),
    overrides: Mapping[str, Any] | None = None,
    plugins: Sequence[str] = (),
) -> list[tuple[Suite, list[Method]]]:
    """The suite called `name` and its methods, or those of each member of the collection called so.

    The arguments and errors are those of `load_suite`.
    """
    return [load_suite(*arguments, plugins) for arguments in members(name, settings, overrides or {})]


def members(
    name: str, settings: Sequence[str], overrides: Mapping[str, Any]
) -> list[tuple[str, Sequence[str], Mapping[str, Any]]]:
    """The first three arguments of `load_suite` for each member of a collection, or for the suite itself.

    A collection's settings change its members, `overrides` change that, and `settings` both.
    Raises UnknownName, ConfigError.
    """
    whole = find_collection(name)
    if whole is None:
        return [(name, settings, overrides)]
    given = {what for what, value in overrides.items() if value is not None}
    for what in ("source", "domains"):
        if what in given:
            raise ConfigError(f"--{what}: the suites of {name} have their own; choose one: {', '.join(whole.members)}.")
    own = [text for text in whole.settings if re.split("[.=]", text)[0].strip() not in given]
    return [(member, (*own, *settings), {**overrides, "name": f"{member}{whole.suffix}"}) for member in whole.members]


def find_collection(name: str) -> Collection | None:
    """The collection called `name`; None where that is a suite. Raises UnknownName, ConfigError."""
    raw = _read(name)
    return validated(Collection, raw, f"suite {short(name)}") if "members" in raw else None


def load_suite(
    name: str,
    settings: Sequence[str] = (),
    overrides: Mapping[str, Any] | None = None,
    plugins: Sequence[str] = (),
    derived: Mapping[str, Any] | None = None,
) -> tuple[Suite, list[Method]]:
    """The suite called `name` (or in the YAML file `name`) and its methods.

    `settings` are texts like "train.kimg=8" or "fixnoise.weight=0.1"; `overrides` replace top-level fields (None values
    are ignored); `plugins` are files or modules with further methods; `derived` counts where the suite's file is
    silent, but for `fields`, which it replaces. A method's field comes from `settings`, else from
    the suite's `fields`, else it has its default; in a composition such as "a+b" it is set for the part.
    Raises UnknownName, ConfigError, or MethodError for a method that cannot be imported.
    """
    raw = _filled(_read(name), derived or {}) | {k: v for k, v in (overrides or {}).items() if v is not None}
    if "members" in raw:
        raise ConfigError(f"{short(name)} is several suites, {SHORTEN.repr(raw['members'])}: choose one of them.")
    fields: dict[str, dict[str, Any]] = {}
    for text in settings:
        _apply(text, raw, fields)
    suite = validated(Suite, raw, f"suite {short(name)}")
    kinds = [find_method(method, plugins) for method in suite.methods]
    names, budgets = tuple(kind.name for kind in kinds), trained_lengths(suite.budgets, plugins)
    suite = suite.model_copy(update={"methods": names, "budgets": budgets})  # "b+a" is "a+b"
    _check_lists(suite)
    suite = with_pictures(suite) if suite.eval.translate else suite
    suite = rehearsal(suite) if suite.is_rehearsal else suite
    chosen = chosen_fields(suite, fields, kinds, plugins)
    chosen_methods = [configured(kind, chosen).fitted(suite.resolution) for kind in kinds]
    require_different(chosen_methods)
    return suite, chosen_methods


def rehearsal(suite: Suite) -> Suite:
    """The suite with all lengths in kimg and all numbers of samples at its `scale`, and a name that says so."""

    def kimg(length: float, steps: int = 1) -> float:
        return max(round(length * suite.scale, 6), steps * suite.train.batch / 1000)

    def images(count: int, least: int) -> int:
        return min(count, max(round(count * suite.scale), least))

    train, measured = suite.train, suite.eval
    lengths = {name: kimg(getattr(train, name)) for name in ("tick_kimg", "ema_kimg", "ada_kimg")}
    lengths["kimg"] = kimg(train.kimg, LEAST_STEPS)
    samples = images(measured.samples, LEAST_SAMPLES)
    sizes = {"samples": samples, "pairs": min(samples, images(measured.pairs, LEAST_PAIRS))}
    sizes["curve_samples"] = images(measured.curve_samples, LEAST_SAMPLES)
    snapshots = tuple(dict.fromkeys(kimg(length) for length in train.snapshot_kimg))
    return suite.model_copy(
        update={
            "name": f"{suite.name}-scale-{suite.scale:g}",
            "train": train.model_copy(update={**lengths, "snapshot_kimg": snapshots}),
            "budgets": {name: kimg(length, LEAST_STEPS) for name, length in suite.budgets.items()},
            "eval": measured.model_copy(update=sizes),
        }
    )


def with_pictures(suite: Suite) -> Suite:
    """The suite with the metrics of translated pictures added to its own."""
    names = dict.fromkeys((*suite.eval.metrics, *OF_PICTURES))
    return suite.model_copy(update={"eval": suite.eval.model_copy(update={"metrics": tuple(names)})})


def _read(name: str) -> dict[str, Any]:
    """The mapping in a suite's YAML file."""
    path = SHELF / f"{name}.yaml"
    if not path.is_file() and name in suite_names():
        path = _packaged(name)
    elif name not in suite_names():
        if not name.endswith((".yaml", ".yml")):
            raise UnknownName("suite", name, suite_names())
        path = Path(name)
    try:
        with path.open("rb") as file:
            data = file.read(MAX_BYTES + 1)
        text = data.decode()
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or "not a text file in UTF-8"
        raise ConfigError(
            f"suite file {short(name)} cannot be read: {why}. Known suites: {', '.join(suite_names())}."
        ) from None
    if len(data) > MAX_BYTES:
        raise ConfigError(f"suite file {name} is larger than {MAX_BYTES >> 10} KiB, so it is not a suite.")
    raw = _yaml(text, f"suite file {name}")
    if not isinstance(raw, dict):
        raise ConfigError(
            f"suite file {name} must hold a mapping of settings; found {SHORTEN.repr(raw)}. "
            "Begin with a copy of one of benchmark/suites."
        )
    return raw


def _filled(raw: dict[str, Any], derived: Mapping[str, Any]) -> dict[str, Any]:
    """A suite's mapping with what is derived where it says nothing."""
    sections = {s: {**derived[s], **(raw.get(s) or {})} for s in SECTIONS if s in derived}
    return {**derived, **raw, **sections, **({"fields": derived["fields"]} if "fields" in derived else {})}


def _yaml(text: str, what: str) -> Any:
    """The plain value that a YAML text describes."""
    try:
        return plain_yaml(text)
    except NotPlainYaml as error:
        raise ConfigError(f"{what}: {error}. Write plain values, lists and mappings.") from None


def _apply(text: str, raw: dict[str, Any], fields: dict[str, dict[str, Any]]) -> None:
    """Put one `--set` text into the suite's raw mapping or the methods' fields."""
    name, equals, value = text.partition("=")
    path = name.strip().split(".")
    if not equals or not all(path) or len(path) > 2:
        raise ConfigError(f"--set {short(text)}: expected NAME=VALUE such as train.kimg=8 or METHOD.FIELD=0.1.")
    parsed = _yaml(value, f"--set {short(text)}")
    if len(path) == 1 and path[0] in names_of(Suite):
        raw[path[0]] = parsed
    elif len(path) == 1:
        known = [*names_of(Suite), *(f"{section}.*" for section in SECTIONS), "METHOD.FIELD"]
        raise UnknownName("setting", short(path[0]), known)
    elif path[0] in SECTIONS:
        section = raw.get(path[0])
        raw[path[0]] = {**(section if isinstance(section, dict) else {}), path[1]: parsed}
    else:
        fields.setdefault(path[0], {})[path[1]] = parsed


def _check_lists(suite: Suite) -> None:
    """What the types do not say: a name that can be a folder's; lists with something in them, nothing twice."""
    if not re.fullmatch(r"\w[\w.-]{0,63}", suite.name):
        raise ConfigError(f"suite name {short(suite.name)!r}: use at most 64 letters, digits, '-', '_' and '.'.")
    lists: dict[str, tuple[object, ...]] = {
        "domains": suite.domains,
        "methods": suite.methods,
        "seeds": suite.seeds,
        "eval.metrics": suite.eval.metrics,
    }
    for what, items in lists.items():
        twice = [item for item in items if items.count(item) > 1]
        derives = suite.derived and "metrics" not in suite.eval.model_fields_set  # they follow from the images
        underived = what == "eval.metrics" and derives
        if twice or not (items or underived):
            found = f"{twice[0]!r} is named twice" if twice else "the list is empty"
            raise ConfigError(f"suite {suite.name}, {what}: {found}. Name at least one, and each once.")
