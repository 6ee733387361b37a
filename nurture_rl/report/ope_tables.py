"""Tables of an off-policy report."""

from __future__ import annotations

from nurture_rl.report.numbers import MISSING, Bounded, count, moment, percent, shown
from nurture_rl.report.ope_source import (
    METHODS,
    VERDICTS,
    OpeSource,
    believed,
    estimator_name,
    feasible,
    interval_at,
    role,
    rows,
)
from nurture_rl.report.source import listed, mapping, number, numbers, why, words
from nurture_rl.report.tables import Table


def values(source: OpeSource) -> Table:
    """What every policy would earn, and the verdict on it."""
    less = "the log" if source.reference == "logged" else source.reference
    columns = ["Policy", "Value", f"Less {less}"]
    columns += [f"Less {source.rules}"] if source.rules else []
    columns += ["Effective sample size", "Verdict"]
    blanks = (MISSING,) * (len(columns) - 2)
    lines = [("as logged", source.value("logged").shown(), *blanks)]
    for name in source.policies:
        over = source.difference(name, "against_rules").shown(signed=True)
        verdict = words(source.policy(name), "judgement", "verdict")
        carried = believed(source, name) and (
            source.reference == "logged" or believed(source, source.reference)
        )
        told = believed(source, name) and believed(source, source.rules or "")
        lack = "withheld" if feasible(source, name) else "not carried"
        lines.append(
            (
                role(source, name),
                source.value(name).shown() if believed(source, name) else lack,
                source.difference(name).shown(signed=True) if carried else MISSING,
                *((over if told else MISSING,) if source.rules else ()),
                count(number(source.policy(name), "overlap", "ess")),
                "the reference"
                if name == source.reference
                else VERDICTS.get(verdict or "", MISSING),
            )
        )
    caption = f"Value by policy, {source.unit} {source.per}"
    return Table(caption, tuple(columns), tuple(lines), frozenset({len(columns) - 1}))


def comparison(source: OpeSource) -> Table:
    """The policies that the log carries beside each other; intervals hold for all together."""
    compared = mapping(source.appraisal, "comparison")
    marks = {True: "may be the best", False: "is beaten"}
    lines = []
    for row in rows(compared, "policies"):
        name = words(row, "name") or ""
        gap = Bounded(
            number(row, "difference"),
            number(row, "difference_interval", "lower"),
            number(row, "difference_interval", "upper"),
        )
        is_reference = name == words(compared, "reference")
        lines.append(
            (
                "as logged" if name == "logged" else role(source, name),
                interval_at(row).shown(),
                "the reference" if is_reference else gap.shown(signed=True),
                marks[row.get("may_be_best") is True],
            )
        )
    reference = words(compared, "reference") or ""
    less = "the log" if reference == "logged" else reference
    columns = ("Policy", "Value", f"Less {less}", "Among the others")
    level = percent(number(compared, "level"))
    caption = f"Policies beside each other, {source.unit} {source.per}; {level} together"
    return Table(caption, columns, tuple(lines), frozenset({3}))


def judgements(source: OpeSource) -> tuple[str, ...]:
    """The reason of every other policy's verdict."""
    others = [name for name in source.policies if name != source.candidate]
    judged = [(name, why(source.policy(name))) for name in others]
    return tuple(f"{name}: {reason}" for name, reason in judged if reason)


def estimates(source: OpeSource) -> Table:
    """Every policy by every estimator, refusals named."""
    kinds: dict[str, None] = {}
    for name in source.policies:
        kinds |= dict.fromkeys(mapping(source.policy(name), "estimates"))
        kinds |= dict.fromkeys(mapping(source.policy(name), "refusals"))
    cells = [[_answer(source, name, kind) for name in source.policies] for kind in kinds]
    caption = (
        f"Every estimator's answer, {source.unit} {source.per}; * the verdict rests on it; "
        "(in brackets) not to be believed: the log does not carry the policy, or a check refuses"
    )
    names, first = [estimator_name(kind) for kind in kinds], "Estimator"
    others = source.policies
    if len(others) > len(names):  # a long table is easier to read than a wide one
        names, others, first = others, names, "Policy"
        cells = [list(column) for column in zip(*cells, strict=True)]
    lines = tuple((name, *row) for name, row in zip(names, cells, strict=True))
    return Table(caption, (first, *others), lines)


def _answer(source: OpeSource, name: str, kind: str) -> str:
    if kind in mapping(source.policy(name), "refusals"):
        return "refused"
    answer = source.estimate(name, kind).shown()
    shown_as = answer if believed(source, name) else f"({answer})"
    return shown_as + (" *" if source.basis(name) == kind else "")


def overlaps(source: OpeSource) -> Table:
    """How much of the log speaks about each policy."""
    lines = []
    for name in source.policies:
        overlap = mapping(source.policy(name), "overlap")
        top = numbers(source.appraisal, "weights", name, "top")
        lines.append(
            (
                role(source, name),
                count(number(overlap, "ess")),
                count(number(overlap, "predicted_ess")),
                percent(number(overlap, "max_weight_share")),
                percent(top[1]) if len(top) == 3 else MISSING,
                percent(number(source.appraisal, "weights", name, "unused")),
                percent(number(overlap, "support_gap")),
                "yes" if feasible(source, name) else "no",
            )
        )
    columns = (
        "Policy",
        "Effective sample size",
        "Predicted from the ratios",
        "Weight on the heaviest episode",
        "On the heaviest 1 %",
        "Episodes of weight 0",
        "Choices never logged",
        "Log carries it",
    )
    return Table("Overlap of the log with each policy", columns, tuple(lines))


def checks(source: OpeSource, passed: bool) -> Table:
    """What was asked of the log and of each policy on it: what passed, or what did not."""
    about = [("the log", rows(source.appraisal, "checks", "findings"))]
    about += [
        (name, rows(source.appraisal, "target_checks", name, "findings"))
        for name in source.policies
    ]
    grades = ("ok",) if passed else ("refuse", "warn")
    marks = {"refuse": "refused", "warn": "warning", "ok": "passed"}
    lines = []
    for grade in grades:
        for whose, findings in about:
            for finding in findings:
                if words(finding, "severity") == grade:
                    told = [words(finding, "sentence"), words(finding, "advice")]
                    code = (words(finding, "code") or "").replace("-", " ")
                    text = "; ".join(part for part in told if part)
                    lines.append((code, whose, marks[grade], text))
    caption = "Checks that passed" if passed else "Checks that refuse or warn"
    columns = ("Check", "Of", "Result", "What was found")
    return Table(caption, columns, tuple(lines), frozenset({1, 2, 3}))


def refusals(source: OpeSource) -> Table:
    """Every number that was not given, and why."""
    lines = []
    for name in source.policies:
        if not feasible(source, name):
            lines.append((name, "overlap", words(source.policy(name), "overlap", "reason") or ""))
        for kind, reason in mapping(source.policy(name), "refusals").items():
            lines.append((name, estimator_name(kind), str(reason)))
    return Table(
        "Numbers that were not given", ("Policy", "What", "Why"), tuple(lines), frozenset({1, 2})
    )


def skipped(source: OpeSource) -> tuple[str, ...]:
    """Parts of the report that were not made, and why."""
    return tuple(
        f"{part.replace('_', ' ')}: {reason}"
        for part, reason in mapping(source.appraisal, "skipped").items()
    )


def intervals(source: OpeSource) -> Table:
    """Which interval each policy's value carries, and why that one."""
    lines = []
    for name in source.policies:
        basis = source.basis(name)
        if basis is None:
            continue
        for what, estimate in (
            (f"value ({estimator_name(basis)})", mapping(source.policy(name), "estimates", basis)),
            ("difference", mapping(source.policy(name), "difference")),
        ):
            method = words(estimate, "interval", "method")
            if method is not None:
                level = number(estimate, "interval", "level")
                lines.append(
                    (
                        name,
                        what,
                        METHODS.get(method, method.replace("-", " ")),
                        percent(level),
                        words(estimate, "interval", "reason") or "",
                    )
                )
    columns = ("Policy", "Of", "Method", "Level", "Why this one")
    return Table("How each interval was made", columns, tuple(lines), frozenset({1, 2, 4}))


def periods(source: OpeSource) -> Table:
    """Value by week of the log, the candidate and the reference."""
    weeks = mapping(source.appraisal, "weeks")
    names = [name for name in ("logged", source.candidate, source.reference) if name in weeks]
    names = list(dict.fromkeys(names))
    by_week: dict[str, dict[str, str]] = {}
    sizes: dict[str, float | None] = {}
    for name in names:
        for row in rows(weeks, name):
            week = words(row, "period") or ""
            by_week.setdefault(week, {})[name] = interval_at(row).shown()
            sizes[week] = number(row, "n_clusters")
    lines = tuple(
        (week, count(sizes[week]), *(cells.get(name, MISSING) for name in names))
        for week, cells in sorted(by_week.items())
    )
    columns = ("Week of", "Contacts", *("as logged" if n == "logged" else n for n in names))
    return Table(f"Value by week, {source.unit} {source.per}", columns, lines)


def log_facts(source: OpeSource) -> Table:
    """What the log holds."""
    evaluation, log = source.evaluation, source.log
    lines = [
        ("Source", words(log, "source")),
        ("Rows read", count(number(log, "read"))),
        ("Rows set aside", count(number(log, "refused"))),
        ("Decisions", count(number(evaluation, "n_decisions"))),
        ("Episodes", count(number(evaluation, "n_episodes"))),
        ("Contacts", count(number(evaluation, "n_clusters"))),
        ("Decisions in the longest episode", count(number(evaluation, "horizon"))),
        ("Actions", count(len(listed(log, "actions")))),
        ("Features", count(len(listed(log, "features")))),
        ("Fingerprint", words(log, "fingerprint")),
    ]
    known = tuple((name, text) for name, text in lines if text)
    return Table("The log", ("Fact", "Value"), known, frozenset({1}))


def set_aside(source: OpeSource) -> Table:
    """Rows that could not be used, by reason."""
    lines = tuple(
        (
            words(row, "kind") or "",
            count(number(row, "rows")),
            count(number(row, "line")),
            words(row, "example") or "",
        )
        for row in rows(source.log, "reasons")
    )
    columns = ("Problem", "Rows", "First at", "For example")
    return Table("Rows set aside", columns, lines, frozenset({3}))


def run_facts(source: OpeSource) -> Table:
    """What is needed to make the report again."""
    run = mapping(source.content, "run")
    started = words(run, "started_at")
    pairs = [
        ("Seed", run.get("seed")),
        *((f"Seed of the {name}", one) for name, one in mapping(run, "seeds").items()),
        ("Started", None if started is None else moment(started)),
        ("Hash of the settings", run.get("settings_hash")),
        ("Hash of the code", run.get("code_hash")),
        *((f"Version of {name}", text) for name, text in mapping(run, "versions").items()),
    ]
    lines = tuple((name, str(text)) for name, text in pairs if text is not None)
    return Table("This run", ("Fact", "Value"), lines, frozenset({1}))


def selection(source: OpeSource) -> Table:
    """What each estimator is thought to err on the policies that the log carries."""
    lines = []
    for row in rows(source.evaluation, "selection", "ranking"):
        name = words(row, "name") or ""
        mark = " *" if name == words(source.evaluation, "preferred") else ""
        sizes = [number(row, key) for key in ("mse", "bias_squared", "variance")]
        roots = [None if size is None else max(size, 0.0) ** 0.5 for size in sizes]
        lines.append((f"{estimator_name(name)}{mark}", *(shown(root) for root in roots)))
    columns = ("Estimator", "Error", "Bias, at most", "Standard error")
    caption = f"Estimators by what they err, {source.unit} {source.per}; * the verdict rests on it"
    return Table(caption, columns, tuple(lines))
