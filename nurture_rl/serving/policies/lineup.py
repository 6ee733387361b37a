"""Who decides for whom at one moment: never changed, only replaced."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

from nurture_rl.serving.layers import ARM, HELD_OUT, Layer, Line
from nurture_rl.serving.names import contact_key
from nurture_rl.serving.policies.arms import Arms
from nurture_rl.serving.records import ContactView
from nurture_rl.serving.roles import Roles


@dataclass(frozen=True, slots=True, eq=False)
class Lineup:
    """Who decides for whom, at one moment."""

    roles: Roles
    champion: Line
    canary: Line | None
    shadow: Layer | None
    salt: str
    by_account: bool  # colleagues share a policy
    arms: Arms | None = None  # of the experiment that runs

    @property
    def paused(self) -> bool:
        """Whether nobody is mailed."""
        return self.roles.switch == "pause"

    def line(self, view: ContactView, now_us: int) -> Line:
        """Who is asked for a contact: the same line for the whole episode, as long as it is there.

        An experiment deals contacts to arms, but not those whose episode began before it. Within
        the arm of the policy, and where nothing is dealt, an episode stays with the canary that
        decided in it last, and else with the champion. A new one goes to the canary by a salted
        hash of the contact, or of the account where the journey limits accounts: whoever a small
        share takes in, a larger one takes in too. Likewise with ghosts of who is held out.

        Where an experiment deals time, whoever the policy decides for has the arm of the block.

        Args:
            view: the contact.
            now_us: the moment of the decision, microseconds since 1970 UTC.
        """
        champion, canary, arms, episode = self.champion, self.canary, self.arms, view.episode
        stays = None if canary is None or episode.arm is None else episode.arm == canary.arm
        if arms is not None and arms.deals(episode):
            arm = arms.arm_of(view, now_us)
            champion, canary = arms.policy, arms.canary
            if episode.arm in arms.others:  # in an earlier block: the canary is drawn for anew
                stays = None
            if arm != ARM:
                champion, canary = arms.others[arm], arms.held if arm == HELD_OUT else None
                stays = None if episode.arm is None else arms.ghosts_are_tried(episode)
        if canary is None:
            return champion
        if stays is not None:
            return canary if stays else champion
        account = contact_key(view.contact.account_id or "") if self.by_account else ""
        unit = f"account {account}" if account else contact_key(view.contact.contact_id)
        drawn = hashlib.blake2b(f"{self.salt}:{unit}".encode(), digest_size=8).digest()
        in_share = int.from_bytes(drawn, "big") < self.roles.share * 2.0**64
        return canary if in_share else champion
