"""Settings of engines: closed lists, from a file and from the command line, and what a mistake is told."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmark.engines.engine import engine_names, find_engine, own_settings
from benchmark.engines.settings import Chosen, chosen
from benchmark.engines.slurm import SlurmSettings
from benchmark.errors import ConfigError, UnknownName

METHODS = ("finetune", "cdc")


def slurm(*texts: str, file: Path | None = None) -> Chosen:
    return chosen(SlurmSettings, "slurm", file, texts, METHODS, own_settings())


def test_the_command_line_goes_before_the_file_and_a_method_before_both(tmp_path: Path) -> None:
    file = tmp_path / "cluster.yaml"
    file.write_text(
        "partition: gpu\ntime: '12:00:00'\ngpus: 1\nsetup: [module load cuda, source env]\n"
        "methods: {cdc: {time: 2-00, memory_gb: 64}}\n"
    )
    found = slurm("partition=short", "cdc.partition=long", "extra=--exclusive", file=file)
    common, own = found.of("finetune"), found.of("cdc")
    assert isinstance(common, SlurmSettings) and isinstance(own, SlurmSettings) and found.of(None) == common
    assert (common.partition, common.time, common.gpus, common.memory_gb) == ("short", "12:00:00", 1, None)
    assert (own.partition, own.time, own.gpus, own.memory_gb) == ("long", "2-00", 1, 64)
    assert common.setup == ("module load cuda", "source env") and common.extra == ("--exclusive",)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("partiton=gpu", "unknown setting 'partiton': did you mean partition?"),
        ("address=auto", "address is a setting of engine ray; this run uses slurm"),
        ("cd.time=1:00", "unknown method in the settings of the engine 'cd': did you mean cdc?"),
        ("cdc.at_once=3", "at_once: this setting is the same for all methods"),
        ("gpus", "expected NAME=VALUE"),
        ("gpus=two", "gpus = 'two'"),
        ("time=noon", "time = 'noon'"),
        ("group=0", "group = '0'"),
        ("partition=gpu\n#SBATCH --wrap=x", "partition = "),
        ("setup=a\nb", "setup.0 = "),
    ],
)
def test_a_mistake_is_told(text: str, said: str) -> None:
    with pytest.raises((ConfigError, UnknownName)) as error:
        slurm(text)
    assert said in str(error.value)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("time: 12:00:00", "base-60"),
        ("- a", "must hold a mapping"),
        ("methods: [cdc]", "methods must be a mapping"),
        ("gpus: 1\ngpus: 2", "gpus is given twice"),
    ],
)
def test_a_file_with_a_mistake_is_told(tmp_path: Path, content: str, said: str) -> None:
    (tmp_path / "cluster.yaml").write_text(content)
    with pytest.raises(ConfigError, match=said):
        slurm(file=tmp_path / "cluster.yaml")


def test_local_has_none_and_a_near_name_of_an_engine_is_offered() -> None:
    with pytest.raises(ConfigError, match="partition is a setting of engine slurm; this run uses local"):
        chosen(find_engine("local").settings, "local", None, ["partition=gpu"], METHODS, own_settings())
    with pytest.raises(UnknownName, match="did you mean slurm"):
        find_engine("slurn")
    assert engine_names()[:3] == ["local", "slurm", "ray"]
