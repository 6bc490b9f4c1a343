"use strict";

/**
 * Links, as the broker uses them: what it answers to an attach, how much it may send, how it
 * refuses. Like rhea-patches.js this leans on rhea's internals, which are checked there.
 */

const { types } = require("rhea");
const { amqpError } = require("./errors");
const { DELIVERY_HIGH_WATER } = require("./limits");
const { pendingDeliveries } = require("./rhea-patches");

const MIXED = 2;
const PRESETTLED = 1;

/**
 * Fill in the answer to an attach, with what the peer asked for.
 *
 * @param {object} link
 * @param {number} maxMessageBytes 0 would be read as "nothing fits" by the JavaScript SDK
 * @param {object} [properties] of the link
 */
function answerAttach(link, maxMessageBytes, properties) {
  const { attach } = link.local;
  if (link.source) attach.source = link.source.described();
  if (link.target) attach.target = link.target.described();
  attach.snd_settle_mode = link.snd_settle_mode ?? MIXED;
  attach.rcv_settle_mode = link.rcv_settle_mode ?? 0;
  attach.max_message_size = maxMessageBytes;
  attach.properties = properties;
}

/**
 * Refuse a link: an attach without source and target, then a detach that says why (AMQP 1.0,
 * part 2.6.3).
 *
 * @param {object} link
 * @param {import("./errors").Refusal} refusal
 */
function refuseLink(link, refusal) {
  link.local.attach.source = undefined;
  link.local.attach.target = undefined;
  link.open();
  link.close(amqpError(refusal));
}

/**
 * Take back the attach with which rhea answers by itself, until `link.open()`: a receiver that asks
 * for any session is answered when there is one.
 */
function holdAttach(link) {
  link.state.local_open = false;
  link.state.open_requests = 0;
}

/** Whether deliveries on this link are settled when they are sent (receive and delete). */
function isPresettled(link) {
  return link.local.attach.snd_settle_mode === PRESETTLED;
}

/**
 * How many messages may be sent on a link now.
 *
 * rhea takes credit off only when it writes a frame, and a delivery without credit blocks every
 * other link of its session: what waits to be written is taken off here. A peer that does not
 * read is sent nothing more.
 */
function spendableCredit(link) {
  if (!link.is_open() || link.connection.socket.writableLength > DELIVERY_HIGH_WATER) return 0;
  return link.credit - pendingDeliveries(link);
}

/**
 * Whether a session can take one more delivery. rhea keeps each until the peer settles it, in a
 * ring of fixed size; deliveries whose locks are over will not be settled, and make room.
 *
 * @param {object} session
 * @param {(delivery: object) => boolean} isOver
 */
function hasRoom(session, isOver) {
  const { outgoing } = session;
  if (outgoing.available() <= 64) {
    outgoing.deliveries.pop_if((d) => d.id < outgoing.next_pending_delivery && isOver(d));
  }
  return outgoing.available() > 0;
}

/** Answer a drain, if one was asked for: there is nothing more to send on this link for now. */
function answerDrain(link) {
  if (!link._draining || link.is_drain_due) return;
  link.is_drain_due = true;
  link.connection._register();
}

/** The delivery tag of a lock token: its bytes in .NET's order of a Guid. */
function tagOf(token) {
  const b = Buffer.from(token, "hex");
  return Buffer.from([b[3], b[2], b[1], b[0], b[5], b[4], b[7], b[6], ...b.subarray(8)]);
}

/** A time as .NET counts it, in 100 ns since the year 1: too large for a JavaScript number. */
function ticks(milliseconds) {
  const bytes = Buffer.alloc(8);
  bytes.writeBigInt64BE(BigInt(Math.floor(milliseconds)) * 10000n + 621355968000000000n);
  return types.Long(bytes);
}

module.exports = {
  answerAttach,
  answerDrain,
  hasRoom,
  holdAttach,
  isPresettled,
  refuseLink,
  spendableCredit,
  tagOf,
  ticks,
};
