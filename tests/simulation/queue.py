"""Service Bus as the simulation needs it: locks that end, deliveries that count, no order."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from random import Random

LOCK_SECONDS = 300.0
MAX_DELIVERIES = 100


@dataclass(slots=True)
class QueuedMessage:
    """A message and its present delivery; `lock` tells deliveries of one message apart."""

    number: int
    body: bytes
    deliveries: int = 0
    lock: int = 0
    locked_until: float = 0.0


@dataclass(slots=True)
class Queue:
    """Messages that are waiting or locked. What no worker completes comes again."""

    random: Random
    messages: list[QueuedMessage] = field(default_factory=list)
    dead: list[QueuedMessage] = field(default_factory=list)

    def send(self, body: bytes) -> None:
        self.messages.append(QueuedMessage(len(self.messages), body))

    def receive(self, most: int) -> list[tuple[QueuedMessage, int]]:
        """Lock some messages, in any order; with each the lock that settles it."""
        now = asyncio.get_running_loop().time()
        free = [message for message in self.messages if message.locked_until <= now]
        self.random.shuffle(free)
        taken = []
        for message in free[:most]:
            if message.deliveries >= MAX_DELIVERIES:
                self.messages.remove(message)
                self.dead.append(message)
                continue
            message.deliveries += 1
            message.lock += 1
            message.locked_until = now + LOCK_SECONDS
            taken.append((message, message.lock))
        return taken

    def complete(self, message: QueuedMessage, lock: int) -> None:
        """Settle; a lock that was lost settles nothing."""
        if self._holds(message, lock):
            self.messages.remove(message)

    def abandon(self, message: QueuedMessage, lock: int) -> None:
        if self._holds(message, lock):
            message.locked_until = 0.0

    def _holds(self, message: QueuedMessage, lock: int) -> bool:
        now = asyncio.get_running_loop().time()
        return message in self.messages and message.lock == lock and message.locked_until > now
