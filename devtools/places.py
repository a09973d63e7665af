"""Where things lie: the checkout, `var/`, and the secrets of this machine's demo. Standard library only."""

import base64
import json
import os
import secrets
import sys
import time
from pathlib import Path
from typing import NoReturn

ROOT = Path(__file__).resolve().parent.parent
VAR = Path(os.environ.get("SCRM_VAR") or ROOT / "var")
_STARTED = time.monotonic()


class SetupError(Exception):
    """Something that a person has to change; its text is one line for them."""


def say(message: str) -> None:
    """One line of progress with the seconds since the start."""
    print(f"[{time.monotonic() - _STARTED:6.1f}s] {message}", flush=True)


def fail(message: str) -> NoReturn:
    """End with one line on stderr and exit code 1."""
    print(f"error: {message}", file=sys.stderr, flush=True)
    raise SystemExit(1)


def write_private(path: Path, text: str) -> None:
    """Replace a file that only its owner may read (0600), never leaving half of it behind."""
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f"{path.name}.{os.getpid()}.new")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(text)
    draft.replace(path)


def new_secrets() -> dict[str, str]:
    """Passwords of the database's roles and of Valkey, Django's key and a Fernet key."""
    made = {
        name: secrets.token_urlsafe(24) for name in ("postgres", "app_owner", "app_rw", "app_ops", "valkey")
    }
    made["SECRET_KEY"] = secrets.token_urlsafe(50)
    made["FIELD_KEYS"] = base64.urlsafe_b64encode(
        os.urandom(32)
    ).decode()  # the form of Fernet.generate_key()
    return made


def kept_secrets(path: Path) -> dict[str, str]:
    """The secrets in `path`, made at the first call: sessions and stored WeCom secrets outlive a restart."""
    if path.exists():
        return json.loads(path.read_text())
    made = new_secrets()
    write_private(path, json.dumps(made, indent=1) + "\n")
    return made
