"""What a request says of its browser. Pure."""

import re
from collections.abc import Mapping

# what looks at pages for others: search engines, previews of messengers, scripts
_MACHINES = re.compile(
    r"bot\b|bot/|spider|crawl|slurp|preview|facebookexternalhit|whatsapp|embedly|curl/|wget|python|java/|okhttp|"
    r"go-http|libwww|httpclient|headless|lighthouse|phantom|wechatshareextension|monitor|scan|fetch",
    re.IGNORECASE,
)


def is_machine(method: str, headers: Mapping[str, str]) -> bool:
    """Whether nobody is looking: another method than GET, no browser's name, a preview, something fetched ahead."""
    agent = headers.get("User-Agent", "")
    ahead = headers.get("Sec-Purpose", "") + headers.get("Purpose", "") + headers.get("X-Moz", "")
    if method != "GET" or len(agent) < 20 or "prefetch" in ahead or "preview" in ahead:
        return True
    return bool(_MACHINES.search(agent))


def is_wechat(headers: Mapping[str, str]) -> bool:
    """Inside WeChat or WeCom, where WeCom can say who somebody is."""
    agent = headers.get("User-Agent", "").lower()
    return "micromessenger" in agent or "wxwork" in agent
