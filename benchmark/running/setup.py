"""The set-up of a run: from the arguments of a command to all that its jobs need, checked before the first starts."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
from rich.console import Console

from benchmark.api import Method
from benchmark.config import EvalConfig, NetConfig, Suite
from benchmark.domains import Domain, load_domain, set_apart
from benchmark.domains.answers import KnownAnswer, known_answer
from benchmark.domains.cards import list_cards
from benchmark.errors import ConfigError
from benchmark.metrics import Evaluator, list_metrics
from benchmark.metrics.base import STAND_IN
from benchmark.metrics.catalogue import find_metric
from benchmark.metrics.networks.weight_files import Handed, for_methods, stood_in
from benchmark.metrics.sampling import Drawn, Sampler
from benchmark.results import Doctor, ResultStore
from benchmark.running.forecast import GIB, memory_gib
from benchmark.running.plan import Job, check, plan
from benchmark.running.shortages import require_choice, size_notes
from benchmark.sources import Source, SourceCard, find_source, list_sources, load_source
from benchmark.sources.inverted import Inverted
from benchmark.sources.noise import noise_distances, noise_shares
from benchmark.stylegan2 import Nets
from benchmark.stylegan2.weights import architecture_of
from benchmark.suites import derived_settings, load_suite, members
from benchmark.system.claims import claimed
from benchmark.system.hardware import pick_device, pick_precision, prepare_torch
from benchmark.system.progress import Bars, Stages
from benchmark.training.batches import images_per_round


@dataclass(frozen=True)
class Request:
    """What the user asked for, as plain values."""

    suite_name: str
    settings: Sequence[str]
    overrides: Mapping[str, Any]
    device: str
    cache: Path
    threads: int | None = None
    plugins: Sequence[str] = ()
    stand_ins: Path | None = None
    only: Sequence[str] = ()
    """Keys of the trainings whose jobs are meant; none: all."""

    def members(self) -> list[Request]:
        """A request for each suite of a collection; itself for a suite. Raises UnknownName, ConfigError."""
        found = members(self.suite_name, self.settings, self.overrides)
        return [replace(self, suite_name=name, settings=texts, overrides=more) for name, texts, more in found]

    def load(self) -> tuple[Suite, list[Method]]:
        """The suite asked for and its methods, not yet suited to a device. Errors are those of `load_suite`."""
        suite, methods = load_suite(self.suite_name, self.settings, self.overrides, self.plugins)
        if suite.derived:
            shape = shape_of(find_source(suite.source, self.cache))
            found = derived_settings(suite, shape, self.cache, self.plugins)
            suite, methods = load_suite(self.suite_name, self.settings, self.overrides, self.plugins, found)
        return with_stand_ins(suite, self.stand_ins), methods


@dataclass(frozen=True)
class Run:
    """A suite, checked and ready before its first job starts: what is adapted to what, how it is measured, and where
    results go. `prepare` makes it; who starts the jobs replaces `bars` and what follows it.
    """

    request: Request
    store: ResultStore
    card: SourceCard
    nets: Nets
    """Of the source, on the device."""
    domains: Mapping[str, Domain]
    evaluator: Evaluator
    device: str
    curve_evaluator: Evaluator | None = None
    """Of the points of training curves; None where nothing asks for them."""
    jobs: Sequence[Job] = ()
    bars: Stages = field(default_factory=lambda: Bars(Console(quiet=True)))
    tensorboard: bool = False
    doctor: Doctor | None = None
    environment: Mapping[str, Any] = field(default_factory=dict)
    remarks: tuple[str, ...] = ()
    """What else the records have to say."""
    noise_shares: Mapping[str, float] = field(default_factory=dict)
    """The share that noise has of the features of each layer of the source."""
    noise_moves: tuple[float, float] | None = None
    """ST-LPIPS between two of the source's noises at a latent, and between two latents, each with noise of its own."""
    files: Mapping[str, Handed] = field(default_factory=dict)
    """Weight files that methods need, by key."""
    start_ranks: Callable[[Job], None] | None = None
    """Has several processes train a job's weights; None: this process has nobody to start them."""
    waits: Callable[[bool], None] = lambda waiting: None
    """Told when this process begins and ends to wait for what another one makes: that is no time of its own."""
    samplers: dict[EvalConfig, Sampler] = field(default_factory=dict)
    """Those of the job in hand, made where they are first asked for."""
    inverted: list[Inverted | str] = field(default_factory=list)
    """The source's held-out pictures, once they were asked for."""

    @contextmanager
    def owned(self, name: str, said: str) -> Iterator[None]:
        """Hold the claim of a job or training while inside; `said` is shown where another process holds it."""

        def waiting() -> None:
            self.waits(True)
            self.bars.say(said)

        with claimed(self.store.out / "locks" / name, waiting):
            self.waits(False)
            yield

    def sampler_for(self, job: Job, cfg: EvalConfig) -> Sampler:
        """The sampler of the job's (domain, seed); jobs come grouped, so those of the last one are kept."""
        if any(sampler.seed != job.streams for sampler in self.samplers.values()):
            self.samplers.clear()
        if cfg not in self.samplers:
            self.samplers[cfg] = self.sampler(job, cfg)
        return self.samplers[cfg]

    def sampler(self, job: Job, cfg: EvalConfig, drawn: Drawn | None = None) -> Sampler:
        """A sampler of the job's (domain, seed); `drawn` is what another of the same settings drew of the source."""
        return Sampler(self.nets.g_ema, cfg, job.streams, self._answer(job), drawn)

    def _answer(self, job: Job) -> KnownAnswer | str:
        """The right translation to the job's domain, or why it is not known."""
        return known_answer(list_cards().get(self.card.domain), self.domains[job.domain].card)


def prepare(request: Request, out: Path, console: Console, trains: bool = True) -> Run:
    """Arguments -> typed suite, source, drawn domains and jobs, with the folder `out` for their results.

    Writes nothing there. Where nothing `trains`, the source needs no discriminator. Raises BenchmarkError before
    anything was trained.
    """
    suite, methods = request.load()
    prepare_torch(request.threads)
    device = usable_device(request.device)
    cache, out = request.cache.absolute(), out.absolute()  # wherever a method moves to
    precision = "fp32" if suite.train.deterministic else pick_precision(suite.train.precision, device)
    suite = suite.model_copy(update={"train": suite.train.model_copy(update={"precision": precision})})
    source = find_source(suite.source, cache)
    nets, digest = load_source(source)
    origin = source.card.origin
    held = (origin.networks, origin.new_discriminator) if origin else (("g", "g_ema", "d"), False)
    check(suite, methods, nets.cfg, *(held if trains else ()))
    files = for_methods([key for method in methods for key in method.training().needs], request.stand_ins, cache)
    stand_ins = {key: file.stand_in for key, file in files.items() if file.stand_in}
    evaluator = Evaluator(suite.eval.metrics, cache, device, suite.eval.batch, stand_ins=request.stand_ins)
    moments = suite.eval.moment_metrics
    curve = Evaluator(moments, cache, device, suite.eval.batch, stand_ins=request.stand_ins) if moments else None
    with Bars(console) as bars:
        domains = load_domains(suite, cache, bars)
    require_choice(suite, domains, curve, list_cards().get(source.card.domain))
    for note in size_notes(suite, domains):
        console.print(f"note: {note}", markup=False, highlight=False, soft_wrap=True)
    planned = plan(suite, methods, domains, digest, stand_ins)
    jobs = [job for job in planned if not request.only or job.train_key in request.only]
    remarks = tuple(filter(None, [tuned_to_another(request, suite, nets.cfg)]))
    for remark in remarks:
        console.print(f"warning: {remark}", style="yellow", markup=False, soft_wrap=True)
    shares, moves = noise_shares(nets.g_ema, 4), noise_distances(nets.g_ema, cache, 8)
    nets = nets.to(device)
    if device != "cpu" and (said := warning_of_memory(suite, nets, device)):
        console.print(said, style="red", markup=False, soft_wrap=True)
    return Run(
        request,
        ResultStore(out),
        source.card,
        nets,
        domains,
        evaluator,
        device,
        curve,
        jobs,
        remarks=remarks,
        noise_shares=shares,
        noise_moves=moves,
        files=files,
    )


def tuned_to_another(request: Request, suite: Suite, have: NetConfig) -> str | None:
    """What to say where a suite meets networks of another size or width than those that it was tuned to."""
    tuned = load_suite(request.suite_name)[0]
    if suite.derived or tuned.source == suite.source:
        return None
    known = list_sources(request.cache).get(tuned.source)
    meant = shape_of(known) if known else None
    same_width = meant is None or meant.channels(4) == have.channels(4)
    if tuned.resolution == have.resolution and same_width:
        return None
    width = f" and {meant.channels(4)} channels" if meant else ""
    return (
        f"suite {tuned.name} is tuned to {tuned.source}, {tuned.resolution} px{width}; {suite.source} has "
        f"{have.resolution} px and {have.channels(4)} channels: its length, weights of losses and regularisation are "
        "not meant for that. --suite own derives them from your source and images."
    )


def shape_of(source: Source) -> NetConfig:
    """The architecture of a source, from its card or its file's header."""
    return source.card.networks or architecture_of(source.path)


def folder_name(asked: str, suites: Sequence[str]) -> str:
    """Of the results: the suite's name, or that of the collection with what was added to its members' names."""
    if len(suites) == 1:
        return suites[0]
    _, scale, share = suites[0].partition("-scale-")
    return f"{Path(asked).stem}{scale}{share}"


def with_stand_ins(suite: Suite, folder: Path | None) -> Suite:
    """The suite with the names of those metrics changed whose weight files the folder has stand-ins for."""
    if folder is None:
        return suite
    networks, infos = stood_in(folder), list_metrics()

    def renamed(names: Sequence[str]) -> tuple[str, ...]:
        known = {name: find_metric(name) for name in names}
        return tuple(
            STAND_IN + name if STAND_IN + name in infos and i.network in networks else name for name, i in known.items()
        )

    measured = suite.eval
    names = {"metrics": renamed(measured.metrics), "curve_metrics": renamed(measured.curve_metrics)}
    return suite.model_copy(update={"eval": measured.model_copy(update=names)})


def warning_of_memory(suite: Suite, nets: Nets, device: str) -> str | None:
    """What to say where a step will hardly fit on the GPU."""
    images = images_per_round(suite.train, nets.cfg.mbstd_group, suite.train.ranks)
    need = memory_gib(nets, images, suite.train.precision == "bf16")
    have = torch.cuda.get_device_properties(device).total_memory / GIB
    if need <= have:
        return None
    return (
        f"{suite.name}: a step of {images} images needs about {need:.0f} GiB, {device} has {have:.0f}: add "
        f"--set train.accumulate={2 * suite.train.accumulate}"
    )


def usable_device(wanted: str) -> str:
    """ "auto" resolved, "cpu" or a CUDA device that is there; ConfigError otherwise."""
    device = pick_device(wanted)
    if not re.fullmatch(r"cpu|cuda(:\d{1,3})?", device):
        raise ConfigError(f"--device {wanted}: expected auto, cpu, cuda or cuda:N.")
    found = torch.cuda.device_count()
    if device != "cpu" and int(device[5:] or 0) >= found:
        raise ConfigError(
            f"--device {wanted}: PyTorch {torch.__version__} finds {found} CUDA devices here. Use --device auto or cpu."
        )
    return device


def load_domains(suite: Suite, cache: Path, bars: Bars) -> dict[str, Domain]:
    """The suite's domains by name, drawn or read from the cache."""
    domains: dict[str, Domain] = {}
    for name in suite.domains:
        split = suite.split
        train = split.train + split.selection
        domain = load_domain(name, suite.resolution, train, split.test, cache, bars.over, split.filter, suite.medium)
        domain = set_apart(domain, split.train, split.selection)
        if domain.name in domains:
            raise ConfigError(f"--domains: two are called {domain.name}, one of them {name}. Rename the folder or ZIP.")
        domains[domain.name] = domain
        if domain.skipped:
            file, why = domain.skipped[0]
            bars.say(f"{domain.name}: {len(domain.skipped)} files skipped, the first: {file} ({why})")
        for remark in domain.card.remarks:
            bars.say(f"{domain.name}: {remark}")
    return domains
