"""Inputs of a report with plausible numbers: two weeks of a lead, a single e-mail, a trial."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nurture_rl.report.source import ReportInput

FloatArray = NDArray[np.float64]
MESSAGES = ("welcome", "security_brief", "integration_story", "pricing_guide", "book_a_call")
ACTIONS = [f"send:{m}@{s}" for m in MESSAGES for s in ("09", "15")] + [
    "pause:1",
    "pause:3",
    "escalate",
    "exit",
]
ROUTING = ["send"] * 10 + ["pause", "pause", "escalate", "exit"]
REASONS = {
    "PAUSED": 41_230,
    "MINIMUM_GAP": 182_400,
    "FREQUENCY_CAP": 73_122,
    "NO_INTENT": 60_871,
    "OPTED_OUT": 8_412,
    "SALES_CONVERSATION": 3_100,
    "HARD_BOUNCE": 912,
    "EXPIRED": 0,
}
POLICIES = {  # value by the log, half width, simulator, truth, effective sample size, verdict
    "no_contact": (6.1, 1.4, 5.7, 5.9, 402.0, "not_better"),
    "random": (8.9, 2.6, 9.4, 9.6, 188.0, "cannot_tell_yet"),
    "drip": (10.2, 1.1, 10.0, 10.1, 1240.0, None),
    "rules": (11.9, 1.9, 11.2, 11.4, 310.0, "cannot_tell_yet"),
    "linear_thompson": (14.8, 2.2, 14.1, 14.4, 254.0, "better"),
    "ppo_inside_the_learned_world_with_floor": (16.0, 4.9, 17.2, 15.6, 61.0, "cannot_tell_yet"),
}


def sample() -> ReportInput:
    """A released policy in the synthetic reference world, truth known."""
    mixes = {name: mix(14, seed, share) for seed, (name, share) in enumerate(_sends().items())}
    return ReportInput(
        title="Inbound lead: one run from log to release",
        journey={
            "name": "inbound_lead",
            "title": "Inbound lead after a high-intent form",
            "provenance": "SYNTHETIC: emitted by the reference world, whose truth is known",
            "unit": "EUR",
            "horizon": 14,
            "estimand": "per_episode",
        },
        run=_run(),
        data=_data(),
        calibration=[
            head("opened", 0.082, 9120),
            head("opened_by_machine", 0.051, 5710),
            head("clicked_product", 0.031, 3420),
            head("viewed_pricing", 0.024, 2690),
            head("replied_question", 0.0042, 471),
            head("meeting_booked", 0.0061, 683),
            head("unsubscribed", 0.0019, 212),
            head("complained", 0.00004, 4, learned=False),
        ],
        evaluation={
            "appraisal": {"evaluation": _ope(mixes), "kpis": kpis()},
            "simulator": played(2, 0.35, mixes),
            "truth": played(3, 0.2, mixes),
            "actions": ACTIONS,
            "routing": ROUTING,
            "candidate": "linear_thompson",
        },
        gate={"passed": True, "causes": [], "policy_id": "b1946ac92492d2347c6235b4d2611184"},
    )


def undecided() -> ReportInput:
    """The same run with a candidate that the log does not carry, real contacts, no truth."""
    found = sample()
    candidate = "ppo_inside_the_learned_world_with_floor"
    reason = "The off-policy evaluation cannot tell yet: one episode carries 7.2% of all weight."
    return replace(
        found,
        journey={**found.journey, "provenance": "Logged by a CRM, March to May"},
        evaluation={**found.evaluation, "candidate": candidate, "truth": None},
        gate={"passed": False, "causes": [{"sentence": reason}], "policy_id": None},
    )


def single_step() -> ReportInput:
    """A journey of one decision with three arms; no simulator intervals, no truth."""
    found = sample()
    actions, routing = ["send:mens@now", "send:womens@now", "pause:1"], ["send", "send", "pause"]
    arms = {"drip": [[1.0, 0.0, 0.0]], "linear_thompson": [[0.62, 0.33, 0.05]]}
    ope = _ope({name: np.array(rows) for name, rows in arms.items()})
    ope |= {"logged_mix": [[0.334, 0.333, 0.333]], "steps": [0], "horizon": 1}
    for policy in ope["policies"].values():
        policy["overlap"]["ess_by_step"] = [policy["overlap"]["ess"]]
    simulator = {
        "contacts": 1000,
        "seeds": [0],
        "policies": {name: {"value": 1.2, "kpis": [0.1, float("nan"), None]} for name in arms},
    }
    return replace(
        found,
        journey={**found.journey, "horizon": 1, "provenance": "Randomised campaign", "unit": "USD"},
        evaluation={
            **found.evaluation,
            "appraisal": {"evaluation": ope, "kpis": kpis()},
            "simulator": simulator,
            "truth": None,
            "actions": actions,
            "routing": routing,
        },
    )


def long_trial() -> ReportInput:
    """A journey of 210 bins judged per decision."""
    found = sample()
    ope = _ope({name: mix(210, seed, 0.4) for seed, name in enumerate(("drip", "linear_thompson"))})
    journey = {**found.journey, "horizon": 210, "estimand": "per_decision", "unit": "steps"}
    appraisal = {"evaluation": ope, "kpis": kpis()}
    only = {"appraisal": appraisal, "simulator": None, "truth": None}
    evaluation = {**found.evaluation, **only}
    return replace(found, journey=journey, evaluation=evaluation)


def nothing() -> ReportInput:
    """A run of which nothing was handed over but its title."""
    return ReportInput("An empty run", {}, {}, {}, [], {}, None)


def mix(bins: int, seed: int, send: float) -> FloatArray:
    """Shares of the actions by bin, [bins, 14]; sends thin out along the journey."""
    rng = np.random.default_rng(seed)
    fading = send * np.linspace(1.0, 0.4, bins)[:, None]
    sends = fading * rng.dirichlet(np.full(10, 1.5), bins)
    rest = (1.0 - fading) * np.array([0.86, 0.07, 0.05, 0.02])
    return np.concatenate([sends, rest], axis=1)


def head(name: str, rate: float, events: int, learned: bool = True) -> dict[str, Any]:
    """One head's calibration, slightly too sure of itself."""
    predicted = rate * np.linspace(0.15, 2.6, 10)
    observed = rate * (0.85 * np.linspace(0.15, 2.6, 10) + 0.18)
    n = max(events / rate / 10.0, 1.0)
    half = 1.96 * np.sqrt(observed * (1 - observed) / n)
    bins = [
        {"predicted": p, "observed": o, "low": max(o - h, 0.0), "high": o + h, "n": int(n)}
        for p, o, h in zip(predicted.tolist(), observed.tolist(), half.tolist(), strict=True)
    ]
    return {
        "head": name,
        "learned": learned,
        "n": 111_900,
        "events": events,
        "predicted_rate": 1.03 * rate,
        "base_rate": rate,
        "brier": 0.96 * rate,
        "log_loss": 3.1 * rate,
        "constant_log_loss": 3.6 * rate,
        "ece": 0.06 * rate,
        "bins": bins,
    }


def kpis() -> list[dict[str, Any]]:
    """A supporting figure before the north star: the page must put that first."""
    rates = dict(zip(POLICIES, (0.031, 0.048, 0.055, 0.061, 0.078, 0.081), strict=True))
    return [
        _kpi("positive replies", "supporting", "higher", {n: 1.6 * r for n, r in rates.items()}),
        _kpi("meetings booked", "north star", "higher", rates),
        _kpi("opt-outs", "supporting", "lower", {n: 0.02 + 0.2 * r for n, r in rates.items()}),
    ]


def played(seed: int, noise: float, mixes: dict[str, FloatArray]) -> dict[str, Any]:
    """Policies played in a world; `seed` says which column of POLICIES is its value."""
    base = POLICIES["drip"][seed]
    assert isinstance(base, float)
    found = {}
    for name, numbers in POLICIES.items():
        value = numbers[seed]
        assert isinstance(value, float)
        found[name] = {
            "value": value,
            "lower": value - noise,
            "upper": value + noise,
            "difference": value - base,
            "difference_lower": value - base - 0.7 * noise,
            "difference_upper": value - base + 0.7 * noise,
            "by_seed": [value - 0.1, value, value + 0.1],
            "kpis": [0.008 * value, 0.005 * value, 0.02 + 0.001 * value],
            "action_mix": mixes[name].tolist(),
            "reasons": REASONS if name != "drip" else {k: v // 3 for k, v in REASONS.items()},
        }
    return {"contacts": 20_000, "seeds": [0, 1, 2], "policies": found}


def _ope(mixes: dict[str, FloatArray]) -> dict[str, Any]:
    usual = mixes["drip"]
    logged = {"estimate": {"value": 10.4}, "interval": {"lower": 9.5, "upper": 11.3}}
    return {
        "unit": "EUR",
        "level": 0.95,
        "reference": "drip",
        "n_decisions": 43_100,
        "n_episodes": 4_002,
        "n_clusters": 4_002,
        "horizon": 14,
        "steps": list(range(len(usual))),
        "logged": logged,
        "logged_mix": usual.tolist(),
        "policies": {name: _policy(name, table) for name, table in mixes.items()},
    }


def _policy(name: str, table: FloatArray) -> dict[str, Any]:
    value, half, _, _, ess, verdict = POLICIES[name]
    estimates = {
        kind: {
            "estimate": {"value": value + shift},
            "interval": {
                "lower": value + shift - half * wide,
                "upper": value + shift + half * wide,
            },
        }
        for kind, shift, wide in (
            ("ips", 1.1, 3.5),
            ("snips", 0.6, 1.6),
            ("dm", -0.8, 0.5),
            ("dr", 0.0, 1.0),
        )
    }
    sparse = ess < 100.0
    if sparse:
        del estimates["ips"]
    gap, reason = value - 10.2, f"difference to the reference {value - 10.2:+.4g} EUR per episode"
    difference = {"value": gap, "interval": {"lower": gap - half, "upper": gap + half}}
    judgement = {
        "verdict": verdict,
        "reason": reason,
        "contacts_needed": 61_000 if sparse else None,
        "advice": "about 61000 contacts in all" if sparse else "",
    }
    return {
        "name": name,
        "estimates": estimates,
        "refusals": {"ips": "every importance weight is 0"} if sparse else {},
        "overlap": {
            "n_episodes": 4_002,
            "ess": ess,
            "max_weight_share": 6.0 / ess,
            "support_gap": 0.0,
            "ess_by_step": (4002 * (ess / 4002) ** np.linspace(0, 1, 14)).tolist(),
            "feasible": not sparse,
            "reason": f"effective sample size {ess} is below 100" if sparse else "met",
        },
        "action_mix": table.tolist(),
        "difference": None if verdict is None else difference,
        "judgement": None if verdict is None else judgement,
    }


def _sends() -> dict[str, float]:
    return dict(zip(POLICIES, (0.0, 0.7, 0.15, 0.2, 0.32, 0.45), strict=True))


def _kpi(name: str, role: str, better: str, rates: dict[str, float]) -> dict[str, Any]:
    cells = {
        policy: {"value": rate, "lower": 0.86 * rate, "upper": 1.14 * rate}
        for policy, rate in rates.items()
    }
    return {
        "name": name,
        "role": role,
        "better": better,
        "logged": cells["drip"],
        "policies": cells,
    }


def _run() -> dict[str, Any]:
    return {
        "seed": 0,
        "seeds": {"log": 0, "world": 0, "learner": 41, "evaluation": 0},
        "started_at": "2027-03-01T12:00:00+00:00",
        "versions": {"nurture_rl": "0.1.0", "torch": "2.13.0", "numpy": "2.4.6"},
        "command": "nurture pipeline data=reference seed=0",
        "fingerprints": {"log": "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"},
        "config": "data: reference\nseed: 0\nlearner:\n  kind: linear_thompson\n  floor: 0.02\n",
    }


def _data() -> dict[str, Any]:
    tables = [
        ("events", 214_310, {"unknown type": 12, "time stamp without a zone": 3}),
        ("contacts", 8_004, {}),
        ("decisions", 86_220, {"duplicate id": 7}),
    ]
    return {
        "ingest": {
            "tables": [
                {
                    "table": name,
                    "files": [f"{name}.jsonl"],
                    "read": read,
                    "kept": read - sum(reasons.values()),
                    "quarantined": sum(reasons.values()),
                    "reasons": reasons,
                }
                for name, read, reasons in tables
            ],
            "contacts": 8_004,
            "contacts_added": 4,
            "contacts_merged": [],
            "shared_keys": 0,
            "missing_propensity": 0,
            "first_at": "2027-01-04T08:12:09+00:00",
            "last_at": "2027-02-27T21:40:00+00:00",
        },
        "notes": {
            "supports": ["Which message to send, when, and when to stay silent."],
            "does_not_support": ["Effects later than two weeks after the form."],
            "excluded": {"no consent at entry": 131},
            "refused_columns": ["closed_won_at"],
        },
        "contacts_train": 4_002,
        "contacts_held_out": 4_002,
        "decisions": 86_213,
        "logged_features_equal": True,
        "unmatched_events": 240,
    }
