"""What a journey is for, read from its file: key figures, and limits on harms."""

from __future__ import annotations

from nurture_envs.fields import Fields, channels_of
from nurture_envs.journey import LIMIT_UNITS, HarmLimit, Kpi


def read_kpis(f: Fields, known: list[str]) -> tuple[Kpi, Kpi, Kpi]:
    """The north star and the two supporting ones; problems go to `f`."""
    north_star = _kpi(f.mapping("north_star"), known)
    supporting = [_kpi(one, known) for one in f.mappings("supporting")]
    if len(supporting) != 2:
        f.problem("supporting", f"expected exactly 2 supporting KPIs, got {len(supporting)}")
        supporting = [*supporting, north_star, north_star][:2]
    f.finish()
    return north_star, supporting[0], supporting[1]


def _kpi(f: Fields, known: list[str]) -> Kpi:
    kpi = Kpi(
        f.text("name"), channels_of(f, "of", known), f.text("better", "higher", ("higher", "lower"))
    )
    f.finish()
    return kpi


def read_limit(name: str, f: Fields, known: list[str]) -> HarmLimit:
    """A harm, and how much of it is acceptable; problems go to `f`."""
    limit = HarmLimit(
        name=name,
        of=channels_of(f, "of", [channel for channel in known if ".value" not in channel]),
        per=f.text("per", "contact", among=LIMIT_UNITS),
        at_most=f.number("at_most", low=0.0) if f.has("at_most") else None,
        above_reference=(
            f.number("above_reference", low=0.0) if f.has("above_reference") else None
        ),
    )
    if limit.at_most is None and limit.above_reference is None:
        f.problem("at_most", "expected a number, or above_reference; a limit without one is none")
    f.finish()
    return limit
