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
from typing import TYPE_CHECKING, Any

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from nurture_rl.errors import ConfigError, FitError
from nurture_rl.identity.agreement_levels import LEVELS, OTHER, UNKNOWN, level_told
from nurture_rl.identity.compared_blocks import BlockingPart, BlockingRule, Blocks

if TYPE_CHECKING:
    from splink import Linker

MAX_PAIRS = 1_000_000  # of different people that levels are counted on
DIGITS = 6  # of a probability that are kept; beyond them sums differ by machine
_RECALL = 0.7  # share of true pairs that agree exactly on two columns of a person, to begin with
_CHUNKS = 4  # of these pairs; levels that are seen often enough end the counting before the last
_LEAST_RULES = 2
_LEAST = 20  # records; fewer teach nothing
_OF_A_PERSON = ("email", "name", "phone", "exact")


@dataclass(frozen=True, slots=True)
class LinkSettings:
    """How records are compared."""

    comparisons: Mapping[str, str]  # column → its kind, of `compared_values.KINDS`
    blocking: tuple[BlockingRule, ...]  # pairs that agree on all parts of one rule
    threshold: float  # least probability of a link, in (0, 1)
    must_not_differ: frozenset[str] = frozenset()  # columns that never differ within a person
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
    blocks = Blocks(records, {*settings.blocking, *_sure(settings.comparisons)}, names)
    compared = pa.table({"unique_id": codes, **blocks.columns})
    with _quiet(), duckdb.connect(config={"threads": 1}) as engine:  # sums of one order
        found = _predicted(engine, compared, names, blocks, settings)
    return _by_contact(found, records, names, settings)


def _predicted(
    engine: duckdb.DuckDBPyConnection,
    compared: pa.Table,
    names: Mapping[str, str],
    blocks: Blocks,
    settings: LinkSettings,
) -> pa.Table:
    try:
        from splink import DuckDBAPI, Linker, SettingsCreator
    except ImportError as error:
        raise ConfigError(
            "comparing records needs Splink, which is not installed: "
            'pip install "nurture-rl[identity]", or leave `comparisons` out of identity.yaml'
        ) from error
    rules: list[Any] = [blocks.rule(parts) for parts in settings.blocking]
    made = SettingsCreator(
        link_type="dedupe_only",
        comparisons=[
            _comparison(names[column], kind) for column, kind in settings.comparisons.items()
        ],
        blocking_rules_to_generate_predictions=rules,
        retain_intermediate_calculation_columns=True,
    )
    linker = Linker(DuckDBAPI(connection=engine).register(compared), made, log_level=logging.ERROR)
    teaching = list(_teaching(engine, compared, blocks, settings))
    _train(linker, teaching, blocks, settings)
    predicted = linker.inference.predict(threshold_match_probability=settings.threshold)
    found: pa.Table = predicted.as_pyarrow_table()  # type: ignore[no-untyped-call]
    return found


def _train(linker: Linker, teaching: list[Any], blocks: Blocks, settings: LinkSettings) -> None:
    training = linker.training
    sure: list[Any] = [blocks.rule(parts) for parts in _sure(settings.comparisons)]
    if sure and teaching:
        training.estimate_probability_two_random_records_match(sure, recall=_RECALL)
    training.estimate_u_using_random_sampling(
        max_pairs=MAX_PAIRS, seed=settings.seed, num_chunks=_CHUNKS
    )
    for rule in teaching:
        training.estimate_parameters_using_expectation_maximisation(rule)


def _sure(comparisons: Mapping[str, str]) -> Iterator[BlockingRule]:
    """What only records of one person agree on, nearly always."""
    for pair in itertools.combinations(comparisons, 2):
        if any(comparisons[column] in _OF_A_PERSON for column in pair):
            yield tuple(BlockingPart(column, None) for column in pair)
    for column, kind in comparisons.items():
        if kind == "email":
            yield (BlockingPart(column, None),)


def _teaching(
    engine: duckdb.DuckDBPyConnection,
    compared: pa.Table,
    blocks: Blocks,
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
        rule = blocks.rule(parts)
        both = f"from compared l join compared r on l.unique_id < r.unique_id and {rule}"
        if engine.execute(f"select 1 {both} limit 1").fetchone() is not None:
            to_learn -= free
            taken += 1
            yield rule


def _comparison(name: str, kind: str) -> dict[str, Any]:
    left, right = f"{name}_l", f"{name}_r"
    levels: list[dict[str, Any]] = [
        {
            "sql_condition": f"{left} IS NULL OR {right} IS NULL",
            "label_for_charts": UNKNOWN,
            "is_null_level": True,
        }
    ]
    for label, condition in LEVELS[kind]:
        levels.append(
            {"sql_condition": condition.format(l=left, r=right), "label_for_charts": label}
        )
    levels[1] |= {"tf_adjustment_column": name}  # Smith twice says less than Smithson twice
    levels.append({"sql_condition": "ELSE", "label_for_charts": OTHER})
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
    best: dict[tuple[str, str], LikelyLink] = {}
    for i in np.lexsort((rows[1], rows[0], -probability)):
        one, other = int(rows[0][i]), int(rows[1][i])
        pair = tuple(sorted((contacts[one], contacts[other])))
        if pair[0] == pair[1] or pair in best:
            continue
        best[pair[0], pair[1]] = LikelyLink(
            left=pair[0],
            right=pair[1],
            probability=float(probability[i]),
            levels=tuple(
                f"{column}: {level_told(settings.comparisons[column], levels[i])}"
                for column, levels in agreed.items()
            ),
            known_at=int(max(known[one], known[other])),
        )
    return sorted(best.values(), key=lambda link: (-link.probability, link.left, link.right))


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
