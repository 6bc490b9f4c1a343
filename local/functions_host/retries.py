"""Function-level retry policies: the same input again, until it succeeds or the policy ends.

In Azure the host carries them out for timers and for Kafka, among others
(https://learn.microsoft.com/azure/azure-functions/functions-bindings-error-pages).
"""

from collections.abc import Awaitable, Callable

from local.functions_host.functions import RetryPolicy
from local.functions_host.invocations import Outcome, RetryState


async def with_retries(
    attempt: Callable[[RetryState | None], Awaitable[Outcome]],
    policy: RetryPolicy | None,
    pause: Callable[[float], Awaitable[bool]],
) -> Outcome:
    """Attempt, and again as the policy says; give the last outcome.

    `pause` waits so many seconds and says whether to go on.
    """
    outcome = await attempt(None)
    count = 0
    while policy and not outcome.succeeded and (policy.count < 0 or count < policy.count):
        if not await pause(retry_delay(policy, count)):
            break
        count += 1
        outcome = await attempt(RetryState(count, policy.count, outcome.error))
    return outcome


def retry_delay(policy: RetryPolicy, retries: int) -> float:
    """Seconds before the next attempt, after this many retries: fixed, or doubling up to `most`."""
    if policy.fixed is not None:
        return policy.fixed
    grown = (policy.least or 1.0) * float(2 ** min(retries, 30))
    return min(grown, max(policy.most, policy.least))
