"""Model cards of exported networks, in the format of model hubs: YAML front matter, then Markdown."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from benchmark.api import Control
from benchmark.domains.assets import list_targets
from benchmark.domains.cards import list_cards
from benchmark.errors import DataError
from benchmark.report.conditions import conditions
from benchmark.results import ResultStore, RunRecord
from benchmark.sources import SourceCard, find_source
from benchmark.system.text.terminal import visible_line
from benchmark.use.adapted import Adapted, identity
from benchmark.use.exported import acts_on_noise, ends_of, mixture_of

LIBRARY = "stylegan-transfer-benchmark"
SPDX = {"Apache-2.0": "apache-2.0", "CC0 1.0": "cc0-1.0", "CC BY 4.0": "cc-by-4.0"}
"""Licences as our cards write them: as hubs do."""
UNKNOWN = "unknown; the images are the user's own"
NETWORK = "network_digest"
PROVENANCE = "provenance.csv"
MAX_CARD = 1 << 20
HOW = {
    "onnx": "for onnxruntime: every input is float32 with the batch first, and the batch is free",
    "torch": "for `torch.export.load(file).module()`: called with `z`, `psi`, the list of noise maps, and `control`",
    "safetensors": "the averaged generator's weights under the names of NVIDIA's stylegan2-ada-pytorch (`G_ema.`)",
    "rosinality": "the averaged generator's weights under the names of rosinality's stylegan2-pytorch (`g_ema`)",
}


def own_card(card: Path, digest: str) -> str:
    """The text of this network's card, empty where there is none yet.

    DataError where a README.md stands at `card` that is none of this network: it would be lost, or wrong.
    """
    if not card.exists() and not card.is_symlink():
        return ""
    try:
        text = card.read_bytes()[:MAX_CARD].decode("utf-8", "replace")
    except OSError as error:
        raise DataError(f"{card} cannot be read ({error.strerror}); choose another --out.") from None
    if card.is_symlink() or f"\n{NETWORK}: sha256:{digest}\n" not in text:
        raise DataError(
            f"{card.parent} holds something else: its {card.name} is not this network's; choose another --out."
        )
    return text


def text_of(card: Path) -> str:
    """The beginning of a card, empty where there is none that can be read."""
    try:
        with card.open("rb") as file:
            return file.read(MAX_CARD).decode("utf-8", "replace")
    except OSError:
        return ""


def listed_in(card: str, file: Path) -> bool:
    """Whether the text of a card lists a file that is there."""
    return f"\n- `{file.name}`: " in card and file.is_file()


def card_text(net: Adapted, control: Control, files: Mapping[str, str], digest: str, run: Path, cache: Path) -> str:
    """The card of `net` at a value of its control; `files`: name by format. Its record is looked for in `run`."""
    assert net.record is not None
    at = net.method.default_control if acts_on_noise(net) else control
    record, source = measured(net.record, at, run), find_source(net.record.source, cache).card
    licences = {"source": source.licence, "images": licence_of(net.record)}
    front = yaml.safe_dump(front_matter(net, record, licences, digest), sort_keys=False, allow_unicode=True)
    given = bool({"onnx", "torch"} & files.keys()) and mixture_of(net, control).moves
    sections = {
        f"# {title_of(net)}": about(net, control, source, licences, given),
        "## Files": [f"- `{name}`: {HOW[kind]}." for kind, name in files.items()],
        "## Inputs": inputs(net, given) if {"onnx", "torch"} & files.keys() else [],
        f"## Scores{'' if at is None else plain(f' at {net.method.control_name} {at}')}": scores(record),
        "## Conditions": [f"- {plain(text)}" for text in conditions([net.record]) if PROVENANCE not in text],
    }
    parts = ["\n".join([title, "", *lines]) for title, lines in sections.items() if lines]
    return f"---\n{front}---\n\n" + "\n\n".join(parts) + "\n"


def front_matter(net: Adapted, record: RunRecord | None, licences: Mapping[str, str], digest: str) -> dict[str, Any]:
    """What a hub reads of a card."""
    known = {hub for name, hub in SPDX.items() for text in licences.values() if text == name}
    whole = len(known) == 1 and all(text in SPDX for text in licences.values())
    licence = {"license": known.pop()} if whole else {"license": "other", "license_name": "see-the-card"}
    values = {name: m for name, m in record.metrics.items() if m.value is not None} if record else {}
    found: dict[str, Any] = {
        **licence,
        "library_name": LIBRARY,
        "pipeline_tag": "unconditional-image-generation",
        "tags": ["stylegan2", "gan", "domain-adaptation", visible_line(net.method.name)],
        NETWORK: f"sha256:{digest}",
    }
    if record and values:
        dataset = {"name": f"{visible_line(record.domain)}, held-out images", "type": visible_line(record.domain)}
        metrics = [{"type": visible_line(name), "value": m.value} for name, m in values.items()]
        result = {"task": {"type": "unconditional-image-generation"}, "dataset": dataset, "metrics": metrics}
        found["model-index"] = [{"name": title_of(net), "results": [result]}]
    return found


def title_of(net: Adapted) -> str:
    """For instance ``FixNoise on micah``."""
    assert net.record is not None
    return plain(f"{net.title} on {net.record.domain}")


def about(net: Adapted, control: Control, source: SourceCard, licences: Mapping[str, str], given: bool) -> list[str]:
    """Method, source, domain, length and licences, a line each; ``given``: the control is an input of the graphs."""
    record = net.record
    assert record is not None
    fields = ", ".join(f"{name} {value}" for name, value in record.fields.items())
    method = f"{record.method} ({fields})" if fields else record.method
    kimg = record.timing.kimg if record.weights_kimg is None else record.weights_kimg
    length = "not trained" if record.zero_step else f"{kimg or 0:g} thousand images"
    lines = [
        f"A StyleGAN2 generator of {net.source.cfg.resolution} px, adapted by the StyleGAN transfer benchmark.",
        "",
        f"- Method: {plain(method)}. {plain(net.method.paper)}".rstrip(),
        f"- Source: {plain(record.source)}, {plain(source.title)} (sha256 {record.source_sha256[:12]}).",
        f"- Domain: {plain(record.domain)} (digest {plain(record.domain_digest[:12])}).",
        f"- Training: {length}, seed {record.seed}, training key {record.train_key}.",
    ]
    if control is not None:
        same = "the weights are the same at every value" if acts_on_noise(net) else "fixed in these files"
        kind = f"an input of the graphs; {same}" if given else same
        lines.append(f"- Control: {plain(record.control_name or 'control')}, {plain(str(control))} ({kind}).")
    lines.append(f"- Licence of the source: {plain(licences['source'])}.")
    lines.append(f"- Licence of the images: {plain(licences['images'])}.")
    return lines


def inputs(net: Adapted, given: bool) -> list[str]:
    """What the graphs take and give; ``given``: the control is one of their inputs."""
    g = net.source
    px = ", ".join(f"`noise_{name.replace('.', '_')}`" for name in g.synthesis.layer_names)
    lines = [
        f"- `z` [N, {g.cfg.z_dim}]: latents, unit normal.",
        "- `psi` [N]: truncation; 1 is none.",
        f"- {px}: new noise of each layer, [N, 1, px, px] in px of its block, unit normal; zeros for none.",
    ]
    ends = ends_of(net)
    if ends and given:
        name = plain(net.method.control_name or "control")
        lines.append(f"- `control` [N]: {name}, {ends[0]:g} to {ends[1]:g}.")
    return [
        *lines,
        f"- Output `images` [N, 3, {g.cfg.resolution}, {g.cfg.resolution}]: RGB, about -1 to 1, not clamped.",
    ]


def measured(record: RunRecord, control: Control, run: Path) -> RunRecord | None:
    """The record of the same training at this value of the control; None where it was not measured."""
    same = (r for r in ResultStore(run).read_all()[0] if identity(r) == identity(record))
    found = (r for r in same if r.status == "done" and r.suite == record.suite and r.control == control)
    return next(found, None)


def scores(record: RunRecord | None) -> list[str]:
    """A table of the record's metrics."""
    if record is None:
        return ["Not measured at this value of the control."]
    rows = ["| metric | value | images or pairs | better |", "|:--|--:|--:|:--|"]
    for name, m in record.metrics.items():
        value = (
            f"not available: {m.reason}".replace("not available: not", "not") if m.value is None else f"{m.value:.4g}"
        )
        rows.append(f"| {plain(name)} | {plain(value)} | {m.n} | {m.better} |")
    return rows


def licence_of(record: RunRecord) -> str:
    """The licence of the images that a network was adapted to, as their card says.

    A folder may have the name of a card and hold other images.
    """
    drawn = any(note.startswith(f"The images of {record.domain} are ") for note in record.notes)
    cards = list_targets("target") if record.standard_set else list_cards() if drawn else {}
    return cards[record.domain].licence if record.domain in cards else UNKNOWN


def plain(text: str) -> str:
    """A text of a record on one line, without anything that Markdown or HTML obey."""
    return re.sub(r"([\\`*<>|\[\]#])", r"\\\1", visible_line(text))
