"""Hold what fitted worlds believe of a send against the truth, by how its contacts were chosen."""

from __future__ import annotations

import argparse
import sys
from dataclasses import replace

import torch
from threadpoolctl import threadpool_limits

from experiments.confounding.study import effect_table, send_effect, study_world, tastes
from nurture_rl.simulator.fit import WorldConfig

LINEAR = "curved, nearly linear world"


def main(arguments: list[str]) -> None:
    """Read the command line, play and fit the logs and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--contacts", type=int, default=3000, help="of a log")
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3], help="one log each")
    parser.add_argument("--members", type=int, default=1, help="of each world's ensemble")
    given = parser.parse_args(arguments)
    torch.set_num_threads(1)
    simulation = study_world()
    config = WorldConfig(members=given.members)
    rows = []
    with threadpool_limits(1):
        for sender in tastes(simulation):
            for seed in given.seeds:
                rows.append(send_effect(simulation, sender, given.contacts, seed, config))
                print(rows[-1], file=sys.stderr, flush=True)
        for seed in given.seeds:
            plain = replace(config, hidden=(1,), rank=1)
            one = send_effect(simulation, "curved", given.contacts, seed, plain)
            rows.append(replace(one, sender=LINEAR))
            print(rows[-1], file=sys.stderr, flush=True)
    print(effect_table(rows))


if __name__ == "__main__":
    main(sys.argv[1:])
