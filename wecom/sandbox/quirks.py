"""Where WeCom's documents contradict themselves, each other or what people report: a setting each.

The first choice is the default: what the newest dated page says, else what was really seen. Software that works
with every choice works with WeCom, whichever of them is true today. store.quirk(name) tells the choice in force.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Quirk:
    """One contradiction.

    Args:
        page: where it is documented: numbers of developer.work.weixin.qq.com/document/path/…
        choices: value → (Chinese, English) of what the sandbox then does.
    """

    name: str
    page: str
    title: tuple[str, str]
    choices: dict[str, tuple[str, str]]

    @property
    def default(self) -> str:
        return next(iter(self.choices))


_ROWS = (
    # ---- answers
    Quirk(
        "last_cursor",
        "92994 …",
        ("最后一页的 next_cursor", "next_cursor of the last page"),
        {"empty": ("空字符串", "an empty string"), "absent": ("不返回", "left out")},
    ),
    Quirk(
        "success_errcode",
        "90313",
        ("成功时的 errcode", "errcode of a success"),
        {"given": ("返回 0", "0"), "absent": ("不返回", "left out")},
    ),
    Quirk(
        "error_lists",
        "90313",
        ("出错时的列表字段", "list fields of an error"),
        {"empty": ("空列表", "empty lists"), "absent": ("不返回", "left out")},
    ),
    Quirk(
        "short_pages",
        "92994",
        ("没到末页时一页的行数", "rows of a page that is not the last"),
        {"full": ("正好 limit 行", "exactly limit"), "short": ("可能更少", "sometimes fewer")},
    ),
    # ---- token and log-in
    Quirk(
        "gettoken_again",
        "91039",
        ("有效期内再取 token", "gettoken while the token lives"),
        {
            "same": ("同一个", "the same one"),
            "new": ("新的一个，旧的仍有效", "another one, the old one lives on"),
        },
    ),
    Quirk(
        "foreign_secret",
        "91039",
        ("用别家企业的 secret", "the secret of another corp"),
        {"40001": ("40001", "40001"), "40091": ("40091", "40091")},
    ),
    Quirk(
        "used_login_code",
        "91023",
        ("登录 code 用第二次", "a log-in code used twice"),
        {"42022": ("42022", "42022"), "40029": ("40029", "40029")},
    ),
    # ---- members
    Quirk(
        "member_details",
        "90196",
        ("手机、头像等成员字段", "mobile, avatar … of members"),
        {
            "hidden": ("不给：2022-06-20 后建的应用", "hidden: apps made since 2022-06-20"),
            "shown": ("给：更早建的应用", "shown: older apps"),
        },
    ),
    Quirk(
        "fetch_child",
        "90200",
        ("成员列表的 fetch_child", "fetch_child of member lists"),
        {
            "obeyed": ("有效：旧文档", "obeyed: older pages"),
            "ignored": ("无效：现文档已删去", "ignored: gone from today's page"),
        },
    ),
    Quirk(
        "contact_event_fields",
        "90970",
        ("成员变更回调的字段", "elements of member events"),
        {
            "ids": (
                "只有 UserID、部门：2022-08-15 后配置",
                "UserID and departments: set up since 2022-08-15",
            ),
            "all": ("全部字段：更早配置", "everything: set up before"),
        },
    ),
    # ---- customers
    Quirk(
        "no_customers",
        "92113",
        ("没有客户的成员调 list", "list of a member without customers"),
        {"84061": ("84061", "84061"), "empty": ("空列表", "an empty list")},
    ),
    Quirk(
        "lost_in_lists",
        "92113",
        ("客户删除成员之后", "after the customer deleted the member"),
        {
            "kept": ("list、get 仍能查到", "list and get still show him"),
            "gone": ("查不到了", "they do not"),
        },
    ),
    Quirk(
        "api_writes_tell",
        "92115, 92130",
        ("接口改备注、打标签是否回调", "callbacks for remarks and tags set by API"),
        {"no": ("不回调", "none"), "yes": ("有 edit_external_contact", "edit_external_contact")},
    ),
    Quirk(
        "clear_mobiles",
        "92115",
        ("remark_mobiles 传空字符串", 'remark_mobiles as ""'),
        {"refused": ('40058：要传 [""]', '40058: [""] is wanted'), "clears": ("清空", "clears them")},
    ),
    Quirk(
        "half_first",
        "92130",
        ("免验证添加的回调", "events of an add without verification"),
        {
            "no": ("只有 add_external_contact", "add_external_contact alone"),
            "yes": ("先来一个 add_half_external_contact", "add_half_external_contact before it"),
        },
    ),
    # ---- contact ways and links
    Quirk(
        "code_picks_guide",
        "92228",
        ("多人活码由谁接待", "who meets the scanner of a code of several"),
        {"chance": ("随机", "anybody"), "turn": ("轮流", "in turn")},
    ),
    Quirk(
        "link_people",
        "97297",
        ("获客链接最多多少人", "people behind an acquisition link"),
        {"500": ("500：现文档", "500: today's page"), "100": ("100：旧文档", "100: older pages")},
    ),
    Quirk(
        "link_skip_verify",
        "97297",
        ("获客链接详情的 skip_verify", "skip_verify of a link"),
        {"in_link": ("在 link 里", "inside link"), "top": ("在最外层", "at the top")},
    ),
    Quirk(
        "link_message_event",
        "97299",
        ("获客的消息回调", "message_from_customer"),
        {
            "chat_key": ("只有 ChatKey：2024-12-19 起", "ChatKey: since 2024-12-19"),
            "ids": ("UserID、ExternalUserID、ChatSeq：更早", "UserID, ExternalUserID, ChatSeq: before"),
        },
    ),
    # ---- tags
    Quirk(
        "corp_tags",
        "92117, 90313",
        ("企业标签总数上限", "corp tags of a corp"),
        {
            "10000": ("10000：现文档", "10,000: today's page"),
            "3000": ("3000：错误码文案", "3,000: the error's text"),
        },
    ),
    Quirk(
        "known_tag_name",
        "92117",
        ("组内已有同名标签时添加", "adding a tag of a name that is there"),
        {"40071": ("40071", "40071"), "returned": ("返回已有的标签", "the tag that is there")},
    ),
    Quirk(
        "foreign_tag",
        "92117",
        ("改别的应用建的标签", "editing another app's tag"),
        {"60011": ("60011", "60011"), "48002": ("48002", "48002")},
    ),
    Quirk(
        "last_tag_events",
        "92130",
        ("删掉组里最后一个标签的回调", "events when a group's last tag is deleted"),
        {"both": ("标签和组各一个", "the tag's and the group's"), "group": ("只有组的", "only the group's")},
    ),
    # ---- messages
    Quirk(
        "used_welcome_code",
        "92137",
        ("欢迎语 code 用第二次", "a welcome code used twice"),
        {"41051": ("41051", "41051"), "41050": ("41050", "41050")},
    ),
    Quirk(
        "receive_rule",
        "92135",
        ("每位客户收群发的上限", "mass messages a customer may receive"),
        {
            "month": ("每月，天数次：2025-11 文档", "days of the month, per month: the page of 2025-11"),
            "week": ("每周 7 次：群发助手可选", "7 a week: may be chosen in the client"),
            "day": ("每天 1 次：旧文档，也可选", "1 a day: older page, and may be chosen"),
            "month4": ("每月 4 次：更旧", "4 a month: older still"),
        },
    ),
    Quirk(
        "task_sent_status",
        "93338",
        ("群发任务“已发送”的 status", "status of a mass task that was sent"),
        {"2": ("2：字段表", "2: the table"), "1": ("1：示例", "1: the sample")},
    ),
    Quirk(
        "mass_list_time",
        "93338",
        ("群发记录的 create_time", "create_time of mass records"),
        {"number": ("数字", "a number"), "string": ("字符串：示例", "a string: the samples")},
    ),
    Quirk(
        "moment_text",
        "95094",
        ("朋友圈文字上限", "text of a moment"),
        {
            "both": ("2000 字且 4000 字节", "2,000 characters and 4,000 bytes"),
            "chars": ("2000 字", "2,000 characters"),
            "bytes": ("4000 字节", "4,000 bytes"),
        },
    ),
    Quirk(
        "card_code_hours",
        "90236",
        ("卡片 response_code 有效期", "life of a card's response_code"),
        {"72": ("72 小时", "72 hours"), "24": ("24 小时：旧文档", "24 hours: older page")},
    ),
    Quirk(
        "image_mb",
        "90253, 90313",
        ("图片上限", "size of a picture"),
        {
            "10": ("10 MB：接口文档", "10 MB: the call's page"),
            "5": ("5 MB：错误码文案", "5 MB: the error's text"),
        },
    ),
    Quirk(
        "upload_boundary",
        "90253",
        ("上传的 Content-Type 没有 boundary", "an upload whose Content-Type names no boundary"),
        {
            "required": ("44001：文档要求", "44001: the page wants it"),
            "guessed": ("从内容里认：有 SDK 这样发", "taken from the body: an SDK sends it so"),
        },
    ),
    # ---- groups
    Quirk(
        "scanned_join_scene",
        "92130",
        ("扫码进群回调的 JoinScene", "JoinScene of who scanned a code"),
        {"3": ("3：字段表", "3: the table"), "1": ("1：示例", "1: the sample")},
    ),
    Quirk(
        "changed_members",
        "92130",
        ("回调里 MemChangeList 的写法", "MemChangeList of group events"),
        {
            "items": ("Item 子节点", "Item elements"),
            "text": ("逗号分隔的文本：旧推送", "text with commas: older deliveries"),
        },
    ),
    Quirk(
        "plugin_qr_code",
        "92229",
        ("小程序插件进群方式的 qr_code", "qr_code of a join way of scene 1"),
        {
            "given": ("返回", "given"),
            "absent": ("不返回：字段表只写 scene 2", "left out: the table names scene 2 only"),
        },
    ),
    # ---- transfers
    Quirk(
        "transfers_in_90_days",
        "92125, 90313",
        ("在职继承 90 天内次数", "on-job transfers of a customer in 90 days"),
        {"2": ("2 次：现文档", "2: today's page"), "1": ("1 次：40128 的文案", "1: the text of 40128")},
    ),
    Quirk(
        "transfer_keeps",
        "92125",
        ("继承后的备注和标签", "remark and tags after a transfer"),
        {"nothing": ("不带过去", "stay behind"), "notes": ("带过去", "go along")},
    ),
    # ---- callbacks
    Quirk(
        "envelope",
        "90930",
        ("回调外层的格式", "envelope of callbacks"),
        {"xml": ("XML", "XML"), "json": ("JSON", "JSON")},
    ),
    Quirk(
        "envelope_agentid",
        "90930",
        ("回调外层的 AgentID", "AgentID of the envelope"),
        {"given": ("应用的", "the app's"), "empty": ("空", "empty")},
    ),
    Quirk(
        "empty_elements",
        "92130",
        ("没有值的可选节点", "optional elements without a value"),
        {"absent": ("没有", "left out"), "empty": ("空节点", "there, and empty")},
    ),
    Quirk(
        "chat_id_first",
        "92130",
        ("客户群回调里 ChatId 的位置", "place of ChatId in group events"),
        {
            "after": ("在 ChangeType 之后", "after ChangeType"),
            "before": ("在 ChangeType 之前", "before ChangeType"),
        },
    ),
)


def listed() -> list[dict[str, object]]:
    """The table for programs: name, page, title, choices; the first choice is the default."""
    return [
        {
            "name": row.name,
            "page": row.page,
            "title": row.title[1],
            "choices": {value: words[1] for value, words in row.choices.items()},
        }
        for row in _ROWS
    ]


QUIRKS: dict[str, Quirk] = {row.name: row for row in _ROWS}
