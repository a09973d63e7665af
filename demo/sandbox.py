"""The few control calls of the WeCom sandbox that the demo needs; the product itself never makes them."""

from typing import Any

import requests
from django.conf import settings
from django.core.management.base import CommandError


def control(path: str, **given: Any) -> dict[str, Any]:
    """POST /control/<path> of the sandbox behind WECOM_API_URL.

    Raises:
        CommandError: what answers there is not the sandbox, or it refuses.
    """
    url = f"{settings.WECOM_API_URL}/control/{path}"
    try:
        answer = requests.post(url, json=given, timeout=120)
    except requests.RequestException as error:
        raise CommandError(f"no sandbox at {settings.WECOM_API_URL}: {type(error).__name__}") from None
    if answer.status_code != 200:
        raise CommandError(f"the sandbox refused {path}: {answer.text[:200]}")
    return answer.json()
