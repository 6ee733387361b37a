"""Completion in a shell: verbs, options, config groups with their options, and settings."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from nurture_rl.cli.configs import groups
from nurture_rl.cli.keys import keys_of
from nurture_rl.cli.loading import load
from nurture_rl.cli.verb_record import REFUSED
from nurture_rl.cli.verbs import VERBS

_OPTIONS = ("--help", "--json", "--multirun", "--cfg", "--config-dir")
_BASH = """\
_nurture() {
  local IFS=$'\\n' word="${COMP_LINE:0:COMP_POINT}"
  local typed="${word##* }"
  COMPREPLY=($(nurture completion words "$word"))
  [[ "$typed" == *=* ]] && COMPREPLY=("${COMPREPLY[@]#"${typed%=*}="}")
  [[ "${COMPREPLY[*]}" == *= ]] && compopt -o nospace
}
complete -F _nurture nurture"""
_ZSH = "autoload -U +X bashcompinit && bashcompinit\n" + _BASH
_SHELLS = {"bash": _BASH, "zsh": _ZSH}


def completion(words: Sequence[str]) -> int:
    """`nurture completion bash|zsh` prints a script; `completion words LINE` answers it."""
    if list(words[:1]) == ["words"]:
        print(*completed("".join(words[1:2])), sep="\n")
        return 0
    if len(words) != 1 or words[0] not in _SHELLS:
        given = " ".join(words) or "nothing"
        print(
            f"nurture completion: expected one of {', '.join(_SHELLS)}, got {given}; "
            'write eval "$(nurture completion bash)"',
            file=sys.stderr,
        )
        return REFUSED
    print(_SHELLS[words[0]])
    return 0


def completed(line: str) -> list[str]:
    """What the last word of a line may become.

    Args:
        line: what is typed, up to the cursor, from `nurture` on.
    """
    typed = line.split(" ")[1:]
    if len(typed) <= 1:
        return _beginning(typed[-1] if typed else "", [*VERBS, "completion", "--help", "--version"])
    if typed[0] not in VERBS:
        return []
    verb, last = VERBS[typed[0]], typed[-1]
    key, equals, value = last.partition("=")
    options = groups() if verb.composed else {}
    if equals and key in options:
        before, comma, part = value.rpartition(",")
        return [f"{key}={before}{comma}{one}" for one in _beginning(part, options[key])]
    if equals:
        return []
    names = [f"{name}=" for name in options]
    names += [f"{one.name}=" for one in keys_of(load(verb.settings))]
    return _beginning(last, [*names, *_OPTIONS])


def _beginning(text: str, words: Sequence[str]) -> list[str]:
    return [word for word in words if word.startswith(text)]
