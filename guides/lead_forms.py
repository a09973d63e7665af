"""Forms of lists of numbers to add."""

from typing import Any

from django import forms
from django.utils.translation import gettext_lazy

from contacts import hooks
from guides.models import LeadList
from guides.services.leads.giving import Choice
from guides.services.leads.lists import MAX_DAYS, ListInput
from org.models import Staff
from scrm.ids import read_id


def ticked(data: Any, name: str) -> set[int]:
    """Ids of ticked boxes of a posted form."""
    return {pk for text in data.getlist(name) if (pk := read_id(text))}


class ListForm(forms.Form):
    """What a list says; tags are drawn from `groups`."""

    name = forms.CharField(
        label=gettext_lazy("Name"),
        max_length=80,
        widget=forms.TextInput(attrs={"placeholder": gettext_lazy("Buyers of the autumn fair")}),
    )
    words = forms.CharField(
        label=gettext_lazy("Words of the request"),
        max_length=200,
        required=False,
        widget=forms.Textarea(attrs={"rows": 2}),
        help_text=gettext_lazy("The guide copies them into WeCom's request. {name}: the customer's name."),
    )
    due_days = forms.IntegerField(
        label=gettext_lazy("Days that a guide has"),
        min_value=1,
        max_value=MAX_DAYS,
        initial=3,
        help_text=gettext_lazy(
            "Then it is overdue: the guide is reminded before, the manager is told after."
        ),
    )
    again_days = forms.IntegerField(
        label=gettext_lazy("Goes to somebody else after days"),
        required=False,
        min_value=1,
        max_value=MAX_DAYS,
        help_text=gettext_lazy(
            "What a guide has not asked by then goes to another guide of the list. Empty: never."
        ),
    )

    def __init__(self, *args: Any, found: LeadList | None = None, **kwargs: Any) -> None:
        if found is not None:
            fields = ("name", "words", "due_days", "again_days")
            kwargs["initial"] = {name: getattr(found, name) for name in fields}
        super().__init__(*args, **kwargs)
        self.chosen = set(found.tag_ids) if found else set()
        if self.is_bound:
            self.chosen = ticked(self.data, "tag_ids")
        self.groups = hooks.tag_choices(keep=self.chosen)

    def given(self) -> ListInput:
        data = self.cleaned_data
        return ListInput(
            data["name"], data["words"], sorted(self.chosen), data["due_days"], data["again_days"]
        )


class PasteForm(ListForm):
    rows = forms.CharField(
        label=gettext_lazy("Phone numbers"),
        widget=forms.Textarea(
            attrs={"rows": 9, "placeholder": "13800138000 张三 老客介绍\n13900139000 李四"}
        ),
        help_text=gettext_lazy("One on each line: number, name, note; with blanks, commas or tabs between."),
    )


class GiveForm(forms.Form):
    """Among whom; guides are drawn by store from `stores`."""

    by_store = forms.BooleanField(
        label=gettext_lazy("A number of a store goes to guides of that store only"), required=False
    )
    most = forms.IntegerField(
        label=gettext_lazy("At most for each guide"),
        required=False,
        min_value=1,
        max_value=10_000,
        help_text=gettext_lazy(
            "WeCom lets a member ask some dozens of people a day. The rest keeps waiting."
        ),
    )

    def __init__(self, *args: Any, staff: Staff, chosen: set[int] | None = None, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        people = list(
            Staff.objects.visible_to(staff)
            .guides()
            .select_related("store")
            .order_by("store__name", "name", "pk")
        )
        self.chosen = chosen if chosen is not None else {guide.pk for guide in people}
        if self.is_bound:
            self.chosen = ticked(self.data, "guides")
        self.stores: dict[str, list[Staff]] = {}
        for guide in people:
            self.stores.setdefault(str(guide.store or ""), []).append(guide)

    def choice(self) -> Choice:
        data = self.cleaned_data
        return Choice(sorted(self.chosen), data["by_store"], data["most"])
