"""A method that breaks a promise is told which one, and why. Each file in tests/data/broken_methods breaks one."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import torch
from benchmark.methods.freezed import FreezeD

from benchmark.conformity import Verdict, conform
from benchmark.conformity.promises import PROMISES, REQUIRED
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
    "replaces_torch": ("leaves the process as it found it", "changed os.chdir, torch.nn.functional.softplus of the"),
    "finalizes_in_place": ("finalizes a copy", "changed .*b32.torgb.weight.* of its arguments"),
    "shares_blocks": ("finalizes a copy", "shares .*b4.* with its arguments"),
    "restless_noise": ("renders every control, the same twice", "images at None differ when drawn again"),
    "learns_elsewhere": ("renders the same from a checkpoint", "a checkpoint gives other images"),
    "remembers": ("trains the same twice", "a second training from the same seed gives other weights"),
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


def test_a_kept_trial_is_compared_whatever_the_process_was_set_to_since() -> None:
    had = torch.get_num_threads()
    for threads, flush in ((2, True), (1, False), (3, False)):
        torch.set_num_threads(threads)
        torch.set_flush_denormal(flush)
        assert not conform(FreezeD, {}).broken
        assert torch.get_num_threads() == threads, "a trial puts back what it changed"
        assert bool(torch.tensor(1e-40) == 0) == flush
    torch.set_num_threads(had)
