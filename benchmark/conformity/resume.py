"""A trial that is stopped after its first step, as by a kill, and goes on from the state that it stored."""

from __future__ import annotations

import tempfile
from contextlib import suppress
from pathlib import Path

from benchmark.api import Method, Nets
from benchmark.conformity.stand_ins import with_stand_ins
from benchmark.conformity.trial import same_arithmetic, toy_source, train_two_steps
from benchmark.system.process_state import ProcessState
from benchmark.training.state import State, restore_state, save_state

KEY = "trial"
"""What the stored state is called."""


class _Killed(Exception):
    """The first step is over and its state is stored."""


@same_arithmetic()
def resumed(method: Method) -> Nets:
    """The networks after two steps, of which the second began with what is stored after the first.

    In between everything is made anew, as in a new process: networks, what `prepare` returns, optimisers, streams.
    """
    process = ProcessState()
    with tempfile.TemporaryDirectory() as folder, with_stand_ins(method.needs):
        path = Path(folder) / "state.safetensors"

        def store(state: State) -> None:
            save_state(path, state, KEY)
            raise _Killed

        def restore(state: State) -> None:
            restore_state(path, state, KEY)

        try:
            with suppress(_Killed):
                train_two_steps(toy_source().copy(), method, on_step=store)
            train_two_steps(nets := toy_source().copy(), method, restore=restore)
        finally:
            process.restore()
    return nets
