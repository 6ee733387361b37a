"""What predictions are worth: by horizon, by topic, by early index, and under delay."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from threadpoolctl import threadpool_limits

from experiments.common.markdown import markdown_table
from experiments.predictions.horizons import long_log
from experiments.predictions.planted import (
    best_topic,
    is_warned,
    late_index_is_warned_of,
    late_log,
    shares_of_the_best,
)
from nurture_rl.errors import NurtureError
from nurture_rl.logs.atomic import atomic_write_bytes

HERE = Path(__file__).parent
_T95 = 2.093  # quantile of Student's t for the planted logs, of which there are 20
_PLANTED = 20


def main(arguments: list[str]) -> None:
    """Work out what is not recorded yet and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=5, help="of long logs")
    parser.add_argument("--contacts", type=int, default=3000, help="in each of them")
    parser.add_argument("--report", action="store_true", help="play no log, print the tables")
    parser.add_argument("--runs", type=Path, default=Path("runs/predictions"), help="of the stages")
    given = parser.parse_args(arguments)
    torch.set_num_threads(1)
    with threadpool_limits(1):
        for seed in range(0 if given.report else given.seeds):
            path = HERE / "records" / f"horizons-{given.contacts}-{seed}.json"
            if not path.is_file():
                told = long_log(seed, given.contacts, given.runs.resolve())
                atomic_write_bytes(path, (json.dumps(told, indent=1) + "\n").encode())
        records = [
            json.loads(path.read_text("utf-8"))
            for path in sorted((HERE / "records").glob("horizons-*.json"))
        ]
        print(horizons_table(records), topics_table(), warnings_table(), delay_table(), sep="\n\n")


def horizons_table(records: Sequence[list[dict[str, Any]]]) -> str:
    """Calibration and skill of every chance that a log tells, over the logs."""
    head = ["chance", "logs", "ECE: mean, most", "of right chances", "ECE <= 0.02", "skill"]
    return markdown_table([*head, "skill above 0"], list(_horizons(records)))


def _horizons(records: Sequence[list[dict[str, Any]]]) -> Iterator[Sequence[str]]:
    for place, first in enumerate(records[0]):
        told = [one[place]["judged"] for one in records if one[place]["judged"] is not None]
        name = f"`{first['outcome']}_{first['horizon']:g}d`"
        if not told:
            yield [name, "0", "–", "–", "–", "–", "–"]
            continue
        ece, luck, skill, low = (
            np.array([one[key] for one in told])
            for key in ("ece", "ece_by_chance", "skill", "skill_low")
        )
        yield [
            name,
            str(len(told)),
            f"{ece.mean():.3f}, {ece.max():.3f}",
            f"{luck.mean():.3f}",
            f"{(ece <= 0.02).sum()} of {len(told)}",
            f"{skill.mean():.3f} ({skill.min():.3f} to {skill.max():.3f})",
            f"{(low > 0.0).sum()} of {len(told)}",
        ]


def topics_table() -> str:
    """How often each rule prefers the topic that brings contacts on."""
    found = [best_topic(seed) for seed in range(_PLANTED)]
    rows = [
        [rule, f"{sum(one[rule] == 'payoff' for one in found)} of {_PLANTED}"] for rule in found[0]
    ]
    return markdown_table(["topics are ranked by", "the payoff topic comes first"], rows)


def warnings_table() -> str:
    """How often the early index is warned of."""
    rows = []
    for effect in (0.9, 0.0, -0.9):
        warned = sum(is_warned(seed, effect) for seed in range(_PLANTED))
        rows.append([f"{effect:+.1f}", f"{warned} of {_PLANTED}"])
    head = "effect of a mail on the late outcome, log-odds (on clicks: always more)"
    return markdown_table([head, "warned"], rows)


def delay_table() -> str:
    """True value of each way of learning from a log with outcomes of ninety days."""
    rows = []
    for clickbait in (False, True):
        logs = [late_log(seed, clickbait) for seed in range(_PLANTED)]
        found = [shares_of_the_best(log, seed) for seed, log in enumerate(logs)]
        told = []
        for way in found[0]:
            share = 100.0 * np.array([one[way] for one in found])
            half = _T95 * share.std(ddof=1) / _PLANTED**0.5
            told.append(f"{share.mean():.0f} ± {half:.0f} %")
        warned = sum(map(late_index_is_warned_of, logs))
        clicks = "come of the guide" if clickbait else "come of what leads to deals"
        rows.append([clicks, *told, f"{warned} of {_PLANTED}"])
    head = ["early clicks", "naive", "matured", "open windows", "early index", "index warned of"]
    return markdown_table(head, rows)


if __name__ == "__main__":
    try:
        main(sys.argv[1:])
    except NurtureError as error:
        sys.exit(f"predictions: {error}")
