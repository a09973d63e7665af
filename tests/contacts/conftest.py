"""A brand whose corp lives in the WeCom sandbox."""

from types import SimpleNamespace
from typing import Any

import pytest

from tests.factories import in_brand, make_corp, make_staff
from tests.wecom.sandbox_client import CORPID, SECRET, Sandbox, sandbox, sandbox_server

__all__ = ["sandbox", "sandbox_server"]


@pytest.fixture
def connected(sandbox: Sandbox, settings: Any, transactional_db: Any, brand: Any) -> SimpleNamespace:
    """`brand`, `corp`, guides `a` and `b`, and the `sandbox` with corp, members and two tag groups."""
    settings.WECOM_API_URL = sandbox.url
    sandbox.make_corp()
    sandbox.load(
        members=[{"userid": "GuideA", "name": "甲"}, {"userid": "guideb", "name": "乙"}],
        tag_groups=[
            {"group_name": "等级", "tags": ["普通", "黄金"]},
            {"group_name": "兴趣", "tags": ["咖啡"]},
        ],
    )
    with in_brand(brand):
        corp = make_corp(brand, corpid=CORPID, secret=SECRET)
        a = make_staff(brand, corp, userid="guidea", name="甲")
        b = make_staff(brand, corp, userid="guideb", name="乙")
    return SimpleNamespace(brand=brand, corp=corp, a=a, b=b, sandbox=sandbox)
