"""Sentences that say what the tables show: who is best, what is more than chance, what these seeds could have shown."""

from __future__ import annotations

from benchmark.report.group import Group, short_title
from benchmark.report.lines import Line
from benchmark.report.statistics.paired import holm, seeds_needed
from benchmark.report.tables.controls import Curve, curves, measures
from benchmark.report.tables.differences import comparisons, detectable
from benchmark.report.tables.ranking import ranking
from benchmark.report.tables.trade_off import equal_fidelity, scores

MANY, STRAIGHT = 4, 0.9
MOST = 8
LEAST_BLOCKS = 3
"""Of a comparison that is worth a sentence."""


def sentences(group: Group) -> tuple[str, ...]:
    """At most seven; the same records give the same words."""
    if group.fidelity is None:
        return ("No method has a number yet.",)
    return tuple(
        filter(
            None,
            (_best(group), _certain(group), _ranks(group), _kept(group), _equal(group), _controls(group), _cost(group)),
        )
    )


def question(group: Group) -> str:
    """What the records are asked: the title of the page."""
    first, methods = group.records[0], {line.base for line in group.lines if not (line.zero_step or line.outside)}
    where = listed(group.domains) if len(group.domains) <= MANY else f"{len(group.domains)} domains"
    return (
        f"Which of {len(methods)} methods adapts {first.source} best to {where}?"
        if len(methods) > 1
        else (f"{next(iter(methods), 'The source')} from {first.source} to {where}")
    )


def listed(words: list[str]) -> str:
    """``a, b and c``."""
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}"


def winners(group: Group) -> dict[str, tuple[Line, float]]:
    """domain -> the method with the best mean fidelity, and that mean."""
    found = {}
    sign = 1 if group.better(group.fidelity or "") == "lower" else -1
    for domain in group.domains:
        means = [
            (sign * sum(v.values()) / len(v), line)
            for line in group.shown
            if (v := group.values(line, domain, group.fidelity)) and group.competes(line, domain, group.fidelity or "")
        ]
        if means:
            best, line = min(means, key=lambda pair: pair[0])
            found[domain] = (line, sign * best)
    return found


def _best(group: Group) -> str:
    name, found = short_title(group.fidelity or ""), winners(group)
    if not found:
        return ""
    word = "lowest" if group.better(group.fidelity or "") == "lower" else "highest"
    bases = {line.base for line, _ in found.values()}
    if len(bases) == 1 and len(found) > 1:
        where = "both domains" if len(found) == 2 else f"all {len(found)} domains"
        texts = f"{next(iter(bases))} has the {word} {name} on {where}"
        return f"{texts} ({_closed(group, found)})." if (_closed(group, found)) else f"{texts}."
    if len(found) > MANY:
        counts = {b: sum(x.base == b for x, _ in found.values()) for b in sorted(bases)}
        order = sorted(counts.items(), key=lambda p: -p[1])
        return f"Most often the {word} {name}: {', '.join(f'{b} ({n} of {len(found)} domains)' for b, n in order[:3])}."
    parts = [f"{line.base} has the {word} {name} on {d} ({value:.3g})" for d, (line, value) in found.items()]
    return f"{'; '.join(parts)}."


def _closed(group: Group, found: dict[str, tuple[Line, float]]) -> str:
    parts = []
    for domain, (line, value) in found.items():
        own = scores(group, line)[group.domains.index(domain)]
        share = f", {100 * float(own.mean()):.0f} % of the source's gap closed" if len(own) else ""
        parts.append(f"{domain} {value:.3g}{share}")
    return "; ".join(parts) if len(parts) <= MANY else ""


def _certain(group: Group) -> str:
    """What differs significantly from the plain method, and what these seeds could have shown."""
    tests = comparisons(group)
    seeds = max((t.n for t in tests.values()), default=len(group.seeds))
    if seeds < 2:
        return "One seed: no difference can be told from chance."
    name, least = short_title(group.fidelity or ""), detectable(group)
    shown = f"{seeds} seeds would show a {name} difference of {least:.2g} with 80 % power" if least else ""
    corrected = holm({f"{label}\0{d}": t.p_value for (label, d), t in tests.items()}).p_values
    needed, other = seeds_needed(0.05, max(1, len(corrected))), group.plain.base if group.plain else "the best"
    if seeds < needed and not any(p <= 0.05 for p in corrected.values()):
        least_seeds = max(needed, seeds_needed(0.05))
        said = (
            f"With {seeds} seeds no difference from {other} on a domain can be significant ({least_seeds} are needed)"
        )
        return f"{said}; {shown}." if shown else f"{said}."
    clear: dict[str, dict[str, list[str]]] = {}
    bases = {x.label: x.base for x in group.shown}
    for key, p in corrected.items():
        if p <= 0.05:
            label, domain = key.split("\0")
            side = "better" if tests[label, domain].favours == "a" else "worse"
            clear.setdefault(side, {}).setdefault(bases[label], []).append(domain)
    parts = []
    for side, who in sorted(clear.items()):
        where = (f"{name}{'' if len(d) == len(group.domains) else f' ({_where(group, d)})'}" for name, d in who.items())
        parts.append(f"significantly {side} than {other}: {', '.join(list(where)[:MOST])}")
    even = sum(p > 0.05 for p in corrected.values())
    parts += [f"{even} of {len(corrected)} differences from {other} are not significant"] if even else []
    text = "; ".join([*parts, *([shown] if shown else [])])
    return f"{text[:1].upper()}{text[1:]}."


def _where(group: Group, domains: list[str]) -> str:
    return ", ".join(domains) if len(domains) <= 2 else f"{len(domains)} of {len(group.domains)} domains"


def _ranks(group: Group) -> str:
    order = ranking(group)
    if order is None or order.test.difference is None or (order.test.p_value or 1) > order.test.alpha:
        return ""
    ranks, width = order.test.ranks, order.test.difference
    pairs: dict[tuple[str, ...], list[str]] = {}
    for i, a in enumerate(ranks):
        worse = tuple(b for b in [*ranks][i:] if ranks[b] - ranks[a] >= width)
        if worse:
            pairs.setdefault(worse, []).append(a)
    parts = [f"{listed(a)} {'rank' if len(a) > 1 else 'ranks'} above {listed([*b])}" for b, a in pairs.items()]
    name = short_title(order.metric)
    return (
        f"In {name} over {order.test.blocks} (domain, seed) blocks, which are not independent, significantly: "
        f"{'; '.join(parts)}."
        if parts
        else ""
    )


def _kept(group: Group) -> str:
    """Whose images are nearest to the right answers, where these are known."""
    parts = []
    for domain in group.domains if len(group.domains) <= MANY else []:
        metric = group.preservation(domain)
        means = [
            (sum(v.values()) / len(v), line)
            for line in group.shown
            if metric and (v := group.values(line, domain, metric)) and group.competes(line, domain, metric)
        ]
        if means and metric and len(means) > 1 and short_title(metric) == "error":
            (value, line), (following, other) = sorted(means, key=lambda pair: pair[0])[:2]
            parts.append(f"{line.base} on {domain} ({value:.3g}; next {other.base}, {following:.3g})")
    return f"Nearest to the right answers: {'; '.join(parts)}." if parts else ""


def _equal(group: Group) -> str:
    """The most one-sided comparison at equal fidelity with the plain method and with each control."""
    parts, name = [], short_title(group.fidelity or "")
    for path, by_method in equal_fidelity(group).items():
        told = [(m, c) for m, c in by_method.items() if len(c.differences) >= LEAST_BLOCKS]
        if told:
            who, best = max(told, key=lambda p: abs(2 * p[1].nearer - len(p[1].differences)))
            side = best.nearer * 2 >= len(best.differences)
            count = best.nearer if side else len(best.differences) - best.nearer
            first, second = (who, path) if side else (path, who)
            parts.append(f"{first} keeps more of the source than {second} in {count} of {len(best.differences)}")
    return (
        f"At equal {name}, of the (domain, seed) blocks where both reach it: {'; '.join(parts[:2])}." if parts else ""
    )


def _controls(group: Group) -> str:
    """How smooth the controls are: unevenness, mean over domains and seeds."""
    parts, still = [], []
    grouped: dict[str, list[Curve]] = {}
    for (base, _, _), curve in curves(group).items():
        grouped.setdefault(base, []).append(curve)
    for base, own in grouped.items():
        if all(curve.still for curve in own):
            still.append(base)
            continue
        found = [v for curve in own if (v := measures(curve)["unevenness"]) is not None]
        direct = [v for curve in own if (v := measures(curve)["directness"]) is not None]
        turns = direct and sum(direct) / len(direct) < STRAIGHT
        words = [f"unevenness {sum(found) / len(found):.2f}"] if found else []
        words += ["turns back on its way"] if turns else ["goes one way"] if direct and not found else []
        parts += [f"{base} {', '.join(words)}"] if words else []
    said = [f"{'; '.join(parts[:MANY])} (1 is even)"] if any("unevenness" in p for p in parts) else parts[:MANY]
    said += [f"that of {listed(still)} changes nothing here that can be told from noise"] if still else []
    return f"Controls: {'; '.join(said)}." if said else ""


def _cost(group: Group) -> str:
    if len(group.ratios) < 2 or group.plain is None:
        return ""
    means = {label: sum(v) / len(v) for label, v in group.ratios.items()}
    own = {x.label: x for x in group.shown}
    trained = {k: v for k, v in means.items() if not any(r.timing.reused_training for r in own[k].records)}
    if len(trained) < 2:
        return ""
    low, high = min(trained, key=trained.__getitem__), max(trained, key=trained.__getitem__)
    return (
        f"Training time per image: {own[low].base} {trained[low]:.2f} to {own[high].base} {trained[high]:.2f} times "
        f"{group.plain.base}'s."
    )
