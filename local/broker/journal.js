"use strict";

const { createHash } = require("node:crypto");
const fs = require("node:fs");
const path = require("node:path");
const { StartupError } = require("./errors");

/**
 * A file of records that is only ever appended to.
 *
 *     file    = "SBJRNL01" *block
 *     block   = length (4 bytes) digest (8 bytes) *record      one write, valid as a whole
 *     record  = length (4 bytes) length of head (4 bytes) head (JSON) body (bytes)
 *
 * The records of one turn of the event loop make one block. A process that is killed leaves at
 * most one incomplete block, at the end, of which nobody was told anything yet; it is cut off.
 */

const MAGIC = Buffer.from("SBJRNL01", "ascii");
const DIGEST_BYTES = 8;
const BLOCK_HEAD_BYTES = 4 + DIGEST_BYTES;
/** Blocks are written when they reach this size, so that none is ever longer than a buffer. */
const FULL_BLOCK_BYTES = 4 * 1024 * 1024;
const MAX_BLOCK_BYTES = 512 * 1024 * 1024;

/** @typedef {{ head: object, body: Buffer }} JournalRecord */

class Journal {
  #file;
  #fsync;
  #descriptor;
  #size = 0;
  #pending = /** @type {Buffer[]} */ ([]);
  #pendingBytes = 0;

  /**
   * @param {string} file
   * @param {{ fsync?: boolean }} [options] fsync: whether `sync` waits for the disk itself, which
   *   a killed process does not need, but a machine that loses its power does
   */
  constructor(file, { fsync = false } = {}) {
    this.#file = file;
    this.#fsync = fsync;
  }

  /** @returns {number} bytes in the file and waiting for it */
  get size() {
    return this.#size + this.#pendingBytes;
  }

  /**
   * Open the file, made if it is missing, and read what it holds.
   *
   * @param {(record: JournalRecord) => void} onRecord called with each record, in order
   * @returns {number} bytes of an incomplete last block that were cut off
   * @throws {StartupError} `journal_corrupt`: a block other than the last one is damaged
   */
  open(onRecord) {
    this.#descriptor = fs.openSync(this.#file, fs.constants.O_RDWR | fs.constants.O_CREAT, 0o600);
    const length = fs.fstatSync(this.#descriptor).size;
    if (length < MAGIC.length) {
      fs.ftruncateSync(this.#descriptor, 0);
      fs.writeSync(this.#descriptor, MAGIC, 0, MAGIC.length, 0);
      this.#size = MAGIC.length;
      return length;
    }
    this.#checkMagic();
    this.#size = this.#readBlocks(length, onRecord);
    fs.ftruncateSync(this.#descriptor, this.#size);
    return length - this.#size;
  }

  /** Add a record to the block that is written next. */
  append(head, body = Buffer.alloc(0)) {
    const record = encodeRecord(head, body);
    this.#pending.push(record);
    this.#pendingBytes += record.length;
    if (this.#pendingBytes >= FULL_BLOCK_BYTES) this.write();
  }

  /** Write the waiting records as one block: a killed process does not lose them any more. */
  write() {
    if (this.#pending.length === 0) return;
    const payload = Buffer.concat(this.#pending);
    this.#pending = [];
    this.#pendingBytes = 0;
    this.#writeAll(Buffer.concat([blockHead(payload), payload]));
  }

  /** Write, and wait for the disk if that was asked for. */
  sync() {
    this.write();
    if (this.#fsync) fs.fdatasyncSync(this.#descriptor);
  }

  /**
   * Put other records in place of all that were written so far. Either the old file stays as it
   * was, or the new one is there with every record.
   *
   * @param {(append: (head: object, body?: Buffer) => void) => void} writeAll
   */
  rewrite(writeAll) {
    const temporary = `${this.#file}.new`;
    fs.rmSync(temporary, { force: true });
    const successor = new Journal(temporary, { fsync: true });
    successor.open(() => {});
    writeAll((head, body) => successor.append(head, body));
    successor.sync();
    successor.close();
    // Windows renames neither an open file nor onto one.
    fs.closeSync(this.#descriptor);
    fs.renameSync(temporary, this.#file);
    this.#descriptor = fs.openSync(this.#file, "r+");
    this.#size = successor.size;
    this.#pending = [];
    this.#pendingBytes = 0;
    if (this.#fsync) syncFolder(path.dirname(this.#file));
  }

  /** Write what waits and close the file. */
  close() {
    this.sync();
    fs.closeSync(this.#descriptor);
  }

  #checkMagic() {
    const start = Buffer.alloc(MAGIC.length);
    fs.readSync(this.#descriptor, start, 0, start.length, 0);
    if (!start.equals(MAGIC)) {
      throw new StartupError(
        "journal_corrupt",
        `${this.#file} is not a journal of this broker. Choose another --data folder.`,
      );
    }
  }

  /** @returns {number} where the last complete block ends */
  #readBlocks(length, onRecord) {
    let at = MAGIC.length;
    for (;;) {
      const payload = this.#readBlock(at, length);
      if (payload === null) break;
      for (const record of recordsIn(payload)) onRecord(record);
      at += BLOCK_HEAD_BYTES + payload.length;
    }
    this.#checkNothingFollows(at, length);
    return at;
  }

  /** @returns {Buffer | null} the payload of the block there, null if no complete one is there */
  #readBlock(at, length) {
    const head = Buffer.alloc(BLOCK_HEAD_BYTES);
    if (at + BLOCK_HEAD_BYTES > length) return null;
    fs.readSync(this.#descriptor, head, 0, head.length, at);
    const size = head.readUInt32BE(0);
    if (size === 0 || size > MAX_BLOCK_BYTES || at + BLOCK_HEAD_BYTES + size > length) return null;
    const payload = Buffer.allocUnsafe(size);
    fs.readSync(this.#descriptor, payload, 0, size, at + BLOCK_HEAD_BYTES);
    return blockHead(payload).equals(head) ? payload : null;
  }

  /** A damaged block with a good one behind it was not torn by the end of a process. */
  #checkNothingFollows(at, length) {
    if (at + BLOCK_HEAD_BYTES > length) return;
    const head = Buffer.alloc(4);
    fs.readSync(this.#descriptor, head, 0, 4, at);
    const next = at + BLOCK_HEAD_BYTES + head.readUInt32BE(0);
    if (this.#readBlock(next, length) === null) return;
    throw new StartupError(
      "journal_corrupt",
      `${this.#file} is damaged at byte ${at}: messages may be missing. Put a copy of it there, or remove it to start empty.`,
    );
  }

  #writeAll(bytes) {
    let written = 0;
    while (written < bytes.length) {
      const rest = bytes.length - written;
      written += fs.writeSync(this.#descriptor, bytes, written, rest, this.#size + written);
    }
    this.#size += bytes.length;
  }
}

function blockHead(payload) {
  const head = Buffer.alloc(BLOCK_HEAD_BYTES);
  head.writeUInt32BE(payload.length, 0);
  createHash("sha256").update(payload).digest().copy(head, 4, 0, DIGEST_BYTES);
  return head;
}

function encodeRecord(head, body) {
  const json = Buffer.from(JSON.stringify(head), "utf8");
  const start = Buffer.alloc(8);
  start.writeUInt32BE(4 + json.length + body.length, 0);
  start.writeUInt32BE(json.length, 4);
  return Buffer.concat([start, json, body]);
}

/** @returns {Generator<JournalRecord>} */
function* recordsIn(payload) {
  for (let at = 0; at < payload.length;) {
    const end = at + 4 + payload.readUInt32BE(at);
    const jsonEnd = at + 8 + payload.readUInt32BE(at + 4);
    const head = JSON.parse(payload.toString("utf8", at + 8, jsonEnd));
    yield { head, body: payload.subarray(jsonEnd, end) };
    at = end;
  }
}

/** Make a rename last through a loss of power; platforms that cannot open a folder do without. */
function syncFolder(folder) {
  try {
    const descriptor = fs.openSync(folder, "r");
    fs.fsyncSync(descriptor);
    fs.closeSync(descriptor);
  } catch {
    // Windows.
  }
}

module.exports = { Journal };
