"""What is wrong with overrides that cannot be composed, with the nearest name that there is."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from hydra import compose, initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override, ValueType
from hydra.errors import HydraException
from omegaconf import OmegaConf

from nurture_envs.fields import hint
from nurture_rl.cli.configs import CONFIGS, groups, split

# What Hydra takes beside settings; who types another word meant one of the first.
_SHOWN = ("--help", "--json", "--multirun", "--cfg", "--config-dir")
_OPTIONS = {
    *_SHOWN,
    *("-h", "-m", "-c", "-cd", "--config-path", "-cp", "--config-name", "-cn", "--resolve"),
    *("--package", "-p", "--run", "-r", "--hydra-help", "--info", "-i", "--version"),
    *("--experimental-rerun", "--shell-completion", "-sc"),
}
_PRINTED = ("job", "hydra", "all")
# Hydra does one of these.
_WAYS = (
    *(("--run", "-r"), ("--multirun", "-m"), ("--cfg", "-c"), ("--info", "-i")),
    ("--shell-completion", "-sc"),
)
_KINDS = {"Integer": "a whole number", "Float": "a number", "Boolean": "true or false"}


def wrong_option(words: Sequence[str]) -> str | None:
    """What is wrong with the words that begin with a dash; None: nothing.

    Args:
        words: what was typed after the verb.
    """
    for at, word in enumerate(words):
        flag, equals, value = word.partition("=")
        if flag.startswith("-") and flag not in _OPTIONS:
            known = hint(flag, _SHOWN) or f"; known are {', '.join(_SHOWN)}"
            return f"{flag}: no such option{known}"
        if flag in ("--cfg", "-c"):
            asked = value if equals else next(iter(words[at + 1 :]), "nothing")
            if asked not in _PRINTED:
                return f"{flag}: expected one of {', '.join(_PRINTED)}, got {asked!r}"
    flags = {word.partition("=")[0] for word in words}
    ways = [way for both in _WAYS for way in both if way in flags]
    return f"{' and '.join(ways)}: one of them at a time" if len(ways) > 1 else None


def explained(verb: str, words: Sequence[str], error: Exception) -> str:
    """One sentence or two for an error of composition.

    Args:
        verb: the root configuration.
        words: what was typed.
        error: what Hydra said.
    """
    overrides, own = split(words)
    for folder in own:
        if not folder.is_dir():
            return f"--config-dir: expected a folder at {folder}, there is none"
    parser, options, plain = OverridesParser.create(), groups(own), _settings(verb)
    for word in overrides:
        if "=" not in word and not word.startswith("~"):
            return f"expected key=value, got {word!r}"
        try:
            (override,) = parser.parse_overrides([word])
        except HydraException as wrong:
            return f"{_said(wrong)}; docs/journey-file.md shows how to quote : and spaces"
        problem = _wrong(override, options, plain)
        if problem:
            return problem
        if override.key_or_group == "policy" and "Could not override 'policy'" in str(error):
            name = override.value()
            return (
                f"{word}: {verb} has several policies; write +policy@policies.{name}={name} to add "
                "one, ~policies.NAME to leave one out"
            )
    return _said(error)


def _settings(verb: str) -> Mapping[str, Any]:
    """The configuration without any override, as plain data."""
    GlobalHydra.instance().clear()
    with initialize_config_dir(str(CONFIGS), version_base="1.3"):
        plain = OmegaConf.to_container(compose(verb))
    assert isinstance(plain, dict)
    return {str(key): value for key, value in plain.items()}


def _wrong(
    override: Override, options: Mapping[str, list[str]], plain: Mapping[str, Any]
) -> str | None:
    """What is wrong with one override, if it is a name."""
    key = str(override.key_or_group)
    if key in options:
        if override.value_type is ValueType.GLOB_CHOICE_SWEEP:
            return None
        sweep = override.is_sweep_override()
        chosen = list(override.sweep_string_iterator()) if sweep else [override.value()]
        unknown = [one for one in chosen if isinstance(one, str) and one not in options[key]]
        if not unknown:
            return None
        return _unknown(f"{key}={unknown[0]}: no such option", unknown[0], options[key])
    if override.is_force_add() or override.is_add() or key.startswith("hydra"):
        return None
    here: Any = plain
    parts = key.split(".")
    for depth, part in enumerate(parts):
        if not isinstance(here, Mapping):
            return None
        if not here:
            return f"{key}: not there yet; write +{key}=... to add it"
        if part not in here:
            known = [*map(str, here), *(options if depth == 0 else ())]
            return _unknown(f"{key}: no such setting", part, known)
        here = here[part]
    return None


def _unknown(what: str, given: str, known: Sequence[str]) -> str:
    return what + (hint(given, known) or f"; known are {', '.join(sorted(known))}")


def _said(error: BaseException) -> str:
    """The library's words, the cause where it names one, on one line."""
    text = str(error)
    if error.__cause__ is not None and str(error.__cause__) not in text:
        text = f"{text}: {error.__cause__}"
    kind = re.match(
        r"Error merging override (.+?)=.*: Value '(.*)' of type .* could not be converted to (\w+)",
        text,
    )
    if kind and kind[3] in _KINDS:
        return f"{kind[1]}: expected {_KINDS[kind[3]]}, got {kind[2]!r}"
    text = re.sub(
        r"See https://\S+ for details|\s(full_key|reference_type|object_type)[:=].*", "", text
    )
    return " ".join(text.split())
