"""One table from codes to exit codes, gRPC statuses, texts and remedies."""

from __future__ import annotations

import pytest
from grpc import StatusCode

from mpc.errors import Malformed
from parties import status
from parties.data_errors import DataError
from parties.errors import ConfigError
from protocols.errors import Cancelled, LinkLost, Misuse, PeerFault, Refused


@pytest.mark.parametrize(
    ("error", "exit_code"),
    [
        (ConfigError("no such file"), 2),
        (Misuse("rows-outside-plan"), 2),
        (Misuse("internal-error"), 1),
        (Refused("acme", "policy-columns", "policy 3: columns"), 3),
        (Refused("acme", "never-heard-of"), 3),
        (Refused("acme", "policy-approval"), 6),
        (Refused("acme", "draining"), 5),
        (Refused("acme", "plan-expired"), 3),
        (Refused("acme", "internal-error"), 3),
        (DataError("no-such-file", "dataset 'x': no such file"), 2),
        (Misuse("lane-shared"), 1),
        (PeerFault("acme", "point-not-canonical"), 4),
        (PeerFault("acme", "deadline"), 4),
        (Malformed("unparsable"), 4),
        (LinkLost("acme", "unreachable"), 5),
        (LinkLost("acme", "policy-approval"), 5),
        (Cancelled("deadline"), 5),
        (Cancelled("cancelled", "admin"), 1),
        (TimeoutError(), 5),
        (ConnectionResetError(), 5),
        (RuntimeError("canary-4711"), 1),
        (KeyboardInterrupt(), 1),
    ],
)
def test_exit_codes(error: BaseException, exit_code: int) -> None:
    assert status.exit_code(error) == exit_code


def test_a_peer_is_told_a_code_and_never_our_text() -> None:
    assert status.public_code(Misuse("rows-outside-plan", "canary-4711")) == "rows-outside-plan"
    assert status.public_code(RuntimeError("canary-4711")) == "internal-error"
    assert status.public_code(ConfigError("canary-4711")) == "internal-error"
    assert status.public_code(DataError("changed", "canary-4711")) == "local-data"
    assert status.public_code(TimeoutError("canary-4711")) == "deadline"


def test_grpc_statuses() -> None:
    assert status.grpc_status(Refused("me", "peer-unknown")) is StatusCode.UNAUTHENTICATED
    assert status.grpc_status(Refused("me", "operator-role")) is StatusCode.PERMISSION_DENIED
    assert status.grpc_status(RuntimeError()) is StatusCode.INTERNAL


def test_a_code_that_a_peer_made_up_gets_the_general_answer() -> None:
    code = "\x1b[2J" + "x" * 10_000
    assert status.public_text(code) == "the session failed"
    assert len(status.remedy(code)) < 100


def test_every_line_reads_as_one() -> None:
    for code, line in status.TABLE.items():
        assert code == code.lower() and " " not in code
        for text in (line.text, line.remedy):
            assert text and text.isprintable() and len(text) < 90 and text[-1] not in ".;"


def test_config_errors_are_one_line() -> None:
    error = ConfigError("unknown key 'nmae'", where="node.toml", line=3, remedy="see name")
    assert str(error) == "node.toml, line 3: unknown key 'nmae'; see name"
