"""JSON that comes from outside: what Python or Postgres could not keep is refused as soon as it is read."""

import json
import math
import re
from typing import Any

from django.utils.translation import gettext as _
from rest_framework.exceptions import ParseError
from rest_framework.parsers import JSONParser

_HALF = re.compile(r"\\u[dD][89a-fA-F]")  # may be half of a pair of surrogates
_HALF_READ = re.compile("[\ud800-\udfff]")


def loads(text: str | bytes) -> Any:
    """Like json.loads.

    Raises:
        ValueError: not JSON; NaN or Infinity; nested too deep; a number without end; half a character.
    """
    if isinstance(text, bytes):
        text = text.decode()
    try:
        found = json.loads(text, parse_constant=_refuse, parse_float=_finite)
    except RecursionError as error:
        raise ValueError(_("nested too deep")) from error
    if _HALF.search(text) and _HALF_READ.search(json.dumps(found, ensure_ascii=False)):
        raise ValueError(_("half a character"))
    return found


def _refuse(constant: str) -> Any:
    raise ValueError(_("%(word)s is no value of JSON") % {"word": constant})


def _finite(text: str) -> float:
    number = float(text)
    if math.isinf(number):
        raise ValueError(_("a number without end"))
    return number


def _words(error: ValueError) -> str:
    """What is wrong, for whoever sent it: Python's own words are English only."""
    if isinstance(error, json.JSONDecodeError):
        place = {"line": error.lineno, "column": error.colno}
        return _("it cannot be read at line %(line)s, column %(column)s") % place
    if isinstance(error, UnicodeDecodeError):
        return _("it is not in UTF-8")
    return str(error)


class PlainJSONParser(JSONParser):
    """Bodies of the API, read by `loads`: always an object."""

    def parse(self, stream: Any, media_type: Any = None, parser_context: Any = None) -> Any:
        try:
            body = loads(stream.read())
        except ValueError as error:
            raise ParseError(_("This is not JSON: %(problem)s") % {"problem": _words(error)}) from error
        if not isinstance(body, dict):
            raise ParseError(_("The body must be a JSON object"))
        return body
