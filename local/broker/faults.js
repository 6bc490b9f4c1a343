"use strict";

/**
 * Faults that a test can ask for.
 *
 * | name | what happens |
 * |---|---|
 * | `refuse_connections` | a new connection is reset |
 * | `reject_sends` | a message is refused as `com.microsoft:server-busy`, and not stored |
 * | `lose_accepts` | a message is stored, but the sender's link is detached instead of an answer |
 * | `delay_dispositions` | answers to sends and settlements come `milliseconds` later |
 * | `duplicate_deliveries` | a delivered message comes once more, although it is completed |
 *
 * A fault with a count ends when it has happened so often; one without stays until it is cleared.
 * A fault with a queue concerns that queue only.
 */

const NAMES = [
  "refuse_connections",
  "reject_sends",
  "lose_accepts",
  "delay_dispositions",
  "duplicate_deliveries",
];

/**
 * @typedef {object} Fault
 * @property {number | null} count how often it still happens; null for always
 * @property {string | null} queue
 * @property {number} milliseconds
 */

class Faults {
  #active = /** @type {Map<string, Fault>} */ (new Map());

  /**
   * Begin a fault, in place of an earlier one of its name.
   * @param {string} name one of NAMES
   * @param {{ count?: number | null, queue?: string | null, milliseconds?: number }} details
   */
  set(name, { count = null, queue = null, milliseconds = 0 }) {
    this.#active.set(name, { count, queue, milliseconds });
  }

  /** End one fault, or all. @param {string} [name] */
  clear(name) {
    if (name === undefined) this.#active.clear();
    else this.#active.delete(name);
  }

  /** @returns {Record<string, Fault>} */
  list() {
    return Object.fromEntries(this.#active);
  }

  /**
   * Ask whether a fault shall happen now; asking counts.
   *
   * @param {string} name
   * @param {string} [queue] the queue that is worked on
   * @returns {Fault | null}
   */
  take(name, queue) {
    const fault = this.#active.get(name);
    if (!fault || (fault.queue !== null && fault.queue !== queue)) return null;
    if (fault.count !== null) {
      fault.count -= 1;
      if (fault.count <= 0) this.#active.delete(name);
    }
    return fault;
  }
}

module.exports = { FAULT_NAMES: NAMES, Faults };
