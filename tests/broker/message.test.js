"use strict";

const assert = require("node:assert/strict");
const { test } = require("node:test");
const {
  SECTION,
  broker,
  encodeSection,
  encoded,
  randomNumbers,
  readBack,
  types,
} = require("./support");

const { BATCH_FORMAT, Message, messagesIn } = broker("message");
const { SectionError, splitSections } = broker("sections");

test("a message goes out with the very bytes of its body and properties", () => {
  const bytes = encoded("hello", {
    properties: { message_id: "m1", content_type: "application/json" },
    applicationProperties: { small: types.Short(3), when: types.wrap_timestamp(1234) },
  });
  const message = Message.fromWire(bytes);
  const out = message.render(true);
  const { HEADER, MESSAGE_ANNOTATIONS, PROPERTIES, APPLICATION_PROPERTIES, DATA } = SECTION;
  assert.deepEqual(
    splitSections(out).map((section) => section.code),
    [HEADER, MESSAGE_ANNOTATIONS, PROPERTIES, APPLICATION_PROPERTIES, DATA],
  );
  const properties = splitSections(bytes).find((section) => section.code === SECTION.PROPERTIES);
  assert.ok(
    out.subarray(-(bytes.length - properties.start)).equals(bytes.subarray(properties.start)),
  );
});

test("a delivered message tells count, number, times and state in its header and annotations", () => {
  const message = Message.fromWire(encoded("x", { properties: { message_id: "m" } }));
  Object.assign(message, {
    sequence: 7,
    enqueueSequence: 5,
    enqueuedAt: 1000.7,
    lockedUntil: 9000,
  });
  message.deadLetterSource = "elsewhere";
  const read = readBack(message.render(true));
  assert.equal(read.delivery_count, 0);
  assert.equal(read.message_annotations["x-opt-sequence-number"], 7);
  assert.equal(read.message_annotations["x-opt-enqueue-sequence-number"], 5);
  assert.equal(read.message_annotations["x-opt-enqueued-time"].getTime(), 1000);
  assert.equal(read.message_annotations["x-opt-locked-until"].getTime(), 9000);
  assert.equal(read.message_annotations["x-opt-message-state"], 0);
  assert.equal(read.message_annotations["x-opt-deadletter-source"], "elsewhere");
});

test("priority, time to live and durability of the header are kept", () => {
  const header = { durable: true, priority: 9, ttl: 4_000_000_000 };
  const message = Message.fromWire(encoded("x", { header }));
  message.deliveryCount = 300;
  const read = readBack(message.render(false));
  assert.deepEqual(
    [read.durable, read.priority, read.ttl, read.delivery_count],
    [true, 9, 4_000_000_000, 300],
  );
  assert.equal(read.message_annotations["x-opt-locked-until"], undefined);
});

test("annotations of the sender are kept, those of the broker cannot be forged", () => {
  const annotations = {
    "x-opt-partition-key": "p",
    "x-opt-sequence-number": 99,
    constructor: "harmless",
  };
  const message = Message.fromWire(encoded("x", { annotations }));
  message.sequence = 1;
  const read = readBack(message.render(false)).message_annotations;
  assert.equal(read["x-opt-partition-key"], "p");
  assert.equal(read["x-opt-sequence-number"], 1);
  assert.equal(read.constructor, "harmless");
});

test("a message without an id is given one", () => {
  for (const properties of [{}, { subject: "s" }]) {
    const read = readBack(Message.fromWire(encoded("x", { properties })).render(false));
    assert.match(read.message_id, /^[0-9a-f]{32}$/);
    assert.equal(read.subject, properties.subject);
    assert.equal(read.body.content.toString(), "x");
  }
});

test("a time for which a message is scheduled is read from its annotation", () => {
  const annotations = { "x-opt-scheduled-enqueue-time": types.wrap_timestamp(5000) };
  assert.equal(Message.fromWire(encoded("x", { annotations })).scheduledFor, 5000);
  assert.equal(Message.fromWire(encoded("x")).scheduledFor, 0);
});

test("application properties are merged, and nulls change nothing", () => {
  const message = Message.fromWire(encoded("x", { applicationProperties: { a: 1, b: 2 } }));
  const changes = new Map([
    ["b", types.wrap_string("new")],
    ["c", types.wrap_boolean(true)],
    ["d", types.Null()],
  ]);
  assert.equal(message.setApplicationProperties(changes), true);
  const read = readBack(message.render(false));
  assert.deepEqual({ ...read.application_properties }, { a: 1, b: "new", c: true });
  assert.equal(read.body.content.toString(), "x");
  assert.equal(message.setApplicationProperties(new Map()), false);
});

test("application properties can be set on a message that has none", () => {
  const message = Message.fromWire(encoded("x"));
  message.setApplicationProperties(new Map([["a", types.wrap_int(1)]]));
  const read = readBack(message.render(false));
  assert.deepEqual({ ...read.application_properties }, { a: 1 });
  assert.equal(read.body.content.toString(), "x");
});

test("a batch holds a message in each data section", () => {
  const batch = Buffer.concat(
    ["one", "two"].map((text) => encodeSection(SECTION.DATA, types.wrap_binary(encoded(text)))),
  );
  const texts = messagesIn(batch, BATCH_FORMAT).map((message) =>
    readBack(message.render(false)).body.content.toString(),
  );
  assert.deepEqual(texts, ["one", "two"]);
});

test("a batch with one unreadable message is refused as a whole", () => {
  const good = encodeSection(SECTION.DATA, types.wrap_binary(encoded("one")));
  const bad = encodeSection(SECTION.DATA, types.wrap_binary(Buffer.from("nonsense")));
  assert.throws(() => messagesIn(Buffer.concat([good, bad]), BATCH_FORMAT), SectionError);
});

test("mutilated messages are refused with a SectionError and nothing else", () => {
  const sample = encoded("body", {
    properties: { message_id: "m", group_id: "g" },
    header: { ttl: 1000 },
    annotations: { "x-opt-partition-key": "p" },
    applicationProperties: { a: 1 },
  });
  const random = randomNumbers(42);
  for (let round = 0; round < 5_000; round += 1) {
    const bytes = Buffer.from(sample);
    for (let flips = random(4); flips >= 0; flips -= 1) {
      bytes[random(bytes.length)] = random(256);
    }
    try {
      Message.fromWire(bytes).render(true);
    } catch (error) {
      assert.ok(error instanceof SectionError, `${bytes.toString("hex")}: ${error.stack}`);
    }
  }
});

test("a message keeps no part of the buffer in which it came", () => {
  const bytes = encoded("original", { properties: { message_id: "m" } });
  const message = Message.fromWire(bytes);
  bytes.fill(0);
  assert.equal(readBack(message.render(false)).body.content.toString(), "original");
});
