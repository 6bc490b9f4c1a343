"use strict";

const assert = require("node:assert/strict");
const { test } = require("node:test");
const { broker, encoded, fill, makeQueue, readBack, rhea, types } = require("./support");
const { Peer, credit, frames, receiverAttach, senderAttach } = require("./peer");

const { Endpoints } = broker("endpoints");
const { Dispatcher } = broker("dispatcher");
const { MemoryStore } = broker("store");
const limits = broker("limits");

const ANY_SESSION = { filter: { "com.microsoft:session-filter": null } };
const SESSION_A = { filter: { "com.microsoft:session-filter": "A" } };

/** A queue behind endpoints, and a peer that has opened a session to them. */
async function serve(spec = "queue", store = new MemoryStore()) {
  const made = makeQueue(spec);
  const queues = [...made.namespace.queues()];
  const dispatchers = new Map(
    queues.map((queue) => [queue, new Dispatcher(queue, store, made.clock)]),
  );
  const endpoints = new Endpoints({ ...made, store, dispatchers });
  const peer = await new Peer({ container: endpoints.container() }).open();
  const sweep = () => {
    made.namespace.sweep();
    for (const dispatcher of dispatchers.values()) dispatcher.sweep();
  };
  return { ...made, peer, sweep };
}

const detach = (handle) => frames.detach({ handle, closed: true });
const names = (peer) => peer.written().map(([name]) => name);
const transfer = (handle, id, more = {}) =>
  frames.transfer({ handle, delivery_id: id, delivery_tag: Buffer.from([id]), ...more });
const disposition = (first, state, more = {}) =>
  frames.disposition({ role: true, first, settled: false, state, ...more });

test("addresses may be paths or URLs, and what is nowhere is refused", async () => {
  const { peer } = await serve();
  await peer.send([0, senderAttach("a", 0, "amqp://127.0.0.1:5672/QUEUE/")]);
  await peer.send([0, senderAttach("b", 1, "queue/$DeadLetterQueue")]);
  await peer.send([0, senderAttach("c", 2, "queue/$management")]);
  await peer.send([0, senderAttach("d", 3, "$cbs")]);
  assert.equal(peer.writtenOf("detach").length, 0);
  await peer.send([0, senderAttach("e", 4, "elsewhere")], [0, senderAttach("f", 5, "")]);
  await peer.send([0, receiverAttach("g", 6, "queue/$Transfer/$DeadLetterQueue")]);
  const conditions = peer.writtenOf("detach").map((frame) => frame.error.condition);
  assert.deepEqual(conditions, ["amqp:not-found", "amqp:not-found", "amqp:not-found"]);
});

test("senders are given credit, and the largest message's size, without asking", async () => {
  const { peer } = await serve("queue:maxMessageBytes=5000");
  await peer.send([0, senderAttach("s", 0)]);
  assert.equal(peer.writtenOf("attach")[0].max_message_size, 5000);
  assert.equal(peer.writtenOf("flow")[0].link_credit, limits.LINK_CREDIT);
});

test("a receiver that waits for a session is answered when there is one", async () => {
  const { peer, queue } = await serve("queue:sessions=true");
  await peer.send([0, receiverAttach("r", 0, "queue", ANY_SESSION)]);
  assert.equal(peer.writtenOf("attach").length, 0);
  fill(queue, ["x"], { properties: { group_id: "A" } });
  await peer.turn();
  const [attach] = peer.writtenOf("attach");
  assert.equal(attach.properties["com.microsoft:locked-until-utc"].length, 8);
  assert.equal(queue.sessions.isFree("A"), false);
});

test("a receiver that waits in vain is refused once, and its own detach is not answered again", async () => {
  const { peer, clock, sweep } = await serve("queue:sessions=true");
  const properties = { "com.microsoft:timeout": 5000 };
  await peer.send([0, receiverAttach("r", 0, "queue", { ...ANY_SESSION, properties })]);
  clock.advance(4999);
  sweep();
  await peer.turn();
  assert.equal(peer.writtenOf("attach").length, 0);
  clock.advance(1);
  sweep();
  await peer.turn();
  await peer.send([0, detach(0)]);
  assert.deepEqual(names(peer).slice(2), ["attach", "detach"]);
  assert.equal(peer.writtenOf("detach")[0].error.condition, "com.microsoft:timeout");
});

test("a receiver that gives up waiting is answered, and gets no session later", async () => {
  const { peer, queue } = await serve("queue:sessions=true");
  await peer.send([0, receiverAttach("r", 0, "queue", ANY_SESSION)], [0, detach(0)]);
  assert.deepEqual(names(peer).slice(2), ["attach", "detach"]);
  fill(queue, ["x"], { properties: { group_id: "A" } });
  await peer.turn();
  assert.ok(queue.sessions.isFree("A"));
});

test("a receiver whose session is lost is detached once", async () => {
  const { peer, clock, sweep } = await serve("queue:sessions=true");
  await peer.send([0, receiverAttach("r", 0, "queue", SESSION_A)]);
  clock.advance(30_000);
  sweep();
  await peer.turn();
  await peer.send([0, detach(0)]);
  assert.deepEqual(names(peer).slice(2), ["attach", "detach"]);
  assert.equal(peer.writtenOf("detach")[0].error.condition, "com.microsoft:session-lock-lost");
});

test("a session is free again when its receiver's connection is gone", async () => {
  const { peer, queue } = await serve("queue:sessions=true");
  await peer.send([0, receiverAttach("r", 0, "queue", SESSION_A)]);
  assert.equal(queue.sessions.isFree("A"), false);
  peer.socket.destroy();
  await peer.turn();
  assert.ok(queue.sessions.isFree("A"));
});

test("a receiver that waits for a session is forgotten when its connection is lost", async () => {
  const { peer, queue } = await serve("queue:sessions=true");
  await peer.send([0, receiverAttach("r", 0, "queue", ANY_SESSION)]);
  peer.socket.destroy();
  await peer.turn();
  fill(queue, ["x"], { properties: { group_id: "A" } });
  await peer.turn();
  assert.ok(queue.sessions.isFree("A"));
});

test("nothing is delivered any more to a connection that is being closed as broken", async () => {
  const { peer, queue } = await serve();
  await peer.send([0, receiverAttach("r", 0)], [0, credit(0, 10)]);
  await peer.raw(Buffer.alloc(16));
  assert.ok(peer.socket.isEnded && !peer.socket.isDestroyed);
  fill(queue, ["x"]);
  await peer.turn();
  assert.deepEqual([queue.counts.active, queue.counts.locked], [1, 0]);
});

test("an ended AMQP session takes its receivers along", async () => {
  const { peer, queue } = await serve();
  await peer.send([0, receiverAttach("r", 0)], [0, credit(0, 10)], [0, frames.end({})]);
  fill(queue, ["x"]);
  await peer.turn();
  assert.equal(peer.writtenOf("transfer").length, 0);
  assert.equal(queue.counts.active, 1);
});

test("no more is delivered than there is credit for, in turn among receivers", async () => {
  const { peer, queue } = await serve();
  await peer.send([0, receiverAttach("a", 0)], [0, receiverAttach("b", 1)]);
  await peer.send([0, credit(0, 2)], [0, credit(1, 3)]);
  fill(queue, ["1", "2", "3", "4", "5", "6", "7"]);
  await peer.turn();
  const handles = peer.writtenOf("transfer").map((frame) => frame.handle);
  assert.deepEqual(handles.slice().sort(), [0, 0, 1, 1, 1]);
  assert.notEqual(handles[0], handles[1]);
  assert.equal(queue.counts.active, 2);
});

const outcomes = {
  accepted: [rhea.message.accepted(), { active: 0, locked: 0, dead: 0 }, 0x24],
  released: [rhea.message.released(), { active: 1, locked: 0, dead: 0 }, 0x26],
  modified: [rhea.message.modified({}), { active: 1, locked: 0, dead: 0 }, 0x27],
  rejected: [rhea.message.rejected({}), { active: 0, locked: 0, dead: 1 }, 0x25],
};

for (const [name, [outcome, expected, code]] of Object.entries(outcomes)) {
  test(`a message is ${name} by its disposition, and the answer settles it`, async () => {
    const { peer, queue, deadLetters } = await serve();
    fill(queue, ["x"]);
    await peer.send([0, receiverAttach("r", 0)], [0, credit(0, 1)]);
    await peer.send([0, disposition(0, outcome.described())]);
    const { active, locked } = queue.counts;
    assert.deepEqual({ active, locked, dead: deadLetters.counts.active }, expected);
    const [answer] = peer.writtenOf("disposition");
    assert.deepEqual([answer.settled, answer.role], [true, false]);
    assert.equal(answer.state.descriptor.value, code);
  });
}

test("a disposition that is repeated is answered once", async () => {
  const { peer, queue } = await serve();
  fill(queue, ["x"]);
  await peer.send([0, receiverAttach("r", 0)], [0, credit(0, 1)]);
  const done = rhea.message.accepted().described();
  await peer.send([0, disposition(0, done)], [0, disposition(0, done)]);
  const states = peer.writtenOf("disposition").map(({ state }) => state.descriptor.value);
  assert.deepEqual(states, [0x24]);
  assert.equal(queue.totals.completed, 1);
});

test("what is delivered settled is gone from the queue", async () => {
  const { peer, queue } = await serve();
  fill(queue, ["x", "y"]);
  await peer.send([0, receiverAttach("r", 0, "queue", { snd_settle_mode: 1 })], [0, credit(0, 5)]);
  const transfers = peer.writtenOf("transfer");
  assert.deepEqual(
    transfers.map(({ settled, delivery_tag: tag }) => [settled, tag.length]),
    [
      [true, 16],
      [true, 16],
    ],
  );
  assert.deepEqual([queue.counts.active, queue.counts.locked], [0, 0]);
});

test("what is delivered is in the store before it is on its way", async () => {
  const atFlush = [];
  class WatchedStore extends MemoryStore {
    flush() {
      atFlush.push(this.peer.writtenOf("transfer").length);
    }
  }
  const store = new WatchedStore();
  const { peer, queue } = await serve("queue", store);
  store.peer = peer;
  fill(queue, ["x"]);
  await peer.send([0, receiverAttach("r", 0)], [0, credit(0, 1)]);
  assert.equal(peer.writtenOf("transfer").length, 1);
  assert.deepEqual(new Set(atFlush), new Set([0]));
});

test("an outcome that is none leaves the message locked and the connection open", async () => {
  const { peer, queue } = await serve();
  fill(queue, ["x"]);
  await peer.send([0, receiverAttach("r", 0)], [0, credit(0, 1)]);
  const received = rhea.message.received({ section_number: 0, section_offset: 0 });
  await peer.send([0, disposition(0, received.described())]);
  await peer.send([0, disposition(0, types.wrap_string("nonsense"))]);
  assert.equal(queue.counts.locked, 1);
  assert.equal(peer.socket.isEnded, false);
});

test("a rejection with a mutilated error still dead-letters", async () => {
  const { peer, queue, deadLetters } = await serve();
  fill(queue, ["x"]);
  await peer.send([0, receiverAttach("r", 0)], [0, credit(0, 1)]);
  const state = types.described(types.wrap_ulong(0x25), types.wrap_list(["no error"]));
  await peer.send([0, disposition(0, state)]);
  assert.equal(deadLetters.counts.active, 1);
});

test("messages that were sent settled are stored and not answered", async () => {
  const { peer, queue } = await serve();
  await peer.send([0, senderAttach("s", 0)]);
  await peer.send([0, transfer(0, 0, { settled: true }), encoded("x")]);
  assert.equal(queue.counts.active, 1);
  assert.equal(peer.writtenOf("disposition").length, 0);
});

test("what is no message is rejected with all three fields of the error", async () => {
  const { peer, queue } = await serve();
  await peer.send([0, senderAttach("s", 0)]);
  await peer.send([0, transfer(0, 0), Buffer.from("garbage")], [0, transfer(0, 1)]);
  const states = peer.writtenOf("disposition").map((frame) => frame.state);
  assert.equal(states.length, 2);
  for (const state of states) {
    const [error] = state.value;
    assert.equal(error.value[0].value, "amqp:decode-error");
    assert.equal(error.value.length, 3);
  }
  assert.equal(queue.counts.active, 0);
});

test("a message beyond the limit is rejected with its size and not stored", async () => {
  const { peer, queue } = await serve("queue:maxMessageBytes=2000");
  await peer.send([0, senderAttach("s", 0)]);
  const bytes = encoded("x".repeat(3000));
  await peer.send([0, transfer(0, 0, { more: true }), bytes.subarray(0, 1500)]);
  await peer.send([0, transfer(0, 0), bytes.subarray(1500)]);
  const [{ state }] = peer.writtenOf("disposition");
  const [condition, description] = state.value[0].value;
  assert.equal(condition.value, "amqp:link:message-size-exceeded");
  assert.match(description.value, new RegExp(`size:${bytes.length} bytes.*2000 bytes`));
  assert.equal(queue.counts.active, 0);
});

/** The peer's link pair to a queue's management, with credit for replies. */
async function openManagement(peer, replies = 10) {
  const address = "queue/$management";
  await peer.send([0, senderAttach("m", 0, address)], [0, receiverAttach("m", 1, address)]);
  await peer.send([0, credit(1, replies)]);
}

function request(operation, body = {}) {
  return rhea.message.encode({
    message_id: "request",
    reply_to: "client",
    application_properties: { operation },
    body,
  });
}

function replies(peer) {
  return peer
    .written()
    .filter(([name]) => name === "transfer")
    .map(([, , { payload }]) => readBack(payload));
}

const tokens = (...all) =>
  types.wrap_array(
    all.map((hex) => Buffer.from(hex, "hex")),
    types.Uuid.typecode,
  );

const refused = {
  "an unknown operation": ["com.microsoft:make-coffee", {}, 501],
  "an operation named like a property of objects": ["constructor", {}, 501],
  "a lock that is none": [
    "com.microsoft:renew-lock",
    { "lock-tokens": tokens("00".repeat(16)) },
    410,
  ],
  "a missing field": ["com.microsoft:renew-lock", {}, 400],
  "tokens of another type": [
    "com.microsoft:update-disposition",
    { "lock-tokens": ["text"], "disposition-status": "completed" },
    400,
  ],
  "an unknown disposition": [
    "com.microsoft:update-disposition",
    { "lock-tokens": [], "disposition-status": "toString" },
    400,
  ],
  "a peek with nothing to see": ["com.microsoft:peek-message", { "message-count": 1 }, 204],
  "a session state where there are no sessions": [
    "com.microsoft:get-session-state",
    { "session-id": "A" },
    400,
  ],
  "a scheduled message that is none": [
    "com.microsoft:schedule-message",
    { messages: [{ message: Buffer.from("garbage") }] },
    400,
  ],
};

for (const [name, [operation, body, status]] of Object.entries(refused)) {
  test(`${name} is answered with ${status}`, async () => {
    const { peer } = await serve();
    await openManagement(peer);
    await peer.send([0, transfer(0, 0), request(operation, body)]);
    const [reply] = replies(peer);
    assert.equal(reply.correlation_id, "request");
    assert.equal(reply.application_properties.statusCode, status);
    assert.equal(typeof reply.application_properties.errorCondition, "string");
    assert.equal(peer.writtenOf("disposition")[0].state.descriptor.value, 0x24);
  });
}

test("replies wait for credit and then come in order", async () => {
  const { peer, queue } = await serve();
  fill(queue, ["x"]);
  await openManagement(peer, 0);
  for (let id = 0; id < 3; id += 1) {
    const count = { "message-count": types.wrap_int(id + 1) };
    await peer.send([0, transfer(0, id), request("com.microsoft:peek-message", count)]);
  }
  assert.equal(replies(peer).length, 0);
  await peer.send([0, credit(1, 2)]);
  assert.equal(replies(peer).length, 2);
  await peer.send([0, credit(1, 2, { delivery_count: 2, next_incoming_id: 2 })]);
  assert.equal(replies(peer).length, 3);
});

test("a client that takes no replies is cut off in the end", async () => {
  const { peer } = await serve();
  await openManagement(peer, 0);
  const bytes = request("com.microsoft:peek-message");
  for (let id = 0; id <= limits.MAX_WAITING_REPLIES && !peer.socket.isEnded; id += 1) {
    await peer.send([0, transfer(0, id), bytes]);
  }
  assert.ok(peer.socket.isEnded);
  assert.equal(peer.writtenOf("close")[0].error.condition, "amqp:not-allowed");
});

test("any token is accepted at $cbs", async () => {
  const { peer } = await serve();
  await peer.send([0, senderAttach("c", 0, "$cbs")], [0, receiverAttach("c", 1, "$cbs")]);
  await peer.send([0, credit(1, 1)], [0, transfer(0, 0), request("put-token", "a token")]);
  assert.equal(replies(peer)[0].application_properties["status-code"], 202);
});

test("a large peek is cut to a reply of bounded size", async () => {
  const { peer, queue } = await serve();
  for (let i = 0; i < 12; i += 1) fill(queue, ["x".repeat(200_000)]);
  await openManagement(peer);
  const count = { "message-count": types.wrap_int(100) };
  await peer.send([0, transfer(0, 0), request("com.microsoft:peek-message", count)]);
  const frames_ = peer.written().filter(([name]) => name === "transfer");
  const bytes = frames_.reduce((sum, [, , { payload }]) => sum + payload.length, 0);
  assert.ok(bytes > limits.MAX_REPLY_BYTES && bytes < limits.MAX_REPLY_BYTES + 300_000, `${bytes}`);
});
