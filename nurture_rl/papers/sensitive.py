"""Attributes that a policy must not decide by: a closed list of names, and where a journey has one.

The list follows article 9 of the GDPR (special categories of personal data), article 10 (criminal
convictions) and article 21 of the Charter of Fundamental Rights of the European Union (grounds of
discrimination). Names are English; an attribute in another language is told by naming it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from nurture_envs.journey import Journey

# What it is -> words of names, several joined by underscores.
_WORDS: Mapping[str, tuple[str, ...]] = {
    "race or ethnic origin": (
        *("race", "racial", "ethnic", "ethnicity", "skin", "ancestry"),
        *("national_origin", "country_of_birth", "place_of_birth"),
    ),
    "political opinion": ("politics", "political"),
    "religion or belief": ("religion", "religious", "belief", "faith", "confession", "church"),
    "trade union membership": ("trade_union", "union_member", "labour_union", "labor_union"),
    "genetic data": ("genetic", "genetics", "genome", "dna"),
    "biometric data": ("biometric", "biometrics", "fingerprint", "retina", "iris_scan"),
    "health": (
        *("health", "medical", "disease", "illness", "diagnosis", "disability", "handicap"),
        *("pregnant", "pregnancy", "medication", "sick_days", "sick_leave"),
    ),
    "sex life or orientation": ("sexual", "sexuality", "lgbt", "lgbtq"),
    "sex or gender": ("sex", "gender", "pronoun", "pronouns", "salutation", "maiden_name"),
    "age": ("age", "birth", "birthday", "birthdate", "birthyear", "dob"),
    "nationality": (
        "nationality",
        "citizenship",
        "citizen",
        "passport",
        "immigrant",
        "visa_status",
    ),
    "criminal convictions": ("criminal", "conviction", "convictions", "offence", "offense"),
    "family": ("marital", "marriage", "married", "family_status", "children", "civil_status"),
    "wealth of a person": ("salary", "personal_income", "household_income", "credit_score"),
    "language": ("mother_tongue", "native_language"),
}
# Words that say the name is of a thing and no person: the age of an account is nobody's.
_THINGS = frozenset({"account", "company", "contract", "deal", "domain", "record", "trial"})
# What such things have; a lead has an age as a record, a customer a state of health as an account.
_THINGS_HAVE = {
    "age": _THINGS | {"lead"},
    "health": _THINGS | {"lead", "customer"},
    "birth": _THINGS,
}


@dataclass(frozen=True, slots=True)
class NamedSensitive:
    """A name of a journey that stands for something sensitive."""

    where: str  # the key of the journey file
    kind: str  # what it is, by the list


def sensitive_kind(name: str) -> str | None:
    """What sensitive thing a name stands for; None: nothing on the list."""
    spaced = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name)
    words = [word for word in re.split(r"[^a-z0-9]+", spaced.lower()) if word]
    whole = f"_{'_'.join(words)}_"
    for kind, listed in _WORDS.items():
        for word in listed:
            if f"_{word}_" not in whole:
                continue
            if _THINGS_HAVE.get(word, frozenset()).intersection(words):
                continue
            return kind
    return None


def named_sensitive(journey: Journey) -> tuple[NamedSensitive, ...]:
    """Features that are sensitive by their names, or by what they look at."""
    return tuple(_named(journey))


def _named(journey: Journey) -> Iterator[NamedSensitive]:
    signals = {signal.name: signal for signal in journey.signals}
    for feature in journey.features:
        names = {f"features.{feature.name}": feature.name}
        if feature.attribute:
            names[f"features.{feature.name}.attribute"] = feature.attribute
        for channel in (*feature.of, *feature.over, *feature.until):
            signal = signals[channel.removesuffix(".value")]
            for column in ("type", "topic", "page_category", "stage"):
                value = getattr(signal, column)
                names |= {f"signals.{signal.name}.{column}": value} if value else {}
        for where, name in names.items():
            kind = sensitive_kind(name)
            if kind is not None:
                yield NamedSensitive(f"{where} (`{name}`)", kind)
