"""Operator requests: signed once, for one node, one method, one moment. The attacks are tried."""

from __future__ import annotations

from pathlib import Path

import pytest

from parties import operators
from parties.errors import ConfigError
from parties.operators import PERMITTED, Guard, OperatorKey, enrol, parse_operators
from parties.rpc.v1 import operator_pb2
from parties.rpc.v1.operator_pb2 import DecisionRequest, JobsRequest, SubmitRequest
from protocols.errors import Refused

REQUEST = SubmitRequest(request="protocol = …", model=b"{}")


class Clock:
    def __init__(self) -> None:
        self.now = 1_800_000_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "operators.toml"
    path.write_text(operators.OPERATORS_TOML)
    return path


def new(path: Path, name: str, *roles: str) -> OperatorKey:
    key = OperatorKey.create(name)
    enrol(path, name, key.public, roles)
    return key


def refused(guard: Guard, method: str, request: object, metadata: object) -> str:
    with pytest.raises(Refused) as caught:
        guard.verify(method, request, metadata)  # type: ignore[arg-type]
    assert caught.value.party == "bank-a"
    return caught.value.code


def test_a_signed_request_passes_once(path: Path, clock: Clock) -> None:
    zoe = new(path, "zoe", "submit")
    guard = Guard("bank-a", path, clock)
    metadata = zoe.metadata("bank-a", "Submit", REQUEST, clock.now)
    assert [key for key, _ in metadata] == ["jc-operator", "jc-time", "jc-nonce", "jc-signature"]
    extra = (("user-agent", "grpc"), *metadata)
    assert guard.verify("Submit", REQUEST, extra).name == "zoe"
    assert refused(guard, "Submit", REQUEST, metadata) == "operator-replay"
    clock.now += 119
    assert refused(guard, "Submit", REQUEST, metadata) == "operator-replay"
    clock.now += 2
    assert refused(guard, "Submit", REQUEST, metadata) == "operator-time"


def test_a_captured_request_fits_nothing_else(path: Path, clock: Clock) -> None:
    zoe, eve = new(path, "zoe", *operators.ROLES), new(path, "eve", "audit")
    guard = Guard("bank-a", path, clock)
    decision = DecisionRequest(job="00112233")
    metadata = zoe.metadata("bank-a", "Deny", decision, clock.now)
    assert refused(guard, "Approve", decision, metadata) == "operator-unknown"
    other = DecisionRequest(job="44556677")
    assert refused(guard, "Deny", other, metadata) == "operator-unknown"
    elsewhere = zoe.metadata("bank-b", "Deny", decision, clock.now)
    assert refused(guard, "Deny", decision, elsewhere) == "operator-unknown"
    # Eve signs in Zoe's name, and puts her name on Zoe's signature.
    forged = OperatorKey("zoe", eve.secret).metadata("bank-a", "Deny", decision, clock.now)
    assert refused(guard, "Deny", decision, forged) == "operator-unknown"
    renamed = (("jc-operator", "eve"), *metadata[1:])
    assert refused(guard, "Deny", decision, renamed) == "operator-unknown"
    fields = dict(metadata)
    for key, value in (("jc-time", str(int(fields["jc-time"]) + 1)), ("jc-nonce", "0" * 32)):
        changed = tuple((fields | {key: value}).items())
        assert refused(guard, "Deny", decision, changed) == "operator-unknown"
    # None of it used the nonce up.
    assert guard.verify("Deny", decision, metadata).name == "zoe"


@pytest.mark.parametrize("skew", [-121.0, 121.0])
def test_time(path: Path, clock: Clock, skew: float) -> None:
    zoe = new(path, "zoe", "submit")
    guard = Guard("bank-a", path, clock)
    clock.now += 1000
    signed = zoe.metadata("bank-a", "Submit", REQUEST, clock.now + skew)
    assert refused(guard, "Submit", REQUEST, signed) == "operator-time"
    signed = zoe.metadata("bank-a", "Submit", REQUEST, clock.now + skew * 0.99)
    assert guard.verify("Submit", REQUEST, signed).name == "zoe"


def test_a_request_from_before_a_restart_is_refused(path: Path, clock: Clock) -> None:
    zoe = new(path, "zoe", "submit")
    metadata = zoe.metadata("bank-a", "Submit", REQUEST, clock.now)
    Guard("bank-a", path, clock).verify("Submit", REQUEST, metadata)
    clock.now += 1
    assert refused(Guard("bank-a", path, clock), "Submit", REQUEST, metadata) == "operator-time"


def test_missing_doubled_and_malformed_metadata(path: Path, clock: Clock) -> None:
    zoe = new(path, "zoe", "submit")
    guard = Guard("bank-a", path, clock)
    good = dict(zoe.metadata("bank-a", "Submit", REQUEST, clock.now))
    assert refused(guard, "Submit", REQUEST, ()) == "operator-unsigned"
    for key, value in good.items():
        others = [pair for pair in good.items() if pair[0] != key]
        bad: tuple[object, ...] = ("", value.upper() + "X", value + "\n", value * 999, b"x", "٣")
        for wrong in bad:
            assert refused(guard, "Submit", REQUEST, [*others, (key, wrong)]) == (
                "operator-unsigned"
            )
        assert refused(guard, "Submit", REQUEST, others) == "operator-unsigned"
        assert refused(guard, "Submit", REQUEST, [*good.items(), (key, value)]) == (
            "operator-unsigned"
        )


def test_roles(path: Path, clock: Clock) -> None:
    keys = {role: new(path, role + "-1", role) for role in operators.ROLES}
    guard = Guard("bank-a", path, clock)
    allowed: dict[str, set[str]] = {role: set() for role in keys}
    for role, key in keys.items():
        for method in PERMITTED:
            metadata = key.metadata("bank-a", method, JobsRequest(), clock.now)
            try:
                guard.verify(method, JobsRequest(), metadata)
                allowed[role].add(method)
            except Refused as error:
                assert error.code == "operator-role"
    assert allowed["approve"] - allowed["audit"] == {"Approve", "Deny", "Cancel"}
    assert allowed["submit"] - allowed["audit"] == {"Partner", "Submit", "Result", "Cancel"}
    assert allowed["audit"] == allowed["submit"] & allowed["approve"] - {"Cancel"}
    metadata = keys["submit"].metadata("bank-a", "Format", JobsRequest(), clock.now)
    assert refused(guard, "Format", JobsRequest(), metadata) == "operator-role"


def test_every_method_of_the_service_has_roles() -> None:
    service = operator_pb2.DESCRIPTOR.services_by_name["Operator"]
    assert {method.name for method in service.methods} == set(PERMITTED)


def test_removal_takes_effect_at_once(path: Path, clock: Clock) -> None:
    empty = path.read_text()
    zoe = new(path, "zoe", "submit")
    guard = Guard("bank-a", path, clock)
    guard.verify("Submit", REQUEST, zoe.metadata("bank-a", "Submit", REQUEST, clock.now))
    path.write_text(empty)
    metadata = zoe.metadata("bank-a", "Submit", REQUEST, clock.now)
    assert refused(guard, "Submit", REQUEST, metadata) == "operator-unknown"
    path.write_text("[[operator]]\n")
    with pytest.raises(ConfigError):
        guard.verify("Submit", REQUEST, metadata)


def test_nonces_are_bounded(path: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(operators, "MOST_NONCES", 5)
    zoe = new(path, "zoe", "submit")
    guard = Guard("bank-a", path, clock)

    def ask() -> None:
        guard.verify("Submit", REQUEST, zoe.metadata("bank-a", "Submit", REQUEST, clock.now))

    for _ in range(5):
        ask()
    metadata = zoe.metadata("bank-a", "Submit", REQUEST, clock.now)
    assert refused(guard, "Submit", REQUEST, metadata) == "operator-busy"
    clock.now += 121
    ask()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('[[operator]]\nname = "a"\nkey = "AA=="\nroles = ["submit"]\n', "line 3: key must be"),
        ('[[operator]]\nname = "a"\nkey = "?"\nroles = ["submit"]\n', "line 3: key must be"),
        ('[[operator]]\nname = "a"\nkey = "AA=="\nroles = ["root"]\n', "line 4: roles are"),
        ('[[operator]]\nname = "a"\nkey = "AA=="\nroles = []\n', "line 4: roles are"),
        ('[[operator]]\nname = "a"\nkey = "AA=="\nrole = []\n', "lacks roles"),
    ],
)
def test_operator_errors(text: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        parse_operators(text)


def test_names_and_keys_are_enrolled_once(path: Path) -> None:
    zoe = new(path, "zoe", "submit")
    with pytest.raises(ConfigError, match="'zoe' is there twice"):
        enrol(path, "zoe", bytes(32), ["submit"])
    with pytest.raises(ConfigError, match="have one key"):
        enrol(path, "eve", zoe.public, ["approve"])
    assert set(parse_operators(path.read_text())) == {"zoe"}
