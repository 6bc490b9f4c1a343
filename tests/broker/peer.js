"use strict";

/**
 * A peer that speaks AMQP frame by frame, to a connection of rhea over a socket that is none:
 * what goes in and out can be seen, and no port is needed.
 */

const assert = require("node:assert/strict");
const { EventEmitter } = require("node:events");
const { requireLocal, rhea } = require("./support");

const frames = requireLocal("rhea/lib/frames.js");
const terminus = requireLocal("rhea/lib/terminus.js");

const AMQP_HEADER = Buffer.from([0x41, 0x4d, 0x51, 0x50, 0, 1, 0, 0]);

/** Takes the place of a socket; `batches` holds what was written between cork and uncork. */
class FakeSocket extends EventEmitter {
  batches = [];
  writableLength = 0;
  isPaused = false;
  isEnded = false;
  isDestroyed = false;
  #open = null;

  cork() {
    this.#open = [];
  }

  uncork() {
    if (this.#open?.length) this.batches.push(Buffer.concat(this.#open));
    this.#open = null;
  }

  write(bytes) {
    if (this.isEnded) return;
    if (this.#open) this.#open.push(bytes);
    else this.batches.push(bytes);
  }

  destroy() {
    if (this.isDestroyed) return;
    this.isDestroyed = true;
    setImmediate(() => this.emit("close"));
  }

  end() {
    this.isEnded = true;
  }

  pause() {
    this.isPaused = true;
  }

  resume() {
    this.isPaused = false;
  }

  setNoDelay() {}
}

/** One connection to a container, a fresh one by default; `on` gives handlers of rhea's events. */
class Peer {
  socket = new FakeSocket();
  events = [];

  constructor({ on = {}, options = {}, container = rhea.create_container() } = {}) {
    this.container = container;
    for (const name of ["error", "protocol_error", "disconnected", "connection_close", "settled"]) {
      this.container.on(name, (context) => this.events.push([name, context]));
    }
    for (const [name, handler] of Object.entries(on)) this.container.on(name, handler);
    this.connection = this.container.create_connection({ reconnect: false, ...options });
    this.connection.accept(this.socket);
  }

  /** Names of the events that came, of those that are always watched. */
  get eventNames() {
    return this.events.map(([name]) => name);
  }

  /** Hand bytes to the connection as if they had come over the network. */
  async raw(bytes) {
    this.socket.emit("data", bytes);
    await this.turn();
  }

  /** Hand frames, given as [channel, performative, payload?], to the connection, in one piece. */
  async send(...all) {
    await this.raw(
      Buffer.concat(
        all.map(([channel, performative, payload]) =>
          frames.write_frame(frames.amqp_frame(channel, performative, payload)),
        ),
      ),
    );
  }

  /** Open the connection and a session on channel 0. */
  async open(more = []) {
    await this.raw(AMQP_HEADER);
    const begin = { next_outgoing_id: 0, incoming_window: 1000, outgoing_window: 1000 };
    await this.send([0, frames.open({ container_id: "peer" })], [0, frames.begin(begin)], ...more);
    return this;
  }

  /** Let everything happen that the connection does by itself. */
  async turn() {
    for (let i = 0; i < 3; i += 1) await new Promise((resolve) => setImmediate(resolve));
  }

  /** The frames that the connection has written, as [name, performative]. */
  written() {
    let bytes = Buffer.concat(this.socket.batches).subarray(AMQP_HEADER.length);
    const found = [];
    while (bytes.length > 0) {
      const size = bytes.readUInt32BE(0);
      const frame = frames.read_frame(bytes.subarray(0, size));
      if (frame.performative) {
        found.push([
          String(frame.performative.constructor).split("#")[0],
          frame.performative,
          frame,
        ]);
      }
      bytes = bytes.subarray(size);
    }
    return found;
  }

  /** The error with which the connection was closed; fails when it was not. */
  closedWith() {
    assert.ok(this.socket.isEnded, "the socket is still open");
    return this.writtenOf("close")[0]?.error;
  }

  /** The written frames of one kind. */
  writtenOf(name) {
    return this.written()
      .filter(([kind]) => kind === name)
      .map(([, performative]) => performative);
  }
}

/** An attach of a client that sends. */
function senderAttach(name, handle, address = "queue") {
  return frames.attach({
    name,
    handle,
    role: false,
    source: terminus.source({ address: "client" }).described(),
    target: terminus.target({ address }).described(),
    initial_delivery_count: 0,
  });
}

/** An attach of a client that receives. */
function receiverAttach(name, handle, address = "queue", { filter, ...more } = {}) {
  return frames.attach({
    name,
    handle,
    role: true,
    source: terminus.source({ address, filter }).described(),
    target: terminus.target({ address: "client" }).described(),
    ...more,
  });
}

/** A flow that gives credit on a link. */
function credit(handle, count, more = {}) {
  return frames.flow({
    next_incoming_id: 0,
    incoming_window: 1000,
    next_outgoing_id: 0,
    outgoing_window: 1000,
    handle,
    delivery_count: 0,
    link_credit: count,
    ...more,
  });
}

module.exports = { AMQP_HEADER, Peer, credit, frames, receiverAttach, senderAttach };
