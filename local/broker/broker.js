"use strict";

const { AmqpServer } = require("./amqp-server");
const { Clock } = require("./clock");
const { ControlServer } = require("./control");
const { Dispatcher } = require("./dispatcher");
const { Endpoints } = require("./endpoints");
const { Faults } = require("./faults");
const { Namespace } = require("./namespace");
const { patchRhea } = require("./rhea-patches");
const { JournalStore, MemoryStore } = require("./store");

/** @typedef {import("./queue").Queue} Queue */

/** How often locks, schedules and times to live are looked at; a look at what is not due is O(1). */
const SWEEP_MILLISECONDS = 50;

/** The broker: its queues, the AMQP server before them and the control interface. */
class Broker {
  faults = new Faults();
  #clock = new Clock();
  #options;
  #store;
  #dispatchers;
  #amqp;
  #control;
  #timer;

  /**
   * @param {import("./options").Options} options
   * @throws {import("./errors").StartupError}
   */
  constructor(options) {
    patchRhea();
    this.#options = options;
    const { data, fsync } = options;
    this.#store = data === null ? new MemoryStore() : new JournalStore(data, { fsync });
    const parts = { clock: this.#clock, store: this.#store, faults: this.faults };
    this.namespace = new Namespace(options.queues, parts);
    this.#store.replay([...this.namespace.queues()]);
    this.#dispatchers = new Map(
      [...this.namespace.queues()].map((queue) => [
        queue,
        new Dispatcher(queue, this.#store, this.#clock),
      ]),
    );
    const endpoints = new Endpoints({
      namespace: this.namespace,
      dispatchers: this.#dispatchers,
      ...parts,
    });
    this.#amqp = new AmqpServer(endpoints, this.faults);
    this.#control = new ControlServer(this);
  }

  /**
   * Listen on both ports.
   * @returns {Promise<{ amqpPort: number, controlPort: number }>}
   * @throws {import("./errors").StartupError}
   */
  async start() {
    const { host, port, controlPort } = this.#options;
    const ports = {
      amqpPort: await this.#amqp.listen(port, host),
      controlPort: await this.#control.listen(controlPort, host),
    };
    this.#timer = setInterval(() => this.#sweep(), SWEEP_MILLISECONDS);
    return ports;
  }

  /** Tell clients, stop listening and keep what is to be kept. */
  async stop() {
    clearInterval(this.#timer);
    this.#control.close();
    await this.#amqp.close();
    this.#store.close();
  }

  /** Move the clock forward, and do all that thereby becomes due. */
  advance(milliseconds) {
    this.#clock.advance(milliseconds);
    this.#sweep();
  }

  /** @returns {number} how many connections were broken */
  dropConnections() {
    return this.#amqp.dropConnections();
  }

  /** @param {Queue | null} queue null for all @returns {number} how many locks have ended */
  expireLocks(queue) {
    const queues = queue === null ? [...this.namespace.queues()] : [queue];
    const ended = () => queues.reduce((sum, each) => sum + each.totals.expiredLocks, 0);
    const before = ended();
    for (const each of queues) each.expireLocks();
    return ended() - before;
  }

  /** @param {Queue} queue @returns {number} how many messages are gone, dead letters too */
  purge(queue) {
    return queue.purge() + (queue.deadLetters?.purge() ?? 0);
  }

  /** What each queue holds, and what has happened in it since the start. */
  queueStatus() {
    const status = (queue) => [
      queue.name,
      {
        ...queue.counts,
        deadLettered: total(queue.deadLetters),
        bytes: queue.bytes,
        totals: queue.totals,
      },
    ];
    return Object.fromEntries([...this.namespace.queues()].map(status));
  }

  /** How the process itself is doing. */
  status() {
    const memory = process.memoryUsage();
    return {
      connections: this.#amqp.connectionCount,
      clockOffsetSeconds: this.#clock.offset / 1000,
      journalBytes: this.#store.journalBytes,
      residentBytes: memory.rss,
      heapBytes: memory.heapUsed,
      bufferBytes: memory.arrayBuffers,
    };
  }

  #sweep() {
    this.namespace.sweep();
    for (const dispatcher of this.#dispatchers.values()) dispatcher.sweep();
  }
}

function total(queue) {
  return queue === null ? 0 : Object.values(queue.counts).reduce((sum, count) => sum + count, 0);
}

module.exports = { Broker };
