"use strict";

const fs = require("node:fs");
const path = require("node:path");
const { StartupError } = require("./errors");
const { Journal } = require("./journal");
const { log } = require("./log");
const records = require("./records");

/** @typedef {import("./queue").Queue} Queue */
/** @typedef {import("./message").Message} Message */
/** @typedef {MemoryStore | JournalStore} Store */

/** The journal is written anew when it is larger than this and than a multiple of what lives. */
const COMPACT_ABOVE_BYTES = 16 * 1024 * 1024;
const COMPACT_FACTOR = 4;

/** Keeps nothing: what a broker without a data folder works with. */
class MemoryStore {
  journalBytes = 0;

  replay() {}
  put() {}
  update() {}
  remove() {}
  putSession() {}
  flush() {}
  close() {}

  /** @param {() => void} done called at once: there is nothing to wait for */
  afterCommit(done) {
    done();
  }
}

/**
 * Keeps the messages of all queues in a journal.
 *
 * What is put, updated and removed in one turn of the event loop is written together. `flush`
 * writes it before a delivery leaves; `afterCommit` calls back when it is written, and on disk if
 * that was asked for, so that no answer is given for what could still be lost. A write that fails
 * throws, which ends the broker: it must not accept what it cannot keep.
 */
class JournalStore {
  #journal;
  #ownerFile;
  #compactAbove;
  #queues = /** @type {Map<string, Queue>} */ (new Map());
  #waiting = /** @type {(() => void)[]} */ ([]);
  #scheduled = false;
  #closed = false;
  /** How much of the journal still lives, by message. */
  #sizes = /** @type {WeakMap<Message, number>} */ (new WeakMap());
  #liveBytes = 0;

  /**
   * @param {string} folder made if it is missing
   * @param {{ fsync?: boolean, compactAbove?: number }} [options]
   * @throws {StartupError} `data_in_use`, or `data_unusable` when the folder cannot be written to
   */
  constructor(folder, { fsync = false, compactAbove = COMPACT_ABOVE_BYTES } = {}) {
    this.#compactAbove = compactAbove;
    this.#ownerFile = path.join(folder, "owner");
    try {
      fs.mkdirSync(folder, { recursive: true });
      takeFolder(this.#ownerFile);
    } catch (error) {
      if (error instanceof StartupError) throw error;
      const message = `The data folder ${folder} cannot be used: ${error.message}.`;
      throw new StartupError("data_unusable", message);
    }
    this.#journal = new Journal(path.join(folder, "journal"), { fsync });
  }

  /**
   * Fill the queues with what the journal holds; once, before anything else.
   *
   * @param {Iterable<Queue>} queues
   * @throws {StartupError} `journal_corrupt`, or `queue_missing`
   */
  replay(queues) {
    for (const queue of queues) this.#queues.set(queue.name, queue);
    const replay = new records.Replay();
    const cutOff = this.#journal.open((record) => replay.apply(record));
    if (cutOff > 0) log("warning", "journal_cut_off", { bytes: cutOff });
    replay.restore(this.#queues);
    for (const queue of this.#queues.values()) {
      for (const message of queue.messages()) this.#countSize(message);
    }
    this.#commit();
  }

  /** @returns {number} bytes of the journal */
  get journalBytes() {
    return this.#journal.size;
  }

  /** A message is new, or its bytes have changed. @param {Message} message */
  put(message) {
    this.#countSize(message);
    this.#append(records.putRecord(message));
  }

  /** A message's state or delivery count has changed. @param {Message} message */
  update(message) {
    this.#append(records.setRecord(message));
  }

  /** A message has left its queue. @param {Message} message */
  remove(message) {
    this.#liveBytes -= this.#sizes.get(message) ?? 0;
    this.#sizes.delete(message);
    this.#append(records.deleteRecord(message));
  }

  /** The state of a session has changed. @param {Queue} queue @param {string} id */
  putSession(queue, id) {
    this.#append(records.sessionRecord(queue, id));
  }

  /** Write what has happened so far, before a client learns of it by a delivery. */
  flush() {
    this.#journal.write();
  }

  /** @param {() => void} done called when what has happened so far is kept */
  afterCommit(done) {
    this.#waiting.push(done);
    this.#schedule();
  }

  /** Write everything, and give the folder free. */
  close() {
    this.#commit();
    this.#closed = true;
    this.#journal.close();
    fs.rmSync(this.#ownerFile, { force: true });
  }

  #append(record) {
    this.#journal.append(...record);
    this.#schedule();
  }

  #schedule() {
    if (this.#scheduled || this.#closed) return;
    this.#scheduled = true;
    setImmediate(() => {
      this.#scheduled = false;
      if (!this.#closed) this.#commit();
    });
  }

  #commit() {
    this.#journal.sync();
    const waiting = this.#waiting;
    this.#waiting = [];
    for (const done of waiting) done();
    if (this.#journal.size > Math.max(this.#compactAbove, COMPACT_FACTOR * this.#liveBytes)) {
      this.#compact();
    }
  }

  #compact() {
    const before = this.#journal.size;
    this.#journal.rewrite((append) => {
      for (const queue of this.#queues.values()) {
        append(...records.nextRecord(queue));
        for (const message of queue.messages()) append(...records.putRecord(message));
        for (const [id] of queue.sessions?.states() ?? []) {
          append(...records.sessionRecord(queue, id));
        }
      }
    });
    log("info", "journal_compacted", { before, after: this.#journal.size });
  }

  #countSize(message) {
    this.#liveBytes += message.size - (this.#sizes.get(message) ?? 0);
    this.#sizes.set(message, message.size);
  }
}

/** Note down that this process works in the folder, unless another one does. */
function takeFolder(ownerFile) {
  const owner = fs.existsSync(ownerFile) ? Number(fs.readFileSync(ownerFile, "utf8")) : 0;
  if (owner > 0 && owner !== process.pid && isAlive(owner)) {
    throw new StartupError(
      "data_in_use",
      `The process ${owner} works in the same data folder. Stop it, or choose another --data folder. (If that is no broker, remove ${ownerFile}.)`,
    );
  }
  fs.writeFileSync(ownerFile, String(process.pid));
}

function isAlive(pid) {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return error.code === "EPERM";
  }
}

module.exports = { JournalStore, MemoryStore };
