"use strict";

const rhea = require("rhea");
const { spendableCredit } = require("./links");
const { MAX_WAITING_REPLIES } = require("./limits");
const { manage } = require("./management");
const { decodeMessage, endConnection } = require("./rhea-patches");
const { SECTION, SectionError, decodeSection, splitSections, typedMap } = require("./sections");
const { asRefusal } = require("./settlement");

const { types } = rhea;

/**
 * One side of a pair of links over which a client sends requests and gets replies, to `$cbs` or to
 * the `$management` of a queue.
 *
 * @typedef {object} RequestNode
 * @property {"cbs" | "management"} kind
 * @property {import("./queue").Queue | null} queue
 */

/** A link on which replies are sent. They wait while there is no credit. */
class ReplyLink {
  #waiting = /** @type {Buffer[]} */ ([]);

  /** @param {object} link @param {RequestNode} node */
  constructor(link, node) {
    this.link = link;
    this.node = node;
  }

  /** @param {Buffer} bytes an encoded message */
  send(bytes) {
    this.#waiting.push(bytes);
    this.flush();
    if (this.#waiting.length > MAX_WAITING_REPLIES) {
      const error = new Error("Replies to requests are not taken.");
      endConnection(this.link.connection, Object.assign(error, { condition: "amqp:not-allowed" }));
    }
  }

  /** Send what there is credit for. */
  flush() {
    let credit = spendableCredit(this.link);
    while (credit > 0 && this.#waiting.length > 0) {
      const delivery = this.link.send(this.#waiting.shift(), undefined, 0);
      delivery.settled = true;
      credit -= 1;
    }
  }
}

/**
 * Carry out a request.
 *
 * @param {RequestNode} node to which it was sent
 * @param {Buffer} bytes the request
 * @returns {{ replyTo: string | undefined, reply: Buffer }}
 * @throws {SectionError} the request is no message
 */
function answerRequest(node, bytes) {
  const body = splitSections(bytes).find((section) => section.code === SECTION.VALUE);
  const parameters = typedMap(body && decodeSection(bytes, body));
  const request = decode(bytes);
  const answer =
    node.kind === "cbs" ? acceptToken() : answerManagement(node.queue, request, parameters);
  const reply = { correlation_id: request.message_id, to: request.reply_to, ...answer };
  return { replyTo: request.reply_to, reply: rhea.message.encode(reply) };
}

function decode(bytes) {
  try {
    return decodeMessage(bytes);
  } catch (error) {
    throw new SectionError(error.message);
  }
}

/** Any token is good: the broker protects nothing. */
function acceptToken() {
  const properties = { "status-code": types.wrap_int(202), "status-description": "Accepted" };
  return { application_properties: properties };
}

function answerManagement(queue, request, parameters) {
  const operation = String(request.application_properties?.operation ?? "");
  try {
    const body = manage(queue, operation, parameters);
    return { application_properties: statusProperties(200, "OK"), body };
  } catch (error) {
    const { status, message, condition } = asRefusal(error);
    const properties = statusProperties(status, message);
    return {
      application_properties: { ...properties, errorCondition: types.wrap_symbol(condition) },
    };
  }
}

function statusProperties(status, description) {
  return { statusCode: types.wrap_int(status), statusDescription: description };
}

module.exports = { ReplyLink, answerRequest };
