"""What a brand admin does with a connected corp after `org.services.brands.connect_corp`: edit it, renew its
callback keys."""

import secrets

from django.conf import settings
from django.db import IntegrityError, transaction
from django.utils.translation import gettext as _

from org import audit
from org.access import Actor
from org.models import Corp, Staff
from org.services.brands import new_aes_key
from scrm.errors import ConflictError, InvalidError, NotFoundError
from tenants.models import Brand, BrandLookup
from wecom.services import callback_keys


def get_corp(corp_id: int) -> Corp:
    """A corp of the brand in scope.

    Raises:
        NotFoundError
    """
    corp = Corp.objects.filter(pk=corp_id).first()
    if corp is None:
        raise NotFoundError()
    return corp


def callback_url(corp: Corp) -> str:
    """The address that belongs into WeCom's console (`callback_path` is random: it is the name of the corp's
    door)."""
    return f"{settings.PUBLIC_URL}/wecom/callback/{corp.callback_path}/"


def edit_corp(
    brand: Brand, *, by: Actor, corp: Corp, name: str, corpid: str, agent_id: int, secret: str = ""
) -> Corp:
    """Change a corp in the caller's transaction. An empty secret keeps the old one.

    Raises:
        InvalidError: the corp id cannot change once members or customers came through it.
        ConflictError: the corp is connected already, here or elsewhere (which one is not said).
    """
    before, corpid = corp.as_audit(), corpid.strip()
    if corpid != corp.corpid:
        _move(brand, corp, corpid)
    corp.name, corp.agent_id = name.strip(), agent_id
    fields = ["name", "corpid", "agent_id"]
    if secret.strip():
        corp.secret = secret.strip()
        fields.append("secret")
    corp.save(update_fields=fields)
    after = corp.as_audit() | ({"secret": "changed"} if "secret" in fields else {})
    audit.record(by, "corp.edit", corp, before=before, after=after)
    return corp


def _move(brand: Brand, corp: Corp, corpid: str) -> None:
    if corp.synced_at or Staff.objects.filter(corp=corp).exists():
        raise InvalidError(
            _("Members of this company are known already. Connect the other company beside it instead."),
            fields={"corpid": _("Cannot be changed any more")},
        )
    try:
        with transaction.atomic():
            found = BrandLookup.objects.filter(kind=BrandLookup.Kind.CORP, key=corp.corpid, brand=brand)
            found.update(key=corpid)
    except IntegrityError as error:
        raise ConflictError(_("This corp is connected already")) from error
    corp.corpid = corpid


def renew_callback(brand: Brand, *, by: Actor, corp: Corp) -> Corp:
    """A new Token and EncodingAESKey; the address stays. The old ones open nothing from the commit on (other
    processes may remember them for half a minute)."""
    corp.callback_token, corp.callback_aes_key = secrets.token_hex(16), new_aes_key()
    corp.save(update_fields=["callback_token", "callback_aes_key"])
    audit.record(by, "corp.renew_callback", corp)
    transaction.on_commit(callback_keys.forget)
    return corp
