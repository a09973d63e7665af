"""Product album (商品图册) and intercept rules (敏感词).

Source: developer.work.weixin.qq.com/document/path/95096, 95097.
"""

from typing import Any

from wecom.sandbox import ids
from wecom.sandbox.call import Call, cut_page, number, numbers, page_size, read_cursor, strings, text
from wecom.sandbox.content import part
from wecom.sandbox.errors import WeComError
from wecom.sandbox.models import InterceptRule, Product

from . import media

DEAREST_FEN = 5_000_000
MOST_PICTURES, MOST_WORDS, MOST_RANGE, MOST_RULES = 9, 300, 1000, 100
ALBUM = "attachment:2"


def _pictures(call: Call) -> list[dict[str, Any]]:
    given = call.body.get("attachments")
    if not isinstance(given, list) or not given:
        raise WeComError(40063, "attachments")
    if len(given) > MOST_PICTURES:
        raise WeComError(40058, "attachments")
    found = []
    for one in given:
        if not isinstance(one, dict) or one.get("type") != "image":
            raise WeComError(40058, "attachments")
        media_id = text(part(one, "image"), "media_id", missing=40063)
        media.check(call.corpid, media_id, "image", now=call.now, origin=ALBUM)
        found.append({"type": "image", "image": {"media_id": media_id}})
    return found


def _price(call: Call) -> int:
    price = number(call.body, "price")
    if not 0 <= price <= DEAREST_FEN:
        raise WeComError(40058, "price")
    return price


def _number(call: Call) -> str:
    found = text(call.body, "product_sn")
    if len(found.encode()) > 128 or (found and not (found.isascii() and found.isalnum())):
        raise WeComError(40058, "product_sn")
    return found


def _product(call: Call) -> Product:
    product_id = text(call.body, "product_id", missing=40063)
    row = Product.objects.filter(corpid=call.corpid, agentid=call.app.agentid, product_id=product_id).first()
    if row is None:
        raise WeComError(40058, "product_id")
    return row


def _shown(row: Product) -> dict[str, Any]:
    return {
        "product_id": row.product_id,
        "description": row.description,
        "price": row.price_fen,
        "create_time": int(row.create_time),
        "product_sn": row.number,
        "attachments": row.attachments,
    }


def add_product(call: Call) -> dict[str, Any]:
    """A product with its pictures."""
    row = Product.objects.create(
        product_id=ids.media_id()[:32],
        corpid=call.corpid,
        agentid=call.app.agentid,
        description=text(call.body, "description", missing=41033, most=300),
        price_fen=_price(call),
        number=_number(call),
        attachments=_pictures(call),
        create_time=call.now,
    )
    return {"product_id": row.product_id}


def get_product(call: Call) -> dict[str, Any]:
    """One."""
    return {"product": _shown(_product(call))}


def list_products(call: Call) -> dict[str, Any]:
    """Pages; a limit above 100 falls back to 50."""
    limit = page_size(call.body, default=50, most=100, over="default")
    position = read_cursor(call.body, 1)
    rows = Product.objects.filter(corpid=call.corpid, agentid=call.app.agentid)
    rows = rows.filter(id__gt=position[0] if position else 0).order_by("id")
    page, next_cursor = cut_page(rows[: limit + 1], limit, lambda row: [row.pk])
    return {"product_list": [_shown(row) for row in page], "next_cursor": next_cursor}


def update_product(call: Call) -> dict[str, Any]:
    """What is given changes."""
    row = _product(call)
    if "description" in call.body:
        row.description = text(call.body, "description", missing=41033, most=300)
    if "price" in call.body:
        row.price_fen = _price(call)
    if "product_sn" in call.body:
        row.number = _number(call)
    if "attachments" in call.body:
        row.attachments = _pictures(call)
    row.save()
    return {}


def delete_product(call: Call) -> dict[str, Any]:
    """Gone."""
    _product(call).delete()
    return {}


def _words(call: Call) -> list[str]:
    words = strings(call.body, "word_list", most=MOST_WORDS)
    if any(not 1 <= len(word) <= 32 for word in words):
        raise WeComError(40058, "word_list")
    return words


def _semantics(body: dict[str, Any]) -> list[int]:
    found = numbers(body, "semantics_list")
    if not set(found) <= {1, 2, 3}:
        raise WeComError(40058, "semantics_list")
    return found


def _people(call: Call, key: str) -> tuple[list[str], list[int]]:
    given = part(call.body, key)
    users = strings(given, "user_list", most=MOST_RANGE)
    return users, numbers(given, "department_list", most=MOST_RANGE)


def _act(call: Call) -> int:
    act = number(call.body, "intercept_type")
    if act not in (1, 2):
        raise WeComError(40058, "intercept_type")
    return act


def _rule(call: Call) -> InterceptRule:
    rule_id = text(call.body, "rule_id", missing=40063)
    row = InterceptRule.objects.filter(corpid=call.corpid, agentid=call.app.agentid, rule_id=rule_id).first()
    if row is None:
        raise WeComError(40058, "rule_id")
    return row


def add_rule(call: Call) -> dict[str, Any]:
    """semantics_list stands at the top here, and inside extra_rule everywhere else."""
    words, semantics = _words(call), _semantics(call.body)
    users, departments = _people(call, "applicable_range")
    if not words and not semantics:
        raise WeComError(40063, "word_list")
    if not users and not departments:
        raise WeComError(40063, "applicable_range")
    if InterceptRule.objects.filter(corpid=call.corpid).count() >= MOST_RULES:
        raise WeComError(40058, "too many rules")
    row = InterceptRule.objects.create(
        rule_id=ids.media_id()[:32],
        corpid=call.corpid,
        agentid=call.app.agentid,
        name=text(call.body, "rule_name", missing=40063, most=20),
        words=words,
        semantics=semantics,
        act=_act(call),
        users=users,
        departments=departments,
        create_time=call.now,
    )
    return {"rule_id": row.rule_id}


def list_rules(call: Call) -> dict[str, Any]:
    """All of the app."""
    rows = InterceptRule.objects.filter(corpid=call.corpid, agentid=call.app.agentid).order_by("id")
    return {
        "rule_list": [
            {"rule_id": row.rule_id, "rule_name": row.name, "create_time": int(row.create_time)}
            for row in rows
        ]
    }


def get_rule(call: Call) -> dict[str, Any]:
    """One."""
    row = _rule(call)
    return {
        "rule": {
            "rule_id": row.rule_id,
            "rule_name": row.name,
            "word_list": row.words,
            "extra_rule": {"semantics_list": row.semantics},
            "intercept_type": row.act,
            "applicable_range": {"user_list": row.users, "department_list": row.departments},
        }
    }


def update_rule(call: Call) -> dict[str, Any]:
    """What is given changes; the range by adding and removing."""
    row = _rule(call)
    if call.body.get("rule_name"):
        row.name = text(call.body, "rule_name", most=20)
    if "word_list" in call.body:
        row.words = _words(call)
    if "extra_rule" in call.body:
        row.semantics = _semantics(part(call.body, "extra_rule"))
    if "intercept_type" in call.body:
        row.act = _act(call)
    users, departments = _people(call, "remove_applicable_range")
    row.users = [one for one in row.users if one not in users]
    row.departments = [one for one in row.departments if one not in departments]
    users, departments = _people(call, "add_applicable_range")
    row.users = list(dict.fromkeys([*row.users, *users]))
    row.departments = list(dict.fromkeys([*row.departments, *departments]))
    row.save()
    return {}


def delete_rule(call: Call) -> dict[str, Any]:
    """Gone."""
    _rule(call).delete()
    return {}
