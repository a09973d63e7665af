"""The demo's people: one for each customer of a purchase history, with invented names, channels and guides from a seed."""

import hashlib
import random
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from itertools import groupby
from pathlib import Path
from zoneinfo import ZoneInfo

SHANGHAI = ZoneInfo("Asia/Shanghai")
SURNAMES = (
    "王李张刘陈杨赵黄周吴徐孙胡朱高林何郭马罗梁宋郑谢韩唐冯于董萧程曹袁邓许傅沈曾彭吕苏卢蒋蔡贾"
    "丁魏薛叶阎余潘杜戴夏钟汪田任姜范方石姚谭廖邹熊金陆郝孔白崔康毛邱秦江史顾侯邵孟龙万段雷钱汤"
    "尹黎易常武乔贺赖龚文"
)
GIVEN = (
    "伟芳娜敏静丽强磊军洋勇艳杰娟涛明超秀霞平刚桂英华玉萍红玲建国志文波辉健梅鑫婷雪慧莹颖琳佳欣"
    "怡晨阳子涵梓萱雨诗语嘉琪思远浩然宇轩俊博雅宁心悦安然可沐一诺依楠汐若曦"
)
NICKNAMES = [
    "小鹿",
    "橘子汽水",
    "半糖",
    "晚风",
    "向日葵",
    "南山",
    "Lily",
    "Coco妈妈",
    "豆豆妈",
    "阿木",
    "西瓜太郎",
    "云朵",
    "momo",
    "Jason",
    "海边的风",
    "糖糖",
    "小满",
    "青柠",
    "Annie",
    "奶茶不加糖",
]


@dataclass(frozen=True)
class Person:
    member_no: str
    name: str
    gender: int  # 0 unknown, 1 male, 2 female
    unionid: str
    external_userid: str
    joined_at: datetime  # UTC: added the first guide
    channel: int  # index of the channel code
    guide: int  # index of the guide
    second_guide: int | None
    tags: tuple[int, ...]  # indexes of tags
    lost_after: timedelta | None  # deleted the guide so long after joining


def purchases(path: Path) -> Iterator[tuple[str, date, int, int]]:
    """Rows of the CDNOW master file: customer id, date, number of CDs, cents."""
    with path.open(encoding="ascii") as lines:
        for line in lines:
            if len(parts := line.split()) == 4 and parts[0].isdigit():
                day = date.fromisoformat(parts[1])
                yield parts[0], day, int(parts[2]), round(float(parts[3]) * 100)


@dataclass(frozen=True)
class Buyer:
    """One customer of the history, moved to the present."""

    first_on: date  # of the file; a person who has bought nothing here was first seen on it
    bought: list[tuple[date, int, int]]  # day, pieces, cents


def buyers(path: Path, today: date) -> dict[str, Buyer]:
    """Customers of the file by id, in order; its last day becomes yesterday.

    All of them bought for the first time within twelve weeks, as no shop's customers do: two in five begin on some later
    day, with what they bought up to yesterday, and some of these have not bought yet.
    """
    rows = sorted(purchases(path))
    last = max(day for _, day, _, _ in rows)
    shift = today - timedelta(days=1) - last
    found: dict[str, Buyer] = {}
    for customer, mine in groupby(rows, key=lambda row: row[0]):
        bought = [(day + shift, n, cents) for _, day, n, cents in mine]
        dice = random.Random(f"begins:{customer}")
        first, place = bought[0][0], dice.random()
        if place < 0.4:
            later = timedelta(days=int(((today - first).days - 1) * dice.random() ** 0.7))
            first += later
            bought = [(day + later, n, cents) for day, n, cents in bought if day + later < today]
        found[customer] = Buyer(first, bought if place > 0.06 else [])
    return found


def people(
    path: Path, *, n: int, skip: int, now: datetime, seed: int, n_channels: int, n_guides: int, n_tags: int
) -> list[Person]:
    """The first `n` customers of the file after `skip`, in the order of their ids; the same seed gives the same people.

    Half of them joined on a day on which they bought; the others on some later day, more often lately, so that
    every day has arrivals.
    """
    found = buyers(path, now.astimezone(SHANGHAI).date())
    return [
        _person(customer, found[customer], now, seed, n_channels, n_guides, n_tags)
        for customer in list(found)[skip : skip + n]
    ]


def _person(
    customer: str, buyer: Buyer, now: datetime, seed: int, n_channels: int, n_guides: int, n_tags: int
) -> Person:
    dice = random.Random(f"{seed}:{customer}")
    today = now.astimezone(SHANGHAI).date()
    if dice.random() < 0.5 and len(buyer.bought) > 1:
        joined_on = dice.choice(buyer.bought)[0]
    else:
        span = (today - buyer.first_on).days
        joined_on = buyer.first_on + timedelta(days=int((span + 1) * dice.random() ** 0.6))
    seconds = int(min(max(dice.gauss(15.5, 3.5), 7.0), 23.5) * 3600) + dice.randrange(600)
    joined_at = datetime.combine(joined_on, time(), SHANGHAI).astimezone(UTC) + timedelta(seconds=seconds)
    if joined_at >= now:  # some time today, so far
        midnight = datetime.combine(today, time(), SHANGHAI).astimezone(UTC)
        joined_at = midnight + (now - midnight) * dice.uniform(0.5, 0.97)
    digest = hashlib.sha256(f"{seed}:{customer}".encode()).hexdigest()
    gender = dice.choices((0, 1, 2), (1, 3, 6))[0]
    channel = min(int(dice.expovariate(0.45)), n_channels - 1)
    guide = min(int(dice.triangular(0, n_guides, n_guides * 0.35)), n_guides - 1)
    lost = dice.random() < (0.10, 0.14, 0.30, 0.18, 0.12, 0.22, 0.16, 0.25)[channel % 8]
    lost_after = timedelta(seconds=int(dice.expovariate(1 / (86400 * 25))) + 60) if lost else None
    return Person(
        member_no=f"C{customer}",
        name=_name(dice),
        gender=gender,
        unionid=f"o{digest[:27]}",
        external_userid=f"wm{digest[:30]}",
        joined_at=joined_at,
        channel=channel,
        guide=guide,
        second_guide=(guide + 1 + dice.randrange(n_guides - 1)) % n_guides if dice.random() < 0.06 else None,
        tags=tuple(sorted(dice.sample(range(n_tags), k=dice.choice((0, 1, 1, 2, 3))))),
        lost_after=lost_after if lost_after and joined_at + lost_after < now else None,
    )


def _name(dice: random.Random) -> str:
    if dice.random() < 0.15:
        return dice.choice(NICKNAMES) + (str(dice.randrange(100)) if dice.random() < 0.4 else "")
    return dice.choice(SURNAMES) + "".join(
        dice.choice(GIVEN) for _ in range(1 if dice.random() < 0.25 else 2)
    )
