"""The command lines that the pages and the help show."""

from __future__ import annotations

import re
from collections.abc import Iterator

from nurture_rl.cli.verbs import VERBS
from tests.contract.source_tree import ROOT

PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
PAGES += sorted((ROOT / "experiments").glob("*/README.md"))
_SHOWN = re.compile(r"^```[^\n]*\n(.*?)^```|`(nurture [^`]+)`", re.MULTILINE | re.DOTALL)

TWO_LEARNERS = "+policy@policies.cql=cql"  # in the line of each real log that has them
# The line of each real log, on the page of its experiment.
REAL_LOGS = {
    name: f"nurture pipeline data={name} seed=0"
    for name in ("hillstrom", "heartsteps", "starbucks_offers")
}


def commands(text: str) -> Iterator[str]:
    """Command lines of `nurture` in a page's blocks and between its backticks, in order."""
    for block, words in _SHOWN.findall(text):
        for line in (words or block.replace("\\\n", " ")).splitlines():
            if line.startswith("nurture "):
                yield line.split("  #")[0].strip()


LINES: list[tuple[str, str]] = [
    (str(page.relative_to(ROOT)), line)
    for page in PAGES
    for line in commands(page.read_text("utf-8"))
]
LINES += [("--help", line) for verb in VERBS.values() for line in verb.examples]
