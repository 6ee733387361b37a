"""Records without a shared key → pairs that are probably one person, each with its evidence.

Splink's model of Fellegi and Sunter on DuckDB: every column agrees at one of a few levels; how
often two records of one person, and two of different people, agree at each level is learned by
expectation maximisation without any labels. Source: Fellegi & Sunter (1969), A Theory for Record
Linkage; Splink 5, moj-analytical-services.
"""

from __future__ import annotations

import itertools
import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from nurture_rl.errors import ConfigError, FitError

if TYPE_CHECKING:
    from splink import Linker

MAX_PAIRS = 1_000_000  # of different people that levels are counted on
DIGITS = 6  # of a probability that are kept; beyond them sums differ by machine
_RECALL = 0.7  # share of true pairs that agree exactly on two columns of a person, to begin with
_CHUNKS = 4  # of these pairs; levels that are seen often enough end the counting before the last
_LEAST_RULES = 2
_LEAST = 20  # records; fewer teach nothing
# Levels of each kind after "nothing given", best first: what is told of them, and their condition.
_LEVELS: Mapping[str, tuple[tuple[str, str], ...]] = MappingProxyType(
    {
        "email": (
            ("same", "{l} = {r}"),
            ("a typing error apart", "damerau_levenshtein({l}, {r}) <= 2"),
            ("same name at another domain", "split_part({l}, '@', 1) = split_part({r}, '@', 1)"),
        ),
        "name": (
            ("same", "{l} = {r}"),
            ("nearly the same", "jaro_winkler_similarity({l}, {r}) >= 0.92"),
            ("alike", "jaro_winkler_similarity({l}, {r}) >= 0.82"),
        ),
        "phone": (
            ("same", "{l} = {r}"),
            ("same last seven digits", "right({l}, 7) = right({r}, 7)"),
            ("a digit apart", "damerau_levenshtein({l}, {r}) <= 1"),
        ),
        "company": (
            ("same", "{l} = {r}"),
            ("nearly the same", "jaro_winkler_similarity({l}, {r}) >= 0.92"),
            ("alike", "jaro_winkler_similarity({l}, {r}) >= 0.82"),
        ),
        "address": (
            ("same", "{l} = {r}"),
            ("nearly the same", "jaro_winkler_similarity({l}, {r}) >= 0.92"),
            ("alike", "jaro_winkler_similarity({l}, {r}) >= 0.82"),
        ),
        "postcode": (
            ("same", "{l} = {r}"),
            ("same first three signs", "left({l}, 3) = left({r}, 3)"),
        ),
        "exact": (("same", "{l} = {r}"),),
    }
)
_OTHER, _UNKNOWN = "different", "not given"
_OF_A_PERSON = ("email", "name", "phone", "exact")


@dataclass(frozen=True, slots=True)
class BlockingPart:
    """What two records must agree on to be compared."""

    column: str
    signs: int | None  # first signs that count; None: all


@dataclass(frozen=True, slots=True)
class LinkSettings:
    """How records are compared."""

    comparisons: Mapping[str, str]  # column → its kind, of `compared_values.KINDS`
    blocking: tuple[tuple[BlockingPart, ...], ...]  # pairs that agree on all parts of one rule
    threshold: float  # least probability of a link, in (0, 1)
    must_not_differ: frozenset[str] = frozenset()  # columns; where both differ there is no link
    seed: int = 0  # of the sample of pairs


@dataclass(frozen=True, slots=True)
class LikelyLink:
    """Two contacts with records that are probably of one person."""

    left: str  # contact, the smaller
    right: str
    probability: float  # of one person, in (0, 1)
    levels: tuple[str, ...]  # how each column agrees, such as "name: nearly the same"
    known_at: int  # when the later of the two records was known, UTC microseconds


def likely_links(records: pa.Table, settings: LinkSettings) -> list[LikelyLink]:
    """Pairs of contacts that are probably one person, the most probable first.

    The same records in another order give the same links.

    Args:
        records: `contact` (string), `known_at` (int64) and the compared columns (string, null
            where nothing is given), [n]; a contact may have several records.
        settings: how they are compared.

    Raises:
        ConfigError: Splink is not installed.
        FitError: there are too few records to learn from.
    """
    if len(records) < _LEAST:
        raise FitError(
            f"expected at least {_LEAST} records to learn from how they agree, got {len(records)}; "
            "name pairs under `the_same` instead"
        )
    names = {column: f"c{i}" for i, column in enumerate(settings.comparisons)}
    order = [(name, "ascending") for name in ("contact", "known_at", *names)]
    records = records.select([name for name, _ in order]).sort_by(order).combine_chunks()
    codes = pa.array([f"{row:09d}" for row in range(len(records))])
    compared = pa.table(
        {"unique_id": codes, **{short: records[column] for column, short in names.items()}}
    )
    with _quiet(), duckdb.connect(config={"threads": 1}) as engine:  # sums of one order
        found = _predicted(engine, compared, names, settings)
    return _by_contact(found, records, names, settings)


def default_blocking(comparisons: Mapping[str, str]) -> tuple[tuple[BlockingPart, ...], ...]:
    """Address or telephone alone; of everything else two columns that begin alike.

    Args:
        comparisons: column → its kind.
    """
    alone = [
        (BlockingPart(column, None),)
        for column, kind in comparisons.items()
        if kind in ("email", "phone")
    ]
    begun = {
        column: BlockingPart(column, 4 if kind in ("name", "company", "address") else None)
        for column, kind in comparisons.items()
        if kind not in ("email", "phone")
    }
    return (*alone, *itertools.combinations(begun.values(), 2))


def agreement(kind: str, left: str, right: str) -> str:
    """The condition in SQL that two given values agree at a level, the lowest or a better one.

    Args:
        kind: of the column, of `compared_values.KINDS`.
        left: the name of a value.
        right: the name of the other.
    """
    return " or ".join(f"({text.format(l=left, r=right)})" for _, text in _LEVELS[kind])


def _predicted(
    engine: duckdb.DuckDBPyConnection,
    compared: pa.Table,
    names: Mapping[str, str],
    settings: LinkSettings,
) -> pa.Table:
    try:
        from splink import DuckDBAPI, Linker, SettingsCreator
    except ImportError as error:
        raise ConfigError(
            "comparing records needs Splink, which is not installed: "
            'pip install "nurture-rl[identity]", or leave `comparisons` out of identity.yaml'
        ) from error
    rules: list[Any] = [_rule(parts, names) for parts in settings.blocking]
    made = SettingsCreator(
        link_type="dedupe_only",
        comparisons=[
            _comparison(names[column], kind) for column, kind in settings.comparisons.items()
        ],
        blocking_rules_to_generate_predictions=rules,
        retain_intermediate_calculation_columns=True,
    )
    linker = Linker(DuckDBAPI(connection=engine).register(compared), made, log_level=logging.ERROR)
    teaching = list(_teaching(engine, compared, names, settings))
    _train(linker, teaching, names, settings)
    predicted = linker.inference.predict(threshold_match_probability=settings.threshold)
    found: pa.Table = predicted.as_pyarrow_table()  # type: ignore[no-untyped-call]
    return found


def _train(
    linker: Linker, teaching: list[Any], names: Mapping[str, str], settings: LinkSettings
) -> None:
    training = linker.training
    of_person = [c for c, kind in settings.comparisons.items() if kind in _OF_A_PERSON]
    pairs = [
        (one, other)
        for one, other in itertools.combinations(settings.comparisons, 2)
        if one in of_person or other in of_person
    ]
    sure: list[Any] = [
        _rule((BlockingPart(one, None), BlockingPart(other, None)), names) for one, other in pairs
    ]
    sure += [
        _rule((BlockingPart(c, None),), names)
        for c, kind in settings.comparisons.items()
        if kind == "email"
    ]
    if sure and teaching:
        training.estimate_probability_two_random_records_match(sure, recall=_RECALL)
    training.estimate_u_using_random_sampling(
        max_pairs=MAX_PAIRS, seed=settings.seed, num_chunks=_CHUNKS
    )
    for rule in teaching:
        training.estimate_parameters_using_expectation_maximisation(rule)


def _teaching(
    engine: duckdb.DuckDBPyConnection,
    compared: pa.Table,
    names: Mapping[str, str],
    settings: LinkSettings,
) -> Iterator[str]:
    """Rules to learn under until each column was free under one: two at least, where there are.

    Columns that a rule fixes are not learned under it, and nothing is where no records agree.
    """
    engine.register("compared", compared)
    to_learn, taken = set(settings.comparisons), 0
    for parts in settings.blocking:
        free = set(settings.comparisons) - {part.column for part in parts}
        if taken >= _LEAST_RULES and not to_learn & free:
            continue
        rule = _rule(parts, names)
        both = f"from compared l join compared r on l.unique_id < r.unique_id and {rule}"
        if engine.execute(f"select 1 {both} limit 1").fetchone() is not None:
            to_learn -= free
            taken += 1
            yield rule


def _rule(parts: tuple[BlockingPart, ...], names: Mapping[str, str]) -> str:
    return " AND ".join(
        f"l.{names[one.column]} = r.{names[one.column]}"
        if one.signs is None
        else f"left(l.{names[one.column]}, {one.signs}) = left(r.{names[one.column]}, {one.signs})"
        for one in parts
    )


def _comparison(name: str, kind: str) -> dict[str, Any]:
    left, right = f"{name}_l", f"{name}_r"
    levels: list[dict[str, Any]] = [
        {
            "sql_condition": f"{left} IS NULL OR {right} IS NULL",
            "label_for_charts": _UNKNOWN,
            "is_null_level": True,
        }
    ]
    for label, condition in _LEVELS[kind]:
        levels.append(
            {"sql_condition": condition.format(l=left, r=right), "label_for_charts": label}
        )
    levels[1] |= {"tf_adjustment_column": name}  # Smith twice says less than Smithson twice
    levels.append({"sql_condition": "ELSE", "label_for_charts": _OTHER})
    return {"output_column_name": name, "comparison_levels": levels}


def _by_contact(
    found: pa.Table, records: pa.Table, names: Mapping[str, str], settings: LinkSettings
) -> list[LikelyLink]:
    """The most probable pair of records of each two contacts."""
    rows = [np.asarray(pc.cast(found[f"unique_id_{side}"], pa.int64())) for side in ("l", "r")]
    contacts = records["contact"].to_pylist()
    known = np.asarray(records["known_at"])
    probability = np.round(np.asarray(found["match_probability"], np.float64), DIGITS)
    agreed = {column: found[f"gamma_{short}"].to_pylist() for column, short in names.items()}
    forbidden = np.zeros(len(found), np.bool_)
    for column in settings.must_not_differ:
        forbidden |= np.asarray(agreed[column]) == 0
    best: dict[tuple[str, str], LikelyLink] = {}
    for i in np.lexsort((rows[1], rows[0], -probability)):
        one, other = int(rows[0][i]), int(rows[1][i])
        pair = tuple(sorted((contacts[one], contacts[other])))
        if pair[0] == pair[1] or pair in best or forbidden[i]:
            continue
        best[pair[0], pair[1]] = LikelyLink(
            left=pair[0],
            right=pair[1],
            probability=float(probability[i]),
            levels=tuple(
                f"{column}: {_level(settings.comparisons[column], levels[i])}"
                for column, levels in agreed.items()
            ),
            known_at=int(max(known[one], known[other])),
        )
    return sorted(best.values(), key=lambda link: (-link.probability, link.left, link.right))


def _level(kind: str, gamma: int) -> str:
    """What Splink's number of a level means: -1 nothing given, 0 different, the highest best."""
    labels = _LEVELS[kind]
    if gamma <= 0:
        return _OTHER if gamma == 0 else _UNKNOWN
    return labels[len(labels) - gamma][0]


@contextmanager
def _quiet() -> Iterator[None]:
    """Splink tells its training to the root of all logs; here only errors are wanted."""
    logger = logging.getLogger("splink")
    before = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(before)
