"""How fast contacts are simulated, beside other simulators and the machine's limits, in one run.

python benchmarks/simulator.py --out benchmarks/results/simulator.json
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
if str(ROOT) not in sys.path:  # run as a file, Python only sees this folder
    sys.path.insert(0, str(ROOT))

import torch
from threadpoolctl import threadpool_info, threadpool_limits

from benchmarks import contacts, gymnasium_envs, limits
from benchmarks.fitted import fitted_world
from benchmarks.memory import bytes_per_contact
from benchmarks.peer_runs import PEERS, peer_rates
from benchmarks.tables import Findings, markdown, write_json
from benchmarks.timing import Rate, Work, rate
from nurture_envs.actions import ActionCatalog
from nurture_envs.features import FeatureSpec
from nurture_envs.worlds.world import World

Say = Callable[[str], None]
_KEPT = ROOT / "benchmarks" / ".venvs"  # other libraries, and the fitted world


def run(given: argparse.Namespace, say: Say) -> Findings:
    """Everything that was asked for."""
    torch.set_num_threads(1)  # the environment brings the threads
    world = contacts.known_world(given.journey)
    found = Findings(about_run(given, world))
    with threadpool_limits(1):
        _ours(given, world, found, say)
        _gymnasium(given, found, say)
        for peer in PEERS if given.peers else ():
            say(peer.name)
            found.others |= peer_rates(peer, _KEPT, given.runs, given.peer_steps, say)
        _flatness(given, world, found, say)
        _limits(given, world, found, say)
    return found


def about_run(given: argparse.Namespace, world: World) -> dict[str, Any]:
    """Machine, sizes and settings, for the head of the output."""
    spec = FeatureSpec.of(world.journey)
    blas = {str(info.get("architecture")) for info in threadpool_info() if info["prefix"] != "omp"}
    return {
        "journey": world.journey.name,
        "contacts": given.contacts,
        "features": len(spec.columns),
        "actions": len(ActionCatalog.of(world.journey)),
        "steps a run": f"{given.steps}, after {contacts.BURN_IN} untimed",
        "actions taken": "uniform among the legal ones, drawn outside the clock",
        "shared limits": str(contacts.SHARED),
        "contact-steps after which a new contact begins": round(
            contacts.restart_share(world, min(given.contacts, 20_000), given.steps), 3
        ),
        "threads": given.threads,
        "cores": os.cpu_count(),
        "OPENBLAS_CORETYPE": os.environ.get("OPENBLAS_CORETYPE", "not set"),
        "BLAS kernels": ", ".join(sorted(blas)) or "none loaded",
        "load before": os.getloadavg()[0],
        "versions": {name: version(name) for name in ("torch", "numpy", "gymnasium")},
    }


def _ours(given: argparse.Namespace, world: World, found: Findings, say: Say) -> None:
    def timed(name: str, played: World, **shared: Any) -> None:
        say(name)
        steps = contacts.contact_steps(
            played, given.contacts, given.steps, threads=given.threads, **shared
        )
        found.ours[name] = rate(steps, given.runs)
        found.about[f"played by, {name}"] = contacts.player_of(played, **shared)

    timed("reference world", world)
    timed("reference world, contacts alone", world, population=None)
    timed("reference world, without compiled loops", world, compiled=False)
    if given.learned:
        fitted = fitted_world(given.journey, given.learned, _KEPT / "world", say)
        timed("learned world", fitted)
        members = getattr(fitted, "members", ())
        found.about["members of the learned world, one drawn per episode"] = len(members)


def _gymnasium(given: argparse.Namespace, found: Findings, say: Say) -> None:
    n = given.contacts
    runs: dict[str, Callable[[], Work]] = {
        f"Gymnasium's native vector CartPole, {n:,} (4 features)": gymnasium_envs.native_cartpole(
            n, max(1, given.steps)
        ),
        "Gymnasium SyncVectorEnv, 64 idle, 60 features": gymnasium_envs.idle_in_python(
            64, 10 * given.steps
        ),
        "Gymnasium SyncVectorEnv, 64 CartPole": gymnasium_envs.cartpole_in_python(
            64, 5 * given.steps
        ),
    }
    for name, work in runs.items():
        say(name)
        work()
        found.others[name] = rate(work, given.runs)


def _flatness(given: argparse.Namespace, world: World, found: Findings, say: Say) -> None:
    for n in given.flat:
        say(f"{n:,} contacts")
        steps = max(5, min(200, 1_500_000 // n))
        work = contacts.contact_steps(world, n, steps, threads=given.threads)
        found.flat[n] = rate(work, min(3, given.runs))


def _limits(given: argparse.Namespace, world: World, found: Findings, say: Say) -> None:
    say("memory")
    n, spec = given.contacts, FeatureSpec.of(world.journey)
    state = contacts.state_bytes(world, n) / n
    least = limits.least_bytes(state, len(spec.columns), len(ActionCatalog.of(world.journey)))
    bandwidth = limits.copy_bandwidth(given.threads)
    found.memory["state"] = state
    found.memory["least traffic of a step (state in and out, observation, mask)"] = least
    used = bytes_per_contact(given.journey, (n, 4 * n))
    found.memory |= {f"{name} memory of the process": value for name, value in used.items()}
    found.limits["memory, bytes/s copied"] = bandwidth
    found.limits["contact-steps/s that memory allows"] = bandwidth / least
    for name, figure in found.ours.items():
        if isinstance(figure, Rate):
            found.limits[f"share of that reached, {name}"] = figure.median * least / bandwidth


def arguments(given: list[str]) -> argparse.Namespace:
    """What the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--journey", default="trial_onboarding", help="a shipped journey")
    parser.add_argument("--contacts", type=int, default=65_536)
    parser.add_argument("--steps", type=int, default=30, help="timed steps of a run")
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument(
        "--learned", type=int, default=2000, help="contacts the learned world is fitted to; 0: none"
    )
    parser.add_argument("--peers", action=argparse.BooleanOptionalAction, default=True)
    parser.add_argument("--peer-steps", type=int, default=5000)
    parser.add_argument("--flat", type=int, nargs="*", default=[1_000, 10_000, 65_536, 1_000_000])
    parser.add_argument("--out", type=Path, help="JSON file")
    return parser.parse_args(given)


def main(given: argparse.Namespace) -> None:
    """Run, print the tables, write the JSON."""
    found = run(given, lambda line: print(line, file=sys.stderr, flush=True))
    print(markdown(found))
    if given.out is not None:
        write_json(found, given.out)


if __name__ == "__main__":
    main(arguments(sys.argv[1:]))
