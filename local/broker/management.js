"use strict";

const { types } = require("rhea");
const { Refusal, refusals } = require("./errors");
const { MAX_REPLY_BYTES, MAX_REPLY_MESSAGES } = require("./limits");
const { Message } = require("./message");
const { plain, typedMap } = require("./sections");

/**
 * The operations of `$management` (Azure Service Bus, "AMQP 1.0 in Azure Service Bus:
 * request-response-based operations").
 *
 * Each takes a queue and the request's body, a map of typed values, and gives the reply's body;
 * it throws a Refusal, whose status the reply tells.
 */

/** @typedef {import("./queue").Queue} Queue */
/** @typedef {Map<string, any>} Body */

/** Before this, `last-updated-time` asks for sessions by their state; at it, for all. */
const NO_TIME_MS = 253402300800000;
const RECEIVE_AND_DELETE = 0;

const noContent = (condition, text) => new Refusal(condition, text, 204);

/** @param {Queue} queue @param {Body} body */
function renewLock(queue, body) {
  const until = lockedMessages(queue, body).map((message) => queue.renew(message));
  return { expirations: types.wrap_array(until, types.Timestamp.typecode) };
}

/** @param {Queue} queue @param {Body} body */
function peekMessage(queue, body) {
  const from = Number(plain(body.get("from-sequence-number")) ?? 0);
  const wanted = Math.min(Number(plain(body.get("message-count")) ?? 1), MAX_REPLY_MESSAGES);
  const sessionId = plain(body.get("session-id")) ?? null;
  const messages = [];
  let bytes = 0;
  for (const message of queue.messages()) {
    if (messages.length >= wanted || bytes > MAX_REPLY_BYTES) break;
    if (message.sequence < from || queue.isExpired(message)) continue;
    if (sessionId !== null && message.sessionId !== sessionId) continue;
    messages.push({ message: message.render(false) });
    bytes += message.size;
  }
  if (messages.length === 0) throw noContent("com.microsoft:message-not-found", "No messages.");
  return { messages };
}

/** @param {Queue} queue @param {Body} body */
function scheduleMessage(queue, body) {
  const encoded = list(body, "messages").map((each) => typedMap(each).get("message")?.value);
  if (!encoded.every(Buffer.isBuffer)) throw refusals.argument("A message has no bytes.");
  const limit = queue.settings.maxMessageBytes;
  const tooLarge = encoded.find((bytes) => bytes.length > limit);
  if (tooLarge) throw refusals.messageTooLarge(tooLarge.length, limit);
  const numbers = queue.enqueue(encoded.map((bytes) => Message.fromWire(bytes)));
  return { "sequence-numbers": types.wrap_array(numbers, types.Long.typecode) };
}

/** @param {Queue} queue @param {Body} body */
function cancelScheduledMessage(queue, body) {
  queue.cancelScheduled(numbers(body, "sequence-numbers"));
  return {};
}

/** @param {Queue} queue @param {Body} body */
function updateDisposition(queue, body) {
  const messages = lockedMessages(queue, body);
  const properties = typedMap(body.get("properties-to-modify"));
  const reasons = { "deadletter-reason": "DeadLetterReason" };
  reasons["deadletter-description"] = "DeadLetterErrorDescription";
  for (const [field, name] of Object.entries(reasons)) {
    if (plain(body.get(field))) properties.set(name, body.get(field));
  }
  const status = plain(body.get("disposition-status"));
  const acts = {
    completed: (message) => queue.complete(message),
    abandoned: (message) => queue.abandon(message, properties),
    // The protocol's own spelling.
    defered: (message) => queue.defer(message, properties),
    suspended: (message) => queue.deadLetter(message, properties),
    unlocked: (message) => queue.release(message),
  };
  if (!Object.hasOwn(acts, String(status))) {
    throw refusals.argument(`There is no disposition status '${status}'.`);
  }
  for (const message of messages) acts[status](message);
  return {};
}

/** @param {Queue} queue @param {Body} body */
function receiveBySequenceNumber(queue, body) {
  const mode = plain(body.get("receiver-settle-mode"));
  const sessionId = plain(body.get("session-id")) ?? null;
  if (queue.sessions?.isFree(sessionId)) throw refusals.sessionLockLost();
  const found = numbers(body, "sequence-numbers").map((number) => queue.deferred(number));
  const mine = (message) => message && (!queue.sessions || message.sessionId === sessionId);
  if (found.length === 0 || !found.every(mine)) {
    throw refusals.messageNotFound("A deferred message was not found.");
  }
  const messages = [...new Set(found)].map((message) => {
    if (mode === RECEIVE_AND_DELETE) {
      queue.consume(message);
      return { "lock-token": types.wrap_uuid(Buffer.alloc(16)), message: message.render(false) };
    }
    queue.lock(message);
    const token = types.wrap_uuid(Buffer.from(message.lockToken, "hex"));
    return { "lock-token": token, message: message.render(true) };
  });
  return { messages };
}

/** @param {Queue} queue @param {Body} body */
function getSessionState(queue, body) {
  return { "session-state": sessionsOf(queue).state(sessionId(body))?.bytes ?? null };
}

/** @param {Queue} queue @param {Body} body */
function setSessionState(queue, body) {
  sessionsOf(queue);
  const bytes = plain(body.get("session-state")) ?? null;
  if (bytes !== null && !Buffer.isBuffer(bytes)) throw refusals.argument("A state is binary.");
  queue.setSessionState(sessionId(body), bytes === null ? null : Buffer.from(bytes));
  return {};
}

/** @param {Queue} queue @param {Body} body */
function renewSessionLock(queue, body) {
  const until = sessionsOf(queue).renew(sessionId(body));
  if (until === null) throw refusals.sessionLockLost();
  return { expiration: types.wrap_timestamp(until) };
}

/** @param {Queue} queue @param {Body} body */
function getMessageSessions(queue, body) {
  const sessions = sessionsOf(queue);
  const since = Number(plain(body.get("last-updated-time")) ?? NO_TIME_MS);
  const skip = Number(plain(body.get("skip")) ?? 0);
  const top = Number(plain(body.get("top")) ?? 100);
  const updated = [...sessions.states()].filter(([, state]) => state.updatedAt > since);
  const ids = since >= NO_TIME_MS ? queue.sessionIds() : updated.map(([id]) => id);
  const page = ids.sort().slice(skip, skip + top);
  if (page.length === 0) throw noContent("com.microsoft:session-not-found", "No sessions.");
  return {
    skip: types.wrap_int(skip),
    "sessions-ids": types.wrap_array(page, types.Str32.typecode),
  };
}

const OPERATIONS = {
  "com.microsoft:renew-lock": renewLock,
  "com.microsoft:peek-message": peekMessage,
  "com.microsoft:schedule-message": scheduleMessage,
  "com.microsoft:cancel-scheduled-message": cancelScheduledMessage,
  "com.microsoft:update-disposition": updateDisposition,
  "com.microsoft:receive-by-sequence-number": receiveBySequenceNumber,
  "com.microsoft:get-session-state": getSessionState,
  "com.microsoft:set-session-state": setSessionState,
  "com.microsoft:renew-session-lock": renewSessionLock,
  "com.microsoft:get-message-sessions": getMessageSessions,
};

/**
 * Do what a request asks for.
 *
 * @param {Queue} queue
 * @param {string} operation
 * @param {Body} body
 * @returns {object} the reply's body
 * @throws {Refusal}
 */
function manage(queue, operation, body) {
  if (!Object.hasOwn(OPERATIONS, operation)) {
    throw new Refusal("amqp:not-implemented", `There is no operation '${operation}' here.`, 501);
  }
  return OPERATIONS[operation](queue, body);
}

/** The messages that the request's lock tokens lock: all of them, or a refusal. */
function lockedMessages(queue, body) {
  return list(body, "lock-tokens").map((token) => {
    const bytes = Buffer.isBuffer(token?.value) ? token.value : token;
    if (!Buffer.isBuffer(bytes)) throw refusals.argument("A lock token is a uuid.");
    return queue.locked(bytes.toString("hex"));
  });
}

/** The items of a list or array, with their types. */
function list(body, name) {
  const value = body.get(name)?.value;
  if (!Array.isArray(value)) throw refusals.argument(`${name} is missing.`);
  return value;
}

function numbers(body, name) {
  return list(body, name).map((item) => Number(plain(item)));
}

function sessionId(body) {
  const id = plain(body.get("session-id"));
  if (typeof id !== "string") throw refusals.argument("session-id is missing.");
  return id;
}

function sessionsOf(queue) {
  if (queue.sessions) return queue.sessions;
  throw refusals.sessionsUnknown();
}

module.exports = { manage };
