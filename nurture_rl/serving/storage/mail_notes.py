"""What PostgreSQL itself notes: of which contacts the mail that limits count may have changed.

Triggers note it in the transaction of the change, whoever makes it. `told` is that transaction; a
name of a contact is one of `contact_key`, and the empty one stands for everybody.
"""

from __future__ import annotations

from nurture_rl.serving.names import EVERYBODY

_TOLD = "ON CONFLICT (contact_id) DO UPDATE SET told = excluded.told"
_HARM = "type IN ('complaint', 'hard_bounce')"
# A send counts from its decision on. A withdrawal takes it out, an event that proves that it went
# takes it in again, and a complaint or bounce counts against its family. A contact may come into
# another family; whoever was never noted has nothing that counts.
TABLES = f"""
CREATE TABLE mail_changes (contact_id TEXT PRIMARY KEY, told xid8 NOT NULL);
CREATE INDEX mail_changes_told ON mail_changes (told);
CREATE FUNCTION note_own_mail() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
  INSERT INTO mail_changes VALUES (NEW.contact_id, pg_current_xact_id()) {_TOLD};
  RETURN NULL; END $$;
CREATE FUNCTION note_decided_mail() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
  INSERT INTO mail_changes SELECT contact_id, pg_current_xact_id() FROM decisions
    WHERE decision_id = NEW.decision_id {_TOLD};
  RETURN NULL; END $$;
CREATE FUNCTION note_known_mail() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
  UPDATE mail_changes SET told = pg_current_xact_id() WHERE contact_id = NEW.contact_id;
  RETURN NULL; END $$;
CREATE FUNCTION note_all_mail() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
  INSERT INTO mail_changes VALUES ('{EVERYBODY}', pg_current_xact_id()) {_TOLD};
  RETURN NULL; END $$;
CREATE TRIGGER note_mail AFTER INSERT ON decisions FOR EACH ROW
  WHEN (NEW.scheduled_us IS NOT NULL) EXECUTE FUNCTION note_own_mail();
CREATE TRIGGER note_gone AFTER DELETE ON decisions EXECUTE FUNCTION note_all_mail();
CREATE TRIGGER note_mail AFTER INSERT ON withdrawals FOR EACH ROW
  WHEN (NEW.freed = 1) EXECUTE FUNCTION note_decided_mail();
CREATE TRIGGER note_gone AFTER DELETE ON withdrawals EXECUTE FUNCTION note_all_mail();
CREATE TRIGGER note_harm AFTER INSERT ON events FOR EACH ROW
  WHEN (NEW.{_HARM}) EXECUTE FUNCTION note_own_mail();
CREATE TRIGGER note_mail AFTER INSERT ON events FOR EACH ROW
  WHEN (NEW.decision_id IS NOT NULL) EXECUTE FUNCTION note_decided_mail();
CREATE TRIGGER note_gone AFTER DELETE OR UPDATE ON events EXECUTE FUNCTION note_all_mail();
CREATE TRIGGER note_new AFTER INSERT ON contacts FOR EACH ROW
  EXECUTE FUNCTION note_known_mail();
CREATE TRIGGER note_moved AFTER UPDATE ON contacts FOR EACH ROW
  WHEN (NEW.attributes <> OLD.attributes) EXECUTE FUNCTION note_known_mail();
"""
# In a store that has rows already.
BEGIN = (
    "INSERT INTO mail_changes SELECT contact_id, pg_current_xact_id() FROM "
    "(SELECT contact_id FROM decisions WHERE scheduled_us IS NOT NULL "
    f"UNION SELECT contact_id FROM events WHERE {_HARM}) AS counted;"
)
# After a copy of the tables, from a server whose transactions had other numbers.
RENUMBER = (
    "UPDATE mail_changes SET told = pg_current_xact_id() WHERE told > pg_current_xact_id();"
    "UPDATE news SET told = pg_current_xact_id() WHERE told > pg_current_xact_id();"
)
