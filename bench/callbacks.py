"""The callback endpoint: signature, decryption, durable storage, while the workers handle the same arrivals."""

import json
import subprocess
import sys
import tempfile
import time
import urllib.parse

from wechatpy.enterprise.crypto import WeChatCrypto

from bench import servers
from bench.corp import Bench, bench_corp
from bench.figures import Figure, percentile
from bench.limits import http_rate

EVENT = (
    "<xml><ToUserName><![CDATA[{corp}]]></ToUserName><FromUserName><![CDATA[sys]]></FromUserName><CreateTime>{at}</CreateTime>"
    "<MsgType><![CDATA[event]]></MsgType><Event><![CDATA[change_external_contact]]></Event>"
    "<ChangeType><![CDATA[add_external_contact]]></ChangeType><UserID><![CDATA[{user}]]></UserID>"
    "<ExternalUserID><![CDATA[{external}]]></ExternalUserID><State><![CDATA[{state}]]></State>"
    "<WelcomeCode><![CDATA[W{n}]]></WelcomeCode></xml>"
)


def letters(made: Bench, externals: list[str], first: int) -> str:
    """One line `path<TAB>body` for each customer: an add event, signed and encrypted as WeCom does."""
    crypto = WeChatCrypto(made.corp.callback_token, made.corp.callback_aes_key, made.corp.corpid)
    lines = []
    for n, external in enumerate(externals, first):
        at = int(time.time())
        xml = EVENT.format(
            corp=made.corp.corpid,
            at=at,
            user=made.userids[n % len(made.userids)],
            external=external,
            state="",
            n=n,
        )
        envelope = crypto.encrypt_message(xml, str(n), str(at))
        encrypted = envelope.split("<Encrypt><![CDATA[")[1].split("]]>")[0]
        signature = envelope.split("<MsgSignature><![CDATA[")[1].split("]]>")[0]
        query = urllib.parse.urlencode({"msg_signature": signature, "timestamp": at, "nonce": n})
        to = f"<ToUserName><![CDATA[{made.corp.corpid}]]></ToUserName><AgentID></AgentID>"
        body = f"<xml>{to}<Encrypt><![CDATA[{encrypted}]]></Encrypt></xml>"
        lines.append(f"/wecom/callback/{made.corp.callback_path}/?{query}\t{body}")
    return "\n".join(lines)


def fire(port: int, text: str, rate: float, connections: int) -> dict:
    with tempfile.NamedTemporaryFile("w", suffix=".txt") as file:
        file.write(text)
        file.flush()
        argv = [
            sys.executable,
            "-m",
            "bench.load",
            "127.0.0.1",
            str(port),
            file.name,
            str(rate),
            str(connections),
        ]
        out = subprocess.run(argv, capture_output=True, text=True, check=True, cwd=servers.ROOT)
    return json.loads(out.stdout)


def run(full: bool) -> list[Figure]:
    seconds = 30 if full else 10
    with bench_corp(guides=20) as made:
        externals = made.load_customers(200 * seconds + 4000)
        with (
            servers.web(made.web_port, **made.env) as web,
            servers.worker("fast", 1, **made.env) as fast,
            servers.worker("default,bulk", 1, **made.env),
        ):
            fire(made.web_port, letters(made, externals[:200], 0), 50, 8)  # warm
            before = servers.cpu_s(web.pid), servers.cpu_s(fast.pid)
            steady = fire(
                made.web_port, letters(made, externals[200 : 200 + 200 * seconds - 200], 1000), 200, 32
            )
            web_cpu, fast_cpu = servers.cpu_s(web.pid) - before[0], servers.cpu_s(fast.pid) - before[1]
            rush = fire(made.web_port, letters(made, externals[-4000:], 100_000), 0, 16)
        n = len(steady["latencies"])
        p99 = percentile(steady["latencies"], 0.99)
        rate = len(rush["latencies"]) / rush["wall_s"]
        stored, repeats = made.inbox()
    accepted = sum(int(v) for r in (steady, rush) for k, v in r["statuses"].items() if k == "200")
    assert accepted == n + len(rush["latencies"]), (steady["statuses"], rush["statuses"])
    wall = steady["wall_s"]
    shares = {"generator": steady["cpu_s"], "web": web_cpu, "fast worker": fast_cpu}
    load = "of a core: " + ", ".join(f"{k} {v / wall:.0%}" for k, v in shares.items())
    return [
        Figure("callbacks at 200/s, workers busy: p50", percentile(steady["latencies"], 0.5), "ms", load),
        Figure("callbacks at 200/s, workers busy: p99", p99, "ms", f"{n:,} sent", "≤ 100 ms", p99 <= 100),
        Figure(
            "callbacks accepted as fast as possible",
            rate,
            "requests/s",
            f"plain HTTP, one client: {http_rate():,.0f}/s; generator {rush['cpu_s'] / rush['wall_s'] * 100:.0f} % of a core",
        ),
        Figure(
            "events in the inbox (sent, each once)",
            stored,
            "events",
            f"{repeats} repeats",
            f"{accepted + 200:,}",
            stored == accepted + 200,
        ),
    ]
