"""Figures of what policies earn and how far the log carries them."""

from __future__ import annotations

from dataclasses import dataclass

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, MaxNLocator, NullFormatter

from nurture_rl.report import drawing
from nurture_rl.report.headline import world_value
from nurture_rl.report.numbers import Bounded, shortened
from nurture_rl.report.ope_source import refusing
from nurture_rl.report.source import ReportInput, mapping, number, numbers, pick
from nurture_rl.report.value_tables import judge_of

NAME_LENGTH = 26  # characters of a policy's name beside an axis
LEAST_ESS = 100.0  # episodes below which estimates are refused by default
MARGIN = 0.06  # of the range, left free at both ends
PALE = 0.35  # opacity of what the log says of a policy that it does not carry


@dataclass(frozen=True, slots=True)
class Judge:
    """One series of the forest plot."""

    kind: str
    label: str
    colour: str
    marker: str
    trusted: bool  # its interval sets the axis; others may leave it
    by_log: bool  # its answer is to be believed only where the log carries the policy


JUDGES = (
    Judge("dr", "log: doubly robust", drawing.BLUE, "o", True, True),
    Judge("snips", "log: self-normalised", drawing.SKY, "s", False, True),
    Judge("ips", "log: weighting", drawing.GREY, "v", False, True),
    Judge("dm", "log: model alone", drawing.PURPLE, "^", False, True),
    Judge("simulator", "simulator", drawing.ORANGE, "D", True, False),
    Judge("truth", "truth", drawing.INK, "*", True, False),
)


@dataclass(frozen=True, slots=True)
class Answer:
    """What one judge says of a policy."""

    judge: Judge
    value: float
    lower: float | None
    upper: float | None
    believed: bool  # False: the log does not carry the policy


def values(source: ReportInput) -> bytes | None:
    """Forest plot: each policy's value by every judge."""
    rows = [(name, _answers(source, name)) for name in source.policies]
    rows = [(name, answers) for name, answers in rows if answers]
    limits = axis_limits(source)
    if not rows or limits is None:
        return None

    def paint(figure: Figure) -> None:
        axes = figure.subplots()
        for place, (_, answers) in enumerate(rows):
            _paint_row(axes, place, answers, limits)
        _reference_line(axes, source)
        axes.set_yticks(range(len(rows)), [shortened(name, NAME_LENGTH) for name, _ in rows])
        axes.set_ylim(len(rows) - 0.5, -0.5)
        axes.set_xlim(*limits)
        axes.grid(axis="y", visible=False)
        for place in range(1, len(rows)):
            axes.axhline(place - 0.5, color="#E4E7EB", linewidth=1.0)
        axes.set_xlabel(f"{source.unit} {source.per}")
        _legend(figure, axes, [answer for _, answers in rows for answer in answers])

    return drawing.draw("values", 1.5 + 0.78 * len(rows), paint)


def overlap(source: ReportInput) -> bytes | None:
    """Effective sample size by policy, and how it shrinks along an episode."""
    policies = mapping(source.ope, "policies")
    sizes = {name: number(policy, "overlap", "ess") for name, policy in policies.items()}
    known = {name: max(size, 0.5) for name, size in sizes.items() if size is not None}
    if not known:
        return None
    chosen = dict.fromkeys(name for name in (source.candidate, source.reference) if name)
    paths = {name: numbers(policies.get(name), "overlap", "ess_by_step") for name in chosen}
    long = {name: path for name, path in paths.items() if len(path) > 1}

    def paint(figure: Figure) -> None:
        grid = figure.subplots(1, 2 if long else 1, squeeze=False)[0]
        _paint_sizes(grid[0], known, number(source.ope, "n_episodes"))
        if long:
            _paint_paths(grid[1], long, source)

    return drawing.draw("overlap", max(2.6, 1.2 + 0.34 * len(known)), paint)


def axis_limits(source: ReportInput) -> tuple[float, float] | None:
    """Ends of the value figure's axis; None where nothing has a value.

    Whole intervals of the trusted judges and bare values of the others set it, as far as the log
    carries the policy: what nobody can judge may leave it.
    """
    answers = [answer for name in source.policies for answer in _answers(source, name)]
    judged = [answer for answer in answers if answer.believed] or answers
    ends = [judge_of(source).value("logged").value]
    for answer in judged:
        ends.append(answer.value)
        ends += [answer.lower, answer.upper] if answer.judge.trusted and answer.believed else []
    known = [end for end in ends if end is not None]
    if not answers:
        return None
    width = max(known) - min(known) or abs(known[0]) or 1.0
    return min(known) - MARGIN * width, max(known) + MARGIN * width


def _answers(source: ReportInput, name: str) -> list[Answer]:
    """What every judge that knows the policy says of it."""
    policy = pick(source.ope, "policies", name)
    told = not refusing(judge_of(source), name)
    carried = pick(policy, "overlap", "feasible") is not False
    answers = []
    for judge in JUDGES:
        if judge.by_log:
            one = judge_of(source).estimate(name, judge.kind) if told else Bounded(None)
        else:
            one = world_value(source, judge.kind, name)
        if one.value is not None:
            sound = carried or not judge.by_log
            answers.append(Answer(judge, one.value, one.lower, one.upper, sound))
    return answers


def _paint_row(axes: Axes, place: int, answers: list[Answer], limits: tuple[float, float]) -> None:
    for order, answer in enumerate(answers):
        y = place + (order - (len(answers) - 1) / 2) * 0.8 / len(JUDGES)
        judge, alpha = answer.judge, 1.0 if answer.believed else PALE
        low = answer.value if answer.lower is None else answer.lower
        high = answer.value if answer.upper is None else answer.upper
        seen = max(low, limits[0]), min(high, limits[1])
        if low < high and seen[0] < seen[1]:
            axes.plot(seen, [y, y], color=judge.colour, linewidth=1.8, alpha=alpha, zorder=2)
        for end, beyond, mark in (
            (limits[0], low < limits[0], "<"),
            (limits[1], high > limits[1], ">"),
        ):
            if beyond:  # the interval goes on beyond the axis
                axes.plot(
                    end, y, mark, color=judge.colour, markersize=6, alpha=alpha, clip_on=False
                )
        axes.plot(
            answer.value,
            y,
            judge.marker,
            color=judge.colour,
            markersize=10 if judge.marker == "*" else 6,
            markeredgecolor="white",
            markeredgewidth=0.6,
            alpha=alpha,
            zorder=3,
        )


def _reference_line(axes: Axes, source: ReportInput) -> None:
    logged = judge_of(source).value("logged")
    if logged.value is not None:
        axes.axvline(logged.value, color=drawing.INK, linewidth=1.0, linestyle=(0, (4, 3)))


def _legend(figure: Figure, axes: Axes, answers: list[Answer]) -> None:
    kinds = {answer.judge.kind for answer in answers}
    for judge in JUDGES:
        if judge.kind in kinds:
            axes.plot([], [], judge.marker, color=judge.colour, linestyle="-", label=judge.label)
    if not all(answer.believed for answer in answers):
        label = "pale: the log does not carry it"
        axes.plot([], [], "o", color=drawing.BLUE, linestyle="-", alpha=PALE, label=label)
    axes.plot([], [], color=drawing.INK, linestyle=(0, (4, 3)), label="the log's own mean")
    drawing.legend_below(figure, axes, 4)


def _paint_sizes(axes: Axes, known: dict[str, float], episodes: float | None) -> None:
    names, sizes = list(known), list(known.values())
    colours = [drawing.BLUE if size >= LEAST_ESS else drawing.VERMILION for size in sizes]
    axes.barh(range(len(names)), sizes, color=colours, height=0.62)
    axes.set_yticks(range(len(names)), [shortened(name, NAME_LENGTH) for name in names])
    axes.invert_yaxis()
    axes.set_xscale("log")
    axes.set_xlim(0.5, 2.0 * max(*sizes, episodes or 1.0, LEAST_ESS))
    axes.axvline(LEAST_ESS, color=drawing.INK, linewidth=1.0, linestyle=(0, (4, 3)))
    axes.xaxis.set_major_formatter(_whole)
    axes.grid(axis="y", visible=False)
    axes.set_title("Effective sample size")
    axes.set_xlabel("episodes, logarithmic; dashed: 100 needed")


def _paint_paths(axes: Axes, paths: dict[str, list[float | None]], source: ReportInput) -> None:
    styles = ((drawing.BLUE, "-"), (drawing.ORANGE, "--"))
    for (name, path), (colour, dash) in zip(paths.items(), styles, strict=False):
        known = [(step, size) for step, size in enumerate(path) if size is not None and size > 0]
        kind = "candidate" if name == source.candidate else "reference"
        axes.plot(*zip(*known, strict=True), color=colour, linestyle=dash, label=kind)
    axes.set_yscale("log")
    axes.yaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.yaxis.set_major_formatter(_whole)
    axes.yaxis.set_minor_formatter(NullFormatter())
    axes.set_title("Along an episode")
    axes.set_xlabel("decision")
    axes.set_ylabel("effective episodes")
    axes.legend()


def _whole(value: float, position: float) -> str:
    """Tick labels of a logarithmic axis; the default ones need mathematical text."""
    return f"{value:,.0f}" if value >= 1.0 else f"{value:g}"
