"""One Redis connection pool per process."""

from functools import cache

import redis
from django.conf import settings


@cache
def redis_client() -> redis.Redis:
    """Client of REDIS_URL; keys of a brand begin with `<topic>:{brand_id}:`."""
    return redis.Redis.from_url(settings.REDIS_URL, socket_timeout=10, socket_connect_timeout=3)
