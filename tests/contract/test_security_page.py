"""docs/security.md names tests that exist."""

from __future__ import annotations

import ast
import re

from tests.contract.source_tree import ROOT

PAGE = (ROOT / "docs" / "security.md").read_text("utf-8")
ROWS = [line for line in PAGE.splitlines() if line.startswith("| ") and "---" not in line]


def named_in(file: str) -> set[str]:
    tree = ast.parse((ROOT / "tests" / file).read_text("utf-8"))
    return {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}


def test_every_attack_has_a_test_that_exists() -> None:
    attacks = [row for row in ROWS if not row.startswith("| attack")]
    assert len(attacks) > 30
    for row in attacks:
        found = re.search(r"\| `([\w/]+\.py)::(test_\w+)` \|$", row)
        assert found, f"expected a test at the end of: {row}"
        assert found[2] in named_in(found[1]), f"{found[0]} is not there"
