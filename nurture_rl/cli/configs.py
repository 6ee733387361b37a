"""Where the configurations lie, and what can be chosen from."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

CONFIGS = Path(__file__).parents[1] / "configs"  # in a source tree a link to the folder at its top


def groups(own: Sequence[Path] = ()) -> dict[str, list[str]]:
    """The options of every config group, by the group's name.

    Args:
        own: folders beside ours, as `--config-dir` names them.
    """
    found: dict[str, set[str]] = {}
    for root in (CONFIGS, *own):
        for path in root.glob("*/*.yaml"):
            found.setdefault(path.parent.name, set()).add(path.stem)
    return {name: sorted(options) for name, options in sorted(found.items())}
