"""The trust store: whom a node believes, from one look-up to the next."""

from __future__ import annotations

import datetime
from dataclasses import replace
from pathlib import Path

import pytest

from parties.cards import Card, make_card
from parties.errors import ConfigError
from parties.identity import Identity
from parties.trust import TrustStore

NOW = datetime.datetime(2026, 11, 23, 12, tzinfo=datetime.UTC)
LATER = NOW + datetime.timedelta(days=30)
A = Identity.create("acme", NOW)
ACME = make_card(A, "acme.example:7001")


@pytest.fixture
def store(tmp_path: Path) -> TrustStore:
    return TrustStore(tmp_path, "bank-a")


def test_added_found_and_removed(store: TrustStore) -> None:
    assert store.cards() == {} and store.by_certificate(ACME.der) is None
    assert store.add(ACME)
    assert not store.add(ACME)
    assert store.get("acme") == ACME
    assert store.by_certificate(ACME.der) == ACME
    assert store.by_key(A.signing_key) == ACME
    assert store.current(NOW) == (ACME,)
    assert store.current(NOW + datetime.timedelta(days=400)) == ()
    store.remove("acme")
    assert store.cards() == {}
    with pytest.raises(ConfigError, match="acme is not a trusted party"):
        store.get("acme")


def test_a_running_node_sees_what_another_process_changes(tmp_path: Path) -> None:
    running, command = TrustStore(tmp_path, "bank-a"), TrustStore(tmp_path, "bank-a")
    assert running.by_key(A.signing_key) is None
    command.add(ACME)
    assert running.by_key(A.signing_key) == ACME
    (tmp_path / "acme.card").unlink()
    assert running.by_key(A.signing_key) is None


def test_a_name_stays_with_its_key(store: TrustStore) -> None:
    store.add(ACME)
    imposter = make_card(Identity.create("acme", LATER), "acme.example:7001")
    with pytest.raises(ConfigError, match="pinned to another key") as caught:
        store.add(imposter)
    assert ACME.fingerprint in str(caught.value) and imposter.fingerprint in str(caught.value)
    assert store.get("acme") == ACME
    assert store.add(imposter, replace=True)
    assert store.get("acme") == imposter


def test_certificates_change_forward_alone(store: TrustStore) -> None:
    renewed = make_card(A.renewed(LATER), "new.example:7001")
    store.add(ACME)
    assert store.add(renewed)
    with pytest.raises(ConfigError, match="newer card"):
        store.add(ACME)
    assert store.by_certificate(ACME.der) is None


def test_one_key_has_one_name(store: TrustStore) -> None:
    store.add(ACME)
    alias = make_card(replace(A.renewed(NOW), name="zeta"), "zeta.example:7001")
    with pytest.raises(ConfigError, match="key of acme"):
        store.add(alias, replace=True)


def test_our_own_name_is_not_for_others(store: TrustStore) -> None:
    with pytest.raises(ConfigError, match="own name"):
        store.add(make_card(Identity.create("bank-a", NOW), "evil.example:7001"), replace=True)


def test_damaged_and_misplaced_files_are_not_trusted(tmp_path: Path, store: TrustStore) -> None:
    store.add(ACME)
    text = (tmp_path / "acme.card").read_text()
    (tmp_path / "zeta.card").write_text(text)
    (tmp_path / "broken.card").write_text(text.replace("acme.example", "evil.example"))
    assert set(store.cards()) == {"acme"}
    assert [problem.split("/")[-1].split(":")[0] for problem in store.problems] == [
        "broken.card",
        "zeta.card",
    ]
    (tmp_path / "acme.card").write_text("{}")
    assert store.cards() == {}
    assert isinstance(ACME, Card)
