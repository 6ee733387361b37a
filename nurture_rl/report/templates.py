"""The pages' templates with their style, and names in backticks as code on them."""

from __future__ import annotations

import re
from functools import cache
from importlib import resources

from jinja2 import Environment, FunctionLoader, StrictUndefined
from markupsafe import Markup, escape

_QUOTED = re.compile(r"`([^`\n]+)`")


def coded(text: str) -> Markup:
    """The text escaped, with <code> around what stands in backticks, as Markdown has it."""
    return Markup(_QUOTED.sub(r"<code>\1</code>", str(escape(text))))


def page(name: str, title: str, **parts: object) -> str:
    """A page of its own, which asks nothing from outside.

    Args:
        name: its template, which extends the shell.
        title: of the page.
        parts: what the shell and the template set; the shell leaves out what it is not given.
    """
    return _environment().get_template(name).render(_SHELL | {"title": title, **parts})


def section(name: str, **parts: object) -> Markup:
    """A section to be set into a page."""
    return Markup(_environment().get_template(name).render(parts))


# What a page may do without.
_SHELL = dict.fromkeys(
    ("subtitle", "headline", "provenance", "contents", "run_facts", "command", "config")
)


@cache
def _environment() -> Environment:
    """All that is set is escaped; the templates of this folder know each other."""
    environment = Environment(
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        loader=FunctionLoader(_file),
    )
    environment.filters["coded"] = coded
    environment.globals["breakable"] = Markup("_<wbr>")
    environment.globals["style"] = Markup(_file("report.css"))
    return environment


def _file(name: str) -> str:
    """The text of a file that is packed with the reports."""
    return resources.files("nurture_rl.report").joinpath(name).read_text("utf-8")
