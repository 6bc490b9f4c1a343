"use strict";

/**
 * Encoded messages, taken apart without decoding them (AMQP 1.0, part 3.2).
 *
 * A broker hands on the bytes that it was given. Decoding a message and encoding it again would
 * lose the exact types of its values, so only what the broker must know is ever decoded.
 */

const { types } = require("rhea");

const SECTION = Object.freeze({
  HEADER: 0x70,
  DELIVERY_ANNOTATIONS: 0x71,
  MESSAGE_ANNOTATIONS: 0x72,
  PROPERTIES: 0x73,
  APPLICATION_PROPERTIES: 0x74,
  DATA: 0x75,
  SEQUENCE: 0x76,
  VALUE: 0x77,
  FOOTER: 0x78,
});

const DESCRIBED = 0x00;
const MAX_DESCRIPTORS = 16;

/**
 * @typedef {object} Section one section of an encoded message, as offsets into its bytes
 * @property {number} code one of SECTION
 * @property {number} start where the section begins, with its descriptor
 * @property {number} body where its value begins, with the value's constructor
 * @property {number} end one past its last byte
 */

/** Bytes that are no message; the message says why. */
class SectionError extends Error {}

/**
 * Find the end of an encoded value (AMQP 1.0, part 1.2): the upper half of a constructor tells
 * how its width is written.
 *
 * @param {Buffer} bytes
 * @param {number} at offset of the value's constructor
 * @param {number} [descriptors] how many descriptors led here
 * @returns {number} one past the value's last byte; may lie past the end of `bytes`
 * @throws {SectionError}
 */
function endOfValue(bytes, at, descriptors = 0) {
  if (at >= bytes.length) throw new SectionError("a value is missing");
  const code = bytes[at];
  if (code === DESCRIBED) {
    if (descriptors === MAX_DESCRIPTORS) throw new SectionError("too many nested descriptors");
    return endOfValue(bytes, endOfValue(bytes, at + 1, descriptors + 1), descriptors + 1);
  }
  const category = code >> 4;
  if (category >= 0x4 && category <= 0x9) return at + 1 + ((1 << (category - 4)) >> 1);
  if (category < 0x4) throw new SectionError(`no AMQP type has the constructor ${code}`);
  if (category % 2 === 0) {
    if (at + 2 > bytes.length) throw new SectionError("a length is missing");
    return at + 2 + bytes[at + 1];
  }
  if (at + 5 > bytes.length) throw new SectionError("a length is missing");
  return at + 5 + bytes.readUInt32BE(at + 1);
}

/** @returns {[number, number]} a section's code and the offset of its value */
function readDescriptor(bytes, at) {
  if (bytes[at] !== DESCRIBED) throw new SectionError("a section must begin with a descriptor");
  if (bytes[at + 1] === 0x53 && at + 3 <= bytes.length) return [bytes[at + 2], at + 3];
  if (bytes[at + 1] === 0x80 && at + 10 <= bytes.length) {
    const code = bytes.readBigUInt64BE(at + 2);
    return [code <= 0xffn ? Number(code) : -1, at + 10];
  }
  throw new SectionError("a section's descriptor must be a numeric one");
}

/**
 * Take an encoded message apart.
 *
 * @param {Buffer} bytes
 * @returns {Section[]} at least one, in the order of their codes
 * @throws {SectionError} not a message
 */
function splitSections(bytes) {
  const sections = [];
  let previous = SECTION.HEADER;
  for (let at = 0; at < bytes.length;) {
    const [code, body] = readDescriptor(bytes, at);
    if (code < previous || code > SECTION.FOOTER) {
      throw new SectionError(`section ${code} is unknown, or out of order`);
    }
    const end = endOfValue(bytes, body);
    if (end > bytes.length) throw new SectionError("a section runs past the end of the message");
    sections.push({ code, start: at, body, end });
    previous = code;
    at = end;
  }
  if (sections.length === 0) throw new SectionError("it has no sections");
  return sections;
}

/**
 * The binary in a data section.
 *
 * @param {Buffer} bytes
 * @param {Section} section
 * @throws {SectionError} the section's value is not binary
 */
function dataOf(bytes, section) {
  const code = bytes[section.body];
  if (code !== 0xa0 && code !== 0xb0) throw new SectionError("a data section must be binary");
  return bytes.subarray(section.body + (code === 0xa0 ? 2 : 5), section.end);
}

/**
 * Decode a section's value, every value in it with its type.
 *
 * @param {Buffer} bytes
 * @param {Section} section
 * @throws {SectionError} the value is not well-formed
 */
function decodeSection(bytes, section) {
  try {
    const reader = new types.Reader(bytes.subarray(section.body, section.end));
    const value = reader.read();
    if (reader.remaining() !== 0) throw new SectionError("a value is longer than it says");
    return value;
  } catch (error) {
    throw error instanceof SectionError ? error : new SectionError(`of a value: ${error.message}`);
  }
}

/**
 * The values of a decoded list.
 * @throws {SectionError} not a list
 */
function listItems(typed) {
  if (typed && types.is_list(typed)) return typed.value;
  throw new SectionError("a list was expected");
}

/**
 * The pairs of a decoded map, values with their types, by the text of their keys.
 * Nothing (undefined, null, an AMQP null) gives an empty map.
 *
 * @returns {Map<string, any>}
 */
function typedMap(typed) {
  const map = new Map();
  if (!typed || !types.is_map(typed)) return map;
  for (let i = 0; i + 1 < typed.value.length; i += 2) {
    map.set(String(typed.value[i].value), typed.value[i + 1]);
  }
  return map;
}

/** The value without its type; undefined and null stay what they are. */
function plain(typed) {
  return typed === undefined || typed === null ? typed : types.unwrap(typed);
}

/** @returns {Buffer} the encoded form of a typed value */
function encode(typed) {
  const writer = new types.Writer();
  writer.write(typed);
  return writer.toBuffer();
}

/** @returns {Buffer} an encoded section */
function encodeSection(code, typed) {
  return encode(types.described(types.wrap_ulong(code), typed));
}

module.exports = {
  SECTION,
  SectionError,
  dataOf,
  decodeSection,
  encode,
  encodeSection,
  listItems,
  plain,
  splitSections,
  typedMap,
};
