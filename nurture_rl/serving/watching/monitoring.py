"""The verb `monitor`: does a server still see and do what it did before?"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from nurture_envs.clock import DAY_US
from nurture_envs.features.spec import FeatureSpec
from nurture_envs.guardrails import reason_names
from nurture_rl.errors import ConfigError
from nurture_rl.release.bundle import Bundle, load_bundle
from nurture_rl.serving.layers import ARM, FAIL_CLOSED, canary_arm, is_as_asked
from nurture_rl.serving.policies.arms import experiment_hash
from nurture_rl.serving.records import Decision
from nurture_rl.serving.storage.reading import StoreReader
from nurture_rl.serving.watching.chance_checks import (
    ArmShare,
    LoggedChances,
    arm_share,
    canary_since,
    policy_with_canaries,
)
from nurture_rl.serving.watching.span_shift import ContactSample, is_other_rate, shift_of
from nurture_rl.verb_result import VerbResult
from nurture_rl.wording import counted

_ALERT = 3  # exit code where something is beyond its limit
_MOST_CONTACTS = 20_000  # looked at in each span
_STILL = 0.1  # stability index below which a feature is not listed
_AS_PLANNED = ("usual", "holdout")  # arms of an experiment that explore nothing
_CERTAIN = 0.99  # a policy that takes an action so surely explores nothing


@dataclass(frozen=True, slots=True)
class MonitorOptions:
    """What is compared, and when it is told."""

    store: str  # a server's store; the server may be running
    bundle: str  # folder of a bundle of the journey: it names the features
    days: int = 7  # the latest days, counted back from the latest decision, >= 1
    before: int = 28  # days before them to compare with, >= 1; whole weeks hold the same weekdays
    max_shift: float = 0.25  # largest population stability index of a feature or an action's share
    max_failed: float = 0.01  # largest share of decisions that the policy did not make, in [0, 1]
    # Largest share of decisions, of those with a choice, in which one action is taken with 99 % or
    # more: such a log judges no other policy; in [0, 1].
    max_certain: float = 0.5
    max_rate_change: float = 0.5  # largest change of a type of events per decision, as a share
    max_null_rise: float = 0.1  # largest rise of the share of contacts who lack an attribute
    floor: float = 0.001  # a propensity below it makes importance weights beyond its inverse
    max_below: float = 0.01  # largest share of decisions whose propensity is below `floor`


@dataclass(frozen=True, slots=True)
class MonitoredFigure:
    """One figure and whether it is beyond its limit."""

    name: str
    before: float | None
    now: float
    limit: float
    alert: bool
    says: str
    moved: float | None = None  # stability index of a feature


@dataclass(slots=True)
class Span:
    """What was decided in some days."""

    sample: ContactSample = field(default_factory=lambda: ContactSample(_MOST_CONTACTS))
    decisions: int = 0
    failed: int = 0  # made by another than who was asked to, or without features
    choices: int = 0  # decisions with more than one legal action
    certain: int = 0  # of these
    actions: Counter[str] = field(default_factory=Counter)  # by routing
    reasons: Counter[str] = field(default_factory=Counter)  # decisions in which one forbade

    def add(self, decision: Decision) -> None:
        """Count a decision."""
        self.decisions += 1
        self.failed += not is_as_asked(decision.note) or decision.policy_id == FAIL_CLOSED
        if sum(decision.mask) > 1 and decision.arm not in _AS_PLANNED:
            self.choices += 1
            self.certain += max(decision.probabilities) >= _CERTAIN
        self.actions[decision.action.partition(":")[0]] += 1
        self.reasons.update(reason_names(int(np.bitwise_or.reduce(decision.reasons))))
        if decision.features is not None:
            self.sample.add(decision.contact_id, np.array(decision.features, np.float64))


def monitor(options: MonitorOptions) -> VerbResult:
    """The verb `monitor`; its exit code is `_ALERT` where a figure is beyond its limit.

    Raises:
        NurtureError: there is no store or bundle, a setting is none, or nothing was decided.
    """
    _require_settings(options)
    bundle = load_bundle(Path(options.bundle))
    with closing(StoreReader(options.store)) as store:
        figures, spans = monitored(store, bundle, options)
    for line in _told(figures, spans, options):
        print(line)
    alerts = [one.name for one in figures if one.alert]
    made = {
        "alerts": alerts,
        "figures": {one.name: [one.before, one.now, one.limit] for one in figures},
    }
    return VerbResult(made, _ALERT if alerts else 0)


def monitored(
    store: StoreReader, bundle: Bundle, options: MonitorOptions
) -> tuple[list[MonitoredFigure], tuple[Span, Span]]:
    """Every figure, and what was decided in the days before and in the latest days.

    Args:
        store: of a server; its own location and bundle are looked at, not those of `options`.
        bundle: of the journey: it names the features.
        options: days and limits.

    Raises:
        ConfigError: nothing was decided.
        StoreUnavailable: the store cannot be read.
    """
    end_us = store.latest_decision_us(bundle.journey.name)
    if end_us is None:
        raise ConfigError(
            f"expected decisions of journey {bundle.journey.name} in {store.location_name}, "
            "got none; give the store of its server"
        )
    middle_us = end_us - options.days * DAY_US
    start_us = middle_us - options.before * DAY_US
    spans = Span(), Span()
    chances = LoggedChances(options.floor, store.catalogs())
    for decision in store.decisions_after(bundle.journey.name, start_us):
        is_now = decision.decided_us > middle_us
        spans[is_now].add(decision)
        if is_now:
            chances.add(decision)
    events = store.event_counts(start_us, middle_us), store.event_counts(middle_us, end_us)
    figures = [*_health(spans[1], options), *_chances(chances, options)]
    figures += [*_arms(store, bundle), *_dealt(store, bundle)]
    figures += _moved(*spans, bundle.feature_spec.columns, options)
    figures += _nulls(*spans, bundle.feature_spec, options)
    figures += _reported(spans, events, options)
    return figures, spans


def _require_settings(options: MonitorOptions) -> None:
    for name in ("days", "before"):
        if getattr(options, name) < 1:
            raise ConfigError(f"{name}: expected 1 or more days, got {getattr(options, name)}")
    for name in ("max_failed", "max_certain", "max_null_rise", "floor", "max_below"):
        if not 0.0 <= getattr(options, name) <= 1.0:
            raise ConfigError(f"{name}: expected a share of 0 to 1, got {getattr(options, name)}")
    for name in ("max_shift", "max_rate_change"):
        if not getattr(options, name) >= 0.0:
            raise ConfigError(f"{name}: expected 0 or more, got {getattr(options, name)}")


def _health(now: Span, options: MonitorOptions) -> Iterator[MonitoredFigure]:
    failed = now.failed / max(1, now.decisions)
    limit = options.max_failed
    yield MonitoredFigure(
        "not by the policy", None, failed, limit, failed > limit, "share of decisions; see notes"
    )
    certain, limit = now.certain / max(1, now.choices), options.max_certain
    yield MonitoredFigure(
        "without exploration", None, certain, limit, certain > limit, "share of real choices"
    )


def _chances(found: LoggedChances, options: MonitorOptions) -> Iterator[MonitoredFigure]:
    """What was drawn against the propensities, and propensities that evaluation cannot use."""
    share, limit = found.below / max(1, found.decisions), options.max_below
    text = f"share of decisions; the smallest propensity is {found.smallest:.3g}"
    name = f"propensity below {options.floor:g}"
    yield MonitoredFigure(name, None, share, limit, share > limit, text)
    wrong = found.wrong / max(1, found.decisions)
    text = "share of decisions whose propensity is not the probability of their action"
    yield MonitoredFigure("wrong propensity", None, wrong, 0.0, wrong > 0.0, text)
    for one in found.drifts():
        text = "share of decisions, by propensities and as taken; the limit is what chance makes"
        alert = abs(one.taken - one.promised) > one.most
        name = f"calibration {one.action}"
        yield MonitoredFigure(name, one.promised, one.taken, one.most, alert, text)


def _arms(store: StoreReader, bundle: Bundle) -> Iterator[MonitoredFigure]:
    """A canary's share of the contacts whose episode began since it has that share."""
    journey = bundle.journey
    changes = store.policy_changes(journey.name)
    since_us = canary_since(changes)
    if since_us is None:
        return
    roles = changes[-1].after
    after = store.last_before(journey.name, since_us)
    mine = canary_arm(roles.canary or "")
    every = store.arm_counts(journey.name, after, ())
    # Of an experiment's arms a canary shares that of the policy alone.
    counts = {arm: one for arm, one in every.items() if arm in (ARM, mine)}
    found = arm_share(mine, roles.share, counts)
    if found is None:
        return
    yield _share_of_arm(found, journey.guardrails.account is None)


def _dealt(store: StoreReader, bundle: Bundle) -> Iterator[MonitoredFigure]:
    """The arms of the experiment that runs: whether they have the contacts of their shares."""
    journey, changes = bundle.journey, store.policy_changes(bundle.journey.name)
    running = changes[-1].after.experiment if changes else None
    one = next((plan for plan in store.plans() if plan.experiment == running), None)
    if one is None or journey.experiment is None or experiment_hash(journey) != running:
        return
    if journey.experiment.switchback is not None:
        return  # everybody has every arm, one after the other
    after = store.last_before(journey.name, one.began_us)
    counts = policy_with_canaries(store.arm_counts(journey.name, after, ()))
    for arm, share in journey.experiment.shares.items():
        found = arm_share(arm, share, counts)
        if found is not None:
            yield _share_of_arm(found, journey.experiment.unit == "contact")


def _share_of_arm(found: ArmShare, judged: bool) -> MonitoredFigure:
    """An arm's share as asked and as found."""
    apart = judged and abs(found.found - found.asked) > found.most
    text, name = f"share of {found.contacts} contacts, as asked and as found", f"arm {found.arm}"
    if not judged:
        text += "; not judged, for colleagues share an arm"
    return MonitoredFigure(name, found.asked, found.found, found.most, apart, text)


def _nulls(
    before: Span, now: Span, spec: FeatureSpec, options: MonitorOptions
) -> Iterator[MonitoredFigure]:
    """Contacts whose attribute is missing, or has a value that no feature reads."""
    old, new = before.sample.table(), now.sample.table()
    if not len(old) or not len(new):
        return
    for feature in spec.features:
        if feature.kind != "attribute":
            continue
        columns = [spec.column(name) for name in spec.names(feature)]
        null = np.float32(0.0 if feature.levels else feature.default)
        was, is_now = (int((table[:, columns] == null).all(1).sum()) for table in (old, new))
        shares = was / len(old), is_now / len(new)
        sure = is_other_rate(was, is_now, len(new) / len(old))
        alert = sure and shares[1] - shares[0] > options.max_null_rise
        value = "no known level" if feature.levels else f"the value for none, {feature.default:g}"
        text = f"share of contacts with {value}"
        yield MonitoredFigure(f"null {feature.name}", *shares, options.max_null_rise, alert, text)


def _moved(
    before: Span, now: Span, names: Sequence[str], options: MonitorOptions
) -> Iterator[MonitoredFigure]:
    old, new = before.sample.table(), now.sample.table()
    if len(old) and len(new):
        for column, name in enumerate(names):
            moved = shift_of(old[:, column], new[:, column])
            means = float(old[:, column].mean()), float(new[:, column].mean())
            alert = moved.is_sure and moved.psi > options.max_shift
            text = f"feature; stability index {moved.psi:.2f}"
            yield MonitoredFigure(
                f"feature {name}", *means, options.max_shift, alert, text, moved.psi
            )
    for kind, counts in (("action", "actions"), ("guardrail", "reasons")):
        was, is_now = getattr(before, counts), getattr(now, counts)
        for name in sorted({*was, *is_now}):
            yield _share(f"{kind} {name}", was[name], is_now[name], before, now, options)


def _share(
    name: str, was: int, is_now: int, before: Span, now: Span, options: MonitorOptions
) -> MonitoredFigure:
    """A share of decisions, against what it was; a share of half as much or twice is large."""
    shares = was / max(1, before.decisions), is_now / max(1, now.decisions)
    psi = 0.0
    for old, new in (shares, (1.0 - shares[0], 1.0 - shares[1])):
        old, new = max(old, 1e-3), max(new, 1e-3)
        psi += (new - old) * float(np.log(new / old))
    ratio = now.decisions / before.decisions if before.decisions else 1.0
    sure = before.decisions > 0 and is_other_rate(was, is_now, ratio)
    text = f"share of decisions; stability index {psi:.2f}"
    return MonitoredFigure(name, *shares, options.max_shift, sure and psi > options.max_shift, text)


def _reported(
    spans: tuple[Span, Span],
    events: tuple[Mapping[str, int], Mapping[str, int]],
    options: MonitorOptions,
) -> Iterator[MonitoredFigure]:
    """Events per decision: a source that fell silent shows here first."""
    exposed = [max(1, span.decisions) for span in spans]
    for name in sorted({*events[0], *events[1]}):
        was, is_now = (events[i].get(name, 0) for i in (0, 1))
        rates = was / exposed[0], is_now / exposed[1]
        change = abs(rates[1] - rates[0]) / rates[0] if rates[0] else float(rates[1] > 0)
        sure = spans[0].decisions > 0 and is_other_rate(was, is_now, exposed[1] / exposed[0])
        alert = sure and change > options.max_rate_change
        text = "events a decision"
        yield MonitoredFigure(f"events {name}", *rates, options.max_rate_change, alert, text)


def _told(
    figures: Sequence[MonitoredFigure], spans: tuple[Span, Span], options: MonitorOptions
) -> Iterator[str]:
    """What a person reads: alerts first, and features only where they moved."""
    still = [one for one in figures if one.moved is not None and one.moved < _STILL]
    for one in sorted(figures, key=lambda figure: not figure.alert):
        if one in still and not one.alert:
            continue
        was = "" if one.before is None else f"{one.before:.4g} -> "
        mark = "ALERT" if one.alert else "     "
        yield f"{mark} {one.name}: {was}{one.now:.4g} ({one.says}; limit {one.limit:g})"
    yield f"      {len(still)} features moved by less than {_STILL}"
    alerts = sum(one.alert for one in figures)
    yield (
        f"{spans[1].decisions} decisions of {options.days} days against {spans[0].decisions} of "
        f"the {options.before} days before: " + (counted(alerts, "alert") if alerts else "no alert")
    )
