"""Nobody, "By Another Name" (2024)."""

from benchmark.methods.finetune import Finetune

from benchmark.api import Control, Generator, Method


class EvaluatesAnothers(Method):
    """Re-uses a training and adds nothing to it."""

    name = "evaluates_anothers"
    title = "Evaluates another's"
    paper = "Nobody, By Another Name, 2024"

    def training(self) -> Method:
        return Finetune()

    def finalize(self, source: Generator, adapted: Generator, control: Control) -> Generator:
        return adapted
