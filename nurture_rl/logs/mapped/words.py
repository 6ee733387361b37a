"""The words by which people's files call what the log's tables hold."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from nurture_envs.stops import OTHER_TYPES


def header(name: str) -> str:
    """A column's name in small letters, its parts joined by underscores."""
    return re.sub(r"[^a-z0-9äöüß]+", "_", name.strip().lower()).strip("_")


def _by_word(groups: Mapping[str, str]) -> dict[str, str]:
    return {word: meaning for meaning, words in groups.items() for word in words.split()}


# Columns: what a header says. The first column of a file that says something has it.
ROLES = _by_word(
    {
        "contact_id": "contact_id contact contactid customer_id customer user_id user userid "
        "lead_id lead subscriber_id subscriber person_id visitor_id kontakt kunde kunden_id "
        "kundennummer person household_id prospect_id client_id client member_id member mql_id "
        "id record_id vid email_address e_mail_address email e_mail mail recipient "
        "e_mail_adresse",
        "account_id": "account_id account company company_name organisation organization firma "
        "unternehmen domain account_name associated_company",
        "time_zone": "time_zone timezone tz zeitzone",
        "consent": "consent opt_in optin opted_in marketing_consent subscribed einwilligung "
        "marketing_permission",
        "event_id": "event_id message_uuid sg_event_id uuid eventid",
        "occurred_at": "occurred_at time timestamp date datetime event_time event_date created_at "
        "createdate created happened_at zeit zeitpunkt datum uhrzeit changed_at change_date "
        "entered_at stage_date activity_date when",
        "recorded_at": "recorded_at received_at imported_at loaded_at",
        "type": "type event event_type action activity aktion ereignis activity_type event_name",
        "stage": "stage lifecycle_stage lifecyclestage status lead_status phase stufe new_stage "
        "new_value to_stage deal_stage",
        "message_id": "message_id message campaign campaign_name campaign_id kampagne template "
        "email_name email_campaign subject newsletter",
        "topic": "topic thema",
        "page_category": "page_category",
        "value": "value amount revenue betrag umsatz deal_amount",
        "is_machine": "is_machine bot is_bot machine",
        "reply_class": "reply_class",
    }
)
# Columns that name people beside an id or an address: kind of key → headers.
KEY_KINDS = _by_word(
    {
        "user": "user_id userid user",
        "anonymous": "anonymous_id anonymousid anon_id visitor_id visitor cookie_id cookie",
    }
)
# A column of moments that says by its name what happened then.
HAPPENED = _by_word(
    {
        "sent": "sent_at sent_date send_date date_sent sent_time versendet_am",
        "delivered": "delivered_at delivered_date",
        "open": "opened_at open_date opened_date first_open_date open_time geöffnet_am",
        "click": "clicked_at click_date clicked_date first_click_date click_time geklickt_am",
        "unsubscribe": "unsubscribed_at unsubscribe_date opt_out_date abgemeldet_am",
        "reply": "replied_at reply_date",
        "form_submitted": "submitted_at form_date signup_date signed_up_at form_submitted_at",
        "meeting_booked": "booked_at meeting_booked_at meeting_booked_date",
        "meeting_held": "meeting_held_at meeting_date",
        "purchase": "purchased_at purchase_date order_date ordered_at",
    }
)
REACHED = re.compile(r"^(closed_)?(?P<stage>won|lost|mql|sql)_(date|at)$")
BECAME = re.compile(r"^(became_an|became_a|became|date_entered)_(?P<stage>.+?)(_date|_at)?$")
# What a cell of a type column, or a file's name, says.
EVENT_WORDS = {
    **_by_word(
        {
            "open": "open opens opened email_open email_opened open_email geöffnet öffnung",
            "click": "click clicks clicked email_click email_clicked click_email geklickt klick "
            "klicks",
            "sent": "sent send sends email_sent processed versendet",
            "delivered": "delivered delivery zugestellt",
            "reply": "reply replied replies email_replied antwort",
            "page_view": "page_view pageview page_viewed visit_page page_views seitenaufruf",
            "form_submitted": "form_submitted form_submission form_fill submitted_form "
            "form_submissions",
            "meeting_booked": "meeting_booked booked_meeting meetings meeting demo_booked termin",
            "meeting_held": "meeting_held meeting_completed",
            "meeting_no_show": "no_show meeting_no_show noshow",
            "purchase": "purchase purchased order orders bought kauf",
            "unsubscribe": "abgemeldet abmeldung unsubscribes",
            "sales_activity": "call called sales_activity sales_call task note",
            "product_used": "product_used feature_used app_used",
        }
    ),
    **OTHER_TYPES,
}
# Words for more than one thing: somebody has to say which.
UNCLEAR = {
    "bounce": "hard_bounce (the address is dead) or soft_bounce (try again later)",
    "bounced": "hard_bounce (the address is dead) or soft_bounce (try again later)",
    "bounces": "hard_bounce (the address is dead) or soft_bounce (try again later)",
    "rückläufer": "hard_bounce (the address is dead) or soft_bounce (try again later)",
}
# Stages before and after those of a journey, which every CRM has; no signal has to read them.
COMMON_STAGES = frozenset(
    {"subscriber", "lead", "new", "opportunity", "won", "lost", "customer", "churned"}
)
STAGE_WORDS = {
    "marketing_qualified_lead": "mql",
    "marketingqualifiedlead": "mql",
    "marketing_qualified": "mql",
    "sales_qualified_lead": "sql",
    "salesqualifiedlead": "sql",
    "sales_qualified": "sql",
    "closed_won": "won",
    "closedwon": "won",
    "gewonnen": "won",
    "closed_lost": "lost",
    "closedlost": "lost",
    "verloren": "lost",
}
# Columns that name a person: they stay in the file unless somebody puts them into `keep`.
PERSONAL = frozenset(
    {"name", "first_name", "firstname", "last_name", "lastname", "full_name", "surname"}
    | {"vorname", "nachname", "phone", "phone_number", "mobile", "telefon", "street", "address"}
    | {"city", "zip", "postcode", "ip", "ip_address", "birthday", "date_of_birth", "geburtstag"}
    | {"gender", "salutation", "anrede", "linkedin", "twitter", "notes", "comment"}
)


def event_of(word: str, known: Iterable[str]) -> str | None:
    """The event type that a word stands for; None where nobody can tell."""
    plain = header(word)
    return plain if plain in set(known) else EVENT_WORDS.get(plain)
