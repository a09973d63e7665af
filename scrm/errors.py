"""Errors that a person may see: raised in services, turned into a page or JSON in one place (scrm/responses.py)."""

from typing import Any

from django.utils.translation import gettext_lazy as _


class SCRMError(Exception):
    """Base of all errors with a message for people.

    Attributes:
        code: stable word for programs, e.g. `not_found`.
        http_status: what a page or the API answers.
    """

    code = "error"
    http_status = 400

    def __init__(self, message: Any = "", *, code: str | None = None, **details: Any) -> None:
        super().__init__(message)
        self.message = message
        self.details = details
        if code:
            self.code = code

    def __str__(self) -> str:
        return str(self.message)


class NotFoundError(SCRMError):
    """Missing, or another brand's: nobody can tell the difference."""

    code, http_status = "not_found", 404

    def __init__(self, message: Any = None, **kwargs: Any) -> None:
        super().__init__(message or _("Not found"), **kwargs)


class ForbiddenError(SCRMError):
    code, http_status = "forbidden", 403

    def __init__(self, message: Any = None, **kwargs: Any) -> None:
        super().__init__(message or _("You do not have the right to do this"), **kwargs)


class InvalidError(SCRMError):
    """Input that cannot be used; `details` may hold `fields: {name: message}`."""

    code, http_status = "invalid", 422


class FilterError(InvalidError):
    """A filter in an address or a saved view that its list does not know."""

    code = "bad_filter"

    def __init__(self, message: Any = None, **kwargs: Any) -> None:
        super().__init__(message or _("This filter cannot be read"), **kwargs)


class ConflictError(SCRMError):
    """The state does not allow it (already sent, already deleted, somebody else was first)."""

    code, http_status = "conflict", 409


class LimitError(SCRMError):
    """A quota or throttle; `details['retry_after_s']` says how long to wait."""

    code, http_status = "limit", 429
