"""The help pages: what there is to do, and what each verb can be told."""

from __future__ import annotations

import textwrap

from nurture_rl.cli.configs import groups
from nurture_rl.cli.keys import keys_of
from nurture_rl.cli.loading import load
from nurture_rl.cli.verb_record import Verb
from nurture_rl.cli.verbs import VERBS

_WIDTH = 100
_OPTIONS = """\
  --json            one line of JSON on stdout that says what was made; everything else on stderr
  --multirun        one job for every combination of values: seed=0,1 policy=ppo,drip
  --cfg job         print the composed settings and do nothing
  --config-dir DIR  a folder of your own beside configs/: DIR/data/mine.yaml is data=mine
  --help            this page"""


def overview() -> str:
    """What `nurture --help` prints."""
    width = max(map(len, VERBS))
    verbs = "\n".join(f"  {name:<{width}}  {verb.summary}" for name, verb in VERBS.items())
    return (
        "nurture VERB key=value ...\n\n"
        "From contact logs to decisions that a sender can rely on. `nurture VERB --help` says\n"
        "what a verb reads, makes and can be told.\n\n"
        f"{verbs}\n\n"
        "  completion bash|zsh  prints what a shell needs to complete the words above\n"
        "  --version            the installed version\n\n"
        "A first run, about a minute: nurture pipeline experiment=small"
    )


def page(verb: Verb) -> str:
    """What `nurture VERB --help` prints."""
    parts = [
        f"nurture {verb.name}: {verb.summary}",
        f"reads  {verb.reads}\nmakes  {verb.makes}",
        "examples\n" + "\n".join(f"  {line}" for line in verb.examples),
    ]
    if verb.composed:
        options = "\n".join(_wrapped(f"{name}=", ", ".join(o)) for name, o in groups().items())
        parts.append(f"config groups\n{options}")
    parts.append(f"settings\n{_settings(verb)}")
    parts.append("options\n" + (_OPTIONS if verb.composed else _OPTIONS.splitlines()[0]))
    codes = "\n".join(f"  {code}  {text}" for code, text in verb.exit_codes.items())
    parts.append(f"exit codes; of a sweep the worst\n{codes}")
    return "\n\n".join(parts)


def _settings(verb: Verb) -> str:
    lines = []
    for key in keys_of(load(verb.settings)):
        default = "needed" if key.default is None else f"default {key.default}"
        lines.append(_wrapped(key.name, f"{key.text} [{key.kind}; {default}]".strip()))
    return "\n".join(lines)


def _wrapped(name: str, text: str, indent: int = 28) -> str:
    """A name and, beside or below it, its text."""
    head = f"  {name}"
    first = head.ljust(indent) if len(head) < indent else f"{head}\n{' ' * indent}"
    body = textwrap.wrap(text, _WIDTH - indent, break_long_words=False, break_on_hyphens=False)
    return first + f"\n{' ' * indent}".join(body)
