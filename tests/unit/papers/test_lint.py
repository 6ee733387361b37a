"""What nothing may be decided by is found by its name, and by what gives it away."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml

from nurture_envs.features import FeatureSpec
from nurture_envs.journey_file import load_journey, parse_journey, shipped_journeys
from nurture_rl.errors import ConfigError
from nurture_rl.papers import proxies
from nurture_rl.papers.proof_coverage import proof_coverage
from nurture_rl.papers.proxies import proxy_of_level, proxy_of_number
from nurture_rl.papers.sensitive import named_sensitive, sensitive_kind
from nurture_rl.workflow.lint_verb import LintOptions, lint
from tests.unit.release.bundles import journey

OWN: dict[str, Any] = dict(journey().resolved)


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("gender", "sex or gender"),
        ("contactGender", "sex or gender"),
        ("Date-of-Birth", "age"),
        ("age_group", "age"),
        ("country_of_birth", "race or ethnic origin"),
        ("trade_union", "trade union membership"),
        ("sick_days_2026", "health"),
        ("health", "health"),
        ("account_age_days", None),
        ("account_health", None),
        ("lead_age_days", None),
        ("customer_health", None),
        ("customer_age", "age"),
        ("customer_birth_year", "age"),
        ("lead_birth", "age"),
        ("pages", None),
        ("message", None),
        ("usage", None),
        ("european_union", None),
        ("industry", None),
        ("company_size", None),
    ],
)
def test_names_of_people_s_attributes_are_told_from_those_of_things(
    name: str, kind: str | None
) -> None:
    assert sensitive_kind(name) == kind


def test_a_sensitive_feature_is_found_by_its_name_its_attribute_and_what_it_counts() -> None:
    signals = {
        **OWN["signals"],
        "viewed_pregnancy": {"type": "page_view", "page_category": "pregnancy"},
    }
    features = {
        **OWN["features"],
        "segment": {"kind": "attribute", "attribute": "gender", "levels": ["f", "m"]},
        "views_of_it": {"kind": "count", "of": ["viewed_pregnancy"], "window": 3},
    }
    own = parse_journey({**OWN, "signals": signals, "features": features})
    found = {(one.where, one.kind) for one in named_sensitive(own)}
    assert ("features.segment.attribute (`gender`)", "sex or gender") in found
    assert ("signals.viewed_pregnancy.page_category (`pregnancy`)", "health") in found


def test_the_journeys_of_this_package_decide_by_nothing_sensitive_but_where_studies_did() -> None:
    named = {name for name in shipped_journeys() if named_sensitive(load_journey(name))}
    assert named == {"heartsteps", "starbucks_offers"}  # the age of who took part


def planted(n: int, signal: float, seed: int) -> tuple[Any, Any]:
    """Features, and an answer that the first of them speaks of."""
    rng = np.random.default_rng(seed)
    features = rng.normal(size=(n, 12))
    return features, signal * features[:, 0] + rng.normal(size=n)


def test_a_proxy_is_found_and_luck_is_none() -> None:
    features, number = planted(900, 1.5, 1)
    found = proxy_of_level(features, number > 0.3, 0.6, 0.95, 0)
    assert found.verdict == "proxy"
    assert 0.6 < found.lower < found.value < found.upper <= 1.0
    assert (found.p_value, found.luck < 0.58) == (1 / 500, True)
    as_number = proxy_of_number(features, number, 0.05, 0.95, 0)
    # 1.5^2 / (1.5^2 + 1) of the variance is the feature's
    assert as_number.lower < 0.69 < as_number.upper + 0.02
    assert as_number.verdict == "proxy"
    features, number = planted(3_000, 0.0, 2)
    nothing = proxy_of_level(features, number > 0.3, 0.6, 0.95, 0)
    assert nothing.verdict == "no_proxy"
    assert nothing.p_value > 0.01
    assert proxy_of_number(features, number, 0.05, 0.95, 0).verdict == "no_proxy"


def test_what_only_a_square_gives_away_is_found() -> None:
    features, _ = planted(1_500, 0.0, 3)
    assert proxy_of_level(features, np.abs(features[:, 4]) > 1.0, 0.6, 0.95, 0).verdict == "proxy"


def test_few_contacts_decide_nothing() -> None:
    features, number = planted(140, 0.35, 4)
    assert proxy_of_level(features, number > 0.0, 0.6, 0.95, 0).verdict == "cannot_tell"


def test_the_interval_holds_what_such_a_fit_reaches(monkeypatch: pytest.MonkeyPatch) -> None:
    """Known truth: the mean of 120 fits on fresh contacts; 95 % hold it, 4 standard deviations."""
    monkeypatch.setattr(proxies, "_PERMUTATIONS", 1)
    for signal in (0.0, 0.6):
        samples = [planted(500, signal, 100 + seed) for seed in range(120)]
        found = [proxy_of_level(x, y > 0.5, 0.6, 0.95, i) for i, (x, y) in enumerate(samples)]
        truth = float(np.mean([one.value for one in found]))
        held = sum(one.lower <= truth <= one.upper for one in found)
        assert held >= 105
        narrow = sum(abs(one.value - truth) <= (one.upper - one.lower) / 3.0 for one in found)
        assert narrow < held, "a plain standard error would hold it less often"


def test_a_check_comes_out_alike_and_shuffles_are_luck() -> None:
    features, number = planted(300, 3.0, 5)
    found = proxy_of_level(features, number > 0.0, 0.6, 0.95, 0)
    assert 0.5 < found.luck < 0.62
    assert found == proxy_of_level(features, number > 0.0, 0.6, 0.95, 0), "the seed decides all"


CLAIMS: dict[str, Any] = {
    "certificate": {
        "says": "x",
        "source": "y",
        "approver": "legal",
        "expires": "2027-06-30",
        "fits": {"industry": ["finance"], "company_size": [2, 5]},
    },
    "case_study": {"says": "x", "source": "y", "approver": "z", "expires": "2027-06-30"},
    "number": {
        "says": "x",
        "source": "y",
        "approver": "z",
        "expires": "2027-06-30",
        "fits": {"industry": ["retail"]},
    },
}


def test_proofs_are_counted_by_the_segments_that_they_name() -> None:
    only = {key: CLAIMS[key] for key in ("certificate", "number")}
    contacts: list[dict[str, Any]] = [
        *({"industry": "finance", "company_size": size} for size in (1, 2, 5, 6)),
        {"industry": "retail", "company_size": 3},
        {"industry": "health"},
        {"industry": "farming", "company_size": "big"},
    ]
    found = proof_coverage(parse_journey({**OWN, "claims": only}), contacts)
    assert [(one.segment, one.contacts, one.covered, one.claims) for one in found] == [
        ("industry finance", 4, 2, ("certificate",)),
        ("industry health", 1, 0, ()),
        ("industry retail", 1, 1, ("number",)),
        ("industry not known", 1, 0, ()),
        ("company_size below 2", 1, 0, ()),
        ("company_size 2 to 5", 3, 3, ("certificate", "number")),
        ("company_size above 5", 1, 0, ()),
        ("company_size not known", 2, 0, ()),
    ]
    everybody = proof_coverage(parse_journey({**OWN, "claims": CLAIMS}), contacts)
    assert all(one.covered == one.contacts for one in everybody)
    assert proof_coverage(journey(), contacts) == ()


@pytest.fixture
def log(tmp_path: Path) -> Path:
    """600 contacts; their first number gives the gender away, and nothing the age."""
    rng = np.random.default_rng(6)
    columns = len(FeatureSpec.of(journey()).columns)
    contacts, decisions = [], []
    for i in range(600):
        features = rng.normal(size=columns).astype(np.float32).tolist()
        said = {"gender": "f" if features[0] > 0.2 else "m", "age": int(rng.integers(20, 65))}
        contacts.append({"contact_id": f"c{i}", "attributes": json.dumps(said)})
        for day, row in enumerate((rng.normal(size=columns).tolist(), features)):
            decisions.append(
                {
                    "contact_id": f"c{i}",
                    "journey": "inbound_lead",
                    "decided_at": datetime(2027, 3, 1 + day, tzinfo=UTC),
                    "features": row,
                }
            )
    for name, rows in (("contacts", contacts), ("decisions", decisions)):
        pq.write_table(pa.Table.from_pylist(rows), tmp_path / f"{name}.parquet")
    return tmp_path


def test_the_verb_asks_a_log_for_attributes_that_are_sensitive_by_name(
    log: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    whole = tmp_path / "own.yaml"
    testimonial = {**CLAIMS["case_study"], "expires": "2028-01-01"}
    own = {**OWN, "claims": {**CLAIMS, "testimonial": testimonial}}
    whole.write_text(yaml.safe_dump(own), "utf-8")
    result = lint(LintOptions(str(whole), str(log), as_of="2027-06-30"))
    assert result.code == 3
    assert result.made["claims"] == result.made["sensitive"] == []
    gender, age = result.made["proxies"]
    assert (gender["attribute"], gender["level"]) == ("gender", "m")
    assert gender["estimate"]["verdict"] == "proxy"
    assert (age["attribute"], age["estimate"]["verdict"]) == ("age", "no_proxy")
    told = capsys.readouterr().out
    assert "gender m: PROXY, AUC 0.9" in told
    assert "age: no proxy, R2" in told
    late = lint(LintOptions(str(whole), as_of="2027-07-01"))
    told_late = {line.partition(":")[0] for line in late.made["claims"]}
    assert told_late == {f"claims.{name}" for name in CLAIMS}


def test_a_journey_whose_proofs_nobody_stands_for_is_told(
    capsys: pytest.CaptureFixture[str],
) -> None:
    result = lint(LintOptions("inbound_lead"))
    assert result.code == 3
    assert [line.partition(":")[0] for line in result.made["claims"]] == [
        f"messages.{name}.proof"
        for name in ("security_brief", "integration_story", "pricing_guide", "book_a_call")
    ]
    assert "write its source, approver and last day" in capsys.readouterr().out


def test_what_a_log_lacks_is_refused_with_what_to_do(log: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"no contact of the log has an attribute 'country'"):
        lint(LintOptions("inbound_lead", str(log), ("country",)))
    with pytest.raises(ConfigError, match=r"expected decisions of journey 'renewal' with"):
        lint(LintOptions("renewal", str(log)))
    with pytest.raises(ConfigError, match=r"contacts\.parquet, and found none"):
        lint(LintOptions("inbound_lead", str(tmp_path / "nowhere")))
    with pytest.raises(ConfigError, match=r"as_of: expected a day"):
        lint(LintOptions("inbound_lead", as_of="soon"))
    with pytest.raises(ConfigError, match=r"expected limit in \[0\.5, 1\]"):
        lint(LintOptions("inbound_lead", limit=0.3))
