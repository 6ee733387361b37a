"""What makes a policy send a message is read off the bundle, and off nothing else."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from nurture_envs.actions import ActionCatalog
from nurture_envs.features import FeatureSpec
from nurture_envs.journey_file import parse_journey
from nurture_rl.errors import BundleError
from nurture_rl.papers.trigger_paper import MessagePaper, TriggerPaper, trigger_paper
from nurture_rl.policies.build import known_kinds
from nurture_rl.release.bundle import write_bundle
from nurture_rl.workflow.papers_verb import PapersOptions, papers
from tests.unit.release.bundles import CREATED, content

DRIP_STEP = "the fixed program, step 0: send the message welcome in the hour from 09:00"
CERTIFICATE = {
    "says": "audited every year",
    "source": "report 14",
    "approver": "legal",
    "expires": "2027-06-30",
    "fits": {"industry": ["finance", "health"], "company_size": [2, 5]},
}


def paper(folder: Path, spec: Any, **changes: Any) -> TriggerPaper:
    own = parse_journey({**content().journey.resolved, **changes})
    bundle = write_bundle(folder, replace(content(spec), journey=own), CREATED)
    return trigger_paper(bundle, folder)


def message(one: TriggerPaper, name: str) -> MessagePaper:
    return next(found for found in one.messages if found.name == name)


TRIGGERS: dict[str, tuple[dict[str, Any], str, str]] = {
    "drip": ({"kind": "drip"}, "welcome", DRIP_STEP),
    "always": (
        {"kind": "always", "action": "send:welcome@15"},
        "welcome",
        "always, send the message welcome in the hour from 15:00",
    ),
    "rules": (
        {"kind": "rules"},
        "security_brief",
        "the journey's rules, rule 3: where `ever_objected` is at least 1 and `clicked_security` "
        "is at least 1, send the message security_brief in the hour from 09:00",
    ),
    "expert": (
        {"kind": "expert"},
        "welcome",
        "the journey's expert rules, rule 8: where `sends_7d` is less than 1, send the message "
        "welcome in the hour from 09:00",
    ),
    "own rules": (
        {
            "kind": "rules",
            "rules": [{"when": {"form_topic=pricing": ">= 1"}, "do": "send:pricing_guide@09"}],
            "otherwise": "pause:1",
        },
        "pricing_guide",
        "the policy's own rules, rule 1: where `form_topic` is pricing, send the message "
        "pricing_guide in the hour from 09:00",
    ),
    "fixed": (
        {"kind": "fixed", "probabilities": {"pause:1": 0.5, "send:welcome@09": 0.5}},
        "welcome",
        "by lot, weight 0.5: send the message welcome in the hour from 09:00",
    ),
    "random": (
        {"kind": "random", "weights": {"pause": 1.0, "send": 3.0}},
        "book_a_call",
        "by lot: 75 % of its decisions are sends where all is allowed, each message alike",
    ),
    "mixture": (
        {"kind": "mixture", "policy": "no_contact", "other": "drip", "share": 0.25},
        "welcome",
        DRIP_STEP,
    ),
    "explore": ({"kind": "explore", "base": "drip", "share": 0.25}, "welcome", DRIP_STEP),
    "locked": (
        {"kind": "locked", "policy": {"kind": "expert"}, "usual": "drip", "free": "timing"},
        "pricing_guide",
        "the journey's expert rules, rule 6: where `form_topic` is pricing, send the message "
        "pricing_guide in the hour from 09:00 (only the hour of a mail that is usual)",
    ),
    "floor": ({"kind": "floor", "policy": "drip", "epsilon": 0.01}, "welcome", DRIP_STEP),
    "trust_region": (
        {"kind": "trust_region", "policy": "drip", "anchor": "random", "max_ratio": 4.0},
        "welcome",
        DRIP_STEP,
    ),
}


@pytest.mark.parametrize("kind", TRIGGERS)
def test_what_triggers_a_message_is_told_by_the_kind_of_policy(kind: str, tmp_path: Path) -> None:
    spec, name, trigger = TRIGGERS[kind]
    assert trigger in message(paper(tmp_path / "b", spec), name).triggers


def test_every_kind_of_policy_is_told_here_or_needs_a_model() -> None:
    told = {str(spec["kind"]) for spec, _, _ in TRIGGERS.values()}
    assert set(known_kinds()) - told == {"no_contact", "model", "softmax"}


def test_a_regression_on_the_features_is_told_as_learned(tmp_path: Path) -> None:
    d = len(FeatureSpec.of(content().journey).columns)
    a = len(ActionCatalog.of(content().journey))
    spec = {"kind": "softmax", "mean": [0.0] * d, "scale": [1.0] * d, "crowding": 1.0}
    one = paper(tmp_path / "b", {**spec, "weights": [[0.0] * a] * (d + 1)})
    assert "a regression on the features" in one.policy[0].says
    assert "worked out of the features" in message(one, "book_a_call").triggers[0]


def test_what_is_never_sent_says_so_and_names_what_decides_in_its_place(tmp_path: Path) -> None:
    one = paper(tmp_path / "b", {"kind": "no_contact"})
    assert message(one, "pricing_guide").triggers == ("the policy itself never sends it",)
    assert message(one, "welcome").triggers == (
        "the policy itself never sends it",
        f"where the policy gives no answer: the journey's rules, where none holds: {DRIP_STEP}",
    )


def test_shares_and_parts_are_told_from_the_outside_in(tmp_path: Path) -> None:
    spec = {"kind": "mixture", "policy": "no_contact", "other": "drip", "share": 0.25}
    parts = paper(tmp_path / "b", spec).policy
    assert [(part.depth, part.says) for part in parts] == [
        (0, "Two policies share the decisions, by lot."),
        (1, "In 75 %: no contact at all."),
        (1, "In 25 %: the fixed program of the journey."),
    ]
    locked = {"kind": "locked", "policy": spec, "usual": "drip", "free": "content"}
    parts = paper(tmp_path / "locked", locked).policy
    assert [(part.depth, part.says, part.only) for part in parts] == [
        (0, "A policy chooses content alone, and all else is as usual.", ""),
        (
            1,
            "What chooses content: two policies share the decisions, by lot.",
            "only in place of a mail that is usual",
        ),
        (2, "In 75 %: no contact at all.", "only in place of a mail that is usual"),
        (2, "In 25 %: the fixed program of the journey.", "only in place of a mail that is usual"),
        (1, "What is usual: the fixed program of the journey.", ""),
    ]


def test_a_message_says_who_stands_for_it_and_until_when(tmp_path: Path) -> None:
    plain = content().journey.resolved["messages"]
    draft = {**plain, "welcome": {**plain["welcome"], "approval": "draft"}}
    offers = {"whitepaper": {"cost": 2, "eligible": {"security_views_14d": ">= 1"}}}
    one = paper(
        tmp_path / "b",
        {"kind": "drip"},
        messages=draft,
        claims={"certificate": CERTIFICATE},
        offers=offers,
    )
    facts = dict(message(one, "security_brief").facts)
    assert facts["Proof"] == (
        "certificate: audited every year. Source: report 14. Approved by legal, until 2027-06-30. "
        "About contacts whose industry is finance or health and company size is 2 to 5"
    )
    assert facts["Last day"] == f"{date(2027, 6, 30)}, of the claim"
    assert facts["Offer"] == (
        "whitepaper: for whom `security_views_14d` is at least 1, costs 2 EUR a send"
    )
    unbacked = dict(message(one, "integration_story").facts)["Proof"]
    assert unbacked == "case study; nobody wrote down its source"
    assert not message(one, "welcome").is_sent
    assert dict(message(one, "welcome").facts)["Approval"] == "draft: never sent"


def test_the_papers_carry_the_bundles_hash_and_come_out_alike(tmp_path: Path) -> None:
    write_bundle(tmp_path / "bundle", content(), CREATED)
    made = {}
    for name in ("one", "two"):
        papers(PapersOptions(bundle=str(tmp_path / "bundle"), out=str(tmp_path / name)))
        made[name] = {p.name: p.read_bytes() for p in (tmp_path / name).iterdir()}
    assert made["one"] == made["two"]
    assert set(made["one"]) == {"papers.html", "papers.txt"}
    digest = hashlib.sha256((tmp_path / "bundle" / "manifest.json").read_bytes()).hexdigest()
    assert all(digest.encode() in data for data in made["one"].values())


def test_a_changed_bundle_has_no_papers(tmp_path: Path) -> None:
    write_bundle(tmp_path / "bundle", content(), CREATED)
    card = tmp_path / "bundle" / "card.json"
    card.write_bytes(card.read_bytes().replace(b"A test policy", b"A best policy"))
    with pytest.raises(BundleError, match=r"card\.json"):
        papers(PapersOptions(bundle=str(tmp_path / "bundle"), out=str(tmp_path / "out")))
    assert not (tmp_path / "out").exists()


def test_an_experiment_is_told_with_who_decides_for_how_many(tmp_path: Path) -> None:
    shares = {"policy": 0.5, "random": 0.125, "usual": 0.275, "holdout": 0.1}
    experiment = {"name": "spring", "unit": "account", "shares": shares, "units": 400}
    told = " ".join(paper(tmp_path / "b", {"kind": "drip"}, experiment=experiment).course)
    assert (
        "An experiment deals every account by chance: for 50 % the policy decides, for 12.5 % a "
        "mail or none is drawn among all that the limits allow, for 27.5 % business as usual goes "
        "on (the journey's drip) and for 10 % nobody is written to or called."
    ) in told
    free = paper(tmp_path / "c", {"kind": "drip"}, experiment={**experiment, "free": "timing"})
    assert "for 50 % business as usual goes on, but the policy chooses the timing" in " ".join(
        free.course
    )
    assert "experiment" not in " ".join(paper(tmp_path / "d", {"kind": "drip"}).course)


def test_an_experiment_that_deals_time_is_told_with_its_blocks(tmp_path: Path) -> None:
    blocks = {"first_day": "2027-03-01", "zone": "Europe/Berlin", "block_days": 7, "blocks": 12}
    shares = {"policy": 0.5, "holdout": 0.5}
    experiment = {"name": "autumn", "unit": "time", "shares": shares, **blocks}
    told = " ".join(paper(tmp_path / "b", {"kind": "drip"}, experiment=experiment).course)
    assert (
        "An experiment deals time by chance, for everybody and every 7 days anew, from 2027-03-01 "
        "on: for 50 % the policy decides and for 50 % nobody is written to or called."
    ) in told
