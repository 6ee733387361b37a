"""The paper of a bundle: what is sent to whom, when, and what stops it; as a page and as text."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from textwrap import wrap

from nurture_rl.papers.trigger_paper import TriggerPaper
from nurture_rl.report.card_tables import card_lists, card_tables
from nurture_rl.report.tables import Table
from nurture_rl.report.templates import page

TITLE = "What is sent to whom, when, and what stops it"
_WIDTH = 100  # of the text, in characters


@dataclass(frozen=True, slots=True)
class PaperBlock:
    """Sentences, and a table after them, under one heading."""

    title: str  # empty: none
    sentences: tuple[str, ...] = ()
    table: Table | None = None


@dataclass(frozen=True, slots=True)
class PaperSection:
    """A part of the paper."""

    title: str
    says: str
    blocks: tuple[PaperBlock, ...]

    @property
    def id(self) -> str:
        """How links name it."""
        return self.title.lower().replace(" ", "-")


def papers_page(paper: TriggerPaper) -> str:
    """The page; the same paper gives the same bytes."""
    sections = tuple(_sections(paper))
    return page(
        "papers_page.html.j2",
        TITLE,
        subtitle=paper.title,
        provenance=paper.provenance,
        contents=[(one.id, one.title) for one in sections],
        sections=sections,
    )


def papers_text(paper: TriggerPaper) -> str:
    """The same as plain text."""
    lines = [TITLE.upper(), paper.title, *_wrapped(f"Provenance: {paper.provenance}")]
    for one in _sections(paper):
        lines += ["", "", one.title.upper(), *_wrapped(one.says)]
        for block in one.blocks:
            lines += ["", *_wrapped(block.title)] if block.title else [""]
            lines += [line for told in block.sentences for line in _wrapped(told, "  - ")]
            lines += [] if block.table is None else [*_rows(block.table)]
    return "\n".join(lines).replace("`", "") + "\n"


def _rows(table: Table) -> Iterator[str]:
    """A table's rows, each cell after the name of its column."""
    for first, *rest in table.rows:
        if len(rest) == 1:
            yield from _wrapped(f"{first}: {rest[0]}", "  - ")
            continue
        yield from _wrapped(first, "  - ")
        for name, cell in zip(table.columns[1:], rest, strict=True):
            yield from _wrapped(f"{name}: {cell}", "      ")


def _wrapped(text: str, lead: str = "") -> list[str]:
    return wrap(
        text,
        _WIDTH,
        initial_indent=lead,
        subsequent_indent=" " * len(lead),
        break_long_words=False,
        break_on_hyphens=False,
    )


def _sections(paper: TriggerPaper) -> Iterator[PaperSection]:
    yield PaperSection(
        "Which bundle this is",
        "This page was made from the bundle alone. Whoever has the bundle can make it again and "
        "compare: the same bundle gives the same bytes. Its manifest holds the hash of every file.",
        (PaperBlock("", table=_facts("The bundle", paper.seal)),),
    )
    yield PaperSection(
        "Messages",
        "A mail goes only where one of its triggers fits and no guardrail forbids it.",
        tuple(
            PaperBlock(
                one.name,
                tuple(f"Trigger: {told}" for told in one.triggers),
                _facts(f"About {one.name}", one.facts),
            )
            for one in paper.messages
        ),
    )
    yield PaperSection(
        "What stops a mail",
        "Guardrails are kept by the server, whatever a policy wants. Each holds by itself.",
        (PaperBlock("", table=_guardrails(paper)),),
    )
    yield PaperSection("How a journey goes", "", (PaperBlock("", paper.course),))
    yield PaperSection(
        "How it is decided",
        "The policy, from the outside in: what stands further in is a part of what stands before.",
        (
            PaperBlock("The policy", tuple(_nested(one.depth, one.says) for one in paper.policy)),
            PaperBlock("Where it gives no answer", paper.fallback),
            *(PaperBlock(_sentence(name), lines) for name, lines in paper.programs),
        ),
    )
    known = Table("Features", ("Feature", "Meaning"), paper.features, frozenset({1}))
    yield PaperSection(
        "What is known of a contact",
        "The policy sees these numbers of a contact and nothing else. A bin is a step.",
        (PaperBlock("", table=known),),
    )
    lists = (PaperBlock(title, sentences) for title, sentences in card_lists(paper.card))
    tables = (PaperBlock("", table=table) for table in card_tables(paper.card))
    first = str(paper.card.get("first", ""))
    yield PaperSection("Policy card", first, (*lists, *tables))


def _guardrails(paper: TriggerPaper) -> Table:
    rows = tuple((one.name, one.forbids, one.lasts) for one in paper.guardrails)
    head = ("Guardrail", "It forbids", "For how long")
    return Table("Guardrails", head, rows, frozenset({1, 2}))


def _nested(depth: int, text: str) -> str:
    return f"{'– ' * depth}{text}"


def _facts(caption: str, facts: Sequence[tuple[str, str]]) -> Table:
    return Table(caption, ("Fact", "Value"), tuple(facts), frozenset({1}))


def _sentence(text: str) -> str:
    return text[:1].upper() + text[1:]
