"""Nobody, "Second Opinion" (2024)."""

from torch import Tensor

from benchmark.api import Method, Turn


class JudgesTwice(Method):
    """Its judgement moves the centre of w."""

    name = "judges_twice"
    title = "Judges twice"
    paper = "Nobody, Second Opinion, 2024"

    def judge(self, turn: Turn, images: Tensor, c: Tensor | None) -> Tensor:
        turn.nets.g.mapping.w_avg.mul_(0.9)
        return 2 * turn.nets.d(images, c)
