"use strict";

const { refusals } = require("./errors");
const { deadLetterReason, newToken } = require("./message");
const { Sessions } = require("./sessions");
const { Shelves } = require("./shelves");

/** @typedef {import("./message").Message} Message */

/** @typedef {import("./options").QueueSettings} QueueSettings */

const FOREVER = Number.POSITIVE_INFINITY;
const NO_PROPERTIES = new Map();

/**
 * The rules of one queue (Azure Service Bus, "Message transfers, locks, and settlement").
 *
 *     sent ──► scheduled ──► active ◄──► locked ──► completed
 *        └──────────────────────▲         │  │
 *                                         │  └────► deferred ◄──► locked, asked for by number
 *                                         └───────► the dead-letter queue
 *
 * It knows no connections: `onAvailable` tells whoever delivers that there is something to do.
 * Every change is handed to the store in the same turn, before any client can learn of it.
 */
class Queue {
  /** @type {() => void} called when a message or a session has become free */
  onAvailable = () => {};
  /** @type {(holder: object) => void} called with who held a session whose lock has expired */
  onSessionLost = () => {};

  totals = {
    enqueued: 0,
    delivered: 0,
    completed: 0,
    abandoned: 0,
    deadLettered: 0,
    expired: 0,
    expiredLocks: 0,
  };
  lastSequence = 0;
  #shelves;
  #clock;
  #store;
  #faults;

  /**
   * @param {QueueSettings} settings
   * @param {import("./namespace").Surroundings} surroundings
   * @param {Queue | null} deadLetters null for a dead-letter queue itself
   */
  constructor(settings, { clock, store, faults }, deadLetters) {
    this.settings = settings;
    this.name = settings.name;
    this.deadLetters = deadLetters;
    this.sessions = settings.sessions ? new Sessions(settings.lock, clock) : null;
    this.#shelves = new Shelves(settings.sessions);
    this.#clock = clock;
    this.#store = store;
    this.#faults = faults;
  }

  /** Every message, whatever its state, in the order of the numbers. */
  messages() {
    return this.#shelves.all();
  }

  /** How many messages are active, locked, deferred and scheduled. */
  get counts() {
    return this.#shelves.counts;
  }

  /** @returns {number} the messages' size in bytes */
  get bytes() {
    return this.#shelves.bytes;
  }

  /**
   * Take messages that a client sent: all of them, or none.
   *
   * @param {Message[]} messages
   * @returns {number[]} their sequence numbers
   * @throws {import("./errors").Refusal}
   */
  enqueue(messages) {
    const bytes = messages.reduce((sum, message) => sum + message.size, 0);
    if (this.bytes + bytes > this.settings.maxBytes) throw refusals.quotaExceeded(this.name);
    if (this.sessions && messages.some((message) => message.sessionId === null)) {
      throw refusals.sessionIdMissing();
    }
    this.totals.enqueued += messages.length;
    return messages.map((message) => {
      this.#number(message);
      message.enqueueSequence = message.sequence;
      if (message.scheduledFor > this.#clock.now()) this.#shelves.enter(message, "scheduled");
      else this.#activate(message);
      this.#store.put(message);
      return message.sequence;
    });
  }

  /** Take back a message as the store kept it; call with rising numbers, then `recover`. */
  restore(message) {
    message.queue = this;
    this.lastSequence = Math.max(this.lastSequence, message.sequence);
    message.lockToken = message.state === "locked" ? newToken() : null;
    this.#shelves.add(message);
    if (message.state === "active") this.#activate(message);
    else this.#shelves.enter(message, message.state);
  }

  /** After a restart: locks do not outlive the process. A lock that was lost counts. */
  recover() {
    for (const message of [...this.#shelves.locked()]) this.#unlock(message, { counts: true });
  }

  /**
   * The next message for a receiver.
   * @param {string | null} sessionId null where the queue has no sessions
   */
  next(sessionId) {
    let message = this.#shelves.firstActive(sessionId);
    while (message && this.isExpired(message)) {
      this.#expire(message);
      message = this.#shelves.firstActive(sessionId);
    }
    return message;
  }

  /** @returns {string | null} the free session whose next message is the oldest */
  nextSession() {
    let oldest;
    for (const id of this.#shelves.lanes()) {
      const message = this.sessions.isFree(id) ? this.next(id) : undefined;
      if (message && message.sequence < (oldest?.sequence ?? FOREVER)) oldest = message;
    }
    return oldest?.sessionId ?? null;
  }

  /** Lock an active or deferred message for one delivery. */
  lock(message) {
    this.#shelves.leave(message);
    message.lockToken = newToken();
    message.lockedUntil = this.#lockEnd(message);
    message.comesAgain = this.#faults.take("duplicate_deliveries", this.name) !== null;
    this.#shelves.enter(message, "locked");
    this.totals.delivered += 1;
    this.#store.update(message);
  }

  /** Deliver a message without a lock: it is gone (receive and delete). */
  consume(message) {
    this.totals.delivered += 1;
    if (this.#faults.take("duplicate_deliveries", this.name) !== null) return;
    this.totals.completed += 1;
    this.#remove(message);
  }

  /**
   * The message that a token locks.
   *
   * A token belongs to one delivery: a late settlement by a first holder must not touch what a
   * second holder has locked.
   *
   * @param {string} token
   * @throws {import("./errors").Refusal} the lock is lost
   */
  locked(token) {
    const message = this.#shelves.byToken(token);
    // With sessions, it is their locks that end; a message in one has none of its own.
    if (this.sessions) {
      if (!message || this.sessions.isFree(message.sessionId)) throw refusals.sessionLockLost();
    } else if (!message || message.lockedUntil <= this.#clock.now()) throw refusals.lockLost();
    return message;
  }

  /** @returns {number} until when the message is locked now */
  renew(message) {
    this.sessions?.renew(message.sessionId);
    message.lockedUntil = this.#lockEnd(message);
    this.#shelves.relock(message);
    return message.lockedUntil;
  }

  /** A locked message was dealt with. */
  complete(message) {
    if (message.comesAgain) {
      this.#unlock(message, { counts: true });
      return;
    }
    this.totals.completed += 1;
    this.#remove(message);
  }

  /** A locked message goes back, and counts as delivered. @param {Map<string, any>} properties */
  abandon(message, properties = NO_PROPERTIES) {
    this.totals.abandoned += 1;
    this.#unlock(message, { counts: true, properties });
  }

  /** A locked message goes back as if it had not been delivered. */
  release(message) {
    this.#unlock(message, { counts: false });
  }

  /** A locked message is put aside, to be had by its number only. */
  defer(message, properties = NO_PROPERTIES) {
    message.isDeferred = true;
    message.deliveryCount += 1;
    this.#shelves.leave(message);
    this.#shelves.enter(message, "deferred");
    this.#save(message, properties);
  }

  /** A message goes to the dead-letter queue. In a dead-letter queue, it goes to the end. */
  deadLetter(message, properties = NO_PROPERTIES) {
    this.totals.deadLettered += 1;
    this.#remove(message);
    message.setApplicationProperties(properties);
    message.deadLetterSource ??= this.name;
    (this.deadLetters ?? this).#takeDead(message);
  }

  /** @returns {Message | undefined} a deferred message that is not locked */
  deferred(sequence) {
    const message = this.#shelves.get(sequence);
    return message?.state === "deferred" ? message : undefined;
  }

  /**
   * Take scheduled messages back: all of them, or none.
   * @param {number[]} sequences
   * @throws {import("./errors").Refusal}
   */
  cancelScheduled(sequences) {
    const messages = sequences.map((sequence) => this.#shelves.get(sequence));
    if (!messages.every((message) => message?.state === "scheduled")) {
      throw refusals.messageNotFound("A scheduled message was not found, or is due already.");
    }
    for (const message of new Set(messages)) this.#remove(message);
  }

  /** Whether a message has outlived its time; a sweep will take it away. */
  isExpired(message) {
    return message.state === "active" && message.expiresAt <= this.#clock.now();
  }

  /** @returns {string[]} sessions that have messages to deliver, or a state */
  sessionIds() {
    const withState = [...this.sessions.states()].map(([id]) => id);
    return [...new Set([...this.#shelves.lanes(), ...withState])];
  }

  /** Keep what an application stores in a session; null forgets it. */
  setSessionState(id, bytes) {
    this.sessions.setState(id, bytes);
    this.#store.putSession(this, id);
  }

  /** A receiver gives its session up: its messages go back and do not count as delivered. */
  releaseSession(id, holder) {
    if (!this.sessions.release(id, holder)) return;
    for (const message of this.#lockedIn(id)) this.#unlock(message, { counts: false });
    this.onAvailable();
  }

  /** Do what is due: schedules, ends of locks, times to live. */
  sweep() {
    const now = this.#clock.now();
    for (let due = this.#shelves.firstScheduled; due?.scheduledFor <= now;) {
      this.#comeDue(due);
      due = this.#shelves.firstScheduled;
    }
    if (this.sessions) this.#expireSessions();
    else this.#loseLocks((message) => message.lockedUntil <= now);
    for (let old = this.#shelves.firstExpiring; old?.expiresAt <= now;) {
      this.#expire(old);
      old = this.#shelves.firstExpiring;
    }
  }

  /** End every lock now. */
  expireLocks() {
    this.sessions?.expireAll();
    this.#expireSessions();
    this.#loseLocks(() => true);
  }

  /** Remove every message, whatever its state. @returns {number} how many */
  purge() {
    const messages = [...this.#shelves.all()];
    for (const message of messages) this.#remove(message);
    return messages.length;
  }

  #number(message) {
    this.lastSequence += 1;
    message.queue = this;
    message.sequence = this.lastSequence;
    message.enqueuedAt ||= this.#clock.now();
    this.#shelves.add(message);
  }

  #activate(message) {
    const ttl = Math.min(message.ttl ?? FOREVER, this.settings.ttl);
    message.expiresAt = this.deadLetters === null ? FOREVER : message.enqueuedAt + ttl;
    this.#shelves.enter(message, "active");
    this.onAvailable();
  }

  #takeDead(message) {
    message.isDeferred = false;
    this.#number(message);
    this.#activate(message);
    this.#store.put(message);
  }

  /** A message whose time has come gets a new number: it stands behind what was sent before. */
  #comeDue(message) {
    this.#remove(message);
    message.enqueuedAt = 0;
    this.#number(message);
    this.#activate(message);
    this.#store.put(message);
  }

  #remove(message) {
    this.#shelves.delete(message);
    this.#store.remove(message);
  }

  /** Hand a message to the store in its new state, with properties set if there are any. */
  #save(message, properties) {
    const before = message.size;
    if (message.setApplicationProperties(properties)) {
      this.#shelves.bytes += message.size - before;
      this.#store.put(message);
    } else this.#store.update(message);
  }

  #unlock(message, { counts, properties = NO_PROPERTIES }) {
    if (counts) message.deliveryCount += 1;
    if (counts && message.deliveryCount >= this.settings.maxDeliveries) {
      const times = `${this.settings.maxDeliveries} delivery attempts`;
      const why = deadLetterReason(
        "MaxDeliveryCountExceeded",
        `Message could not be consumed after ${times}.`,
      );
      this.deadLetter(message, new Map([...properties, ...why]));
      return;
    }
    this.#shelves.leave(message);
    if (message.isDeferred) this.#shelves.enter(message, "deferred");
    else this.#activate(message);
    this.#save(message, properties);
  }

  #lockEnd(message) {
    return this.sessions?.lockedUntil(message.sessionId) ?? this.#clock.now() + this.settings.lock;
  }

  #loseLocks(isOver) {
    for (const message of this.#shelves.locked()) {
      if (!isOver(message)) break;
      this.#loseLock(message);
    }
  }

  #loseLock(message) {
    this.totals.expiredLocks += 1;
    this.#unlock(message, { counts: true });
  }

  #expire(message) {
    this.totals.expired += 1;
    const why = deadLetterReason(
      "TTLExpiredException",
      "The message expired and was dead lettered.",
    );
    if (this.settings.deadLetterOnExpiry && this.deadLetters) this.deadLetter(message, why);
    else this.#remove(message);
  }

  #expireSessions() {
    for (const { id, holder } of this.sessions?.takeExpired() ?? []) {
      for (const message of this.#lockedIn(id)) this.#loseLock(message);
      this.onSessionLost(holder);
      this.onAvailable();
    }
  }

  #lockedIn(sessionId) {
    return [...this.#shelves.locked()].filter((message) => message.sessionId === sessionId);
  }
}

module.exports = { Queue };
