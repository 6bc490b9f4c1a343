"use strict";

const { message: outcomes } = require("rhea");
const { Refusal, amqpError, refusals } = require("./errors");
const { log } = require("./log");
const { SectionError, typedMap } = require("./sections");

/** @typedef {import("./queue").Queue} Queue */

const answers = {
  accepted: () => outcomes.accepted().described(),
  released: () => outcomes.released().described(),
  modified: () => outcomes.modified({ delivery_failed: true }).described(),
  deferred: () => outcomes.modified({ undeliverable_here: true }).described(),
  rejected: (error) => outcomes.rejected(error ? { error } : {}).described(),
};

/** Answers deliveries, when what they did is kept. */
class Answers {
  #store;
  #faults;

  /**
   * @param {import("./store").Store} store
   * @param {import("./faults").Faults} faults
   */
  constructor(store, faults) {
    this.#store = store;
    this.#faults = faults;
  }

  /**
   * Settle a delivery with a state, after everything that happened before is kept.
   *
   * @param {object} delivery
   * @param {object} state
   * @param {string} [queue] name of the queue that is worked on
   */
  settle(delivery, state, queue) {
    this.#store.afterCommit(() => {
      const delay = this.#faults.take("delay_dispositions", queue);
      const send = () => {
        if (!delivery.link.connection.is_gone) delivery.update(true, state);
      };
      if (delay === null) send();
      else setTimeout(send, delay.milliseconds);
    });
  }

  /** Do something when everything that happened before is kept. */
  afterCommit(done) {
    this.#store.afterCommit(done);
  }
}

/**
 * What clients do with messages that they have received (Azure Service Bus, "AMQP 1.0 in Azure
 * Service Bus protocol guide", settling): accepted completes, released gives back, modified
 * abandons or, with undeliverable-here, defers, rejected dead-letters.
 */
class Settlement {
  #answers;

  /** @param {Answers} answersTo */
  constructor(answersTo) {
    this.#answers = answersTo;
  }

  accepted(delivery) {
    this.#settle(delivery, answers.accepted, (queue, message) => queue.complete(message));
  }

  released(delivery) {
    this.#settle(delivery, answers.released, (queue, message) => queue.release(message));
  }

  modified(delivery) {
    const { undeliverable_here: isDeferral, value: fields } = delivery.remote_state;
    const properties = typedMap(fields[2]);
    if (isDeferral) {
      this.#settle(delivery, answers.deferred, (queue, message) =>
        queue.defer(message, properties),
      );
    } else {
      this.#settle(delivery, answers.modified, (queue, message) =>
        queue.abandon(message, properties),
      );
    }
  }

  rejected(delivery) {
    // The reason and whatever else the client says are in the map `info` of the error.
    const error = delivery.remote_state.value[0];
    const properties = typedMap(Array.isArray(error?.value) ? error.value[2] : undefined);
    this.#settle(delivery, answers.rejected, (queue, message) =>
      queue.deadLetter(message, properties),
    );
  }

  #settle(delivery, answer, act) {
    const { lock } = delivery;
    if (!lock) return;
    // Clients repeat a disposition when the answer is slow; the first one counts.
    delivery.lock = undefined;
    this.#answers.settle(delivery, settleLocked(lock, answer, act), lock.queue.name);
  }
}

/** @returns {object} the state with which to answer */
function settleLocked({ queue, token }, answer, act) {
  try {
    act(queue, queue.locked(token));
    return answer();
  } catch (error) {
    return answers.rejected(amqpError(asRefusal(error)));
  }
}

/**
 * What the client is told of an error. What nobody foresaw is logged.
 * @returns {Refusal}
 */
function asRefusal(error) {
  if (error instanceof Refusal) return error;
  if (error instanceof SectionError) return refusals.undecodable(error.message);
  log("error", "operation_failed", { message: error.message, stack: error.stack });
  return new Refusal("amqp:internal-error", "The broker could not do this; see its log.", 500);
}

module.exports = { Answers, Settlement, answers, asRefusal };
