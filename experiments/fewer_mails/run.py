"""How many mails can be saved without losing meetings, by a price of each mail."""

from __future__ import annotations

import argparse
import itertools
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache, partial
from pathlib import Path
from types import MappingProxyType

import numpy as np
import torch
from hydra import compose, initialize_config_dir
from matplotlib.figure import Figure
from scipy.stats import t as student
from threadpoolctl import threadpool_limits

from experiments.common.markdown import markdown_table
from experiments.common.png import png
from experiments.common.progress import say
from experiments.learners.truth import FloatArray, context_of, stderr, true_returns
from nurture_envs.journey import Journey
from nurture_envs.journey_file import load_journey
from nurture_rl.codec import read_record, write_record
from nurture_rl.errors import NurtureError
from nurture_rl.learned.priced_reward import SEND, channels_of
from nurture_rl.policies.build import build_policy
from nurture_rl.policies.policy import Policy
from nurture_rl.workflow.config import settings
from nurture_rl.workflow.learn import load_policy
from nurture_rl.workflow.pipeline import Pipeline
from nurture_rl.workflow.release_region import LEARNED_PART
from nurture_rl.workflow.settings_schema import register_schemas

HERE = Path(__file__).parent
CONFIGS = HERE.parents[1] / "configs"
JOURNEY = "inbound_lead"
PRICES = (0.0, 5.0, 10.0, 20.0, 40.0)  # EUR a mail
CALLS: Mapping[str, float] = MappingProxyType({"calls": 0.0, "no calls": 1000.0})  # EUR more a call
LEARNERS = ("cql", "fqi")  # the verb's own, and a linear one
MARGIN = 0.05  # of the reference's meetings: a loss below it is none
TRUTH_CONTACTS = 40_000


@dataclass(frozen=True, slots=True)
class Played:
    """One policy in the true world, per lead; differences are paired with the drip."""

    learner: str  # or the name of a programme
    calls: str  # of `CALLS`; empty: a programme
    price: float  # EUR a mail, in learning alone
    seed: int  # of log and learner
    value: float  # EUR, without the price
    sends: float
    escalated: float
    meetings: float
    meetings_over_drip: float
    meetings_over_drip_stderr: float
    opt_outs: float  # and complaints
    seconds: float  # of learning, by the clock


def main(arguments: list[str]) -> None:
    """Work out what is not recorded yet, print the table and draw the picture."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", nargs="+", type=int, default=list(range(10)))
    parser.add_argument("--contacts", type=int, default=24_000, help="in each log")
    parser.add_argument("--learners", nargs="+", default=list(LEARNERS), metavar="NAME")
    parser.add_argument("--report", action="store_true", help="work out nothing")
    parser.add_argument("--out", type=Path, default=HERE / "records", help="folder of records")
    parser.add_argument("--runs", type=Path, default=Path("runs/fewer_mails"), help="of the stages")
    given = parser.parse_args(arguments)
    if not given.report:
        torch.set_num_threads(1)
        with threadpool_limits(1):
            for name in ("drip", "expert"):
                programme(given.out, name)
            for seed in given.seeds:
                for learner, calls in itertools.product(given.learners, CALLS):
                    for price in PRICES:
                        learned(given, seed, learner, calls, price)
    everything = [read_record(one, Played) for one in sorted(given.out.glob("*.json"))]
    found = [one for one in everything if one.calls]
    programmes = {one.learner: one for one in everything if not one.calls}
    print("\n".join(report(found, programmes)))
    picture = png("fewer-mails", 3.6, lambda figure: paint(figure, found, programmes))
    (HERE / "fewer-mails.png").write_bytes(picture)


def programme(out: Path, name: str) -> None:
    """A programme that nobody learns, unless it has a record."""
    path = out / f"{name}.json"
    if not path.is_file():
        out.mkdir(parents=True, exist_ok=True)
        journey = load_journey(JOURNEY)
        made = played(journey, build_policy(name, context_of(journey)), name, "", 0.0, 0, 0.0)
        write_record(made, path)


def learned(given: argparse.Namespace, seed: int, learner: str, calls: str, price: float) -> None:
    """A policy learned at a price, unless it has a record."""
    path = given.out / f"{learner}-{calls.replace(' ', '_')}-{price:g}-{seed}.json"
    if path.is_file():
        return
    say("[fewer_mails]", f"{path.stem}: working")
    asked = ["data=reference", f"data.contacts={given.contacts}", f"policy={learner}"]
    asked += [f"seed={seed}", f"runs={given.runs}", "workers=1"]
    prices = {SEND: price, "escalated": CALLS[calls]}
    asked += [f"+policy.prices.{name}={cost}" for name, cost in prices.items() if cost]
    register_schemas()
    with initialize_config_dir(str(CONFIGS), version_base="1.3"):
        config = compose("train", overrides=asked)
    config.policy.spec = LEARNED_PART
    pipeline = Pipeline(settings(config), partial(say, "[fewer_mails]"))
    began = time.monotonic()
    policy = load_policy(pipeline.policies[learner], pipeline.journey)
    seconds = time.monotonic() - began
    given.out.mkdir(parents=True, exist_ok=True)
    made = played(pipeline.journey, policy, learner, calls, price, seed, seconds)
    write_record(made, path)


def played(
    journey: Journey,
    policy: Policy,
    learner: str,
    calls: str,
    price: float,
    seed: int,
    seconds: float,
) -> Played:
    """A policy on the leads of the truth, the same with the same luck for every policy."""
    found = true_returns(journey, policy, TRUTH_CONTACTS)
    amounts = dict(zip(journey.channels, found.amounts.T, strict=True))
    over = amounts["meeting_booked"] - _drip_meetings()
    return Played(
        learner=learner,
        calls=calls,
        price=price,
        seed=seed,
        value=float(found.value.mean()),
        sends=float(sum(amounts[one].mean() for one in channels_of(journey, SEND, "of"))),
        escalated=float(amounts["escalated"].mean()),
        meetings=float(amounts["meeting_booked"].mean()),
        meetings_over_drip=float(over.mean()),
        meetings_over_drip_stderr=stderr(over),
        opt_outs=float((amounts["unsubscribed"] + amounts["complained"]).mean()),
        seconds=round(seconds, 1),
    )


@lru_cache(maxsize=1)
def _drip_meetings() -> FloatArray:
    journey = load_journey(JOURNEY)
    found = true_returns(journey, build_policy("drip", context_of(journey)), TRUTH_CONTACTS)
    return np.asarray(found.amounts[:, journey.channel_index("meeting_booked")])


def report(found: Sequence[Played], programmes: Mapping[str, Played]) -> Iterator[str]:
    """The table: means over seeds, and how many seeds are not inferior."""
    drip = programmes["drip"]
    rows = [
        [
            *(f"`{name}`", "", "", f"{one.sends:.2f}", f"{one.escalated:.3f}"),
            *(f"{one.meetings:.4f}", "", "", f"{one.opt_outs:.4f}", f"{one.value:.1f}"),
        ]
        for name, one in programmes.items()
    ]
    for key in itertools.product(LEARNERS, CALLS, PRICES):
        cell = [one for one in found if (one.learner, one.calls, one.price) == key]
        if cell:
            rows.append(_row(cell, drip))
    head = ["policy", "price of a mail, EUR", "logs", "mails", "calls", "meetings"]
    head += ["meetings over the drip's", "not inferior", "opt-outs", "EUR a lead"]
    yield markdown_table(head, rows)


def _row(cell: Sequence[Played], drip: Played) -> list[str]:
    more = np.array([one.meetings_over_drip for one in cell])
    kept = sum(not_inferior(one, drip) for one in cell)

    def mean(name: str) -> float:
        return float(np.mean([getattr(one, name) for one in cell]))

    half = student.ppf(0.975, len(cell) - 1) * stderr(more) if len(cell) > 1 else float("nan")
    return [
        f"`{cell[0].learner}`, {cell[0].calls}",
        f"{cell[0].price:g}",
        str(len(cell)),
        f"{mean('sends'):.2f} ({mean('sends') / drip.sends - 1.0:+.0%})",
        f"{mean('escalated'):.3f}",
        f"{mean('meetings'):.4f}",
        f"{more.mean():+.4f} ± {half:.4f}",
        f"{kept} of {len(cell)}",
        f"{mean('opt_outs'):.4f}",
        f"{mean('value'):.1f}",
    ]


def not_inferior(one: Played, drip: Played) -> bool:
    """Whether a policy surely loses less than the margin of the drip's meetings, at 95 %."""
    lower = one.meetings_over_drip - 1.645 * one.meetings_over_drip_stderr
    return lower > -MARGIN * drip.meetings


def paint(figure: Figure, found: Sequence[Played], programmes: Mapping[str, Played]) -> None:
    """Meetings by mails: every policy a point."""
    axes = figure.subplots()
    for learner, marker in zip(LEARNERS, "ox", strict=True):
        for calls, colour in zip(CALLS, ("#0072b2", "#d55e00"), strict=True):
            some = [one for one in found if (one.learner, one.calls) == (learner, calls)]
            sends, meetings = [one.sends for one in some], [one.meetings for one in some]
            label = f"{learner}, {calls}"
            axes.scatter(sends, meetings, s=12, marker=marker, color=colour, label=label)
    for (name, one), marker in zip(programmes.items(), "s^", strict=True):
        axes.plot(one.sends, one.meetings, marker, color="black", label=name)
    least = (1.0 - MARGIN) * programmes["drip"].meetings
    axes.axhline(least, color="#999999", linewidth=0.8, label="the drip's less 5 %")
    axes.set_xlabel("mails a lead")
    axes.set_ylabel("meetings booked a lead")
    axes.set_xlim(left=0.0)
    axes.set_ylim(bottom=0.0)
    axes.legend(frameon=False, fontsize=8)


if __name__ == "__main__":
    try:
        main(sys.argv[1:])
    except NurtureError as error:
        sys.exit(f"fewer_mails: {error}")
