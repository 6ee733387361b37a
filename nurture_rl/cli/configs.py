"""Where the configurations lie: beside the code in a wheel, at the top of a source tree."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

_PACKAGE = Path(__file__).parents[1]
CONFIGS = next(
    path for path in (_PACKAGE / "configs", _PACKAGE.parent / "configs") if path.is_dir()
)


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
