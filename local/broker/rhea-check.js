"use strict";

/**
 * Whether the rhea that is installed is the one that rhea-patches.js and links.js were written for:
 * its version, and every function that is replaced or relied on.
 */

const rhea = require("rhea");
const Connection = require("rhea/lib/connection.js");
const Session = require("rhea/lib/session.js");
const Transport = require("rhea/lib/transport.js");
const { Sender } = require("rhea/lib/link.js");
const { StartupError } = require("./errors");

const RHEA_VERSION = "3.0.5";

/** Objects whose classes rhea does not export. */
function findInternals() {
  const session = rhea.create_connection({}).create_session();
  return {
    outgoing: Object.getPrototypeOf(session.outgoing),
    incoming: Object.getPrototypeOf(session.incoming),
    ring: Object.getPrototypeOf(session.outgoing.deliveries),
    link: Object.getPrototypeOf(Sender.prototype),
  };
}

/**
 * @param {string} version of the rhea that is installed
 * @param {ReturnType<typeof findInternals>} internals
 * @throws {StartupError} `rhea_mismatch`
 */
function checkRhea(version, { outgoing, incoming, ring, link }) {
  const needed = {
    message: [rhea.message, "decode", "encode", "is_accepted"],
    Reader: [rhea.types.Reader.prototype, "read_size_count", "read_uint", "remaining"],
    Transport: [Transport.prototype, "peek_size", "encode", "has_writes_pending"],
    Connection: [
      Connection.prototype,
      ...["_process", "_write_frame", "_write_open", "_write_close", "_register"],
      ...["_disconnected", "dispatch", "input", "output", "on_begin", "accept"],
    ],
    Session: [
      Session.prototype,
      ...["_get_link", "_write_flow", "create_sender", "create_receiver", "find_link"],
      ...["on_attach", "on_transfer", "on_disposition", "remove_link"],
    ],
    link: [link, "_process", "on_attach", "on_detach", "open", "close", "set_source"],
    Sender: [Sender.prototype, "_get_drain", "on_flow", "send"],
    Outgoing: [outgoing, "process", "update", "available", "on_disposition"],
    Incoming: [incoming, "process", "update", "on_transfer", "on_disposition"],
    CircularBuffer: [ring, "by_id", "get_head", "get_tail", "pop_if", "available"],
  };
  const missing = Object.entries(needed).flatMap(([name, [object, ...methods]]) =>
    methods.filter((method) => typeof object?.[method] !== "function").map((m) => `${name}.${m}`),
  );
  if (version === RHEA_VERSION && missing.length === 0) return;
  const found = missing.length === 0 ? "" : ` It has no ${missing.join(", ")}.`;
  throw new StartupError(
    "rhea_mismatch",
    `The broker works with rhea ${RHEA_VERSION} only, and ${version} is installed.${found} Run \`npm ci\` in the folder of package.json.`,
  );
}

module.exports = { RHEA_VERSION, checkRhea, findInternals };
