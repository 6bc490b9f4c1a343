"use strict";

const assert = require("node:assert/strict");
const fs = require("node:fs");
const os = require("node:os");
const path = require("node:path");
const { test } = require("node:test");
const { StoppedClock, broker, fill, makeQueue, readBack } = require("./support");

const { Journal } = broker("journal");
const { JournalStore } = broker("store");
const { StartupError } = broker("errors");

/** A folder that is removed after the test. */
function folder(context) {
  const made = fs.mkdtempSync(path.join(os.tmpdir(), "journal-"));
  context.after(() => fs.rmSync(made, { recursive: true, force: true }));
  return made;
}

function readAll(file) {
  const records = [];
  const journal = new Journal(file);
  const cutOff = journal.open((record) => records.push([record.head, record.body.toString()]));
  return { journal, records, cutOff };
}

function written(file, ...blocks) {
  const { journal } = readAll(file);
  for (const block of blocks) {
    for (const [head, body] of block) journal.append(head, Buffer.from(body));
    journal.write();
  }
  journal.close();
  return fs.readFileSync(file);
}

const codeIs = (code) => (error) => error instanceof StartupError && error.code === code;

test("records come back in order, with their bytes", (context) => {
  const file = path.join(folder(context), "journal");
  written(
    file,
    [
      [{ n: 1 }, "one"],
      [{ n: 2 }, ""],
    ],
    [[{ n: 3, s: "ü" }, "three"]],
  );
  const { records, cutOff, journal } = readAll(file);
  journal.close();
  assert.deepEqual(records, [
    [{ n: 1 }, "one"],
    [{ n: 2 }, ""],
    [{ n: 3, s: "ü" }, "three"],
  ]);
  assert.equal(cutOff, 0);
});

test("a block that was torn anywhere is cut off, and the journal goes on behind the last good one", (context) => {
  const file = path.join(folder(context), "journal");
  const first = written(file, [[{ n: 1 }, "one"]]);
  const both = written(file, [
    [{ n: 2 }, "two"],
    [{ n: 3 }, "three"],
  ]);
  for (let length = first.length; length < both.length; length += 1) {
    fs.writeFileSync(file, both.subarray(0, length));
    const { records, cutOff, journal } = readAll(file);
    assert.deepEqual(records, [[{ n: 1 }, "one"]], `cut at ${length}`);
    assert.equal(cutOff, length - first.length);
    journal.append({ n: 4 });
    journal.close();
    const again = readAll(file);
    again.journal.close();
    assert.deepEqual(again.records.at(-1), [{ n: 4 }, ""]);
  }
});

test("a last block with a wrong byte is cut off, whichever byte it is", (context) => {
  const file = path.join(folder(context), "journal");
  const first = written(file, [[{ n: 1 }, "one"]]);
  const both = written(file, [[{ n: 2 }, "two"]]);
  for (let at = first.length; at < both.length; at += 1) {
    const damaged = Buffer.from(both);
    damaged[at] ^= 0x40;
    fs.writeFileSync(file, damaged);
    const { records, journal } = readAll(file);
    journal.close();
    assert.deepEqual(records, [[{ n: 1 }, "one"]]);
  }
});

test("damage in the middle is reported and nothing is cut off", (context) => {
  const file = path.join(folder(context), "journal");
  const first = written(file, [[{ n: 1 }, "one"]]);
  const all = written(file, [[{ n: 2 }, "two"]], [[{ n: 3 }, "three"]]);
  all[first.length + 20] ^= 1;
  fs.writeFileSync(file, all);
  assert.throws(() => readAll(file), codeIs("journal_corrupt"));
  assert.ok(fs.readFileSync(file).equals(all));
});

test("a file of something else is left alone", (context) => {
  const file = path.join(folder(context), "journal");
  fs.writeFileSync(file, "these are somebody's notes");
  assert.throws(() => readAll(file), codeIs("journal_corrupt"));
  assert.equal(fs.readFileSync(file, "utf8"), "these are somebody's notes");
});

test("rewriting puts other records in place of all, and appending goes on", (context) => {
  const file = path.join(folder(context), "journal");
  written(file, [[{ n: 1 }, "x".repeat(1000)]]);
  const { journal } = readAll(file);
  journal.rewrite((append) => append({ n: 2 }, Buffer.from("kept")));
  journal.append({ n: 3 });
  journal.close();
  const { records, journal: again } = readAll(file);
  again.close();
  assert.deepEqual(records, [
    [{ n: 2 }, "kept"],
    [{ n: 3 }, ""],
  ]);
  assert.deepEqual(fs.readdirSync(path.dirname(file)), ["journal"]);
});

/** A queue that keeps its messages in a folder. */
function open(data, spec = "queue:max=3,lock=30", options = {}) {
  const store = new JournalStore(data, options);
  const made = makeQueue(spec, { store, clock: options.clock ?? new StoppedClock() });
  store.replay([...made.namespace.queues()]);
  return { ...made, store };
}

const bodyOf = (message) => readBack(message.render(false)).body.content.toString();
const contents = (queue) =>
  [...queue.messages()].map((m) => [bodyOf(m), m.state, m.deliveryCount, m.sequence]);

test("after a restart every message is in its state again, and a lost lock counts", (context) => {
  const data = folder(context);
  const first = open(data);
  const due = first.clock.now() + 60_000;
  const { types } = require("./support");
  fill(first.queue, ["later"], {
    annotations: { "x-opt-scheduled-enqueue-time": types.wrap_timestamp(due) },
  });
  fill(first.queue, ["done", "locked", "deferred", "abandoned", "dead", "active"]);
  const taken = Array.from({ length: 5 }, () => {
    const message = first.queue.next(null);
    first.queue.lock(message);
    return message;
  });
  first.queue.complete(taken[0]);
  first.queue.defer(taken[2]);
  first.queue.abandon(taken[3], new Map([["why", types.wrap_string("tired")]]));
  first.queue.deadLetter(taken[4], new Map([["DeadLetterReason", types.wrap_string("bad")]]));
  first.store.close();

  const second = open(data);
  assert.deepEqual(contents(second.queue), [
    ["later", "scheduled", 0, 1],
    ["locked", "active", 1, 3],
    ["deferred", "deferred", 1, 4],
    ["abandoned", "active", 1, 5],
    ["active", "active", 0, 7],
  ]);
  const [dead] = [...second.deadLetters.messages()];
  assert.equal(readBack(dead.render(false)).application_properties.DeadLetterReason, "bad");
  const abandoned = [...second.queue.messages()][3];
  assert.equal(readBack(abandoned.render(false)).application_properties.why, "tired");
  assert.deepEqual(fill(second.queue, ["new"]), [8]);
  second.store.close();
});

test("a message that was read back keeps no others in memory", (context) => {
  const data = folder(context);
  const first = open(data);
  fill(first.queue, ["x".repeat(1_000_000), "small"]);
  first.store.close();
  const second = open(data);
  const [, small] = [...second.queue.messages()];
  assert.ok(small.bare.buffer.byteLength < 100_000);
  second.store.close();
});

test("locks that are lost by restarts lead to the dead-letter queue in the end", (context) => {
  const data = folder(context);
  for (let life = 0; life < 3; life += 1) {
    const { queue, store } = open(data);
    if (life === 0) fill(queue, ["crashes its reader"]);
    queue.lock(queue.next(null));
    store.close();
  }
  const { queue, deadLetters, store } = open(data);
  assert.equal([...queue.messages()].length, 0);
  assert.equal([...deadLetters.messages()].length, 1);
  store.close();
});

test("the state of a session outlives a restart until it is forgotten", (context) => {
  const data = folder(context);
  const spec = "queue:sessions=true";
  const first = open(data, spec);
  first.queue.setSessionState("A", Buffer.from("state of A"));
  first.queue.setSessionState("B", Buffer.from("state of B"));
  first.queue.setSessionState("B", null);
  first.store.close();
  const second = open(data, spec);
  assert.equal(second.queue.sessions.state("A").bytes.toString(), "state of A");
  assert.equal(second.queue.sessions.state("B"), null);
  second.store.close();
});

test("nothing is said to be kept before it is in the file", async (context) => {
  const data = folder(context);
  const { queue, store } = open(data);
  const before = fs.statSync(path.join(data, "journal")).size;
  fill(queue, ["a", "b"]);
  const after = await new Promise((resolve) => {
    store.afterCommit(() => resolve(fs.statSync(path.join(data, "journal")).size));
    assert.equal(fs.statSync(path.join(data, "journal")).size, before);
  });
  assert.ok(after > before);
  fill(queue, ["c"]);
  store.flush();
  assert.ok(fs.statSync(path.join(data, "journal")).size > after);
  store.close();
});

test("the journal is compacted when most of it is dead, and loses nothing", async (context) => {
  const data = folder(context);
  const { queue, store } = open(data, "queue", { compactAbove: 200_000 });
  fill(queue, ["kept"]);
  const kept = queue.next(null);
  queue.lock(kept);
  queue.defer(kept);
  let largest = 0;
  for (let round = 0; round < 60; round += 1) {
    fill(
      queue,
      Array.from({ length: 20 }, () => "x".repeat(500)),
    );
    for (let message = queue.next(null); message; message = queue.next(null)) {
      queue.lock(message);
      queue.complete(message);
    }
    await new Promise((resolve) => store.afterCommit(resolve));
    largest = Math.max(largest, store.journalBytes);
  }
  assert.ok(store.journalBytes < 200_000, `${store.journalBytes}`);
  assert.ok(largest < 300_000, `${largest}`);
  store.close();
  const second = open(data, "queue");
  assert.deepEqual(contents(second.queue), [["kept", "deferred", 1, 1]]);
  assert.deepEqual(fill(second.queue, ["next"]), [1202]);
  second.store.close();
});

test("a folder in which a broker works is refused, one that a dead broker left is taken", (context) => {
  const data = folder(context);
  fs.writeFileSync(path.join(data, "owner"), String(process.ppid));
  assert.throws(() => new JournalStore(data), codeIs("data_in_use"));
  fs.writeFileSync(path.join(data, "owner"), "999999999");
  open(data).store.close();
  assert.deepEqual(fs.readdirSync(data), ["journal"]);
});

test("messages of a queue that is not there any more stop the start, and are kept", (context) => {
  const data = folder(context);
  const first = open(data, "old");
  fill(first.queue, ["precious"]);
  first.store.close();
  assert.throws(() => open(data, "new"), codeIs("queue_missing"));
  const again = open(data, "old");
  assert.deepEqual(contents(again.queue), [["precious", "active", 0, 1]]);
  again.store.close();
});

test("a folder that cannot be made is refused with its name", (context) => {
  const data = folder(context);
  fs.writeFileSync(path.join(data, "file"), "");
  assert.throws(() => new JournalStore(path.join(data, "file", "below")), codeIs("data_unusable"));
});
