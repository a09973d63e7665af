"""What stands in the demo's content library: messages, scripts for the chat, a page with a form and its tracked link."""

from django.db import transaction

from content.models import Content
from content.services import editing, folders, links
from content.services.editing import ContentInput
from org.access import SYSTEM, Actor
from tenants.models import Brand

WRITER = Actor("小运")
MESSAGES = (
    ("新品预告", "本周五新品到店：{品牌}秋冬限定。想先看看的话回复我，我是{员工姓名}，给你留一份。"),
    ("会员日提醒", "会员日周六开始，老朋友提前一天选。需要我帮你搭配，直接回复就好。"),
    ("好久不见", "好久没聊啦，我是{员工姓名}。最近门店换了陈列，路过来坐坐，茶在老地方。"),
)
SCRIPTS = {
    "发货与售后": (
        ("发货时间", "当天 16 点前的订单当天发出，之后的次日发出。发出后我把单号发你。"),
        ("退换", "收到七天内不满意都能退换，运费我们承担。方便拍张照片给我吗？"),
    ),
    "选购": (
        ("预算不高", "这个价位里我自己也在用的是入门装，够用一个月，喜欢再换大的。"),
        ("送人", "送人的话建议礼盒，可以写卡片。告诉我对方年纪和喜好，我帮你挑。"),
    ),
}
# what the sidebar suggests: (name, when, text)
SUGGESTED = (
    (
        "第一句话",
        "hello",
        "{客户昵称|你好}，我是{门店|本店}的{员工姓名}。平时看香氛还是护肤多一些？我按你的喜好推荐。",
    ),
    (
        "购物车跟进",
        "cart",
        "{客户昵称|你好}，看到你选的那款还在购物车里，是在犹豫味道还是规格？我这边有小样可以先寄给你。",
    ),
    ("用完提醒", "repurchase", "{客户昵称|你好}，上次那瓶差不多该用完了吧？这两天补货我可以直接帮你留一份。"),
    (
        "很久没聊",
        "again",
        "{客户昵称|你好}，好久没联系啦。最近到了几款新的，路过{门店|本店}来坐坐，我给你泡茶。",
    ),
)
PAGE = {
    "title": "两分钟，帮你选对一款",
    "intro": "回答三个小问题，导购会按你的喜好推荐。",
    "blocks": [
        {"type": "heading", "text": "先说说你的习惯"},
        {"type": "text", "text": "每个人喜欢的味道、触感都不一样。**没有标准答案**，凭第一感觉选就好。"},
        {
            "type": "form",
            "label": "提交",
            "thanks": "收到啦！导购会带着推荐来找你。",
            "questions": [
                {
                    "key": "q1",
                    "kind": "one",
                    "label": "主要给谁用",
                    "options": ["自己", "家人", "送朋友"],
                    "needed": True,
                },
                {
                    "key": "q2",
                    "kind": "many",
                    "label": "更在意什么",
                    "options": ["成分", "价格", "包装", "口碑"],
                },
                {"key": "q3", "kind": "rating", "label": "对我们上次的服务满意吗"},
            ],
        },
        {"type": "quote", "text": "“回复很快，推荐的都用得上。”——一位会员"},
    ],
}


@transaction.atomic
def fill(brand: Brand) -> None:
    """Put it there; safe to repeat."""
    if Content.objects.exists():
        return
    for name, text in MESSAGES:
        editing.create_content(brand, given=ContentInput(name=name, text=text), by=WRITER)
    for folder_name, scripts in SCRIPTS.items():
        folder = folders.save_folder(brand, name=folder_name, parent_id=None, by=WRITER)
        for name, text in scripts:
            given = ContentInput(name=name, kind=Content.Kind.SCRIPT, text=text, folder_id=folder.pk)
            editing.create_content(brand, given=given, by=WRITER)
    folder = folders.save_folder(brand, name="跟进", parent_id=None, by=WRITER)
    for name, occasion, text in SUGGESTED:
        given = ContentInput(
            name=name, kind=Content.Kind.SCRIPT, text=text, folder_id=folder.pk, occasion=occasion
        )
        editing.create_content(brand, given=given, by=WRITER)
    page = editing.create_content(
        brand, given=ContentInput(name="选品小问卷", kind=Content.Kind.PAGE, page=PAGE), by=WRITER
    ).content
    links.link_of_page(brand, page, by=SYSTEM)
