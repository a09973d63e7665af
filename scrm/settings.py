"""All settings; what differs between machines comes from `scrm/env.py`."""

from pathlib import Path

import django
from django.utils.translation import gettext_lazy as _

from scrm import env as environment

BASE_DIR = Path(__file__).resolve().parent.parent
env = environment.read()

DEBUG = env["DEBUG"]
SECRET_KEY = env["SECRET_KEY"]
FIELD_KEYS = env["FIELD_KEYS"]
ALLOWED_HOSTS = env["ALLOWED_HOSTS"]
CSRF_TRUSTED_ORIGINS = env["CSRF_TRUSTED_ORIGINS"]
PUBLIC_URL = env["PUBLIC_URL"].rstrip("/")

# ---- WeCom: only addresses; nothing in the product knows what answers there
WECOM_API_URL = env["WECOM_API_URL"].rstrip("/")
WECOM_OAUTH_URL = env["WECOM_OAUTH_URL"].rstrip("/")
WECOM_LOGIN_URL = env["WECOM_LOGIN_URL"].rstrip("/")
WECOM_JSSDK_URL = env["WECOM_JSSDK_URL"].rstrip("/")
SOP_HOOKS_PRIVATE = env["SOP_HOOKS_PRIVATE"]
WECOM_EGRESS = env["WECOM_EGRESS"]

INSTALLED_APPS = [
    "django.contrib.staticfiles",
    "django.contrib.humanize",
    "rest_framework",
    "drf_spectacular",
    "drf_spectacular_sidecar",
    "django_htmx",
    "lucide",
    "scrm",
    "tenants",
    "org",
    "wecom",
    "contacts",
    "commerce",
    "tagging",
    "content",
    "campaigns",
    "groups",
    "handover",
    "livecodes",
    "datafiles",
    "drift",
    "guides",
    "insights",
    "demo",
]

MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "scrm.middleware.SecurityHeaders",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.locale.LocaleMiddleware",
    "scrm.middleware.Slashes",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django_htmx.middleware.HtmxMiddleware",
    "scrm.middleware.ErrorPages",
    "org.middleware.BrandMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
]

ROOT_URLCONF = "scrm.urls"
WSGI_APPLICATION = "scrm.wsgi.application"
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "OPTIONS": {
            "loaders": [
                (
                    "django.template.loaders.cached.Loader",
                    [
                        "django.template.loaders.filesystem.Loader",
                        "django.template.loaders.app_directories.Loader",
                    ],
                )
            ],
            "context_processors": [
                "django.template.context_processors.request",
                "django.template.context_processors.i18n",
                "scrm.context.frame",
            ],
            "builtins": [
                "django_htmx.templatetags.django_htmx",
                "lucide.templatetags.lucide",
                "scrm.templatetags.scrm",
                "scrm.templatetags.frame",
            ],
        },
    }
]

# ---- Database: `default` is app_rw and sees one brand at a time; `owner` migrates; `ops` serves the few cross-brand jobs
_OPTIONS = {"application_name": "scrm", "connect_timeout": 5}


def _database(config: dict | None) -> dict:
    config = dict(config or env["DATABASE_URL"])
    # SET LOCAL and server-side cursors live inside transactions; connections persist per thread
    return config | {
        "ENGINE": "tenants.db",
        "CONN_MAX_AGE": 300,
        "CONN_HEALTH_CHECKS": True,
        "OPTIONS": dict(_OPTIONS),
    }


DATABASES = {
    "default": _database(env["DATABASE_URL"]),
    "owner": _database(env["DATABASE_OWNER_URL"]),
    "ops": _database(env["DATABASE_OPS_URL"]),
}
DATABASE_PREPARE = env["DATABASE_PREPARE"]
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
AUTH_USER_MODEL = "tenants.User"
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": "django.contrib.auth.password_validation.MinimumLengthValidator", "OPTIONS": {"min_length": 8}},
    {"NAME": "django.contrib.auth.password_validation.NumericPasswordValidator"},
]

# ---- Redis: sessions, cache, broker
REDIS_URL = env["REDIS_URL"]
CACHES = {
    "default": {
        "BACKEND": "django.core.cache.backends.redis.RedisCache",
        "LOCATION": REDIS_URL,
        "KEY_PREFIX": "cache" + env["TEST_PROCESS"],
    }
}
SESSION_ENGINE = "django.contrib.sessions.backends.cache"
SESSION_COOKIE_AGE = 12 * 3600
SESSION_COOKIE_HTTPONLY = True
SESSION_COOKIE_SAMESITE = "Lax"
SESSION_COOKIE_NAME = "scrm_session"
CSRF_COOKIE_NAME = "scrm_csrf"

CELERY_BROKER_URL = REDIS_URL
CELERY_TASK_IGNORE_RESULT = True
CELERY_TASK_SERIALIZER = "json"
CELERY_ACCEPT_CONTENT = ["json"]
CELERY_TASK_ACKS_LATE = True
CELERY_TASK_REJECT_ON_WORKER_LOST = True
CELERY_WORKER_PREFETCH_MULTIPLIER = 1
CELERY_TASK_DEFAULT_QUEUE = "default"
CELERY_BROKER_TRANSPORT_OPTIONS = {
    "visibility_timeout": 3600,
    "global_keyprefix": "celery" + env["TEST_PROCESS"] + ":",
    # a publisher gives up at once when Redis is gone: a callback is stored already and must be answered
    "socket_connect_timeout": 2,
    "connect_retries_timeout": 1,
    "max_retries": 1,
    "interval_start": 0.1,
    "interval_max": 0.1,
}
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True
CELERY_WORKER_HIJACK_ROOT_LOGGER = False
# Celery would log in to Postgres anew for every task, which costs more than most tasks do; scrm/celery.py looks
# after the connections instead, as Django does between requests
CELERY_DB_REUSE_MAX = 1_000_000_000
CELERY_TIMEZONE = "UTC"
from scrm.schedule import BEAT_SCHEDULE, TASK_ROUTES  # noqa: E402

CELERY_BEAT_SCHEDULE = BEAT_SCHEDULE
CELERY_TASK_ROUTES = TASK_ROUTES

# ---- Language and time
LANGUAGE_CODE = "zh-hans"
LANGUAGES = [("zh-hans", _("Chinese")), ("en", _("English"))]
# words about passwords come from an app of Django's that is not installed here
LOCALE_PATHS = [BASE_DIR / "locale", Path(django.__file__).parent / "contrib" / "auth" / "locale"]
LANGUAGE_COOKIE_NAME = "scrm_language"
USE_I18N = True
USE_TZ = True
TIME_ZONE = "UTC"

# ---- Files
STATIC_URL = "/static/"
STATIC_ROOT = BASE_DIR / "var" / "static"
STATICFILES_DIRS = [BASE_DIR / "frontend" / "static"]
if (BASE_DIR / "var" / "vendor").is_dir():
    STATICFILES_DIRS.append(BASE_DIR / "var" / "vendor")
MEDIA_ROOT = Path(env["MEDIA_ROOT"] or BASE_DIR / "var" / "media")
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {
        "BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"
        if env["STATIC_PLAIN"]
        else "whitenoise.storage.CompressedManifestStaticFilesStorage"
    },
}
DATA_UPLOAD_MAX_MEMORY_SIZE = 12 * 1024 * 1024
DATA_UPLOAD_MAX_NUMBER_FIELDS = (
    10_000  # thousands of members and departments may be ticked; Django's 1,000 is a bare 400
)
FILE_UPLOAD_MAX_MEMORY_SIZE = 2 * 1024 * 1024

# ---- API
REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": ["org.api_auth.BrandAuthentication"],
    "DEFAULT_PERMISSION_CLASSES": [
        "org.api_auth.HasCapability",
        "scrm.api_query.KnownParameters",
        "scrm.api_body.KnownKeys",
    ],
    "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
    "DEFAULT_PARSER_CLASSES": ["scrm.json_in.PlainJSONParser"],
    "DEFAULT_SCHEMA_CLASS": "scrm.api_schema.Described",
    "EXCEPTION_HANDLER": "scrm.responses.api_error",
    "UNAUTHENTICATED_USER": None,
}
SPECTACULAR_SETTINGS = {
    "TITLE": "SCRM API",
    "VERSION": "1",
    "SWAGGER_UI_DIST": "SIDECAR",
    "SWAGGER_UI_FAVICON_HREF": "SIDECAR",
    "SERVE_INCLUDE_SCHEMA": False,
    # enums stay where they are used: many serializers have a `state` or `kind` of their own
    "POSTPROCESSING_HOOKS": [],
}

# ---- Security
SECURE = env["SECURE"] if env["SECURE"] is not None else not DEBUG
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = SECURE
SECURE_SSL_REDIRECT = SECURE
SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https") if SECURE else None
SECURE_REDIRECT_EXEMPT = [r"^healthz$", r"^wecom/callback/"]
SECURE_HSTS_SECONDS = 31_536_000 if SECURE else 0
SECURE_HSTS_INCLUDE_SUBDOMAINS = SECURE_HSTS_PRELOAD = SECURE
SECURE_CONTENT_TYPE_NOSNIFF = True
SECURE_REFERRER_POLICY = "same-origin"
X_FRAME_OPTIONS = "DENY"

LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "filters": {"brand": {"()": "scrm.logs.BrandFilter"}, "secrets": {"()": "scrm.logs.SecretFilter"}},
    "formatters": {"line": {"format": "%(asctime)s %(levelname)s %(name)s brand=%(brand)s %(message)s"}},
    "handlers": {
        "console": {"class": "logging.StreamHandler", "formatter": "line", "filters": ["brand", "secrets"]}
    },
    "root": {"handlers": ["console"], "level": env["LOG_LEVEL"]},
    "loggers": {
        "celery": {"level": "WARNING"},
        "django.request": {"level": "ERROR"},
        "urllib3": {"level": "WARNING"},
    },
}
