import asyncio
import socket

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gameday.proxy.address import (
    Address,
    BadAddress,
    format_address,
    parse_address,
    resolve_listen,
)


@given(st.sampled_from(["", "h", "127.0.0.1", "::1", "fe80::1"]), st.integers(0, 65535))
def test_an_address_that_is_written_reads_back(host: str, port: int) -> None:
    address = Address(host=host, port=port)
    assert parse_address(format_address(address)) == address


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("host", "missing port"),
        ("", "missing port"),
        ("::1:80", "too many colons"),
        ("h:x", "invalid port 'x'"),
        ("h:65536", "wanted 0 to 65535"),
        ("h:", "invalid port ''"),
        ("h:" + "9" * 5000, "wanted 0 to 65535"),
        ("h:٣", "invalid port"),
    ],
)
def test_what_is_no_address_is_refused(text: str, message: str) -> None:
    with pytest.raises(BadAddress, match=message):
        parse_address(text)


@pytest.mark.parametrize(
    ("text", "listen"),
    [
        ("localhost:5", "127.0.0.1:5"),
        ("127.0.0.1:0", "127.0.0.1:0"),
        ("0.0.0.0:7", "0.0.0.0:7"),
        (":7", "[::]:7"),
        ("127.0.0.1:", "127.0.0.1:0"),
        (":", "[::]:0"),
        ("", "[::]:0"),
        ("[::1]:7", "[::1]:7"),
    ],
)
def test_a_listen_address_becomes_numbers(text: str, listen: str) -> None:
    assert format_address(asyncio.run(resolve_listen(text))) == listen


def test_any_interface_is_that_of_ipv4_where_the_kernel_has_no_ipv6() -> None:
    class NoIpv6(socket.socket):
        def __init__(self, family: int = -1, *rest: int) -> None:
            if family == socket.AF_INET6:
                raise OSError("address family not supported")
            super().__init__(family, *rest)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(socket, "socket", NoIpv6)
        assert asyncio.run(resolve_listen(":7")) == Address(host="0.0.0.0", port=7)
