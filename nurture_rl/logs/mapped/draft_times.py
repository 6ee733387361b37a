"""How a file writes its times, as far as its columns tell; what they do not tell is asked."""

from __future__ import annotations

import re
from collections.abc import Sequence

from nurture_rl.logs.mapped.looking import ColumnLook
from nurture_rl.logs.mapped.translating import ZONED

_HAS_ZONE = re.compile(ZONED)
_FEW_ODD = 0.01  # share of cells that are no times up to which nobody is asked


def how_times_stand(
    moments: Sequence[ColumnLook], times: str | None, zone: str | None, questions: list[str]
) -> dict[str, object]:
    """The keys `times` and `zone` of a mapping.

    Args:
        moments: columns that are read as times.
        times: how they are written, where somebody said so.
        zone: by whose clock, where somebody said so.
        questions: of the mapping; what the columns do not tell is added.
    """
    way = times or _way(moments, questions)
    zoned = way in ("seconds", "milliseconds") or all(
        _HAS_ZONE.search(word) for one in moments for word in one.words
    )
    if zoned:
        return {"times": way}
    if zone is None:
        questions.append(
            f"zone: times such as {moments[0].words[0]!r} name no zone. By which clock were they "
            "written? Write it as zone, such as Europe/Berlin or UTC"
        )
    return {"times": way, "zone": zone or "UTC"}


def as_times(column: ColumnLook) -> str:
    """How far a column can be read as times, in words; nothing where it cannot."""
    if column.times:
        return f"{column.name!r} can be read as times ({' or '.join(column.times)})"
    if column.some_times:
        told = ", ".join(f"{n} of {column.distinct} {way}" for way, n in column.some_times)
        return f"{column.name!r} is written in more than one way ({told}): make it one"
    return ""


def _way(moments: Sequence[ColumnLook], questions: list[str]) -> str:
    ways = [way for way in moments[0].times if all(way in one.times for one in moments)]
    if not ways:
        told = "; ".join(f"{one.name!r} as {' or '.join(one.times)}" for one in moments)
        questions.append(f"times: columns are written in different ways ({told}); take one out")
        return moments[0].times[0]
    if len(ways) > 1:
        told = " or ".join(map(repr, ways))
        questions.append(
            f"times: {moments[0].words[0]!r} may be written as {told}; which one is it?"
        )
    for one in moments:
        if one.odd_cells > _FEW_ODD * one.distinct and one.odd is not None:
            questions.append(
                f"times: {one.odd_cells} of {one.distinct} different cells of {one.name!r} are not "
                f"written as {ways[0]}, such as {one.odd!r}; their rows would be set aside. Write "
                "all in one way, or take this question out"
            )
    return ways[0]
