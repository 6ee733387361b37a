"""A small family of readable rules for any journey, made from its catalogue and its features."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from nurture_envs.actions import ActionCatalog
from nurture_envs.features.spec import FeatureSpec
from nurture_envs.journey import Feature, Journey, Message, Rule
from nurture_rl.policies.policy import Spec
from nurture_rl.policies.program import DRIP, described_rule

Choice = str | int | None
Setting = Mapping[str, Choice]  # by dial; a dial that is not named has its first choice
Written = list[Spec]  # rules as a journey file writes them

WAIT = "pause:1"
NEVER = "never"
_EIGHTHS = (0, 1, 2, 3, 4, 6)  # of the horizon: bins a call may be made from
_GAPS = (14, 7, 4, 2)  # the horizon over these: bins between two mails


@dataclass(frozen=True, slots=True)
class Dial:
    """One thing that may be varied; its first choice leaves the program as it is."""

    name: str
    meaning: str
    choices: tuple[Choice, ...]


@dataclass(frozen=True)
class RuleFamily:
    """Programs made of a base and a few dials; every one is a list of rules in plain data.

    Bases: the journey's `expert` and `rules`, its drip, and `told`, which sends mail on the topic
    that a contact's attribute names and waits where there is none. Bases that the journey does not
    have are left out.
    """

    journey: Journey
    catalog: ActionCatalog
    features: FeatureSpec

    @cached_property
    def bases(self) -> tuple[str, ...]:
        """What a program may be made from; what people wrote stands before what is made here."""
        named = {"expert": self.journey.expert, "rules": self.journey.rules}
        bases = [name for name, rules in named.items() if rules and self._can_follow(rules)]
        drips = [DRIP] if self.journey.drip and self._has_schedule else []
        return (*bases, *drips, "told")

    @cached_property
    def dials(self) -> tuple[Dial, ...]:
        """The dials that the journey's actions and features allow, in the order of a search."""
        horizon, options = self.journey.clock.horizon, self.journey.options
        bins = sorted({horizon * k // 8 for k in _EIGHTHS}) if self._bin else []
        calls = (None, NEVER, *bins) if options.escalate else (None,)
        gaps = sorted({horizon // k for k in _GAPS})
        longest = self._since_send.window if self._since_send else 0
        hours = tuple(hour for hour in options.slots if hour is not None)
        hours = hours if len(options.slots) > 1 else ()
        rest = tuple(message.id for message in self._messages)
        mails = (Dial(f"mail:{topic}", f"mail for who told {topic}", m) for topic, m in self._told)
        dials = (
            Dial("call", "calls: as the base, never, or from this bin while none is known", calls),
            Dial("rest", "mail for whom no rule mails", (None, *rest)),
            *mails,
            Dial("gap", "bins between two mails", (None, *(g for g in gaps if 2 <= g <= longest))),
            Dial("patience", "unanswered mails before a break", (None, *self._patience)),
            Dial("hour", "local hour of every mail", (None, *hours)),
        )
        return tuple(dial for dial in dials if len(dial.choices) > 1)

    def program(self, base: str, setting: Setting) -> Spec:
        """The rules of a base with its dials set, as a description for `build_policy`.

        Args:
            base: one of `bases`.
            setting: choices by dial.
        """
        mails = self._base(base, setting)
        call = setting.get("call")
        if call is not None:
            place = _first(mails, ("escalate",), 0)
            mails = [rule for rule in mails if rule["do"] != "escalate"]
            if isinstance(call, int):
                mails.insert(place, {"when": self._call_once(call), "do": "escalate"})
        place = _first(mails, ("send:", DRIP), len(mails))
        rules = [*mails[:place], *self._breaks(setting), *mails[place:]]
        if setting.get("hour") is not None:
            rules = [self._at(rule, setting["hour"]) for rule in rules]
        return {"kind": "rules", "rules": _reachable(rules), "otherwise": WAIT}

    def _breaks(self, setting: Setting) -> Written:
        """What keeps mail back; it stands before the first mail, behind whatever comes earlier."""
        rules: Written = []
        gap, patience = setting.get("gap"), setting.get("patience")
        if patience is not None and self._unanswered:
            longest = f"pause:{self.journey.options.pauses[-1]}"
            rules += [{"when": {self._unanswered.name: f">= {patience}"}, "do": longest}]
        if gap is not None and self._since_send:
            rules += [{"when": {self._since_send.name: f"< {gap}"}, "do": WAIT}]
        return rules

    def _base(self, base: str, setting: Setting) -> Written:
        if base == "told":
            rules = [self._on_topic(topic, setting) for topic, _ in self._told]
        else:
            written = {"expert": self.journey.expert, "rules": self.journey.rules, DRIP: ()}[base]
            rules = [described_rule(rule) for rule in written]
            rules += self._schedule if base != "expert" else []
        rest = setting.get("rest")
        return [*rules, *([{"when": {}, "do": self._send(str(rest))}] if rest else [])]

    def _on_topic(self, topic: str, setting: Setting) -> Spec:
        ids = dict(self._told)[topic]
        message = setting.get(f"mail:{topic}") or ids[0]
        return {"when": {self._columns[topic]: ">= 1"}, "do": self._send(str(message))}

    @cached_property
    def _schedule(self) -> Written:
        """The drip as rules, nothing where no feature tells the bin."""
        if not self._has_schedule:
            return []
        return [
            {"when": {self._bin: f"== {bin_}"} if self._bin else {}, "do": action}
            for bin_, action in self.journey.drip
        ]

    @property
    def _has_schedule(self) -> bool:
        return bool(self._bin) or self.journey.clock.horizon == 1

    def _can_follow(self, rules: Sequence[Rule]) -> bool:
        return self._has_schedule or all(rule.action != DRIP for rule in rules)

    @cached_property
    def _bin(self) -> str:
        names = [f.name for f in self.journey.features if f.kind == "calendar" and f.part == "bin"]
        return names[0] if names else ""

    @cached_property
    def _messages(self) -> tuple[Message, ...]:
        return tuple(m for m in self.journey.messages if m.approval == "approved")

    @cached_property
    def _columns(self) -> Mapping[str, str]:
        """The feature column that says a contact named a topic, by topic."""
        topics = {message.topic for message in self._messages}
        told = [f for f in self.journey.features if f.kind == "attribute"]
        named = {f.name: f.name for f in told if not f.levels and f.name in topics}
        levels = {level: f"{f.name}={level}" for f in told for level in f.levels if level in topics}
        return levels | named

    @cached_property
    def _told(self) -> tuple[tuple[str, tuple[str, ...]], ...]:
        """Every topic that contacts name, and the messages on it."""
        return tuple(
            (topic, tuple(m.id for m in self._messages if m.topic == topic))
            for topic in self._columns
        )

    @cached_property
    def _since_send(self) -> Feature | None:
        return self._counting("recency", "sent")

    @cached_property
    def _unanswered(self) -> Feature | None:
        return self._counting("streak", "sent")

    @property
    def _patience(self) -> tuple[int, ...]:
        return (1, 2, 3) if self._unanswered else ()

    def _call_once(self, bin_: int) -> Mapping[str, str]:
        """From a bin on, as long as no call is known of: `ever` knows for good, `recency` forgets.

        In that bin alone where no feature knows.
        """
        known = self._counting("recency", "escalated")
        ever = self._counting("ever", "escalated")
        if ever is not None:
            return {self._bin: f">= {bin_}", ever.name: "< 1"}
        if known is not None:
            return {self._bin: f">= {bin_}", known.name: f">= {known.window}"}
        return {self._bin: f"== {bin_}"}

    def _counting(self, kind: str, signal_type: str) -> Feature | None:
        """The feature of a kind that looks at all the signals of a type and at no other."""
        made = {s.name for s in self.journey.signals if s.type == signal_type}
        return next(
            (f for f in self.journey.features if made and f.kind == kind and set(f.of) == made),
            None,
        )

    def _send(self, message: str) -> str:
        sends = [a.id for a in self.catalog.actions if a.message and a.message.id == message]
        return sends[0]

    def _at(self, rule: Spec, hour: Choice) -> Spec:
        if not str(rule["do"]).startswith("send:"):
            return rule
        message = self.catalog.actions[self.catalog.index(rule["do"])].message
        sends = [a.id for a in self.catalog.actions if a.message is message and a.slot == hour]
        return {**rule, "do": sends[0]}


def _first(rules: Written, actions: tuple[str, ...], default: int) -> int:
    """Place of the first rule that takes one of these actions."""
    places = (i for i, rule in enumerate(rules) if str(rule["do"]).startswith(actions))
    return next(places, default)


def _reachable(rules: Written) -> Written:
    """Nothing stands behind a pause or the drip for everybody: the first match wins."""
    for i, rule in enumerate(rules):
        if not rule["when"] and (rule["do"] == DRIP or str(rule["do"]).startswith("pause:")):
            return rules[: i + 1]
    return rules
