"""What policies earn in each member of the learned world: a table and a figure."""

from __future__ import annotations

from matplotlib.figure import Figure

from nurture_rl.report import drawing
from nurture_rl.report.headline import world_difference, world_value
from nurture_rl.report.numbers import MISSING, Bounded, count, shortened, shown
from nurture_rl.report.source import ReportInput, mapping, number, numbers, pick
from nurture_rl.report.tables import Table
from nurture_rl.report.value_tables import role

_NAME_LENGTH = 26  # characters of a policy's name beside an axis


def members(source: ReportInput) -> Table:
    """Value and difference over the members and in the worst of them; no rows for a single one."""
    policies = mapping(source.evaluation, "simulator", "policies")
    rows = tuple(
        (
            role(source, name),
            world_value(source, "simulator", name).shown(),
            _range(numbers(row, "by_member", "value")),
            shown(number(row, "worst", "value")),
            *_differences(source, name),
        )
        for name, row in policies.items()
    )
    less = f"less {source.reference}"
    columns = (
        "Policy",
        "Over all members",
        "By member",
        "Worst",
        less,
        "Its spread over members",
        f"Worst {less}",
    )
    caption = f"Value in the members of the learned world, {source.unit} {source.per}"
    return Table(caption, columns, rows if _size(source) > 1 else ())


def worst_quantile(source: ReportInput) -> str:
    """The quantile that counts as the worst, in words."""
    share = number(source.evaluation, "simulator", "worst_quantile")
    percent = "" if share is None else f"{100 * share:.3g} % quantile over members"
    return f"{percent} (of up to ten, the lowest)" if _size(source) <= 10 else percent


def member_values(source: ReportInput) -> bytes | None:
    """Strips: each policy's difference to the reference by member."""
    policies = mapping(source.evaluation, "simulator", "policies")
    rows = [
        (name, dots)
        for name, row in policies.items()
        if name != source.reference
        and (dots := [x for x in numbers(row, "by_member", "difference") if x is not None])
    ]
    if _size(source) < 2 or not rows:
        return None

    def paint(figure: Figure) -> None:
        axes = figure.subplots()
        for place, (name, dots) in enumerate(rows):
            difference = world_difference(source, "simulator", name)
            if difference.lower is not None and difference.upper is not None:
                axes.plot(
                    [difference.lower, difference.upper],
                    [place, place],
                    color=drawing.ORANGE,
                    linewidth=5.0,
                    alpha=0.45,
                    solid_capstyle="butt",
                )
            axes.plot(dots, [place] * len(dots), "o", color=drawing.BLUE, alpha=0.75)
            axes.plot(min(dots), place, "o", color=drawing.VERMILION)
        axes.axvline(0.0, color=drawing.INK, linewidth=1.0, linestyle=(0, (4, 3)))
        axes.set_yticks(range(len(rows)), [shortened(name, _NAME_LENGTH) for name, _ in rows])
        axes.set_ylim(len(rows) - 0.5, -0.5)
        axes.grid(axis="y", visible=False)
        axes.set_xlabel(f"{source.unit} {source.per} less {source.reference}")
        axes.plot([], [], "o", color=drawing.BLUE, label=f"{count(_size(source))} members")
        axes.plot([], [], "o", color=drawing.VERMILION, label="the lowest of them")
        axes.plot([], [], color=drawing.ORANGE, alpha=0.45, linewidth=5.0, label="interval")
        drawing.legend_below(figure, axes, 3)

    return drawing.draw("members", 1.3 + 0.45 * len(rows), paint)


def _differences(source: ReportInput, name: str) -> tuple[str, str, str]:
    """Pooled, spread and worst difference; none of the reference to itself."""
    if name == source.reference:
        return (MISSING,) * 3
    row = pick(source.evaluation, "simulator", "policies", name)
    return (
        world_difference(source, "simulator", name).shown(signed=True),
        shown(number(row, "difference_between")),
        _worst(row).shown(signed=True),
    )


def _size(source: ReportInput) -> int:
    return int(number(source.evaluation, "simulator", "members") or 1)


def _range(values: list[float | None]) -> str:
    known = [value for value in values if value is not None]
    if not known:
        return shown(None)
    return f"{shown(min(known))} to {shown(max(known))}"


def _worst(row: object) -> Bounded:
    keys = ("difference", "difference_lower", "difference_upper")
    return Bounded(*(number(pick(row, "worst"), key) for key in keys))
