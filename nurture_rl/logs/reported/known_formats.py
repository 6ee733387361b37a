"""The formats that a mapping can name."""

from __future__ import annotations

from collections.abc import Mapping

from nurture_rl.logs.reported.cloudevents_rows import CLOUDEVENTS
from nurture_rl.logs.reported.customerio_rows import CUSTOMERIO
from nurture_rl.logs.reported.hubspot_changes import HUBSPOT
from nurture_rl.logs.reported.hubspot_crm import HUBSPOT_CRM
from nurture_rl.logs.reported.hubspot_rows import HUBSPOT_EMAIL, HUBSPOT_LIFECYCLE
from nurture_rl.logs.reported.listmonk_rows import LISTMONK
from nurture_rl.logs.reported.mailgun_rows import MAILGUN
from nurture_rl.logs.reported.mautic_rows import MAUTIC
from nurture_rl.logs.reported.pages_rows import GA4, SNOWPLOW
from nurture_rl.logs.reported.postmark_rows import POSTMARK
from nurture_rl.logs.reported.report_format import ReportFormat
from nurture_rl.logs.reported.salesforce_rows import SALESFORCE
from nurture_rl.logs.reported.segment_rows import SEGMENT
from nurture_rl.logs.reported.sendgrid_rows import SENDGRID
from nurture_rl.logs.reported.ses_rows import SES

_ALL = (
    *(CLOUDEVENTS, CUSTOMERIO, LISTMONK, MAILGUN, MAUTIC, POSTMARK, SEGMENT, SENDGRID, SES),
    *(HUBSPOT, HUBSPOT_CRM, HUBSPOT_EMAIL, HUBSPOT_LIFECYCLE, SALESFORCE, GA4, SNOWPLOW),
)
FORMATS: Mapping[str, ReportFormat] = {one.name: one for one in _ALL}
