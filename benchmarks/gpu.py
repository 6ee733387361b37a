"""How fast contacts are simulated on a GPU, beside how fast its memory is.

python benchmarks/gpu.py --world FOLDER --out benchmarks/results/gpu.json

Needs torch with CUDA, Gymnasium and safetensors, not the rest of the project's dependencies.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
for source in (ROOT, ROOT / "envs"):  # also where the project is not installed
    if str(source) not in sys.path:
        sys.path.insert(0, str(source))

import torch

from benchmarks import contacts, limits
from benchmarks.tables import Findings, markdown, write_json
from benchmarks.timing import rate
from nurture_envs.actions import ActionCatalog
from nurture_envs.features import FeatureSpec
from nurture_envs.worlds.world import World
from nurture_rl.simulator.world_files import load_learned_world

Say = Callable[[str], None]


def run(given: argparse.Namespace, say: Say) -> Findings:
    """Reference and learned world at every size, on `given.device`."""
    reference = contacts.known_world(given.journey, given.device)
    worlds: dict[str, World] = {"reference world": reference}
    if given.world is not None:
        worlds["learned world"] = load_learned_world(given.world, reference.journey, given.device)
    found = Findings(_about(given))
    memory = _bandwidth(given.device)
    found.limits["memory, bytes/s copied"] = memory
    for name, world in worlds.items():
        for n in given.contacts:
            say(f"{name}, {n:,} contacts")
            work = contacts.device_steps(world, n, given.steps, given.device)
            work()
            found.ours[f"{name}, {n:,} contacts"] = reached = rate(work, given.runs)
            least = least_bytes(world, n)
            found.limits[f"share of the memory limit, {name}, {n:,}"] = (
                reached.median * least / memory
            )
    return found


def least_bytes(world: World, n: int) -> float:
    """Bytes that a contact-step of a world cannot do without; see `limits.least_bytes`."""
    spec = FeatureSpec.of(world.journey)
    state = contacts.state_bytes(world, n) / n
    return limits.least_bytes(state, len(spec.columns), len(ActionCatalog.of(world.journey)))


def _about(given: argparse.Namespace) -> dict[str, object]:
    on_gpu = given.device != "cpu"
    return {
        "journey": given.journey,
        "device": torch.cuda.get_device_name() if on_gpu else "cpu",
        "torch": torch.__version__,
        "steps a run": f"{given.steps}, after {contacts.BURN_IN} untimed",
    }


def _bandwidth(device: str) -> float:
    return limits.copy_bandwidth(1) if device == "cpu" else limits.cuda_bandwidth()


def arguments(given: list[str]) -> argparse.Namespace:
    """What the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--journey", default="trial_onboarding", help="a shipped journey")
    parser.add_argument("--world", type=Path, help="folder of a learned world of that journey")
    parser.add_argument("--contacts", type=int, nargs="*", default=[65_536, 1_000_000, 4_000_000])
    parser.add_argument("--steps", type=int, default=20, help="timed steps of a run")
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--device", default="cuda", help="cuda, or cpu to try the script")
    parser.add_argument("--out", type=Path, help="JSON file")
    return parser.parse_args(given)


def main(given: argparse.Namespace) -> None:
    """Run, print the tables, write the JSON."""
    if given.device != "cpu" and not torch.cuda.is_available():
        sys.exit("expected a GPU that torch can use, found none; --device cpu tries the script")
    found = run(given, lambda line: print(line, file=sys.stderr, flush=True))
    print(markdown(found))
    if given.out is not None:
        write_json(found, given.out)


if __name__ == "__main__":
    main(arguments(sys.argv[1:]))
