"""A client for operators: who decides, and who is in which journey; beside `client.py`.

    operator = OperatorClient("https://policy.example", key=KEY)
    operator.switch("pause", "the price list is wrong")

With `PolicyClient`, which it is too, it has every route of the server but its metrics, and those
that readers of mail and their senders call.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any, Literal
from urllib.parse import urlencode

from nurture_rl.client import PolicyClient, path_of

Told = Mapping[str, Any]  # an answer as the server's OpenAPI describes it
Role = Literal["shadow", "canary", "promote", "rollback"]
Move = Literal["exit", "pause", "resume"]
Figures = Literal["", "decisions", "mail", "reach", "health", "lift"]  # "": what the key may do


@dataclass(frozen=True, slots=True)
class OperatorClient(PolicyClient):
    """Changes what a server does. Keys need the scopes `policies` and `journeys`.

    Whatever is changed is told with `why`, and kept with it in a log of the server. A change that
    does not fit, or was made already, raises `ServerRefusal`.
    """

    def policies(self) -> Told:
        """What is loaded: role, share, since when; where the switches stand."""
        return self._look("policies")

    def load_policy(self, folder: str, why: str, journey: str | None = None) -> Told:
        """Load the bundle in a folder under the server's `bundles`."""
        return self._change("policies", folder=folder, why=why, journey=journey)

    def set_role(
        self,
        policy_id: str,
        to: Role,
        why: str,
        share: float | None = None,  # of new episodes that a canary gets, in (0, 1)
    ) -> Told:
        """Give a loaded policy a role, or take it away; refused where it was done already."""
        return self._change("policies", policy_id, to, why=why, share=share)

    def switch(
        self, to: str, why: str, journey: str | None = None, stage: str | None = None
    ) -> Told:
        """Let the policies (`learned`), `rules` or nobody (`pause`) decide, everywhere or there."""
        return self._change("switch", to=to, why=why, journey=journey, stage=stage)

    def end_experiment(self, why: str, journey: str | None = None) -> Told:
        """Let the policy decide for everybody again; refused where no experiment runs."""
        return self._change("experiment", "end", why=why, journey=journey)

    def handoffs(self, status: str = "open") -> Told:
        """Contacts whom policies passed on to sales, by status; the scope is `handoffs`."""
        return dict(self._ask("GET", f"{path_of('handoffs')}?{urlencode({'status': status})}")[1])

    def handoff(self, handoff_id: str) -> Told:
        """One of them."""
        return self._look("handoffs", handoff_id)

    def journeys(self) -> Told:
        """The journeys that are served."""
        return self._look("journeys")

    def in_journey(self, journey: str, contact_id: str) -> Told:
        """A contact's episodes in a journey, and where it stands."""
        return self._look("journeys", journey, "contacts", contact_id)

    def enrol(self, journey: str, contact_id: str, why: str, began_on: date | None = None) -> Told:
        """Let a contact enter, perhaps with an episode that began elsewhere on a local day."""
        day = None if began_on is None else began_on.isoformat()
        return self._change("journeys", journey, "contacts", contact_id, why=why, began_on=day)

    def move(self, journey: str, contact_id: str | None, to: Move, why: str) -> Told:
        """Let a contact leave, pause or go on; None pauses or resumes the journey for everybody."""
        whom = () if contact_id is None else ("contacts", contact_id)
        return self._change("journeys", journey, *whom, to, why=why)

    def console(self, what: Figures, days: int = 28, journey: str | None = None) -> Told:
        """Figures of the console, of 7, 28 or 90 days; the scope is `console`."""
        asked: dict[str, str | int] = {"days": days} if what in ("decisions", "mail") else {}
        asked |= {"journey": journey} if journey is not None else {}
        path = path_of("console", *([what] if what else []))
        return dict(self._ask("GET", f"{path}?{urlencode(asked)}" if asked else path)[1])

    def timeline(self, contact_id: str) -> Told:
        """One contact's story, the latest first; the scope is `decisions`."""
        return self._look("timelines", contact_id)

    def why(self, decision_id: str) -> Told:
        """What a contact may be told of why they got a mail; the scope is `reasons`."""
        return self._look("decisions", decision_id, "why")

    def log(self, of: Literal["policies", "journeys"]) -> Told:
        """Who changed what, when and why."""
        return self._look(of, "log")

    def _change(self, *path: str, **body: Any) -> Told:
        told = {name: value for name, value in body.items() if value is not None}
        return dict(self._ask("POST", path_of(*path), told)[1])
