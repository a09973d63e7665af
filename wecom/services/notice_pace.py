"""How fast notices come to one member: WeCom drops what is above 30 a minute or 1,000 an hour and says that it was sent.

Source: developer.work.weixin.qq.com/document/path/90236
"""

from uuid import uuid4

from scrm import clock
from wecom.client import WeComClient
from wecom.errors import WeComRateLimited

LIMITS = {60: 28, 3600: 950}  # seconds → notices, a little below WeCom's


def take(client: WeComClient, userid: str) -> None:
    """A place for one notice to this member, among all processes.

    Raises:
        WeComRateLimited: none is free; tells how long until then.
    """
    key, me, now = (
        f"{client.corp_key}:notices:{client.agent_id}:{userid}",
        uuid4().hex,
        clock.now().timestamp(),
    )
    with client.redis.pipeline() as pipe:
        pipe.zremrangebyscore(key, "-inf", now - max(LIMITS))
        pipe.zadd(key, {me: now})
        pipe.expire(key, max(LIMITS) + 60)
        for most in LIMITS.values():  # the one that must be out of the window before this one fits in
            pipe.zrange(key, -most - 1, -most - 1, withscores=True)
        found = pipe.execute()[3:]
    waits = [rows[0][1] + window_s - now for window_s, rows in zip(LIMITS, found, strict=True) if rows]
    if (wait_s := max(waits, default=0)) > 0:
        client.redis.zrem(key, me)
        raise WeComRateLimited(retry_after_s=wait_s)
