"""Tuned rules as people read them: which rules the search found, and which dials it turned."""

from __future__ import annotations

from dataclasses import dataclass

from nurture_rl.report.numbers import MISSING, counted, shown
from nurture_rl.report.source import ReportInput, listed, mapping, number, pick, words
from nurture_rl.report.tables import Table


@dataclass(frozen=True, slots=True)
class TunedRulesTable:
    """What the page says of one policy of tuned rules."""

    name: str
    sentence: str
    rules: Table
    dials: Table


def tuned_rules(source: ReportInput) -> tuple[TunedRulesTable, ...]:
    """The rules of every policy whose rules were searched in the learned world."""
    return tuple(
        TunedRulesTable(
            name, _sentence(source, search), _rules(name, search), _dials(source, search)
        )
        for name, search in source.tuned.items()
    )


def _sentence(source: ReportInput, search: object) -> str:
    setting, dials = mapping(search, "setting"), listed(search, "dials")
    turned = [dial for dial in dials if _turned(setting, dial)]
    tried = {(words(one, "base"), repr(pick(one, "setting"))) for one in listed(search, "trials")}
    ratio = number(search, "spec", "max_ratio")
    kept = (
        ""
        if ratio is None
        else f" The policy follows them within a ratio of {ratio:g} to the logging policy, so that "
        "the log can judge it."
    )
    return (
        f"The base `{words(search, 'base')}` with {len(turned)} of {counted(len(dials), 'dial')} "
        f"turned: what was left after {counted(len(tried), 'change was', 'changes were')} tried in "
        "the learned world. There the rules below earn "
        f"{shown(number(search, 'value'))} ± {shown(number(search, 'stderr'))} {source.unit} "
        f"{source.per}, a little too much: they were chosen by it.{kept}"
    )


def _rules(name: str, search: object) -> Table:
    rows = [
        (str(place), _condition(mapping(rule, "when")), f"`{words(rule, 'do')}`")
        for place, rule in enumerate(listed(search, "program", "rules"), start=1)
    ]
    rows.append(("else", "no rule above matches", f"`{words(search, 'program', 'otherwise')}`"))
    caption = f"The rules of “{name}”: the first that matches decides"
    return Table(caption, ("Rule", "When", "Do"), tuple(rows), frozenset({1, 2}))


def _condition(when: object) -> str:
    parts = [f"`{feature} {limit}`" for feature, limit in mapping(when).items()]
    return " and ".join(parts) or "always"


def _dials(source: ReportInput, search: object) -> Table:
    setting = mapping(search, "setting")
    rows = tuple(
        (
            words(dial, "name") or MISSING,
            words(dial, "meaning") or MISSING,
            str(setting[str(pick(dial, "name"))]) if _turned(setting, dial) else "as in the base",
            _gain(search, dial),
        )
        for dial in listed(search, "dials")
    )
    columns = ("Dial", "What it sets", "Set to", "Gain when it was turned")
    caption = f"The dials, {source.unit} {source.per} in the learned world"
    return Table(caption, columns, rows, frozenset({1, 2}))


def _turned(setting: object, dial: object) -> bool:
    """Whether a dial stands elsewhere than at its first choice."""
    name, choices = words(dial, "name") or "", listed(dial, "choices")
    return name in mapping(setting) and mapping(setting)[name] != choices[0]


def _gain(search: object, dial: object) -> str:
    """What a turned dial brought when it was last turned, with its standard error."""
    name, setting = words(dial, "name") or "", mapping(search, "setting")
    if not _turned(setting, dial):
        return MISSING
    gains = [
        f"{shown(number(trial, 'gain'), signed=True)} ± {shown(number(trial, 'gain_stderr'))}"
        for trial in listed(search, "trials")
        if words(trial, "dial") == name
        and pick(trial, "kept") is True
        and mapping(trial, "setting").get(name) == setting[name]
    ]
    return gains[-1] if gains else MISSING
