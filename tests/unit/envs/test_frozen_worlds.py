"""Parameters of the reference worlds stand still, and the docs say of each where it comes from."""

from __future__ import annotations

import hashlib
import json
import re
import sys
from collections.abc import Mapping
from dataclasses import asdict, fields, is_dataclass
from pathlib import Path
from typing import Any

import pytest

from nurture_envs.worlds import effects, reputation, zones
from nurture_envs.worlds.effects import AccountParams, MailParams
from nurture_envs.worlds.inbound_lead import NULL_LEAD_PARAMS, InboundLeadParams
from nurture_envs.worlds.mail_world import MailWorld
from nurture_envs.worlds.re_engagement import ReEngagementParams
from nurture_envs.worlds.recording import Lateness
from nurture_envs.worlds.reference import REFERENCE_WORLDS, RENEWAL_PARAMS, reference_world
from nurture_envs.worlds.reputation import ReputationParams
from nurture_envs.worlds.stalled_opportunity import StalledOpportunityParams
from nurture_envs.worlds.trial_onboarding import TrialOnboardingParams

PAGE = Path(__file__).parents[3] / "docs" / "worlds-parameters.md"
WORDS = ("title", "provenance")  # of a journey; all else is what policies see, may do and earn
# Of guardrails; no world makes an event of `events`.
SERVED = ("events", "confirm", "account", "volume", "seller_capacity", "served")
FROZEN = {
    "inbound_lead": "00848e7d1f2929d2",
    "stalled_opportunity": "2bea831c47438a07",
    "trial_onboarding": "54f30467c4feaec4",
    "re_engagement": "3be1996d70a7140c",
    "renewal": "75e09c1b65646a7d",
    "null_lead": "6a7cb9815ebcd7cd",
}


def constants(module: Any) -> dict[str, Any]:
    """Numbers and names that a module writes in capitals."""
    found = {name: value for name, value in vars(module).items() if name.strip("_").isupper()}
    plain = (int, float, str, tuple)
    return {name: value for name, value in found.items() if isinstance(value, plain)}


def simulated(guardrails: Mapping[str, Any]) -> dict[str, Any]:
    """Guardrails without what servers alone keep, and what only events of `events` do."""
    never = guardrails.get("events", {})
    found = {key: part for key, part in guardrails.items() if key not in SERVED}
    for key in ("conversation", "conversation_until"):
        if key in found:
            found[key] = {name: part for name, part in found[key].items() if name not in never}
    return found if found.get("conversation_until") else _without(found, "conversation_until")


def _without(parts: Mapping[str, Any], key: str) -> dict[str, Any]:
    return {name: part for name, part in parts.items() if name != key}


def fingerprint(journey: str, changed: Mapping[str, Any] | None = None) -> str:
    """A hash over everything by which a reference world was set, some of its journey changed."""
    world = reference_world(journey)
    assert isinstance(world, MailWorld)
    played = {**world.journey.resolved, **(changed or {})}
    played["guardrails"] = simulated(played["guardrails"])
    parts = {
        "world": type(world).__name__,
        "parameters": asdict(world.params),  # type: ignore[call-overload]
        "constants": [
            constants(module)
            for module in (sys.modules[type(world).__module__], effects, reputation, zones)
        ],
        "journey": {key: part for key, part in played.items() if key not in WORDS},
    }
    text = json.dumps(parts, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


@pytest.mark.parametrize("journey", REFERENCE_WORLDS)
def test_a_world_is_what_it_was(journey: str) -> None:
    assert fingerprint(journey) == FROZEN[journey], (
        f"the world of {journey!r} is another one now: its parameters are frozen, since numbers in "
        "README and docs were measured in it. Undo the change, or give the changed world a new "
        "name; if it must be this one, say what changed and why in CHANGELOG.md and in "
        "docs/worlds-parameters.md, measure those numbers anew, and put the new hash here"
    )


@pytest.mark.parametrize("part", ["messages", "reward", "guardrails", "drip", "rules", "expert"])
def test_what_binds_policies_and_what_they_are_held_against_stands_still_too(part: str) -> None:
    assert fingerprint("inbound_lead", {part: {}}) != fingerprint("inbound_lead")
    assert fingerprint("inbound_lead", {"title": "x"}) == fingerprint("inbound_lead")


def shown(value: Any) -> str:
    if isinstance(value, Lateness):
        return f"mean {value.mean:g}, shape {value.shape:g}, latest {value.latest}"
    return ", ".join(f"{x:g}" for x in value) if isinstance(value, tuple) else f"{value:g}"


def flat(params: Any, prefix: str = "") -> dict[str, str]:
    """Every parameter by its dotted name, as the page shows it."""
    found: dict[str, str] = {}
    for field in fields(params):
        value, name = getattr(params, field.name), prefix + field.name
        nested = is_dataclass(value) and not isinstance(value, Lateness)
        found |= flat(value, f"{name}.") if nested else {name: shown(value)}
    return found


def beside(params: Any, base: Any) -> dict[str, str]:
    """What differs from a base that may lack the parameter."""
    known = flat(base)
    return {name: text for name, text in flat(params).items() if known.get(name) != text}


def of_world(params: Any) -> dict[str, str]:
    """A world's own parameters, and what it has otherwise than the shared records."""
    shared = {"mail": MailParams(), "account": AccountParams(), "reputation": ReputationParams()}
    found: dict[str, str] = {}
    for name, base in shared.items():
        changed = beside(getattr(params, name), base)
        found |= {f"{name}.{field}": text for field, text in changed.items()}
    return found | {name: text for name, text in flat(params).items() if "." not in name}


SECTIONS = {
    "Mail": flat(MailParams()),
    "Accounts": flat(AccountParams()),
    "Reputation": flat(ReputationParams()),
    "Inbound lead": of_world(InboundLeadParams()),
    "Stalled opportunity": of_world(StalledOpportunityParams()),
    "Trial onboarding": of_world(TrialOnboardingParams()),
    "Re-engagement": of_world(ReEngagementParams()),
    "Renewal": beside(RENEWAL_PARAMS, TrialOnboardingParams()),
    "Null world": beside(NULL_LEAD_PARAMS, InboundLeadParams()),
}


@pytest.mark.parametrize("section", SECTIONS)
def test_every_parameter_has_its_value_and_its_source_in_the_docs(section: str) -> None:
    text = PAGE.read_text(encoding="utf-8").split(f"\n## {section}\n")[1].split("\n## ")[0]
    rows = re.findall(r"^\| `(.+?)` \| (.+?) \| (.*?) \|$", text, re.MULTILINE)
    assert {name: value for name, value, _ in rows} == SECTIONS[section]
    assert [name for name, _, source in rows if len(source.split()) < 2] == []
