"use strict";

const { refusals } = require("./errors");
const links = require("./links");

/** @typedef {import("./queue").Queue} Queue */
/** @typedef {import("./receiver").Receiver} Receiver */

/**
 * Hands the messages of one queue to its receivers, in turn.
 *
 * It works once in a turn of the event loop, after all that came in: messages that were sent
 * together are delivered together.
 */
class Dispatcher {
  #queue;
  #store;
  #clock;
  #receivers = /** @type {Set<Receiver>} */ (new Set());
  /** Receivers that asked for any session, the one that waits longest first. */
  #waiting = /** @type {Map<Receiver, number>} */ (new Map());
  #isDue = false;
  #turn = 0;

  /**
   * @param {Queue} queue
   * @param {import("./store").Store} store
   * @param {import("./clock").Clock} clock
   */
  constructor(queue, store, clock) {
    this.#queue = queue;
    this.#store = store;
    this.#clock = clock;
    queue.onAvailable = () => this.wake();
    queue.onSessionLost = (receiver) => this.#endSession(receiver);
  }

  /** @param {Receiver} receiver a new one, whose link is open */
  add(receiver) {
    this.#receivers.add(receiver);
    this.wake();
  }

  /** Let a receiver wait for any session. @param {number} milliseconds for how long */
  awaitSession(receiver, milliseconds) {
    this.#waiting.set(receiver, this.#clock.now() + milliseconds);
    this.wake();
  }

  /**
   * A receiver is gone. What it has locked stays locked: it may settle it by management.
   * @returns {boolean} whether it still waited for a session
   */
  remove(receiver) {
    this.#receivers.delete(receiver);
    if (receiver.sessionId !== null) this.#queue.releaseSession(receiver.sessionId, receiver);
    return this.#waiting.delete(receiver);
  }

  /** Deliver soon. */
  wake() {
    if (this.#isDue) return;
    this.#isDue = true;
    process.nextTick(() => {
      this.#isDue = false;
      this.#deliver();
    });
  }

  /** Refuse the receivers whose time to wait for a session is over. */
  sweep() {
    for (const [receiver, deadline] of this.#waiting) {
      if (deadline > this.#clock.now()) continue;
      this.#waiting.delete(receiver);
      links.refuseLink(receiver.link, refusals.noSession());
    }
  }

  #deliver() {
    this.#giveSessions();
    const receivers = [...this.#receivers];
    const credits = new Map(receivers.map((each) => [each, links.spendableCredit(each.link)]));
    for (let idle = 0; idle < receivers.length;) {
      this.#turn = (this.#turn + 1) % receivers.length;
      const receiver = receivers[this.#turn];
      const credit = credits.get(receiver);
      const sent = credit > 0 && this.#deliverTo(receiver);
      if (sent) credits.set(receiver, credit - 1);
      idle = sent ? 0 : idle + 1;
    }
    // rhea writes later in this turn: what is delivered is in the journal by then.
    this.#store.flush();
    for (const receiver of receivers) links.answerDrain(receiver.link);
  }

  #deliverTo(receiver) {
    const message = this.#queue.next(receiver.sessionId);
    if (!message || !receiver.hasRoom()) return false;
    receiver.deliver(message);
    return true;
  }

  #giveSessions() {
    for (const receiver of this.#waiting.keys()) {
      const id = this.#queue.nextSession();
      if (id === null) return;
      this.#waiting.delete(receiver);
      receiver.acceptSession(id);
      receiver.link.open();
      this.#receivers.add(receiver);
    }
  }

  #endSession(receiver) {
    this.#receivers.delete(receiver);
    receiver.loseSession();
  }
}

module.exports = { Dispatcher };
