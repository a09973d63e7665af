"""Our client against recorded answers of WeCom: what goes out, and what is made of what comes back."""

import importlib
import inspect
import json
import pkgutil
from collections.abc import Iterator
from typing import Any

import pytest

import wecom.api
from scrm import clock
from scrm.redis import redis_client
from tests.wecom import contract
from tests.wecom.contract import PNG, SAMPLES, Placeholders
from tests.wecom.local_server import LocalServer
from wecom.client import WeComClient
from wecom.errors import WeComError

EXAMPLES = contract.examples()
GIVEN = Placeholders(SAMPLES)
# helpers of the modules that make no call
NO_CALLS = {
    "acquisition.app_scheme",
    "acquisition.channel_url",
    "app_messages.check_card",
    "auth.jsapi_signature",
    "contact_ways.check_conclusions",
    "media.check_file",
    "messages.check_attachment",
    "messages.check_content",
    "moments.check_moment",
}
# calls of an API that another example shows, with another content
SAME_API = {
    "app_messages.send_markdown",
    "app_messages.send_media",
    "app_messages.send_miniprogram_notice",
    "app_messages.send_news",
    "app_messages.send_video",
    "auth.jsapi_signatures",
    "directory.set_enabled",
    "messages.send_text_card",
    "transfers.unassigned_page",
}


@pytest.fixture(autouse=True)
def when_the_samples_were_made() -> Iterator[None]:
    with clock.at(contract.NOW):
        yield


@pytest.fixture
def server() -> Iterator[LocalServer]:
    with LocalServer() as server:
        yield server


def client_of(server: LocalServer) -> WeComClient:
    return WeComClient("ww1", "secret", 1000002, brand_id=7, api_url=server.url, redis_conn=redis_client())


def file_answer(handler: Any) -> None:
    handler.send(PNG, kind="image/png", **{"Content-Disposition": 'attachment; filename="image.png"'})


@pytest.mark.parametrize("example", EXAMPLES, ids=contract.title)
def test_request_and_answer(example: dict[str, Any], server: LocalServer) -> None:
    request, answer = example["request"], contract.fill(contract.full(example["answer"]), GIVEN)
    server.answer(
        request["api"], file_answer if "the file" in answer else {"errcode": 0, "errmsg": "ok", **answer}
    )
    result = contract.call(client_of(server), example, GIVEN)

    [seen] = server.calls(request["api"])
    assert seen.method == request["method"]
    query = {name: str(value) for name, value in contract.fill(request.get("query", {}), GIVEN).items()}
    assert {name: value for name, value in seen.query.items() if name != "access_token"} == query
    if "body" in request:
        assert seen.json == contract.fill(request["body"], GIVEN)
        assert "\\u" not in seen.body.decode()
    if "multipart" in request:
        assert f'name="media"; filename="{request["multipart"]}"'.encode() in seen.body
        assert PNG in seen.body
    wanted = contract.fill(example["gives"], GIVEN) if "gives" in example else answer
    if isinstance(result, dict):
        result = {name: value for name, value in result.items() if name not in ("errcode", "errmsg")}
    assert contract.plain(result) == wanted


@pytest.mark.parametrize("example", EXAMPLES, ids=contract.title)
def test_answer_with_the_least(example: dict[str, Any], server: LocalServer) -> None:
    """Optional fields are missing: nothing breaks."""
    answer = contract.fill(contract.least(example["answer"]), GIVEN)
    server.answer(
        example["request"]["api"],
        file_answer if "the file" in answer else {"errcode": 0, "errmsg": "ok", **answer},
    )
    contract.call(client_of(server), example, GIVEN)


@pytest.mark.parametrize(
    "example",
    json.loads((contract.FOLDER / "errors.json").read_text()),
    ids=lambda e: f"{e['errcode']}-{e['name']}",
)
def test_refusals(example: dict[str, Any], server: LocalServer) -> None:
    server.answer(example["api"], {**contract.full(example["answer"]), "errcode": example["errcode"]})
    with pytest.raises(WeComError) as caught:
        client_of(server).call(example["method"], example["api"], body=example.get("body"))
    assert type(caught.value).__name__ == example["raises"]
    assert caught.value.errcode == example["errcode"]


def test_every_call_has_an_example() -> None:
    """A function that is added without an example stands out."""
    named = {example["call"] for example in EXAMPLES}
    for info in pkgutil.iter_modules(wecom.api.__path__):
        if info.name in ("checks", "paging"):
            continue
        module = importlib.import_module(f"wecom.api.{info.name}")
        for name, function in inspect.getmembers(module, inspect.isfunction):
            path = f"{info.name}.{name}"
            if function.__module__ == module.__name__ and not name.startswith("_") and path not in NO_CALLS:
                assert path in named | SAME_API, path
    assert len({contract.title(example) for example in EXAMPLES}) == len(EXAMPLES)


def test_shapes_are_compared_strictly() -> None:
    shape = {"a": 1, "b?": "x", "c~": 1, "d": [{"e": 1.5}], "f": {"g": True, "*": True}}
    good: dict[str, Any] = {"a": 2, "c": "17", "d": [{"e": 2}], "f": {"g": False, "h": True}}
    assert contract.differences(shape, good) == []
    for change in (
        {"a": "2"},
        {"a": True},
        {"b": 1},
        {"c": "x"},
        {"d": []},
        {"d": [{}]},
        {"d": {}},
        {"z": 1},
    ):
        assert contract.differences(shape, {**good, **change}), change
    assert contract.differences(shape, {k: v for k, v in good.items() if k != "a"}) == [".a: missing"]
