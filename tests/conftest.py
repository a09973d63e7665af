"""Fixtures: a clone of the migrated template for each test process, two brands, signed-in clients, Celery run in place."""

import os
from typing import Any

import hypothesis
import psycopg2
import pytest
from django.conf import settings
from django.core.management import CommandError
from django.test import Client, TransactionTestCase
from django.utils import translation

from scrm.celery import app
from scrm.redis import redis_client
from tenants.models import Brand, User
from tests import factories
from tests.factories import in_brand

# a machine that is busy with something else is slow, and nothing is wrong; the same examples each time, so that a change is
# judged by what it changes: EXPLORE=1 looks for others
hypothesis.settings.register_profile(
    "busy",
    deadline=None,
    derandomize=not os.environ.get("EXPLORE"),
    suppress_health_check=[hypothesis.HealthCheck.too_slow],
)
hypothesis.settings.load_profile("busy")


@pytest.fixture(scope="session")
def django_db_setup(django_db_blocker: Any) -> Any:
    """Clone the template that `devtools/pytest_services.py` has migrated; tests run as app_rw, so policies are on."""
    template = os.environ["SCRM_TEST_TEMPLATE"]
    name = f"test_{os.environ.get('PYTEST_XDIST_WORKER', 'main')}"
    owner = settings.DATABASES["owner"]
    _sql(
        owner,
        "template1",
        f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)',
        f'CREATE DATABASE "{name}" TEMPLATE "{template}"',
    )
    # transactional tests empty the tables afterwards, as the application's role
    _sql(owner, name, "GRANT TRUNCATE ON ALL TABLES IN SCHEMA public TO app_rw")
    from django.db import connections

    for alias in settings.DATABASES:
        settings.DATABASES[alias]["NAME"] = connections[alias].settings_dict["NAME"] = name
    yield
    with django_db_blocker.unblock():
        connections.close_all()
    # a server thread may still hold one; only its own role may end it
    for alias in ("default", "ops"):
        _sql(
            settings.DATABASES[alias],
            "template1",
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            f" WHERE datname = '{name}' AND usename = current_user",
        )
    _sql(owner, "template1", f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')


def _sql(config: dict, database: str, *statements: str) -> None:
    connection = psycopg2.connect(
        host=config["HOST"],
        port=config["PORT"] or 5432,
        user=config["USER"],
        password=config["PASSWORD"],
        dbname=database,
    )
    connection.autocommit = True
    with connection.cursor() as cursor:
        for statement in statements:
            cursor.execute(statement)
    connection.close()


@pytest.fixture(autouse=True, scope="session")
def patient_emptying() -> Any:
    """Emptying the tables after a test may meet a last request of its live server, and Postgres ends one of the two:
    then once more."""
    empty = TransactionTestCase._fixture_teardown

    def empty_again(self: Any) -> None:
        for left in (4, 3, 2, 1, 0):
            try:
                empty(self)
                break
            except CommandError:
                if not left:
                    raise

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(TransactionTestCase, "_fixture_teardown", empty_again)
        yield


@pytest.fixture(autouse=True)
def tasks_in_place() -> Any:
    """Celery tasks run at once where they are started (after commit); the queues are tried in the end-to-end tests."""
    app.conf.task_always_eager = app.conf.task_eager_propagates = True
    yield


@pytest.fixture(autouse=True)
def clean_redis() -> Any:
    yield
    redis_client().flushdb()


@pytest.fixture(autouse=True)
def own_language() -> Any:
    """A request in English leaves its language to the thread, and the next test may ask for words without a request."""
    yield
    translation.deactivate()


@pytest.fixture
def brand(db: Any) -> Brand:
    return factories.make_brand()


@pytest.fixture
def other_brand(db: Any) -> Brand:
    return factories.make_brand()


@pytest.fixture
def corp(brand: Brand) -> Any:
    with in_brand(brand):
        return factories.make_corp(brand)


@pytest.fixture
def staff(brand: Brand, corp: Any) -> Any:
    with in_brand(brand):
        return factories.make_staff(brand, corp)


@pytest.fixture
def sign_in() -> Any:
    """`sign_in(brand, "operator")` gives a client of a signed-in person; `user=` an existing one."""

    def enter(brand: Brand, role_key: str = "admin", user: User | None = None, **over: Any) -> Client:
        user = user or factories.make_user(brand, role_key, **over)
        client = Client()
        session = client.session
        session.update({"user_id": user.pk, "user_hash": user.get_session_auth_hash(), "brand_id": brand.pk})
        session.save()
        client.user = user  # type: ignore[attr-defined]
        return client

    return enter
