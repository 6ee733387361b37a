"""What a person wrote in a mail, without what it quotes and without a signature."""

from __future__ import annotations

import re
from collections import Counter
from html.parser import HTMLParser

# The line above a quoted mail, in the languages of the labelled replies.
_WROTE = re.compile(
    r"^\W*(on|am|le|el|il|op)\b.{0,300}?\b(wrote|schrieb|a écrit|escribió|scrisse|schreef)\b"
    r".{0,200}?:\s*$",
    re.IGNORECASE | re.DOTALL,
)
_BEGINS = re.compile(r"^\W*(on|am|le|el|il|op)\b", re.IGNORECASE)
_RULE = re.compile(
    r"^\s*(-{2,}\s*(original message|ursprüngliche nachricht|message d'origine|message original|"
    r"mensaje original|forwarded message|weitergeleitete nachricht)\s*-{2,}|_{10,})\s*$",
    re.IGNORECASE,
)
_FROM = re.compile(r"^\W*(from|von|de|expéditeur)\s?:\W*\S", re.IGNORECASE)
_SENT = re.compile(
    r"^\W*(sent|date|gesendet|datum|envoyé|enviado|fecha|to|an|à|para|subject|betreff|objet|asunto)"
    r"\s?:",
    re.IGNORECASE,
)
_QUOTED = re.compile(r"^\s*>")
_SIGNATURE = re.compile(r"^--\s?$")
_SENT_FROM = re.compile(
    r"^\s*(sent from my|von meinem .* gesendet|gesendet (von|mit)|envoyé de(puis)? mon|"
    r"enviado desde mi|get outlook for)\b.*$",
    re.IGNORECASE,
)
_LONGEST = 20_000  # characters of own words; of longer ones the beginning and the end
_LOOKED_AT = 10 * _LONGEST  # characters that are looked at
_LINES = 3  # lines over which the line above a quoted mail may run


def own_words(text: str) -> str:
    """The lines that the writer of a mail wrote.

    Lines that begin with `>` are left out. After the head of a quoted mail (`On ... wrote:`,
    `-----Original Message-----`, a block of From and Sent) all is left out where the next line is
    not marked by `>`: nobody can tell then who wrote what stands below.
    """
    lines = text[:_LOOKED_AT].replace("\r\n", "\n").replace("\r", "\n").split("\n")
    marked = any(_QUOTED.match(line) for line in lines)
    kept: list[str] = []
    number = 0
    while number < len(lines):
        line = lines[number]
        if _QUOTED.match(line):
            number += 1
            continue
        if head := _head_of_quoted(lines, number):
            number += head
            if not _is_marked_below(lines, number):
                break
            continue
        if _SIGNATURE.match(line) and not marked:
            break
        if not _SENT_FROM.match(line):
            kept.append(line.rstrip())
        number += 1
    said = re.sub(r"\n{3,}", "\n\n", "\n".join(kept)).strip()
    half = _LONGEST // 2
    return said if len(said) <= _LONGEST else f"{said[:half]}\n{said[-half:]}"


def _is_marked_below(lines: list[str], number: int) -> bool:
    """Whether the next line with words is marked as quoted."""
    below = next((line for line in lines[number:] if line.strip()), "")
    return _QUOTED.match(below) is not None


def _head_of_quoted(lines: list[str], number: int) -> int:
    """How many lines the head of a quoted mail has here; 0: none begins here."""
    line = lines[number]
    if _RULE.match(line):
        return 1
    if _FROM.match(line):
        block = lines[number + 1 : number + 5]
        return 1 + sum(bool(_SENT.match(one)) for one in block) if _any_sent(block) else 0
    if _BEGINS.match(line):
        for most in range(1, _LINES + 1):
            if _WROTE.match(" ".join(lines[number : number + most])):
                return most
    return 0


def _any_sent(block: list[str]) -> bool:
    return sum(bool(_SENT.match(one)) for one in block) >= 2


def text_of_html(html: str) -> str:
    """The words of an HTML mail, a line a paragraph, without what it marks as quoted."""
    reader = _Reader()
    # A sign that begins no tag costs the parser a look at all that follows.
    reader.feed(re.sub(r"<(?![^<>]*>)", " ", _without_comments(html[: 20 * _LONGEST])))
    reader.close()
    lines = (re.sub(r"[ \t\xa0]+", " ", line).strip() for line in "".join(reader.said).split("\n"))
    return re.sub(r"\n{3,}", "\n\n", "\n".join(lines)).strip()


def _without_comments(html: str) -> str:
    kept, place = [], 0
    while (begin := html.find("<!--", place)) >= 0:
        kept.append(html[place:begin])
        end = html.find("-->", begin + 2)
        if end < 0:
            return "".join(kept)
        place = end + 3
    return "".join([*kept, html[place:]])


class _Reader(HTMLParser):
    """Collects text outside of styles, scripts and quoted mails."""

    _NEW_LINE = frozenset({"p", "br", "div", "tr", "li", "h1", "h2", "h3", "hr", "table"})
    _SKIPPED = frozenset({"style", "script", "head", "title", "blockquote"})
    _VOID = frozenset({"br", "hr", "img", "meta", "link", "input", "col", "area", "base", "wbr"})
    _QUOTES = re.compile(r"gmail_quote|yahoo_quoted|moz-cite|protonmail_quote|outlookmessageheader")

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.said: list[str] = []
        self._inside: list[str] = []  # tags that are open since a skipped one began
        self._open = Counter[str]()  # of them, by name

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """A tag begins."""
        if tag == "body":  # ends a head that nothing else did
            self._inside.clear()
            self._open.clear()
        named = " ".join(value or "" for name, value in attrs if name in ("class", "id")).lower()
        skipped = tag in self._SKIPPED or self._QUOTES.search(named) is not None
        if (self._inside or skipped) and tag not in self._VOID:
            self._inside.append(tag)
            self._open[tag] += 1
        elif not self._inside and tag in self._NEW_LINE:
            self.said.append("\n")

    def handle_endtag(self, tag: str) -> None:
        """A tag ends, and with it what was left open inside."""
        if self._open[tag]:
            ended = ""
            while ended != tag:
                ended = self._inside.pop()
                self._open[ended] -= 1
        elif not self._inside and tag in ("p", "div", "tr", "li"):
            self.said.append("\n")

    def handle_data(self, data: str) -> None:
        """Words."""
        if not self._inside:
            self.said.append(re.sub(r"\s+", " ", data))
