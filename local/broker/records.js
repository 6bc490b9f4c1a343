"use strict";

const { StartupError } = require("./errors");
const { Message } = require("./message");

/**
 * What the journal's records say, and what is left of them when all are read.
 *
 * | record | meaning |
 * |---|---|
 * | `put` | a message as it is now, with its bytes |
 * | `set` | state and delivery count of a message have changed |
 * | `del` | a message is gone from its queue |
 * | `session` | the state of a session; without bytes, it has none any more |
 * | `next` | numbers up to this one were given out |
 *
 * `q` is a queue's name, `s` a sequence number.
 */

/** @typedef {import("./queue").Queue} Queue */
/** @typedef {import("./journal").JournalRecord} JournalRecord */

/** @param {Message} message @returns {[object, Buffer]} */
function putRecord(message) {
  const head = {
    op: "put",
    q: message.queue.name,
    s: message.sequence,
    ...stateOf(message),
    first: message.enqueueSequence,
    at: message.enqueuedAt,
    due: message.scheduledFor,
    durable: message.durable,
    priority: message.priority,
    ttl: message.ttl,
    session: message.sessionId,
    source: message.deadLetterSource,
    annotations: [message.annotations.length, message.annotationValues],
  };
  return [head, Buffer.concat([message.annotations, message.bare])];
}

/** @param {Message} message @returns {[object]} */
function setRecord(message) {
  return [{ op: "set", q: message.queue.name, s: message.sequence, ...stateOf(message) }];
}

/** @param {Message} message @returns {[object]} */
function deleteRecord(message) {
  return [{ op: "del", q: message.queue.name, s: message.sequence }];
}

/** @param {Queue} queue @param {string} id @returns {[object, Buffer]} */
function sessionRecord(queue, id) {
  const state = queue.sessions.state(id);
  const head = { op: "session", q: queue.name, id, at: state?.updatedAt, none: state === null };
  return [head, state?.bytes ?? Buffer.alloc(0)];
}

/** @param {Queue} queue @returns {[object]} */
function nextRecord(queue) {
  return [{ op: "next", q: queue.name, s: queue.lastSequence }];
}

function stateOf(message) {
  return { st: message.state, n: message.deliveryCount, deferred: message.isDeferred };
}

/** @param {JournalRecord} record of a `put` @returns {Message} */
function messageOf({ head, body }) {
  // A copy: the record is a part of a whole block, which would stay in memory with it.
  const bytes = Buffer.from(body);
  const [annotationBytes, annotationValues] = head.annotations;
  return Object.assign(new Message(), {
    sequence: head.s,
    state: head.st,
    deliveryCount: head.n,
    isDeferred: head.deferred,
    enqueueSequence: head.first,
    enqueuedAt: head.at,
    scheduledFor: head.due,
    durable: head.durable,
    priority: head.priority,
    ttl: head.ttl,
    sessionId: head.session,
    deadLetterSource: head.source,
    annotations: bytes.subarray(0, annotationBytes),
    annotationValues,
    bare: bytes.subarray(annotationBytes),
  });
}

/** What is left of one queue. */
class Remains {
  messages = /** @type {Map<number, JournalRecord>} */ (new Map());
  sessions = /** @type {Map<string, JournalRecord>} */ (new Map());
  lastSequence = 0;

  /** Fill an empty queue. @param {Queue} queue */
  restore(queue) {
    queue.lastSequence = this.lastSequence;
    const inOrder = [...this.messages.values()].sort((a, b) => a.head.s - b.head.s);
    for (const record of inOrder) queue.restore(messageOf(record));
    for (const { head, body } of this.sessions.values()) {
      queue.sessions?.setState(head.id, Buffer.from(body), head.at);
    }
  }
}

/** Reads records one after the other. */
class Replay {
  #queues = /** @type {Map<string, Remains>} */ (new Map());

  /** @param {JournalRecord} record */
  apply(record) {
    const { head } = record;
    const { messages, sessions } = this.#of(head.q);
    if (head.op === "put") messages.set(head.s, record);
    else if (head.op === "set")
      Object.assign(messages.get(head.s)?.head ?? {}, head, { op: "put" });
    else if (head.op === "del") messages.delete(head.s);
    else if (head.op === "session" && head.none) sessions.delete(head.id);
    else if (head.op === "session") sessions.set(head.id, record);
    this.#of(head.q).lastSequence = Math.max(this.#of(head.q).lastSequence, head.s ?? 0);
  }

  /**
   * Fill the queues.
   * @param {Map<string, Queue>} queues by name, empty
   * @throws {StartupError} `queue_missing`: there are messages of a queue that is not among them
   */
  restore(queues) {
    for (const [name, { messages }] of this.#queues) {
      if (queues.has(name) || messages.size === 0) continue;
      throw new StartupError(
        "queue_missing",
        `The data folder holds ${messages.size} messages of the queue '${name}'. Start with --queue ${name} too, or with another --data folder.`,
      );
    }
    for (const [name, queue] of queues) this.#queues.get(name)?.restore(queue);
    for (const queue of queues.values()) queue.recover();
  }

  #of(name) {
    let remains = this.#queues.get(name);
    if (!remains) {
      remains = new Remains();
      this.#queues.set(name, remains);
    }
    return remains;
  }
}

module.exports = {
  Replay,
  deleteRecord,
  nextRecord,
  putRecord,
  sessionRecord,
  setRecord,
};
