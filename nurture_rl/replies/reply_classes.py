"""What a reply says: a classifier of words, learned from a small labelled file.

Words and pieces of words are weighed (TF-IDF) by multinomial logistic regression; both are
scikit-learn's. Learning takes a second, is the same in every run, and no model is stored: whoever
adds labelled replies of their own has a better one at once.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import FeatureUnion, Pipeline, make_pipeline

from nurture_rl.replies.labelled_replies import LabelledReply, read_labelled, shipped_replies

STOP = "unsubscribe_request"
AWAY = "out_of_office"
PROGRAMS = (AWAY, "automatic")  # write these
NO = "negative"  # stops mail as STOP does
UNCLEAR = "unclear"  # no class is likely enough: a person reads it, and mail waits until then
# A reply is STOP from this chance on, of the whole or of one sentence (people ask in the last line
# of a long mail), though another class may be likelier: a mail to who asked for none costs more
# than a contact who gets none.
STOP_CHANCE = 0.40
# From this chance of STOP on a reply that is none by the rule above is UNCLEAR. Both are set by
# cross-validation of the labelled replies: mail goes on after at most one of 200 opt-outs.
HOLD_CHANCE = 0.08
SURE = 0.35  # a class of a lower chance is UNCLEAR too
_SENTENCE = re.compile(r"(?<=[.!?;:])\s+|\n+")


@dataclass(frozen=True, slots=True)
class GivenClass:
    """The class of a reply."""

    label: str  # of the labelled replies, or UNCLEAR
    kind: str | None  # of an objection
    chance: float  # of the label by the classifier, 0 to 1


class ReplyClassifier:
    """Classes of replies."""

    def __init__(self, labelled: Sequence[LabelledReply]) -> None:
        """Learn.

        Args:
            labelled: replies whose class is known; as `read_labelled` gives them.
        """
        self._model = _model()
        self._model.fit([words_of(one.subject, one.text) for one in labelled], _labels(labelled))
        self.labels: list[str] = [str(one) for one in self._model.classes_]
        objections = [one for one in labelled if one.kind]
        self._kinds = _model()
        texts = [words_of(one.subject, one.text) for one in objections]
        self._kinds.fit(texts, [one.kind for one in objections])
        told = "\n".join(f"{one.label},{one.kind},{one.subject},{one.text}" for one in labelled)
        self.digest = hashlib.sha256(told.encode()).hexdigest()[:16]  # of what it learned from

    def classes(self, texts: Sequence[tuple[str, str]]) -> list[GivenClass]:
        """The class of each reply.

        Args:
            texts: subject and own words of each reply.
        """
        if not texts:
            return []
        chances = np.asarray(self._model.predict_proba([words_of(*one) for one in texts]))
        stops = self._stops(texts, chances)
        return [
            self._given(row, stop, *text)
            for row, stop, text in zip(chances, stops, texts, strict=True)
        ]

    def _stops(
        self, texts: Sequence[tuple[str, str]], chances: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        """The chance of STOP of each reply or of its most telling sentence [reply].

        What programs write is looked at as a whole: its sentences ask for much.
        """
        at = self.labels.index(STOP)
        stops = chances[:, at].copy()
        people = chances[:, [self.labels.index(one) for one in PROGRAMS]].sum(1) < 0.5
        said = [
            (number, words_of("", part))
            for number, (_, text) in enumerate(texts)
            if people[number]
            for part in _SENTENCE.split(text)
            if len(part.split()) > 1
        ]
        if said:
            numbers, parts = zip(*said, strict=True)
            np.maximum.at(stops, np.array(numbers), self._model.predict_proba(parts)[:, at])
        return stops

    def _given(
        self, chances: NDArray[np.float64], stop: float, subject: str, text: str
    ) -> GivenClass:
        label = given_label(self.labels, chances, stop)
        if label in (STOP, UNCLEAR):
            return GivenClass(label, None, float(stop if label == STOP else chances.max()))
        kind = None
        if label == "objection":
            kind = str(self._kinds.predict([words_of(subject, text)])[0])
        return GivenClass(label, kind, float(chances[self.labels.index(label)]))


def given_label(labels: Sequence[str], chances: NDArray[np.float64], stop: float) -> str:
    """The label that some chances give; see STOP_CHANCE, HOLD_CHANCE and SURE.

    Args:
        labels: their names.
        chances: of a reply [label].
        stop: the chance that it, or a sentence of it, is STOP.
    """
    best = int(np.argmax(chances))
    if stop >= STOP_CHANCE:
        return STOP
    if labels[best] == NO:  # after which no mail goes either
        return NO
    return labels[best] if stop < HOLD_CHANCE and chances[best] >= SURE else UNCLEAR


def _labels(labelled: Sequence[LabelledReply]) -> list[str]:
    return [one.label for one in labelled]


def words_of(subject: str, text: str) -> str:
    """What a classifier reads of a reply."""
    return f"{subject.lower()} \n {text.lower()}"


def _model() -> Pipeline:
    words = TfidfVectorizer(
        ngram_range=(1, 2), sublinear_tf=True, token_pattern=r"(?u)\b\w+\b|[?!]"
    )
    pieces = TfidfVectorizer(analyzer="char_wb", ngram_range=(2, 5), sublinear_tf=True, min_df=2)
    return make_pipeline(
        FeatureUnion([("words", words), ("pieces", pieces)]),
        LogisticRegression(C=20.0, class_weight="balanced", max_iter=500),
    )


@lru_cache(maxsize=1)
def shipped_classifier() -> ReplyClassifier:
    """The classifier of the labelled replies in the package."""
    return ReplyClassifier(shipped_replies())


def classifier_of(paths: Sequence[Path]) -> ReplyClassifier:
    """A classifier of the shipped labelled replies and further ones.

    Args:
        paths: CSV files as `labelled_replies.read_labelled` takes them.

    Raises:
        LogError: one cannot be read.
    """
    if not paths:
        return shipped_classifier()
    further = [row for path in paths for row in read_labelled(path)]
    return ReplyClassifier([*shipped_replies(), *further])
