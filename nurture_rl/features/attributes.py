"""What contacts' attributes say, held against what the journey's features want of them."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from nurture_envs.features import FeatureSpec
from nurture_envs.features.spec import attribute_number, is_given
from nurture_envs.journey import Journey
from nurture_rl.features.bins import DecidedContacts
from nurture_rl.wording import counted


def unreadable_numbers(about: DecidedContacts, journey: Journey) -> Iterator[tuple[str, str]]:
    """Contacts with an attribute that should be a number but is not, each with the reason."""
    numbers = [f for f in journey.features if f.kind == "attribute" and not f.levels]
    for place, attributes in enumerate(about.attributes):
        for feature in numbers:
            value = attributes.get(feature.attribute)
            if is_given(value) and attribute_number(value) is None:
                who = str(about.ids[place].as_py())
                yield (
                    who,
                    f"bad attribute: {feature.attribute!r} of contact {who!r} is {value!r}; write "
                    "a number that 32 bits hold, or leave it out",
                )


def unknown_levels(about: DecidedContacts, journey: Journey) -> list[str]:
    """A sentence for each attribute whose values, over all contacts, match no declared level."""
    spec = FeatureSpec.of(journey)
    encoded = spec.encode_attributes(about.attributes)
    notes, start = [], 0
    for feature in journey.features:
        if feature.kind != "attribute":
            continue
        width = len(spec.names(feature))
        values = [row.get(feature.attribute) for row in about.attributes]
        given = [value for value in values if is_given(value)]
        if feature.levels and given and not np.any(encoded[:, start : start + width]):
            notes.append(
                f"attribute {feature.attribute!r} of {counted(len(given), 'contact')} is at none "
                f"of its levels {', '.join(feature.levels)} (the first is {given[0]!r}): its "
                "columns are all 0"
            )
        start += width
    return notes
