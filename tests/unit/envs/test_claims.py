"""A claim that is out of date is sent to nobody, and what a claim rests on is written down."""

from __future__ import annotations

from datetime import date
from typing import Any

import pytest

from nurture_envs.actions import ActionCatalog
from nurture_envs.claims import Audience
from nurture_envs.errors import JourneyError
from nurture_envs.journey import Journey
from nurture_envs.journey_claims import expired_claims
from nurture_envs.journey_file import load_journey, parse_journey

CERTIFICATE: dict[str, Any] = {
    "says": "audited by somebody else every year",
    "source": "report 2027-14",
    "approver": "legal",
    "expires": date(2027, 6, 30),
}


def with_claims(**claims: Any) -> Journey:
    return parse_journey({**load_journey("inbound_lead").resolved, "claims": claims})


def test_a_claim_is_read_with_all_that_it_rests_on() -> None:
    fits = {"industry": ["finance", "health"], "company_size": [2, 5.5]}
    (claim,) = with_claims(certificate={**CERTIFICATE, "fits": fits}).claims
    assert (claim.says, claim.source) == ("audited by somebody else every year", "report 2027-14")
    assert (claim.approver, claim.expires) == ("legal", date(2027, 6, 30))
    assert claim.fits == (
        Audience("industry", ("finance", "health")),
        Audience("company_size", (), 2.0, 5.5),
    )


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"source": None}, "claims.certificate.source: expected text, it is missing"),
        ({"approver": ""}, "claims.certificate.approver: expected text, got ''"),
        ({"expires": None}, "claims.certificate.expires: expected the last day it may be said"),
        ({"expires": "soon"}, "claims.certificate.expires: expected a day"),
        ({"url": "x"}, "claims.certificate.url: no such key"),
        ({"fits": {"sector": ["finance"]}}, "no feature reads an attribute of that name"),
        ({"fits": {"industry": ["banking"]}}, "expected levels of .*got 'banking'"),
        ({"fits": {"industry": [1, 2]}}, r"fits\.industry: expected levels of"),
        ({"fits": {"company_size": ["big"]}}, r"fits\.company_size: expected \[low, high\]"),
        ({"fits": {"company_size": [5, 2]}}, r"expected levels of the attribute, or \[low, high\]"),
    ],
)
def test_a_claim_that_lacks_something_is_refused_with_its_key(
    change: dict[str, Any], told: str
) -> None:
    with pytest.raises(JourneyError, match=told):
        with_claims(certificate={**CERTIFICATE, **change})


def test_a_claim_that_no_message_makes_is_refused() -> None:
    with pytest.raises(JourneyError, match=r"claims\.certificat: no message makes this claim; did"):
        with_claims(certificat=CERTIFICATE)


def test_messages_with_a_claim_end_with_it_and_no_other() -> None:
    plain = ActionCatalog.of(load_journey("inbound_lead"))
    catalog = ActionCatalog.of(with_claims(certificate=CERTIFICATE))
    last = (date(2027, 6, 30) - date(1970, 1, 1)).days
    ended = {a for a, day in zip(catalog.ids, catalog.expiry, strict=True) if day == last}
    assert ended == {"send:security_brief@09", "send:security_brief@15"}
    others = [i for i, name in enumerate(catalog.ids) if name not in ended]
    assert list(catalog.expiry[others]) == list(plain.expiry[others])
    assert catalog.hash == plain.hash, "who approved a claim is no factor of a message"


def test_a_claim_of_an_approved_message_is_out_of_date_the_day_after_its_last() -> None:
    journey = with_claims(certificate=CERTIFICATE)
    assert expired_claims(journey, date(2027, 6, 30)) == []
    (told,) = expired_claims(journey, date(2027, 7, 1))
    assert told.startswith("claims.certificate: its last day was 2027-06-30")
    draft = dict(journey.resolved)
    messages = {**draft["messages"]}
    messages["security_brief"] = {**messages["security_brief"], "approval": "withdrawn"}
    assert expired_claims(parse_journey({**draft, "messages": messages}), date(2027, 7, 1)) == []
