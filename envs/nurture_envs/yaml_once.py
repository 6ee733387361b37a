"""YAML in which no key stands twice: of two lines for one key YAML would keep the last unsaid."""

from __future__ import annotations

from typing import Any

import yaml

_MERGE = "tag:yaml.org,2002:merge"


class _KeysOnce(yaml.constructor.BaseConstructor):
    """Makes dictionaries, and refuses the second of two equal keys with its line."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        lines: dict[str, int] = {}
        for key, _ in node.value:
            if not isinstance(key, yaml.ScalarNode) or key.tag == _MERGE:
                continue
            line = key.start_mark.line + 1
            if key.value in lines:
                told = f"the key {key.value!r} stands twice, first in line {lines[key.value]}"
                raise yaml.constructor.ConstructorError(None, None, told, key.start_mark)
            lines[key.value] = line
        made: dict[Any, Any] = super().construct_mapping(node, deep=deep)
        return made


class _PlainLoader(_KeysOnce, yaml.SafeLoader):
    """Numbers, truth values and dates are what YAML says."""


class _WordLoader(_KeysOnce, yaml.BaseLoader):
    """Every scalar is text."""


def read_yaml(text: str, words: bool = False) -> Any:
    """What a YAML text says.

    Args:
        text: of one document.
        words: whether every scalar is text, such as `yes`, `1.10` and 2026-01-02.

    Raises:
        yaml.YAMLError: it is no YAML, or a key stands twice in one place; names the line.
    """
    return yaml.load(text, _WordLoader if words else _PlainLoader)
