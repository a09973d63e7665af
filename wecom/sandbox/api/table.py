"""Every path of /cgi-bin that the sandbox knows."""

from wecom.sandbox.call import Answer, Api, Call
from wecom.sandbox.errors import WeComError

from . import (
    acquisition,
    appchats,
    auth,
    cards,
    contact_way,
    contacts,
    directory,
    group_codes,
    groups,
    library,
    mass,
    media,
    media_by_url,
    member_tags,
    members,
    messages,
    moments,
    retired,
    robots,
    statistics,
    strategies,
    tags,
    transfer,
)


def nobody(call: Call) -> Answer:
    """Never reached: these rows need "provider"."""
    raise WeComError(48002)


TABLE: dict[str, Api] = {
    # token, addresses, tickets, log-in
    "gettoken": Api("GET", auth.gettoken, needs="none", writes=True),
    "getcallbackip": Api("GET", auth.get_ips, empty=("ip_list",)),
    "get_api_domain_ip": Api("GET", auth.get_ips, empty=("ip_list",)),
    "get_jsapi_ticket": Api("GET", auth.get_jsapi_ticket, writes=True),
    "ticket/get": Api("GET", auth.ticket_get, writes=True),
    "auth/getuserinfo": Api("GET", auth.auth_getuserinfo, writes=True),
    "user/getuserinfo": Api("GET", auth.user_getuserinfo, writes=True),
    "auth/getuserdetail": Api("POST", auth.auth_getuserdetail),
    # app, members, departments
    "agent/get": Api("GET", members.agent_get),
    "user/get": Api("GET", members.user_get, empty=("department",)),
    "user/simplelist": Api("GET", members.user_simplelist, empty=("userlist",)),
    "user/list": Api("GET", members.user_list, empty=("userlist",)),
    "user/list_id": Api("POST", members.user_list_id, needs="contacts", empty=("dept_user",)),
    "user/getuserid": Api("POST", members.user_getuserid),
    "user/convert_to_openid": Api("POST", members.user_convert_to_openid),
    "department/list": Api("GET", members.department_list, empty=("department",)),
    "department/simplelist": Api("GET", members.department_simplelist, empty=("department_id",)),
    "department/get": Api("GET", members.department_get),
    # customers
    "externalcontact/get_follow_user_list": Api(
        "GET", contacts.get_follow_user_list, "customer", ("follow_user",)
    ),
    "externalcontact/list": Api("GET", contacts.list_customers, "customer", ("external_userid",)),
    "externalcontact/get": Api("GET", contacts.get, "customer", ("follow_user",)),
    "externalcontact/batch/get_by_user": Api(
        "POST", contacts.batch_get_by_user, "customer", ("external_contact_list",)
    ),
    "externalcontact/remark": Api("POST", contacts.remark, "customer", writes=True),
    "externalcontact/convert_to_openid": Api("POST", contacts.convert_to_openid, "customer"),
    "externalcontact/contact_list": Api("POST", contacts.contact_list, "customer", ("info_list",)),
    # contact ways
    "externalcontact/add_contact_way": Api("POST", contact_way.add, "customer", writes=True),
    "externalcontact/get_contact_way": Api("POST", contact_way.get, "customer"),
    "externalcontact/list_contact_way": Api("POST", contact_way.list_ways, "customer", ("contact_way",)),
    "externalcontact/update_contact_way": Api("POST", contact_way.update, "customer", writes=True),
    "externalcontact/del_contact_way": Api("POST", contact_way.delete, "customer", writes=True),
    "externalcontact/close_temp_chat": Api("POST", contact_way.close_temp_chat, "customer"),
    # corp tags
    "externalcontact/get_corp_tag_list": Api("POST", tags.get_list, "customer", ("tag_group",)),
    "externalcontact/add_corp_tag": Api("POST", tags.add, "customer", writes=True),
    "externalcontact/edit_corp_tag": Api("POST", tags.edit, "customer", writes=True),
    "externalcontact/del_corp_tag": Api("POST", tags.delete, "customer", writes=True),
    "externalcontact/mark_tag": Api("POST", tags.mark, "customer"),  # locks by customer before it writes
    # messages
    "externalcontact/send_welcome_msg": Api("POST", messages.send_welcome_msg, "customer", writes=True),
    "externalcontact/add_msg_template": Api(
        "POST", mass.add_msg_template, "customer", ("fail_list",), writes=True
    ),
    "externalcontact/get_groupmsg_list_v2": Api(
        "POST", mass.get_groupmsg_list_v2, "customer", ("group_msg_list",)
    ),
    "externalcontact/get_groupmsg_task": Api("POST", mass.get_groupmsg_task, "customer", ("task_list",)),
    "externalcontact/get_groupmsg_send_result": Api(
        "POST", mass.get_groupmsg_send_result, "customer", ("send_list",)
    ),
    "externalcontact/remind_groupmsg_send": Api("POST", mass.remind_groupmsg_send, "customer", writes=True),
    "externalcontact/cancel_groupmsg_send": Api("POST", mass.cancel_groupmsg_send, "customer", writes=True),
    "message/send": Api("POST", messages.message_send, writes=True),
    "message/recall": Api("POST", messages.message_recall, writes=True),
    # media
    "media/upload": Api("POST", media.upload, writes=True),
    "media/upload_attachment": Api("POST", media.upload_attachment, writes=True),
    "media/uploadimg": Api("POST", media.uploadimg, writes=True),
    "media/get": Api("GET", media.get),
    # acquisition links
    "externalcontact/customer_acquisition/list_link": Api(
        "POST", acquisition.list_link, "customer", ("link_id_list",)
    ),
    "externalcontact/customer_acquisition/get": Api("POST", acquisition.get, "customer"),
    "externalcontact/customer_acquisition/create_link": Api(
        "POST", acquisition.create_link, "customer", writes=True
    ),
    "externalcontact/customer_acquisition/update_link": Api(
        "POST", acquisition.update_link, "customer", writes=True
    ),
    "externalcontact/customer_acquisition/delete_link": Api(
        "POST", acquisition.delete_link, "customer", writes=True
    ),
    "externalcontact/customer_acquisition/customer": Api(
        "POST", acquisition.customer, "customer", ("customer_list",)
    ),
    "externalcontact/customer_acquisition/statistic": Api("POST", acquisition.statistic, "customer"),
    "externalcontact/customer_acquisition_quota": Api("GET", acquisition.quota, "customer", ("quota_list",)),
    # moments
    "externalcontact/add_moment_task": Api("POST", moments.add_moment_task, "customer", writes=True),
    "externalcontact/get_moment_task_result": Api("GET", moments.get_moment_task_result, "customer"),
    "externalcontact/cancel_moment_task": Api("POST", moments.cancel_moment_task, "customer", writes=True),
    "externalcontact/get_moment_list": Api("POST", moments.get_moment_list, "customer", ("moment_list",)),
    "externalcontact/get_moment_task": Api("POST", moments.get_moment_task, "customer", ("task_list",)),
    "externalcontact/get_moment_customer_list": Api(
        "POST", moments.get_moment_customer_list, "customer", ("customer_list",)
    ),
    "externalcontact/get_moment_send_result": Api(
        "POST", moments.get_moment_send_result, "customer", ("customer_list",)
    ),
    "externalcontact/get_moment_comments": Api(
        "POST",
        moments.get_moment_comments,
        "customer",
        (
            "comment_list",
            "like_list",
        ),
    ),
    # customer groups
    "externalcontact/groupchat/list": Api("POST", groups.list_chats, "customer", ("group_chat_list",)),
    "externalcontact/groupchat/get": Api("POST", groups.get, "customer"),
    "externalcontact/opengid_to_chatid": Api("POST", groups.opengid_to_chatid, "customer"),
    "externalcontact/groupchat/transfer": Api(
        "POST", groups.transfer, "customer", ("failed_chat_list",), writes=True
    ),
    "externalcontact/groupchat/onjob_transfer": Api(
        "POST", groups.onjob_transfer, "customer", ("failed_chat_list",), writes=True
    ),
    "externalcontact/groupchat/add_join_way": Api("POST", group_codes.add_join_way, "customer", writes=True),
    "externalcontact/groupchat/get_join_way": Api("POST", group_codes.get_join_way, "customer"),
    "externalcontact/groupchat/update_join_way": Api(
        "POST", group_codes.update_join_way, "customer", writes=True
    ),
    "externalcontact/groupchat/del_join_way": Api("POST", group_codes.del_join_way, "customer", writes=True),
    "externalcontact/group_welcome_template/add": Api(
        "POST", group_codes.add_template, "customer", writes=True
    ),
    "externalcontact/group_welcome_template/edit": Api(
        "POST", group_codes.edit_template, "customer", writes=True
    ),
    "externalcontact/group_welcome_template/get": Api("POST", group_codes.get_template, "customer"),
    "externalcontact/group_welcome_template/del": Api(
        "POST", group_codes.del_template, "customer", writes=True
    ),
    # transfer of customers
    "externalcontact/transfer_customer": Api(
        "POST", transfer.transfer_customer, "customer", ("customer",), writes=True
    ),
    "externalcontact/transfer_result": Api("POST", transfer.transfer_result, "customer", ("customer",)),
    "externalcontact/resigned/transfer_customer": Api(
        "POST", transfer.resigned_transfer_customer, "customer", ("customer",), writes=True
    ),
    "externalcontact/resigned/transfer_result": Api(
        "POST", transfer.resigned_transfer_result, "customer", ("customer",)
    ),
    "externalcontact/get_unassigned_list": Api("POST", transfer.get_unassigned_list, "customer", ("info",)),
    # figures
    "externalcontact/get_user_behavior_data": Api(
        "POST", statistics.get_user_behavior_data, "customer", ("behavior_data",)
    ),
    "externalcontact/groupchat/statistic": Api(
        "POST", statistics.groupchat_statistic, "customer", ("items",)
    ),
    "externalcontact/groupchat/statistic_group_by_day": Api(
        "POST", statistics.statistic_group_by_day, "customer", ("items",)
    ),
    # members and departments, written with the contact-sync secret
    "department/create": Api("POST", directory.create_department, "contacts", writes=True),
    "department/update": Api("POST", directory.update_department, "contacts", writes=True),
    "department/delete": Api("GET", directory.delete_department, "contacts", writes=True),
    "user/create": Api("POST", directory.create_member, "contacts", writes=True),
    "user/update": Api("POST", directory.update_member, "contacts", writes=True),
    "user/delete": Api("GET", directory.delete_member, "contacts", writes=True),
    "user/batchdelete": Api("POST", directory.delete_members, "contacts", writes=True),
    "user/get_userid_by_email": Api("POST", directory.userid_by_email, "app"),
    "user/convert_to_userid": Api("POST", directory.convert_to_userid, "app"),
    # tags of members
    "tag/list": Api("GET", member_tags.list_tags, "app", ("taglist",)),
    "tag/get": Api(
        "GET",
        member_tags.get,
        "app",
        (
            "userlist",
            "partylist",
        ),
    ),
    "tag/create": Api("POST", member_tags.create, "app", writes=True),
    "tag/update": Api("POST", member_tags.update, "app", writes=True),
    "tag/delete": Api("GET", member_tags.delete, "app", writes=True),
    "tag/addtagusers": Api("POST", member_tags.add_users, "app", writes=True),
    "tag/deltagusers": Api("POST", member_tags.delete_users, "app", writes=True),
    # cards, files by address
    "message/update_template_card": Api("POST", cards.update, "app", writes=True),
    "media/get/jssdk": Api("GET", media.get, "app"),
    "media/upload_by_url": Api("POST", media_by_url.upload, "app"),
    "media/get_upload_by_url_result": Api("POST", media_by_url.result, "app"),
    # groups of members, robots
    "appchat/create": Api("POST", appchats.create, writes=True),
    "appchat/update": Api("POST", appchats.update, writes=True),
    "appchat/get": Api("GET", appchats.get),
    "appchat/send": Api("POST", appchats.send, writes=True),
    "webhook/send": Api("POST", robots.send, needs="none", writes=True),
    "webhook/upload_media": Api("POST", robots.upload, needs="none", writes=True),
    # replaced by newer calls, still made by older SDKs
    "externalcontact/get_group_msg_result": Api(
        "POST", retired.get_group_msg_result, "customer", ("detail_list",)
    ),
    "externalcontact/transfer": Api("POST", retired.transfer, "customer", writes=True),
    "externalcontact/get_transfer_result": Api("POST", retired.get_transfer_result, "customer"),
    # rule groups
    "externalcontact/get_strategy_tag_list": Api("POST", strategies.tag_list, "customer", ("tag_group",)),
    "externalcontact/add_strategy_tag": Api("POST", strategies.add_tags, "customer", writes=True),
    "externalcontact/edit_strategy_tag": Api("POST", strategies.edit_tag, "customer", writes=True),
    "externalcontact/del_strategy_tag": Api("POST", strategies.delete_tags, "customer", writes=True),
    # product album, intercept rules
    "externalcontact/add_product_album": Api("POST", library.add_product, "customer", writes=True),
    "externalcontact/get_product_album": Api("POST", library.get_product, "customer"),
    "externalcontact/get_product_album_list": Api(
        "POST", library.list_products, "customer", ("product_list",)
    ),
    "externalcontact/update_product_album": Api("POST", library.update_product, "customer", writes=True),
    "externalcontact/delete_product_album": Api("POST", library.delete_product, "customer", writes=True),
    "externalcontact/add_intercept_rule": Api("POST", library.add_rule, "customer", writes=True),
    "externalcontact/get_intercept_rule_list": Api("GET", library.list_rules, "customer", ("rule_list",)),
    "externalcontact/get_intercept_rule": Api("POST", library.get_rule, "customer"),
    "externalcontact/update_intercept_rule": Api("POST", library.update_rule, "customer", writes=True),
    "externalcontact/del_intercept_rule": Api("POST", library.delete_rule, "customer", writes=True),
    # conversions that apps of third parties may call, a self-built app never: 48002
    "externalcontact/get_new_external_userid": Api("POST", nobody, "provider"),
    "externalcontact/unionid_to_external_userid": Api("POST", nobody, "provider"),
    "idconvert/unionid_to_external_userid": Api("POST", nobody, "provider"),
    "idconvert/batch/external_userid_to_pending_id": Api("POST", nobody, "provider"),
}

for _kind in ("customer", "moment"):
    for _name, _handler in strategies.of_kind(_kind).items():
        TABLE[f"externalcontact/{_kind}_strategy/{_name}"] = Api(
            "POST", _handler, "customer", writes=_name in ("create", "edit", "del")
        )
