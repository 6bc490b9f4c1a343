"use strict";

/**
 * What the JavaScript SDK can rely on. The broker is started by test_javascript.py, which gives
 * its connection string and the address of its control interface in the environment.
 */

const assert = require("node:assert/strict");
const { createRequire } = require("node:module");
const path = require("node:path");
const { after, before, test } = require("node:test");

// Not by support.js: its rhea is patched for a broker, and the SDK here is a client.
const requireLocal = createRequire(path.join(__dirname, "..", "..", "local", "package.json"));
const { ServiceBusClient, delay } = requireLocal("@azure/service-bus");

const CONTROL = process.env.BROKER_CONTROL_URL;
const client = new ServiceBusClient(process.env.BROKER_CONNECTION_STRING, {
  retryOptions: { maxRetries: 2, retryDelayInMs: 50, maxRetryDelayInMs: 200 },
});
const WAIT = { maxWaitTimeInMs: 8000 };

let sender;
let receiver;
let deadLetters;

async function control(method, path, body) {
  const options = { method, body: body && JSON.stringify(body) };
  const answer = await fetch(CONTROL + path, options);
  assert.equal(answer.status, 200, await answer.clone().text());
  return answer.json();
}

const counts = async (queue = "main") => (await control("GET", "/queues")).queues[queue];
const advance = (seconds) => control("POST", "/time/advance", { seconds });
const brokerNow = async () => {
  const { clockOffsetSeconds } = await control("GET", "/status");
  return Date.now() + clockOffsetSeconds * 1000;
};

async function receive(count = 1, from = receiver) {
  const messages = [];
  while (messages.length < count) {
    const more = await from.receiveMessages(count - messages.length, WAIT);
    assert.ok(more.length > 0, `${messages.length} of ${count} messages came`);
    messages.push(...more);
  }
  return messages;
}

const bodies = (messages) => messages.map((message) => message.body);
const codeIs = (code) => (error) => error.name === "ServiceBusError" && error.code === code;

before(async () => {
  sender = client.createSender("main");
  receiver = client.createReceiver("main");
  deadLetters = client.createReceiver("main", { subQueueType: "deadLetter" });
});

after(() => client.close());

/** A test on the empty queue `main`. */
function onEmptyQueue(name, body) {
  test(name, async () => {
    await control("POST", "/queues/main/purge");
    await body();
  });
}

onEmptyQueue("messages arrive in order with their properties", async () => {
  const applicationProperties = { text: "ü", number: 7, half: 0.5, flag: true };
  const extra = { applicationProperties, contentType: "application/json", subject: "label" };
  await sender.sendMessages(
    [1, 2, 3].map((n) => ({ body: { n }, messageId: `id ${n}`, ...extra })),
  );
  const messages = await receive(3);
  assert.deepEqual(bodies(messages), [{ n: 1 }, { n: 2 }, { n: 3 }]);
  const [first] = messages;
  assert.deepEqual({ ...first.applicationProperties }, applicationProperties);
  assert.deepEqual(
    [first.messageId, first.contentType, first.subject, first.deliveryCount, first.state],
    ["id 1", "application/json", "label", 0, "active"],
  );
  const lasts = first.lockedUntilUtc.getTime() - first.enqueuedTimeUtc.getTime();
  assert.ok(lasts >= 30_000 && lasts < 40_000, String(lasts));
  assert.ok(first.sequenceNumber.lessThan(messages[1].sequenceNumber));
  await Promise.all(messages.map((message) => receiver.completeMessage(message)));
  assert.equal((await counts()).locked, 0);
});

onEmptyQueue("a batch is bounded by the link's size, and arrives", async () => {
  const batch = await sender.createMessageBatch();
  assert.equal(batch.maxSizeInBytes, 262_144);
  while (batch.tryAddMessage({ body: "x".repeat(10_000) }));
  await sender.sendMessages(batch);
  assert.ok(batch.count > 20);
  assert.equal((await counts()).active, batch.count);
});

onEmptyQueue("a message that is too large is refused at once, and the sender goes on", async () => {
  const started = Date.now();
  await assert.rejects(
    sender.sendMessages({ body: "x".repeat(300_000) }),
    codeIs("MessageSizeExceeded"),
  );
  assert.ok(Date.now() - started < 2000);
  await sender.sendMessages({ body: "small" });
  assert.equal((await counts()).active, 1);
});

onEmptyQueue("a body of many frames arrives byte for byte", async () => {
  const body = Buffer.from(Array.from({ length: 200_000 }, (_, i) => i % 251));
  await sender.sendMessages({ body });
  const [message] = await receive();
  assert.ok(Buffer.from(message.body).equals(body));
});

onEmptyQueue("an abandoned message comes again, counted and with properties changed", async () => {
  await sender.sendMessages({ body: "x", applicationProperties: { kept: 1, changed: "old" } });
  const [message] = await receive();
  await receiver.abandonMessage(message, { changed: "new", added: true });
  const [again] = await receive();
  assert.equal(again.deliveryCount, 1);
  assert.deepEqual({ ...again.applicationProperties }, { kept: 1, changed: "new", added: true });
});

onEmptyQueue(
  "a dead-lettered message keeps reason, description and further properties",
  async () => {
    await sender.sendMessages({ body: "x" });
    const [message] = await receive();
    await receiver.deadLetterMessage(message, {
      deadLetterReason: "poison",
      deadLetterErrorDescription: "not readable",
      more: 7,
    });
    const [dead] = await receive(1, deadLetters);
    assert.deepEqual(
      [dead.deadLetterReason, dead.deadLetterErrorDescription, dead.deadLetterSource],
      ["poison", "not readable", "main"],
    );
    assert.equal(dead.applicationProperties.more, 7);
    await deadLetters.completeMessage(dead);
    assert.equal((await counts()).deadLettered, 0);
  },
);

onEmptyQueue("a deferred message is had by its number, and can be settled", async () => {
  await sender.sendMessages({ body: "x" });
  const [message] = await receive();
  await receiver.deferMessage(message, { why: "later" });
  assert.equal((await counts()).deferred, 1);
  const [deferred] = await receiver.receiveDeferredMessages(message.sequenceNumber);
  assert.deepEqual([deferred.state, deferred.applicationProperties.why], ["deferred", "later"]);
  await receiver.completeMessage(deferred);
  assert.equal((await counts()).deferred, 0);
  await assert.rejects(
    receiver.receiveDeferredMessages(message.sequenceNumber),
    codeIs("MessageNotFound"),
  );
});

onEmptyQueue("peeking shows messages without locking them", async () => {
  await sender.sendMessages([{ body: "a" }, { body: "b" }]);
  const [first] = await receiver.peekMessages(1, { fromSequenceNumber: deadZero() });
  const both = await receiver.peekMessages(10, { fromSequenceNumber: first.sequenceNumber });
  assert.deepEqual(bodies(both), ["a", "b"]);
  assert.equal((await counts()).active, 2);
  const beyond = both[1].sequenceNumber.add(1);
  assert.deepEqual(await receiver.peekMessages(1, { fromSequenceNumber: beyond }), []);
});

function deadZero() {
  const Long = requireLocal("long");
  return (Long.default ?? Long).fromNumber(0);
}

onEmptyQueue("a scheduled message comes when it is due, a cancelled one never", async () => {
  const due = new Date((await brokerNow()) + 3_600_000);
  const messages = [{ body: "kept" }, { body: "cancelled" }];
  const [, cancelled] = await sender.scheduleMessages(messages, due);
  await sender.cancelScheduledMessages(cancelled);
  assert.deepEqual([(await counts()).scheduled, (await counts()).active], [1, 0]);
  await advance(3601);
  assert.deepEqual(bodies(await receive()), ["kept"]);
});

onEmptyQueue("a lock can be renewed, and is lost when it expires", async () => {
  await sender.sendMessages({ body: "x" });
  const [message] = await receive();
  await advance(20);
  const until = await receiver.renewMessageLock(message);
  assert.ok(Math.abs(until.getTime() - (await brokerNow()) - 30_000) < 5000);
  await advance(31);
  await assert.rejects(receiver.completeMessage(message), codeIs("MessageLockLost"));
  await assert.rejects(receiver.renewMessageLock(message), codeIs("MessageLockLost"));
  const [again] = await receive();
  assert.equal(again.deliveryCount, 1);
  await receiver.completeMessage(again);
});

onEmptyQueue("receive and delete takes messages away", async () => {
  const taking = client.createReceiver("main", { receiveMode: "receiveAndDelete" });
  await sender.sendMessages([{ body: "a" }, { body: "b" }]);
  assert.deepEqual(bodies(await receive(2, taking)), ["a", "b"]);
  assert.equal((await counts()).active + (await counts()).locked, 0);
  await taking.close();
});

onEmptyQueue("waiting for messages that do not come ends in time, and the link stays", async () => {
  const started = Date.now();
  assert.deepEqual(await receiver.receiveMessages(5, { maxWaitTimeInMs: 300 }), []);
  assert.ok(Date.now() - started < 2000);
  await sender.sendMessages({ body: "x" });
  assert.deepEqual(bodies(await receive()), ["x"]);
});

onEmptyQueue("an expired message is dead-lettered where the queue says so", async () => {
  const here = client.createSender("keeps-expired");
  const dead = client.createReceiver("keeps-expired", { subQueueType: "deadLetter" });
  await here.sendMessages({ body: "x", timeToLive: 5000 });
  await advance(6);
  const [message] = await receive(1, dead);
  assert.equal(message.deadLetterReason, "TTLExpiredException");
  await dead.completeMessage(message);
});

test("after the last allowed delivery a message is dead-lettered", async () => {
  const here = client.createReceiver("three-deliveries");
  const dead = client.createReceiver("three-deliveries", { subQueueType: "deadLetter" });
  await client.createSender("three-deliveries").sendMessages({ body: "x" });
  const seen = [];
  for (let i = 0; i < 3; i += 1) {
    const [message] = await receive(1, here);
    seen.push(message.deliveryCount);
    await here.abandonMessage(message);
  }
  assert.deepEqual(seen, [0, 1, 2]);
  const [message] = await receive(1, dead);
  assert.equal(message.deadLetterReason, "MaxDeliveryCountExceeded");
  await dead.completeMessage(message);
});

test("an unknown queue is not found", async () => {
  const nowhere = [client.createSender("nowhere"), client.createReceiver("nowhere")];
  await assert.rejects(nowhere[0].sendMessages({ body: "x" }), codeIs("MessagingEntityNotFound"));
  await assert.rejects(nowhere[1].receiveMessages(1, WAIT), codeIs("MessagingEntityNotFound"));
});

onEmptyQueue("a subscription is handed messages as they come, many at a time", async () => {
  const seen = new Set();
  const errors = [];
  const subscribed = client.createReceiver("main");
  const all = new Promise((resolve) => {
    subscribed.subscribe(
      {
        processMessage: async ({ body }) => {
          seen.add(body);
          if (seen.size === 200) resolve();
        },
        processError: async ({ error }) => errors.push(error),
      },
      { maxConcurrentCalls: 20 },
    );
  });
  await sender.sendMessages(Array.from({ length: 200 }, (_, i) => ({ body: `m${i}` })));
  await all;
  await subscribed.close();
  assert.deepEqual(errors, []);
  for (let i = 0; i < 100 && (await counts()).totals.completed < 200; i += 1) await delay(20);
  const { active, locked } = await counts();
  assert.deepEqual([active, locked], [0, 0]);
});

test("sessions keep their order, their state and their lock", async () => {
  const here = client.createSender("sessions");
  const pairs = [
    ["A", 1],
    ["B", 2],
    ["A", 3],
  ];
  await here.sendMessages(pairs.map(([sessionId, body]) => ({ sessionId, body })));
  const session = await client.acceptSession("sessions", "A");
  assert.deepEqual(bodies(await receive(2, session)), [1, 3]);
  await session.setSessionState("half done");
  assert.equal(await session.getSessionState(), "half done");
  assert.ok((await session.renewSessionLock()).getTime() > Date.now());
  const next = await client.acceptNextSession("sessions", WAIT);
  assert.equal(next.sessionId, "B");
  await assert.rejects(client.acceptSession("sessions", "A"), codeIs("SessionCannotBeLocked"));
  await Promise.all([session.close(), next.close()]);
  const again = await client.acceptSession("sessions", "A");
  assert.equal((await receive(1, again))[0].deliveryCount, 0);
  await again.close();
});

test("with no session to give, waiting for one ends", async () => {
  await control("POST", "/queues/sessions/purge");
  const once = new ServiceBusClient(process.env.BROKER_CONNECTION_STRING, {
    retryOptions: { maxRetries: 0, timeoutInMs: 500 },
  });
  await assert.rejects(once.acceptNextSession("sessions"), codeIs("ServiceTimeout"));
  await once.close();
});

onEmptyQueue("a busy broker is tried again", async () => {
  await control("PUT", "/faults", { name: "reject_sends", count: 1 });
  await sender.sendMessages({ body: "x" });
  assert.equal((await counts()).active, 1);
});

onEmptyQueue("a lost answer makes the sender send again", async () => {
  // This SDK notices a send without an answer only when its time is over.
  const hasty = new ServiceBusClient(process.env.BROKER_CONNECTION_STRING, {
    retryOptions: { maxRetries: 2, retryDelayInMs: 50, timeoutInMs: 700 },
  });
  await control("PUT", "/faults", { name: "lose_accepts", count: 1 });
  await hasty.createSender("main").sendMessages({ body: "x", messageId: "same" });
  await hasty.close();
  const ids = (await receive(2)).map((message) => message.messageId);
  assert.deepEqual(ids, ["same", "same"]);
});

onEmptyQueue("sending and receiving go on after a lost connection", async () => {
  await sender.sendMessages({ body: "before" });
  const [message] = await receive();
  await control("POST", "/connections/drop");
  await sender.sendMessages({ body: "after" });
  await receiver.completeMessage(message);
  assert.deepEqual(bodies(await receive()), ["after"]);
});
