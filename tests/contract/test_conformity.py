"""A method that breaks a promise is told which one, and why. Each file in tests/data/broken_methods breaks one."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import torch
from benchmark.methods.freezed import FreezeD
from torch import Tensor

from benchmark.api import Method, Nets
from benchmark.api.needed import needed
from benchmark.cli.methods import others_of, text_of
from benchmark.conformity import Verdict, conform
from benchmark.conformity.promises import PROMISES, REQUIRED
from benchmark.conformity.trial import toy
from benchmark.registry import catalogue, find_method

FOLDER = Path(__file__).parents[1] / "data" / "broken_methods"
BUILDS, JSON, TRAINS = (promise for promise in PROMISES if promise in REQUIRED)

BROKEN = {
    "needs_a_value": (BUILDS, "field weight has no default"),
    "names_no_paper": ("names its paper", r"does not name the paper \(Nobody, Origins, 2024\)"),
    "loses_its_value": (JSON, 'JSON has no such number: {"limit": Infinity}'),
    "hides_a_field": ("its key changes exactly when a field changes", "weight=0.5 and weight=1.5 have the same key"),
    "trains_with_defaults": ("its key changes exactly when a field changes", "weight=1.5 training.* return self"),
    "default_off_the_grid": ("declares its controls", "default_control 0.5 has to be once among"),
    "never_called": ("is trained by a method that trains", "its own generator_loss would never be called"),
    "diverges": (TRAINS, "MethodError: training diverged before 8 images: .*entropy = nan"),
    "loses_the_mean": (TRAINS, r"loses_the_mean returned the loss 'logits' as torch.Size\(\[4, 1\]\)"),
    "crashes": (TRAINS, r"AttributeError: .*no attribute 'batch' \(line 16 of crashes.py\)"),
    "freezes_the_average": (TRAINS, "not parameters of nets.g or nets.d"),
    "thaws": ("holds what it froze and changes the rest", r"frozen\(\) named d.b32"),
    "freezes_everything": (TRAINS, "all of the generator"),
    "draws_globally": ("leaves the global random state alone", "its training drew from the global random state"),
    "evaluates_globally": ("leaves the global random state alone", "finalize or noise drew"),
    "moves_w_avg": ("leaves the source and the networks to the optimisers", "generator_loss changed mapping.w_avg"),
    "judges_twice": ("leaves the source and the networks to the optimisers", "^judge changed mapping.w_avg. Hooks"),
    "draws_near_the_mean": ("leaves the source and the networks to the optimisers", "^latents changed mapping.w_avg. "),
    "clips": ("leaves the source and the networks to the optimisers", r"^after_step changed b4\..*writes to buffers"),
    "replaces_torch": ("leaves the process as it found it", "changed os.chdir, torch.nn.functional.softplus of the"),
    "finalizes_in_place": ("finalizes a copy", "changed .*b32.torgb.weight.* of its arguments"),
    "shares_blocks": ("finalizes a copy", "shares .*b4.* with its arguments"),
    "restless_noise": ("renders every control, the same twice", "images at None differ when drawn again"),
    "learns_elsewhere": ("renders the same from a checkpoint", "a checkpoint gives other images"),
    "remembers": ("trains the same twice", "a second training from the same seed gives other weights"),
    "forgets": ("trains the same where it is stopped and resumed", "other weights, as .*in a buffer of the Extra"),
    "does_nothing": ("differs from plain fine-tuning", "plain fine-tuning's, bit by bit"),
    "evaluates_anothers": ("differs from plain fine-tuning", "re-uses finetune's training, and at no control"),
    "twin": ("differs from every other method", "its result is that of freezed"),
}


def verdict_of(name: str) -> Verdict:
    kind = catalogue([str(FOLDER / f"{name}.py")])[name].load()
    return conform(kind, {"freezed": FreezeD})


def test_each_broken_method_is_expected_to_break_something() -> None:
    assert {path.stem for path in FOLDER.glob("*.py")} == BROKEN.keys()
    assert {promise for promise, _ in BROKEN.values()} == PROMISES.keys(), "a promise that nobody breaks is untested"


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_method_is_told_what_it_broke(name: str) -> None:
    promise, why = BROKEN[name]
    verdict = verdict_of(name)
    assert re.search(why, verdict.broken[promise]), verdict.broken
    assert "\n" not in verdict.broken[promise]
    assert verdict.broken.keys() & REQUIRED <= {promise}
    assert bool(verdict.not_tried) == (promise in REQUIRED)
    assert len(verdict.broken) <= 3, "one mistake is blamed for everything"


def test_a_sound_method_keeps_every_promise_and_has_a_cost() -> None:
    verdict = conform(find_method("fixnoise"), {"freezed": FreezeD})
    assert list(PROMISES) == verdict.kept and not verdict.broken and not verdict.not_tried
    assert verdict.step_cost and verdict.step_cost > 0
    assert verdict.trainable == verdict.of > 0
    assert conform(FreezeD, {}).trainable < verdict.of


def test_a_variant_can_be_tried_like_any_method() -> None:
    """And with the stand-in of the file that this value of a field needs."""
    verdict = conform(find_method("fixnoise[match=vgg]"), {})
    assert verdict.kept == list(PROMISES), verdict.broken


def test_what_a_variants_name_states_is_tried_and_results_are_compared_at_toy_fields() -> None:
    """The probability of APA is still 0 after two steps, so that by itself it is plain fine-tuning."""
    kind = find_method("finetune_augmented[pipe=apa]")
    assert toy(kind).augment == "apa" and toy(find_method("finetune_augmented")).augment == "diffaug"
    verdict = conform(kind, {name: find_method(name) for name in ("finetune_augmented", "finetune")})
    assert verdict.kept == list(PROMISES), verdict.broken
    both = toy(find_method("ewc[samples=5]+freezed"))
    assert both.model_dump()["ewc[samples=5]"]["samples"] == 5


def test_a_variant_that_is_its_method_is_told() -> None:
    verdict = conform(find_method("freezed[up_to_px=16]"), {"freezed": FreezeD})
    assert verdict.broken == {"differs from every other method": "its result is that of freezed, bit by bit."}


class Looks(Method):
    """Nobody, "A Network of Meta" (2024)."""

    name = "looks"
    title = "Looks"
    paper = "Nobody, A Network of Meta, 2024"
    needs = ("dinov2",)

    def prepare(self, nets: Nets, reals: Tensor, rng: torch.Generator) -> None:
        needed("dinov2")


class LooksElsewhere(Looks):
    """Nobody, "A Network of Meta" (2024), under a key that no file has."""

    needs = ("dinov2000",)


def test_what_needs_a_file_without_a_stand_in_is_not_tried() -> None:
    verdict = conform(Looks, {"freezed": FreezeD})
    assert verdict.broken == {} and verdict.kept[0] == BUILDS and TRAINS in verdict.not_tried
    assert verdict.kept + verdict.not_tried == list(PROMISES)
    said = "needs the file dinov2, for which there is no stand-in; there are effnetlite0, clip_vit_b32, vgg16."
    assert text_of(verdict) == f"looks: 6 promises kept, {len(PROMISES) - 6} not tried\n  NOT TRIED  {said}"
    assert verdict.step_cost is None
    assert "dinov2000, which is unknown" in conform(LooksElsewhere, {}).broken[TRAINS]


def test_methods_from_outside_are_compared_with_the_shelf_and_with_each_other() -> None:
    shelf, chosen = {"freezed": FreezeD}, {"freezed": FreezeD, "looks": Looks, "elsewhere": LooksElsewhere}
    assert others_of("freezed", chosen, shelf) == shelf, "it cannot help who copies it"
    assert others_of("looks", chosen, shelf) == chosen


def test_a_kept_trial_is_compared_whatever_the_process_was_set_to_since() -> None:
    had = torch.get_num_threads()
    for threads, flush in ((2, True), (1, False), (3, False)):
        torch.set_num_threads(threads)
        torch.set_flush_denormal(flush)
        assert not conform(FreezeD, {}).broken
        assert torch.get_num_threads() == threads, "a trial puts back what it changed"
        assert bool(torch.tensor(1e-40) == 0) == flush
    torch.set_num_threads(had)
