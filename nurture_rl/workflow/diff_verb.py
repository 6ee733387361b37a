"""The verb `diff`: what a later journey or bundle does otherwise, and what it no longer forbids."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from nurture_envs.journey_file import load_journey
from nurture_rl.papers.compared_limits import EFFECTS
from nurture_rl.papers.comparing import ComparedSide, JourneyDifference, difference
from nurture_rl.release.bundle import load_bundle
from nurture_rl.release.manifest import MANIFEST
from nurture_rl.verb_result import VerbResult

_LOOSENED = 3  # exit code where a guardrail forbids less


@dataclass(frozen=True, slots=True)
class DiffOptions:
    """What is compared: a bundle's folder, a journey file, or the name of a shipped journey."""

    before: str  # what was
    after: str  # what is


def diff(options: DiffOptions) -> VerbResult:
    """The verb `diff`; its exit code is `_LOOSENED` where a guardrail forbids less, or may.

    Raises:
        NurtureError: one of both is neither a bundle nor a journey.
    """
    found = difference(*(_side(name) for name in (options.before, options.after)))
    for line in _lines(found):
        print(line)
    made: dict[str, Any] = {
        "loosened": len(found.loosened),
        "guardrails": [asdict(one) for one in found.guardrails],
        "sections": {title: list(lines) for title, lines in found.sections},
    }
    return VerbResult(made, _LOOSENED if found.loosened else 0)


def _side(name: str) -> ComparedSide:
    folder = Path(name)
    if (folder / MANIFEST).is_file():
        bundle = load_bundle(folder)
        return ComparedSide(bundle.journey, bundle)
    return ComparedSide(load_journey(name))


def _lines(found: JourneyDifference) -> list[str]:
    words = {
        "loosened": "Guardrails that forbid LESS:",
        "changed": "Guardrails that nobody can tell to forbid as much:",
        "tightened": "Guardrails that forbid more:",
    }
    lines: list[str] = []
    for effect in EFFECTS:
        some = [one for one in found.guardrails if one.effect == effect]
        lines += [words[effect]] if some else []
        lines += [f"  {one.guardrail}: {one.says}" for one in some]
    for title, sentences in found.sections:
        lines += [f"{title}:", *(f"  {sentence}" for sentence in sentences)]
    return lines or ["No difference."]
