"use strict";

/** What rhea-patches.js changes in how deliveries are taken, sent and settled. */

const assert = require("node:assert/strict");
const { test } = require("node:test");
const { broker, encoded, rhea } = require("./support");
const { Peer, credit, frames, receiverAttach, senderAttach } = require("./peer");

const links = broker("links");

const LIMIT = 1000;
const receiving = (more = {}) => ({
  receiver_open: ({ receiver }) => links.answerAttach(receiver, LIMIT),
  sender_open: ({ sender }) => links.answerAttach(sender, LIMIT),
  ...more,
});
const transfer = (id, more = {}) =>
  frames.transfer({ handle: 0, delivery_id: id, delivery_tag: Buffer.from([id]), ...more });

test("of a message beyond the limit only its size is kept", async () => {
  const sizes = [];
  const held = [];
  const on = receiving({
    message: ({ message, receiver }) => sizes.push([receiver.message_bytes, message.length]),
  });
  const peer = await new Peer({ on }).open([[0, senderAttach("s", 0)]]);
  const [session] = Object.values(peer.connection.local_channel_map);
  const part = Buffer.alloc(600);
  for (let i = 0; i < 20; i += 1) {
    await peer.send([0, transfer(0, { more: i < 19 }), part]);
    const [link] = Object.values(session.links);
    const kept = link._incomplete?.frames.reduce((sum, frame) => sum + frame.length, 0) ?? 0;
    held.push(kept);
  }
  assert.ok(Math.max(...held) <= LIMIT, String(held));
  assert.deepEqual(
    sizes.map(([size]) => size),
    [12_000],
  );
  await peer.send([0, transfer(1), part]);
  assert.deepEqual(sizes[1], [600, 600]);
  assert.equal(peer.connection.incomplete_bytes, 0);
});

test("a connection cannot begin more messages than a bound, over all its links", async () => {
  const on = { receiver_open: ({ receiver }) => links.answerAttach(receiver, 4_000_000) };
  const peer = await new Peer({ on }).open();
  const part = Buffer.alloc(60_000);
  const perLink = 60;
  for (let handle = 0; handle < 5 && !peer.socket.isEnded; handle += 1) {
    await peer.send([0, senderAttach(`s${handle}`, handle)]);
    for (let i = 0; i < perLink && !peer.socket.isEnded; i += 1) {
      const frame = {
        handle,
        delivery_id: handle,
        delivery_tag: Buffer.from([handle]),
        more: true,
      };
      await peer.send([0, frames.transfer(frame), part]);
    }
  }
  assert.equal(peer.closedWith().condition, "amqp:resource-limit-exceeded");
});

test("what a detached link had begun does not count any more", async () => {
  const peer = await new Peer({ on: receiving() }).open([[0, senderAttach("s", 0)]]);
  await peer.send([0, transfer(0, { more: true }), Buffer.alloc(500)]);
  assert.equal(peer.connection.incomplete_bytes, 500);
  await peer.send([0, frames.detach({ handle: 0, closed: true })]);
  assert.equal(peer.connection.incomplete_bytes, 0);
});

test("an aborted message is not handed over, and the next one is", async () => {
  const got = [];
  const peer = new Peer({ on: receiving({ message: ({ message }) => got.push(message.length) }) });
  await peer.open([[0, senderAttach("s", 0)]]);
  await peer.send([0, transfer(0, { more: true }), Buffer.alloc(500)]);
  await peer.send([0, transfer(0, { aborted: true })]);
  assert.equal(peer.connection.incomplete_bytes, 0);
  await peer.send([0, transfer(1), Buffer.alloc(7)]);
  assert.deepEqual(got, [7]);
});

const sending = (more = {}) =>
  receiving({
    sender_flow: ({ sender }) => {
      sender.sent ??= 0;
      while (links.spendableCredit(sender) > 0 && sender.sent < 3) {
        sender.send(encoded(`m${sender.sent}`), Buffer.from([sender.sent]), 0);
        sender.sent += 1;
      }
    },
    ...more,
  });

test("a disposition of four billion deliveries settles those that there are, at once", async () => {
  const settled = [];
  const on = sending({ accepted: ({ delivery }) => settled.push(delivery.id) });
  const peer = await new Peer({ on }).open([[0, receiverAttach("r", 0)]]);
  await peer.send([0, credit(0, 3)]);
  const state = rhea.message.accepted().described();
  const started = performance.now();
  await peer.send([
    0,
    frames.disposition({ role: true, first: 0, last: 4294967295, settled: true, state }),
  ]);
  assert.ok(performance.now() - started < 1000);
  assert.deepEqual(settled, [0, 1, 2]);
  await peer.send([
    0,
    frames.disposition({ role: true, first: 0, last: 4294967295, settled: true, state }),
  ]);
  assert.equal(peer.socket.isEnded, false);
});

test("a disposition without an end, or of deliveries that there are not, does no harm", async () => {
  const settled = [];
  const on = sending({ accepted: ({ delivery }) => settled.push(delivery.id) });
  const peer = await new Peer({ on }).open([[0, receiverAttach("r", 0)]]);
  await peer.send([0, credit(0, 3)]);
  const state = rhea.message.accepted().described();
  const disposition = (first, last) =>
    frames.disposition({ role: true, first, last, settled: true, state });
  await peer.send([0, disposition(7, 9)], [0, disposition(2, 1)], [0, disposition(1)]);
  assert.deepEqual(settled, [1]);
});

test("every message is told its own outcome, and only accepted ones share a disposition", async () => {
  const { accepted, rejected, released } = rhea.message;
  const outcomes = [accepted(), rejected({}), released(), released(), accepted(), accepted()];
  const on = receiving({
    message: ({ delivery }) => delivery.update(true, outcomes[delivery.id].described()),
  });
  const container = rhea.create_container({ receiver_options: { autoaccept: false } });
  const peer = await new Peer({ on, container }).open([[0, senderAttach("s", 0)]]);
  await peer.send(...outcomes.map((_, id) => [0, transfer(id), encoded("x")]));
  const told = peer
    .writtenOf("disposition")
    .map(({ first, last, state }) => [first, last, state.descriptor.value]);
  assert.deepEqual(told, [
    [0, 0, 0x24],
    [1, 1, 0x25],
    [2, 2, 0x26],
    [3, 3, 0x26],
    [4, 5, 0x24],
  ]);
});

test("the bytes of a delivery are not kept once they are sent", async () => {
  const peer = await new Peer({ on: sending() }).open([[0, receiverAttach("r", 0)]]);
  await peer.send([0, credit(0, 2)]);
  const [{ outgoing }] = Object.values(peer.connection.local_channel_map);
  assert.deepEqual(
    [0, 1].map((id) => outgoing.deliveries.by_id(id).data.length),
    [0, 0],
  );
  assert.equal(peer.writtenOf("transfer").length, 2);
});

test("a drain is answered when the broker says so, with all credit used up", async () => {
  let link;
  const on = sending({
    sender_open: ({ sender }) => {
      link = sender;
      links.answerAttach(sender, LIMIT);
    },
  });
  const peer = await new Peer({ on }).open([[0, receiverAttach("r", 0)]]);
  await peer.send([0, credit(0, 10, { drain: true })]);
  assert.equal(peer.writtenOf("flow").length, 0);
  links.answerDrain(link);
  await peer.turn();
  const [flow] = peer.writtenOf("flow");
  assert.deepEqual([flow.drain, flow.link_credit, flow.delivery_count], [true, 0, 10]);
  links.answerDrain(link);
  await peer.turn();
  assert.equal(peer.writtenOf("flow").length, 1);
});

test("a drain is not answered while messages wait for the peer's window", async () => {
  let link;
  const on = sending({
    sender_open: ({ sender }) => {
      link = sender;
      links.answerAttach(sender, LIMIT);
    },
  });
  const peer = await new Peer({ on }).open([[0, receiverAttach("r", 0)]]);
  await peer.send([0, credit(0, 10, { drain: true, incoming_window: 2 })]);
  links.answerDrain(link);
  await peer.turn();
  assert.equal(peer.writtenOf("transfer").length, 2);
  assert.equal(peer.writtenOf("flow").length, 0);
  const window = {
    next_incoming_id: 2,
    incoming_window: 100,
    next_outgoing_id: 0,
    outgoing_window: 9,
  };
  await peer.send([0, frames.flow(window)]);
  assert.equal(peer.writtenOf("transfer").length, 3);
  assert.deepEqual(
    peer.writtenOf("flow").map((flow) => flow.drain),
    [true],
  );
});

test("a drain with no credit left is answered too", async () => {
  let link;
  const on = sending({
    sender_open: ({ sender }) => {
      link = sender;
      links.answerAttach(sender, LIMIT);
    },
  });
  const peer = await new Peer({ on }).open([[0, receiverAttach("r", 0)]]);
  await peer.send([0, credit(0, 3)]);
  await peer.send([0, credit(0, 0, { delivery_count: 3, next_incoming_id: 3, drain: true })]);
  links.answerDrain(link);
  await peer.turn();
  assert.deepEqual(
    peer.writtenOf("flow").map((flow) => flow.drain),
    [true],
  );
});
