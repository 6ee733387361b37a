"""Files of rules that lie beside a log's files: read and checked in one way."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import yaml

from nurture_envs.fields import Fields
from nurture_envs.yaml_once import read_yaml
from nurture_rl.errors import LogError


@contextmanager
def rule_fields(path: Path, about: str, words: bool = False) -> Iterator[Fields]:
    """The fields of a file; when the block ends, all that is wrong with them is told at once.

    Args:
        path: the file; nothing in it counts as no field.
        about: what its rules are of, such as `zones`.
        words: whether every scalar is text.

    Raises:
        LogError: the file cannot be read, or a field has a problem.
    """
    try:
        data = read_yaml(path.read_text("utf-8"), words)
    except (OSError, yaml.YAMLError, UnicodeDecodeError) as error:
        raise LogError(f"{path}: expected rules of {about} (YAML), got: {error}") from error
    problems: list[str] = []
    f = Fields({about: {} if data is None else data}, "", problems).mapping(about)
    yield f
    f.finish()
    if problems:
        told = "\n  ".join(one.removeprefix(f"{about}.") for one in problems)
        raise LogError(f"{path}: the rules have problems; mend them and run again:\n  {told}")
