"""Web hooks of drawn SOPs: ordered once, repeated until taken, never to a private network."""

import hashlib
import hmac
import json
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings as django_settings

from campaigns.models import Sop, SopCall
from campaigns.services.journeys import hooks
from campaigns.tasks import react_brand, tick_brand
from scrm import clock
from scrm.errors import InvalidError
from scrm.redis import redis_client
from tests.campaigns.graphs import entry, line
from tests.campaigns.receiver import Receiver, receiving
from tests.campaigns.test_journeys import World, world
from tests.factories import in_brand

__all__ = ["world"]
pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with receiving() as made:
        yield made


@pytest.fixture
def tls_receiver(tmp_path: Path) -> Iterator[Receiver]:
    with receiving(tmp_path) as made:
        yield made


def test_a_turn_of_hooks_that_ran_out_stays_with_who_has_it_now(world: World, monkeypatch: Any) -> None:
    """A receiver hangs until the turn is over and another process has taken it: that one's is not given back."""
    redis, n_asked = redis_client(), list[int]()

    def make(*_args: Any) -> None:
        [key] = redis.keys("*sop-hooks*")
        redis.set(key, "other", ex=60)
        n_asked.append(hooks.make_due(world.brand))  # a third one has to wait

    monkeypatch.setattr(hooks, "due", lambda: [1])
    monkeypatch.setattr(hooks, "make", make)
    with in_brand(world.brand):
        assert hooks.make_due(world.brand) == 1
    [key] = redis.keys("*sop-hooks*")
    assert redis.get(key) == b"other" and n_asked == [0]
    redis.delete(key)


def is_ours(*given: Any) -> bool:
    """As docs/api-first-steps.md tells receivers to look."""
    text = (django_settings.BASE_DIR / "docs" / "api-first-steps.md").read_text()
    names: dict[str, Any] = {}
    exec(text.partition("```python\n")[2].partition("```")[0], names)
    return bool(names["is_ours"](*given))


def test_hooks_are_ordered_once_and_repeated_until_taken(
    world: World, receiver: Receiver, settings: Any
) -> None:
    """A real receiver: first it hangs up, then it fails, then it takes the call; signed, the same key each time."""
    settings.SOP_HOOKS_PRIVATE = True
    receiver.answers = [None, 500, 204]
    sop = world.publish(line(entry(), {"kind": "hook", "url": f"{receiver.url}/x?y=1"}))
    world.put_in(sop, world.people[:1])
    with clock.at(world.now):
        tick_brand.delay(brand_id=world.brand.pk)
    for minutes in (2, 30):
        with clock.at(world.now + timedelta(minutes=minutes)):
            react_brand.delay(brand_id=world.brand.pk)
    with in_brand(world.brand):
        call = SopCall.objects.get()
        assert (call.state, call.n_tries, call.status) == ("done", 3, 204)
        secret = Sop.objects.get(pk=sop.pk).hook_secret
    assert [seen.path for seen in receiver.seen] == ["/x?y=1"] * 3
    assert {json.loads(seen.body)["key"] for seen in receiver.seen} == {call.key}
    for seen in receiver.seen:
        text = f"{seen.headers['X-SCRM-Timestamp']}.{seen.body}"
        signed = hmac.new(secret.encode(), text.encode(), hashlib.sha256).hexdigest()
        stamp, signature = seen.headers["X-SCRM-Timestamp"], seen.headers["X-SCRM-Signature"]
        assert signature == f"sha256={signed}"
        given = (stamp, signature, seen.body.encode())
        assert is_ours(secret, *given, int(stamp) + 299) and not is_ours(secret, *given, int(stamp) + 300)
        assert not is_ours("another", *given, int(stamp))
        assert json.loads(seen.body).keys() == {"at", "contact_id", "key", "node", "sop"}


def test_a_hook_over_tls(world: World, tls_receiver: Receiver, settings: Any, monkeypatch: Any) -> None:
    """The name is checked against the certificate; a stranger's certificate is refused and nothing is sent."""
    settings.SOP_HOOKS_PRIVATE = True
    status, error = hooks.post(f"{tls_receiver.url}/x", {"key": "k"}, "secret")
    assert status is None and "CERTIFICATE_VERIFY_FAILED" in error and not tls_receiver.seen
    monkeypatch.setenv("SSL_CERT_FILE", str(tls_receiver.certificate))
    assert hooks.post(f"{tls_receiver.url}/x", {"key": "k"}, "secret") == (200, "")
    other = tls_receiver.url.replace("localhost", "127.0.0.1")
    assert "CERTIFICATE_VERIFY_FAILED" in hooks.post(f"{other}/x", {"key": "k"}, "secret")[1]
    assert len(tls_receiver.seen) == 1


def test_a_hook_never_reaches_a_private_network(receiver: Receiver) -> None:
    """Also when a public name leads there: what is connected to is what was looked at."""
    assert hooks.post(receiver.url.replace("http://", "https://"), {}, "s")[0] is None
    assert not receiver.seen


def test_a_redirect_is_not_followed(receiver: Receiver, settings: Any) -> None:
    settings.SOP_HOOKS_PRIVATE = True
    receiver.answers = [302]
    assert hooks.post(f"{receiver.url}/x", {"key": "k"}, "s") == (302, "HTTP 302")
    assert len(receiver.seen) == 1


@pytest.mark.parametrize(
    "url",
    [
        "http://example.com/", "https://127.0.0.1/", "https://localhost/x", "https://10.1.2.3/", "https://[::1]/",
        "https://169.254.169.254/latest", "https://user:pw@example.com/", "ftp://example.com", "https://", "nonsense",
        "https://a.internal/x", "https://example.com:99999/",
    ],
)  # fmt: skip
def test_addresses_that_are_not_called(url: str) -> None:
    with pytest.raises(InvalidError):
        hooks.check_url(url)
