"""The API's description (OpenAPI) and its page, both without a key: they hold no data of anybody."""

from typing import Any

from drf_spectacular.extensions import OpenApiAuthenticationExtension
from drf_spectacular.views import SpectacularAPIView, SpectacularSwaggerSplitView

from org.access import public


class KeyScheme(OpenApiAuthenticationExtension):
    """Tells the description how to authenticate."""

    target_class = "org.api_auth.BrandAuthentication"
    name = "apiKey"

    def get_security_definition(self, auto_schema: Any) -> dict[str, str]:
        return {
            "type": "http",
            "scheme": "bearer",
            "description": "A brand's API key: `Bearer <prefix>.<secret>`",
        }


_OPEN: dict[str, Any] = {"authentication_classes": [], "permission_classes": []}
schema = public(SpectacularAPIView.as_view(**_OPEN))
# the split view keeps its script in an address of its own, which the content security policy asks for
page = public(SpectacularSwaggerSplitView.as_view(url_name="api_schema", **_OPEN))
