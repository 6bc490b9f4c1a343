"use strict";

const { Queue } = require("./queue");

/**
 * @typedef {object} Surroundings what a queue works with
 * @property {import("./clock").Clock} clock
 * @property {import("./store").Store} store
 * @property {import("./faults").Faults} faults
 */

const DEAD_LETTER_SUFFIX = "/$deadletterqueue";

/** The queues of the broker, each with its dead-letter queue, found by their addresses. */
class Namespace {
  /** Keys are lower case: addresses of entities are (Azure Service Bus, entity names). */
  #queues = /** @type {Map<string, Queue>} */ (new Map());

  /**
   * @param {import("./options").QueueSettings[]} settings
   * @param {Surroundings} surroundings
   */
  constructor(settings, surroundings) {
    for (const each of settings) {
      const deadLetters = new Queue(deadLetterSettings(each), surroundings, null);
      const key = each.name.toLowerCase();
      this.#queues.set(key, new Queue(each, surroundings, deadLetters));
      this.#queues.set(key + DEAD_LETTER_SUFFIX, deadLetters);
    }
  }

  /**
   * @param {string} path a queue's name, `NAME/$deadletterqueue` for its dead letters
   * @returns {Queue | undefined}
   */
  find(path) {
    return this.#queues.get(path.toLowerCase());
  }

  /** @returns {IterableIterator<Queue>} dead-letter queues too */
  queues() {
    return this.#queues.values();
  }

  /** Do in every queue what is due. */
  sweep() {
    for (const queue of this.#queues.values()) queue.sweep();
  }
}

/** Messages in a dead-letter queue neither expire nor move on, and have no sessions. */
function deadLetterSettings(settings) {
  return {
    ...settings,
    name: `${settings.name}/$DeadLetterQueue`,
    maxDeliveries: Number.POSITIVE_INFINITY,
    ttl: Number.POSITIVE_INFINITY,
    sessions: false,
    maxBytes: Number.POSITIVE_INFINITY,
  };
}

module.exports = { Namespace };
