"""Playing a story against a server and holding every answer against the promise."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from typing import Any

from tools.fuzzing.promise import Meaning, Promise
from tools.fuzzing.servers import Server
from tools.fuzzing.steps import NOBODY, Step

_TRIES = 8  # decisions are drawn: what breaks the promise does not break it with every luck
_AGAINST = (Meaning.STOP, Meaning.BOUNCE, Meaning.SNOOZE)


@dataclass(frozen=True, slots=True)
class Breach:
    """An answer that must not be."""

    person: int
    text: str


@dataclass(slots=True)
class Judge:
    """The promise, held against answers as they come."""

    promise: Promise = field(default_factory=Promise)
    counts: Counter[str] = field(default_factory=Counter)
    mail_only: bool = False  # let failures pass that send nothing

    def breach(self, step: Step, status: int, answer: Any) -> tuple[int, str] | None:
        """Take an answer in; returns the person and the reason where it breaks the promise."""
        if status >= 500:
            self.counts["failures"] += 1
            text = f"{step.path} answered {status}: {answer}"
            return None if self.mail_only else (step.people[-1], text)
        if step.path == "/v1/contacts" and status == 200:
            rows = json.loads(step.body)["contacts"]
            for person, row in zip(step.people, rows, strict=True):
                self.promise.put(person, bool(row.get("consent", False)), step.clock_us)
        elif step.path == "/v1/events":
            return self._acknowledge(step, status, answer)
        elif step.path == "/v1/decisions":
            return self._decided(step, answer["decisions"] if status == 200 else None)
        elif step.path == "/v1/decisions/confirm" and status == 200:
            return self._confirmed(step, answer["confirmations"])
        return None

    def _confirmed(self, step: Step, found: Sequence[Any]) -> tuple[int, str] | None:
        for person, row in zip(step.people, found, strict=True):
            self.counts[f"confirmations: {row['status']}"] += 1
            word = self.promise.forbids(person, step.clock_us)
            if row["status"] == "send" and word is not None:
                return (person, f"send:{row['decision_id']} confirmed in spite of {word}")
        return None

    def _acknowledge(self, step: Step, status: int, answer: Any) -> tuple[int, str] | None:
        if "rejected" not in answer:
            self.counts["refused requests of events"] += 1
            return (
                None if status >= 400 else (step.people[-1], f"{status} says nothing of its rows")
            )
        refused = {found["row"]: found["may_forbid_mail"] for found in answer["rejected"]}
        rows = json.loads(step.body)["events"]
        for i, (person, meaning) in enumerate(zip(step.people, step.meanings, strict=True)):
            if i in refused:
                self.counts["refused events"] += 1
                loud = self.mail_only or (refused[i] and status == 422)
                if meaning in _AGAINST and not loud:
                    return person, f"{meaning} refused in silence ({status}): {rows[i]}"
            elif person != NOBODY:
                self.counts[f"events: {meaning}"] += 1
                self.promise.acknowledged(person, rows[i], meaning, step.clock_us)
        return None

    def _decided(self, step: Step, found: Sequence[Any] | None) -> tuple[int, str] | None:
        if found is not None and len(found) != len(step.people):
            return (step.people[0], f"{len(step.people)} asked for, {len(found)} answered")
        for i, person in enumerate(step.people):
            row = {} if found is None else found[i]
            sends = row.get("kind") == "decision" and row["action"].startswith("send:")
            word = self.promise.forbids(person, step.clock_us)
            if word is None:
                self.counts["other answers"] += 1
                self.counts["sends"] += sends
                self.counts[f"other: {row.get('code') or row.get('action', '').split(':')[0]}"] += 1
                continue
            self.counts["answers where mail is forbidden"] += 1
            if sends:
                return (person, f"{row['action']} in {row['decision_id']} in spite of {word}")
        return None


def play(
    server: Server, steps: Iterable[Step], judge: Judge, operations: int | None = None
) -> tuple[Breach | None, list[Step]]:
    """Play steps until a breach, their end, or so many operations; returns what was played."""
    played: list[Step] = []
    for step in steps:
        played.append(step)
        server.clock_us = step.clock_us
        judge.counts["operations"] += step.size
        if not step.path:
            judge.counts["restarts"] += 1
            server.restart(step.bundle)
        elif found := judge.breach(step, *server.ask(step.method, step.path, step.body)):
            return Breach(*found), played
        if operations is not None and judge.counts["operations"] >= operations:
            break
    return None, played


def smallest(
    played: Sequence[Step], breach: Breach, fresh: Callable[[], Server], mail_only: bool = False
) -> list[Step]:
    """As few steps as still break the promise for the same person, found by leaving steps out.

    Where the person's rows alone break nothing in several tries, all steps are given back.
    """
    person = breach.person
    alone = [kept for step in played if (kept := step.of(person)) is not None]
    if not any(_breaks(alone, person, fresh, mail_only) for _ in range(_TRIES)):
        return list(played)
    size = len(alone) // 2
    while size >= 1:
        start = 0
        while start < len(alone):
            less = alone[:start] + alone[start + size :]
            if _breaks(less, person, fresh, mail_only):
                alone = less
            else:
                start += size
        size //= 2
    return alone


def _breaks(
    steps: Sequence[Step], person: int, fresh: Callable[[], Server], mail_only: bool
) -> bool:
    with closing(fresh()) as server:
        found, _ = play(server, steps, Judge(mail_only=mail_only))
    return found is not None and found.person == person


def told(steps: Sequence[Step]) -> str:
    """Steps as one line each."""
    return "\n".join(
        f"{step.clock_us} {step.method} {step.path} {step.body.decode()}"
        if step.path
        else f"{step.clock_us} restart with bundle {step.bundle}"
        for step in steps
    )
