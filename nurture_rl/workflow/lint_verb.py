"""The verb `lint`: what nothing may be decided by, and claims that nobody stands for."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from nurture_envs.features import FeatureSpec
from nurture_envs.journey import Journey
from nurture_envs.journey_claims import expired_claims
from nurture_envs.journey_file import load_journey
from nurture_rl.errors import ConfigError
from nurture_rl.papers.proof_coverage import SegmentCoverage, proof_coverage
from nurture_rl.papers.proxies import FEWEST, ProxyEstimate, proxy_of_level, proxy_of_number
from nurture_rl.papers.sensitive import named_sensitive, sensitive_kind
from nurture_rl.verb_result import VerbResult

_FOUND = 3  # exit code
_MOST_LEVELS = 6  # of an attribute, the most frequent ones
_MOST_CONTACTS = 5_000  # drawn by lot from more, so that a check takes seconds


@dataclass(frozen=True, slots=True)
class LintOptions:
    """What is looked at."""

    journey: str  # a journey file, or the name of a shipped journey
    # Folder of checked or exported tables: contacts.parquet, and decisions.parquet with features;
    # null: the journey alone is looked at.
    log: str | None = None
    # Attributes of contacts that nothing may be decided by, besides those whose names say so.
    denied: tuple[str, ...] = ()
    limit: float = 0.6  # area under the curve from which on features are a proxy, in [0.5, 1]
    limit_r2: float = 0.05  # likewise of a number, share of its variance that is explained
    as_of: str | None = None  # day on which claims must hold, as in 2027-06-30; null: today (UTC)
    seed: int = 0  # of folds and shuffles, >= 0


@dataclass(frozen=True, slots=True)
class ProxyFinding:
    """How well the features of a log foretell an attribute that they must not stand for."""

    attribute: str
    level: str  # what is foretold; empty: the attribute as a number
    contacts: int
    estimate: ProxyEstimate | None  # None: too few contacts to say anything


def lint(options: LintOptions) -> VerbResult:
    """The verb `lint`; its exit code is `_FOUND` where something has to be looked at.

    Raises:
        NurtureError: the journey, the log or a setting cannot be used.
    """
    journey = load_journey(options.journey)
    day = _day(options)
    named = [f"{one.where}: {one.kind}" for one in named_sensitive(journey)]
    claims = [*expired_claims(journey, day), *_unbacked(journey)]
    proxies: list[ProxyFinding] = []
    coverage: tuple[SegmentCoverage, ...] = ()
    if options.log is not None:
        contacts = _contacts(Path(options.log))
        proxies = _proxies(options, journey, contacts)
        coverage = proof_coverage(journey, [*contacts.values()])
    for line in _lines(named, claims, proxies, coverage):
        print(line)
    found = named or claims or any(p.estimate and p.estimate.verdict == "proxy" for p in proxies)
    made = {
        "sensitive": named,
        "claims": claims,
        "proxies": [asdict(one) for one in proxies],
        "coverage": [asdict(one) for one in coverage],
    }
    return VerbResult(made, _FOUND if found else 0)


def _day(options: LintOptions) -> date:
    if not (0.5 <= options.limit <= 1.0 and 0.0 <= options.limit_r2 <= 1.0 and options.seed >= 0):
        raise ConfigError(
            "expected limit in [0.5, 1], limit_r2 in [0, 1] and seed >= 0, got "
            f"{options.limit}, {options.limit_r2} and {options.seed}"
        )
    if options.as_of is None:
        return datetime.now(UTC).date()
    try:
        return date.fromisoformat(options.as_of)
    except ValueError as error:
        raise ConfigError(f"as_of: expected a day as 2027-06-30, got {options.as_of!r}") from error


def _unbacked(journey: Journey) -> Iterator[str]:
    """Proofs of approved messages that no claim stands for."""
    known = {claim.name for claim in journey.claims}
    for message in journey.messages:
        if message.approval == "approved" and message.proof not in (*known, "none"):
            yield (
                f"messages.{message.id}.proof: nobody stands for `{message.proof}`; write its "
                "source, approver and last day under `claims`"
            )


def _contacts(folder: Path) -> dict[str, Mapping[str, Any]]:
    """The attributes of every contact of a log."""
    table = pq.read_table(_file(folder, "contacts"), columns=["contact_id", "attributes"])
    rows = table.to_pylist()
    return {row["contact_id"]: json.loads(row["attributes"]) for row in rows}


def _file(folder: Path, name: str) -> Path:
    path = folder / f"{name}.parquet"
    if not path.is_file():
        raise ConfigError(
            f"log: expected {path}, and found none; give the folder that nurture export_log wrote, "
            "or the tables of a run's ingest"
        )
    return path


def _proxies(
    options: LintOptions, journey: Journey, contacts: Mapping[str, Mapping[str, Any]]
) -> list[ProxyFinding]:
    known = dict.fromkeys(name for attributes in contacts.values() for name in attributes)
    strange = [name for name in options.denied if name not in known]
    if strange:
        raise ConfigError(
            f"denied: no contact of the log has an attribute {strange[0]!r}; its attributes are "
            f"{', '.join(known) or 'none'}"
        )
    denied = [name for name in known if name in options.denied or sensitive_kind(name)]
    if not denied:
        return []
    ids, features = _features(Path(options.log or ""), journey, options.seed)
    asked = [one for name in denied for one in _asked(name, [contacts.get(i, {}) for i in ids])]
    confidence = 1.0 - 0.05 / max(len(asked), 1)
    return [_finding(options, one, features, confidence) for one in asked]


_Asked = tuple[str, str, np.ndarray[Any, Any], np.ndarray[Any, Any]]  # name, level, rows, answers


def _features(folder: Path, journey: Journey, seed: int) -> tuple[list[str], np.ndarray[Any, Any]]:
    """The features of each contact's last decision in a journey, [n, d]."""
    table = pq.read_table(_file(folder, "decisions"))
    if "features" not in table.column_names:
        raise ConfigError("log: its decisions hold no features; export the log of a server")
    own = pc.and_(pc.equal(table["journey"], journey.name), pc.is_valid(table["features"]))
    table = table.filter(own).sort_by([("decided_at", "ascending")])
    last = dict(zip(table["contact_id"].to_pylist(), range(table.num_rows), strict=True))
    ids = sorted(last)
    if len(ids) > _MOST_CONTACTS:
        some = np.random.default_rng(seed).choice(len(ids), _MOST_CONTACTS, replace=False)
        ids = [ids[i] for i in sorted(some.tolist())]
    places = pa.array([last[name] for name in ids], pa.int64())
    rows = table["features"].take(places).to_pylist()
    columns = len(FeatureSpec.of(journey).columns)
    if not rows or {len(row) for row in rows} != {columns}:
        raise ConfigError(
            f"log: expected decisions of journey {journey.name!r} with {columns} features, got "
            f"{len(rows)} contacts with others or none; give the journey that the log was made with"
        )
    return ids, np.array(rows, np.float64)


def _asked(name: str, contacts: Sequence[Mapping[str, Any]]) -> Iterator[_Asked]:
    """What is foretold of an attribute: the number, or each frequent level."""
    values = [contact.get(name) for contact in contacts]
    rows = np.array([i for i, value in enumerate(values) if value is not None], np.int64)
    known = [values[i] for i in rows]
    numbers = [v for v in known if isinstance(v, (int, float)) and not isinstance(v, bool)]
    if len(numbers) == len(known) > 0 and len(set(numbers)) > _MOST_LEVELS:
        yield name, "", rows, np.array(numbers, np.float64)
        return
    texts = np.array([str(value) for value in known])
    frequent = [level for level, _ in Counter(texts.tolist()).most_common(_MOST_LEVELS)]
    for level in frequent[:1] if len(frequent) == 2 else frequent:  # of two, one says it all
        yield name, str(level), rows, texts == level


def _finding(
    options: LintOptions, asked: _Asked, features: np.ndarray[Any, Any], confidence: float
) -> ProxyFinding:
    name, level, rows, answers = asked
    few = min(int(answers.sum()), int((~answers).sum())) if level else len(rows) // 2
    if few < FEWEST:
        return ProxyFinding(name, level, len(rows), None)
    own, seed = features[rows], options.seed
    estimate = (
        proxy_of_level(own, answers, options.limit, confidence, seed)
        if level
        else proxy_of_number(own, answers, options.limit_r2, confidence, seed)
    )
    return ProxyFinding(name, level, len(rows), estimate)


def _lines(
    named: Sequence[str],
    claims: Sequence[str],
    proxies: Sequence[ProxyFinding],
    coverage: Sequence[SegmentCoverage],
) -> Iterator[str]:
    if named:
        yield "Features that are sensitive by name:"
        yield from (f"  {line}" for line in named)
    if claims:
        yield "Claims:"
        yield from (f"  {line}" for line in claims)
    if proxies:
        yield "Can the features of a last decision foretell what nothing may be decided by?"
        yield from (f"  {_told(one)}" for one in proxies)
    if coverage:
        yield "Contacts for whom there is a proof made for such as them:"
        yield from (
            f"  {one.segment}: {one.covered} of {one.contacts}"
            f"{' (' + ', '.join(one.claims) + ')' if one.claims else ''}"
            for one in coverage
        )
    if not (named or claims or proxies or coverage):
        yield "Nothing found."


def _told(one: ProxyFinding) -> str:
    what = f"{one.attribute} {one.level}".strip()
    found = one.estimate
    if found is None:
        return f"{what}: cannot tell, fewer than {FEWEST} contacts of {one.contacts} on one side"
    words = {"proxy": "PROXY", "no_proxy": "no proxy", "cannot_tell": "cannot tell"}
    measure = "AUC" if one.level else "R2"
    return (
        f"{what}: {words[found.verdict]}, {measure} {found.value:.3f} [{found.lower:.3f}, "
        f"{found.upper:.3f}], by luck up to {found.luck:.3f} (p {found.p_value:.3g}), "
        f"{one.contacts} contacts"
    )
