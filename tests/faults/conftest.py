"""One world of processes for the session; each test has a brand of its own in it."""

from collections.abc import Iterator

import pytest

from tests.faults.world import World, running


@pytest.fixture(scope="session")
def started() -> Iterator[World]:
    with running() as world:
        yield world


@pytest.fixture
def world(started: World) -> World:
    """The world with everything alive: an earlier test may have failed between a kill and a start."""
    for name in list(started.dead):
        started.raise_again(name)
    started.revive()
    started.wait_for_workers()
    started.sandbox.reset()
    return started
