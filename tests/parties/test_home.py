"""The node's directory: made whole, or not at all."""

from __future__ import annotations

import os
import socket
import tempfile
from pathlib import Path

import pytest

from mpc.secret import Secret
from parties.cards import read_card
from parties.errors import ConfigError
from parties.home import Home, init_node, socket_path
from parties.operators import parse_operators
from parties.policy import read_policy


def test_a_new_node_is_complete_and_shut(tmp_path: Path) -> None:
    card = init_node(tmp_path / "a" / "node", "bank-a", "127.0.0.1:7001")
    home = Home.open(tmp_path / "a" / "node")
    assert home.card() == card == read_card(home.directory / "bank-a.card")
    assert card.endpoint == "127.0.0.1:7001"
    assert read_policy(home.policy_toml).rules == ()
    assert home.store().cards() == {}
    operators = parse_operators(home.operators_toml.read_text())
    assert operators["admin"].roles == {"submit", "approve", "audit"}
    assert operators["admin"].key == home.operator().public
    for private in (home.directory, home.keys, home.state, home.trust):
        assert private.stat().st_mode & 0o777 == 0o700
    for path in home.keys.rglob("*.key"):
        assert path.stat().st_mode & 0o777 == 0o600
    assert [path.name for path in (tmp_path / "a").iterdir()] == ["node"]
    assert len(home.node_toml.read_text().splitlines()) <= 24


def test_a_second_init_changes_nothing(tmp_path: Path) -> None:
    card = init_node(tmp_path / "node", "bank-a", "127.0.0.1:7001")
    with pytest.raises(ConfigError, match="is here already"):
        init_node(tmp_path / "node", "bank-a", "127.0.0.1:7001")
    assert Home.open(tmp_path / "node").card() == card


def test_a_file_in_the_way_is_not_overwritten(tmp_path: Path) -> None:
    (tmp_path / "node").mkdir()
    (tmp_path / "node" / "policy.toml").write_text("# mine\n")
    with pytest.raises(ConfigError, match="in the way"):
        init_node(tmp_path / "node", "bank-a", "127.0.0.1:7001")
    assert [path.name for path in tmp_path.rglob("*")] == ["node", "policy.toml"]


@pytest.mark.parametrize(
    ("name", "listen"),
    [
        ("", "127.0.0.1:7001"),
        ("Bank", "127.0.0.1:7001"),
        ("-bank", "127.0.0.1:7001"),
        ("b" * 40, "127.0.0.1:7001"),
        ("any", "127.0.0.1:7001"),
        ("bank/../x", "127.0.0.1:7001"),
        ("bank", "127.0.0.1"),
        ("bank", "127.0.0.1:0"),
        ("bank", "127.0.0.1:65536"),
        ("bank", "http://x:1"),
        ("bank", "0.0.0.0:7001"),
        ("bank", "[::]:7001"),
    ],
)
def test_bad_names_and_addresses_leave_nothing_behind(
    tmp_path: Path, name: str, listen: str
) -> None:
    with pytest.raises(ConfigError):
        init_node(tmp_path / "node", name, listen)
    assert list(tmp_path.iterdir()) == []


def test_listening_everywhere_needs_an_address_for_partners(tmp_path: Path) -> None:
    card = init_node(
        tmp_path / "node", "bank-a", "0.0.0.0:7001", advertise="bank-a.example:443"
    )
    settings = Home.open(tmp_path / "node").settings()
    assert card.endpoint == settings.endpoint == "bank-a.example:443"
    assert settings.listen == "0.0.0.0:7001"


def test_keys_may_be_sealed(tmp_path: Path) -> None:
    passphrase = Secret("correct horse")
    card = init_node(tmp_path / "node", "bank-a", "[::1]:7001", passphrase=passphrase)
    home = Home.open(tmp_path / "node")
    assert home.card(passphrase) == card
    assert home.operator("admin", passphrase).name == "admin"
    with pytest.raises(ConfigError, match="passphrase"):
        home.operator()
    with pytest.raises(ConfigError, match="no key of operator zoe"):
        home.operator("zoe", passphrase)


def test_no_node(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="node init"):
        Home.open(tmp_path)


def test_the_socket_of_a_long_path_can_be_bound(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with tempfile.TemporaryDirectory(prefix="jc") as short:
        monkeypatch.setenv("XDG_RUNTIME_DIR", short)
        deep = tmp_path / ("d" * 100) / ("e" * 100)
        init_node(deep, "bank-a", "127.0.0.1:7001")
        home = Home.open(deep)
        with pytest.raises(ConfigError, match="node serve"):
            home.socket()
        path = home.claim_socket()
        assert len(os.fsencode(path)) <= 107 and path.parent.stat().st_mode & 0o777 == 0o700
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(str(path))
        # A command line in another environment still finds it.
        monkeypatch.delenv("XDG_RUNTIME_DIR")
        assert home.socket() == path
        assert socket_path(deep) != socket_path(tmp_path)


def test_a_runtime_directory_of_somebody_else_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    target = tmp_path / "target"
    target.mkdir()
    (tmp_path / "jointcredit").symlink_to(target)
    if len(str(tmp_path)) < 70:
        with pytest.raises(ConfigError, match="not our own directory"):
            socket_path(tmp_path)
    (tmp_path / "jointcredit").unlink()
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path / "d" / ("x" * 120)))
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / ("y" * 120)))
    with pytest.raises(ConfigError, match="107 bytes"):
        socket_path(tmp_path)
