"""Draw what each hour of the week is worth: planted in a reference world, and learned from it.

Two logs explore the hours: one those of the journey's slots, one all of the day.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import torch
from threadpoolctl import threadpool_limits

from experiments.hours.figure import hour_figure
from experiments.hours.study import HourQuestion, hour_study, hourly
from nurture_envs.journey_file import load_journey
from nurture_rl.errors import NurtureError
from nurture_rl.simulator.fit import WorldConfig
from nurture_rl.workflow.collect import reference_simulation


def main(arguments: list[str]) -> None:
    """Read the command line, run the study and write its figure."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--journey", default="trial_onboarding")
    parser.add_argument("--message", default="connect_data")
    parser.add_argument("--signals", nargs="+", default=["opened"])
    parser.add_argument("--contacts", type=int, default=20_000, help="of the log")
    parser.add_argument("--members", type=int, default=3, help="of the ensemble")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--out", type=Path, default=Path("hours.svg"), help="SVG to write")
    given = parser.parse_args(arguments)
    torch.set_num_threads(1)
    simulation = reference_simulation(load_journey(given.journey))
    question = HourQuestion(given.message, tuple(given.signals))
    config = WorldConfig(members=given.members, weighting="none", delays="declared")

    def say(epoch: int, loss: float) -> None:
        print(f"epoch {epoch}: {loss:.5f}", file=sys.stderr, flush=True)

    surfaces = []
    with threadpool_limits(1):
        for logged in (simulation, hourly(simulation.world)):
            surfaces += hour_study(logged, question, given.contacts, given.seed, config, say)
    for surface in surfaces:
        within, everywhere = surface.correlation(True), surface.correlation(False)
        print(
            f"{surface.signal}, log with {surface.sent.sum()} hours of the week: "
            f"correlation {within:.3f} in them, {everywhere:.3f} in all 168"
        )
    given.out.parent.mkdir(parents=True, exist_ok=True)
    given.out.write_bytes(hour_figure(surfaces))


if __name__ == "__main__":
    try:
        main(sys.argv[1:])
    except NurtureError as error:
        sys.exit(f"hours: {error}")
