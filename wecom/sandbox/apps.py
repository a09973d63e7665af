from django.apps import AppConfig


class SandboxConfig(AppConfig):
    """The sandbox's only app."""

    name = "wecom.sandbox"
    label = "sandbox"
