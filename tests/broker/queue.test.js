"use strict";

const assert = require("node:assert/strict");
const { test } = require("node:test");
const { broker, fill, makeQueue, randomNumbers, readBack, types } = require("./support");

const { Heap } = broker("heap");
const { Refusal } = broker("errors");

const textOf = (message) => readBack(message.render(false)).body.content.toString();
const take = (queue, session = null) => {
  const message = queue.next(session);
  if (message) queue.lock(message);
  return message;
};
const refusedAs = (condition) => (error) =>
  error instanceof Refusal && error.condition === condition;
const LOCK_LOST = refusedAs("com.microsoft:message-lock-lost");

test("a heap gives its items by rising key, also after items were taken out of its middle", () => {
  const heap = new Heap((item) => item.key, "slot");
  const items = Array.from({ length: 500 }, (_, i) => ({ key: (i * 7919) % 1009 }));
  for (const item of items) heap.push(item);
  const gone = items.filter((_, i) => i % 3 === 0);
  for (const item of gone) heap.remove(item);
  heap.remove(gone[0]);
  const rest = items.filter((_, i) => i % 3 !== 0).map((item) => item.key);
  const given = [];
  while (heap.first) {
    given.push(heap.first.key);
    heap.remove(heap.first);
  }
  assert.deepEqual(
    given,
    rest.sort((a, b) => a - b),
  );
});

test("messages are given in the order in which they were sent", () => {
  const { queue } = makeQueue();
  assert.deepEqual(fill(queue, ["a", "b", "c"]), [1, 2, 3]);
  assert.deepEqual([take(queue), take(queue), take(queue)].map(textOf), ["a", "b", "c"]);
  assert.equal(take(queue), undefined);
});

test("an abandoned message comes back to its old place and counts", () => {
  const { queue } = makeQueue();
  fill(queue, ["a", "b"]);
  const message = take(queue);
  queue.abandon(message, new Map([["why", types.wrap_string("later")]]));
  const again = take(queue);
  assert.equal(textOf(again), "a");
  assert.equal(again.deliveryCount, 1);
  assert.equal(readBack(again.render(true)).application_properties.why, "later");
});

test("a released message comes back and does not count", () => {
  const { queue } = makeQueue();
  fill(queue, ["a"]);
  queue.release(take(queue));
  assert.equal(take(queue).deliveryCount, 0);
});

test("a lock that has expired gives the message back, counts, and refuses its holder", () => {
  const { queue, clock } = makeQueue("queue:lock=30");
  fill(queue, ["a"]);
  const { lockToken } = take(queue);
  clock.advance(29_999);
  queue.sweep();
  assert.equal(queue.locked(lockToken).state, "locked");
  clock.advance(1);
  assert.throws(() => queue.locked(lockToken), LOCK_LOST);
  queue.sweep();
  const again = take(queue);
  assert.equal(again.deliveryCount, 1);
  assert.notEqual(again.lockToken, lockToken);
  assert.throws(() => queue.locked(lockToken), LOCK_LOST);
  assert.equal(queue.totals.expiredLocks, 1);
});

test("a renewed lock lasts as long again, and the others end in their order", () => {
  const { queue, clock } = makeQueue("queue:lock=30");
  fill(queue, ["a", "b"]);
  const first = take(queue);
  const second = take(queue);
  clock.advance(20_000);
  assert.equal(queue.renew(first), clock.now() + 30_000);
  clock.advance(10_000);
  queue.sweep();
  assert.deepEqual([first.state, second.state], ["locked", "active"]);
});

test("the last allowed delivery sends a message to the dead-letter queue with its reason", () => {
  const { queue, deadLetters } = makeQueue("queue:max=3");
  fill(queue, ["a"]);
  const counts = [];
  for (let i = 0; i < 3; i += 1) {
    const message = take(queue);
    counts.push(message.deliveryCount);
    queue.abandon(message);
  }
  assert.deepEqual(counts, [0, 1, 2]);
  assert.equal(take(queue), undefined);
  const read = readBack(take(deadLetters).render(true));
  assert.equal(read.application_properties.DeadLetterReason, "MaxDeliveryCountExceeded");
  assert.match(read.application_properties.DeadLetterErrorDescription, /3 delivery attempts/);
  assert.equal(read.message_annotations["x-opt-deadletter-source"], "queue");
});

test("a deferred message is had by its number only, and stays deferred when abandoned", () => {
  const { queue } = makeQueue();
  fill(queue, ["a"]);
  const message = take(queue);
  queue.defer(message);
  assert.equal(take(queue), undefined);
  assert.equal(queue.deferred(message.sequence), message);
  queue.lock(message);
  assert.equal(queue.deferred(message.sequence), undefined);
  queue.abandon(message);
  assert.equal(take(queue), undefined);
  assert.equal(queue.deferred(message.sequence).deliveryCount, 2);
});

test("a scheduled message waits for its time and then stands behind what was sent before", () => {
  const { queue, clock } = makeQueue();
  const due = types.wrap_timestamp(clock.now() + 60_000);
  const [number] = fill(queue, ["later"], { annotations: { "x-opt-scheduled-enqueue-time": due } });
  fill(queue, ["now"]);
  assert.deepEqual(queue.counts, { active: 1, locked: 0, deferred: 0, scheduled: 1 });
  clock.advance(60_000);
  queue.sweep();
  const [first, second] = [take(queue), take(queue)];
  assert.deepEqual([textOf(first), textOf(second)], ["now", "later"]);
  assert.equal(second.enqueueSequence, number);
  assert.equal(second.enqueuedAt, clock.now());
});

test("scheduled messages are cancelled all or not at all", () => {
  const { queue, clock } = makeQueue();
  const due = types.wrap_timestamp(clock.now() + 60_000);
  const options = { annotations: { "x-opt-scheduled-enqueue-time": due } };
  const numbers = fill(queue, ["a", "b"], options);
  assert.throws(() => queue.cancelScheduled([numbers[0], 99]), Refusal);
  assert.equal(queue.counts.scheduled, 2);
  queue.cancelScheduled(numbers);
  assert.equal(queue.counts.scheduled, 0);
  assert.equal(queue.bytes, 0);
});

test("an expired message is dropped, or dead-lettered where the queue says so", () => {
  const header = { ttl: 5000 };
  for (const [spec, dead] of [
    ["queue", 0],
    ["queue:deadLetterOnExpiry=true", 1],
  ]) {
    const { queue, deadLetters, clock } = makeQueue(spec);
    fill(queue, ["a"], { header });
    clock.advance(5000);
    assert.equal(queue.next(null), undefined);
    queue.sweep();
    assert.deepEqual([queue.counts.active, deadLetters.counts.active], [0, dead]);
    assert.equal(queue.totals.expired, 1);
  }
});

test("a message that expires while it is locked can still be completed", () => {
  const { queue, clock } = makeQueue("queue:lock=60,ttl=5");
  fill(queue, ["a", "b"]);
  const [done, lost] = [take(queue), take(queue)];
  clock.advance(10_000);
  queue.sweep();
  queue.complete(queue.locked(done.lockToken));
  assert.equal(queue.totals.completed, 1);
  queue.abandon(queue.locked(lost.lockToken));
  queue.sweep();
  assert.equal(take(queue), undefined);
});

test("the shorter of the message's and the queue's time to live counts", () => {
  const { queue, clock } = makeQueue("queue:ttl=10");
  fill(queue, ["short"], { header: { ttl: 3000 } });
  fill(queue, ["long"], { header: { ttl: 60_000 } });
  clock.advance(3000);
  queue.sweep();
  assert.equal(queue.counts.active, 1);
  clock.advance(7000);
  queue.sweep();
  assert.equal(queue.counts.active, 0);
});

test("dead letters do not expire, and abandoning them never moves them on", () => {
  const { queue, deadLetters, clock } = makeQueue("queue:ttl=10,max=1");
  fill(queue, ["a"]);
  queue.abandon(take(queue));
  clock.advance(1e9);
  deadLetters.sweep();
  for (let i = 0; i < 20; i += 1) deadLetters.abandon(take(deadLetters));
  assert.equal(deadLetters.counts.active, 1);
});

test("a full queue refuses a batch as a whole", () => {
  const { queue } = makeQueue("queue:sizeMegabytes=1");
  const big = "x".repeat(400_000);
  fill(queue, [big]);
  assert.throws(() => fill(queue, [big, big]), refusedAs("amqp:resource-limit-exceeded"));
  assert.equal(queue.counts.active, 1);
  fill(queue, [big]);
});

test("sessions keep their order, and only free ones are given", () => {
  const { queue } = makeQueue("queue:sessions=true");
  fill(queue, ["b1"], { properties: { group_id: "B" } });
  fill(queue, ["a1", "a2"], { properties: { group_id: "A" } });
  assert.equal(queue.nextSession(), "B");
  queue.sessions.hold("B", "holder");
  assert.equal(queue.nextSession(), "A");
  assert.deepEqual([take(queue, "A"), take(queue, "A")].map(textOf), ["a1", "a2"]);
  assert.throws(() => fill(queue, ["none"]), refusedAs("amqp:not-allowed"));
});

test("a session that is given up gives its messages back uncounted, one that expires counted", () => {
  const { queue, clock } = makeQueue("queue:sessions=true,lock=30");
  const lost = [];
  queue.onSessionLost = (holder) => lost.push(holder);
  fill(queue, ["a"], { properties: { group_id: "A" } });
  queue.sessions.hold("A", "first");
  take(queue, "A");
  queue.releaseSession("A", "someone else");
  assert.equal(queue.counts.locked, 1);
  queue.releaseSession("A", "first");
  queue.sessions.hold("A", "second");
  const message = take(queue, "A");
  assert.equal(message.deliveryCount, 0);
  clock.advance(30_000);
  assert.throws(
    () => queue.locked(message.lockToken),
    refusedAs("com.microsoft:session-lock-lost"),
  );
  queue.sweep();
  assert.deepEqual(lost, ["second"]);
  assert.equal(message.deliveryCount, 1);
  assert.equal(queue.nextSession(), "A");
});

test("a renewed session lasts longer than one that was accepted after it", () => {
  const { queue, clock } = makeQueue("queue:sessions=true,lock=30");
  const lost = [];
  queue.onSessionLost = (holder) => lost.push(holder);
  queue.sessions.hold("A", "holder of A");
  queue.sessions.hold("B", "holder of B");
  clock.advance(20_000);
  assert.equal(queue.sessions.renew("A"), clock.now() + 30_000);
  clock.advance(10_000);
  queue.sweep();
  assert.deepEqual(lost, ["holder of B"]);
});

test("purging removes messages in every state", () => {
  const { queue, clock } = makeQueue();
  const due = types.wrap_timestamp(clock.now() + 60_000);
  fill(queue, ["later"], { annotations: { "x-opt-scheduled-enqueue-time": due } });
  fill(queue, ["locked", "deferred", "active"]);
  const token = take(queue).lockToken;
  queue.defer(take(queue));
  assert.deepEqual(queue.counts, { active: 1, locked: 1, deferred: 1, scheduled: 1 });
  assert.equal(queue.purge(), 4);
  assert.deepEqual(queue.counts, { active: 0, locked: 0, deferred: 0, scheduled: 0 });
  assert.equal(queue.bytes, 0);
  assert.throws(() => queue.locked(token), LOCK_LOST);
});

test("a fault happens as often as it was told to, and for its queue only", () => {
  const { faults } = makeQueue();
  faults.set("reject_sends", { count: 2, queue: "a" });
  assert.equal(faults.take("reject_sends", "b"), null);
  assert.ok(faults.take("reject_sends", "a"));
  assert.deepEqual(faults.list().reject_sends.count, 1);
  assert.ok(faults.take("reject_sends", "a"));
  assert.equal(faults.take("reject_sends", "a"), null);
  faults.set("refuse_connections", {});
  for (let i = 0; i < 3; i += 1) assert.ok(faults.take("refuse_connections"));
  faults.clear();
  assert.equal(faults.take("refuse_connections"), null);
});

test("a duplicated delivery comes once more although it was completed", () => {
  const { queue, faults } = makeQueue();
  faults.set("duplicate_deliveries", { count: 1 });
  fill(queue, ["a"]);
  queue.complete(take(queue));
  const again = take(queue);
  assert.equal(again.deliveryCount, 1);
  queue.complete(again);
  assert.equal(take(queue), undefined);
  assert.deepEqual([queue.totals.delivered, queue.totals.completed], [2, 1]);
});

/** Do one thing, chosen by `random`, with a queue; `held` are the tokens of its locks. */
function doSomething(queue, held, random) {
  const what = random(8);
  if (what < 3) fill(queue, ["text"]);
  else if (what < 6) {
    const message = take(queue);
    if (message) held.push(message.lockToken);
  } else if (held.length > 0) {
    const [token] = held.splice(random(held.length), 1);
    const acts = ["complete", "abandon", "defer", "deadLetter", "release", "renew"];
    const properties = new Map(random(2) === 0 ? [] : [["why", types.wrap_string("later")]]);
    try {
      queue[acts[random(acts.length)]](queue.locked(token), properties);
    } catch (error) {
      assert.ok(LOCK_LOST(error), error.stack);
    }
  }
}

function assertCountsAgree(queue) {
  const all = [...queue.messages()];
  for (const [state, count] of Object.entries(queue.counts)) {
    assert.equal(count, all.filter((message) => message.state === state).length, state);
  }
  const size = all.reduce((sum, message) => sum + message.size, 0);
  assert.equal(queue.bytes, size);
}

test("counts and sizes agree with the messages through a long life, and all comes to an end", () => {
  const { queue, clock } = makeQueue("queue:max=3,lock=30,ttl=100");
  const random = randomNumbers(7);
  const held = [];
  for (let step = 0; step < 10_000; step += 1) {
    doSomething(queue, held, random);
    if (random(10) === 0) clock.advance(random(20_000));
    if (random(5) === 0) queue.sweep();
    if (step % 500 === 0) assertCountsAgree(queue);
  }
  for (let i = 0; i < 2; i += 1) {
    clock.advance(1e6);
    queue.sweep();
  }
  assert.deepEqual([queue.counts.active, queue.counts.locked], [0, 0]);
  assertCountsAgree(queue);
});
