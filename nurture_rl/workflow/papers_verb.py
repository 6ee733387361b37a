"""The verb `papers`: what a bundle sends to whom, when, and what stops it, for people."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from nurture_rl.logs.atomic import atomic_folder, require_apart
from nurture_rl.papers.trigger_paper import trigger_paper
from nurture_rl.release.bundle import load_bundle
from nurture_rl.report.papers_page import papers_page, papers_text
from nurture_rl.verb_result import VerbResult

PAGE, TEXT = "papers.html", "papers.txt"


@dataclass(frozen=True, slots=True)
class PapersOptions:
    """Which bundle is told of."""

    bundle: str  # folder of the bundle
    # File of public Ed25519 keys (PEM): the page tells which of their owners signed; null: it tells
    # the number of signatures alone.
    trust: str | None = None
    out: str = "papers"  # folder to make; an older one there is replaced


def papers(options: PapersOptions) -> VerbResult:
    """The verb `papers`.

    Raises:
        BundleError: there is no bundle, or a byte of it was changed.
        ConfigError: `trust` holds no public key, or `out` would replace the bundle.
        OSError: the disk refuses.
    """
    folder, out = Path(options.bundle), Path(options.out)
    trust = None if options.trust is None else Path(options.trust)
    require_apart(out, folder)
    paper = trigger_paper(load_bundle(folder), folder, trust)
    with atomic_folder(out) as partial:
        (partial / PAGE).write_text(papers_page(paper), "utf-8")
        (partial / TEXT).write_text(papers_text(paper), "utf-8")
    seal = dict(paper.seal)
    for name, value in paper.seal:
        print(f"{name}: {value}")
    print(f"papers: {out / PAGE}")
    return VerbResult({"page": out / PAGE, "text": out / TEXT, "policy_id": seal["Policy id"]})
