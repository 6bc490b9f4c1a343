"use strict";

/**
 * The sessions of a queue: who holds which, until when, and the state that applications keep in
 * them. A session without a holder and without state is not remembered.
 */
class Sessions {
  #lockMilliseconds;
  #clock;
  /** In the order in which the locks end: all last equally long, and a renewed one moves back. */
  #held = /** @type {Map<string, { holder: object, until: number }>} */ (new Map());
  #states = /** @type {Map<string, { bytes: Buffer, updatedAt: number }>} */ (new Map());

  /**
   * @param {number} lockMilliseconds
   * @param {import("./clock").Clock} clock
   */
  constructor(lockMilliseconds, clock) {
    this.#lockMilliseconds = lockMilliseconds;
    this.#clock = clock;
  }

  /** Whether nobody holds the session. */
  isFree(id) {
    return this.lockedUntil(id) === null;
  }

  /** @returns {number | null} when its lock ends; null when nobody holds it */
  lockedUntil(id) {
    const lock = this.#held.get(id);
    return lock !== undefined && lock.until > this.#clock.now() ? lock.until : null;
  }

  /**
   * Lock a session, or lock it anew.
   * @returns {number} when the lock ends
   */
  hold(id, holder) {
    const until = this.#clock.now() + this.#lockMilliseconds;
    this.#held.delete(id);
    this.#held.set(id, { holder, until });
    return until;
  }

  /** @returns {number | null} when the renewed lock ends; null when there was none to renew */
  renew(id) {
    return this.isFree(id) ? null : this.hold(id, this.#held.get(id).holder);
  }

  /** Give a session up, if this one holds it. @returns {boolean} whether it did */
  release(id, holder) {
    return this.#held.get(id)?.holder === holder && this.#held.delete(id);
  }

  /** Take the locks away whose time is over. @returns {{ id: string, holder: object }[]} */
  takeExpired() {
    const expired = [];
    for (const [id, { holder, until }] of this.#held) {
      if (until > this.#clock.now()) break;
      this.#held.delete(id);
      expired.push({ id, holder });
    }
    return expired;
  }

  /** End every lock now; the next `takeExpired` gives them. */
  expireAll() {
    for (const lock of this.#held.values()) lock.until = 0;
  }

  /** @returns {{ bytes: Buffer, updatedAt: number } | null} */
  state(id) {
    return this.#states.get(id) ?? null;
  }

  /**
   * @param {string} id
   * @param {Buffer | null} bytes null forgets it
   * @param {number} [updatedAt]
   */
  setState(id, bytes, updatedAt = this.#clock.now()) {
    if (bytes === null) this.#states.delete(id);
    else this.#states.set(id, { bytes, updatedAt });
  }

  /** @returns {IterableIterator<[string, { bytes: Buffer, updatedAt: number }]>} */
  states() {
    return this.#states.entries();
  }
}

module.exports = { Sessions };
