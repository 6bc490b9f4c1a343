"use strict";

const { Heap } = require("./heap");

/** @typedef {import("./message").Message} Message */

/**
 * Where the messages of one queue are: all of them by number, and each one once more by what it
 * waits for. What moves them, and why, is the queue's business.
 */
class Shelves {
  counts = { active: 0, locked: 0, deferred: 0, scheduled: 0 };
  bytes = 0;

  /** In the order of the numbers: a message is only ever added with the highest number so far. */
  #all = /** @type {Map<number, Message>} */ (new Map());
  /** Active messages: one lane, or one for each session. A lane is dropped when it is empty. */
  #lanes = /** @type {Map<string | null, Heap<Message>>} */ (new Map());
  /** Locked messages by token, in the order in which they were locked, or their locks renewed. */
  #locks = /** @type {Map<string, Message>} */ (new Map());
  #scheduled = new Heap((message) => message.scheduledFor, "dueSlot");
  #expiring = new Heap((message) => message.expiresAt, "expirySlot");
  #hasSessions;

  /** @param {boolean} hasSessions whether there is a lane for each session */
  constructor(hasSessions) {
    this.#hasSessions = hasSessions;
  }

  /** Take in a message that is not on any shelf yet; its number is set. */
  add(message) {
    this.#all.set(message.sequence, message);
    this.bytes += message.size;
  }

  /** Forget a message. */
  delete(message) {
    this.leave(message);
    this.#all.delete(message.sequence);
    this.bytes -= message.size;
  }

  /** Put a message that is nowhere on a shelf. @param {keyof Shelves["counts"]} state */
  enter(message, state) {
    message.state = state;
    this.counts[state] += 1;
    if (state === "scheduled") this.#scheduled.push(message);
    else if (state === "locked") this.#locks.set(message.lockToken, message);
    else if (state === "active") {
      this.#laneOf(message).push(message);
      if (message.expiresAt < Number.POSITIVE_INFINITY) this.#expiring.push(message);
    }
  }

  /** Take a message off its shelf. */
  leave(message) {
    this.counts[message.state] -= 1;
    if (message.state === "scheduled") this.#scheduled.remove(message);
    else if (message.state === "locked") this.#locks.delete(message.lockToken);
    else if (message.state === "active") {
      const lane = this.#laneOf(message);
      lane.remove(message);
      if (lane.size === 0) this.#lanes.delete(this.#laneName(message));
      this.#expiring.remove(message);
    }
    message.state = "gone";
  }

  /** A locked message's lock now ends last. */
  relock(message) {
    this.#locks.delete(message.lockToken);
    this.#locks.set(message.lockToken, message);
  }

  /** @returns {Message | undefined} */
  get(sequence) {
    return this.#all.get(sequence);
  }

  /** @returns {Message | undefined} the oldest active message of a lane */
  firstActive(lane) {
    return this.#lanes.get(lane)?.first;
  }

  /** @returns {Message | undefined} */
  byToken(token) {
    return this.#locks.get(token);
  }

  /** @returns {Message | undefined} the scheduled message that is due first */
  get firstScheduled() {
    return this.#scheduled.first;
  }

  /** @returns {Message | undefined} the active message that expires first */
  get firstExpiring() {
    return this.#expiring.first;
  }

  /** @returns {IterableIterator<Message>} in the order of their numbers */
  all() {
    return this.#all.values();
  }

  /** @returns {IterableIterator<Message>} the one locked longest ago first */
  locked() {
    return this.#locks.values();
  }

  /** @returns {IterableIterator<string | null>} lanes with messages */
  lanes() {
    return this.#lanes.keys();
  }

  #laneName(message) {
    return this.#hasSessions ? message.sessionId : null;
  }

  #laneOf(message) {
    const name = this.#laneName(message);
    let lane = this.#lanes.get(name);
    if (!lane) {
      lane = new Heap((queued) => queued.sequence, "laneSlot");
      this.#lanes.set(name, lane);
    }
    return lane;
  }
}

module.exports = { Shelves };
