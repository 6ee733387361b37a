"""`nurture VERB key=value ...`: the one way in."""

from __future__ import annotations

import atexit
import gc
import os
import sys
from collections.abc import Sequence
from importlib.metadata import version

from nurture_envs.fields import hint
from nurture_rl.cli.verb_record import DONE, REFUSED
from nurture_rl.cli.verbs import VERBS

# Imports make a million objects that stay. To look through them for garbage at every 700 new ones,
# as Python does, takes a second of each command.
_NEW_OBJECTS = 10_000
_HELP = ("--help", "-h", "help")


def main(argv: Sequence[str] | None = None) -> int:
    """Do what the command line says.

    Args:
        argv: the words after `nurture`; None for those of this process.

    Returns:
        The exit code, of the verb's own or of `EXIT_CODES`.
    """
    gc.set_threshold(_NEW_OBJECTS)
    atexit.register(gc.freeze)  # a last look, as the process ends, would take two
    try:
        code = _done(list(sys.argv[1:] if argv is None else argv))
        sys.stdout.flush()
        return code
    except BrokenPipeError:  # whoever read has enough, as `nurture ope --help | head` does
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return DONE


def _done(words: list[str]) -> int:
    if words[1:] and words[0] in _HELP:  # `nurture help ope` is `nurture ope --help`
        words = [words[1], "--help"]
    if not words or words[0] in _HELP:
        from nurture_rl.cli.pages import overview

        print(overview())
        return 0
    name, rest = words[0], words[1:]
    if name == "--version":
        print(f"nurture {version('nurture-rl')}")
        return 0
    if name == "completion":
        from nurture_rl.cli.completion import completion

        return completion(rest)
    if name not in VERBS:
        known = ", ".join(VERBS)
        print(f"nurture: no verb {name!r}{hint(name, VERBS)} (verbs: {known})", file=sys.stderr)
        return REFUSED
    verb = VERBS[name]
    if any(word in ("--help", "-h") for word in rest):
        from nurture_rl.cli.pages import page

        print(page(verb))
        return 0
    as_json = "--json" in rest
    rest = [word for word in rest if word != "--json"]
    if verb.composed:
        from nurture_rl.cli.composed import run_composed

        return run_composed(verb, rest, as_json)
    from nurture_rl.cli.plain import run_plain

    return run_plain(verb, rest, as_json)
