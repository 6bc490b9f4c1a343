"use strict";

/** What the JavaScript tests share: the broker's modules, and packages from local/node_modules. */

const { createRequire } = require("node:module");
const path = require("node:path");

const LOCAL = path.join(__dirname, "..", "..", "local");
/** Node looks for packages upwards of a file, and these are installed beside the broker. */
const requireLocal = createRequire(path.join(LOCAL, "package.json"));

const rhea = requireLocal("rhea");
const broker = (name) => require(path.join(LOCAL, "broker", name));

broker("rhea-patches").patchRhea();

const { types } = rhea;
const { SECTION, encodeSection } = broker("sections");

/** A clock that moves only when told to. */
class StoppedClock {
  time = 1_700_000_000_000;

  now() {
    return this.time;
  }

  advance(milliseconds) {
    this.time += milliseconds;
  }
}

/** An encoded message with a text in it. */
function encoded(text, { properties = {}, header, annotations, applicationProperties } = {}) {
  return rhea.message.encode({
    ...header,
    ...properties,
    message_annotations: annotations,
    application_properties: applicationProperties,
    body: rhea.message.data_section(Buffer.from(text)),
  });
}

/** A queue without anything around it. */
function makeQueue(spec = "queue", { clock = new StoppedClock(), store, deadLetters } = {}) {
  const { parseQueue } = broker("options");
  const { Namespace } = broker("namespace");
  const { Faults } = broker("faults");
  const { MemoryStore } = broker("store");
  const faults = new Faults();
  const parts = { clock, store: store ?? new MemoryStore(), faults };
  const namespace = new Namespace([parseQueue(spec)], parts);
  const queue = namespace.find(spec.split(":")[0]);
  return { queue, deadLetters: deadLetters ?? queue.deadLetters, clock, faults, namespace };
}

/** Put messages with these texts into a queue. */
function fill(queue, texts, options) {
  const { Message } = broker("message");
  return queue.enqueue(texts.map((text) => Message.fromWire(encoded(text, options))));
}

/** What a client would read in a delivered message. */
function readBack(bytes) {
  const { decodeMessage } = broker("rhea-patches");
  return decodeMessage(bytes);
}

/** A generator of numbers below n that are the same in every run. */
function randomNumbers(seed) {
  let state = seed;
  return (n) => {
    state = (Math.imul(state, 1103515245) + 12345) >>> 0;
    return (state >>> 16) % n;
  };
}

module.exports = {
  LOCAL,
  SECTION,
  StoppedClock,
  broker,
  encodeSection,
  encoded,
  fill,
  makeQueue,
  randomNumbers,
  readBack,
  requireLocal,
  rhea,
  types,
};
