"""Pictures that WeCom names by an address: QR codes, avatars of members. Calls out: outside a transaction."""

import io
import time

from PIL import Image, UnidentifiedImageError

from wecom.errors import WeComUnavailable
from wecom.exchange import exchange

MAX_BYTES, MAX_SIDE = 2 * 1024 * 1024, 4000
FETCH_S = 10.0


def fetch(url: str, *, api: str, seconds: float = FETCH_S) -> bytes:
    """The bytes of a picture that Pillow can read, 2 MB and 4,000 dots a side at most.

    Args:
        api: what it is, in logs and messages.

    Raises:
        WeComUnavailable: it cannot be had now, or is not a picture.
    """
    if not url.startswith(("https://", "http://")):
        raise WeComUnavailable(api=api, errmsg="not an address of a picture")
    answer = exchange(
        "GET", url, api=api, params={}, file=True, end=time.monotonic() + seconds, repeatable=True
    )
    data = answer.get("content") or b""
    if not 0 < len(data) <= MAX_BYTES:
        raise WeComUnavailable(api=api, errmsg="no picture, or too large")
    try:
        with Image.open(io.BytesIO(data)) as found:
            if max(found.size) > MAX_SIDE:
                raise WeComUnavailable(api=api, errmsg="the picture is too large")
            found.verify()
    except (UnidentifiedImageError, OSError, ValueError, SyntaxError, Image.DecompressionBombError):
        raise WeComUnavailable(api=api, errmsg="not a picture") from None
    return data
