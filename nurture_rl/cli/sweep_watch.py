"""What a sweep shows: how far it is and how long it may take, and a table at its end.

Hydra calls `SweepWatch` in the process that was started; the runs may be anywhere.
"""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
from hydra.core.global_hydra import GlobalHydra
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.experimental.callback import Callback
from omegaconf import DictConfig

from nurture_rl.cli.jobs import note_ending
from nurture_rl.cli.sweeps import RUN, RunRecord, RunStatus, read_run, read_runs

_EVERY = 10.0  # seconds between two looks at what is done
_SHOWN = 10  # runs without a number that are told one by one


class SweepWatch(Callback):
    """Says every few seconds how far a sweep is, and shows its runs at the end."""

    ended = threading.Event()  # of the one sweep of this process, also where it breaks off

    def __init__(self) -> None:
        self._teller: threading.Thread | None = None

    def __reduce__(self) -> tuple[type[SweepWatch], tuple[()]]:
        """A copy in another process watches nothing."""
        return SweepWatch, ()

    def on_multirun_start(self, config: DictConfig, **kwargs: Any) -> None:
        """Begin to watch."""
        self.ended.clear()
        given = (config.hydra.job.name, Path(config.hydra.sweep.dir), runs_asked_for(config))
        self._teller = threading.Thread(target=self._tell, args=given, daemon=True)
        self._teller.start()

    def on_multirun_end(self, config: DictConfig, **kwargs: Any) -> None:
        """Tell what came of every run."""
        # Hydra loads this module for every verb, and few draw.
        from nurture_rl.report.sweep_page import SweptRun, write_sweep_page

        self.ended.set()
        if self._teller is not None:
            self._teller.join()
        sweep = Path(config.hydra.sweep.dir)
        records = read_runs(sweep)[: runs_asked_for(config)]
        for record in records:
            note_ending(record.verb, record.exit_code, record.made)
        shown = [
            SweptRun(one.number, one.overrides, one.status, one.objective, one.reason, one.seconds)
            for one in records
        ]
        page = write_sweep_page(sweep, f"nurture {config.hydra.job.name}", shown)
        print(*summary(records, page), sep="\n", file=sys.stderr, flush=True)

    def _tell(self, verb: str, sweep: Path, asked: int) -> None:
        began, told = time.time(), ""
        while not self.ended.wait(_EVERY):
            line = progress_line(sweep, asked, began)
            if line != told:
                print(f"{verb}: {line}", file=sys.stderr, flush=True)
            told = line


def runs_asked_for(config: DictConfig) -> int:
    """How many runs a sweep has: those of a search, else every combination of values."""
    sweeper = config.hydra.sweeper
    if "n_trials" in sweeper:
        return int(sweeper.n_trials)
    words = [f"{key}={value}" for key, value in (sweeper.get("params") or {}).items()]
    words += [str(word) for word in config.hydra.overrides.task]
    parser = OverridesParser.create(GlobalHydra.instance().config_loader())  # `glob` asks it
    overrides = parser.parse_overrides(words)
    return len(BasicSweeper.split_arguments(overrides, None)[0])


def progress_line(sweep: Path, asked: int, began: float) -> str:
    """How many runs are over, and how long the others may take.

    Args:
        sweep: its folder.
        asked: runs in all.
        began: when this start of it began, seconds since 1970; what was done before took none of
            its time, and what failed before is done again.
    """
    folders = {path.parent: path.stat().st_mtime >= began for path in sweep.glob(f"*/{RUN}")}
    fresh, over = sum(folders.values()), 0
    for folder, now in folders.items():
        before = None if now else read_run(folder)
        over += now or (before is not None and before.status is not RunStatus.FAILED)
    line = f"{over} of {asked} runs are over"
    if not fresh or over >= asked:
        return line
    left = (time.time() - began) / fresh * (asked - over)
    return f"{line}, about {_duration(left)} left"


def summary(records: Sequence[RunRecord], page: Path) -> list[str]:
    """The lines that end a sweep.

    Args:
        records: of every run.
        page: with all of them.
    """
    count = {status: sum(one.status is status for one in records) for status in RunStatus}
    counted = ", ".join(f"{n} {status}" for status, n in count.items() if n) or "no run"
    without = [one for one in records if one.status is not RunStatus.FINISHED]
    common = set.intersection(*(set(one.overrides) for one in records)) if records else set()

    def named(one: RunRecord) -> str:
        words = " ".join(word for word in one.overrides if word not in common)
        return f"run {one.number} ({words})" if words else f"run {one.number}"

    lines = [f"  {one.status}, {named(one)}: {one.reason}" for one in without[:_SHOWN]]
    if len(without) > _SHOWN:
        lines.append(f"  and {len(without) - _SHOWN} more without a number")
    known = [one for one in records if one.objective is not None]
    if known:
        best = max(known, key=lambda one: one.objective or 0.0)
        lines.append(
            f"  the highest objective is {best.objective:.4g}, of {named(best)}; it was picked "
            "among others, so judge it again by contacts that no run was judged by"
        )
    return [f"sweep: {counted}", *lines, f"  every run: {page}"]


def _duration(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 90.0 else f"{seconds / 60.0:.0f} min"
