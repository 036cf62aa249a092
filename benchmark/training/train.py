"""The one training loop. Methods differ only in the hooks that it calls.

One step shows `batch` real images to the discriminator:
generator main phase (adversarial + the method's losses), lazy path length, discriminator main phase, lazy R1, weight
average, ADA.
"""

from __future__ import annotations

import contextlib
import copy
from collections.abc import Callable, Iterator, Mapping, Sequence

import numpy as np
import torch
from torch import Tensor, nn

from benchmark.api import DiscriminatorStep, GeneratorStep, Method, Turn
from benchmark.api.extra import Extra
from benchmark.api.optimiser import Adam
from benchmark.api.reparametrise import bake
from benchmark.api.returned import LOSSES, parameter_ids, returned, returned_parameters
from benchmark.config import TrainConfig, images_of
from benchmark.errors import MethodError, WeightsError
from benchmark.stylegan2 import Generator, Nets
from benchmark.stylegan2.ada import Ada
from benchmark.system.random_streams import Streams
from benchmark.training import dist, losses
from benchmark.training.batches import images_per_round, real_batches, resident
from benchmark.training.images import among_reals, augmented, generate, latents
from benchmark.training.kernels import Arithmetic
from benchmark.training.start import adam, prepared, settings_of
from benchmark.training.state import OF_D, Log, State
from benchmark.training.together import after_step

OWN_LOSSES = ("g_adversarial", "path_length", "d_adversarial", "r1")
"""Names of the loop's own losses in the log."""


def train(
    nets: Nets,
    reals: np.ndarray,
    method: Method,
    cfg: TrainConfig,
    seed: Sequence[object],
    restore: Callable[[State], None] = lambda state: None,
    on_tick: Callable[[State], None] = lambda state: None,
    on_step: Callable[[State], None] = lambda state: None,
) -> State:
    """Adapt `nets` in place to `reals`, uint8 [N, 3, R, R].

    `seed` names the run: all random streams derive from it. `restore` may put a stored state back before the first
    step; `on_tick` is called after each log interval, `on_step` after each step. Raises ConfigError when the batch
    cannot be shared out, MethodError when a loss or a weight is not finite.
    """
    given, cfg = cfg, settings_of(method, cfg)
    per_round = images_per_round(cfg, nets.cfg.mbstd_group, dist.world())
    device = nets.g.mapping.w_avg.device
    source = freeze_copy(nets.g_ema)
    data = torch.from_numpy(np.array(reals))  # a copy: a mapped file is not writable
    extra = prepared(nets, data, method, cfg, Streams(*seed, "prepare", device=device).method)
    g_params, d_params = trainable(nets, method, extra)
    g_scale, d_scale = returned(method.name, "lr_scale", method.lr_scale(), Sequence, "the factors for G and for D")
    state = State(
        nets,
        adam(g_params, cfg.lr_g * g_scale, cfg.pl_every if given.pl_weight or cfg.pl_weight else None),
        adam(d_params, cfg.lr_d * d_scale, cfg.r1_every if cfg.r1_gamma else None),
        Streams(*seed, dist.rank(), device=device),
        Ada(target=cfg.ada_target, kimg=cfg.ada_kimg),
        torch.zeros([], device=device),
        extra=extra,
    )
    restore(state)
    if not dist.agree(state.images):
        raise WeightsError(
            "the stored states of the processes are of different steps: remove them all and start again."
        )
    set_precision(nets, cfg.precision)
    source.synthesis.dtype = nets.g.synthesis.dtype
    data = resident(data, device)
    batches = real_batches(data, per_round, cfg.mirror, seed, state.images, state.streams.data, device)
    trains = {id(p) for p in g_params}
    tracks_w = any(id(p) in trains for p in nets.g.mapping.parameters())
    averaged = [(a, p) for a, p in zip(nets.g_ema.parameters(), nets.g.parameters(), strict=True) if id(p) in trains]
    log, arithmetic = Log(state, cfg), Arithmetic(nets, cfg)

    while state.images < images_of(cfg.kimg):
        rounds = [next(batches) for _ in range(cfg.accumulate)]
        labels = None  # conditional training needs labelled domains; the networks themselves support c
        rng = state.streams.method
        turn = Turn(nets, extra, rng, state.step, state.images)
        g_active, d_active = active(method, turn, g_params, d_params)

        with arithmetic.main(), phase(state.opt_g, g_active):
            for i, x in enumerate(rounds):
                z = latents_of(method, turn, usual := latents(nets.g, len(x), state.streams.latents))
                plain, psi = z is usual, method.truncation
                fakes, _ = generate(nets.g, z, labels, cfg, state.streams, tracks_w and plain and i == 0, plain, psi)
                pseudo, seen, terms = fakes.detach(), augmented(fakes, cfg, state), {}
                if method.adversarial:
                    logits = judged(method, turn, seen, labels)
                    terms["g_adversarial"] = losses.generator_adversarial(logits)
                step = GeneratorStep(nets, source, z, labels, fakes, rng, state.images, extra, state.step, seen)
                terms |= extra_terms(method, "generator_loss", method.generator_loss(step))
                log.add(terms)
                (total(terms) / cfg.accumulate).backward()

        if cfg.pl_weight and state.step % cfg.pl_every == 0:
            with arithmetic.twice(), phase(state.opt_g, g_active):
                for x in rounds:
                    z = latents(nets.g, max(len(x) // 2, 1), state.streams.latents)
                    fakes, ws = generate(nets.g, z, labels, cfg, state.streams)
                    noise = torch.randn(fakes.shape, generator=state.streams.noise, device=device)
                    lengths = losses.path_lengths(fakes, ws, noise)
                    state.pl_mean.lerp_(lengths.detach().mean(), 0.01)
                    penalty = (lengths - state.pl_mean).square().mean()
                    log.add({"path_length": penalty})
                    (penalty * (cfg.pl_weight * cfg.pl_every / cfg.accumulate)).backward()

        signs = torch.zeros([], device=device)
        with arithmetic.main(), phase(state.opt_d, d_active):
            for x in rounds if method.adversarial else []:
                with torch.no_grad():
                    z = latents_of(method, turn, usual := latents(nets.g, len(x), state.streams.latents))
                    fakes, _ = generate(nets.g, z, labels, cfg, state.streams, mix=z is usual, psi=psi)
                    x = among_reals(x, pseudo, cfg, state)
                    fakes, x = augmented(fakes, cfg, state), augmented(x, cfg, state)
                fake, real = judged(method, turn, fakes, labels), judged(method, turn, x, labels)
                terms = {"d_adversarial": losses.discriminator_adversarial(real, fake)}
                step_d = DiscriminatorStep(nets, source, x, fakes, real, fake, rng, state.images, z, extra, state.step)
                terms |= extra_terms(method, "discriminator_loss", method.discriminator_loss(step_d), OF_D)
                signs = signs + real.detach().sign().mean(dim=1).sum()
                log.add(terms)
                (total(terms) / cfg.accumulate).backward()

        if cfg.r1_gamma and state.step % cfg.r1_every == 0:
            with arithmetic.twice(), phase(state.opt_d, d_active):
                for x in rounds if method.adversarial else []:
                    x = among_reals(x, pseudo, cfg, state).clone().requires_grad_(True)
                    penalty = losses.r1(judged(method, turn, augmented(x, cfg, state), labels), x).mean()
                    log.add({"r1": penalty})
                    (penalty * (cfg.r1_gamma / 2 * cfg.r1_every / cfg.accumulate)).backward()

        state.images += cfg.batch
        state.step += 1
        after_step(method, Turn(nets, extra, rng, state.step, state.images), cfg)
        update_average(nets, averaged, cfg, state.images)
        if cfg.augment in ("ada", "apa"):
            dist.average_([signs])
            state.ada.update(signs * dist.world(), cfg.batch)
        if log.due():
            log.close()
            on_tick(state)
        on_step(state)

    set_precision(nets, "fp32")
    for net in (nets.g, nets.g_ema, nets.d):
        bake(net)
    return state


def trainable(nets: Nets, method: Method, extra: Extra) -> tuple[list[nn.Parameter], list[nn.Parameter]]:
    """Parameters that train with G and with D. Outside of their phases no parameter requires gradients.

    A frozen generator parameter takes the average's value, so that the trained and the evaluated network hold the same.
    """
    frozen = {id(p) for p in returned_parameters(method.name, "frozen", method.frozen(nets))}
    known = parameter_ids(nets)
    if frozen - known:
        raise MethodError(
            f"{method.name}.frozen() returned {len(frozen - known)} tensors that are not parameters of nets.g or nets.d"
        )
    with torch.no_grad():
        for p, average in zip(nets.g.parameters(), nets.g_ema.parameters(), strict=True):
            if id(p) in frozen:
                p.copy_(average)
    for net in (nets.g, nets.g_ema, nets.d, extra):
        net.requires_grad_(False)
        net.zero_grad(set_to_none=True)  # what `prepare` may have left
    g_params, d_params = ([p for p in net.parameters() if id(p) not in frozen] for net in (nets.g, nets.d))
    return g_params + list(extra.g.parameters()), d_params + list(extra.d.parameters())


def active(
    method: Method, turn: Turn, g_params: list[nn.Parameter], d_params: list[nn.Parameter]
) -> tuple[list[nn.Parameter], list[nn.Parameter]]:
    """Those parameters that train in this step; MethodError where of a network there are none.

    A step in which nothing of G trains would go unnoticed; one in which nothing of D trains cannot be computed.
    """
    resting = {id(p) for p in returned_parameters(method.name, "resting", method.resting(turn))}
    known = parameter_ids(turn.nets) | {id(p) for p in (*g_params, *d_params)}
    if resting - known:
        raise MethodError(
            f"{method.name}.resting() returned {len(resting - known)} tensors "
            "that are not parameters of nets.g or nets.d"
        )
    lists = [[p for p in params if id(p) not in resting] for params in (g_params, d_params)]
    networks = ("generator", "discriminator") if method.adversarial else ("generator",)
    idle = [what for what, params in zip(networks, lists, strict=False) if not params]
    if idle:
        raise MethodError(
            f"{method.name}: what is frozen and what rests in step {turn.index} are together all of the "
            f"{' and the '.join(idle)}. Leave something to train; of a composition, leave one part out."
        )
    return lists[0], lists[1]


@contextlib.contextmanager
def phase(optimiser: Adam, parameters: list[nn.Parameter]) -> Iterator[None]:
    """Gradients for exactly `parameters`, averaged over ranks, then one optimiser step.

    Explicit lists, because `module.requires_grad_(True)` would thaw frozen layers; and nothing else gets a gradient,
    because the other network's weight gradients would cost a third of its backward pass.
    """
    for p in parameters:
        p.requires_grad_(True)
    yield
    for p in parameters:
        p.requires_grad_(False)
    dist.average_gradients(parameters)
    optimiser.step()
    optimiser.zero_grad()


def latents_of(method: Method, turn: Turn, z: Tensor) -> Tensor:
    """The latents of an update's fakes, as the method chooses them."""
    return returned(method.name, "latents", method.latents(turn, z), Tensor, "latents, `z` itself for the usual ones")


def judged(method: Method, turn: Turn, images: Tensor, labels: Tensor | None) -> Tensor:
    """The logits of images, as the method has them judged."""
    return returned(method.name, "judge", method.judge(turn, images, labels), Tensor, "logits [N, P]")


def extra_terms(method: Method, hook: str, extra: dict[str, Tensor], mark: str = "") -> dict[str, Tensor]:
    """A method's losses, `mark` before each name; MethodError where one is no scalar or has a name of the loop's."""
    for name, value in returned(method.name, hook, extra, Mapping, LOSSES).items():
        if name in OWN_LOSSES or not isinstance(value, Tensor) or value.numel() != 1:
            raise MethodError(
                f"{method.name} returned the loss {name!r} as {getattr(value, 'shape', type(value).__name__)}; "
                f"a loss is a scalar tensor under a name other than {', '.join(OWN_LOSSES)}."
            )
    return {f"{mark}{name}": value.reshape([]) for name, value in extra.items()}


def total(terms: dict[str, Tensor]) -> Tensor:
    """The sum of named scalars."""
    return torch.stack(list(terms.values())).sum()


@torch.no_grad()
def update_average(nets: Nets, pairs: Sequence[tuple[Tensor, Tensor]], cfg: TrainConfig, images: int) -> None:
    """g_ema moves towards g with a half-life of `ema_kimg`; buffers are copied.

    `pairs`: (average, trained) parameters, without the frozen ones.
    """
    half_life = cfg.ema_kimg * 1000
    if cfg.ema_rampup is not None:
        half_life = min(half_life, images * cfg.ema_rampup)
    weight = 1 - 0.5 ** (cfg.batch / max(half_life, 1e-8))
    if pairs:
        torch._foreach_lerp_([a for a, _ in pairs], [p for _, p in pairs], weight)
    torch._foreach_copy_(list(nets.g_ema.buffers()), list(nets.g.buffers()))


def freeze_copy(g: Generator) -> Generator:
    """A copy that never needs gradients."""
    return copy.deepcopy(g).eval().requires_grad_(False)


def set_precision(nets: Nets, precision: str) -> None:
    """Compute type of the convolutions in G and D; weights, mapping, RGB and logits stay float32."""
    dtype = torch.bfloat16 if precision == "bf16" else torch.float32
    nets.g.synthesis.dtype = nets.d.dtype = dtype
