"""Alerts and moments of the demo: three rules that are on, and a moment that goes to the guides a little later."""

from datetime import timedelta

from django.db import transaction

from campaigns.models import AlertRule
from campaigns.services.alerts import alert_rules
from campaigns.services.moments import moments
from campaigns.services.moments.moments import MomentInput
from org.access import SYSTEM
from scrm import clock
from tenants.models import Brand

RULES = (("打开了我发的内容", "content_opened"), ("加入购物车", "carted"), ("开始下单", "checked_out"))
MOMENT = MomentInput("本周新品", "本周新品到店，欢迎来店里看看，也可以直接问我～")


@transaction.atomic
def give(brand: Brand) -> None:
    """A second start gives none twice."""
    if not AlertRule.objects.exists():
        for name, event in RULES:
            values = {"name": name, "event": event, "filters": {}, "condition": {}}
            rule = alert_rules.save(brand, values, by=SYSTEM)
            alert_rules.switch(brand, rule_id=rule.pk, on=True, by=SYSTEM)
    later = MomentInput(**{**MOMENT.__dict__, "at": clock.now() + timedelta(minutes=3)})
    moments.create_for(brand, later, key="demo", source="demo")
