"""Work that helpers of the tests can be sent: functions of a module."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

import torch

from nurture_envs.errors import JourneyError
from nurture_rl.errors import FitError
from nurture_rl.logs.atomic import atomic_folder
from nurture_rl.progress import PROGRESS
from nurture_rl.workflow.side_by_side import Crew
from nurture_rl.workflow.stages import Say


def squared(number: int) -> tuple[int, int]:
    """The square, and who worked it out."""
    time.sleep(0.01)
    return number**2, os.getpid()


def telling(say: Say) -> None:
    """Says a stage's lines."""
    say("stage: working")
    say("  iteration 10: value 3.5")
    PROGRESS.info("half done")
    say("stage: done in 1 s")


def refusing(text: str) -> None:
    """Finds something wrong with the data."""
    raise FitError(text)


def refusing_a_journey() -> None:
    """Raises what cannot be copied to another process."""
    raise JourneyError("mine", ["no goal"])


def raised(tensor: torch.Tensor) -> torch.Tensor:
    """One more, written over what is given."""
    return tensor.add_(1.0)


def breaking() -> None:
    """Has a fault."""
    raise ZeroDivisionError("by nought")


def killed() -> None:
    """Ends as by the system when memory runs out."""
    os.kill(os.getpid(), signal.SIGKILL)


def unfinished(folder: str) -> None:
    """Begins to fill a folder and never ends."""
    with atomic_folder(Path(folder)) as partial:
        (partial / "begun").write_text(str(os.getpid()), "utf-8")
        while True:
            time.sleep(0.05)


def interrupted(folder: str) -> None:
    """A program that waits for work which never ends."""
    with Crew(2) as crew:
        begun = crew.begin("forever", unfinished, folder)
        while not list(Path(folder).parent.glob("*/begun")):
            time.sleep(0.05)
        print("working", flush=True)
        begun.result()
