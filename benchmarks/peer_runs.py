"""Other simulators, each in a virtual environment of its own that is made when first asked for."""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.timing import Rate, watched

HERE = Path(__file__).resolve().parent
_INSTALL_SECONDS = 900


@dataclass(frozen=True, slots=True)
class Peer:
    """A library, what it needs to run at all, and the script that times it."""

    name: str
    script: str
    installs: tuple[tuple[str, ...], ...]  # one pip call each, in order
    seconds: int = 300  # after which a run is given up


@dataclass(frozen=True, slots=True)
class Skipped:
    """Why there is no figure."""

    reason: str


PEERS = (
    Peer(
        "recogym",
        "recogym_steps.py",
        (
            ("torch==2.13.0",),  # alone, so that no other package chooses its build
            ("recogym==0.1.3.0", "numpy<1.24", "scipy<1.10", "gym<0.26"),
        ),
    ),
    Peer(
        "recsim",
        "recsim_steps.py",
        (("recsim-no-tf==0.2.3", "numpy<2", "six", "absl-py", "gin-config"),),
    ),
    Peer("limit", "toy_limit.py", (("numba", "numpy"),)),
)


def peer_rates(
    peer: Peer, folder: Path, runs: int, steps: int, say: Callable[[str], None]
) -> dict[str, Rate | Skipped]:
    """Steps a second of a peer's worlds, or why there are none.

    Args:
        peer: which.
        folder: of the virtual environments.
        runs: how often.
        steps: of each run.
        say: is told of an install.
    """
    printed = peer_json(peer, folder, (str(runs), str(steps)), say)
    if isinstance(printed, Skipped):
        return {peer.name: printed}
    found, other = printed
    return {
        name: Rate(statistics.median(all_), min(all_), max(all_), len(all_), other)
        for name, all_ in found.items()
    }


def peer_json(
    peer: Peer, folder: Path, arguments: Sequence[str], say: Callable[[str], None]
) -> tuple[dict[str, Any], float] | Skipped:
    """What a peer's script prints last, and the share of the machine others used meanwhile."""
    python = folder / peer.name / "bin" / "python"
    try:
        if not (folder / peer.name / ".ok").is_file():
            say(f"installing {peer.name} into {folder / peer.name}")
            _install(peer, folder / peer.name)
        script = str(HERE / "peers" / peer.script)
        command = [str(python), "-W", "ignore", script, *arguments]
        printed, other = watched(lambda: _run(command, peer.seconds))
    except (OSError, subprocess.SubprocessError) as error:
        return Skipped(_reason(error))
    return json.loads(printed.splitlines()[-1]), other


def _install(peer: Peer, folder: Path) -> None:
    _run([sys.executable, "-m", "venv", "--clear", str(folder)], _INSTALL_SECONDS)
    pip = [str(folder / "bin" / "python"), "-m", "pip", "install", "-q"]
    for packages in peer.installs:
        _run([*pip, *packages], _INSTALL_SECONDS)
    (folder / ".ok").touch()


def _run(command: Sequence[str], seconds: int) -> str:
    """Standard output of a command that must succeed; it sees none of our packages."""
    own = {key: value for key, value in os.environ.items() if not key.startswith("PYTHON")}
    return subprocess.run(
        command, env=own, capture_output=True, text=True, check=True, timeout=seconds
    ).stdout


def _reason(error: Exception) -> str:
    printed = getattr(error, "stderr", None) or str(error)
    lines = [line for line in str(printed).splitlines() if line.strip()]
    return (lines[-1] if lines else type(error).__name__)[:200]
