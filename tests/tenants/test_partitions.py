"""Month partitions: ahead, of the past, and moving out of the default one."""

from datetime import UTC, datetime
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import connections, transaction

from contacts.models import Event, EventType
from contacts.services.timeline import record_events
from tests.factories import in_brand, make_contact

OLD = datetime(1997, 3, 31, 23, 59, tzinfo=UTC)


@pytest.fixture
def no_months() -> Any:
    """Afterwards the months of the test are gone again."""
    yield
    with transaction.atomic("owner"), connections["owner"].cursor() as cursor:
        for name in ("199703", "199704", "201711", "201712"):
            for table in ("contacts_event", "campaigns_touch"):
                cursor.execute(f'DROP TABLE IF EXISTS "{table}_{name}"')


def rows_in(partition: str) -> int:
    with transaction.atomic("owner"), connections["owner"].cursor() as cursor:
        cursor.execute(f'SELECT count(*) FROM "{partition}"')
        return cursor.fetchone()[0]


@pytest.mark.django_db(transaction=True, databases=["default", "owner"])
def test_a_crowded_month_moves_out_of_the_default(brand: Any, no_months: Any) -> None:
    with in_brand(brand):
        contact = make_contact(brand)
        months = [OLD] * 3 + [OLD.replace(month=4, day=1, hour=0)]
        record_events(brand, [{"contact_id": contact.pk, "type": EventType.NOTE, "at": at} for at in months])
    call_command("partitions", large=3, verbosity=0)
    call_command("partitions", large=3, verbosity=0)  # safe to repeat
    assert rows_in("contacts_event_199703") == 3
    with in_brand(brand):
        record_events(brand, [{"contact_id": contact.pk, "type": EventType.NOTE, "at": OLD}])
        assert Event.objects.filter(contact_id=contact.pk).count() == 5
    assert rows_in("contacts_event_199703") == 4
    with connections["owner"].cursor() as cursor:
        cursor.execute(
            "SELECT relrowsecurity, has_table_privilege('app_rw', oid, 'select') FROM pg_class"
            " WHERE relname = 'contacts_event_199703'"
        )
        assert cursor.fetchone() == (True, False)


@pytest.mark.django_db(transaction=True, databases=["default", "owner"])
def test_chosen_months(no_months: Any) -> None:
    call_command("partitions", months="2017-11:2017-12", verbosity=0)
    assert rows_in("contacts_event_201711") == rows_in("contacts_event_201712") == 0
    for words in ("2017", "2017-12:2017-11", "1000-01:2000-01"):
        with pytest.raises(CommandError):
            call_command("partitions", months=words, verbosity=0)
