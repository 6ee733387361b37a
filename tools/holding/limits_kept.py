"""What all clients saw together, held against the limits that they share: none overrun by one."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence

from nurture_envs.journey import Journey
from tests.unit.serving.mask_oracle import DAY_US, HOUR_US, under
from tools.holding.common_limits import (
    ACCOUNT,
    CALLS_A_DAY,
    DOMAINS,
    FAMILIES,
    MAILS_A_DAY,
    PIECES,
    Crowd,
)


def overrun(journey: Journey, crowd: Crowd) -> list[str]:
    """Limits that were overrun, bins with two decisions, and mail withheld without a cause."""
    found = _of_people(journey, crowd)
    sends: dict[str, list[int]] = defaultdict(list)
    ever: dict[str, list[int]] = defaultdict(list)
    for one in crowd.people:
        told = [e.occurred_us for e in one.events.values() if e.type == "sent"]
        ever[str(one.account)] += told  # other systems' mail counts too
        for name, at_us, _ in one.made if one.account else ():
            ever[str(one.account)].append(at_us)
            if name not in one.freed:
                sends[str(one.account)].append(at_us)
    for account, times in sends.items():
        if (most := _fullest(times, ACCOUNT["hours"])) > ACCOUNT["max"]:
            found.append(f"{account} got {most} mails in {ACCOUNT['hours']} hours")
    for _, account, moment in crowd.blocked:
        if not _fills(ever[account], moment):
            found.append(f"account_cap of {account} withheld mail at {moment} without a cause")
    gifts = [m for one in crowd.people for name, _, m in one.made if name not in one.freed]
    gifts += [action.split(":")[1].split("@")[0] for _, action, _, at in crowd.contested if at]
    endless = all(offer.inventory is None for offer in journey.offers)
    if (count := Counter(gifts)["gift_card"]) > PIECES and not endless:
        found.append(f"{count} gifts were sent of {PIECES}")
    if journey.guardrails.volume is not None:
        found += _of_families(crowd)
    if (most := _fullest(crowd.calls, 24)) > CALLS_A_DAY and journey.guardrails.seller_capacity:
        found.append(f"{most} escalations in a day, {CALLS_A_DAY} are taken")
    return found


def _of_families(crowd: Crowd) -> list[str]:
    """Days on which a family of domains got more mail than fits, and mail withheld with room."""
    got, ever = Counter[tuple[str, int]](), Counter[tuple[str, int]]()
    for one in crowd.people:
        family = FAMILIES[DOMAINS.index(one.domain)]
        ever.update((family, at // DAY_US) for _, at, _ in one.made)
        got.update((family, at // DAY_US) for name, at, _ in one.made if name not in one.freed)
        told = [e for e in one.events.values() if e.type == "sent"]  # other systems' mail too
        ever.update((family, e.occurred_us // DAY_US) for e in told)
    for _, _, _, at_us in crowd.contested:
        if at_us is not None:
            got["unknown", at_us // DAY_US] += 1
            ever["unknown", at_us // DAY_US] += 1
    found = [
        f"{family} got {count} mails on day {day}, {MAILS_A_DAY} are room"
        for (family, day), count in got.items()
        if count > MAILS_A_DAY
    ]
    return found + [
        f"mail to {family} was withheld on day {day} after {ever[family, day]}"
        for family, day in crowd.full
        if ever[family, day] < MAILS_A_DAY
    ]


def _of_people(journey: Journey, crowd: Crowd) -> list[str]:
    found = []
    messages = {message.id: message for message in journey.messages}
    mail: dict[str, list[tuple[int, str]]] = defaultdict(list)
    for one in crowd.people:
        mail[one.name] = [(at, m) for name, at, m in one.made if name not in one.freed]
    steps = Counter((name, step) for name, _, step, _ in crowd.contested)
    found += [
        f"{name} has {n} decisions in bin {step}" for (name, step), n in steps.items() if n > 1
    ]
    for name, action, _, at_us in crowd.contested:
        if at_us is not None:
            mail[name].append((at_us, action.split(":")[1].rpartition("@")[0]))
    for name, sends in mail.items():
        for cap in journey.guardrails.caps:
            times = [at for at, m in sends if under(cap, messages[m])]
            if (most := _fullest(times, cap.hours)) > cap.maximum:
                found.append(f"{name} got {most} mails in {cap.hours} hours, {cap} allows fewer")
    return found


def _fullest(times: Sequence[int], hours: float) -> int:
    """The most moments within less than so many hours."""
    ordered, first, most = sorted(times), 0, 0
    for last, at_us in enumerate(ordered):
        while at_us - ordered[first] >= hours * HOUR_US:
            first += 1
        most = max(most, last - first + 1)
    return most


def _fills(times: Sequence[int], moment: int) -> bool:
    """Whether all mail that an account ever was to get fills a window with this moment."""
    span = int(ACCOUNT["hours"] * HOUR_US)
    near = [at for at in times if abs(at - moment) < span]
    return _fullest([*near, moment], ACCOUNT["hours"]) > ACCOUNT["max"]
