"""The pages' templates, and names in backticks as code on them."""

from __future__ import annotations

import re
from importlib import resources

from jinja2 import Environment, StrictUndefined, Template
from markupsafe import Markup, escape

_QUOTED = re.compile(r"`([^`\n]+)`")


def coded(text: str) -> Markup:
    """The text escaped, with <code> around what stands in backticks, as Markdown has it."""
    return Markup(_QUOTED.sub(r"<code>\1</code>", str(escape(text))))


def template(name: str) -> Template:
    """A template of this folder; everything set in it is escaped, the filter `coded` is known."""
    environment = Environment(
        autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters["coded"] = coded
    return environment.from_string(_file(name))


def style() -> Markup:
    """The pages' style sheet."""
    return Markup(_file("report.css"))


def _file(name: str) -> str:
    """The text of a file that is packed with the reports."""
    return resources.files("nurture_rl.report").joinpath(name).read_text("utf-8")
