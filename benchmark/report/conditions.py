"""Conditions of numbers: sentences without which the numbers of a report mean nothing. No torch here."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence

from benchmark.report.lines import flatten, machine, metric_names
from benchmark.results import RunRecord


def conditions(records: Sequence[RunRecord]) -> list[str]:
    """Sentences without which the numbers of these records (one suite, one source) mean nothing."""
    first = records[0]
    digests = dict(sorted((r.domain, r.domain_digest[:12]) for r in records))
    said = [f"Suite: {first.suite}. Source: {first.source} (sha256 {first.source_sha256[:12]})."]
    said += [f"Domains: {', '.join(f'{name} (digest {digest})' for name, digest in digests.items())}."]
    said += [f"Seeds: {', '.join(str(seed) for seed in sorted({r.seed for r in records}))}."]
    said += _varying("Settings", ((r.domain, flatten(r.settings)) for r in records))
    for name in metric_names(records):
        m = next(r.metrics[name] for r in records if name in r.metrics)
        said.append(f"{name}: {m.title + '; ' if m.title else ''}{m.better} is better.")
    methods = {r.method for r in records if not r.zero_step}
    holders: dict[str, set[str]] = defaultdict(set)
    for r in records:
        for note in r.notes:
            holders[note].add(r.method)
    for note, who in holders.items():
        said.append(f"{note}" if who >= methods else f"{', '.join(sorted(who))}: {note}")
    said += _varying("Environment", ((r.domain, machine(r)) for r in records))
    said.append(f"Doctor: {_doctor(records)}.")
    said.append("Which records are behind which number: provenance.csv, beside the tables.")
    return said


def _doctor(records: Sequence[RunRecord]) -> str:
    verdicts = [r.doctor for r in records if r.status == "done"]
    passed, failed = (sum(d is not None and d.passed is p for d in verdicts) for p in (True, False))
    counts = ((passed, "passed"), (failed, "failed"), (len(verdicts) - passed - failed, "not examined"))
    return ", ".join(f"{n} of {len(verdicts)} records {word}" for n, word in counts if n) or "no record was measured"


def _varying(title: str, settings: Iterable[tuple[str, dict[str, str]]]) -> list[str]:
    """One line of what is the same everywhere, one line for each setting that is not."""
    values: dict[str, dict[str, set[str]]] = defaultdict(lambda: defaultdict(set))
    for domain, flat in settings:
        for name, value in flat.items():
            values[name][value].add(domain)
    same = [f"{name} {next(iter(v))}" for name, v in values.items() if len(v) == 1]
    lines = [f"{title}: {', '.join(same)}."] if same else []
    for name, by_value in values.items():
        if len(by_value) > 1:
            cases = "; ".join(f"{value} ({', '.join(sorted(where))})" for value, where in sorted(by_value.items()))
            lines.append(f"{title}, {name}: {cases}.")
    return lines
