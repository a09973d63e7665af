"""How much of one address counts: more openings than a person makes lead to their target, uncounted."""

import logging

import redis

from scrm.redis import redis_client

log = logging.getLogger(__name__)

OPENS, BEATS = 120, 600  # a minute and address: an office, or a whole mobile network's gateway
_COUNT = """
local n = redis.call('INCR', KEYS[1])
if n == 1 then redis.call('EXPIRE', KEYS[1], 60) end
return n
"""


def allows(what: str, address: str, most: int) -> bool:
    """Whether this address may do it once more in this minute. Redis gone: yes, links must lead on."""
    try:
        return int(redis_client().eval(_COUNT, 1, f"link:{what}:{address}")) <= most  # type: ignore[arg-type]
    except redis.RedisError as error:
        log.warning("openings are not counted: %r", error)
        return True
