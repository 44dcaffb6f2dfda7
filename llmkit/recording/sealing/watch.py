"""Where a process went while the network was open: what a closed seal would have refused."""

from __future__ import annotations

from collections import Counter

from llmkit.recording.addresses import Address
from llmkit.recording.sealing import hook
from llmkit.recording.sealing.policy import Policy


class Watch:
    """Counts, between `start` and `stop`, the connections and datagrams of this process that ``policy`` objects to.

    Look-ups, Unix sockets, allowed hosts and this machine don't count; a provider on this machine does. Child
    processes are not seen.
    """

    def __init__(self, policy: Policy) -> None:
        self._policy = policy
        self._is_on = False
        self.reached: Counter[Address] = Counter()

    def start(self) -> None:
        """Begin to count, from nothing."""
        self.reached.clear()
        if not self._is_on:
            self._is_on = True
            hook.post(self)

    def stop(self) -> None:
        """Count no more; ``reached`` stays."""
        if self._is_on:
            self._is_on = False
            hook.relieve(self)

    def check_host(self, host: object) -> None:
        """Learn the addresses of allowed hosts."""
        self._policy.on_lookup(host)

    def check_reverse(self, address: object) -> None:
        """Take no notice."""

    def check_address(self, family: int, address: object) -> None:
        """Count traffic that the policy objects to."""
        reached = self._policy.reached(family, address)
        if reached is not None:
            self.reached[reached] += 1
