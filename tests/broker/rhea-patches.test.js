"use strict";

const assert = require("node:assert/strict");
const { test } = require("node:test");
const { broker, encoded, rhea, types } = require("./support");
const { AMQP_HEADER, Peer, credit, frames, receiverAttach, senderAttach } = require("./peer");

const patches = broker("rhea-patches");
const links = broker("links");
const limits = broker("limits");

const LIMIT = 1000;
const receiving = (more = {}) => ({
  receiver_open: ({ receiver }) => links.answerAttach(receiver, LIMIT),
  sender_open: ({ sender }) => links.answerAttach(sender, LIMIT),
  ...more,
});
const transfer = (id, more = {}) =>
  frames.transfer({ handle: 0, delivery_id: id, delivery_tag: Buffer.from([id]), ...more });

test("the version of rhea and every function that is touched are checked", () => {
  const { RHEA_VERSION, checkRhea, findInternals } = broker("rhea-check");
  const internals = findInternals();
  checkRhea(RHEA_VERSION, internals);
  const mismatch = (error) => error.code === "rhea_mismatch" && /npm ci/.test(error.message);
  assert.throws(() => checkRhea("3.0.6", internals), mismatch);
  assert.throws(() => checkRhea("3.0.5", { ...internals, ring: {} }), /CircularBuffer.by_id/);
  assert.throws(() => checkRhea("3.0.5", { ...internals, link: {} }), /link\._process/);
});

test("patching again changes nothing", () => {
  const { _process: before } = requireConnection().prototype;
  patches.patchRhea();
  assert.equal(requireConnection().prototype._process, before);
});

function requireConnection() {
  return rhea.create_connection({}).constructor;
}

test("messages are handed over as the bytes that came", async () => {
  const got = [];
  const peer = new Peer({ on: receiving({ message: ({ message }) => got.push(message) }) });
  await peer.open([[0, senderAttach("s", 0)]]);
  const bytes = encoded("hello", { applicationProperties: { n: types.Short(1) } });
  await peer.send([0, transfer(0, { message_format: 0 }), bytes]);
  assert.ok(got[0].equals(bytes));
  assert.equal(patches.decodeMessage(bytes).application_properties.n, 1);
});

test("the frames of one turn are written together", async () => {
  const peer = new Peer({ on: receiving() });
  await peer.raw(AMQP_HEADER);
  const before = peer.socket.batches.length;
  const begin = { next_outgoing_id: 0, incoming_window: 10, outgoing_window: 10 };
  await peer.send(
    [0, frames.open({ container_id: "peer" })],
    [0, frames.begin(begin)],
    [0, senderAttach("s", 0)],
    [0, receiverAttach("r", 1)],
  );
  assert.deepEqual(
    peer.written().map(([name]) => name),
    ["open", "begin", "attach", "flow", "attach"],
  );
  assert.equal(peer.socket.batches.length - before, 1);
});

test("an exception while frames are made ends the connection, not the process", async () => {
  const state = {
    toRheaTyped() {
      throw new Error("of a state");
    },
  };
  const on = receiving({ message: ({ delivery }) => delivery.update(true, state) });
  const peer = await new Peer({ on }).open([[0, senderAttach("s", 0)]]);
  await peer.send([0, transfer(0), encoded("x")]);
  assert.match(peer.closedWith().description, /of a state/);
});

test("an exception in a handler that runs between frames ends the connection", async () => {
  const on = receiving({
    sender_flow: ({ sender }) => sender.send(encoded("x"), undefined, 0),
    accepted: () => {
      throw new Error("of a handler");
    },
  });
  const peer = await new Peer({ on }).open([[0, receiverAttach("r", 0)]]);
  await peer.send([0, credit(0, 1)]);
  const state = rhea.message.accepted().described();
  await peer.send([0, frames.disposition({ role: true, first: 0, settled: true, state })]);
  assert.match(peer.closedWith().description, /of a handler/);
});

test("a connection that cannot be read is closed with an error, once, and read no more", async () => {
  const got = [];
  const peer = new Peer({ on: receiving({ message: ({ message }) => got.push(message) }) });
  await peer.open([[0, senderAttach("s", 0)]]);
  const good = frames.write_frame(frames.amqp_frame(0, transfer(0), encoded("x")));
  await peer.raw(Buffer.from("0000000c0200000000000000", "hex"));
  await peer.raw(good);
  assert.equal(peer.closedWith().condition, "amqp:connection:framing-error");
  assert.equal(got.length, 0);
  await new Promise((resolve) => peer.socket.once("close", resolve));
  assert.ok(peer.socket.isDestroyed);
  assert.equal(peer.eventNames.filter((name) => name === "disconnected").length, 1);
});

test("bytes that are no AMQP at all end the connection without an answer", async () => {
  const peer = new Peer();
  await peer.raw(Buffer.from("GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"));
  assert.ok(peer.socket.isEnded);
  assert.equal(peer.socket.batches.length, 0);
});

test("a peer that does not take what is written is not read until it does", async () => {
  const peer = await new Peer({ on: receiving() }).open();
  peer.socket.writableLength = limits.READ_HIGH_WATER + 1;
  await peer.send([0, senderAttach("s", 0)]);
  assert.equal(peer.socket.isPaused, true);
  peer.socket.emit("drain");
  assert.equal(peer.socket.isPaused, false);
});

for (const size of [0, 7, limits.MAX_FRAME_BYTES + 1, 0xffffffff]) {
  test(`a frame of ${size} bytes is refused before its bytes come`, async () => {
    const peer = await new Peer({ on: receiving() }).open();
    const head = Buffer.alloc(6);
    head.writeUInt32BE(size, 0);
    await peer.raw(head);
    assert.equal(peer.closedWith().condition, "amqp:connection:framing-error");
  });
}

test("a frame of the largest allowed size is taken, in whatever pieces it comes", async () => {
  const got = [];
  const on = receiving({
    receiver_open: ({ receiver }) => links.answerAttach(receiver, 1e6),
    message: ({ message }) => got.push(message),
  });
  const peer = await new Peer({ on }).open([[0, senderAttach("s", 0)]]);
  const overhead = frames.write_frame(frames.amqp_frame(0, transfer(0), Buffer.alloc(0))).length;
  const payload = Buffer.alloc(limits.MAX_FRAME_BYTES - overhead, 1);
  const frame = frames.write_frame(frames.amqp_frame(0, transfer(0), payload));
  assert.equal(frame.length, limits.MAX_FRAME_BYTES);
  for (const [from, to] of [
    [0, 3],
    [3, 5],
    [5, 40_000],
    [40_000, frame.length],
  ]) {
    await peer.raw(frame.subarray(from, to));
  }
  assert.ok(got[0].equals(payload));
});

const HUGE = {
  "a list of four billion items": "d000000008ffffffff4040",
  "a map of four billion items": "d100000008ffffffff4040",
  "an array of four billion items without bytes": "f000000006ffffffff4040",
};

for (const [name, hex] of Object.entries(HUGE)) {
  test(`${name} is refused without making room for it`, async () => {
    const peer = await new Peer({ on: receiving() }).open();
    const body = Buffer.concat([Buffer.from([0, 0x53, 0x12]), Buffer.from(hex, "hex")]);
    const head = Buffer.from([0, 0, 0, 8 + body.length, 2, 0, 0, 0]);
    const before = process.memoryUsage().heapUsed;
    const started = performance.now();
    await peer.raw(Buffer.concat([head, body]));
    assert.match(peer.closedWith().description, /do not fit/);
    assert.ok(performance.now() - started < 1000);
    assert.ok(process.memoryUsage().heapUsed - before < 20e6);
  });
}

test("small arrays of items without bytes are still read", () => {
  const reader = new rhea.types.Reader(Buffer.from("e00203" + "41", "hex"));
  assert.equal(reader.read().value.length, 3);
});

test("a sender and a receiver may have the same name", async () => {
  const peer = await new Peer({ on: receiving() }).open();
  await peer.send([0, senderAttach("same", 0)], [0, receiverAttach("same", 1)]);
  assert.deepEqual(
    peer.writtenOf("attach").map((attach) => [attach.name, attach.role]),
    [
      ["same", true],
      ["same", false],
    ],
  );
  assert.equal(peer.socket.isEnded, false);
});

const begin = () => frames.begin({ next_outgoing_id: 0, incoming_window: 9, outgoing_window: 9 });
const FORBIDDEN = {
  "a channel beyond the maximum": [limits.CHANNEL_MAX + 1, begin()],
  "a second session on a channel": [0, begin()],
  "a handle beyond the maximum": [0, senderAttach("s", limits.HANDLE_MAX + 1)],
  "a handle that is in use": [0, senderAttach("other", 0)],
  "a link that is attached already": [0, senderAttach("first", 5)],
};

for (const [name, frame] of Object.entries(FORBIDDEN)) {
  test(`${name} is refused`, async () => {
    const peer = await new Peer({ on: receiving() }).open([[0, senderAttach("first", 0)]]);
    assert.equal(peer.socket.isEnded, false);
    await peer.send(frame);
    assert.equal(peer.closedWith().condition, "amqp:connection:framing-error");
  });
}

test("detached links are forgotten, and their handles and names can be used at once", async () => {
  const peer = await new Peer({ on: receiving() }).open();
  const [session] = Object.values(peer.connection.local_channel_map);
  const detach = () => frames.detach({ handle: 0, closed: true });
  for (let i = 0; i < 300; i += 1) {
    await peer.send(
      [0, senderAttach("s", 0)],
      [0, detach()],
      [0, senderAttach("s", 0)],
      [0, detach()],
    );
  }
  assert.equal(peer.writtenOf("detach").length, 600);
  for (const links of [session.links, session.local.handles, session.remote.handles]) {
    assert.equal(Object.keys(links).length, 0);
  }
});
