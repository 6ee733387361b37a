"""Verbs that need no composed configuration: `key=value` pairs into one typed record.

A serving host has neither Hydra nor torch, so nothing here asks for them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import MISSING, Field, fields
from typing import Any, get_args, get_origin, get_type_hints

import msgspec
import yaml

from nurture_envs.fields import hint
from nurture_rl.cli.jobs import exit_code, job
from nurture_rl.cli.loading import load
from nurture_rl.cli.verb_record import Verb
from nurture_rl.errors import ConfigError
from nurture_rl.verb_result import VerbResult


def run_plain(verb: Verb, words: Sequence[str], as_json: bool) -> int:
    """Do a verb with the settings that are typed; returns the exit code."""

    def work() -> VerbResult:
        options = parsed(load(verb.settings), words)
        result: VerbResult = load(verb.work)(options)
        return result

    return exit_code(lambda: job(verb.name, work, progress=False), as_json)


def parsed(cls: type[Any], words: Sequence[str]) -> Any:
    """A record from `key=value` pairs.

    Args:
        cls: the record, a data class.
        words: the pairs; numbers, lists and truth values are written as in YAML.

    Raises:
        ConfigError: a word that is no pair, a key that is not there or is there twice, a value of
            another kind, or a key without a value.
    """
    kinds = get_type_hints(cls)
    given: dict[str, Any] = {}
    for word in words:
        key, equals, text = word.partition("=")
        if not equals:
            raise ConfigError(f"expected key=value, got {word!r}; the keys are {', '.join(kinds)}")
        if key not in kinds:
            near = hint(key, kinds) or f"; the keys are {', '.join(kinds)}"
            raise ConfigError(f"{key}: no such setting{near}")
        if key in given:
            raise ConfigError(f"{key}: given twice; say it once")
        given[key] = _value(key, text, kinds[key])
    missing = [one.name for one in fields(cls) if one.name not in given and _is_required(one)]
    if missing:
        raise ConfigError(f"{', '.join(missing)}: expected a value; write {missing[0]}=...")
    try:
        return msgspec.convert(given, type=cls)
    except msgspec.ValidationError as error:
        said, _, place = str(error).partition(" - at `$.")
        raise ConfigError(f"{place.rstrip('`')}: {said[0].lower()}{said[1:]}") from error


def _value(key: str, text: str, kind: Any) -> Any:
    if kind is str or (get_origin(kind) is not tuple and str in get_args(kind)):
        return None if text == "null" else text
    try:
        return yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise ConfigError(f"{key}: cannot read {text!r} as a value") from error


def _is_required(one: Field[Any]) -> bool:
    return one.default is MISSING and one.default_factory is MISSING
