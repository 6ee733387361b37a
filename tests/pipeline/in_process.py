"""`nurture` in this process: a process of its own takes seconds of imports, every time."""

from __future__ import annotations

import sys
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from io import StringIO
from unittest.mock import patch

from hydra._internal.hydra import Hydra
from hydra.core.global_hydra import GlobalHydra

from nurture_rl.cli.main import main

# The least training, playing and judging of a whole loop; nothing that is learned is good.
TINY = [
    "experiment=small",
    "world.training.epochs=1",
    "ppo.iterations=1",
    "ppo.n_contacts=64",
    "tuned.plays=2",
    "tuned.contacts=64",
    "simulation.contacts=64",
    "simulation.seeds=[1]",
    "simulation.truth_contacts=64",
    "evaluation.value_model.n_folds=3",
    "evaluation.value_model.penalties=[10]",  # a stiff model settles soonest
]

# Hydra composes all settings a first time only to look for its mode, which nobody sets here.
COMPOSED_ONCE = patch.object(Hydra, "get_mode", lambda *given, **named: None)


@dataclass(frozen=True)
class Ended:
    """What a command left to whoever typed it."""

    code: int
    stdout: str
    stderr: str


def nurture(*words: str) -> Ended:
    """Do what `nurture` does with these words."""
    GlobalHydra.instance().clear()
    before, out, errors = sys.argv, StringIO(), StringIO()
    try:
        with redirect_stdout(out), redirect_stderr(errors), COMPOSED_ONCE:
            code = main(words)
    finally:
        sys.argv = before
    return Ended(code, out.getvalue(), errors.getvalue())
