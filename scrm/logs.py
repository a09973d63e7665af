"""Log records carry the brand and never a token or secret."""

import logging
import re

from tenants import scoping

_SECRET = re.compile(r"(\b(?:access_token|corpsecret|secret|code|welcome_code)=)[^&\s\"']+", re.I)


class BrandFilter(logging.Filter):
    def filter(self, record: logging.LogRecord) -> bool:
        record.brand = scoping.describe()
        return True


class SecretFilter(logging.Filter):
    def filter(self, record: logging.LogRecord) -> bool:
        text = record.getMessage()
        clean = _SECRET.sub(r"\1***", text)
        if clean != text:
            record.msg, record.args = clean, ()
        return True
