"""Who calls, and what they may."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from shard.access import Routers
from trunkshow.errors import PermissionDenied, TrunkshowError, Unauthenticated
from trunkshow.serving import api_keys, auth
from trunkshow.serving.api_keys import ApiKeys
from trunkshow.serving.auth import CallerGuard, Principal, Role, RouterGuard, cluster_tokens
from trunkshow.serving.grants import CLOCKS_DIFFER_S, GRANT_KEY, issue
from trunkshow.serving.options import ServerOptions
from trunkshow.serving.reloaded import LOOK_EVERY_S, Reloaded
from trunkshow.serving.web_tokens import ALGORITHMS, WebTokens

NOW = 1_800_000_000.0
SECRET = "a shared secret of many more than 32 bytes, made for a test"
RSA_KEY = rsa.generate_private_key(public_exponent=65537, key_size=2048)
ED_KEY = ed25519.Ed25519PrivateKey.generate()


@dataclass
class Clock:
    """Time that a test drives."""

    now: float = NOW

    def __call__(self) -> float:
        return self.now


@dataclass
class Call:
    """What a guard sees of a call."""

    metadata: Iterable[tuple[str, str | bytes]] = ()
    names: frozenset[str] = field(default_factory=frozenset)

    def peer_names(self) -> frozenset[str]:
        """Names in its certificate."""
        return self.names


def bearer(token: str) -> Call:
    """A call with a token."""
    return Call((("x-request-id", "r"), ("authorization", f"Bearer {token}")))


def reason(guard: auth.Guard, call: Call, role: Role = Role.READ) -> str:
    """Why a call is refused; empty where it is not."""
    try:
        guard.admit(call, role)
    except TrunkshowError as error:
        return error.reason
    return ""


def pem(key: Any) -> bytes:
    """A public key in PEM."""
    return bytes(key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))


# ---- API keys


@pytest.fixture
def keyed(tmp_path: Path) -> tuple[CallerGuard, str, Path, Clock]:
    """A guard that knows one key, which may read; the key, its file and the clock by which it is looked at."""
    key, line = api_keys.make("shop", [Role.READ])
    path = tmp_path / "keys"
    path.write_text(f"# of the shop\n\n{line}\n")
    clock = Clock(0)
    return CallerGuard([ApiKeys(path, clock)], Clock()), key, path, clock


@pytest.mark.parametrize("name", ["x-api-key", "authorization"])
def test_a_key_lets_its_holder_in(keyed: tuple[CallerGuard, str, Path, Clock], name: str) -> None:
    """In either place, the first time and from the cache."""
    guard, key, *_ = keyed
    call = Call(((name, key if name == "x-api-key" else f"bearer {key}"),))
    assert (reason(guard, call), reason(guard, call)) == ("", "")


@pytest.mark.parametrize(
    ("metadata", "why"),
    [
        ((), "CREDENTIALS_MISSING"),
        ((("authorization", "Basic dXNlcjpwYXNz"),), "CREDENTIALS_MISSING"),
        ((("authorization", "Bearer "),), "CREDENTIALS_MISSING"),
        ((("x-api-key", "tsk_of_nobody"),), "CREDENTIALS_INVALID"),
        ((("x-api-key", "ü"),), "CREDENTIALS_INVALID"),
        ((("authorization", "Bearer a.b.c"),), "CREDENTIALS_INVALID"),
    ],
)
def test_whom_nobody_knows_is_refused(
    keyed: tuple[CallerGuard, str, Path, Clock], metadata: tuple[tuple[str, str], ...], why: str
) -> None:
    """With a reason, as unauthenticated, and the same the second time."""
    guard = keyed[0]
    assert (reason(guard, Call(metadata)), reason(guard, Call(metadata))) == (why, why)
    with pytest.raises(Unauthenticated):
        guard.admit(Call(metadata), Role.READ)


def test_a_role_that_was_not_given_is_refused(keyed: tuple[CallerGuard, str, Path, Clock]) -> None:
    """Who may read may not operate."""
    guard, key, *_ = keyed
    with pytest.raises(PermissionDenied, match="shop has not the role 'operate'"):
        guard.admit(bearer(key), Role.OPERATE)


def test_a_key_that_was_taken_out_of_the_file_lets_nobody_in(keyed: tuple[CallerGuard, str, Path, Clock]) -> None:
    """Within the second, and though it was in the cache; the new one does."""
    guard, key, path, clock = keyed
    assert reason(guard, bearer(key)) == ""
    other, line = api_keys.make("shop", [Role.OPERATE])
    path.write_text(line)
    clock.now += LOOK_EVERY_S
    assert (reason(guard, bearer(key)), reason(guard, bearer(other), Role.OPERATE)) == ("CREDENTIALS_INVALID", "")


def test_a_file_that_is_half_written_changes_nothing(keyed: tuple[CallerGuard, str, Path, Clock]) -> None:
    """The keys that were known stay known."""
    guard, key, path, clock = keyed
    for content in ("shop re", "", "shop read 00"):
        path.write_text(content)
        clock.now += LOOK_EVERY_S
        assert reason(guard, bearer(key)) == ""
    path.unlink()
    clock.now += LOOK_EVERY_S
    assert reason(guard, bearer(key)) == ""


@pytest.mark.parametrize(
    "content", ["", "shop read", "shop king " + "0" * 64, "shop read " + "0" * 63, "shop router " + "0" * 64]
)
def test_a_file_that_cannot_be_read_ends_the_start(tmp_path: Path, content: str) -> None:
    """A router does not start with keys that it does not understand."""
    path = tmp_path / "keys"
    path.write_text(content)
    with pytest.raises(ValueError):
        ApiKeys(path)


def test_the_cache_is_bounded(keyed: tuple[CallerGuard, str, Path, Clock], monkeypatch: pytest.MonkeyPatch) -> None:
    """However many callers come, and those who are refused do not enter it at all."""
    monkeypatch.setattr(auth, "CACHED_MAX", 3)

    class Everybody:
        version = 1

        def principal(self, credential: str, now: float) -> Principal:
            return Principal(credential, frozenset({Role.READ}))

    guard = CallerGuard([Everybody()], Clock())
    assert {reason(guard, bearer(str(number))) for number in range(50)} == {""}
    assert len(guard._cached) == 3
    refusing = keyed[0]
    assert {reason(refusing, bearer(str(number))) for number in range(50)} == {"CREDENTIALS_INVALID"}
    assert not refusing._cached


# ---- tokens


def token(key: Any = SECRET, algorithm: str = "HS256", kid: str = "", **claims: Any) -> str:
    """A token that is good, but for what is said otherwise; a claim of None is left out."""
    said = {"sub": "someone", "iss": "us", "aud": "trunkshow", "exp": NOW + 100, "roles": ["read"], **claims}
    headers = {"kid": kid} if kid else None
    return jwt.encode({k: v for k, v in said.items() if v is not None}, key, algorithm=algorithm, headers=headers)


def tokens(
    tmp_path: Path, keys: bytes = SECRET.encode(), allowed: tuple[str, ...] = ALGORITHMS
) -> tuple[CallerGuard, Clock]:
    """A guard that takes tokens, and the calendar that it goes by."""
    path = tmp_path / "key"
    path.write_bytes(keys)
    clock = Clock()
    return CallerGuard([WebTokens(path, "us", "trunkshow", allowed)], clock), clock


@pytest.mark.parametrize(
    ("key", "file", "algorithm"),
    [(SECRET, SECRET.encode(), "HS256"), (RSA_KEY, pem(RSA_KEY), "RS256"), (ED_KEY, pem(ED_KEY), "EdDSA")],
    ids=["HS256", "RS256", "EdDSA"],
)
def test_a_good_token_lets_its_holder_in(tmp_path: Path, key: Any, file: bytes, algorithm: str) -> None:
    """By each kind of key."""
    guard, _ = tokens(tmp_path, file)
    assert reason(guard, bearer(token(key, algorithm))) == ""


@pytest.mark.parametrize(
    ("claims", "why"),
    [
        ({"exp": NOW - 60}, "CREDENTIALS_EXPIRED"),
        ({"exp": None}, "CREDENTIALS_INVALID"),
        ({"nbf": NOW + 60}, "CREDENTIALS_INVALID"),
        ({"iss": "them"}, "CREDENTIALS_INVALID"),
        ({"iss": None}, "CREDENTIALS_INVALID"),
        ({"aud": "another"}, "CREDENTIALS_INVALID"),
        ({"aud": None}, "CREDENTIALS_INVALID"),
        ({"key": SECRET + "!"}, "CREDENTIALS_INVALID"),
        ({"roles": None}, "ROLE_MISSING"),
        ({"roles": ["router", "king"]}, "ROLE_MISSING"),
        ({"roles": {"read": True}}, "ROLE_MISSING"),
        ({"roles": "record read"}, ""),
    ],
    ids=str,
)
def test_a_token_is_held_to_what_it_says(tmp_path: Path, claims: dict[str, Any], why: str) -> None:
    """Time, issuer, audience, signature and roles, each by itself."""
    assert reason(tokens(tmp_path)[0], bearer(token(**claims))) == why


def test_a_moment_that_no_clock_ever_shows_is_none(tmp_path: Path) -> None:
    """JSON has whole numbers that are larger than any float: they are no bug of ours."""
    assert reason(tokens(tmp_path)[0], bearer(token(exp=10**400))) == "CREDENTIALS_INVALID"


def test_a_token_that_ends_while_it_is_in_the_cache_ends(tmp_path: Path) -> None:
    """The cache keeps nobody in for longer than their credential lives."""
    guard, clock = tokens(tmp_path)
    held = bearer(token(exp=NOW + 5))
    assert reason(guard, held) == ""
    clock.now += 16
    assert reason(guard, held) == "CREDENTIALS_EXPIRED"


def test_a_token_cannot_choose_its_algorithm(tmp_path: Path) -> None:
    """Neither none, nor a public key taken for a shared secret, nor one that the operator did not list."""
    unsigned = token(None, "none")
    guard, _ = tokens(tmp_path, pem(RSA_KEY))
    import hmac as mac
    from hashlib import sha256

    head, body, _ = token().split(".")
    signature = mac.new(pem(RSA_KEY), f"{head}.{body}".encode(), sha256).digest()
    confused = f"{head}.{body}.{jwt.utils.base64url_encode(signature).decode()}"
    assert [reason(guard, bearer(one)) for one in (unsigned, confused)] == ["CREDENTIALS_INVALID"] * 2
    with pytest.raises(ValueError, match="no key"):
        tokens(tmp_path, pem(RSA_KEY), ("EdDSA",))


def test_keys_of_a_set_are_found_by_their_id(tmp_path: Path) -> None:
    """As identity providers publish them."""
    jwk = {**json.loads(jwt.algorithms.RSAAlgorithm.to_jwk(RSA_KEY.public_key())), "kid": "one", "alg": "RS256"}
    other = {**json.loads(jwt.algorithms.OKPAlgorithm.to_jwk(ED_KEY.public_key())), "kid": "two", "alg": "EdDSA"}
    guard, _ = tokens(tmp_path, json.dumps({"keys": [jwk, other]}).encode())
    good = [token(RSA_KEY, "RS256", "one"), token(ED_KEY, "EdDSA", "two"), token(ED_KEY, "EdDSA")]
    assert [reason(guard, bearer(one)) for one in good] == [""] * 3
    assert reason(guard, bearer(token(RSA_KEY, "RS256", "two"))) == "CREDENTIALS_INVALID"


UNKNOWN_CURVE = b"""-----BEGIN PUBLIC KEY-----
MFkwEwYHKoZIzj0CAQYI/oZIzj0DAQcDQgAEATukIRm64D6Wm7TJL+BTrlYXDjvk
nSLqhDH0W4vjyulENq+fQHiuEHMVk76PnaiNNeM+2ItPP+lTVEX/aE8fOQ==
-----END PUBLIC KEY-----
"""
"""A key of prime256v1 with one bit of the curve's name turned over."""


@pytest.mark.parametrize("keys", [b"", b"too short", b"-----BEGIN nothing", b"{}", b'{"keys": 3}', UNKNOWN_CURVE])
def test_a_key_that_cannot_be_used_ends_the_start(tmp_path: Path, keys: bytes) -> None:
    """A router does not start with a key that protects nothing."""
    with pytest.raises(ValueError):
        tokens(tmp_path, keys)


# ---- routers, at a shard

TOKENS = [b"0" * 32, b"1" * 32]


def test_a_shard_knows_routers_by_a_name_in_their_certificate() -> None:
    """Any of the names, and none other."""
    guard = RouterGuard(["router.one", "router.two"], None)
    assert reason(guard, Call(names=frozenset({"somewhere", "router.two"})), Role.ROUTER) == ""
    assert reason(guard, Call(names=frozenset({"somewhere"})), Role.ROUTER) == "CLIENT_NOT_ALLOWED"
    assert reason(guard, Call(), Role.ROUTER) == "CLIENT_NOT_ALLOWED"


def test_a_shard_takes_the_old_token_and_the_new_while_they_change(tmp_path: Path) -> None:
    """Both lines of the file let routers in, and nothing else does."""
    path = tmp_path / "token"
    path.write_bytes(b"# cluster\n" + b"\n".join(TOKENS))
    guard = RouterGuard((), Reloaded([path], cluster_tokens))
    sent = [*(one.decode() for one in TOKENS), "2" * 32, "0" * 31, ""]
    reasons = [reason(guard, Call((("x-cluster-token", one),)), Role.ROUTER) for one in sent]
    assert reasons == ["", "", "CREDENTIALS_INVALID", "CREDENTIALS_INVALID", "CREDENTIALS_MISSING"]


@pytest.mark.parametrize("content", [b"", b"short", b"\n".join([*TOKENS, b"2" * 32]), b"with space" * 5])
def test_a_token_that_protects_nothing_is_refused(content: bytes) -> None:
    """Too short, too many, or what metadata cannot carry."""
    with pytest.raises(ValueError):
        cluster_tokens([content])


def vouching(tmp_path: Path, clock: Clock, *names: str, grants: bool = True) -> RouterGuard:
    """A shard's guard, with both tokens."""
    path = tmp_path / "token"
    path.write_bytes(b"\n".join(TOKENS))
    return RouterGuard(names, Reloaded([path], cluster_tokens), grants=grants, now=clock)


def holding(grant: str) -> Call:
    """Somebody with a grant and nothing else."""
    return Call(((GRANT_KEY, grant),))


@pytest.mark.parametrize("names", [(), ("router.one",)])
def test_whom_a_router_vouches_for_may_predict_and_nothing_else(tmp_path: Path, names: tuple[str, ...]) -> None:
    """Neither observe nor watch; with any certificate, or none; by the old token or the new."""
    guard = vouching(tmp_path, Clock(), *names)
    for token in TOKENS:
        assert reason(guard, holding(issue(token, NOW + 30)), Role.PREDICT) == ""
        assert reason(guard, holding(issue(token, NOW + 30)), Role.ROUTER) != ""
    assert reason(guard, Call(), Role.PREDICT) != ""


def test_a_grant_ends(tmp_path: Path) -> None:
    """A little later than it says, since clocks differ."""
    clock = Clock()
    guard, call = vouching(tmp_path, clock), holding(issue(TOKENS[0], NOW + 30))
    clock.now = NOW + 30 + CLOCKS_DIFFER_S
    assert reason(guard, call, Role.PREDICT) == ""
    clock.now += 1
    assert reason(guard, call, Role.PREDICT) == "CREDENTIALS_EXPIRED"


def test_a_grant_that_was_made_elsewhere_or_changed_is_none(tmp_path: Path) -> None:
    """Another cluster's, a later end, half of one, anything."""
    guard = vouching(tmp_path, Clock())
    good = issue(TOKENS[0], NOW + 30)
    ends, _, mac = good.partition(".")
    spoilt = [issue(b"2" * 32, NOW + 30), f"{int(ends) + 1}.{mac}", good[:-1], ends, "x", "1" * 99, f"\udcff.{mac}"]
    assert {reason(guard, holding(one), Role.PREDICT) for one in spoilt} == {"CREDENTIALS_INVALID"}


def test_a_shard_takes_no_grants_unless_it_was_told_to(tmp_path: Path) -> None:
    """It asks for the token, as ever."""
    guard = vouching(tmp_path, Clock(), grants=False)
    assert reason(guard, holding(issue(TOKENS[0], NOW + 30)), Role.PREDICT) == "CREDENTIALS_MISSING"


def test_grants_without_a_token_are_refused_at_the_start() -> None:
    """There is nothing to know them by."""
    with pytest.raises(ValueError, match="direct"):
        Routers(direct=True).check(ServerOptions())


# ---- what may be listened on


@pytest.mark.parametrize("listen", ["127.0.0.1:1", "localhost:1", "[::1]:1", "127.8.8.8:1", "unix:/tmp/socket"])
def test_this_machine_alone_may_be_listened_to_plainly(listen: str) -> None:
    """A local cluster needs no certificates."""
    ServerOptions().exposure(listen, False, "how")


@pytest.mark.parametrize("listen", ["0.0.0.0:1", "[::]:1", "10.0.0.1:1", "example.org:1", ":1"])
def test_beyond_this_machine_certificates_and_credentials_are_asked_for(listen: str) -> None:
    """Each that is missing is named; who insists may."""
    with pytest.raises(ValueError, match=r"--tls-cert.*some how.*--insecure"):
        ServerOptions().exposure(listen, False, "some how")
    with pytest.raises(ValueError, match="--tls-cert"):
        ServerOptions().exposure(listen, True, "some how")
    secured = ServerOptions(tls_cert=Path("c"), tls_key=Path("k"))
    with pytest.raises(ValueError, match="some how"):
        secured.exposure(listen, False, "some how")
    secured.exposure(listen, True, "some how")
    ServerOptions(insecure=True).exposure(listen, False, "some how")


def test_a_made_key_is_kept_by_its_hash_alone() -> None:
    """What stands in the file does not open the door."""
    key, line = api_keys.make("shop", [Role.READ, Role.RECORD])
    assert key.startswith(api_keys.PREFIX) and len(key) > 40
    assert key not in line
    assert key != api_keys.make("shop", [Role.READ])[0]
