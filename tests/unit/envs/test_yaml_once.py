"""YAML in which no key may stand twice."""

from __future__ import annotations

import datetime

import pytest
import yaml

from nurture_envs.yaml_once import read_yaml


def test_what_stands_once_is_what_yaml_says() -> None:
    text = "a: 012\nb: [yes, 2026-01-02]\nc: {a: 1}\nd: &x {e: 1}\nf: {<<: *x, e: 2, g: 3}\n"
    with pytest.raises(yaml.YAMLError):
        read_yaml(f"{text}? [1, 2]\n: z\n")  # a list is no key
    assert read_yaml(text) == yaml.safe_load(text)
    assert read_yaml(text)["b"] == [True, datetime.date(2026, 1, 2)]
    assert read_yaml("a: 012\nb: [yes]\n", words=True) == {"a": "012", "b": ["yes"]}
    assert read_yaml("") is None


@pytest.mark.parametrize("words", [False, True])
@pytest.mark.parametrize(
    ("text", "line"), [("a: 1\nb: 2\na: 3\n", 3), ("x:\n  a: 1\n  a: 1\n", 3), ("{a: 1, a: 2}", 1)]
)
def test_a_key_that_stands_twice_is_refused_with_its_line(
    text: str, line: int, words: bool
) -> None:
    with pytest.raises(yaml.YAMLError, match=rf"'a' stands twice.*\n.*line {line}") as caught:
        read_yaml(text, words)
    assert "first in line" in str(caught.value)
