"""Made-up contact rows of people who are known: typing errors, new addresses, and twins."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass

_FIRST = (
    *("Ada", "Alan", "Anna", "Barbara", "Carl", "Clara", "Donald", "Edith", "Emil", "Erika"),
    *("Frida", "Grace", "Hanna", "Hugo", "Ida", "Jan", "Jonas", "Karl", "Klara", "Lena"),
    *("Lisa", "Ludwig", "Maria", "Max", "Mina", "Nora", "Oskar", "Paul", "Rosa", "Theo"),
)
_STEMS = ("Berg", "Brand", "Eich", "Feld", "Gold", "Hoch", "Korn", "Lind", "Mayer", "Neu", "Rosen")
_ENDS = (
    "",
    "acker",
    "auer",
    "bach",
    "baum",
    "burg",
    "er",
    "feld",
    "hof",
    "mann",
    "müller",
    "stein",
)
_COMPANIES = ("Acme", "Borealis", "Cobalt", "Delta", "Ember", "Fjord", "Granite", "Harbor", "Iris")
_FORMS = ("GmbH", "AG", "Inc.", "Ltd")
_MAIL = ("gmail.com", "gmx.de", "web.de")


@dataclass(frozen=True, slots=True)
class PlantedPeople:
    """Contact rows, and the person behind each."""

    rows: tuple[dict[str, str], ...]  # name, e-mail, telephone, company, postcode; empty: not given
    person: tuple[str, ...]


def planted_people(people: int, seed: int, twins: float = 0.05) -> PlantedPeople:
    """Rows of people: half of them have a second one, written by somebody else.

    Second rows have a typing error in the name (40 %), another address (40 %), no telephone
    (30 %), or another postcode (10 %). Twins share everything but first name and address.

    Args:
        people: how many, twins apart.
        seed: fixes all of it.
        twins: share of them who have one.
    """
    rng = random.Random(seed)
    rows: list[dict[str, str]] = []
    person: list[str] = []
    for i in range(people):
        known = [_somebody(rng)]
        if rng.random() < twins:
            known.append(_twin(known[0], rng))
        for j, one in enumerate(known):
            rows.append(one)
            person.append(f"p{i}.{j}")
            if rng.random() < 0.5:
                rows.append(_again(one, rng))
                person.append(f"p{i}.{j}")
    return PlantedPeople(tuple(rows), tuple(person))


def _somebody(rng: random.Random) -> dict[str, str]:
    first, last = rng.choice(_FIRST), rng.choice(_STEMS) + rng.choice(_ENDS)
    company = rng.choice(_COMPANIES) + rng.choice(("", " Foods", " Logistics", " Software"))
    return {
        "first": first,
        "last": last,
        "email": f"{first}.{last}@{company.replace(' ', '-')}.com".lower(),
        "phone": f"+49 {rng.randrange(30, 999)} {rng.randrange(10**6, 10**8)}",
        "company": f"{company} {rng.choice(_FORMS)}",
        "postcode": f"{rng.randrange(1000, 1150) * 10 + rng.randrange(10)}",
    }


def _twin(one: dict[str, str], rng: random.Random) -> dict[str, str]:
    first = rng.choice([name for name in _FIRST if name != one["first"]])
    return {**one, "first": first, "email": f"{first}{rng.randrange(100)}@{_MAIL[0]}".lower()}


def _again(one: dict[str, str], rng: random.Random) -> dict[str, str]:
    row = dict(one)
    if rng.random() < 0.4:
        row["last"] = _mistyped(row["last"], rng)
    if rng.random() < 0.4:
        row["email"] = f"{row['first'][0]}{row['last']}@{rng.choice(_MAIL)}".lower()
    if rng.random() < 0.3:
        row["phone"] = ""
    else:
        row["phone"] = row["phone"].replace("+49 ", "0").replace(" ", "-")
    if rng.random() < 0.1:
        row["postcode"] = f"{rng.randrange(1000, 1150) * 10}"
    return row


def _mistyped(text: str, rng: random.Random) -> str:
    at = rng.randrange(1, len(text) - 1)
    changed: Sequence[str] = (
        text[:at] + text[at + 1 :],
        text[:at] + text[at + 1] + text[at] + text[at + 2 :],
        text[:at] + rng.choice("aeinrst") + text[at + 1 :],
    )
    return rng.choice(changed)
