"""Signing in by password: throttled in Redis by user name and address; a growing lock, its audited release.

An attempt is counted before the password is looked at, so that many at once get no more guesses than one
after another.
Unknown names are counted and take as long as known ones: nobody learns here which names exist.
"""

import hashlib
from dataclasses import dataclass

from django.contrib.auth.hashers import make_password
from django.contrib.auth.password_validation import validate_password
from django.core.exceptions import ValidationError
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from scrm.errors import InvalidError, LimitError
from scrm.redis import redis_client
from tenants.models import Brand, User, UserBrand

FREE_TRIES = 5  # wrong passwords of one name before the first lock
FIRST_LOCK_S, LONGEST_LOCK_S = 60, 3600  # doubled by each further wrong password
FORGET_S = 24 * 3600  # a name's failures are forgotten so long after the last one
ADDRESS_TRIES, ADDRESS_WINDOW_S = 50, 600  # an office shares one address

# KEYS: failures, lock of the name; ARGV: free tries, first lock, longest lock, forget. → seconds locked, or 0
_COUNT = """
local left = redis.call('TTL', KEYS[2])
if left > 0 then return left end
local n = redis.call('INCR', KEYS[1])
redis.call('EXPIRE', KEYS[1], ARGV[4])
local free = tonumber(ARGV[1])
if n >= free then
  local s = math.min(tonumber(ARGV[2]) * 2 ^ math.min(n - free, 12), tonumber(ARGV[3]))
  redis.call('SET', KEYS[2], n, 'EX', math.floor(s))
end
return 0
"""


@dataclass(frozen=True)
class Lock:
    """A user name that may not try now; `n` wrong passwords led to it."""

    left_s: int
    n: int

    @property
    def left_min(self) -> int:
        return -(-self.left_s // 60)


def _keys(username: str) -> tuple[str, str]:
    name = hashlib.sha256(username.encode()).hexdigest()[:32]
    return f"signin:failures:{name}", f"signin:lock:{name}"


def check_password(username: str, password: str, *, address: str) -> User:
    """The user whose password this is.

    Args:
        address: the visitor's IP address.

    Raises:
        LimitError: too many wrong passwords for this name or from this address; `retry_after_s`.
        InvalidError: wrong name or password, or the user is switched off; always the same words.
    """
    username = username.strip().lower()[:100]
    redis = redis_client()
    if (left := _address_left(address)) > 0:
        raise _locked(left)
    limits = (FREE_TRIES, FIRST_LOCK_S, LONGEST_LOCK_S, FORGET_S)
    left = int(redis.eval(_COUNT, 2, *_keys(username), *limits))  # type: ignore[arg-type]
    if left:
        raise _locked(left)
    user = User.objects.filter(username=username).first()
    if user is None:
        make_password(password)  # the time of a real look
    elif user.check_password(password) and user.is_active:
        redis.delete(*_keys(username))
        return user
    key = f"signin:address:{address}"
    pipe = (
        redis.pipeline()
    )  # together: a count that a killed process has left without an end would lock the address for good
    pipe.set(key, 0, ex=ADDRESS_WINDOW_S, nx=True)
    pipe.incr(key)
    pipe.execute()
    raise InvalidError(_("User name or password is wrong"), code="wrong_password")


def _address_left(address: str) -> int:
    key = f"signin:address:{address}"
    n = int(redis_client().get(key) or 0)  # type: ignore[arg-type]
    return max(1, int(redis_client().ttl(key))) if n >= ADDRESS_TRIES else 0  # type: ignore[arg-type]


def _locked(left_s: int) -> LimitError:
    minutes = -(-left_s // 60)
    text = ngettext(
        "Too many wrong passwords. Try again in %(n)s minute, or ask your administrator to unlock you.",
        "Too many wrong passwords. Try again in %(n)s minutes, or ask your administrator to unlock you.",
        minutes,
    )
    return LimitError(text % {"n": minutes}, code="locked", retry_after_s=left_s)


def lock_of(username: str) -> Lock | None:
    """The lock that stands on a user name now."""
    return locks_of([username]).get(username)


def locks_of(usernames: list[str]) -> dict[str, Lock]:
    """Locks that stand on some user names, in one round."""
    pipe = redis_client().pipeline(transaction=False)
    for username in usernames:
        lock = _keys(username)[1]
        pipe.ttl(lock)
        pipe.get(lock)
    answers = pipe.execute()
    pairs = zip(usernames, answers[::2], answers[1::2], strict=True)
    return {name: Lock(left, int(n or 0)) for name, left, n in pairs if left > 0}


def forget_failures(username: str) -> None:
    """Release the lock of a user name and forget what led to it; who may do that is decided by the caller."""
    redis_client().delete(*_keys(username))


def check_new_password(password: str, user: User | None = None) -> None:
    """Raises InvalidError when a password is too simple."""
    try:
        validate_password(password, user)
    except ValidationError as error:
        raise InvalidError(" ".join(error.messages), fields={"password": " ".join(error.messages)}) from error


def set_password(user: User, password: str) -> None:
    """Give a user a new password; every other session of theirs ends with it."""
    check_new_password(password, user)
    user.set_password(password)
    user.save(update_fields=["password"])


def brands_of(user: User) -> list[Brand]:
    """Brands that a user may enter, by name."""
    entries = UserBrand.objects.filter(user=user).exclude(brand__state=Brand.State.CLOSED)
    return [entry.brand for entry in entries.select_related("brand").order_by("brand__name")]
