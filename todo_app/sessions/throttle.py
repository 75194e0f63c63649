"""Failed attempts to show who somebody is, counted so that guessing leads nowhere.

Each attempt is counted before it is looked at, and taken back where it was right, so that a
thousand at one instant are no more than one after the other. An account that does not exist is
counted like any other. From one network 5 may fail in 15 minutes. Where 50 fail in an hour, from
wherever, only networks from which this account has signed in lately may go on: whoever guesses from
many places locks the account for themselves, and not for the one whose it is.
"""

from __future__ import annotations

import hashlib
import time
from dataclasses import dataclass
from datetime import timedelta

from todo_app.counters import Change, Counters
from todo_app.errors import AppError
from todo_app.limits import shared_counters
from todo_app.origin import caller_network

FAILURES_HERE = 5
HERE_SECONDS = 15 * 60
"""So many attempts of one network at one account may fail in this time."""

FAILURES_EVERYWHERE = 50
EVERYWHERE_SECONDS = 60 * 60
"""So many of all networks, before those that are not known have to wait."""

KNOWN_SECONDS = int(timedelta(days=30).total_seconds())
"""A network is known for at least as long after it was last used, and at most twice."""


class TooManyAttemptsError(AppError):
    """Too many attempts have failed; even a right one is refused for a while."""

    status = 429
    code = "too-many-attempts"
    detail = "Too many attempts have failed. Wait and try again."

    def __init__(self, seconds: int) -> None:
        super().__init__(headers={"Retry-After": str(seconds)})


@dataclass(frozen=True)
class Attempt:
    """An attempt that counts as failed until it is said to be otherwise."""

    counters: Counters
    account: str
    network: str

    def succeeded(self, *also_known_as: str) -> None:
        """Forget failures from here, and know this network from now on.

        Args:
            also_known_as: other names of the same account, for which the network is known, too.
        """
        period = _period()
        known = [
            Change(_key("known", account, self.network, str(period)), 1, 2 * KNOWN_SECONDS)
            for account in (self.account, *also_known_as)
        ]
        self.counters.change(self._everywhere(-1), *known, drop=(self._here().key,))

    def forgive(self) -> None:
        """Take the attempt back: it was neither a failure nor a success."""
        self.counters.change(self._here(-1), self._everywhere(-1))

    def _here(self, amount: int = 1) -> Change:
        return Change(_key("here", self.account, self.network), amount, HERE_SECONDS)

    def _everywhere(self, amount: int = 1) -> Change:
        return Change(_key("everywhere", self.account), amount, EVERYWHERE_SECONDS)

    def check(self) -> None:
        """Count the attempt.

        Raises:
            TooManyAttemptsError: it must not be made.
        """
        here, everywhere = self.counters.change(self._here(), self._everywhere())
        if here > FAILURES_HERE:
            refused_by = self._here()
        elif everywhere > FAILURES_EVERYWHERE and not self._is_known():
            refused_by = self._everywhere()
        else:
            return
        # One network alone, however often it tries, must not use up what all have.
        self.counters.change(self._everywhere(-1))
        raise TooManyAttemptsError(self.counters.seconds_left(refused_by.key))

    def _is_known(self) -> bool:
        period = _period()
        seen = self.counters.change(
            *(
                Change(_key("known", self.account, self.network, str(number)), 0, 1)
                for number in (period, period - 1)
            )
        )
        return any(seen)


def attempt(account: str, tenant: str = "") -> Attempt:
    """Count an attempt of the current request's sender.

    Args:
        account: the email address.
        tenant: schema name; empty where the request names none. Such attempts are counted apart,
            or the counts would tell in which tenant an address has an account.

    Raises:
        TooManyAttemptsError: it must not be made.
    """
    result = Attempt(shared_counters(), name_of(account, tenant), caller_network())
    result.check()
    return result


def name_of(account: str, tenant: str = "") -> str:
    """What an account is called here."""
    return f"{tenant}|{account.lower()}"


def _period() -> int:
    return int(time.time() // KNOWN_SECONDS)


def _key(kind: str, *parts: str) -> str:
    """A counter's key, from which neither address can be read."""
    return f"todo:attempts:{kind}:{hashlib.sha256('|'.join(parts).encode()).hexdigest()}"
