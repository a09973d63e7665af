"""A guide has changed remark or tags of a customer in the WeCom client."""

from typing import Any

from contacts.services import profile
from org.models import Corp
from scrm import clock
from tenants.models import Brand
from wecom.api import contacts as api
from wecom.client import client_for
from wecom.errors import WeComRejected


def on_contact_edited(brand: Brand, corp: Corp, payload: dict[str, Any], event: Any) -> None:
    """Handler of edit_external_contact: the event says only who, so the customer is read again and compared.

    Customers that we do not know are left to their adding's own event and to the sync.

    Source: developer.work.weixin.qq.com/document/path/92130
    """
    read_at = clock.now()
    try:
        customer = api.customer(client_for(corp), payload["ExternalUserID"])
    except WeComRejected as error:
        if error.errcode in profile.NOT_OURS:
            return  # gone since
        raise
    profile.keep(
        brand, corp=corp, customer=customer, read_at=read_at, source="callback", at=event.happened_at
    )
