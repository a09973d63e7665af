"""The stage: scenarios, the clock, how the virtual people behave, the state as a file."""

from typing import Any

from django.db.models import Count
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render

from . import arrivals, behaviour, chance, clock, life, scenario, scenario_file
from .models import Corp, Due, Purchase
from .page_frame import frame, page

SPEEDS = (1, 10, 60, 600, 3600)
STEPS = ((60, "1 分钟", "1 min"), (3600, "1 小时", "1 h"), (86_400, "1 天", "1 day"))
DRIFTS = (-600, -120, 0, 120, 600)
# what the form shows: (habit, Chinese, English); each is a share, its delay stands beside it
GUIDES = (
    ("confirm", "确认群发", "confirm mass sends"),
    ("accept", "通过好友申请", "accept requests"),
    ("reply", "回复消息", "reply"),
    ("note", "添加后打标签", "tag after an add"),
    ("delete", "删掉不说话的", "delete the silent"),
)
CUSTOMERS = (
    ("again", "是回头客", "were here before"),
    ("half", "半好友", "are half adds"),
    ("say", "添加后说话", "write after the add"),
    ("read", "读消息", "read messages"),
    ("answer", "读后回复", "then answer"),
    ("buy", "读后下单", "then buy"),
    ("delete", "读后删除导购", "then delete the guide"),
    ("like", "给朋友圈点赞", "like moments"),
    ("join", "进群", "join a group"),
    ("quit", "又退群", "leave it again"),
)
KINDS = {
    "arrive": ("客户到来", "somebody arrives"),
    "act": ("剧本里的一幕", "an act of the scenario"),
    "say": ("客户说话", "a customer writes"),
    "answer": ("客户回复", "a customer answers"),
    "reply": ("导购回复", "a guide replies"),
    "accept": ("导购通过好友", "a guide accepts"),
    "note": ("导购打标签", "a guide tags"),
    "guide_delete": ("导购删客户", "a guide deletes"),
    "read": ("客户读消息", "a customer reads"),
    "buy": ("客户下单", "a customer buys"),
    "delete": ("客户删导购", "a customer deletes"),
    "like": ("客户点赞", "a customer likes"),
    "join": ("客户进群", "a customer joins a group"),
    "quit": ("客户退群", "a customer leaves a group"),
}


def rows_of(table: tuple[tuple[str, str, str], ...], habits: dict[str, Any]) -> list[dict[str, Any]]:
    """Habits as the form shows them: shares in per cent, delays in seconds."""
    found = []
    for name, zh, en in table:
        rate, span = habits.get(f"{name}_rate"), habits.get(f"{name}_after_s")
        if span is None and f"{name}_after_s" in habits:  # by the settings, guides never confirm
            rate, span = 0, [20, 120]
        found.append({"name": name, "zh": zh, "en": en, "percent": round((rate or 0) * 100, 1), "span": span})
    return found


@page
def stage(request: HttpRequest, corp: Corp) -> HttpResponse:
    """Everything that happens by itself."""
    context = frame(request, corp, "stage")
    context |= _live(corp)
    if request.GET.get("part"):
        return render(request, "sandbox/_stage.html", context)
    context |= {
        "ready": scenario_file.ready(),
        "speeds": SPEEDS,
        "steps": STEPS,
        "drifts": DRIFTS,
        "guides": rows_of(GUIDES, behaviour.guide(corp.corpid, behaviour.EVERYBODY)),
        "customers": rows_of(CUSTOMERS, behaviour.customers(corp.corpid)),
        "own": sorted(set(behaviour.of(corp.corpid)["guides"]) - {behaviour.EVERYBODY}),
        "stream": arrivals.streams().get(corp.corpid),
        "seed": chance.seed(),
    }
    return render(request, "sandbox/stage.html", context)


def _live(corp: Corp) -> dict[str, Any]:
    """The part that renews itself: what plays, what comes next, what was bought."""
    coming = Due.objects.filter(corpid=corp.corpid)
    by_kind = coming.values("kind").annotate(n=Count("id")).order_by("-n")
    playing = scenario.status()
    return {
        "playing": playing if playing.get("corpid") == corp.corpid else {},
        "elsewhere": playing if playing and playing.get("corpid") != corp.corpid else {},
        "percent": round(playing.get("done", 0) * 100, 1),
        "next": life.peek(),
        "coming": [(KINDS.get(row["kind"], (row["kind"],) * 2), row["n"]) for row in by_kind],
        "soon": [(row, KINDS.get(row.kind, (row.kind,) * 2)) for row in coming.order_by("at", "id")[:6]],
        "orders": Purchase.objects.filter(corpid=corp.corpid).order_by("-id")[:5],
        "speed": clock.speed(),
    }
