"""pytest plugin: what a second try of a failed test means (`--reruns 1`, as .ci/run asks for).

CI shares slow processors: a test whose wait ran out there is tried once more, at once, and a run in which it then passes is
green. It is told all the same, with what it said when it failed, at the end of the output: somebody has to mend the test, or
the race that it has met. More than MOST of them fail the run, and the tests of STRICT have no second try: what they prove
does not hold "mostly".
"""

import pytest

MOST = 3
STRICT = ("tests/faults/", "tests/tenants/")  # nothing lost or doubled; one brand never sees another's


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """No second try for STRICT."""
    for item in items:
        if item.nodeid.startswith(STRICT):
            item.add_marker(pytest.mark.flaky(reruns=0))


@pytest.hookimpl(tryfirst=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    """Too many are no chance."""
    if len(_tried_again(session.config)) > MOST and session.exitstatus == pytest.ExitCode.OK:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Each of them with the words of its failure."""
    reports = _tried_again(config)
    if not reports:
        return
    terminalreporter.section("failed once: mend these", sep="=", yellow=True)
    for report in reports:
        terminalreporter.section(f"{report.nodeid} ({report.when})", sep="_", yellow=True)
        terminalreporter.write_line(report.longreprtext)
    if len(reports) > MOST:
        terminalreporter.write_line(f"{len(reports)} tests have failed once, at most {MOST} may", red=True)


def _tried_again(config: pytest.Config) -> list[pytest.TestReport]:
    reporter = config.pluginmanager.get_plugin("terminalreporter")
    return list(reporter.stats.get("rerun", ())) if reporter else []
