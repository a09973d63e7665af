"""Every call of the control API: what it takes, what it does. The page of documents and /control/openapi.json are made
from this table, and calls that name something else are refused.

A call's fields are words: `name` a string, `name:int`, `:num`, `:bool`, `:list`, `:obj`, `:any`; `?` may be left out.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from . import (
    acquisition_acts,
    app_acts,
    arrivals,
    behaviour,
    bulk,
    card_acts,
    faults,
    generate,
    login,
    mass_acts,
    moment_acts,
    people,
    prepared,
    purchases,
    quirks,
    robots,
    scenario,
    scenario_file,
    store,
    transfer_acts,
)
from . import console_acts as console
from . import control_acts as acts
from . import control_reads as reads
from . import control_system as system
from . import group_acts as groups
from .errors import Refused

Given = dict[str, Any]
TYPES: dict[str, tuple[type, ...]] = {
    "": (str,),
    "int": (int, str),
    "num": (int, float, str),
    "bool": (bool,),
    "list": (list,),
    "obj": (dict,),
    "any": (object,),
}


@dataclass(frozen=True)
class Field:
    """One word of a call's fields."""

    name: str
    type: str
    required: bool


@dataclass(frozen=True)
class Act:
    """A row of the table.

    Args:
        does: for people, one line.
        group: heading under which it stands.
    """

    handler: Callable[[Given], Any]
    takes: str
    does: str
    group: str = ""

    @property
    def fields(self) -> list[Field]:
        found = []
        for word in self.takes.split():
            name, _, kind = word.partition(":")
            found.append(Field(name.rstrip("?"), kind, not name.endswith("?")))
        return found

    def check(self, given: Given) -> None:
        """Refused for a field that is missing, unknown or of another type."""
        known = {field.name: field for field in self.fields}
        unknown = sorted(set(given) - set(known))
        if unknown:
            raise Refused(f"unknown: {', '.join(unknown)}; known: {', '.join(known) or 'nothing'}")
        for field in known.values():
            value = given.get(field.name)
            if value is None:
                if field.required:
                    raise Refused(f"{field.name} is missing")
            elif not isinstance(value, TYPES[field.type]) or (
                isinstance(value, bool) and field.type not in ("bool", "any")
            ):
                raise Refused(f"{field.name} should be {WORDS[field.type]}")


WORDS = {
    "": "a string",
    "int": "a whole number",
    "num": "a number",
    "bool": "true or false",
    "list": "a list",
    "obj": "an object",
    "any": "a value",
}


def _pair(act: Callable[[str, str, str], Any]) -> Callable[[Given], Any]:
    """An act of (corpid, userid, external_userid)."""
    return lambda given: act(given["corpid"], given["userid"], given["external_userid"]) or {}


def _done(act: Callable[..., Any], *keys: str) -> Callable[[Given], Any]:
    """An act that takes the named values of the body in this order and answers {} or what it returns."""
    return lambda given: act(*(given.get(key) for key in keys)) or {}


def _whole(act: Callable[[str, Given], Any]) -> Callable[[Given], Any]:
    """An act of (corpid, body)."""
    return lambda given: act(given["corpid"], given) or {}


_PAIR = "corpid userid external_userid"
_PERSON = "external_userid? name? type?:int gender?:int unionid? avatar? corp_name? position?"
_MEMBER = (
    "corpid userid name? department?:list position? leader?:any mobile? email? gender?:int alias? status?:int"
    " has_contact_right?:bool console_welcome?:bool"
)

ACTS: dict[str, Act] = {
    # ---- the sandbox itself
    "reset": Act(system.reset, "settings?:obj", "wipe everything", "The sandbox"),
    "corps": Act(
        system.corps,
        "corpid name? agent_id?:int app_name? secret? callback_url? token? aes_key? trusted_ips?:list"
        " trusted_domains?:list callable?:bool open_platform?:bool visible?:obj sidebar_url? contact_secret?"
        " verify?:bool",
        "make or change a corp and its app; another agent_id is a second app; contact_secret is the 通讯录同步 secret;"
        " visible is {users, departments} or null for everybody",
        "The sandbox",
    ),
    "verify_callback": Act(
        system.verify_callback,
        "corpid agent_id?:int",
        "what the console does when the address is saved → {ok, status}",
        "The sandbox",
    ),
    "load": Act(
        bulk.load,
        "corpid departments?:list members?:list tag_groups?:list customers?:list",
        "a whole corp, repeatable → counts. member: {userid, name, department, position?, leader?,"
        " has_contact_right?, mobile?, status?, console_welcome?}; customer: {external_userid?, name, unionid?,"
        " gender?, type?, follows: [{userid, createtime?, remark?, state?, add_way?, tags?}]}",
        "The sandbox",
    ),
    "generate": Act(
        lambda given: generate.generate(
            given["corpid"], int(given["customers"]), int(given.get("seed") or 1)
        ),
        "corpid customers:int seed?:int",
        "made-up customers, the same for the same seed (100,000 in about 3 s)",
        "The sandbox",
    ),
    "prepare": Act(
        lambda given: prepared.prepare(given["corpid"]),
        "corpid",
        "keep the answers of batch/get_by_user ready, for tests of load → {prepared}",
        "The sandbox",
    ),
    "settings": Act(system.settings, "*", "any of the settings below → all of them", "The sandbox"),
    "clock": Act(
        system.set_clock,
        "offset_s?:num advance_s?:num at?:num speed?:num",
        "the one clock of expiries, waits and times: seconds ahead of real time, a jump, a moment, a speed"
        " (0: it stands) → {now, speed}",
        "The sandbox",
    ),
    "seed": Act(
        system.set_seed, "seed?:any", "all chance comes from this seed; null: from the machine", "The sandbox"
    ),
    "callback_raw": Act(
        system.callback_raw,
        "corpid xml times?:int agent_id?:int receive_id? spoil?",
        "any event, sealed and posted at once; spoil: signature or truncated → {attempts}",
        "The sandbox",
    ),
    # ---- trouble
    "faults": Act(
        system.add_fault,
        "kind corpid? api? errcode?:int seconds?:num times?:int rate?:num for_s?:num",
        f"a disturbance → {{id}}. kind: {', '.join(faults.KINDS)} for calls (api: a path under /cgi-bin/);"
        f" {', '.join(faults.CALLBACK_KINDS)} for callbacks (api: event or event/change_type). rate is a share,"
        " times how often, for_s how long",
        "Trouble",
    ),
    "faults/clear": Act(
        system.clear_faults, "id?:int", "end all disturbances, or one; who hangs is let go", "Trouble"
    ),
    "calls/forget": Act(system.forget_calls, "", "the log of calls is emptied", "Trouble"),
    "kill_tokens": Act(system.kill_tokens, "corpid", "all access tokens answer 40014", "Trouble"),
    # ---- customers and guides
    "scan": Act(
        acts.scan,
        f"corpid state? config_id? qr_code? link_id? customer_channel? userid? {_PERSON} half?:bool habits?:obj",
        "a customer scans a code (or opens a link, or meets a guide's own code)"
        " → {external_userid, userid, welcome_code, is_new, pending}",
        "Customers and guides",
    ),
    "accept": Act(
        _pair(people.accept), _PAIR, "the guide confirms a half add or a request", "Customers and guides"
    ),
    "say": Act(acts.say, f"{_PAIR} text", "the customer writes", "Customers and guides"),
    "reply": Act(acts.reply, f"{_PAIR} text", "the guide writes by hand", "Customers and guides"),
    "read": Act(acts.read, f"{_PAIR}", "the customer reads everything of this chat", "Customers and guides"),
    "buy": Act(
        _whole(purchases.buy),
        "corpid external_userid amount_fen:int userid? items?:list order_no?",
        "the customer pays in the corp's shop: kept, listed, told to orders_url",
        "Customers and guides",
    ),
    "customer_deletes": Act(
        _pair(people.customer_deletes), _PAIR, "the customer deletes the guide", "Customers and guides"
    ),
    "customer_renames": Act(
        acts.customer_renames,
        "corpid external_userid name",
        "the customer takes another WeChat name; WeCom tells nobody",
        "Customers and guides",
    ),
    "member_deletes": Act(
        _pair(people.member_deletes), _PAIR, "the guide deletes the customer", "Customers and guides"
    ),
    "member_edits": Act(
        acts.member_edits,
        f"{_PAIR} remark? description? add_tags?:list remove_tags?:list personal_tags?:list",
        "the guide edits remark or tags (by name or id)",
        "Customers and guides",
    ),
    "behaviour": Act(
        behaviour.change,
        "corpid guides?:obj customers?:obj replace?:bool",
        "habits of guides ({'*' or userid: habits}) and customers: rates and delays",
        "Customers and guides",
    ),
    "stream": Act(
        _whole(arrivals.start),
        "corpid per_minute:num minutes?:num say_rate?:num delete_rate?:num",
        "arrivals through the corp's contact ways; 0 stops them",
        "Customers and guides",
    ),
    "login": Act(
        _whole(login.enter),
        "corpid userid? external_userid? redirect_uri agent_id?:int state? scope?",
        "what picking a member on the log-in page does → {code, url}",
        "Customers and guides",
    ),
    "card_click": Act(
        _whole(card_acts.click),
        "corpid userid msgid key options?:obj",
        "a button of a template card; options: {question_key: [option id]}",
        "Customers and guides",
    ),
    "audit_approved": Act(
        _pair(people.audit_approved),
        _PAIR,
        "the customer agrees to chat archiving → {welcome_code}",
        "Customers and guides",
    ),
    # ---- what members do in the app
    "app_says": Act(
        _whole(app_acts.says),
        "corpid userid text? msgtype? fields?:obj agent_id?:int",
        "a member writes to the app; a passive reply reaches him → {msgid}",
        "The app",
    ),
    "app_event": Act(
        _whole(app_acts.happens),
        "corpid event userid? key? fields?:obj agent_id?:int",
        f"event: {', '.join(app_acts.OF_MEMBERS)} (of userid); {', '.join(app_acts.OF_PLATFORM)}",
        "The app",
    ),
    "robot_add": Act(
        _whole(robots.add), "corpid name?", "a robot in an internal group → {key, webhook}", "The app"
    ),
    # ---- mass sends and moments
    "confirm": Act(
        _done(mass_acts.confirm, "corpid", "msgid", "userid", "chat_ids"),
        "corpid msgid userid? chat_ids?:list",
        "guides confirm a mass send now → {tasks, sent}",
        "Mass sends and moments",
    ),
    "mass_send": Act(
        _whole(mass_acts.send_own),
        "corpid userid text external_userids?:list",
        "a guide makes and sends a mass message of his own → {msgid, sent}",
        "Mass sends and moments",
    ),
    "publish": Act(
        _done(moment_acts.publish, "corpid", "moment_id", "userid"),
        "corpid moment_id userid?",
        "guides publish a moment → {published}",
        "Mass sends and moments",
    ),
    "moment_post": Act(
        _whole(moment_acts.post_own),
        "corpid userid text",
        "a guide posts a moment of his own → {moment_id}",
        "Mass sends and moments",
    ),
    "react": Act(
        acts.react,
        "corpid moment_id userid external_userid? by? kind text?",
        "a customer (or colleague: by) likes or comments; kind: like, comment",
        "Mass sends and moments",
    ),
    # ---- groups
    "group_create": Act(
        _whole(groups.create),
        "corpid owner name? notice? members?:list customers?:list admins?:list create_time?:num chat_id?",
        "a guide founds a group → {chat_id}",
        "Groups",
    ),
    "group_join": Act(
        _whole(groups.join),
        f"corpid chat_id? config_id? userid? invitor? {_PERSON}",
        "somebody joins, by a code or invited → {chat_id, external_userid, is_new}",
        "Groups",
    ),
    "group_leave": Act(
        _done(groups.leave, "corpid", "chat_id", "who", "removed_by"),
        "corpid chat_id who removed_by?",
        "somebody leaves or is removed",
        "Groups",
    ),
    "group_change": Act(
        acts.group_change,
        "corpid chat_id name? notice? owner? template_id?",
        "the owner changes name, notice, owner, welcome",
        "Groups",
    ),
    "group_dismiss": Act(
        _done(groups.dismiss, "corpid", "chat_id"), "corpid chat_id", "the owner dissolves it", "Groups"
    ),
    "group_say": Act(acts.group_say, "corpid chat_id who text", "somebody writes in it; no event", "Groups"),
    # ---- transfers, acquisition
    "transfer_now": Act(
        acts.transfer_now, "corpid external_userid?", "waiting transfers end now", "Transfers and links"
    ),
    "transfer_fails": Act(
        _done(transfer_acts.fail, "corpid", "userid", "external_userid", "reason"),
        f"{_PAIR} reason",
        "reason: customer_refused, customer_limit_exceed",
        "Transfers and links",
    ),
    "acquisition_balance": Act(
        _done(acquisition_acts.set_balance, "corpid", "balance"),
        "corpid balance:int",
        "what is left for acquisition links",
        "Transfers and links",
    ),
    "link_deletes": Act(
        _done(acquisition_acts.link_deleted, "corpid", "link_id"),
        "corpid link_id",
        "an administrator deletes an acquisition link",
        "Transfers and links",
    ),
    "profile_opened": Act(
        _done(acquisition_acts.profile_opened, "corpid", "link_id", "state"),
        "corpid link_id state",
        "somebody looks at a link and adds nobody",
        "Transfers and links",
    ),
    "quota_expires": Act(
        _done(acquisition_acts.quota_expires, "corpid", "n", "days"),
        "corpid n:int days:int",
        "what was bought for links runs out in some days",
        "Transfers and links",
    ),
    # ---- the console
    "member_joins": Act(_whole(console.member_joins), _MEMBER, "a new member", "The admin console"),
    "member_changes": Act(
        _whole(console.member_changes),
        f"{_MEMBER} new_userid?",
        "a member changes; only a move (or another userid) makes an event",
        "The admin console",
    ),
    "member_tag_changes": Act(
        _whole(app_acts.member_tag_changes),
        "corpid tagid:int add_users?:list del_users?:list add_parties?:list del_parties?:list",
        "a member tag is put on people or taken off",
        "The admin console",
    ),
    "member_leaves": Act(
        _done(people.member_leaves, "corpid", "userid"),
        "corpid userid",
        "he leaves; his customers and groups wait for an heir",
        "The admin console",
    ),
    "department_put": Act(
        _whole(console.department_put),
        "corpid id:int name parentid?:int order?:int",
        "make or change a department",
        "The admin console",
    ),
    "department_deletes": Act(
        _done(console.department_deletes, "corpid", "id"),
        "corpid id:int",
        "an empty one",
        "The admin console",
    ),
    "tag_adds": Act(
        _done(console.tag_adds, "corpid", "group_name", "tags"),
        "corpid group_name tags:list",
        "corp tags made in the console → {group_id, tags}",
        "The admin console",
    ),
    "tag_renames": Act(
        _done(console.tag_renames, "corpid", "id", "name"),
        "corpid id name",
        "a tag or a group",
        "The admin console",
    ),
    "tag_deletes": Act(
        _done(console.tag_deletes, "corpid", "id"), "corpid id", "a tag or a group", "The admin console"
    ),
    "tags_shuffled": Act(
        _done(console.tags_shuffled, "corpid", "group_id", "order"),
        "corpid group_id? order:list",
        "another order of a group's tags, or of the groups",
        "The admin console",
    ),
    # ---- scenarios
    "scenario/start": Act(
        scenario.start,
        "name? scenario?:any corpid? seed?:any speed?:num at?:num",
        "play a ready scenario, or one given as an object or as YAML or JSON text; speed 0: to be stepped",
        "Scenarios",
    ),
    "scenario/step": Act(
        scenario.advance,
        "seconds?:num until?:num events?:int settle_s?:num",
        "with the clock standing: let everything happen up to a moment, in order; settle_s: wait for callbacks"
        " after each happening → {events, now}",
        "Scenarios",
    ),
    "scenario/stop": Act(scenario.stop, "", "nothing more of it happens", "Scenarios"),
}
READS: dict[str, Act] = {
    "sent": Act(
        reads.sent,
        "corpid kind? userid? external_userid? msgid? after?:int limit?:int",
        "what was really received: [{id, kind, userid, external_userid, text, attachments, at, msgid, welcome_code,"
        " read_at}]; kind: welcome, mass, app, say, reply, gwelcome, gsay",
    ),
    "calls": Act(
        reads.calls,
        "corpid? api? after?:int limit?:int",
        "calls of the API: [{id, corpid, api, errcode, at, ms}], the last 50,000, in memory only",
    ),
    "calls/counts": Act(reads.call_counts, "corpid?", "how many of these calls each API had"),
    "deliveries": Act(
        reads.deliveries,
        "corpid? event? change_type? state? after?:int limit?:int",
        "callbacks with XML, state and attempts",
    ),
    "orders": Act(reads.orders, "corpid after?:int limit?:int", "what customers bought"),
    "state": Act(reads.state, "corpid?", "counts, clock, seed, settings, faults, scenario"),
    "customer": Act(reads.customer, "corpid external_userid", "one customer with relations and tags"),
    "mass": Act(reads.mass_sends, "corpid", "mass sends with the guides' tasks"),
    "moments": Act(reads.moments, "corpid", "moments with the guides' tasks"),
    "groups": Act(reads.groups, "corpid", "groups with their members"),
    "transfers": Act(reads.transfers, "corpid", "customers on their way to another guide"),
    "stream": Act(lambda given: arrivals.streams(), "", "streams that run"),
    "behaviour": Act(lambda given: behaviour.of(given["corpid"]), "corpid", "habits that were set"),
    "settings": Act(lambda given: store.settings(), "", "all settings"),
    "quirks": Act(lambda given: quirks.listed(), "", "contradictions of the documents, with their choices"),
    "faults": Act(lambda given: faults.active(), "", "disturbances in force"),
    "scenarios": Act(lambda given: scenario_file.ready(), "", "ready scenarios"),
    "scenario": Act(lambda given: scenario.status(), "", "the one that plays"),
}
