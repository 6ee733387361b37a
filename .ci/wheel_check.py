"""Run by the wheel gate with the installed wheel, outside the source tree."""

from __future__ import annotations

import importlib
import pkgutil
import sys
from importlib.resources import files
from importlib.util import find_spec
from pathlib import Path

HIDDEN = ["tests", "experiments", "configs", "notebooks", "benchmarks", "tools", "envs"]


def import_everything(name: str) -> int:
    """Import every module of an installed package and say how many there are."""
    package = importlib.import_module(name)
    home = Path(str(package.__file__))
    if not home.is_relative_to(sys.prefix):
        sys.exit(f"{name} must come from the wheel under {sys.prefix}, came from {home}")
    found = [module.name for module in pkgutil.walk_packages(package.__path__, f"{name}.")]
    for module in found:
        importlib.import_module(module)
    return len(found)


def load_journeys() -> list[str]:
    """Load every shipped journey file by its name."""
    from nurture_envs.journey_file import load_journey

    folder = files("nurture_envs") / "journeys"
    names = sorted(Path(item.name).stem for item in folder.iterdir() if item.name.endswith(".yaml"))
    if not names:
        sys.exit("the wheel ships no journey file; see [tool.setuptools.package-data]")
    for name in names:
        load_journey(name)
    return names


def play() -> None:
    """Make both environments by their registered name and take the first step."""
    import gymnasium

    env = gymnasium.make("nurture_envs/InboundLead-v0")
    env.reset(seed=0)
    env.step(0)
    many = gymnasium.make_vec(
        "nurture_envs/InboundLead-v0", num_envs=3, vectorization_mode="vector_entry_point"
    )
    _, info = many.reset(seed=0)
    if info["action_mask"].shape[0] != 3:
        sys.exit(f"action_mask must be [3, n_actions], got {info['action_mask'].shape}")


def main() -> None:
    visible = [name for name in HIDDEN if find_spec(name) is not None]
    if visible:
        sys.exit(f"only nurture_rl and nurture_envs may be importable, found also {visible}")
    count = sum(import_everything(name) for name in ("nurture_envs", "nurture_rl"))
    journeys = load_journeys()
    play()
    print(f"{count} modules import, {len(journeys)} journeys load, the environments step")


if __name__ == "__main__":
    main()
