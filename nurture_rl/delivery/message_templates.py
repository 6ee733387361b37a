"""Approved texts: a message of a journey as a file with its blocks and merge fields.

    Subject: A short tour, {{first_name|there}}

    [[block intro]]
    Hello {{first_name|there}},
    [[end]]
    ...

Everything is checked when a file is read: which blocks it has, and which fields it asks for.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path

from nurture_envs.journey import Message
from nurture_rl.errors import DeliveryError

UNSUBSCRIBE = "unsubscribe_url"  # a field that every mail has: its link of one-click unsubscribe
_SUBJECT = "Subject: "
_FIELD = re.compile(r"\{\{ *([A-Za-z_][A-Za-z0-9_.]*) *(?:\|([^{}|\r\n]*))?\}\}")
_BLOCK = re.compile(r"\[\[block ([A-Za-z0-9_-]+)\]\]")
_MARK = re.compile(r"\[\[ *(block|end)\b")
_END = "[[end]]"


@dataclass(frozen=True, slots=True)
class MergeField:
    """A place in a text that a contact's value takes."""

    name: str
    default: str | None  # in place of an empty value; None: there must be one
    place: str  # file and line, for messages


@dataclass(frozen=True, slots=True)
class Text:
    """Literal pieces and fields, in order."""

    pieces: tuple[str | MergeField, ...]
    is_html: bool = False

    @property
    def fields(self) -> list[MergeField]:
        """The places to fill in."""
        return [piece for piece in self.pieces if isinstance(piece, MergeField)]

    def filled(self, values: Mapping[str, str], whose: str) -> str:
        """The text with values in place of fields; in HTML they are escaped.

        Raises:
            DeliveryError: a value is empty where the template has no default for it.
        """
        return "".join(
            piece if isinstance(piece, str) else self._value(piece, values, whose)
            for piece in self.pieces
        )

    def _value(self, field: MergeField, values: Mapping[str, str], whose: str) -> str:
        value = values[field.name] or field.default
        if value is None:
            raise DeliveryError(
                f"{field.place}: expected a value of {field.name} for {whose}, got an empty one; "
                f"fill it in, or write {{{{{field.name}|WORD}}}} for a word in its place"
            )
        return escape(value, quote=True) if self.is_html else value


@dataclass(frozen=True, slots=True)
class MessageTemplate:
    """The approved text of one message."""

    message: Message
    subject: Text
    text: Text
    html: Text | None
    digest: str  # of the files' bytes: which wording it was

    @property
    def fields(self) -> list[MergeField]:
        """Every place to fill in."""
        parts = (self.subject, self.text, *([self.html] if self.html else []))
        return [field for part in parts for field in part.fields]

    def require_fields(self, columns: Sequence[str], source: Path) -> None:
        """Guard the names of merge fields.

        Raises:
            DeliveryError: the template asks for a field that nobody has.
        """
        known = {*columns, *built_in(self.message, "")}
        for field in self.fields:
            if field.name not in known:
                raise DeliveryError(
                    f"{field.place}: expected a field of {source} or one of "
                    f"{', '.join(built_in(self.message, ''))}, got {field.name}; add the column "
                    "or mend the template"
                )


def built_in(message: Message, unsubscribe_url: str) -> dict[str, str]:
    """Fields that are known without a table."""
    return {
        UNSUBSCRIBE: unsubscribe_url,
        "message.id": message.id,
        "message.topic": message.topic,
        "message.proof": message.proof,
        "message.offer": message.offer,
        "message.call_to_action": message.call_to_action,
    }


def read_template(folder: Path, message: Message) -> MessageTemplate:
    """Read and check MESSAGE.txt and, where there is one, MESSAGE.html.

    Raises:
        DeliveryError: no text, no subject, a mark or a field that cannot be read, or other blocks
            than the journey's message has.
    """
    if message.approval != "approved":
        raise DeliveryError(
            f"expected an approved message, got {message.id}, which is {message.approval}; approve "
            "it in the journey's file and release it anew"
        )
    path = folder / f"{message.id}.txt"
    content = _read(path)
    first, _, body = content.partition("\n")
    blank, _, body = body.partition("\n")
    if not first.startswith(_SUBJECT) or not first[len(_SUBJECT) :].strip() or blank.strip():
        raise DeliveryError(
            f"{path}:1: expected `{_SUBJECT}...` and an empty line after it, got {first!r}"
        )
    subject = _text(first[len(_SUBJECT) :].strip(), path, 1, False)
    text = _body(body, path, 3, message)
    page, html, pages = folder / f"{message.id}.html", None, ""
    if page.exists():
        pages = _read(page)
        html = _body(pages, page, 1, message)
    digest = hashlib.sha256(f"{content}\0{pages}".encode()).hexdigest()[:16]
    return MessageTemplate(message, subject, text, html, digest)


def _read(path: Path) -> str:
    try:
        return path.read_text("utf-8-sig").replace("\r\n", "\n")
    except (OSError, UnicodeDecodeError) as error:
        raise DeliveryError(
            f"{path}: expected the approved text of a message in UTF-8, got: {error}"
        ) from error


def _body(content: str, path: Path, first: int, message: Message) -> Text:
    """The text of a body without the lines that mark its blocks."""
    kept, blocks, inside = list[tuple[int, str]](), list[str](), ""
    for number, line in enumerate(content.splitlines(keepends=True), first):
        mark = line.strip()
        if begin := _BLOCK.fullmatch(mark):
            if inside:
                raise DeliveryError(f"{path}:{number}: expected {_END} of block {inside} before")
            inside = begin[1]
            blocks.append(inside)
        elif mark == _END:
            if not inside:
                raise DeliveryError(f"{path}:{number}: expected [[block NAME]] before {_END}")
            inside = ""
        elif _MARK.search(line):
            raise DeliveryError(
                f"{path}:{number}: expected [[block NAME]] or {_END} alone on its line, got "
                f"{mark!r}"
            )
        else:
            kept.append((number, line))
    if inside:
        raise DeliveryError(f"{path}: expected {_END} of block {inside}, got the end of the file")
    if sorted(blocks) != sorted(message.blocks):
        raise DeliveryError(
            f"{path}: expected the blocks of message {message.id}, {_listed(message.blocks)}, each "
            f"once, got {_listed(blocks)}"
        )
    pieces = [p for number, line in kept for p in _pieces(line, path, number)]
    return Text(tuple(pieces), path.suffix == ".html")


def _listed(names: Sequence[str]) -> str:
    return ", ".join(names) or "none"


def _text(content: str, path: Path, line: int, is_html: bool) -> Text:
    return Text(tuple(_pieces(content, path, line)), is_html)


def _pieces(line: str, path: Path, number: int) -> list[str | MergeField]:
    pieces, end = list[str | MergeField](), 0
    for found in _FIELD.finditer(line):
        pieces.append(line[end : found.start()])
        pieces.append(MergeField(found[1], found[2], f"{path}:{number}"))
        end = found.end()
    pieces.append(line[end:])
    for piece in pieces:
        if isinstance(piece, str) and ("{{" in piece or "}}" in piece):
            raise DeliveryError(
                f"{path}:{number}: expected fields as {{{{name}}}} or {{{{name|default}}}}, got "
                f"{line.strip()!r}"
            )
    return [piece for piece in pieces if piece != ""]
