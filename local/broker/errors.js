"use strict";

/**
 * The two kinds of errors that the broker makes on purpose.
 *
 *     Error
 *     ├── StartupError   for the person who starts the broker: a code and a sentence
 *     └── Refusal        for the client: an AMQP error condition and a sentence
 *
 * The conditions are those that Microsoft's SDKs map to their own exceptions (Azure Service Bus,
 * "AMQP 1.0 in Azure Service Bus protocol guide" and "request/response-based operations").
 */

/** The broker cannot start, or cannot go on; `code` is stable snake_case. */
class StartupError extends Error {
  /**
   * @param {string} code
   * @param {string} message what is wrong and what to do
   */
  constructor(code, message) {
    super(message);
    this.name = "StartupError";
    this.code = code;
  }
}

/** A request of a client is refused; nothing of it was done. */
class Refusal extends Error {
  /**
   * @param {string} condition AMQP error condition
   * @param {string} description
   * @param {number} [status] what a management reply says, as in HTTP
   */
  constructor(condition, description, status = 400) {
    super(description);
    this.name = "Refusal";
    this.condition = condition;
    this.status = status;
  }
}

const refusals = {
  notFound: (address) =>
    new Refusal("amqp:not-found", `The messaging entity '${address}' could not be found.`, 404),
  lockLost: () =>
    new Refusal(
      "com.microsoft:message-lock-lost",
      "The lock supplied is invalid. Either the lock expired, or the message has already been removed from the queue.",
      410,
    ),
  sessionLockLost: () =>
    new Refusal(
      "com.microsoft:session-lock-lost",
      "The session lock has expired. Accept the session again.",
      410,
    ),
  sessionLocked: (id) =>
    new Refusal(
      "com.microsoft:session-cannot-be-locked",
      `The session '${id}' cannot be accepted. It is locked by another receiver.`,
    ),
  noSession: () =>
    new Refusal("com.microsoft:timeout", "No unlocked session with messages came up in time."),
  sessionsRequired: () =>
    new Refusal(
      "amqp:not-allowed",
      "It is not possible for an entity that requires sessions to create a non-sessionful message receiver.",
    ),
  sessionsUnknown: () =>
    new Refusal("amqp:not-allowed", "The entity has no sessions: receive without a session id."),
  sessionIdMissing: () =>
    new Refusal(
      "amqp:not-allowed",
      "The SessionId was not set on a message, and it cannot be sent to the entity: its messages need one.",
    ),
  messageNotFound: (what) => new Refusal("com.microsoft:message-not-found", what, 404),
  messageTooLarge: (bytes, limit) =>
    new Refusal(
      "amqp:link:message-size-exceeded",
      `The received message (size:${bytes} bytes) exceeds the limit (${limit} bytes) currently allowed on the link.`,
    ),
  quotaExceeded: (queue) =>
    new Refusal(
      "amqp:resource-limit-exceeded",
      `The queue '${queue}' is full. Receive messages from it, or give it a larger sizeMegabytes.`,
      403,
    ),
  undecodable: (why) => new Refusal("amqp:decode-error", `The message cannot be read: ${why}.`),
  argument: (why) => new Refusal("com.microsoft:argument-error", why),
  serverBusy: () =>
    new Refusal(
      "com.microsoft:server-busy",
      "The request was terminated because the entity is being throttled. Wait and try again.",
      503,
    ),
  forced: (description) => new Refusal("amqp:link:detach-forced", description),
};

/**
 * The error that goes over the wire.
 *
 * All three fields are always written: azure-servicebus 7.15 reads the third one of a rejected
 * disposition by its index, and a missing one makes its sender wait for ever.
 *
 * @param {Refusal} refusal
 */
function amqpError(refusal) {
  return { condition: refusal.condition, description: refusal.message, info: {} };
}

module.exports = { StartupError, Refusal, refusals, amqpError };
