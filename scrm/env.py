"""Every setting that comes from the environment: one table, parsed strictly, listed in `.env.example`.

A value that cannot be parsed, or a secret that is missing outside DEBUG, stops the process with one line.
"""

import os
import sys
from typing import Any

import environ
from django.core.exceptions import ImproperlyConfigured

# name → (parser of django-environ, default or REQUIRED, what it is)
REQUIRED = object()
TABLE: dict[str, tuple[str, Any, str]] = {
    "DATABASE_URL": ("db", REQUIRED, "PostgreSQL as the application role app_rw (owns nothing)"),
    "DATABASE_OWNER_URL": ("db", None, "the same database as app_owner: migrate, partitions"),
    "DATABASE_OPS_URL": ("db", None, "the same database as app_ops: the few jobs over all brands"),
    "DATABASE_PREPARE": (
        "bool",
        True,
        "0 behind a pooler that gives each transaction another connection, such as PgBouncer's transaction mode",
    ),
    "REDIS_URL": ("str", REQUIRED, "Redis or Valkey: broker, cache, sessions, limits"),
    "SECRET_KEY": ("str", REQUIRED, "signs cookies; 50 random characters"),
    "FIELD_KEYS": ("list", REQUIRED, "Fernet keys for stored secrets, first one encrypts, all decrypt"),
    "DEBUG": ("bool", False, "1 only on a developer's machine"),
    "ALLOWED_HOSTS": ("list", ["127.0.0.1", "localhost"], "host names that the web process answers to"),
    "CSRF_TRUSTED_ORIGINS": ("list", [], "origins behind a proxy, with scheme"),
    "PUBLIC_URL": ("str", "http://127.0.0.1:8000", "own address as WeCom and browsers reach it"),
    "WECOM_API_URL": ("str", "https://qyapi.weixin.qq.com", "WeCom's API"),
    "WECOM_OAUTH_URL": ("str", "https://open.weixin.qq.com", "WeCom's OAuth page inside the client"),
    "WECOM_LOGIN_URL": ("str", "https://login.work.weixin.qq.com", "WeCom's log-in page for a browser"),
    "WECOM_JSSDK_URL": ("str", "https://wwcdn.weixin.qq.com", "WeCom's JavaScript SDK"),
    "SOP_HOOKS_PRIVATE": (
        "bool",
        False,
        "web hooks of SOPs may call addresses of private networks, and without https",
    ),
    "WECOM_EGRESS": ("str", "1", "name of the outgoing address; processes that share one share its limits"),
    "MEDIA_ROOT": ("str", "", "uploaded files; default var/media"),
    "SECURE": ("bool", None, "1: https cookies, HSTS, redirect; default: the opposite of DEBUG"),
    "LOG_LEVEL": ("str", "INFO", "DEBUG, INFO, WARNING or ERROR"),
    "STATIC_PLAIN": ("bool", False, "1 in tests: static files without hashed names"),
    "TEST_PROCESS": ("str", "", "name of the test process that shares this Redis with others (tests only)"),
}


def read() -> dict[str, Any]:
    """Parse the whole table; exits with one line that names the setting when something is wrong."""
    env = environ.Env()
    values: dict[str, Any] = {}
    for name, (kind, default, meaning) in TABLE.items():
        if not os.environ.get(name):
            if default is REQUIRED:
                sys.exit(f"setting {name} is missing ({meaning}); see .env.example")
            values[name] = default
            continue
        try:
            values[name] = getattr(env, kind)(name)
            if kind == "bool" and os.environ[name].lower() not in {"0", "1", "true", "false", "yes", "no"}:
                raise ValueError("use 0 or 1")
        except (ValueError, TypeError, ImproperlyConfigured) as error:
            sys.exit(f"setting {name} cannot be read: {error} ({meaning})")
    return values
