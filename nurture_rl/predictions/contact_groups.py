"""Contacts in groups: by an attribute that the log has, or by what was found out about them."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from nurture_envs.features.spec import attribute_number, is_given
from nurture_rl.errors import ConfigError
from nurture_rl.features.bins import DecidedContacts
from nurture_rl.predictions.log_episodes import LogEpisodes

IntArray = NDArray[np.int64]
NOBODY = -1  # group of who is in none
_LEVELS = 6  # groups by an attribute, the largest ones; the others are one together
_OTHER, _UNKNOWN = "other", "not known"


@dataclass(frozen=True, slots=True, eq=False)
class ContactGroups:
    """Groups of the contacts of a log."""

    by: str  # what tells them apart, in words
    group: IntArray  # of each episode, `NOBODY` where it is in none, [e]
    names: tuple[str, ...]
    from_day: float  # of the episode, from which on it is known who is in which


def groups_by_attribute(
    attribute: str, about: DecidedContacts, episodes: LogEpisodes
) -> ContactGroups:
    """Contacts by the level of an attribute; numbers of many values by thirds.

    Raises:
        ConfigError: no contact has it.
    """
    given = [row.get(attribute) for row in about.attributes]
    if not any(map(is_given, given)):
        known = sorted({name for row in about.attributes for name in row})
        raise ConfigError(
            f"by: expected an attribute of the log's contacts, got {attribute!r}; "
            f"they have {', '.join(known) or 'none'}"
        )
    numbers = [attribute_number(value) if is_given(value) else None for value in given]
    said = [str(value) if is_given(value) else _UNKNOWN for value in given]
    read = [number for number in numbers if number is not None]
    if len(read) == sum(map(is_given, given)) and len(set(read)) > _LEVELS:
        low, high = np.quantile(read, [1 / 3, 2 / 3]).tolist()
        names: tuple[str, ...] = (f"up to {low:g}", f"up to {high:g}", f"above {high:g}", _UNKNOWN)
        of = [3 if one is None else int(one > low) + int(one > high) for one in numbers]
    else:
        some = Counter(value for value in said if value != _UNKNOWN).most_common(_LEVELS)
        levels = sorted(name for name, _ in some)
        names = (*levels, _OTHER, _UNKNOWN)
        places = {name: place for place, name in enumerate(levels)} | {_UNKNOWN: len(levels) + 1}
        of = [places.get(value, len(levels)) for value in said]
    group = np.array(of, np.int64)[episodes.contact]
    return ContactGroups(f"attribute {attribute}", group, names, 0.0)
