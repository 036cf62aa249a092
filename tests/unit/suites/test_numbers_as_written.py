"""Numbers mean what people read in them, or are refused: ranges of seeds, YAML 1.1's octal and base-60 numbers."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmark.api import Method
from benchmark.config import TrainConfig
from benchmark.errors import ConfigError
from benchmark.registry import find_method
from benchmark.suites import load_suite
from benchmark.system.text.plain_yaml import NotPlainYaml, plain_yaml

SUITE = """schema: 1
name: x
source: smoke-32
domains: [toy-disks]
methods: [finetune]
seeds: {}
eval: {{metrics: [kid_randconv]}}
"""


def seeds(text: str, tmp_path: Path) -> tuple[int, ...]:
    """As a suite's file has them."""
    path = tmp_path / "x.yaml"
    path.write_text(SUITE.format(text))
    return load_suite(str(path))[0].seeds


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("0-4", (0, 1, 2, 3, 4)),
        ("0-2,5", (0, 1, 2, 5)),
        ("00-7", tuple(range(8))),
        ("1 , 3-4", (1, 3, 4)),
        ("3-3", (3,)),
        ("7", (7,)),
        ("-4", (-4,)),
    ],
)
def test_a_range_of_seeds_is_all_of_it(text: str, meant: tuple[int, ...], tmp_path: Path) -> None:
    """`--seeds 0-4` ran the one seed -4."""
    assert load_suite("smoke", overrides={"seeds": text})[0].seeds == meant  # --seeds
    assert load_suite("smoke", [f"seeds={text}"])[0].seeds == meant
    assert seeds(text, tmp_path) == meant
    assert seeds(f"[{text}, 90]", tmp_path) == (*meant, 90)


@pytest.mark.parametrize(
    "text", ["4-0", "0--4", "-2-3", "+0-4", "0-4-8", "1-x", "0:4", "0..4", "1.5", "0-1000", "", "٣"]
)
def test_what_is_no_range_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match="seeds"):
        load_suite("smoke", overrides={"seeds": text})
    with pytest.raises(ConfigError, match="named twice"):
        load_suite("smoke", overrides={"seeds": "0-2,1"})


@pytest.mark.parametrize("text", ["0100", "-010", "007", "00", "1:30", "1:30.5", "12:00:00", "{a: 0100}", "[1, 1:30]"])
def test_numbers_that_yaml_reads_otherwise_are_refused(text: str, tmp_path: Path) -> None:
    """0100 was 64 and 1:30 was 90, in `--set`, in suites, in cards and in names of variants."""
    with pytest.raises(NotPlainYaml, match="octal or base-60"):
        plain_yaml(text)
    with pytest.raises(ConfigError, match="octal or base-60"):
        load_suite("smoke", [f"train.batch={text}"])
    with pytest.raises(ConfigError, match="octal or base-60"):
        seeds(text, tmp_path)
    with pytest.raises(ConfigError):
        find_method(f"freezed[layers={text}]")


def test_numbers_that_everybody_reads_alike_stay() -> None:
    texts = {
        "0": 0,
        "100": 100,
        "-3": -3,
        "1_000": 1000,
        "0x10": 16,
        "0.5": 0.5,
        "09.5": 9.5,
        "'0100'": "0100",
        ".5": 0.5,
    }
    assert {text: plain_yaml(text) for text in texts} == texts


class Counts(Method):
    """Fields without bounds, as a person's own method may have them."""

    name = "counts"
    shift: int = 0
    share: float = 0.0
    several: tuple[int, ...] = ()
    title_of: str = ""
    on: bool = False


def test_texts_and_truth_values_do_not_become_other_numbers() -> None:
    """Pydantic reads "0-4" as -4 and true as 1, in every field that is a number."""
    for field, value in (("shift", "0-4"), ("shift", True), ("share", True), ("several", ["0-4"]), ("several", [True])):
        with pytest.raises(ValueError, match="is no number"):
            Counts.model_validate({field: value})
    assert Counts(title_of="0-4", on=True, several=(1, 2)).title_of == "0-4"
    assert TrainConfig.model_validate({"batch": "8", "kimg": "1e-3", "snapshot_kimg": ["0.5"]}).kimg == 1e-3
