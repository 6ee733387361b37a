"""Which pairs of factors stand out, so that they are not shrunk together with those that do not.

Of hundreds of pairs most add nothing. A common prior that fits them all shrinks the one that
matters too, so pairs that stand out get a prior of their own.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri

from nurture_rl.bandits.linear_statistics import Equations

IntArray = NDArray[np.int64]

_PAIRS, _FOUND = "pairs", "found_pairs"  # groups of the design
_LEVEL = 0.05  # chance that some pair stands out where none adds anything
_DUST = 1e-8  # of a column's own size: what the others leave of it by rounding


def with_found_pairs(equations: Equations) -> Equations:
    """The equations with the pairs that stand out as a group of their own, if any do.

    One pair after another, the one of the largest z-score beside the main effects and the pairs
    found before, as long as it passes Bonferroni's bound at 5 % over all pairs. Rows are counted as
    independent: where the log gave a contact like actions in most of its rows, and their returns go
    together, dozens of pairs may stand out that add nothing. They are shrunk all the same, by
    evidence, and their standard errors count contacts. What two tags of a message add never stands
    out, for the messages' own columns say it too: it stays among the other pairs.

    Source: forward selection as in Hastie, Tibshirani & Friedman (2009), 3.3.2.
    """
    design = equations.design
    if _PAIRS not in design.names:
        return equations
    group = design.groups(equations.context_mean.size - 1).copy()
    pairs = np.flatnonzero(group == design.names.index(_PAIRS))
    bound = float(-ndtri(_LEVEL / (2.0 * max(pairs.size, 1))))
    base, found = np.flatnonzero(group == 0), list[int]()
    while len(found) < pairs.size:
        scores = _scores(equations, np.r_[base, np.array(found, np.int64)], pairs)
        best = int(scores.argmax())
        if scores[best] < bound:
            break
        found.append(int(pairs[best]))
    if not found:
        return equations
    group[found] = len(design.names)
    names = (*design.names, _FOUND)
    return replace(equations, design=replace(design, group=group, names=names))


def _scores(equations: Equations, known: IntArray, pairs: IntArray) -> NDArray[np.float64]:
    """|z| of each pair, were it added to the known columns, [pairs]."""
    gram, right = equations.gram, equations.right
    inside = np.linalg.pinv(gram[np.ix_(known, known)], hermitian=True)
    link = gram[np.ix_(pairs, known)]
    explained = inside @ right[known]
    rest = equations.leftover - float(right[known] @ explained)
    noise = max(rest, 0.0) / max(equations.freedom - known.size, 1)
    size = np.diag(gram)[pairs] - np.einsum("jk,kl,jl->j", link, inside, link, optimize=True)
    left = right[pairs] - link @ explained
    seen = size > _DUST * np.maximum(np.diag(gram)[pairs], 1.0)
    scale = np.sqrt(np.where(seen, size * noise, np.inf))
    return np.asarray(np.where(seen, np.abs(left) / scale, 0.0), np.float64)
