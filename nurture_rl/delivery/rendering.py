"""A planned send with its approved text filled in for its contact."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from nurture_envs.journey import Journey
from nurture_rl.delivery.message_templates import MessageTemplate, built_in, read_template
from nurture_rl.delivery.planned_sends import PlannedSend
from nurture_rl.delivery.recipients import Recipient
from nurture_rl.errors import DeliveryError
from nurture_rl.serving.names import contact_key


@dataclass(frozen=True, slots=True)
class RenderedMail:
    """One mail, ready to go."""

    plan: PlannedSend
    recipient: Recipient
    subject: str  # one line
    text: str
    html: str | None
    template: MessageTemplate
    fields: Mapping[str, str]  # what the template asked for, with the values that it got


class MailTexts:
    """The templates of some journeys' messages."""

    def __init__(self, folder: Path, journeys: Sequence[Journey]) -> None:
        """Read nothing yet.

        Args:
            folder: of the templates; one of its own for each journey, by its name, comes before.
            journeys: whose messages are sent.
        """
        self._folder = folder
        self._messages = {(one.name, m.id): m for one in journeys for m in one.messages}
        self._templates: dict[tuple[str, str], MessageTemplate] = {}

    def template(self, journey: str, message: str) -> MessageTemplate:
        """The template of a message, which is read and checked once.

        Raises:
            DeliveryError: no journey has the message, or its template cannot be used.
        """
        key = (journey, message)
        if key not in self._messages:
            raise DeliveryError(
                f"expected messages of the given bundles, got {message} of journey {journey}; give "
                "the bundle that decided as `bundle`, those of further journeys as `journeys`"
            )
        if key not in self._templates:
            own = self._folder / journey
            folder = own if (own / f"{message}.txt").exists() else self._folder
            self._templates[key] = read_template(folder, self._messages[key])
        return self._templates[key]

    def rendered(self, plan: PlannedSend, recipient: Recipient) -> RenderedMail:
        """Fill in a template.

        Raises:
            DeliveryError: a field has no value.
        """
        template = self.template(plan.journey, plan.message)
        values = {**recipient.fields, **built_in(template.message, plan.unsubscribe_url)}
        whose = f"contact {plan.contact_id!r}"
        return RenderedMail(
            plan,
            recipient,
            template.subject.filled(values, whose),
            template.text.filled(values, whose),
            None if template.html is None else template.html.filled(values, whose),
            template,
            {one.name: values[one.name] or one.default or "" for one in template.fields},
        )


def addressed(
    plans: Sequence[PlannedSend], recipients: Mapping[str, Recipient]
) -> tuple[list[tuple[PlannedSend, Recipient]], list[PlannedSend]]:
    """Plans with their recipients, and plans of contacts without one."""
    found, without = list[tuple[PlannedSend, Recipient]](), list[PlannedSend]()
    for plan in plans:
        recipient = recipients.get(contact_key(plan.contact_id))
        if recipient is None:
            without.append(plan)
        else:
            found.append((plan, recipient))
    return found, without


def one_mail_each(
    pairs: Sequence[tuple[PlannedSend, Recipient]],
) -> tuple[list[tuple[PlannedSend, Recipient]], list[PlannedSend]]:
    """Plans without those to an address that another contact gets mail at, and those.

    Two contacts of one address are one person, whose caps nobody holds together: the mail whose
    hour comes first goes, and all others of its contact.
    """
    owners: dict[str, str] = {}
    for plan, recipient in sorted(pairs, key=lambda pair: pair[0].send_at_us):
        owners.setdefault(recipient.address.lower(), contact_key(plan.contact_id))
    kept, others = list[tuple[PlannedSend, Recipient]](), list[PlannedSend]()
    for plan, recipient in pairs:
        if owners[recipient.address.lower()] == contact_key(plan.contact_id):
            kept.append((plan, recipient))
        else:
            others.append(plan)
    return kept, others
