"""Words that members may not send to customers (敏感词). Page 95097. At most 100 rules per company."""

from collections.abc import Sequence
from typing import Any, Literal, TypedDict, cast

from django.utils.translation import gettext as _

from wecom.api.checks import at_most, at_most_chars, needed
from wecom.client import WeComClient
from wecom.errors import InvalidMessage, LostAnswer

_API = "externalcontact"
Semantic = Literal[1, 2, 3]  # 1 mobile number, 2 e-mail address, 3 red packet
Act = Literal[1, 2]  # 1 the message is not sent and the member warned, 2 only warned


class RuleRange(TypedDict, total=False):
    user_list: list[str]
    department_list: list[int]


class RuleRow(TypedDict, total=False):
    rule_id: str
    rule_name: str
    create_time: int


class Rule(TypedDict, total=False):
    rule_id: str
    rule_name: str
    word_list: list[str]
    extra_rule: dict[str, list[Semantic]]  # {"semantics_list": […]}
    intercept_type: Act
    applicable_range: RuleRange


def add_rule(
    client: WeComClient,
    *,
    name: str,
    words: Sequence[str],
    act: Act,
    userids: Sequence[str] = (),
    department_ids: Sequence[int] = (),
    semantics: Sequence[Semantic] = (),
) -> str:
    """Make a rule; gives its rule_id.

    Args:
        name: 1 to 20 characters.
        words: 1 to 300, each 1 to 32 characters.
        userids, department_ids: for whom, ≤ 1000 each, not both empty.

    Raises:
        LostAnswer: perhaps made; look with `rules` and compare names.
    """
    needed(_("Members"), userids or department_ids)
    body: dict[str, Any] = {
        **_body(name, words, act),
        "applicable_range": _range(userids, department_ids),
    }
    if semantics:
        body["semantics_list"] = list(semantics)  # beside the words here, in `extra_rule` everywhere else
    answer = client.call("POST", f"{_API}/add_intercept_rule", body=body)
    if not answer.get("rule_id"):
        raise LostAnswer(api=f"{_API}/add_intercept_rule", errmsg="no rule_id in the answer")
    return str(answer["rule_id"])


def rules(client: WeComClient) -> list[RuleRow]:
    answer = client.call("GET", f"{_API}/get_intercept_rule_list", repeatable=True)
    return cast(list[RuleRow], answer.get("rule_list") or [])


def rule(client: WeComClient, rule_id: str) -> Rule:
    answer = client.call("POST", f"{_API}/get_intercept_rule", body={"rule_id": rule_id}, repeatable=True)
    return cast(Rule, answer.get("rule") or {})


def update_rule(
    client: WeComClient,
    rule_id: str,
    *,
    name: str | None = None,
    words: Sequence[str] | None = None,
    act: Act | None = None,
    semantics: Sequence[Semantic] | None = None,
    add: RuleRange | None = None,
    remove: RuleRange | None = None,
) -> None:
    """Change what is given; words and semantics are replaced as a whole, the range grows and shrinks."""
    body: dict[str, Any] = {"rule_id": rule_id, **_body(name, words, act)}
    if semantics is not None:
        body["extra_rule"] = {"semantics_list": list(semantics)}
    if add:
        body["add_applicable_range"] = dict(add)
    if remove:
        body["remove_applicable_range"] = dict(remove)
    client.call("POST", f"{_API}/update_intercept_rule", body=body, repeatable=True)


def delete_rule(client: WeComClient, rule_id: str) -> None:
    """Delete a rule."""
    client.call("POST", f"{_API}/del_intercept_rule", body={"rule_id": rule_id}, repeatable=True)


def _range(userids: Sequence[str], department_ids: Sequence[int]) -> dict[str, Any]:
    at_most(_("Members"), userids, 1000)
    at_most(_("Departments"), department_ids, 1000)
    return {"user_list": list(userids), "department_list": list(department_ids)}


def _body(name: str | None, words: Sequence[str] | None, act: Act | None) -> dict[str, Any]:
    body: dict[str, Any] = {}
    if name is not None:
        needed(_("Name"), name)
        at_most_chars(_("Name"), name, 20)
        body["rule_name"] = name
    if words is not None:
        needed(_("Words"), words)
        at_most(_("Words"), words, 300)
        if any(not 1 <= len(word) <= 32 for word in words):
            raise InvalidMessage(_("A word has 1 to 32 characters"))
        body["word_list"] = list(words)
    if act is not None:
        body["intercept_type"] = act
    return body
