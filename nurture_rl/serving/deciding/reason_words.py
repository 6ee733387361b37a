"""What each guardrail says, in words for people who never saw its name."""

from __future__ import annotations

from collections.abc import Mapping

from nurture_envs.guardrails import reason_names

REASON_WORDS: Mapping[str, str] = {
    "no_consent": "there is no consent to mail",
    "opted_out": "the person unsubscribed, complained or said no",
    "hard_bounce": "the address is dead",
    "sales_conversation": "a salesperson is talking with them, or they wait for an answer",
    "frequency_cap": "they had as many mails as the journey allows in that time",
    "minimum_gap": "the last mail was too short a time ago",
    "quiet_hours": "it would leave at night, or in hours without mail",
    "not_approved": "the message is not approved",
    "expired": "the message or its offer is out of date",
    "paused": "a pause holds: one that was decided before, a snooze, or out of office",
    "unavailable": "they cannot be reached now",
    "slot_passed": "that hour of the day was over",
    "no_intent": "they have not shown enough interest for a call",
    "not_eligible": "they may not have the offer",
    "out_of_stock": "the offer has run out",
    "seller_capacity": "the salespeople take no more calls",
    "volume_ramp": "all mail to that mailbox provider has reached its limit of the day",
    "account_cap": "their company had as many mails as the journey allows in that time",
    "account_conversation": "a colleague of theirs is talking with sales",
    "blackout": "it is a day without mail",
    "channel_cap": "that channel had as many mails as the journey allows",
    "topic_cap": "that topic had as many mails as the journey allows",
    "message_cap": "they had that message already, as often as the journey allows",
    "not_wanted": "they do not want that topic or channel",
    "wanted_less": "they asked for fewer mails",
    "job_cap": "they had as many mails with that aim as the journey allows",
    "claim_cap": "they had that proof already, as often as the journey allows",
    "block_cap": "they had a part of that message already, as often as the journey allows",
    "unanswered": "they had a mail with the same aim and did not answer",
    "cool_off": "they made the visit that the message speaks of a short time ago",
    "inactive": "they have done nothing for long, so that mail to them is rare",
}


def reasons_in_words(bits: int) -> list[str]:
    """What forbids an action, in words; a reason without words by its name."""
    return [REASON_WORDS.get(name, name) for name in reason_names(bits)]
