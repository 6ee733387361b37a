"""A first mapping of a file of a known format: its name, and what its rows do not tell."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from nurture_rl.errors import ConfigError
from nurture_rl.logs.mapped.draft_text import as_scalar
from nurture_rl.logs.mapped.drafting import Draft, GivenAnswers
from nurture_rl.logs.mapped.looking import FileLook
from nurture_rl.logs.mapped.mapping_file import plain_cell
from nurture_rl.logs.mapped.recognising import LEAST, LOOKED_AT, Recognised, tried_formats
from nurture_rl.logs.mapped.words import COMMON_STAGES, STAGE_WORDS, header
from nurture_rl.logs.reported.known_formats import FORMATS

NONE = "none"  # instead of a format: columns of one's own


def draft_of_format(
    look: FileLook, stages: Sequence[str], answers: GivenAnswers, name: str | None = None
) -> Draft | None:
    """Draft the mapping of a file whose rows are of a known format; None where they are of none.

    Where several formats fit, or one by columns that others have too, the draft asks.

    Args:
        look: what the file looks like.
        stages: of the journey.
        answers: what is known beforehand.
        name: the format, where somebody knows it; `none`: it is of none.

    Raises:
        ConfigError: there is no such format, or no row can be read by it.
        LogError: the file cannot be read.
    """
    if name == NONE:
        return None
    if name is not None and name not in FORMATS:
        raise ConfigError(f"format: expected one of {', '.join((*FORMATS, NONE))}, got {name!r}")
    tried = tried_formats(look)
    if name is not None:
        best = next(one for one in tried if one.name == name)
        if not best.read:
            raise ConfigError(f"format: no row of {look.path.name} can be read as {name}")
        return _draft(look, best, [], stages, answers)
    fit = [one for one in tried if one.read and one.read >= LEAST * one.rows]
    if not fit:
        return None
    questions = []
    if len(fit) > 1:
        told = "; ".join(one.told() for one in fit)
        questions.append(f"format: several fit ({told}). Keep the one whose file it is")
    elif not fit[0].by_own_columns:
        questions.append(
            f"format: {fit[0].told()}, by columns that files of others have too. Is it a file of "
            f"{fit[0].name}? Keep the format, or draft columns of your own with format={NONE}"
        )
    return _draft(look, fit[0], questions, stages, answers)


def _draft(
    look: FileLook,
    found: Recognised,
    questions: list[str],
    stages: Sequence[str],
    answers: GivenAnswers,
) -> Draft:
    questions = [*look.questions, *questions]
    words = _stage_words(found, stages, answers, questions)
    lines = [
        f"# {found.told()}, of the first {LOOKED_AT} lines at most. Read every line.",
        f"file: {as_scalar(look.path.name)}",
    ]
    name = look.path.name.removesuffix(".gz")
    if name.endswith((".csv", ".tsv", ".txt")):
        lines += [f"encoding: {as_scalar(look.encoding)}"]
        lines += [f"separator: {as_scalar(look.separator)}"]
    if questions:
        lines.append("# Answer each in the lines around, and take it out of this list.")
        lines += ["questions:", *(f"  - {as_scalar(one)}" for one in questions)]
    lines.append(f"format: {found.name}")
    if words:
        lines.append("stages:  # words of the file and the journey's stages; empty leaves rows out")
        lines += [f"  {as_scalar(word)}: {as_scalar(stage)}" for word, stage in words.items()]
    says = [f"format {found.name}: {found.told()}"]
    if found.read < found.rows:
        says.append("  the other rows say nothing, or are set aside with their reason by ingest")
    return Draft("\n".join(lines) + "\n", tuple(questions), tuple(says), ())


def _stage_words(
    found: Recognised, stages: Sequence[str], answers: GivenAnswers, questions: list[str]
) -> Mapping[str, str]:
    """The stage that each word of the file means; words that mean none yet are asked."""
    said = {plain_cell(word): stage for word, stage in answers.stages.items()}
    words: dict[str, str] = {}
    for word in found.stages:
        plain = header(word)
        stage = said.get(plain_cell(word), STAGE_WORDS.get(plain, plain))
        if plain_cell(word) not in said and stage not in (*stages, *COMMON_STAGES):
            stage = ""
            known = ", ".join(stages) or "none"
            questions.append(
                f"stages: the file says {word!r}, the journey has {known}: which is it? Write it "
                "beside the word; empty leaves such rows out"
            )
        if stage != word:
            words[word] = stage
    return words
