"""Settings of the sandbox alone. SANDBOX_DATA (set by __main__) is the folder of database and media."""

import os
from pathlib import Path

HERE = Path(__file__).resolve().parent
DATA = Path(os.environ.get("SANDBOX_DATA", "var/sandbox")).resolve()

SECRET_KEY = "the sandbox signs nothing with this"  # noqa: S105
DEBUG = False
ALLOWED_HOSTS = ["*"]
ROOT_URLCONF = "wecom.sandbox.urls"
INSTALLED_APPS = ["wecom.sandbox.apps.SandboxConfig"]
MIDDLEWARE: list[str] = []
USE_TZ = True
USE_I18N = False
TIME_ZONE = "Asia/Shanghai"  # WeCom's own days
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
DATA_UPLOAD_MAX_MEMORY_SIZE = None  # /control/load takes a whole corp
FILE_UPLOAD_MAX_MEMORY_SIZE = 32 * 1024 * 1024

DATABASES = {
    "default": {
        "ENGINE": "django.db.backends.sqlite3",
        "NAME": DATA / "sandbox.sqlite3",
        "CONN_MAX_AGE": None,
        "OPTIONS": {
            "timeout": 30,
            "transaction_mode": "IMMEDIATE",
            # pages are read through the map that all threads share; a cache of its own for each of 50 would add up
            "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL; PRAGMA cache_size=-8192;"
            " PRAGMA mmap_size=1073741824; PRAGMA journal_size_limit=67108864;",
        },
    }
}
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [HERE / "templates"],
        "OPTIONS": {"builtins": ["wecom.sandbox.words"]},
    }
]
LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "handlers": {"console": {"class": "logging.StreamHandler"}},
    "root": {"handlers": ["console"], "level": os.environ.get("LOG_LEVEL", "WARNING").upper()},
}
