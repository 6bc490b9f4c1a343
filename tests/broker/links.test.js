"use strict";

const assert = require("node:assert/strict");
const { test } = require("node:test");
const { broker, encoded } = require("./support");
const { Peer, credit, receiverAttach } = require("./peer");

const links = broker("links");
const limits = broker("limits");

const LIMIT = 1000;
const receiving = (more = {}) => ({
  sender_open: ({ sender }) => links.answerAttach(sender, LIMIT),
  ...more,
});

test("credit that waiting deliveries will use is not spent twice", async () => {
  const left = [];
  const on = receiving({
    sender_flow: ({ sender }) => {
      for (let i = 0; i < 3; i += 1) {
        sender.send(encoded("x"), Buffer.from([i]), 0);
        left.push(links.spendableCredit(sender));
      }
    },
  });
  const peer = await new Peer({ on }).open([[0, receiverAttach("r", 0)]]);
  await peer.send([0, credit(0, 5)]);
  assert.deepEqual(left, [4, 3, 2]);
});

test("nothing is sent to a peer that does not read", async () => {
  let link;
  const on = receiving({
    sender_open: ({ sender }) => {
      link = sender;
      links.answerAttach(sender, LIMIT);
    },
  });
  const peer = await new Peer({ on }).open([[0, receiverAttach("r", 0)]]);
  await peer.send([0, credit(0, 5)]);
  assert.equal(links.spendableCredit(link), 5);
  peer.socket.writableLength = limits.DELIVERY_HIGH_WATER + 1;
  assert.equal(links.spendableCredit(link), 0);
});

test("deliveries whose locks are over make room for others in a session", async () => {
  let link;
  const on = receiving({
    sender_open: ({ sender }) => {
      link = sender;
      links.answerAttach(sender, LIMIT);
    },
  });
  const options = { session_buffer_size: { incoming: 10, outgoing: 70 } };
  const peer = await new Peer({ on, options }).open([[0, receiverAttach("r", 0)]]);
  await peer.send([0, credit(0, 1000)]);
  for (let i = 0; i < 70; i += 1) link.send(encoded("x"), Buffer.from([i]), 0);
  await peer.turn();
  assert.equal(
    links.hasRoom(link.session, () => false),
    false,
  );
  assert.equal(
    links.hasRoom(link.session, (delivery) => delivery.id < 5),
    true,
  );
  assert.equal(link.session.outgoing.available(), 5);
});

test("a held attach is sent when the link is opened, not before", async () => {
  let link;
  const on = {
    sender_open: ({ sender }) => {
      link = sender;
      links.answerAttach(sender, LIMIT);
      links.holdAttach(sender);
    },
  };
  const peer = await new Peer({ on }).open([[0, receiverAttach("r", 0)]]);
  assert.equal(peer.writtenOf("attach").length, 0);
  link.open();
  await peer.turn();
  assert.equal(peer.writtenOf("attach").length, 1);
});

test("a refused link is attached without ends and then detached with the reason", async () => {
  const { refusals } = broker("errors");
  const on = {
    sender_open: ({ sender }) => links.refuseLink(sender, refusals.notFound("nowhere")),
  };
  const peer = await new Peer({ on }).open([[0, receiverAttach("r", 0)]]);
  const [attach] = peer.writtenOf("attach");
  assert.deepEqual([attach.source?.value, attach.target?.value], [null, null]);
  const [detach] = peer.writtenOf("detach");
  assert.equal(detach.error.condition, "amqp:not-found");
  assert.equal(detach.error.value.length, 3, "azure-servicebus reads the third field by its index");
});
