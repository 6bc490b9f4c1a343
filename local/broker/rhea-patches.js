"use strict";

/**
 * Everything that reaches into rhea's internals.
 *
 * rhea is written for clients, and for peers that mean well. What a broker needs on top, and what
 * keeps a hostile peer from stopping it, is put in here, each piece with its reason. It holds for
 * one version of rhea, which rhea-check.js makes sure of.
 */

const rhea = require("rhea");
const Connection = require("rhea/lib/connection.js");
const Session = require("rhea/lib/session.js");
const Transport = require("rhea/lib/transport.js");
const { Sender } = require("rhea/lib/link.js");
const errors = require("rhea/lib/errors.js");
const frames = require("rhea/lib/frames.js");
const limits = require("./limits");
const { checkRhea, findInternals } = require("./rhea-check");

const EMPTY = Buffer.alloc(0);

/** rhea's own decoder of messages, as it was before `keepMessagesRaw`. */
const decodeMessage = rhea.message.decode;

let patched = false;

/**
 * Apply every patch, once.
 * @throws {import("./errors").StartupError} `rhea_mismatch`
 */
function patchRhea() {
  if (patched) return;
  const internals = findInternals();
  checkRhea(require("rhea/package.json").version, internals);
  keepMessagesRaw();
  writeFramesTogether();
  endBrokenConnections();
  boundFrames();
  boundCounts();
  boundSessionsAndLinks();
  boundDeliveries();
  boundDispositions();
  keepOutcomesApart(internals);
  freeSentPayloads(internals.outgoing);
  answerDrains(internals.link);
  patched = true;
}

/**
 * rhea decodes a message of format 0 before it hands it on, and its types are lost. A broker has
 * to pass on the very bytes: rhea now "decodes" them to themselves.
 */
function keepMessagesRaw() {
  rhea.message.decode = (bytes) => bytes;
}

/**
 * rhea writes each frame to the socket by itself and sets the timer of its heartbeat anew each
 * time, which costs more than all else. The frames of one turn are now written together.
 *
 * An exception in a turn, for instance from a field that cannot be encoded, would end the process;
 * it now ends the connection.
 */
function writeFramesTogether() {
  const { _process: processTurn } = Connection.prototype;
  Connection.prototype._process = function () {
    this.is_collecting = true;
    try {
      processTurn.call(this);
    } catch (error) {
      endConnection(this, error);
    } finally {
      this.is_collecting = false;
    }
    if (!this.amqp_transport.has_writes_pending()) return;
    this.socket?.cork();
    this.output();
    this.socket?.uncork();
  };
  const { output } = Connection.prototype;
  Connection.prototype.output = function () {
    if (!this.is_collecting) output.call(this);
  };
}

/**
 * After bytes that it cannot read, rhea ends its own half of the socket and goes on reading at
 * some later byte. A connection that is broken is now closed with an error and not read any more.
 * Also, what is written and not taken is bounded: no reading beyond a high-water mark.
 *
 * rhea learns of the end of a socket by "end" and "error" only, which do not come when the socket
 * is destroyed on this side; "close" always comes. It is told once.
 */
function endBrokenConnections() {
  const { input, dispatch, accept, _disconnected: disconnected } = Connection.prototype;
  Connection.prototype.input = function (bytes) {
    if (this.is_broken) return;
    input.call(this, bytes);
    if (this.socket.writableLength > limits.READ_HIGH_WATER) this.socket.pause();
  };
  Connection.prototype.dispatch = function (name, ...context) {
    // What rhea says of an error, before it ends its half of the socket.
    if (name === "error" || name === "protocol_error") endConnection(this, context[0]);
    return dispatch.call(this, name, ...context);
  };
  Connection.prototype.accept = function (socket) {
    socket.on("close", () => this._disconnected());
    socket.on("drain", () => socket.resume());
    return accept.call(this, socket);
  };
  Connection.prototype._disconnected = function (error) {
    if (this.is_gone) return;
    this.is_gone = true;
    disconnected.call(this, error);
  };
}

/**
 * Close a connection with an error (AMQP 1.0, part 2.4.3), whatever state it is in.
 *
 * @param {object} connection
 * @param {Error & { condition?: string }} error
 */
function endConnection(connection, error) {
  if (connection.is_broken) return;
  connection.is_broken = true;
  connection.is_collecting = false;
  const condition = error.condition ?? "amqp:connection:framing-error";
  try {
    if (connection.state.local_open) {
      const { amqp_transport: transport, local } = connection;
      // One of the frames that wait may be what cannot be written; the first one is needed.
      transport.pending = transport.pending.filter((frame) => frame.performative === local.open);
      if (connection.state.need_open()) connection._write_open();
      local.close.error = { condition, description: error.message, info: {} };
      connection._write_close();
    }
  } catch {
    // What cannot be written is not missed: the socket is closed next.
  }
  const { socket } = connection;
  // What the peer still sends is read and dropped for a moment: a socket that is destroyed with
  // unread bytes is reset, and the peer would not get to see the error.
  socket.end();
  setTimeout(() => socket.destroy(), limits.FAREWELL_MILLISECONDS);
  // At once, or messages would be delivered into it meanwhile.
  connection._disconnected(error);
}

/** rhea waits for a frame of any size up to 4 GiB, and keeps what came of it until then. */
function boundFrames() {
  const { peek_size: peekSize } = Transport.prototype;
  Transport.prototype.peek_size = function (bytes) {
    const size = peekSize.call(this, bytes);
    if (size > limits.MAX_FRAME_BYTES || size < 8) {
      throw new errors.ProtocolError(`A frame of ${size} bytes is not allowed.`);
    }
    return size;
  };
}

/**
 * rhea makes an array as long as an encoded count says before it reads the items, up to 2^32 of
 * them, which may take no bytes at all each. A count beyond the size in bytes is now an error.
 * (Up to 255 items without bytes, such as booleans, are left alone.)
 */
function boundCounts() {
  const { read_size_count: readSizeCount } = rhea.types.Reader.prototype;
  rhea.types.Reader.prototype.read_size_count = function (width) {
    const limit = readSizeCount.call(this, width);
    if (limit.count > 255 && (limit.count > limit.size || limit.count > this.remaining())) {
      throw new errors.ProtocolError(`${limit.count} items do not fit into ${limit.size} bytes.`);
    }
    return limit;
  };
}

/**
 * rhea takes any channel and any handle, whatever maximum it has announced.
 *
 * rhea also finds a link by its name alone; but a peer may have one sender and one receiver of the
 * same name (AMQP 1.0, part 2.6.1), as azure-servicebus does, and the second one ended the
 * connection. And it files a link under an undefined remote handle, so that detached links were
 * never forgotten.
 */
function boundSessionsAndLinks() {
  const { on_begin: onBegin } = Connection.prototype;
  Connection.prototype.on_begin = function (frame) {
    if (frame.channel > limits.CHANNEL_MAX || this.remote_channel_map[frame.channel]) {
      throw new errors.ProtocolError(`A session cannot begin on channel ${frame.channel}.`);
    }
    onBegin.call(this, frame);
  };

  Session.prototype.on_attach = function (frame) {
    const { name, handle, role } = frame.performative;
    const isTaken = this.remote.handles[handle]?.state.remote_open;
    const isDouble = this.find_link(
      (l) => l.name === name && l.is_sender() === role && l.state.remote_open,
    );
    if (handle > limits.HANDLE_MAX || isTaken || isDouble) {
      throw new errors.ProtocolError(`The link ${name} cannot be attached with handle ${handle}.`);
    }
    const sameName = this.links[name];
    // rhea files the new link under its bare name.
    const link = role ? this.create_sender(name) : this.create_receiver(name);
    if (sameName) this.links[name] = sameName;
    else delete this.links[name];
    this.links_made = (this.links_made ?? 0) + 1;
    link.key = `link ${this.links_made}`;
    this.links[link.key] = link;
    this.remote.handles[handle] = link;
    link.on_attach(frame);
    link.remote.handle = handle; // last, because rhea's on_attach sets it to undefined
  };

  Session.prototype.remove_link = function (link) {
    if (this.remote.handles[link.remote.handle] === link) {
      delete this.remote.handles[link.remote.handle];
    }
    if (this.local.handles[link.local.handle] === link)
      delete this.local.handles[link.local.handle];
    if (this.links[link.key] === link) delete this.links[link.key];
    forgetIncomplete(link);
  };
}

/**
 * rhea collects the frames of a delivery without end. Beyond the link's max-message-size their
 * payloads are now dropped while the delivery goes on; `link.message_bytes` tells its real size
 * while its message is handed over. What a connection has begun in all is bounded too.
 *
 * rhea also takes an aborted delivery (AMQP 1.0, part 2.7.5) for a complete one.
 */
function boundDeliveries() {
  const { on_transfer: onTransfer } = Session.prototype;
  Session.prototype.on_transfer = function (frame) {
    const link = this._get_link(frame);
    frame.payload ??= EMPTY;
    if (frame.performative.aborted) {
      this.incoming.next_transfer_id += 1;
      abandonDelivery(link);
      return;
    }
    link.message_bytes = (link.message_bytes ?? 0) + frame.payload.length;
    if (link.message_bytes > (link.local.attach.max_message_size ?? 0)) {
      forgetIncomplete(link);
      if (link._incomplete) link._incomplete.frames.length = 0;
      frame.payload = EMPTY;
    } else if (frame.performative.more) countIncomplete(link, frame.payload.length);
    const { more } = frame.performative;
    onTransfer.call(this, frame);
    if (more) return;
    forgetIncomplete(link);
    link.message_bytes = 0;
  };
}

function abandonDelivery(link) {
  forgetIncomplete(link);
  link.message_bytes = 0;
  if (!link._incomplete) return;
  link._incomplete.settled = true;
  link._incomplete = undefined;
}

function countIncomplete(link, bytes) {
  const { connection } = link;
  link.incomplete_bytes = (link.incomplete_bytes ?? 0) + bytes;
  connection.incomplete_bytes = (connection.incomplete_bytes ?? 0) + bytes;
  const limit = Math.max(limits.MAX_INCOMPLETE_BYTES, 2 * link.local.attach.max_message_size);
  if (connection.incomplete_bytes > limit) {
    const text = "Too many messages were begun and not ended.";
    throw new errors.ConnectionError(text, "amqp:resource-limit-exceeded", connection);
  }
}

function forgetIncomplete(link) {
  if (!link.incomplete_bytes) return;
  link.connection.incomplete_bytes -= link.incomplete_bytes;
  link.incomplete_bytes = 0;
}

/**
 * rhea walks through every delivery id from a disposition's first to its last, and a peer may name
 * four billion of them. The range is now cut to the deliveries that there are.
 */
function boundDispositions() {
  const { on_disposition: onDisposition } = Session.prototype;
  Session.prototype.on_disposition = function (frame) {
    const disposition = frame.performative;
    const { deliveries } = disposition.role ? this.outgoing : this.incoming;
    const first = Math.max(disposition.first, deliveries.get_head()?.id ?? 0);
    const last = Math.min(disposition.last ?? disposition.first, deliveries.get_tail()?.id ?? -1);
    if (last < first) return;
    disposition.first = first;
    disposition.last = last;
    onDisposition.call(this, frame);
  };
}

/**
 * rhea writes the outcomes of consecutive deliveries as one disposition when they are alike, but
 * does not compare the second one with the first: of a message that was accepted and one that was
 * rejected in the same turn, the sender was told that both were accepted.
 */
function keepOutcomesApart({ outgoing, incoming }) {
  for (const direction of [outgoing, incoming]) {
    direction.update = function (delivery, settled, state) {
      delivery.settled = settled;
      if (state !== undefined) delivery.state = state;
      this.outcomes ??= [];
      if (!delivery.remote_settled) this.outcomes.push(delivery);
      delivery.link.connection._register();
    };
    const { process: processDirection } = direction;
    direction.process = function (session) {
      // Before: incoming deliveries that are settled are forgotten by what follows.
      writeOutcomes(this);
      processDirection.call(this, session);
      // After: settling outgoing deliveries is answered in between.
      writeOutcomes(this);
    };
  }
}

function writeOutcomes(direction) {
  const outcomes = direction.outcomes ?? [];
  direction.outcomes = [];
  for (let start = 0; start < outcomes.length;) {
    const first = outcomes[start];
    let end = start + 1;
    while (end < outcomes.length && continues(first, outcomes[end], end - start)) end += 1;
    const { link, settled, state } = first;
    const range = { first: first.id, last: outcomes[end - 1].id };
    link.session.output(frames.disposition({ role: link.is_receiver(), ...range, settled, state }));
    start = end;
  }
}

/** Whether a delivery, `distance` behind another one, can share its disposition. */
function continues(first, delivery, distance) {
  return (
    delivery.id === first.id + distance &&
    delivery.settled === first.settled &&
    rhea.message.is_accepted(first.state) &&
    rhea.message.is_accepted(delivery.state)
  );
}

/**
 * rhea keeps the bytes of a delivery until it and all before it are settled; a receiver that never
 * settles one message would make it keep thousands. They are not needed once they are sent.
 */
function freeSentPayloads(outgoing) {
  const { process: processOutgoing } = outgoing;
  outgoing.process = function () {
    const first = this.next_pending_delivery;
    processOutgoing.call(this);
    for (let id = first; id < this.next_pending_delivery; id += 1) {
      const delivery = this.deliveries.by_id(id);
      if (delivery?.id === id) delivery.data = [];
    }
  };
}

/**
 * rhea answers a drain only while there is credit left, and only if it is told to before; the
 * JavaScript SDK closes a link on which the answer does not come within 200 ms. A drain is now
 * answered when the broker has set `is_drain_due` and nothing waits to be sent on the link any
 * more, with all credit used up.
 */
function answerDrains(link) {
  const { _process: processLink } = link;
  Sender.prototype._process = function () {
    if (this.is_drain_due && pendingDeliveries(this) === 0) this.issue_flow = true;
    processLink.call(this);
  };
  Sender.prototype._get_drain = function () {
    if (!this._draining || !this.is_drain_due) return false;
    this._draining = false;
    this.is_drain_due = false;
    this.delivery_count += this.credit;
    this.credit = 0;
    return true;
  };
}

/** @returns {number} deliveries of a link that wait in its session to be written */
function pendingDeliveries(link) {
  const { outgoing } = link.session;
  let pending = 0;
  for (let id = outgoing.next_pending_delivery; id < outgoing.next_delivery_id; id += 1) {
    if (outgoing.deliveries.by_id(id)?.link === link) pending += 1;
  }
  return pending;
}

module.exports = { decodeMessage, endConnection, patchRhea, pendingDeliveries };
