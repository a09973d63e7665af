"""Fill an empty database and the WeCom sandbox with the demo's brands; at a later start only the arrivals are set going again."""

import logging
import os
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand
from django.db import transaction

from demo.build import announce, build
from demo.sandbox import control
from demo.story import BOOKS, PASSWORD, STORIES, WARM
from org.access import PRESETS, SYSTEM
from org.models import Corp, Role, Staff
from org.services.brands import add_person
from tenants.models import Brand, User, UserBrand
from tenants.scoping import tenant_scope

# user name → (name, preset role, brands); the member of a brand's WeCom with that name, if there is one, is theirs
PEOPLE: dict[str, tuple[str, str, tuple[str, ...]]] = {
    "admin": ("陈经理", "admin", (WARM.slug,)),
    "operator": ("小运", "operator", (WARM.slug, BOOKS.slug)),
    "guide": ("李婉清", "guide", (WARM.slug,)),
    "books": ("苏店长", "admin", (BOOKS.slug,)),
}


# how the sandbox's people behave: enough that something happens on every page
GUIDES = {"accept_rate": 0.9, "reply_rate": 0.7, "note_rate": 0.2}
CUSTOMERS = {
    "read_rate": 0.7,
    "read_after_s": [5, 600],
    "answer_rate": 0.1,
    "delete_rate": 0.01,
    "join_rate": 0.1,
}


class Command(BaseCommand):
    help = __doc__

    def add_arguments(self, parser: Any) -> None:
        default = os.environ.get("DEMO_ARRIVALS", "6")
        parser.add_argument(
            "--arrivals", type=float, default=float(default), help="customers per minute; 0 = none"
        )
        parser.add_argument("--minutes", type=int, default=60, help="how long they go on arriving")

    def handle(self, *args: Any, arrivals: float, minutes: int, **options: Any) -> None:
        # what it has done is said by `_say`; the terminal is not a log
        logging.getLogger().setLevel(logging.WARNING)
        # guides of the sandbox confirm mass sends after a while, most of them
        control("settings", confirm_after_s=[15, 90], confirm_rate=0.95)
        for story in STORIES:
            brand = Brand.objects.filter(slug=story.slug).first()
            if brand and UserBrand.objects.filter(brand=brand, user__username="operator").exists():
                with tenant_scope(brand), transaction.atomic():
                    announce(brand, Corp.objects.get(corpid=story.corpid))
                continue
            brand = build(story, self._say)
            self._people(brand)
        self._owner()
        control("behaviour", corpid=WARM.corpid, guides={"*": GUIDES}, customers=CUSTOMERS)
        if arrivals > 0:
            control("stream", corpid=WARM.corpid, per_minute=arrivals, minutes=minutes)
        self._write_logins()

    def _say(self, text: str) -> None:
        self.stdout.write(f"  {text}")
        self.stdout.flush()

    def _people(self, brand: Brand) -> None:
        for username, (name, role_key, slugs) in PEOPLE.items():
            user = User.objects.filter(username=username).first()
            if brand.slug not in slugs or (
                user and UserBrand.objects.filter(user=user, brand=brand).exists()
            ):
                continue
            with tenant_scope(brand), transaction.atomic():
                role = Role.objects.get(name=PRESETS[role_key][0])
                staff = Staff.objects.filter(name=name).first()
                add_person(
                    brand, by=SYSTEM, username=username, name=name, role=role, password=PASSWORD, staff=staff
                )

    def _owner(self) -> None:
        if not User.objects.filter(username="owner").exists():
            User.objects.create_user("owner", PASSWORD, name="平台方", is_platform_owner=True)

    def _write_logins(self) -> None:
        rows = [
            ("owner", "platform owner 平台方: brands, quotas, health; no customers"),
            ("admin", f"brand admin 品牌管理员 of {WARM.name}"),
            ("operator", f"operator 运营 of {WARM.name} and {BOOKS.name}"),
            ("guide", f"guide 导购 of {WARM.name}: own customers only"),
            ("books", f"brand admin 品牌管理员 of {BOOKS.name}"),
        ]
        lines = [f"  {name:<9} {PASSWORD}   {what}" for name, what in rows]
        file = Path(settings.BASE_DIR) / "var" / "demo-logins.txt"
        file.parent.mkdir(exist_ok=True)
        file.write_text("\n".join(lines) + "\n", encoding="utf-8")
