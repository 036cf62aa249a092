"""Reference values of real images, one small file per domain beside the records: the row *real* of a table.

<out>/reals/<key>.json    a `RealScores`

They belong to no method, source or seed, so they are no records. The reading is as cautious as that of records.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Literal

from pydantic import Field

from benchmark.config import Frozen
from benchmark.results.hashes import CHANGED, differs, hash_file, hash_lines, set_aside
from benchmark.results.record import Key, MetricValue, RunRecord, Text
from benchmark.system.files import write_atomic
from benchmark.system.folder import Folder, NotPlain

FOLDER = "reals"
MAX_BYTES = 1 << 20


class RealScores(Frozen):
    """What training images of a domain score against its held-out images, in the metrics of sets."""

    schema_version: Literal[1] = Field(1, alias="schema")
    key: Key = Field(description="hash of domain, number of images, metrics and their versions")
    domain: Text
    domain_digest: Text
    metrics: dict[Text, MetricValue] = Field(description="n is the number of training images")
    versions: dict[Text, int] = Field(description="of the metrics")


def reals_path(out: Path, key: str) -> Path:
    """Where the reference values of this key lie in a results folder."""
    return out / FOLDER / f"{key}.json"


def write_reals(out: Path, found: RealScores) -> None:
    """Store whole or not at all, with its hash; DataError where the folder cannot be written."""
    path, data = reals_path(out, found.key), (found.model_dump_json(indent=1, by_alias=True) + "\n").encode()
    lines = hash_lines({path.relative_to(out).as_posix(): hashlib.sha256(data).hexdigest()})
    write_atomic(hash_file(out, found.key), lines)
    write_atomic(path, data)


def find_reals(out: Path, key: str) -> RealScores | None:
    """The reference values of this key; None where there are none that can be used."""
    found = _read(out, reals_path(out, key).name)
    return found if isinstance(found, RealScores) else None


def read_reals(out: Path, problems: list[str] | None = None) -> list[RealScores]:
    """All that can be used in a results folder, in the order of names; a line about each other file to `problems`."""
    found = []
    for name in _names(out):
        scores = _read(out, name)
        if isinstance(scores, RealScores):
            found.append(scores)
        elif problems is not None:
            problems.append(f"{FOLDER}/{name}: {scores}; ignored")
    return found


def set_damaged_aside(out: Path) -> list[str]:
    """Give files that cannot be used other names, so that they are made again; a line about each."""
    lines = []
    for name in _names(out):
        why = _read(out, name)
        if isinstance(why, str):
            try:
                lines.append(f"{FOLDER}/{name} {why}; it is now {set_aside(out / FOLDER / name)}, and is made again")
            except FileNotFoundError:  # another process found it as well
                continue
    return lines


def _names(out: Path) -> list[str]:
    try:
        return [name for name in Folder(out).names(FOLDER) if name.endswith(".json") and not name.startswith(".")]
    except OSError:
        return []


def _read(out: Path, name: str) -> RealScores | str:
    """The scores in a file, or why there are none: what it is, what it holds and what was noted of it has to fit."""
    try:
        data = Folder(out).read(f"{FOLDER}/{name}", MAX_BYTES)
        scores = RealScores.model_validate_json(data)
    except NotPlain as error:
        return str(error.strerror)
    except (OSError, ValueError):
        return "cannot be read"
    if f"{scores.key}.json" != name:
        return "holds scores of another key"
    digest = hashlib.sha256(data).hexdigest()
    return CHANGED if differs(out, scores.key, f"{FOLDER}/{name}", digest) else scores


def real_values(found: Iterable[RealScores], records: Iterable[RunRecord]) -> dict[tuple[str, str], MetricValue]:
    """{(domain, metric): value} for the records' domains as they were measured: same images, same metric versions."""
    digests: dict[str, str] = {}
    versions: dict[str, int] = {}
    samples = 0
    for record in records:
        digests[record.domain] = record.domain_digest
        versions |= _versions(record)
        samples = max(samples, _samples(record))
    fitting: dict[tuple[str, str], list[MetricValue]] = defaultdict(list)
    for scores in found:
        for name, value in scores.metrics.items():
            known = versions.get(name, scores.versions.get(name)) == scores.versions.get(name)
            if known and digests.get(scores.domain) == scores.domain_digest:
                fitting[scores.domain, name].append(value)

    def fit(m: MetricValue) -> tuple[bool, bool, int]:
        """With as many images as the records have, or as many training images as there are."""
        return m.value is not None, m.n <= samples, m.n if m.n <= samples else -m.n

    return {place: max(own, key=fit) for place, own in fitting.items()}


def gap_closed(source: float, method: float, real: float) -> float | None:
    """Share of the way from the untouched source to real images, (source - method) / (source - real).

    0 at the source, 1 at real images, below 0 where a method is worse than the source; for metrics of either direction.
    None where source and real images score alike.
    """
    return None if source == real else (source - method) / (source - real)


def _samples(record: RunRecord) -> int:
    found = record.settings.get("eval")
    samples = found.get("samples") if isinstance(found, dict) else None
    return samples if isinstance(samples, int) else 0


def _versions(record: RunRecord) -> Mapping[str, int]:
    found = record.settings.get("metric_versions")
    return found if isinstance(found, dict) else {}
