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
    options_of: dict[str, set[str]] = {}
    for root in (CONFIGS, *own):
        for path in root.glob("*/*.yaml"):
            options_of.setdefault(path.parent.name, set()).add(path.stem)
    return {name: sorted(options) for name, options in sorted(options_of.items())}


def split(words: Sequence[str]) -> tuple[list[str], list[Path]]:
    """The overrides among the words, and the folders that `--config-dir` names."""
    overrides, folders, following = [], [], False
    for word in words:
        flag, equals, value = word.partition("=")
        if following:
            folders.append(Path(word))
            following = False
        elif flag in ("--config-dir", "-cd"):
            folders += [Path(value)] if equals else []
            following = not equals
        elif not word.startswith("-"):
            overrides.append(word)
    return overrides, folders
