"""Welcome messages and app messages to members.

Source: developer.work.weixin.qq.com/document/path/92137, 90236.
"""

import hashlib
import json
from typing import Any

from wecom.sandbox import habits, ids, ranges, store
from wecom.sandbox.call import Call, number, text
from wecom.sandbox.content import bounded, content, link_url, part
from wecom.sandbox.errors import WeComError
from wecom.sandbox.models import Follow, Member, Message, WelcomeCode

from . import cards, media

DISTRIBUTING_S = 1.0  # how long a second app hears 41096 before 41051
PER_MINUTE, PER_HOUR = 30, 1000  # app messages of one app to one member; more is dropped in silence


def send_welcome_msg(call: Call) -> dict[str, Any]:
    """Greet once, within the code's life; the first of several apps wins."""
    given = text(call.body, "welcome_code", missing=41049)
    code = WelcomeCode.objects.filter(code=given, corpid=call.corpid, agentid=call.app.agentid).first()
    words, attachments = content(call)
    if code is None:
        raise WeComError(41050)
    if code.used_at is not None:
        raise WeComError(int(store.quirk("used_welcome_code")))
    if call.now >= code.expires_at:
        raise WeComError(41050)
    first = WelcomeCode.objects.filter(arrival=code.arrival, used_at__isnull=False).first()
    if first is not None:
        raise WeComError(41096 if call.now - (first.used_at or 0) < DISTRIBUTING_S else 41051)
    follow = Follow.objects.filter(
        corpid=call.corpid, userid=code.userid, external_userid=code.external_userid, lost=False
    ).first()
    if follow is None:
        raise WeComError(84061)
    if follow.has_spoken:
        raise WeComError(41051)
    WelcomeCode.objects.filter(pk=code.pk).update(used_at=call.now)
    row = Message.objects.create(
        corpid=call.corpid,
        kind="welcome",
        userid=code.userid,
        external_userid=code.external_userid,
        text=words,
        attachments=attachments,
        at=call.now,
        welcome_code=given,
    )
    habits.after_sent(call.corpid, [(row.pk, "welcome", code.userid, code.external_userid)])
    return {}


def _text(call: Call, own: dict[str, Any]) -> str:
    words = text(own, "content", missing=44004)
    return words.encode()[:2048].decode(errors="ignore")


def _textcard(call: Call, own: dict[str, Any]) -> str:
    title = text(own, "title", missing=41016, most=128)
    description = text(own, "description", missing=41033, most=512)
    link_url(own, "url", missing=40063)
    return f"{title}\n{description}"


def _news(call: Call, own: dict[str, Any]) -> str:
    articles = own.get("articles")
    if not isinstance(articles, list) or not 1 <= len(articles) <= 8:
        raise WeComError(40058, "articles")
    return "\n".join(text(one, "title", missing=41016) for one in articles)


def _markdown(call: Call, own: dict[str, Any]) -> str:
    return bounded(own, "content", 2048, missing=44004, over=45002)


def _file(call: Call, own: dict[str, Any]) -> str:
    media.check(call.corpid, text(own, "media_id", missing=40007), str(call.body["msgtype"]), now=call.now)
    return ""


def _miniprogram_notice(call: Call, own: dict[str, Any]) -> str:
    text(own, "appid", missing=40063)
    return text(own, "title", missing=41016)


BODIES = {
    "text": _text,
    "image": _file,
    "voice": _file,
    "video": _file,
    "file": _file,
    "textcard": _textcard,
    "news": _news,
    "mpnews": _news,
    "markdown": _markdown,
    "miniprogram_notice": _miniprogram_notice,
    "template_card": cards.check,
}


def _piped(body: dict[str, Any], key: str, most: int, over: int) -> list[str]:
    found = [one for one in text(body, key).split("|") if one]
    if len(found) > most:
        raise WeComError(over, key)
    return found


def message_send(call: Call) -> dict[str, Any]:
    """To members, parties or @all; unknown receivers are named, too frequent messages vanish."""
    body = call.body
    if number(body, "agentid", missing=41011) != call.app.agentid:
        raise WeComError(301002)
    kind = text(body, "msgtype", missing=40008)
    if kind not in BODIES:
        raise WeComError(40008)
    own = part(body, kind)
    words = BODIES[kind](call, own)
    users, parties = _piped(body, "touser", 1000, 40032), _piped(body, "toparty", 100, 82002)
    tags = _piped(body, "totag", 100, 82003)
    if not users and not parties and not tags:
        raise WeComError(82001)
    there = {
        row.userid.lower(): row.userid
        for row in Member.objects.filter(corpid=call.corpid, status=ranges.ACTIVE)
    }
    in_range = ranges.visible_users(call.app)
    if in_range is not None:
        there = {key: userid for key, userid in there.items() if key in in_range}
    bad_users: list[str] = []
    bad_parties: list[str] = []
    if users == ["@all"]:
        receivers = set(there)
        tags = []
    else:
        receivers = {user.lower() for user in users if user.lower() in there}
        bad_users = [user.lower() for user in users if user.lower() not in there]
        for party in parties:
            inside = ranges.members_in(call.corpid, [int(party)]) if party.isdigit() else set()
            if not inside:
                bad_parties.append(party)
            receivers |= {user.lower() for user in inside} & set(there)
    if not receivers:
        raise WeComError(81013, invaliduser="|".join(bad_users), invalidparty="|".join(bad_parties))
    msgid = ids.msgid()
    if not _is_repeat(call):
        _deliver(call, kind, [there[key] for key in sorted(receivers)], words, own, msgid)
    answer = cards.response_code(call, own, msgid) if kind == "template_card" else {}
    return answer | {
        "invaliduser": "|".join(bad_users),
        "invalidparty": "|".join(bad_parties),
        "invalidtag": "|".join(tags),
        "unlicenseduser": "",
        "msgid": msgid,
    }


_recent: dict[str, float] = {}


def forget() -> None:
    """The messages were wiped."""
    _recent.clear()


def _is_repeat(call: Call) -> bool:
    """enable_duplicate_check: the same JSON within the interval is delivered once."""
    if number(call.body, "enable_duplicate_check", 0) != 1:
        return False
    life = min(number(call.body, "duplicate_check_interval", 1800), 14_400)
    what = json.dumps([call.corpid, call.app.agentid, call.body], sort_keys=True)
    key = hashlib.sha256(what.encode()).hexdigest()
    before = _recent.get(key)
    if before is not None and 0 <= call.now - before < life:
        return True
    _recent[key] = call.now
    return False


def _deliver(
    call: Call, kind: str, receivers: list[str], words: str, own: dict[str, Any], msgid: str
) -> None:
    source = str(call.app.agentid)  # kept in external_userid: which app wrote
    rows = []
    for userid in receivers:
        sent = Message.objects.filter(corpid=call.corpid, userid=userid, kind="app", external_userid=source)
        if sent.filter(at__gt=call.now - 60).count() >= PER_MINUTE:
            continue
        if sent.filter(at__gt=call.now - 3600).count() >= PER_HOUR:
            continue
        rows.append(
            Message(
                corpid=call.corpid,
                kind="app",
                userid=userid,
                external_userid=source,
                text=words,
                attachments=[] if kind == "text" else [{"msgtype": kind, kind: own}],
                at=call.now,
                msgid=msgid,
            )
        )
    Message.objects.bulk_create(rows)


def message_recall(call: Call) -> dict[str, Any]:
    """Take back an app message within 24 hours."""
    msgid = text(call.body, "msgid", missing=41046)
    sent = Message.objects.filter(
        corpid=call.corpid, kind="app", msgid=msgid, external_userid=str(call.app.agentid)
    )
    if not sent.filter(at__gt=call.now - 86_400).exists():
        raise WeComError(40058)
    sent.delete()
    return {}
