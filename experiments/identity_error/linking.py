"""How well records without shared keys are joined, at each threshold."""

from __future__ import annotations

import argparse
import csv
import gzip
import io
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pyarrow as pa
from matplotlib.figure import Figure
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from experiments.common.markdown import markdown_table
from experiments.common.png import png
from experiments.identity_error.planted_people import planted_people
from nurture_rl.errors import NurtureError
from nurture_rl.identity.agreement_levels import Differences
from nurture_rl.identity.compared_blocks import default_blocking
from nurture_rl.identity.compared_values import comparable
from nurture_rl.identity.kept_apart import Apart, accepted_links
from nurture_rl.identity.likely_links import (
    LikelyLink,
    LinkSettings,
    likely_links,
)
from nurture_rl.identity.resolution_scores import PairwiseScores, pairwise_scores

HERE = Path(__file__).parent
THRESHOLDS = (0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.98, 0.99, 0.995, 0.999, 0.9999)
NAMELESS = 0.25  # of planted rows without a first name, in two of the sets
_SITES = {"Site name": "company", "Address": "address", "Zip": "postcode", "Phone": "phone"}
_PEOPLE = {
    "first": "name",
    "last": "name",
    "email": "email",
    "phone": "phone",
    "company": "company",
    "postcode": "postcode",
}


@dataclass(frozen=True, slots=True)
class LinkedRecords:
    """One set of records, linked once; a threshold takes some of its links."""

    name: str
    links: Sequence[LikelyLink]  # the most probable first
    apart: Apart  # whose columns must not differ
    truth: Sequence[str]  # who each record is of, [n]; record i is called `r` and i
    seconds: float

    def scores(self, threshold: float) -> PairwiseScores:
        """Pairs of records in one cluster, held against the truth."""
        likely = [link for link in self.links if link.probability >= threshold]
        kept, _ = accepted_links(likely, self.apart)
        left = [int(link.left[1:]) for link in kept]
        right = [int(link.right[1:]) for link in kept]
        n = len(self.truth)
        graph = coo_array((np.ones(len(kept)), (left, right)), shape=(n, n))
        _, found = connected_components(graph, directed=False)
        return pairwise_scores(found.astype(str), list(self.truth))


def main(arguments: list[str]) -> None:
    """Link the records, print the table and draw the curves."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sites", type=Path, default=None, help="records_with_true_ids.csv.gz")
    parser.add_argument("--people", type=int, default=3000, help="planted ones")
    parser.add_argument("--picture", type=Path, default=HERE / "thresholds.png")
    given = parser.parse_args(arguments)
    planted = planted_people(given.people, seed=1)
    nameless = without_some(planted.rows, "first", NAMELESS, seed=2)
    first = frozenset({"first"})
    chained = linked("nameless, by chains", nameless, planted.person, _PEOPLE, first)
    everything = [
        linked("planted people", planted.rows, planted.person, _PEOPLE, frozenset()),
        linked(
            "names must not differ",
            *(planted.rows, planted.person, _PEOPLE, first),
        ),
        by_pairs(chained, "nameless, by pairs", first),
        chained,
    ]
    if given.sites is not None:
        with gzip.open(given.sites) as file:
            rows = list(csv.DictReader(io.TextIOWrapper(file, encoding="utf-8")))
        truth = [row["True Id"] for row in rows]
        everything.insert(0, linked("sites of public lists", rows, truth, _SITES, frozenset()))
    print(threshold_table(everything))
    given.picture.write_bytes(png("thresholds", 3.4, lambda figure: _paint(figure, everything)))


def linked(
    name: str,
    rows: Sequence[Mapping[str, str]],
    truth: Sequence[str],
    kinds: Mapping[str, str],
    must_not_differ: frozenset[str],
) -> LinkedRecords:
    """Compare records that share no key.

    Args:
        name: of the set.
        rows: the records, [n].
        truth: who each is of, [n].
        kinds: compared columns.
        must_not_differ: as in `LinkSettings`.
    """
    columns = {
        column: pa.array([comparable(row[column], kind) for row in rows], pa.string())
        for column, kind in kinds.items()
    }
    names = [f"r{i:06d}" for i in range(len(rows))]
    records = pa.table({"contact": names, "known_at": np.zeros(len(rows), np.int64), **columns})
    settings = LinkSettings(kinds, default_blocking(kinds), THRESHOLDS[0], must_not_differ)
    began = time.monotonic()
    links = likely_links(records, settings)
    said = zip(names, records.select(sorted(must_not_differ)).to_pylist(), strict=True)
    values = {
        record: {column: frozenset({value}) for column, value in row.items() if value is not None}
        for record, row in said
    }
    apart = Apart((), values, Differences(kinds))
    return LinkedRecords(name, links, apart, truth, time.monotonic() - began)


def by_pairs(records: LinkedRecords, name: str, must_not_differ: frozenset[str]) -> LinkedRecords:
    """The records with a rule that looks at the two records of each link alone."""
    told = {f"{column}: different" for column in must_not_differ}
    links = [link for link in records.links if not told & set(link.levels)]
    return replace(records, name=name, links=links, apart=Apart())


def without_some(
    rows: Sequence[Mapping[str, str]], column: str, share: float, seed: int
) -> list[dict[str, str]]:
    """The rows, some of which do not give one column.

    Args:
        rows: the records, [n].
        column: that some do not give.
        share: of rows, drawn by lot.
        seed: of the lot.
    """
    rng = np.random.default_rng(seed)
    return [
        {**row, column: ""} if lost else dict(row)
        for row, lost in zip(rows, rng.random(len(rows)) < share, strict=True)
    ]


def threshold_table(everything: Sequence[LinkedRecords]) -> str:
    """Precision and recall of pairs at some thresholds."""
    shown = (0.5, 0.9, 0.95, 0.99, 0.999)
    rows = []
    for one in everything:
        for threshold in shown:
            scores = one.scores(threshold)
            numbers = [f"{value:.3f}" for value in (scores.precision, scores.recall, scores.f1)]
            rows.append([one.name, str(len(one.truth)), f"{threshold:g}", *numbers])
        print(f"{one.name}: {one.seconds:.1f} s", file=sys.stderr)
    return markdown_table(["records", "rows", "threshold", "precision", "recall", "F1"], rows)


def _paint(figure: Figure, everything: Sequence[LinkedRecords]) -> None:
    axes = figure.subplots(1, len(everything), sharey=True, squeeze=False)[0]
    for panel, one in zip(axes, everything, strict=True):
        scores = [one.scores(threshold) for threshold in THRESHOLDS]
        odds = [-np.log10(1 - threshold) for threshold in THRESHOLDS]
        panel.plot(odds, [s.precision for s in scores], "o-", markersize=3, label="precision")
        panel.plot(odds, [s.recall for s in scores], "s-", markersize=3, label="recall")
        marks = (0.5, 0.99, 0.9999)
        panel.set_xticks([-np.log10(1 - mark) for mark in marks], [f"{mark:g}" for mark in marks])
        panel.set_title(one.name, fontsize=9)
        panel.set_xlabel("threshold")
        panel.set_ylim(0.0, 1.02)
    axes[0].set_ylabel("share of pairs")
    axes[0].legend(frameon=False, loc="lower left")


if __name__ == "__main__":
    try:
        main(sys.argv[1:])
    except NurtureError as error:
        sys.exit(f"identity_error: {error}")
