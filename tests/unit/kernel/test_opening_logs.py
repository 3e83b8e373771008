"""An event log's address and credentials: what is understood, and what is told."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from trunkshow.eventlog.credentials import Credentials
from trunkshow.eventlog.opening import LogUnknown, open_log, parse
from trunkshow.eventlog.settings import LogSettings


def test_an_address_names_servers_and_a_stream() -> None:
    """One, or several."""
    assert parse("nats://a:4222/EVENTS") == ("nats", ("a:4222",), "EVENTS")
    assert parse("kafka://a:9092,b:9092/events") == ("kafka", ("a:9092", "b:9092"), "events")
    assert parse("nats://a-1.b:1,[::1]:2/shop_EVENTS").servers == ("a-1.b:1", "[::1]:2")


@pytest.mark.parametrize(
    "url",
    [
        "",
        "nats://",
        "nats://a:1",
        "nats://a:1/",
        "nats://a/EVENTS",
        "nats://a:1,/EVENTS",
        "nats://a:1/TWO/PARTS",
        "nats://a:1/with.dot",
        "nats://a:1/" + "e" * 41,
        "http://a:1/EVENTS",
        "nats://" + ",".join(f"a:{port}" for port in range(17)) + "/EVENTS",
    ],
)
def test_an_address_that_is_none_is_refused_with_how_to_write_one(url: str) -> None:
    """Before anything is connected."""
    with pytest.raises(LogUnknown, match="write nats://HOST:PORT/STREAM"):
        open_log(url, LogSettings(), {})


def test_a_password_in_an_address_is_refused_and_not_repeated() -> None:
    """Addresses are shown and logged."""
    with pytest.raises(LogUnknown, match="holds no credentials") as refused:
        parse("nats://user:hunter2@a:4222/EVENTS")
    assert "hunter2" not in str(refused.value)


def test_a_password_comes_from_a_file_and_is_not_shown(tmp_path: Path) -> None:
    """Or from the environment itself; it is in no `repr`."""
    (tmp_path / "password").write_text("hunter2\n")
    named = {"TRUNKSHOW_LOG_USER": "shop", "TRUNKSHOW_LOG_PASSWORD_FILE": str(tmp_path / "password")}
    given = Credentials.of({"TRUNKSHOW_LOG_USER": "shop", "TRUNKSHOW_LOG_PASSWORD": "hunter2"})
    for credentials in (Credentials.of(named), given):
        assert credentials.for_nats() == {"user": "shop", "password": "hunter2"}
        assert "hunter2" not in repr(credentials)


def test_a_token_that_was_renewed_is_used_from_then_on(tmp_path: Path) -> None:
    """Files are read at each connection; one that is empty is told by its name."""
    token = tmp_path / "token"
    token.write_text("old")
    credentials = Credentials.of({"TRUNKSHOW_LOG_TOKEN_FILE": str(token)})
    assert credentials.for_nats() == {"token": "old"}
    token.write_text("new")
    assert credentials.for_nats() == {"token": "new"}
    token.write_text("")
    with pytest.raises(ValueError, match="token is empty"):
        credentials.for_nats()


def test_kafka_gets_the_same_credentials(tmp_path: Path) -> None:
    """A user means SASL, an authority TLS."""
    given = {"TRUNKSHOW_LOG_USER": "shop", "TRUNKSHOW_LOG_PASSWORD": "hunter2", "TRUNKSHOW_LOG_TLS_CA": "/ca.pem"}
    assert Credentials.of(given).for_kafka() == {
        "security.protocol": "SASL_SSL",
        "sasl.mechanism": "SCRAM-SHA-512",
        "sasl.username": "shop",
        "sasl.password": "hunter2",
        "ssl.ca.location": "/ca.pem",
    }
    assert Credentials.of({}).for_kafka() == {"security.protocol": "PLAINTEXT"}


def test_without_credentials_none_are_sent() -> None:
    """And TLS is not asked for."""
    assert Credentials.of({}).for_nats() == {}


@pytest.mark.parametrize("name", ["age_s_max", "bytes_max", "copies", "lanes", "in_flight_max"])
def test_a_limit_of_nothing_is_refused(name: str) -> None:
    """By its name."""
    with pytest.raises(ValueError, match=name):
        LogSettings(**{name: 0})  # type: ignore[arg-type]


def test_a_credentials_file_without_its_package_is_refused_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """With what is missing, rather than at each connection."""
    monkeypatch.setitem(sys.modules, "nkeys", None)
    with pytest.raises(LogUnknown, match="pip install nkeys"):
        open_log("nats://a:4222/EVENTS", LogSettings(), {"TRUNKSHOW_LOG_CREDENTIALS_FILE": "/shop.creds"})


def test_more_lanes_than_a_watermark_has_room_for_are_refused() -> None:
    """Where a log is made, as where one is found."""
    with pytest.raises(ValueError, match="at most 128"):
        LogSettings(lanes=129)
