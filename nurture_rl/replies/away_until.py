"""When somebody who is out of office is back, by what an automatic reply says."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import date, timedelta

_MONTHS = {
    1: "january jan januar janvier janv enero ene jänner",
    2: "february feb februar février fevrier févr fevr febrero",
    3: "march mar märz maerz mrz mars marzo",
    4: "april apr avril avr abril abr",
    5: "may mai mayo",
    6: "june jun juni juin junio",
    7: "july jul juli juillet juil julio",
    8: "august aug août aout agosto ago",
    9: "september sep sept septembre septiembre setiembre",
    10: "october oct oktober okt octobre octubre",
    11: "november nov novembre noviembre",
    12: "december dec dezember dez décembre decembre déc diciembre dic",
}
_MONTH = {word: month for month, words in _MONTHS.items() for word in words.split()}
_DAYS = (
    "monday montag lundi lunes",
    "tuesday dienstag mardi martes",
    "wednesday mittwoch mercredi miércoles miercoles",
    "thursday donnerstag jeudi jueves",
    "friday freitag vendredi viernes",
    "saturday samstag samedi sábado sabado",
    "sunday sonntag dimanche domingo",
)
_DAY = {word: number for number, words in enumerate(_DAYS) for word in words.split()}
_NAMES = "|".join(sorted(_MONTH, key=len, reverse=True))
_WEEKDAYS = "|".join(sorted(_DAY, key=len, reverse=True))
_YEAR = r"(?:,?\s*(?:de\s+|of\s+)?(\d{4}))?"
_ISO = re.compile(r"\b(\d{4})-(\d{1,2})-(\d{1,2})\b")
_NUMBERS = re.compile(r"\b(\d{1,2})([./-])\s?(\d{1,2})\.?(?:\2?\s?(\d{4}|\d{2}))?(?![\d:])")
_DAY_MONTH = re.compile(
    rf"\b(\d{{1,2}})(?:st|nd|rd|th|er|\.)?\s+(?:of\s+|de\s+)?({_NAMES})\b\.?{_YEAR}", re.IGNORECASE
)
_MONTH_DAY = re.compile(
    rf"\b({_NAMES})\b\.?\s+(?:the\s+)?(\d{{1,2}})(?:st|nd|rd|th)?\b{_YEAR}", re.IGNORECASE
)
_NEXT_DAY = re.compile(r"\b(tomorrow|morgen|demain|mañana)\b", re.IGNORECASE)
_DAY_ALONE = re.compile(
    r"\b(?:the|am|dem|le|el)\s+(\d{1,2})(?:st|nd|rd|th|er|\.)?(?![\w:/.-])", re.I
)
_WEEKDAY = re.compile(rf"\b({_WEEKDAYS})\b", re.IGNORECASE)
# Words beside which a date tells the end of an absence.
_END = re.compile(
    r"\b(until|till?|through|thru|to|back|return\w*|again|from|resum\w*|reopen\w*|respond|see|next|"
    r"bis|zurück|zurueck|zrugg|wieder|ab|rückkehr|erster|"
    r"jusqu\w*|au|retour|reviens|reprend\w*|rouvr\w*|rentr\w*|partir|répond\w*|lirai|"
    r"hasta|al|vuelv\w*|vuelta|regres\w*|reincorpor\w*|abr\w*mos|retom\w*|contest\w*|leo)\b",
    re.IGNORECASE,
)
# Words beside which a date tells of an absence, where no end is named.
_AWAY = re.compile(
    r"\b(away|vacation|holidays?|leave|out|off|absen\w*|ausente|urlaub|abwesen\w*|abwesend|congés?|"
    r"vacaciones|vacances|closed|geschlossen|fermés?|cerrad[oa]s?)\b",
    re.IGNORECASE,
)
# A date that is none by chance, such as the number of a room.
_NAMED = re.compile(rf"\b({_NAMES}|{_WEEKDAYS})\b|\d{{4}}", re.IGNORECASE)
_PAST = 60  # days; a date without a year that passed no longer ago is not next year's
_LONGEST = 366  # days; a date further away is another one


def away_until(text: str, written: date) -> date | None:
    """The day that an absence note names as its end; the latest where it names several.

    Args:
        text: of the note.
        written: the day on which it came.

    Returns:
        The day; None: none is named, or none that lies within a year after the note. Of 5/6 and 6/5
        the earlier day that is still to come is taken, as mail may begin again too late, but who
        writes to soon after a return is not harmed.
    """
    parts = re.split(r"[!?;\n]+|(?:(?<!\d)|(?<=\d{4}))\.(?=\s+[A-ZÄÖÜÉ¡¿])", text)
    for words in (_END, _AWAY, _NAMED):
        named = (part for part in parts if words.search(part))
        if found := [day for part in named for day in _days(part, written)]:
            return max(found)
    return None


def _days(text: str, written: date) -> Iterator[date]:
    """The days to come that a text names; days without a month only where it names no date."""
    named = [day for readings in _dates(text, written) if (day := _next(readings, written))]
    yield from named
    if named:
        return
    for said in _DAY_ALONE.findall(text):
        months = [(written + timedelta(days=30 * ahead)).replace(day=1) for ahead in (0, 1)]
        days = _valid([(one.year, one.month, int(said)) for one in months])
        yield from sorted(day for day in days if day > written)[:1]
    for word in _WEEKDAY.findall(text):
        yield written + timedelta(days=(_DAY[word.lower()] - written.weekday() - 1) % 7 + 1)
    if _NEXT_DAY.search(text):
        yield written + timedelta(days=1)


def _next(readings: list[date], written: date) -> date | None:
    """The first of some readings of one date that is still to come, unless one is just over."""
    last, past = written + timedelta(days=_LONGEST), written - timedelta(days=_PAST)
    years = {day.year for day in readings}
    if len(years) > 1 and any(past <= day < written for day in readings):
        readings = [day for day in readings if day.year == written.year]
    return min((day for day in readings if written <= day <= last), default=None)


def _dates(text: str, written: date) -> Iterator[list[date]]:
    """Each date that a text names, in all ways to read it."""
    for year, month, day in _ISO.findall(text):
        yield _valid([(int(year), int(month), int(day))])
    rest = _ISO.sub(" ", text)
    numbers = _NUMBERS.findall(rest)
    slashed = [(int(first), int(second)) for first, sign, second, _ in numbers if sign != "."]
    month_first = any(second > 12 for _, second in slashed)  # then all dates are written so
    day_first = any(first > 12 for first, _ in slashed)
    for first, sign, second, year in numbers:
        one, other = int(first), int(second)
        pairs = [(one, other)] if sign == "." or not month_first else []
        pairs += [(other, one)] if sign != "." and not day_first else []
        yield _valid([(y, m, d) for d, m in pairs for y in _years(year, written)])
    for day, name, year in _DAY_MONTH.findall(rest):
        yield _valid([(y, _MONTH[name.lower()], int(day)) for y in _years(year, written)])
    for name, day, year in _MONTH_DAY.findall(rest):
        yield _valid([(y, _MONTH[name.lower()], int(day)) for y in _years(year, written)])


def _years(said: str, written: date) -> list[int]:
    """The years that are meant, where none is said the one before and after too."""
    if not said:
        return [written.year - 1, written.year, written.year + 1]
    return [int(said) + (2000 if len(said) == 2 else 0)]


def _valid(parts: list[tuple[int, int, int]]) -> list[date]:
    found = []
    for year, month, day in parts:
        try:
            found.append(date(year, month, day))
        except ValueError:
            continue
    return found
