"""Write the pages that are made from the code: environments, policies, estimators, names.

    python tools/make_docs.py

Pages that nothing makes any more are deleted. A test compares what is committed with what the
code says now.
"""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from tools.pages import api, environments, estimators, policies

DOCS = Path(__file__).resolve().parents[1] / "docs"
FOLDERS = ("environments", "policies", "estimators")  # hold nothing else


def pages() -> dict[str, str]:
    """Every page by its path under docs/."""
    return {
        **api.pages(),
        **environments.pages(),
        **policies.pages(),
        **estimators.pages(),
    }


def main() -> None:
    """Write them all."""
    wanted = pages()
    for folder in FOLDERS:
        for old in (DOCS / folder).glob("*.md"):
            if str(old.relative_to(DOCS)) not in wanted:
                old.unlink()
    for name, text in wanted.items():
        (DOCS / name).parent.mkdir(exist_ok=True)
        (DOCS / name).write_text(text, encoding="utf-8")
        print(f"docs/{name}")


if __name__ == "__main__":
    main()
