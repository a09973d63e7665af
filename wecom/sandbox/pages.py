"""Pages for people: play the customer, play the member, disturb."""

from typing import Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render

from .models import ContactWay, Corp, Member


def language(request: HttpRequest) -> dict[str, Any]:
    """Chinese unless the page's cookie says English."""
    return {"lang": "en" if request.COOKIES.get("sandbox_lang") == "en" else "zh"}


def home(request: HttpRequest) -> HttpResponse:
    """All corps."""
    corps = [
        {
            "row": corp,
            "ways": ContactWay.objects.filter(corpid=corp.corpid).order_by("-id")[:50],
            "members": Member.objects.filter(corpid=corp.corpid)[:50],
        }
        for corp in Corp.objects.order_by("corpid")
    ]
    return render(request, "sandbox/home.html", {"corps": corps, **language(request)})
