"""What a brand allows, as the gate and the planners read it; settings are changed in policy.py."""

from datetime import timedelta

from campaigns.governance import CapRule, Rules
from campaigns.models import Cap, TouchPolicy
from tenants.models import Brand

DEFAULT_CAPS = (CapRule(7, 4),)  # of a brand that has set none


def policy_of(brand: Brand) -> TouchPolicy:
    """The brand's policy; the default (not saved) where nobody has set one."""
    return TouchPolicy.objects.first() or TouchPolicy()


def caps_of(brand: Brand) -> list[CapRule]:
    """The brand's caps, the shortest first; the default where nobody has set a policy."""
    rows = Cap.objects.order_by("days", "kind").values_list("days", "n", "kind")
    caps = [CapRule(*row) for row in rows]
    return caps if caps or TouchPolicy.objects.exists() else list(DEFAULT_CAPS)


def rules_of(brand: Brand) -> Rules:
    """Everything that the gate keeps."""
    policy = policy_of(brand)
    quiet = (policy.quiet_start, policy.quiet_end) if policy.quiet_start and policy.quiet_end else None
    return Rules(
        zone=brand.timezone,
        caps=tuple(caps_of(brand)),
        gap=timedelta(hours=policy.min_gap_hours),
        quiet=quiet,
        allowance=policy.allowance,
        hold_out=policy.hold_out_percent,
        hold_out_round=policy.hold_out_round,
    )
