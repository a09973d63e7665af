"""Headers and error pages of every response."""

from collections.abc import Callable
from typing import Any

from django.conf import settings
from django.http import HttpResponse
from django.middleware.common import CommonMiddleware

from scrm.errors import SCRMError
from scrm.responses import error_response

_POLICY = (
    "default-src 'self'; img-src 'self' data: https: {images}; style-src 'self' 'unsafe-inline'; script-src 'self'{scripts};"
    " connect-src 'self'; frame-ancestors {frames}; form-action 'self' {forms}; base-uri 'self'; object-src 'none'"
)


class SecurityHeaders:
    """Content security policy `'self'`; sidebar pages add the JS SDK's host through `response.sidebar = True`."""

    def __init__(self, get_response: Callable) -> None:
        self.get_response = get_response

    def __call__(self, request: Any) -> HttpResponse:
        response = self.get_response(request)
        sidebar = getattr(response, "sidebar", False)
        response.headers.setdefault(
            "Content-Security-Policy",
            _POLICY.format(
                images=settings.WECOM_API_URL,  # QR pictures
                scripts=f" {settings.WECOM_JSSDK_URL}" if sidebar else "",
                frames="'self' https://*.work.weixin.qq.com" if sidebar else "'none'",
                forms=f"{settings.WECOM_OAUTH_URL} {settings.WECOM_LOGIN_URL}",
            ),
        )
        return response


class Slashes(CommonMiddleware):
    """An address without its slash leads to the one with it, if it was only read: what was sent to it would be lost on the way,
    because a client follows with a GET and takes its answer for a yes."""

    def should_redirect_with_slash(self, request: Any) -> bool:
        return request.method in ("GET", "HEAD") and super().should_redirect_with_slash(request)


class ErrorPages:
    """Turns SCRMError from a view into its page, notice or JSON."""

    def __init__(self, get_response: Callable) -> None:
        self.get_response = get_response

    def __call__(self, request: Any) -> HttpResponse:
        return self.get_response(request)

    def process_exception(self, request: Any, exception: Exception) -> HttpResponse | None:
        return error_response(request, exception) if isinstance(exception, SCRMError) else None
