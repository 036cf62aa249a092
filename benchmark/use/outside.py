"""Networks and pictures from elsewhere, measured by a suite's protocol: records like its own, marked *outside*."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from pydantic import create_model
from rich.console import Console

from benchmark.api import Control, Method
from benchmark.checkpoints import convert, read_checkpoint
from benchmark.errors import ConfigError, DataError, WeightsError
from benchmark.metrics import Evaluator, Score, list_metrics
from benchmark.metrics.base import Kind, Samples
from benchmark.metrics.paired import CLUSTERED
from benchmark.metrics.pooled import POOLED
from benchmark.registry import catalogue
from benchmark.registry.composition import described, overrides
from benchmark.results import RunRecord, Timing
from benchmark.running.job import evaluate, lacks, run_job, wants_pictures, write_rows
from benchmark.running.make_record import make_record
from benchmark.running.plan import PROTOCOL, Job
from benchmark.running.selection import Counted
from benchmark.running.setup import Request, Run, folder_name
from benchmark.running.suite import print_tables
from benchmark.stylegan2 import Generator
from benchmark.stylegan2.weights import digest_of
from benchmark.system.files import key, sha256_of
from benchmark.system.places import RUNS
from benchmark.system.progress import Bars
from benchmark.use.bench import bench, zero_step
from benchmark.use.export_folder import network_in
from benchmark.use.samples import read_pairs, read_samples

Draw = Callable[[np.ndarray], np.ndarray]
"""Latents float32 [n, z_dim], unit normal -> pictures uint8 [n, R, R, 3]."""
NAME = re.compile(r"\w[\w.-]{0,63}")
OF_OTHERS = ("d was not in the file", "g was not in the file")
"""Notes about networks that are not measured."""
OF_SETS: tuple[Kind, ...] = (*POOLED, *CLUSTERED)
"""Kinds of metrics that need nothing but pictures."""
NO_PAIRS = "not available: there are no pictures of the source to compare with"
NO_LATENTS = "not available: it needs the network itself, and there are only pictures"
UNKNOWN = (
    "Not trained by this suite: the cost, the length, the seed and the images of its training are unknown. Metrics "
    "that compare with training images take the suite's."
)


class Outside(Method):
    """A network of which nothing is known but its weights: random noise, no control."""

    name = "outside"


class Pictures(Method):
    """Pictures of which nothing is known but what they show."""

    name = "pictures"

    def noise_statement(self) -> str:
        return "as they were given"


def folder_beside(request: Request) -> Path:
    """Where `run` puts the results of the request's suite."""
    return RUNS / folder_name(request.suite_name, [one.load()[0].name for one in request.members()])


def measure(
    what: Path | Draw,
    request: Request,
    console: Console,
    out: Path,
    name: str | None = None,
    like: str | None = None,
    pairs: Path | bool | None = None,
    seed: int | None = None,
) -> list[RunRecord]:
    """Measure `what` on the request's one domain, beside the untouched source; the new records, stored in `out`.

    `what` is a checkpoint (.pkl, .pt, .safetensors) or the folder that `export` wrote, a folder or ZIP of pictures, or
    a function that draws pictures of latents. `name` is the row's; by default that of the file or folder. `like`: the
    method whose noise and control a network is evaluated with. `pairs`: the source's pictures of the same names as
    those of a folder; False for a function that does not draw what the latents say. `seed` chooses the latents; the
    suite's first by default.
    Raises BenchmarkError for what does not fit, before anything is measured.
    """
    given = what.stem if isinstance(what, Path) else str(getattr(what, "__name__", ""))
    what = network_in(what) if isinstance(what, Path) and what.is_dir() else what
    pictures = not isinstance(what, Path) or what.is_dir() or what.suffix.lower() == ".zip"
    require_meaning(what, pictures, like, pairs)
    name = checked_name(name or given, request)
    run = bench(request, like, seed, out, console)
    with Bars(console) as bars:
        run = replace(run, bars=bars)
        if isinstance(what, Path) and not pictures:
            records = of_network(what, run, name, like)
        else:
            records = [of_pictures(what, run, name, pairs)]
        beside = run_job(zero_step(run), run)
    print_tables([*beside, *records], run.store, console)
    return records


def require_meaning(what: Path | Draw, pictures: bool, like: str | None, pairs: Path | bool | None) -> None:
    """ConfigError for an option that means nothing for what is to be measured."""
    if pairs is not None and not pictures:
        raise ConfigError("--pairs belongs to a folder of pictures: a network draws its pairs itself.")
    if like is not None and pictures:
        raise ConfigError("--as says with which noise and control a network draws: it is not for pictures.")
    if isinstance(what, Path) and pairs is True:
        raise ConfigError("pairs=True: name the folder of the source's pictures, or leave it out.")
    if not isinstance(what, Path) and isinstance(pairs, Path):
        raise ConfigError(
            f"pairs={pairs}: the pairs of a function are the source's pictures of the same latents; leave it out, or "
            "give pairs=False where it does not draw what the latents say."
        )


def checked_name(name: str, request: Request) -> str:
    """`name`, if a row can be called so and no method is. Raises ConfigError."""
    if not NAME.fullmatch(name):
        raise ConfigError(f"--name {name[:80]!r}: use at most 64 letters, digits, '-', '_' and '.'.")
    if name in catalogue(request.plugins):
        raise ConfigError(f"--name {name}: a method is called so; choose a name of your own for the row.")
    return name


def of_network(path: Path, run: Run, name: str, like: str | None) -> list[RunRecord]:
    """Records of a checkpoint's averaged generator, one for each value of the control."""
    g, said, invented = network_of(path, run)
    method = Outside() if like is None else next(job.method for job in run.jobs if job.method is not None)
    if overrides(method, "finalize"):
        require_same_shapes(g, run.nets.g_ema, path.name, like)
    job = job_of(run, named(method, name), digest_of(g.state_dict()), said)
    noted = [
        UNKNOWN,
        *(f"{path.name}: {note}." for note in invented),
        *([f"Evaluated with the noise and the control of {like}."] if like else []),
    ]
    run, weights = replace(run, remarks=(*run.remarks, *noted)), Counted(g.to(run.device))
    found = {control: stored(key, run) for control, key in job.record_keys.items()}
    return [record or evaluate(job, control, weights, {}, run) for control, record in found.items()]


def stored(key: str, run: Run) -> RunRecord | None:
    """The stored record `key`, unless it lacks what can be measured now."""
    record = run.store.has(key)
    return None if record and lacks(record, run) else record


def network_of(path: Path, run: Run) -> tuple[Generator, str, list[str]]:
    """The averaged generator in a file, float32 on the CPU, where it came from, and what it lacked and got instead.

    WeightsError where it does not fit. Nothing in the file is executed.
    """
    checkpoint = read_checkpoint(path)
    converted, wanted = convert(checkpoint, (), path.name), run.nets.cfg
    nets = converted.nets
    other_suite = "choose a suite of that size, or draw pictures with it and evaluate their folder"
    sizes = dict.fromkeys(("resolution", "z_dim", "c_dim"), other_suite)
    if wants_pictures(zero_step(run)):
        sizes["w_dim"] = "pictures found in the source's w mean nothing to it; add --set eval.translate=false"
    for what, remedy in sizes.items():
        here, there = getattr(nets.cfg, what), getattr(wanted, what)
        if here != there:
            raise WeightsError(f"{path.name} has {what} {here}, and the source of this suite {there}: {remedy}.")
    said = f"{path.name} ({checkpoint.format}), sha256 {sha256_of(path)[:12]}"
    invented = [note for note in (*checkpoint.notes, *converted.notes) if not note.startswith(OF_OTHERS)]
    return nets.g_ema.eval().requires_grad_(False), said, invented


def require_same_shapes(g: Generator, source: Generator, file: str, like: str | None) -> None:
    """WeightsError where a method would join the weights of two generators that do not fit each other."""
    theirs, ours = ({name: list(t.shape) for name, t in net.state_dict().items()} for net in (g, source))
    for name in {**ours, **theirs}:
        here, there = theirs.get(name, "missing"), ours.get(name, "missing")
        if here != there:
            raise WeightsError(
                f"{file}: {name} is {here}, that of the suite's source {there}, and --as {like} joins the weights of "
                "the two; leave it out."
            )


def named(method: Method, name: str) -> Method:
    """The same method under another name."""
    kind = type(method)
    twin = called(create_model(kind.__name__, __base__=kind, __module__=kind.__module__, __doc__=kind.__doc__), name)
    return twin.model_validate(dict(method))


def called(kind: type[Method], name: str) -> type[Method]:
    """A class that is nobody else's, with this name and title."""
    kind.name = kind.title = name
    return kind


def job_of(run: Run, method: Method, digest: str, said: str) -> Job:
    """A job without a training; `digest` stands for the weights or pictures in its keys, whatever file they lie in."""
    base = zero_step(run)
    measured = {name: value for name, value in base.suite.eval.content().items() if name != "metrics"}
    versions = {name: list_metrics()[name].version for name in base.suite.eval.metrics}
    train_key = key("outside", PROTOCOL, digest)
    place = [base.suite.name, base.domain, *base.streams, method.name, described(method)["version"]]
    keys: dict[Control, str] = {
        control: key(train_key, place, method.model_dump(mode="json"), control, measured, versions)
        for control in method.controls
    }
    refuse_twins(run, method, base, train_key, set(keys.values()))
    return replace(base, method=method, train_key=train_key, record_keys=keys, outside=said)


def refuse_twins(run: Run, method: Method, base: Job, train_key: str, keys: set[str]) -> None:
    """ConfigError where the folder has something else under this name, domain and seed, which would be one row, or the
    same pictures under another seed, which would be two repetitions.
    """
    place = (base.suite.name, base.domain, method.name)
    for record in run.store.read_all()[0]:
        if not record.outside or (record.suite, record.domain, record.method) != place or record.record_key in keys:
            continue
        there, same = f"{run.store.out} has", record.train_key == train_key
        if record.seed == base.seed and same:
            raise ConfigError(
                f"{there} {method.name} on {base.domain} measured with other settings; choose another --out."
            )
        if record.seed == base.seed:
            raise ConfigError(f"{there} another {method.name} on {base.domain} ({record.outside}); choose a --name.")
        if same and isinstance(method, Pictures):
            raise ConfigError(
                f"{there} these pictures as {method.name} on {base.domain} with seed {record.seed}, and they are no "
                f"repetition of themselves: give --seed {record.seed}, or pictures of another training."
            )


def of_pictures(what: Path | Draw, run: Run, name: str, pairs: Path | bool | None) -> RunRecord:
    """The record of pictures in a folder, or of those that a function draws of the protocol's latents."""
    base, px = zero_step(run), run.nets.cfg.resolution
    cfg = base.suite.eval
    if isinstance(what, Path):
        given = read_samples(what, px, cfg.samples)
        fakes, said = given.images, given.said
        sources = None
        if isinstance(pairs, Path):
            sources = read_pairs(pairs, given, px, cfg.pairs)
            said = f"{said}; pairs: {pairs.name}"
    else:
        sampler = run.sampler_for(base, cfg)
        fakes = drawn_by(what, sampler.z.cpu().numpy(), cfg.batch, px)
        sources = None if pairs is False else sampler.drawn.sources
        said = f"{cfg.samples} pictures drawn by {name}"
    content = hashlib.sha256(fakes.tobytes() + (b"" if sources is None else sources.tobytes())).hexdigest()
    job = job_of(run, named(Pictures(), name), content, f"{said}, sha256 {content[:12]}")
    assert job.method is not None
    (record_key,) = job.record_keys.values()
    if there := stored(record_key, run):
        return there
    run = replace(run, remarks=(*run.remarks, UNKNOWN))
    record = make_record(job, None, job.method, run, scores_of(fakes, sources, run, base), Timing())
    write_rows(run.store.samples_path(record_key), fakes)
    run.store.write(record)
    return record


def scores_of(fakes: np.ndarray, sources: np.ndarray | None, run: Run, base: Job) -> dict[str, Score]:
    """{metric: score} in the suite's order; what needs more than these pictures is not available, with the reason."""
    kinds = OF_SETS if sources is None else (*OF_SETS, "consistency")
    infos, whole, domain = run.evaluator.infos, run.evaluator, run.domains[base.domain]
    fit = [info.name for info in infos if info.kind in kinds]
    evaluator = Evaluator(fit, whole.cache, whole.device, whole.batch, stand_ins=whole.stand_ins)
    others = fakes[:2] if sources is None else sources
    with run.bars.stage(f"evaluate pictures on {base.domain}", 1) as advance:
        found = evaluator(Samples(fakes, others), domain.test, domain.digest, training=domain.train).scores
        advance(1)
    why = {info.name: NO_PAIRS if info.kind == "consistency" else NO_LATENTS for info in infos}
    return {info.name: found.get(info.name) or Score.missing(why[info.name]) for info in infos}


def drawn_by(draw: Draw, z: np.ndarray, batch: int, px: int) -> np.ndarray:
    """uint8 [N, 3, R, R] of what a function draws of latents [N, z_dim]; DataError where that is something else."""
    batches: list[np.ndarray] = []
    for at in range(0, len(z), batch):
        some = np.asarray(draw(z[at : at + batch].copy()))
        wanted: Sequence[int] = (len(z[at : at + batch]), px, px, 3)
        if some.dtype != np.uint8 or some.shape != tuple(wanted):
            raise DataError(
                f"the function gave {some.dtype} {list(some.shape)}; expected uint8 {list(wanted)}: an RGB picture for "
                "each latent, at the suite's size."
            )
        batches.append(some.transpose(0, 3, 1, 2))
    return np.ascontiguousarray(np.concatenate(batches))
