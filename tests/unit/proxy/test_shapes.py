import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gameday.proxy.refusal import ApiRefusal
from gameday.proxy.shapes import (
    read_proxies,
    read_proxy,
    read_toxic_change,
    read_toxic_new,
    toxic_shape,
)
from gameday.proxy.url import route_words


def body(value: object) -> bytes:
    return json.dumps(value).encode()


def test_what_a_call_does_not_say_is_none_and_null_says_nothing() -> None:
    change = read_proxy(body({"enabled": False, "listen": None}))
    assert (change.name, change.listen, change.upstream, change.enabled) == (
        None,
        None,
        None,
        False,
    )


def test_names_are_read_without_regard_to_case_as_go_reads_them() -> None:
    change = read_proxy(body({"Name": "a", "UPSTREAM": "b:1"}))
    assert (change.name, change.upstream) == ("a", "b:1")


def test_a_shape_can_be_sent_back_as_it_was_given() -> None:
    shape = {"name": "a", "listen": "c:2", "upstream": "b:1", "enabled": True}
    change = read_proxy(body({**shape, "Logger": {}, "toxics": [{"name": "t"}]}))
    assert change.listen == "c:2"


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ({"enabeld": False}, "has no 'enabeld'; known: .*; did you mean 'enabled'"),
        ({"enabled": 0}, "enabled is a boolean, got 0"),
        ({"upstream": "nowhere"}, "upstream: address nowhere: missing port"),
        ({"upstream": "a:99999"}, "invalid port '99999'"),
        ([], "wanted a proxy as an object, got an array"),
        (None, "got null"),
    ],
)
def test_a_call_that_would_do_nothing_is_refused(value: object, message: str) -> None:
    with pytest.raises(ApiRefusal, match=message) as refusal:
        read_proxy(body(value))
    assert refusal.value.status == 400


def test_a_refused_list_names_the_place() -> None:
    with pytest.raises(ApiRefusal, match="missing required field: name at proxy 2"):
        read_proxies(body([{"name": "a", "upstream": "a:1"}, {"upstream": "a:1"}]))


def test_a_toxic_is_downstream_in_every_connection_and_named_after_itself() -> None:
    nothing = {"name": None, "stream": None, "toxicity": None, "attributes": None}
    said = body({"type": "latency", **nothing})
    assert read_toxic_new(said).attributes.values() == {"latency": 0, "jitter": 0}
    assert toxic_shape(read_toxic_new(said)) == {
        "attributes": {"latency": 0, "jitter": 0},
        "name": "latency_downstream",
        "type": "latency",
        "stream": "downstream",
        "toxicity": 1,
    }


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ({"type": "latency", "attributes": {"latancy": 1}}, "did you mean 'latency'"),
        ({"type": "latency", "attributes": {"latency": -1}}, "latency is -1"),
        ({"type": "latency", "attributes": []}, "as an object, got an array"),
        ({"type": "latency", "toxicity": 1.5}, "toxicity is 1.5; wanted 0 to 1"),
        ({"type": "latency", "toxicity": True}, "toxicity is a number"),
        ({"type": "latency", "strem": "upstream"}, "did you mean 'stream'"),
        ({"type": "latency", "stream": "sideways"}, "can be either upstream or downstream"),
        ({"type": "latence"}, "invalid toxic type"),
    ],
)
def test_a_toxic_that_is_not_meant_so_is_refused(value: object, message: str) -> None:
    with pytest.raises(ApiRefusal, match=message):
        read_toxic_new(body(value))


def test_a_change_keeps_what_it_does_not_name() -> None:
    toxic = read_toxic_new(body({"type": "latency", "attributes": {"latency": 5, "jitter": 2}}))
    change = read_toxic_change(body({"attributes": {"jitter": 1}}), toxic)
    assert change.attributes.values() == {"latency": 5, "jitter": 1}
    assert change.toxicity == 1


def test_a_change_that_is_refused_changes_nothing() -> None:
    toxic = read_toxic_new(body({"type": "latency", "attributes": {"latency": 5}}))
    for wrong in ({"attributes": {"latency": -1}}, {"stream": "upstream"}, {"toxicity": -1}):
        with pytest.raises(ApiRefusal):
            read_toxic_change(body(wrong), toxic)
    assert toxic.attributes.values() == {"latency": 5, "jitter": 0}


@given(st.binary(max_size=60) | st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3)
    | st.dictionaries(
        st.sampled_from(["name", "type", "stream", "toxicity", "attributes", "upstream"]),
        inner | st.sampled_from(["latency", "upstream"]), max_size=4
    ),
    max_leaves=8,
).map(body))  # fmt: skip
def test_any_body_is_read_or_refused_with_400(raw: bytes) -> None:
    for read in (read_proxy, read_proxies, read_toxic_new):
        status = 400
        try:
            read(raw)
        except ApiRefusal as refusal:
            status = refusal.status
        assert status == 400


def test_a_name_in_a_path_is_unquoted_and_a_slash_in_it_splits_nothing() -> None:
    assert route_words("/proxies/a%2Fb/toxics/t%20u") == (
        ("proxies", "*", "toxics", "*"),
        ["a/b", "t u"],
    )
    assert route_words("/version") == (("version",), [])
    assert route_words("/proxies/") == (("proxies", ""), [])


@pytest.mark.parametrize("raw", [b"\xef\xbb\xbf{}", "{}".encode("utf-16"), b'{"name":"\xff"}'])
def test_what_is_no_utf_8_or_begins_with_a_mark_is_refused(raw: bytes) -> None:
    with pytest.raises(ApiRefusal, match="bad request body"):
        read_proxy(raw)
