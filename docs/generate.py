"""Parts of the documentation that are made from the code while the site is built (a hook of MkDocs).

A page asks for a part by a line such as ``<!-- generated: methods -->``. Links to files of the repository that are
not pages become plain text; pictures of published results are copied into the site.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

ROOT = Path(__file__).resolve().parents[1]
MARK = re.compile(r"^<!-- generated: ([a-z-]+)(?: (.+?))? -->$", re.MULTILINE)
NAMED_BLOCK = re.compile(r"^```(\w+) ([\w.-]+)$", re.MULTILINE)
LINK = re.compile(r"(!?)\[([^\]]*)\]\(([^)\s]+)\)")


def methods() -> str:
    """Every method of the shelf: paper, what it adds, fields, control."""
    from benchmark.registry import catalogue

    return "\n\n".join(method_text(entry.load()) for _, entry in sorted(catalogue().items()))


def method_text(kind: Any) -> str:
    import inspect
    import sys

    file = inspect.cleandoc(sys.modules[kind.__module__].__doc__ or "")
    method = kind().fitted(256)
    trained = method.training().name
    lines = [f"## {kind.title or kind.name} {{ #{kind.name} }}", "", f"`--methods {kind.name}`: {kind.__doc__}", ""]
    lines += [f"*{kind.paper}*", ""] if kind.paper else []
    lines += [escape(paragraph) + "\n" for paragraph in file.split("\n\n")]
    if trained != kind.name:
        lines += [f"It evaluates the training of [`{trained}`](#{trained}).", ""]
    if kind.control_name:
        size = " at 256 px" if method.controls != kind().fitted(64).controls else ""
        grid = ", ".join(str(value) for value in method.controls)
        lines += [f"Control: `{kind.control_name}`, at {grid}; default {method.default_control}{size}.", ""]
    if kind.code_licence:
        lines += [f"Licence of the authors' code: {kind.code_licence}.", ""]
    if kind.model_fields:
        lines += ["| field | default | what it is |", "|:--|:--|:--|"]
        for name, field in kind.model_fields.items():
            lines.append(f"| `{kind.name}.{name}` | `{field.default}` | {cell(field.description or '')} |")
    return "\n".join(lines)


def metrics() -> str:
    """Every metric of the catalogue but the placeholders of rehearsals."""
    from benchmark.metrics import list_metrics
    from benchmark.metrics.base import STAND_IN

    rows = ["| metric | what it is | better | unit | needs |", "|:--|:--|:--|:--|:--|"]
    for name, info in list_metrics().items():
        if not name.startswith(STAND_IN):
            rows.append(f"| `{name}` | {cell(info.title)} | {info.better} | {cell(info.units)} | {cell(info.needs)} |")
    return "\n".join(rows)


def suites() -> str:
    """Every suite that comes with the package."""
    from benchmark.suites import find_collection, load_suites, suite_names

    parts = []
    for name in suite_names():
        whole, loaded = find_collection(name), [suite for suite, _ in load_suites(name)]
        kimg = dict.fromkeys(f"{k:g}" for s in loaded for k in (s.train.kimg, *s.budgets.values()))
        sources = ", ".join(dict.fromkeys(f"`{s.source}`" for s in loaded))
        domains = ", ".join(f"`{domain}`" for s in loaded for domain in s.domains)
        lines = [
            f"### {name}",
            "",
            whole.description if whole else loaded[0].description,
            "",
            f"- members: {', '.join(f'[`{member}`](#{member})' for member in whole.members)}" if whole else "",
            f"- source: {sources}, {loaded[0].resolution} px",
            f"- domains: {domains}",
            f"- methods: {', '.join(f'`{method}`' for method in loaded[0].methods)}",
            f"- training: {', '.join(kimg)} kimg; seeds: {', '.join(map(str, loaded[0].seeds))}",
        ]
        parts.append("\n".join(line for at, line in enumerate(lines) if line or at < 4))
    return "\n\n".join(parts)


def resolved() -> str:
    """What each method of each suite trains with, beside what its source states."""
    from benchmark.running.setup import Request
    from benchmark.suites import find_collection, load_suite, suite_names

    stated, parts = published_settings(), []
    for name in suite_names():
        if find_collection(name):
            continue
        suite, methods = load_suite(name)
        if suite.derived:  # for the suite's own source and domain
            suite, methods = Request(name, (), {}, "cpu", ROOT / "cache").load()
        common = resolved_settings(suite, None)
        rows = [
            row(f"`{what}`", value, stated.get(name, {}).get("all", {}).get(what)) for what, value in common.items()
        ]
        parts.append("\n".join([f"## {name}", "", "| setting | here | stated |", "|:--|:--|:--|", *rows]))
        lines = ["| method | setting | here | stated |", "|:--|:--|:--|:--|"]
        for method in methods:
            own = {k: v for k, v in resolved_settings(suite, method).items() if common.get(k, ...) != v}
            told = stated.get(name, {}).get(method.name, {})
            lines += [f"| `{method.name}` {row(f'`{what}`', v, told.get(what))}" for what, v in own.items()]
        parts.append("\n".join(lines))
    return "\n\n".join(parts)


def row(what: str, value: object, told: list[Any] | None) -> str:
    return f"| {what} | {value} | {cell(f'{told[0]}: {told[1]}') if told else ''} |"


def resolved_settings(suite: Any, method: Any) -> dict[str, Any]:
    """{"train.kimg": 4.0, ...} of a suite, and with a method the settings and fields of its training and itself."""
    from benchmark.registry.composition import fields_of
    from benchmark.running.plan import budgeted

    suite = budgeted(suite, method)
    left_out = {"tick_kimg", "checkpoint_minutes", "snapshot_kimg", "accumulate", "precision"}
    train = method.training().settings(suite.train) if method else suite.train
    found = {f"train.{k}": v for k, v in train.model_dump(exclude=left_out).items()}
    found |= {f"split.{k}": v for k, v in suite.split.model_dump().items()}
    found |= {f"eval.{k}": getattr(suite.eval, k) for k in ("samples", "pairs", "psi", "snapshot")}
    return found | ({**fields_of(method.training()), **fields_of(method)} if method else {})


def published_settings() -> dict[str, dict[str, dict[str, list[Any]]]]:
    """{suite: {method or "all": {setting: [value, where it is stated]}}}."""
    import yaml

    return dict(yaml.safe_load(read("docs/published_settings.yaml")))


def settings(section: str) -> str:
    """The settings of a section of a suite, with their defaults."""
    from benchmark import config

    kinds = {"train": config.TrainConfig, "eval": config.EvalConfig, "split": config.DomainConfig}
    rows = ["| setting | default | what it is |", "|:--|:--|:--|"]
    for name, field in kinds[section].model_fields.items():
        rows.append(f"| `{section}.{name}` | `{field.default}` | {cell(field.description or '')} |")
    return "\n".join(rows)


def commands() -> str:
    """The help of every command."""
    from benchmark.cli.app import cli

    return "\n\n".join(
        command_text(command, path) for command, path in all_commands(cli, "python -m benchmark") if not command.hidden
    )


def all_commands(group: click.Group, path: str) -> list[tuple[click.Command, str]]:
    found: list[tuple[click.Command, str]] = []
    for name, command in sorted(group.commands.items()):
        inner = f"{path} {name}"
        found += all_commands(command, inner) if isinstance(command, click.Group) else [(command, inner)]
    return found


def command_text(command: click.Command, path: str) -> str:
    ctx = click.Context(
        command, info_name=path, terminal_width=96, max_content_width=96, help_option_names=["-h", "--help"]
    )
    title = path.removeprefix("python -m benchmark ")
    return f"## {title}\n\n```text\n{command.get_help(ctx)}\n```"


def readme(section: str) -> str:
    """A section of the README, without its title."""
    found = re.search(rf"^## {re.escape(section)}\n(.*?)(?=^## |\Z)", read("README.md"), re.MULTILINE | re.DOTALL)
    if not found:
        raise ValueError(f"README.md has no section {section!r}")
    return found[1].strip()


def changelog() -> str:
    return read("CHANGELOG.md").partition("\n")[2].strip()


PARTS: dict[str, Callable[..., str]] = {
    "methods": methods,
    "metrics": metrics,
    "suites": suites,
    "settings": settings,
    "resolved": resolved,
    "commands": commands,
    "readme": readme,
    "changelog": changelog,
}


def on_page_markdown(markdown: str, page: Any, config: Any, files: Any) -> str:
    """Called by MkDocs with the text of each page: fill in what is generated, then mend links."""
    folder = Path(page.file.src_dir) / Path(page.file.src_uri).parent if page.file.src_dir else ROOT / "docs"

    def part(match: re.Match[str]) -> str:
        text = PARTS[match[1]](*([match[2]] if match[2] else []))
        return LINK.sub(lambda link: linked(link, ROOT, config, files), text)

    written = LINK.sub(lambda link: linked(link, folder, config, files), markdown)
    return NAMED_BLOCK.sub(r'```\1 title="\2"', MARK.sub(part, written))


def linked(match: re.Match[str], folder: Path, config: Any, files: Any) -> str:
    """A link as the site can follow it; `folder` is where the text lies that contains it."""
    from mkdocs.structure.files import File

    picture, text, target = match.groups()
    path, _, anchor = target.partition("#")
    if "://" in target or target.startswith(("#", "mailto:")) or not path:
        return match[0]
    file = (folder / path).resolve()
    if not file.is_relative_to(ROOT):
        return match[0]
    inside = ROOT / "docs"
    if file.is_relative_to(inside):
        place = file.relative_to(inside).as_posix()
        return f"{picture}[{text}]({place}{'#' + anchor if anchor else ''})"
    if picture and file.is_file():
        place = f"published/{file.relative_to(ROOT / 'results' / 'published').as_posix()}"
        if files.get_file_from_path(place) is None:
            files.append(File.generated(config, place, abs_src_path=str(file)))
        return f"![{text}]({place})"
    return f"{text} (`{file.relative_to(ROOT).as_posix()}`)" if file.exists() and text.strip("`") not in path else text


def read(name: str) -> str:
    return (ROOT / name).read_text("utf-8")


def escape(text: str) -> str:
    """Docstrings are written for people who read the file: underscores and stars are meant."""
    return re.sub(r"(?<![`\w])\*(?=\w)", r"\*", text).replace("<", "&lt;")


def cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")
