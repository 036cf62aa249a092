"""Sentences that say what the tables show: who is best, what is more than chance, what these seeds could have shown."""

from __future__ import annotations

from benchmark.report.group import Group, short_title
from benchmark.report.lines import Line
from benchmark.report.statistics.paired import holm, seeds_needed
from benchmark.report.tables.differences import comparisons, detectable_text
from benchmark.report.tables.metrics import competition
from benchmark.report.tables.ranking import ranking
from benchmark.report.tables.table import number
from benchmark.report.tables.trade_off import ALONG, equal_fidelity, scores, stopped_earlier
from benchmark.report.tables.ways import Curve, changes, little, measures, still, unevenness, ways
from benchmark.system.text.lists import listed

MANY, MOST, STRAIGHT = 4, 8, 0.9
LEAST_BLOCKS = 3
"""Of a comparison that is worth a sentence."""
NOTHING = "No method has a number yet."


def sentences(group: Group) -> tuple[str, ...]:
    """At most seven; the same records give the same words."""
    if group.fidelity is None:
        return ("No metric that compares with real images has a value." if group.adapted else NOTHING,)
    makers = (_verdict, _certain, _ranks, _kept, _equal, _controls, _cost)
    return tuple(text for make in makers if (text := make(group)))


def winners(group: Group) -> dict[str, tuple[Line, float]]:
    """domain -> the method with the best mean fidelity, and that mean."""
    found = {}
    sign = 1 if group.better(group.fidelity or "") == "lower" else -1
    for domain in group.domains:
        means = [(sign * mean, line) for mean, line in _means(group, domain, group.fidelity)]
        if means:
            best, line = min(means, key=lambda pair: pair[0])
            found[domain] = (line, sign * best)
    return found


def _means(group: Group, domain: str, metric: str | None) -> list[tuple[float, Line]]:
    """The mean of each method that competes, of those with the most seeds: means of other seeds are not comparable."""
    able = _competing(group, domain, metric)
    most = max((len(v) for _, v in able), default=0)
    return [(sum(v.values()) / len(v), x) for x, v in able if len(v) == most]


def _competing(group: Group, domain: str, metric: str | None) -> list[tuple[Line, dict[int, float]]]:
    """The methods that compete on a domain in a metric, with the value of each seed."""
    own = (x for x in group.shown if metric and group.competes(x, domain, metric))
    return [(x, v) for x in own if (v := group.values(x, domain, metric))]


def _verdict(group: Group) -> str:
    """Who wins, or that nobody does and why; then the best mean of each domain."""
    name, found = short_title(group.fidelity or ""), winners(group)
    if not found:
        return ""
    word = "Lowest" if group.better(group.fidelity or "") == "lower" else "Highest"
    lead = _winner(group, found)
    return f"{lead}{word} {name}{' (mean)' if len(group.seeds) > 1 else ''}: {_lowest(group, found)}."


def _winner(group: Group, found: dict[str, tuple[Line, float]]) -> str:
    """The verdict itself, by the tests that make the marks of the headline; nothing where a method is alone."""
    name = short_title(group.fidelity or "")
    sizes = {d: [len(v) for _, v in _competing(group, d, group.fidelity)] for d in found}
    contested = {d: max(own) for d, own in sizes.items() if len(own) > 1}
    if not contested:
        return ""
    seeds = max(contested.values())
    if seeds < 2:
        return "No winner can be named: with one seed no difference can be told from chance. "
    needed = {d: seeds_needed(0.05, len(sizes[d]) - 1) for d in contested}
    able = [d for d, n in contested.items() if n >= needed[d]]
    if not able:
        return (
            f"No clear winner: with {seeds} seeds no method can be significantly better than all others on a domain "
            f"({max(needed.values())} seeds are needed). "
        )
    return _told(group, able, [d for d in found if d not in able], name)


def _told(group: Group, domains: list[str], untold: list[str], name: str) -> str:
    """Who is significantly better than all others, and where a few are not significantly apart."""
    base = {line.label: line.base for line in group.shown}
    won, even, short = dict[str, list[str]](), dict[str, list[str]](), dict[str, list[str]]()
    for domain in domains:
        tie, rivals = competition(group, domain, group.fidelity or ""), len(_competing(group, domain, group.fidelity))
        if tie is None:
            continue
        told = rivals - len(tie.untold)
        if len(tie.marked) == 1 and told > 1:
            won.setdefault(base[tie.best], []).append(domain)
        elif len(tie.marked) <= min(told - 1, MANY - 1):
            even.setdefault(listed(sorted(base[label] for label in tie.marked)), []).append(domain)
        if tie.untold:
            short.setdefault(listed(sorted(base[label] for label in tie.untold)), []).append(domain)
    enough = " with enough seeds" if short else ""
    parts = [
        f"{who} has a significantly better {name} than every other{enough} on {_where(group, d)}"
        for who, d in won.items()
    ]
    parts += [
        f"{who} are not significantly apart on {_where(group, d)}, all others{enough} are significantly worse"
        for who, d in even.items()
    ]
    rest = [d for d in domains if not any(d in own for own in (*won.values(), *even.values()))]
    parts += [f"no significant lead on {_where(group, rest)}"] if rest else []
    parts += [f"too few seeds or methods to tell on {_where(group, untold)}"] if untold else []
    parts += [f"too few seeds of {who} to tell on {_where(group, d)}" for who, d in short.items()]
    whole = won and not (even or rest or untold or short)
    lead = "Clear winner" if whole else "No clear winner" if not won else "Winner of some domains"
    alone = ", each domain corrected on its own" if len(group.domains) > 1 else ""
    return f"{lead}{alone}: {'; '.join(parts)}. "


def _lowest(group: Group, found: dict[str, tuple[Line, float]]) -> str:
    bases = {line.base for line, _ in found.values()}
    if len(bases) == 1 and len(found) > 1:
        where, closed = _where(group, [*found]), _closed(group, found)
        return f"{next(iter(bases))} on {where}{f' ({closed})' if closed else ''}"
    if len(found) > MANY:
        counts = {b: sum(x.base == b for x, _ in found.values()) for b in sorted(bases)}
        order = sorted(counts.items(), key=lambda p: -p[1])
        return f"most often {', '.join(f'{b} ({n} of {len(found)} domains)' for b, n in order[:3])}"
    own: dict[str, list[str]] = {}
    for domain, (line, value) in found.items():
        own.setdefault(line.base, []).append(f"{domain} ({f'{value:#.3g}'.rstrip('.')})")
    return "; ".join(f"{base} on {listed(where)}" for base, where in own.items())


def _closed(group: Group, found: dict[str, tuple[Line, float]]) -> str:
    parts = []
    for domain, (line, value) in found.items():
        own = scores(group, line)[group.domains.index(domain)]
        share = f", {number(100 * float(own.mean()), 0)} % of the source's gap closed" if len(own) else ""
        parts.append(f"{domain} {value:.3g}{share}")
    return "; ".join(parts) if len(parts) <= MANY else ""


def _certain(group: Group) -> str:
    """What differs significantly from the plain method, and what these seeds could have shown."""
    tests = comparisons(group)
    seeds = max((t.n for t in tests.values()), default=len(group.seeds))
    if seeds < 2:
        return ""
    shown = detectable_text(group)
    corrected = holm({f"{label}\0{d}": t.p_value for (label, d), t in tests.items()}).p_values
    needed, other = seeds_needed(0.05, max(1, len(corrected))), group.plain.base if group.plain else "the best"
    if seeds < needed and not any(p <= 0.05 for p in corrected.values()):
        least_seeds = seeds_needed(0.05)
        said = (
            f"corrected over all {len(corrected)} differences from {other}, of methods and domains, none can be "
            f"significant with {seeds} seeds ({needed} are needed)"
        )
        text = "; ".join([*([said] if seeds >= least_seeds else []), *([shown] if shown else [])])
        return f"{text[:1].upper()}{text[1:]}{'.' * bool(text)}"
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
        parts.append(f"significantly {side} than {other}: {_first(list(where))}")
    even = sum(p > 0.05 for p in corrected.values())
    parts += [f"{even} of {len(corrected)} differences from {other} are not significant"] if even else []
    text = "; ".join([*parts, *([shown] if shown else [])])
    return f"{text[:1].upper()}{text[1:]}{'.' * bool(text)}"


def _first(names: list[str]) -> str:
    """The first of many, and how many more there are."""
    more = len(names) - MOST
    return ", ".join(names[:MOST]) + (f" and {more} more" if more > 0 else "")


def _where(group: Group, domains: list[str]) -> str:
    if len(domains) == len(group.domains) > 1:
        return "both domains" if len(domains) == 2 else f"all {len(domains)} domains"
    return ", ".join(domains) if len(domains) <= 2 else f"{len(domains)} of {len(group.domains)} domains"


def _ranks(group: Group) -> str:
    order = ranking(group)
    if order is None or order.test.difference is None:
        return ""
    if order.test.p_value is None or order.test.p_value > order.test.alpha:
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
        f"Mean ranks in {name} that differ significantly ({order.test.blocks} (domain, seed) blocks, which are not "
        f"independent): {'; '.join(parts)}."
        if parts
        else ""
    )


def _kept(group: Group) -> str:
    """Whose images are nearest to the right answers, where these are known, and whether that can be told."""
    parts = []
    for domain in group.domains if len(group.domains) <= MANY else []:
        metric = group.preservation(domain)
        means = _means(group, domain, metric)
        if means and metric and len(means) > 1 and short_title(metric) == "error":
            (value, line), (following, other) = sorted(means, key=lambda pair: pair[0])[:2]
            tie = competition(group, domain, metric)
            apart = ", not significantly apart" if tie is not None and other.label in tie.marked else ""
            parts.append(f"{line.base} on {domain} ({value:.3g}; next {other.base}, {following:.3g}{apart})")
    mean = " (mean)" if len(group.seeds) > 1 else ""
    return f"Lowest error to the right answers{mean}: {'; '.join(parts)}." if parts else ""


def _equal(group: Group) -> str:
    """How often each method is nearer at equal fidelity: than the plain method stopped earlier, where its training was
    measured; else, of the methods with a control, how often that is nearer than the plain method.
    """
    if group.plain is None:
        return ""
    plain, stopped = group.plain.base, stopped_earlier(group.plain)
    found = equal_fidelity(group)
    if stopped in found:
        rival, compared, sign = stopped, found[stopped], 1
    else:
        own = {path.removesuffix(ALONG): by[plain] for path, by in found.items() if plain in by}
        rival, compared, sign = plain, own, -1
    said = []
    for what, kind in (("the right answers", "errors"), ("the source", "distances")):
        blocks = {who: getattr(at, kind) for who, at in compared.items() if len(getattr(at, kind)) >= LEAST_BLOCKS}
        texts = [f"{who} {sum(sign * d < 0 for d in own)} of {len(own)}" for who, own in blocks.items()]
        said += [f"to {what}, {_first(texts)}"] if texts else []
    over = "" if sign > 0 else " somewhere along its control"
    return (
        f"Against {rival} at equal {short_title(group.fidelity or '')}, (domain, seed) blocks in which a method is "
        f"nearer{over}: {'; '.join(said)}."
        if said
        else ""
    )


def _controls(group: Group) -> str:
    """How smooth the controls are: unevenness, mean over domains and seeds, the most even first."""
    grouped: dict[str, list[Curve]] = {}
    for (base, _), own in ways(group).items():
        grouped.setdefault(base, []).extend(own)
    quiet = [base for base, own in grouped.items() if still(own)]
    found, counts, turning = dict[str, float](), dict[str, int](), []
    for base, own in grouped.items():
        moving = [curve for curve in own if not curve.still]
        several = [way for curve in moving if len(way := changes(curve)) > 1]
        sizes = [v for way in several if (v := unevenness(way)) is not None]
        found |= {base: sum(sizes) / len(sizes)} if sizes else {}
        counts |= {base: len(several[0])} if sizes else {}
        direct = [v for curve in moving if (v := measures(curve)["directness"]) is not None]
        turning += [base] if direct and sum(direct) / len(direct) < STRAIGHT else []
    order = sorted(found.items(), key=lambda p: p[1])[:MANY]
    alike = len(set(counts.values())) == 1
    steps = ", ".join(f"{base} {size:.2f}{'' if alike else f' ({counts[base]} steps)'}" for base, size in order)
    said = [f"ratio of the largest to the mean step (1 is perfectly even): {steps}"] if steps else []
    said += [f"{listed(turning)} {'turn' if len(turning) > 1 else 'turns'} back on the way"] if turning else []
    has = "the controls of {} move" if len(quiet) > 1 else "the control of {} moves"
    said += [f"{has.format(listed(quiet))} {little(group, group.domains)}"] if quiet else []
    return f"Controls: {'; '.join(said)}." if said else ""


def _cost(group: Group) -> str:
    if len(group.ratios) < 2 or group.plain is None:
        return ""
    means = {label: sum(v) / len(v) for label, v in group.ratios.items()}
    own = {x.label: x for x in group.shown}
    trained = {k: v for k, v in means.items() if not any(r.timing.reused_training for r in own[k].records)}
    if len(trained) < 2 or max(trained.values()) - min(trained.values()) < 0.005:
        return ""
    low, high = min(trained, key=trained.__getitem__), max(trained, key=trained.__getitem__)
    several = max(map(len, group.ratios.values())) > 1
    low, high = (f"{own[x].base} {trained[x]:.2f}{_runs(group.ratios[x])}" for x in (low, high))
    return (
        f"Training time per image: {low} to {high} times {group.plain.base}'s"
        f"{'; in parentheses, the range of single runs' if several else ''}."
    )


def _runs(ratios: list[float]) -> str:
    return f" ({min(ratios):.2f} to {max(ratios):.2f})" if len(ratios) > 1 else ""
