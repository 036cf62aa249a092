"""The promises of every method, each with a function that tries it on tiny networks.

It returns, or raises Broken with what was expected, what was found and what to do. `conform.py` tries them all.
"""

from __future__ import annotations

import json
import re
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from benchmark.api import Method
from benchmark.conformity import trial
from benchmark.conformity.case import Case, Plain, asks_d, generator_of, result_of
from benchmark.conformity.expect import Broken, expect
from benchmark.conformity.resume import resumed
from benchmark.conformity.variants import variants
from benchmark.errors import BenchmarkError
from benchmark.registry.composition import described, overrides, part_kinds
from benchmark.registry.hooks import HOOKS, TRAINING_HOOKS
from benchmark.registry.plugins import unfit
from benchmark.registry.variants import base_name
from benchmark.stylegan2 import load, save
from benchmark.system.files import key
from benchmark.system.process_state import ProcessState


def builds(case: Case) -> None:
    for name, kind in part_kinds(case.kind).items():
        expect(not (why := unfit(base_name(name))), f"it is called {name!r}: {why}.")
        for field_name, info in kind.model_fields.items():
            expect(not info.is_required(), f"field {field_name} has no default; give it the paper's value.")
            expect(info.description, f"field {field_name} has no description; write Field(..., description='...').")
        config = kind.model_config
        expect(
            config.get("frozen") and config.get("extra") == "forbid", "its fields can be changed; keep model_config."
        )
        version = kind.version
        expect(isinstance(version, int) and version >= 1, f"version is {version!r}; count from 1.")
        expect(kind.title, "it has no title for tables; write title = '...'.")
    try:
        case.method.check(trial.FACTS)
    except BenchmarkError as error:
        raise Broken(f"its defaults do not fit a source of {trial.PX} px: {error}") from error


def names_its_paper(case: Case) -> None:
    for kind in part_kinds(case.kind).values():
        years = re.findall(r"\b(?:19|20)\d\d\b", kind.paper)
        said = f"{sys.modules[kind.__module__].__doc__}\n{kind.__doc__}"
        expect(years, f"paper is {kind.paper!r}; write authors, title, venue and year.")
        expect(
            any(year in said for year in years), f"the docstring of its file does not name the paper ({kind.paper})."
        )


def survives_json(case: Case) -> None:
    text = json.dumps(case.method.model_dump(mode="json"))
    expect(not re.search("NaN|Infinity", text), f"JSON has no such number: {text}.")
    back = case.kind.model_validate(json.loads(text))
    expect(back == case.method, f"its fields come back from JSON as another method: {text}.")


def key_follows_fields(case: Case) -> None:
    method = case.method
    expect(_keys(method) == _keys(case.kind().fitted(trial.PX)), "two with the same fields have different keys.")
    for field_name, other in variants(method):
        was, now = getattr(method, field_name), getattr(other, field_name)
        expect(
            _keys(method)[1] != _keys(other)[1],
            f"{field_name}={was!r} and {field_name}={now!r} have the same key; do not exclude a field.",
        )
        for one in (method, other):
            training = one.training()
            expect(
                training.name != one.name or training == one,
                f"with {field_name}={now!r} training() is {training.name} with other fields; return self.",
            )


def _keys(method: Method) -> tuple[str, str]:
    return key(described(method.training())), key(described(method))


def declares_controls(case: Case) -> None:
    controls, default = case.method.controls, case.method.default_control
    expect(controls.count(default) == 1, f"default_control {default!r} has to be once among controls {controls}.")
    expect(len(set(controls)) == len(controls), f"controls {controls} has a value twice.")
    named = case.method.control_name
    expect((named is None) == (controls == (None,)), f"controls are {controls}, control_name is {named!r}: give both.")


def training_is_done_by_one_that_trains(case: Case) -> None:
    training = case.method.training()
    expect(training.training() == training, f"training() is {training.name}, which does not train itself.")
    own = overrides(case.kind, *TRAINING_HOOKS)
    if training != case.method and len(part_kinds(case.kind)) == 1:
        expect(not own, f"training() is {training.name}, so that its own {', '.join(own)} would never be called.")


def trains(case: Case) -> None:
    expect(case.first.trainable, "nothing trains.")


def holds_what_it_froze(case: Case) -> None:
    thawed = [name for name, (was, now) in case.first.frozen.items() if not was.equal(now)]
    expect(not thawed, f"frozen() named {', '.join(thawed[:3])}, which changed: a hook must not write to it.")
    idle = [what for what, moved in case.first.trains.items() if not moved]
    expect(not idle, f"nothing of the {' and '.join(idle)} changed, though not all was frozen.")
    expect("generator" in case.first.trains, "frozen() named all of the generator and nothing was added.")
    training = case.tried.training()
    held = [name for name in case.first.frozen if name.startswith("d.")]
    if held and not any(part.needs_pretrained_d for part in part_kinds(type(training)).values()):
        expect(
            not asks_d(training),
            f"it holds {held[0]} of the source's discriminator and looks through it, which makes no sense where the "
            "source's file had none; write needs_pretrained_d = True, and such sources are refused.",
        )


def leaves_global_random_state(case: Case) -> None:
    hint = "draw from step.rng or the hook's rng."
    expect(not case.first.global_random_state_changed, f"its training drew from the global random state; {hint}")
    before = trial.global_random_state()
    for control in case.tried.controls:
        trial.picture(case.tried, case.generator(control), control)
    expect(trial.global_random_state() == before, f"finalize or noise drew from the global random state; {hint}")


def leaves_the_process(case: Case) -> None:
    state = ProcessState()
    for control in case.tried.controls:
        trial.picture(case.tried, case.generator(control), control)
    found = case.first.process_changes + state.restore()
    expect(not found, f"it changed {', '.join(dict.fromkeys(found))} of the process that computes its numbers.")


def leaves_networks(case: Case) -> None:
    remarks = list(dict.fromkeys(case.first.remarks))
    expect(
        not remarks,
        f"{'; '.join(remarks[:2])}. Hooks only compute, and after_step writes to buffers; optimisers change weights.",
    )


def finalizes_a_copy(case: Case) -> None:
    source, adapted = trial.toy_source().copy().g_ema, case.first.nets.copy().g_ema
    before = trial.state_of(source, adapted)
    for control in case.tried.controls:
        one, two = (case.tried.finalize(source, adapted, control) for _ in range(2))
        found = trial.changed(before, source, adapted)
        expect(not found, f"finalize at {control} changed {found[:2]} of its arguments; begin with copy_of(...).")
        known = one.state_dict().keys() in (before[0].keys(), before[1].keys())
        expect(known, f"finalize at {control} gave another architecture.")
        expect(
            not trial.changed(trial.state_of(one), two), f"finalize at {control} gives other weights when called again."
        )
        if one is not source and one is not adapted:
            taken = {t.data_ptr() for g in (source, adapted) for t in g.state_dict().values()}
            shared = [name for name, t in one.state_dict().items() if t.data_ptr() in taken]
            expect(
                not shared, f"finalize at {control} shares {shared[:2]} with its arguments; begin with copy_of(...)."
            )


def renders_every_control(case: Case) -> None:
    for control in case.tried.controls:
        one, two = (trial.picture(case.tried, case.generator(control), control) for _ in range(2))
        expect(one.isfinite().all(), f"images at {control} are not finite.")
        expect(one.equal(two), f"images at {control} differ when drawn again from the same random stream.")
    expect(case.tried.noise_statement(), "noise_statement() is empty; say in words what noise() does.")


def survives_a_checkpoint(case: Case) -> None:
    control = case.tried.default_control
    with tempfile.TemporaryDirectory() as folder:
        save(path := Path(folder) / "nets.safetensors", case.first.nets)
        g = case.tried.finalize(trial.toy_source().g_ema, load(path).g_ema, control)
    expect(
        trial.picture(case.tried, g, control).equal(result_of(case.tried)),
        "a checkpoint gives other images: what the method learns has to be in the weights of nets.",
    )


def differs_from_fine_tuning(case: Case) -> None:
    method = trial.comparable(case.kind)
    training = method.training()
    if not overrides(case.kind, *HOOKS):
        return  # it is plain fine-tuning; a second of them is found by the next promise
    if training == method:
        expect(not result_of(method).equal(result_of(Plain())), "its result is plain fine-tuning's, bit by bit.")
        return
    expect(overrides(case.kind, "finalize", "noise"), "it neither trains nor changes finalize or noise.")
    reference = result_of(training)
    expect(
        any(not trial.picture(method, generator_of(method, c), c).equal(reference) for c in method.controls),
        f"it re-uses {training.name}'s training, and at no control do its images differ.",
    )


def differs_from_every_other(case: Case) -> None:
    mine = result_of(trial.comparable(case.kind))
    for name, kind in case.others.items():
        try:
            alike = kind is case.kind or _differ_in_toy_fields_only(case.kind, kind)
            same = not alike and mine.equal(result_of(trial.comparable(kind)))
        except Exception:  # a broken one is its own problem
            continue
        expect(not same, f"its result is that of {name}, bit by bit.")


def _differ_in_toy_fields_only(one: type[Method], other: type[Method]) -> bool:
    """Whether they are variants of one method that are alike only because results are compared at toy fields."""
    compared, plain = ([_keys(make(kind)) for kind in (one, other)] for make in (trial.comparable, lambda kind: kind()))
    return compared[0] == compared[1] and plain[0] != plain[1]


def repeats(case: Case) -> None:
    again = case.again.nets
    expect(
        not trial.changed(trial.state_of(again.g_ema, again.d), case.first.nets.g_ema, case.first.nets.d),
        "a second training from the same seed gives other weights: keep nothing in the class or the module.",
    )


def resumes(case: Case) -> None:
    after = resumed(case.tried.training())
    networks = case.again.nets  # no `finalize` has seen them
    found = trial.changed(trial.state_of(networks.g, networks.g_ema, networks.d), after.g, after.g_ema, after.d)
    expect(
        not found,
        f"stopped after its first step and resumed, its training ends with other weights, as {', '.join(found[:2])}: "
        "a plain attribute is not stored; keep what a step leaves for the next in a buffer of the Extra.",
    )


PROMISES: dict[str, Callable[[Case], None]] = {
    "builds from its defaults": builds,
    "names its paper": names_its_paper,
    "survives JSON": survives_json,
    "its key changes exactly when a field changes": key_follows_fields,
    "declares its controls": declares_controls,
    "is trained by a method that trains": training_is_done_by_one_that_trains,
    "trains two steps with finite, named losses": trains,
    "holds what it froze and changes the rest": holds_what_it_froze,
    "leaves the global random state alone": leaves_global_random_state,
    "leaves the process as it found it": leaves_the_process,
    "leaves the source and the networks to the optimisers": leaves_networks,
    "finalizes a copy": finalizes_a_copy,
    "renders every control, the same twice": renders_every_control,
    "renders the same from a checkpoint": survives_a_checkpoint,
    "trains the same twice": repeats,
    "trains the same where it is stopped and resumed": resumes,
    "differs from plain fine-tuning": differs_from_fine_tuning,
    "differs from every other method": differs_from_every_other,
}
REQUIRED = {"builds from its defaults", "survives JSON", "trains two steps with finite, named losses"}
"""Without these the others cannot be tried."""
