"""What the demo's brands sell, how their own fields, stages and kinds of behaviour are called. Only data."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Item:
    sku: str
    name: str
    category: str
    price_fen: int
    usage_days: int | None = None


@dataclass(frozen=True)
class Shelf:
    items: tuple[Item, ...]
    fields: tuple[tuple[str, str, str, tuple[str, ...]], ...] = ()  # key, label, type, options
    stages: tuple[str, ...] = ()
    kinds: tuple[tuple[str, str], ...] = ()  # behaviour of the brand's own
    words: tuple[str, ...] = ()  # what people search for


def _items(prefix: str, rows: str) -> tuple[Item, ...]:
    """Lines of `category | name | yuan | days that one lasts or -`."""
    found = []
    for n, line in enumerate(rows.strip().splitlines(), start=1):
        category, name, yuan, days = (part.strip() for part in line.split("|"))
        sku = f"{prefix}{n:03d}"
        found.append(Item(sku, name, category, int(yuan) * 100, None if days == "-" else int(days)))
    return tuple(found)


SHELVES: dict[str, Shelf] = {
    "nuanguang": Shelf(
        items=_items(
            "NG",
            """
            香氛 | 雪松无火香薰 100ml | 129 | 60
            香氛 | 白茶无火香薰 100ml | 119 | 60
            香氛 | 无花果香薰蜡烛 180g | 98 | 40
            香氛 | 晚香玉香薰蜡烛 180g | 98 | 40
            香氛 | 车载香片三枚装 | 49 | 30
            香氛 | 衣橱香包六枚装 | 39 | 90
            香氛 | 香薰补充装 200ml | 158 | 90
            身体护理 | 柑橘沐浴露 500ml | 79 | 45
            身体护理 | 燕麦身体乳 300ml | 89 | 50
            身体护理 | 乳木果护手霜 80ml | 45 | 60
            身体护理 | 海盐磨砂膏 250g | 95 | 75
            身体护理 | 洗手液旅行三支装 | 36 | 45
            身体护理 | 氨基酸洗发水 400ml | 85 | 60
            身体护理 | 滋养发膜 250ml | 99 | 60
            面部护理 | 玻尿酸面膜十片装 | 109 | 30
            面部护理 | 神经酰胺面霜 50g | 168 | 60
            面部护理 | 清透防晒乳 50ml | 118 | 45
            面部护理 | 温和卸妆膏 100g | 108 | 60
            家居 | 棉麻抱枕套 | 69 | -
            家居 | 陶土香插 | 58 | -
            家居 | 桌面小夜灯 | 139 | -
            家居 | 羊毛盖毯 | 299 | -
            家居 | 玻璃花器 | 118 | -
            家居 | 竹纤维毛巾两条装 | 59 | 180
            礼盒 | 四季香氛礼盒 | 399 | -
            礼盒 | 新婚暖居礼盒 | 329 | -
            """,
        ),
        fields=(
            ("birthday", "生日", "date", ()),
            ("scent", "喜欢的香调", "choice", ("木质调", "花香调", "柑橘调", "东方调")),
            ("skin", "肤质", "choice", ("干性", "油性", "混合性", "敏感")),
            ("budget", "单次预算（元）", "number", ()),
            ("has_pet", "家里有宠物", "bool", ()),
        ),
        stages=("初识", "有意向", "已试用", "已成交", "老客"),
        kinds=(("sample", "领取小样"), ("booking", "预约到店"), ("live", "观看直播")),
        words=("无火香薰", "护手霜", "礼盒", "防晒", "敏感肌", "补充装", "送女友", "面膜"),
    ),
    "qinghe": Shelf(
        items=_items(
            "QH",
            """
            文学 | 山谷来信 | 48 | -
            文学 | 一个人的村庄史 | 58 | -
            文学 | 夜航船札记 | 65 | -
            童书 | 小熊的四季（绘本） | 42 | -
            童书 | 会飞的图书馆 | 36 | -
            童书 | 给孩子的天文课 | 78 | -
            历史 | 运河上的城 | 88 | -
            历史 | 丝路三百年 | 98 | -
            科幻 | 群星的邻居 | 55 | -
            科幻 | 最后一个夏天 | 49 | -
            文创 | 手帐本 | 69 | 120
            文创 | 帆布书袋 | 79 | -
            """,
        ),
        fields=(
            ("child_age", "孩子年龄", "number", ()),
            ("genre", "爱读", "choice", ("文学", "童书", "历史", "科幻")),
        ),
        stages=("新书友", "常客", "读书会成员"),
        kinds=(("event", "报名读书会"),),
        words=("绘本", "科幻", "签名本", "读书会"),
    ),
}
