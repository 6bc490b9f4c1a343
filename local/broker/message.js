"use strict";

const { randomUUID } = require("node:crypto");
const { types } = require("rhea");
const {
  SECTION,
  dataOf,
  decodeSection,
  encode,
  encodeSection,
  listItems,
  plain,
  splitSections,
  typedMap,
} = require("./sections");

/** Message format of a batch: each data section holds one encoded message. */
const BATCH_FORMAT = 0x80013700;
const NULL = 0x40;
/** Place of group-id, Service Bus' session id, among the properties (AMQP 1.0, part 3.2.4). */
const GROUP_ID = 10;
/** What a message takes beside its bytes, for the queue's quota. */
const OVERHEAD_BYTES = 256;

const SEQUENCE_NUMBER = "x-opt-sequence-number";
const ENQUEUED_TIME = "x-opt-enqueued-time";
const ENQUEUE_SEQUENCE_NUMBER = "x-opt-enqueue-sequence-number";
const MESSAGE_STATE = "x-opt-message-state";
const LOCKED_UNTIL = "x-opt-locked-until";
const DEAD_LETTER_SOURCE = "x-opt-deadletter-source";
const SCHEDULED_TIME = "x-opt-scheduled-enqueue-time";

/** Annotations that the broker writes: what a client sends under these names is dropped. */
const OWN_KEYS = Object.fromEntries(
  [
    SEQUENCE_NUMBER,
    ENQUEUED_TIME,
    ENQUEUE_SEQUENCE_NUMBER,
    MESSAGE_STATE,
    LOCKED_UNTIL,
    DEAD_LETTER_SOURCE,
  ].map((name) => [name, encode(types.wrap_symbol(name))]),
);
/** Values of x-opt-message-state, as the SDKs' `state` of a message names them. */
const WIRE_STATE = { deferred: 1, scheduled: 2 };

/** One message of a queue. Its place in the queue is the queue's business, its bytes are here. */
class Message {
  /** What the header said; null where it said nothing. `ttl` is in milliseconds. */
  durable = false;
  priority = null;
  ttl = null;
  /** Annotations of the sender, encoded: pairs of keys and values, and how many values in all. */
  annotations = Buffer.alloc(0);
  annotationValues = 0;
  /** Properties, application properties, body and footer, encoded. */
  bare = Buffer.alloc(0);
  /** @type {string | null} */
  sessionId = null;

  /** @type {import("./queue").Queue | null} */
  queue = null;
  /** @type {"active" | "locked" | "deferred" | "scheduled" | "gone"} */
  state = "gone";
  sequence = 0;
  enqueueSequence = 0;
  /** Milliseconds since 1970 UTC, as all times here. */
  enqueuedAt = 0;
  scheduledFor = 0;
  expiresAt = Number.POSITIVE_INFINITY;
  deliveryCount = 0;
  /** Whether it was deferred: an unlocked message then goes back to the deferred ones. */
  isDeferred = false;
  /** @type {string | null} the queue from which it was dead-lettered */
  deadLetterSource = null;
  /** @type {string | null} 32 hex digits, new for each delivery */
  lockToken = null;
  lockedUntil = 0;
  /** Whether a test asked that completing it shall not take it away (see faults.js). */
  comesAgain = false;

  /**
   * Read a message that a client sent.
   *
   * @param {Buffer} encoded kept by copy
   * @throws {import("./sections").SectionError} not a message
   */
  static fromWire(encoded) {
    const bytes = Buffer.from(encoded);
    const message = new Message();
    let bareStart = bytes.length;
    let properties = null;
    for (const section of splitSections(bytes)) {
      if (section.code === SECTION.HEADER) message.#readHeader(bytes, section);
      else if (section.code === SECTION.MESSAGE_ANNOTATIONS) {
        message.#readAnnotations(bytes, section);
      } else if (section.code >= SECTION.PROPERTIES) {
        bareStart = Math.min(bareStart, section.start);
        if (section.code === SECTION.PROPERTIES) properties = section;
      }
    }
    message.bare = bytes.subarray(bareStart);
    message.#readProperties(bytes, properties, bareStart);
    return message;
  }

  #readHeader(bytes, section) {
    const [durable, priority, ttl] = listItems(decodeSection(bytes, section)).map(plain);
    this.durable = durable === true;
    this.priority = Number.isInteger(priority) ? priority : null;
    this.ttl = Number.isInteger(ttl) ? ttl : null;
  }

  #readAnnotations(bytes, section) {
    const decoded = decodeSection(bytes, section);
    this.scheduledFor = Number(plain(typedMap(decoded).get(SCHEDULED_TIME)) ?? 0) || 0;
    const kept = [];
    const items = types.is_map(decoded) ? decoded.value : [];
    for (let i = 0; i + 1 < items.length; i += 2) {
      if (Object.hasOwn(OWN_KEYS, String(items[i].value))) continue;
      kept.push(encode(items[i]), encode(items[i + 1]));
    }
    this.annotations = Buffer.concat(kept);
    this.annotationValues = kept.length;
  }

  #readProperties(bytes, section, bareStart) {
    const items = section ? listItems(decodeSection(bytes, section)) : [];
    const groupId = plain(items[GROUP_ID]);
    this.sessionId = typeof groupId === "string" ? groupId : null;
    if (plain(items[0]) !== undefined && plain(items[0]) !== null) return;
    // Service Bus gives a message without an id one; lock renewal in the JavaScript SDK needs it.
    const withId = [types.wrap_string(newToken()), ...items.slice(1)];
    const rest = bytes.subarray(section ? section.end : bareStart);
    this.bare = Buffer.concat([encodeSection(SECTION.PROPERTIES, types.List32(withId)), rest]);
  }

  /** @returns {number} bytes that count towards the queue's size */
  get size() {
    return this.bare.length + this.annotations.length + OVERHEAD_BYTES;
  }

  /**
   * Set application properties; a null value leaves what is there.
   * @param {Map<string, any>} changes typed values by name
   * @returns {boolean} whether anything changed
   */
  setApplicationProperties(changes) {
    const wanted = [...changes].filter(([, value]) => plain(value) !== null);
    if (wanted.length === 0) return false;
    const sections = splitSections(this.bare);
    const old = sections.find((section) => section.code === SECTION.APPLICATION_PROPERTIES);
    const merged = old ? typedMap(decodeSection(this.bare, old)) : new Map();
    for (const [name, value] of wanted) merged.set(name, value);
    const items = [...merged].flatMap(([name, value]) => [types.wrap_string(name), value]);
    const next = sections.find((section) => section.code > SECTION.APPLICATION_PROPERTIES);
    const start = old?.start ?? next?.start ?? this.bare.length;
    this.bare = Buffer.concat([
      this.bare.subarray(0, start),
      encodeSection(SECTION.APPLICATION_PROPERTIES, types.Map32(items)),
      this.bare.subarray(old ? old.end : start),
    ]);
    return true;
  }

  /**
   * The message as a receiver gets it.
   * @param {boolean} locked whether to tell until when it is locked
   */
  render(locked) {
    return Buffer.concat([this.#renderHeader(), ...this.#renderAnnotations(locked), this.bare]);
  }

  #renderHeader() {
    // Constructor and value of each field; delivery-count is written also when it is 0, because
    // the SDKs read it without a default.
    const fields = [this.durable ? 0x41 : 0x42];
    fields.push(...(this.priority === null ? [NULL] : [0x50, this.priority & 0xff]));
    fields.push(...(this.ttl === null ? [NULL] : uint(this.ttl)));
    fields.push(NULL, ...uint(this.deliveryCount));
    const fieldCount = 5;
    return Buffer.from([0, 0x53, SECTION.HEADER, 0xc0, fields.length + 1, fieldCount, ...fields]);
  }

  #renderAnnotations(locked) {
    const parts = [
      ...pair(SEQUENCE_NUMBER, 0x81, this.sequence),
      ...pair(ENQUEUED_TIME, 0x83, this.enqueuedAt),
      ...pair(ENQUEUE_SEQUENCE_NUMBER, 0x81, this.enqueueSequence),
      OWN_KEYS[MESSAGE_STATE],
      encode(types.Int(WIRE_STATE[this.isDeferred ? "deferred" : this.state] ?? 0)),
    ];
    if (locked) parts.push(...pair(LOCKED_UNTIL, 0x83, this.lockedUntil));
    if (this.deadLetterSource !== null) {
      parts.push(OWN_KEYS[DEAD_LETTER_SOURCE], encode(types.wrap_string(this.deadLetterSource)));
    }
    const count = parts.length + this.annotationValues;
    parts.push(this.annotations);
    const start = Buffer.alloc(12);
    start.set([0, 0x53, SECTION.MESSAGE_ANNOTATIONS, 0xd1]);
    start.writeUInt32BE(
      parts.reduce((bytes, part) => bytes + part.length, 4),
      4,
    );
    start.writeUInt32BE(count, 8);
    return [start, ...parts];
  }
}

/** @returns {number[]} constructor and bytes of a uint */
function uint(value) {
  return [0x70, (value >>> 24) & 0xff, (value >>> 16) & 0xff, (value >>> 8) & 0xff, value & 0xff];
}

/** @returns {Buffer[]} key and value of an annotation that is a long (0x81) or a timestamp (0x83) */
function pair(name, typeCode, value) {
  const bytes = Buffer.allocUnsafe(9);
  bytes[0] = typeCode;
  bytes.writeBigInt64BE(BigInt(Math.floor(value)), 1);
  return [OWN_KEYS[name], bytes];
}

/**
 * The messages in one transfer.
 *
 * @param {Buffer} bytes
 * @param {number} format message format of the transfer
 * @returns {Message[]}
 * @throws {import("./sections").SectionError} one of them is no message
 */
function messagesIn(bytes, format) {
  if (format !== BATCH_FORMAT) return [Message.fromWire(bytes)];
  return splitSections(bytes)
    .filter((section) => section.code === SECTION.DATA)
    .map((section) => Message.fromWire(dataOf(bytes, section)));
}

/** @returns {string} a new lock token: 32 hexadecimal digits */
function newToken() {
  return randomUUID().replaceAll("-", "");
}

/** The application properties that tell why a message was dead-lettered. */
function deadLetterReason(name, description) {
  return new Map([
    ["DeadLetterReason", types.wrap_string(name)],
    ["DeadLetterErrorDescription", types.wrap_string(description)],
  ]);
}

module.exports = { BATCH_FORMAT, Message, deadLetterReason, messagesIn, newToken };
