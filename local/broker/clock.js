"use strict";

/**
 * The broker's clock: the machine's, moved forward by what tests asked for.
 *
 * Locks, time to live and schedules are read from it, so that a test of a lock of five minutes
 * does not last five minutes.
 */
class Clock {
  #offset = 0;

  /** @returns {number} now, in milliseconds since 1970 UTC */
  now() {
    return Date.now() + this.#offset;
  }

  /** @returns {number} how far the clock has been moved forward, in milliseconds */
  get offset() {
    return this.#offset;
  }

  /**
   * Move the clock forward.
   * @param {number} milliseconds at least 0
   */
  advance(milliseconds) {
    this.#offset += milliseconds;
  }
}

module.exports = { Clock };
