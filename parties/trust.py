"""The trust store: one card for each partner, as files that people can list and remove."""

from __future__ import annotations

import datetime
from collections.abc import Mapping
from pathlib import Path

from parties.cards import Card, parse_expired_card, read_card_text
from parties.errors import ConfigError
from parties.tomlfile import file_stamp, write_atomic


class TrustStore:
    """Cards in ``directory``/NAME.card, as party ``me`` trusts them.

    Every look-up sees the files as they are now: adding or removing one takes effect at once, on
    open connections too. A file that is damaged, or named after another party, is not trusted;
    :attr:`problems` tells why.
    """

    def __init__(self, directory: Path, me: str) -> None:
        self.me = me
        self._directory = directory
        self._stamps: dict[str, tuple[int, int, int] | None] | None = None
        self._cards: dict[str, Card] = {}
        self._problems: tuple[str, ...] = ()

    def cards(self) -> Mapping[str, Card]:
        """Trusted cards by party name, expired ones included."""
        self._refresh()
        return self._cards

    @property
    def problems(self) -> tuple[str, ...]:
        """One line for each file that is not trusted."""
        self._refresh()
        return self._problems

    def by_certificate(self, der: bytes) -> Card | None:
        """The party whose certificate is ``der``, byte for byte."""
        return next((card for card in self.cards().values() if card.der == der), None)

    def by_key(self, signing_key: bytes) -> Card | None:
        """The party whose signing key this is."""
        return next((c for c in self.cards().values() if c.signing_key == signing_key), None)

    def get(self, name: str) -> Card:
        """Raises ``ConfigError`` for a party that is not trusted."""
        card = self.cards().get(name)
        if card is None:
            raise ConfigError(
                f"{name} is not a trusted party", remedy="get its card, then: node trust DIR CARD"
            )
        return card

    def add(self, card: Card, *, replace: bool = False) -> bool:
        """Pins ``card``; false if it was there already.

        A newer card of the same signing key takes the older one's place (that is how certificates
        and addresses change). Without ``replace`` a name that is pinned to another signing key is
        refused, and so is an older card. Two names never share a key or a certificate.
        """
        pinned = self.cards().get(card.name)
        if card == pinned:
            return False
        if card.name == self.me:
            raise ConfigError(f"{card.name} is this node's own name", remedy="two parties differ")
        for other in self._cards.values():
            same = card.signing_key == other.signing_key or card.der == other.der
            if same and other.name != card.name:
                raise ConfigError(f"{card.name} has the key of {other.name}, which is trusted")
        if pinned is not None and not replace:
            if pinned.signing_key != card.signing_key:
                raise ConfigError(
                    f"{card.name} is pinned to another key: {pinned.fingerprint}, "
                    f"not {card.fingerprint}",
                    remedy="ask the partner in person; --replace if the change is theirs",
                )
            if card.x509.not_valid_before_utc < pinned.x509.not_valid_before_utc:
                raise ConfigError(
                    f"a newer card of {card.name} is trusted already",
                    remedy="--replace to go back to this one",
                )
        write_atomic(self._path(card.name), card.to_json().encode(), mode=0o600)
        return True

    def remove(self, name: str) -> None:
        """Trusts ``name`` no longer."""
        self.get(name)
        self._path(name).unlink()

    def current(self, now: datetime.datetime | None = None) -> tuple[Card, ...]:
        """Cards whose certificates are valid at ``now``."""
        return tuple(card for card in self.cards().values() if card.is_current(now))

    def _path(self, name: str) -> Path:
        return self._directory / f"{name}.card"

    def _refresh(self) -> None:
        paths = sorted(self._directory.glob("*.card"))
        stamps = {path.name: file_stamp(path) for path in paths}
        if stamps == self._stamps:
            return
        cards: dict[str, Card] = {}
        problems = []
        for path in paths:
            try:
                card = parse_expired_card(read_card_text(path), path)
                if path != self._path(card.name):
                    raise ConfigError(f"holds the card of {card.name}", where=path)
                if any(
                    c.signing_key == card.signing_key or c.der == card.der for c in cards.values()
                ):
                    raise ConfigError("has the key of another trusted party", where=path)
                cards[card.name] = card
            except ConfigError as error:
                problems.append(str(error))
        self._cards, self._problems, self._stamps = cards, tuple(problems), stamps
