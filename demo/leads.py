"""A list of numbers to add, half given out: some asked, one refused, two added. A card for each guide."""

from django.db import transaction

from contacts.models import Follow, Identity
from contacts.services.identity.identity import note_identities
from guides.models import Lead, LeadList
from guides.services import cards
from guides.services.leads import asking, giving, lists
from guides.services.leads.giving import Choice
from guides.services.leads.lists import LeadInput, ListInput
from org.access import SYSTEM
from org.models import Staff
from tenants.models import Brand

SURNAMES, GIVEN = "王李张刘陈杨赵黄周吴", ("女士", "先生")
NOTES = ("商城下单两次", "展会扫过码", "会员卡用户", "")
N, GIVEN_OUT = 60, 30


@transaction.atomic
def give(brand: Brand) -> None:
    """A second start gives none twice."""
    if LeadList.objects.exists():
        return
    given = ListInput(
        "商城老客加好友", words="{name}您好，我是您附近门店的导购，加个好友方便给您留货", again_days=3
    )
    found = lists.create_list(brand, by=SYSTEM, given=given, source=LeadList.Source.PAGE)
    rows = [
        LeadInput(f"1350000{n:04d}", SURNAMES[n % len(SURNAMES)] + GIVEN[n % 2], NOTES[n % len(NOTES)])
        for n in range(N)
    ]
    lists.add_leads(brand, by=SYSTEM, list_id=found.pk, rows=rows)
    guides = list(Staff.objects.guides().order_by("pk"))
    most = max(1, GIVEN_OUT // max(1, len(guides)))
    choice = Choice([guide.pk for guide in guides], most=most)
    giving.give_out(brand, by=SYSTEM, staff=None, list_id=found.pk, choice=choice)
    mine = list(
        Lead.objects.filter(list=found, state=Lead.State.GIVEN).select_related("staff").order_by("pk")
    )
    for lead, act in zip(
        mine, ("asked", "asked", "refused", "asked", "not_found", "asked", "asked"), strict=False
    ):
        if lead.staff is not None:
            asking.mark(brand, staff=lead.staff, by=SYSTEM, lead_id=lead.pk, act=act)
    for guide in guides:
        cards.make_card(brand, staff=guide)
    for lead in mine[:2]:  # these have accepted
        follow = Follow.objects.filter(staff=lead.staff, ended_at=None).order_by("added_at").first()
        if follow is not None:
            note_identities(brand, follow.contact, Identity.Kind.PHONE, [lead.phone])
