"""What a brand that the back office opens begins with."""

from datetime import time
from typing import Any

import pytest

from campaigns.models import TouchPolicy
from campaigns.services.governance.rules import DEFAULT_CAPS, rules_of
from org.models import AuditEntry
from org.services import platform
from tenants.models import User
from tests.factories import in_brand

pytestmark = pytest.mark.django_db(transaction=True)


def test_a_new_brand_is_quiet_at_night(brand: Any, sign_in: Any) -> None:
    owner = User.objects.create_user("owner", "pass-12345", name="平台", is_platform_owner=True)
    opened = platform.open_brand(
        by=owner,
        name="新店",
        slug="xindian",
        admin_username="boss",
        admin_name="老板",
        admin_password="pass-12345",
    )
    with in_brand(opened):
        policy = TouchPolicy.objects.get()
        assert (policy.quiet_start, policy.quiet_end) == (time(21), time(9))
        assert rules_of(opened).caps == DEFAULT_CAPS  # all else as before
        assert AuditEntry.objects.get(action="touch_policy.edit").after["quiet_start"] == "21:00:00"
    with in_brand(brand):  # a brand that was there keeps what it has
        assert not TouchPolicy.objects.exists() and rules_of(brand).quiet is None
    page = sign_in(opened).get("/settings/touch/").content.decode()
    assert 'value="21:00"' in page and 'value="09:00"' in page
