"""What the demo's two brands are made of: places, people, tags, channel codes, SOPs. Only data."""

from dataclasses import dataclass, field


@dataclass(frozen=True)
class Code:
    name: str
    place: str
    strategy: str
    guides: tuple[int, ...]  # indexes of the brand's guides; the last one is the standby if `standby`
    cost_fen: int = 0
    tags: tuple[str, ...] = ()
    sop: bool = False
    welcome: str = ""
    standby: bool = False


@dataclass(frozen=True)
class BrandStory:
    slug: str
    name: str
    corpid: str
    agent_id: int
    secret: str
    n_people: int
    skip: int  # customers of the purchase history that other brands have
    seed: int
    guides: tuple[str, ...]
    office: tuple[
        str, ...
    ]  # members without customers: who works in the dashboard gets test messages and notices there
    stores: tuple[tuple[str, str], ...]  # (region, store)
    tag_groups: dict[str, tuple[str, ...]]
    codes: tuple[Code, ...]
    default_welcome: str
    sop_name: str = ""
    sop_steps: tuple[tuple[int, int, str], ...] = ()  # day, hour, text
    departments: tuple[str, ...] = field(default=("总部", "门店"))
    groups: tuple[str, ...] = ()
    guide_tasks: tuple[tuple[str, str, str], ...] = ()  # kind, title, what to do: given to the guides in turn


WARM = BrandStory(
    guide_tasks=(
        ("call", "电话回访：上周到货的香氛", "问问味道喜不喜欢，喜欢浓一点还是淡一点，记在备注里。"),
        ("thank", "谢谢老顾客第三次下单", "手写一张卡片，拍照发给她。"),
        ("message", "购物车里的落地灯还在", "提一下本周满减，别催单。"),
        ("visit", "邀请到店试坐新沙发", "约周末下午，店里人少。"),
    ),
    slug="nuanguang",
    groups=("包裹福利群", "暖光会员群", "新品体验官", "门店好邻居", "宝妈交流群"),
    name="暖光生活",
    corpid="ww5c1e7a90b2d4f608",
    agent_id=1000002,
    secret="demo-secret-of-nuanguang-app-0000000000001",  # noqa: S106  the sandbox only
    n_people=20_000,
    skip=0,
    seed=1997,
    guides=(
        "林晓彤",
        "周建国",
        "陈佳怡",
        "王思远",
        "李婉清",
        "赵一鸣",
        "孙可心",
        "吴浩然",
        "郑雨桐",
        "何俊杰",
        "高若曦",
        "罗子涵",
    ),
    office=("陈经理", "小运"),
    stores=(("华东", "上海静安店"), ("华东", "杭州湖滨店"), ("华南", "广州天河店"), ("华南", "深圳万象店")),
    tag_groups={
        "来源": ("包裹卡", "门店", "公众号", "直播间"),
        "兴趣": ("香氛", "家居", "音乐", "户外"),
        "阶段": ("新客", "复购", "会员", "沉睡"),
    },
    codes=(
        Code(
            "包裹卡",
            "每个快递包裹",
            "in_turn",
            (2, 3, 4, 5),
            180_000,
            ("包裹卡", "新客"),
            True,
            "{客户昵称|你好}，谢谢你把我们带回家！我是{员工姓名}，{品牌}的专属顾问。回复「1」领新人礼 🎁",
        ),
        Code(
            "静安店收银台",
            "上海静安店",
            "weighted",
            (0, 1, 2),
            30_000,
            ("门店", "新客"),
            True,
            "{客户昵称|您好}，欢迎来到{品牌}静安店，我是{员工姓名}。新品到店我第一个告诉你～",
        ),
        Code("公众号菜单", "公众号底部菜单", "least_loaded", (3, 4, 6), 60_000, ("公众号",), True),
        Code("直播间口播", "每晚 8 点直播间", "in_turn", (5, 6, 7), 240_000, ("直播间", "新客"), True),
        Code("湖滨店门口海报", "杭州湖滨店", "in_turn", (7, 8), 22_000, ("门店",)),
        Code("会员日海报", "朋友圈海报", "least_loaded", (1, 8, 9), 45_000, ("会员",)),
        Code("异业合作·咖啡店", "合作咖啡店桌卡", "in_turn", (9, 10, 11), 15_000, ()),
        Code("售后卡", "说明书最后一页", "in_turn", (4, 10, 11), 8_000, ("复购",), False, "", True),
    ),
    default_welcome="{客户昵称|你好}，我是{品牌}的{员工姓名}，很高兴认识你！有任何问题随时找我。",
    sop_name="新好友 30 天",
    sop_steps=(
        (
            1,
            10,
            "昨天加上你真开心～这是给新朋友的见面礼：全场满 199 减 30，三天内有效。我是{员工姓名}，想了解哪一款随时问我。",
        ),
        (7, 19, "用得还习惯吗？这周整理了《家里的光》搭配手册，需要的话我发你。"),
        (30, 10, "认识一个月啦！会员日本周六开始，老朋友提前一天选，我帮你留。"),
    ),
)

BOOKS = BrandStory(
    slug="qinghe",
    name="青禾书店",
    corpid="ww91d0c3e8a7b65f42",
    agent_id=1000005,
    secret="demo-secret-of-qinghe-app-00000000000002",  # noqa: S106
    n_people=1_500,
    skip=20_000,
    seed=1998,
    guides=("苏禾", "叶知秋", "江南", "白露"),
    office=("苏店长",),
    stores=(("北京", "北京五道口店"), ("北京", "北京三里屯店")),
    tag_groups={"读者": ("文学", "童书", "历史", "科幻"), "阶段": ("新读者", "会员", "读书会")},
    codes=(
        Code("书签二维码", "随书附赠书签", "in_turn", (0, 1), 5_000, ("新读者",), True),
        Code("读书会签到", "每周六读书会", "in_turn", (2, 3), 0, ("读书会",)),
        Code("收银台立牌", "五道口店", "least_loaded", (0, 2), 3_000, ("新读者",)),
    ),
    default_welcome="{客户昵称|书友}你好，我是{品牌}的{员工姓名}。想找什么书，告诉我书名就好。",
    sop_name="新书友",
    sop_steps=(
        (1, 9, "送你一份本月书单。"),
        (7, 9, "周六有读书会，来坐坐吗？"),
        (30, 9, "上个月的新书到齐了。"),
    ),
)

STORIES = (WARM, BOOKS)
PASSWORD = "scrm-demo-2026"  # noqa: S105  printed with the log-ins
