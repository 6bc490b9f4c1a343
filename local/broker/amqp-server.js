"use strict";

const net = require("node:net");
const { StartupError } = require("./errors");
const limits = require("./limits");
const { endConnection } = require("./rhea-patches");

/** Listens for AMQP connections, and serves each by rhea. */
class AmqpServer {
  #server = net.createServer({ noDelay: true });
  #connections = /** @type {Set<object>} */ (new Set());
  #container;
  #endpoints;
  #faults;

  /**
   * @param {import("./endpoints").Endpoints} endpoints
   * @param {import("./faults").Faults} faults
   */
  constructor(endpoints, faults) {
    this.#endpoints = endpoints;
    this.#container = endpoints.container();
    this.#faults = faults;
    this.#server.maxConnections = limits.MAX_CONNECTIONS;
    this.#server.on("connection", (socket) => this.#accept(socket));
  }

  /** @returns {number} */
  get connectionCount() {
    return this.#connections.size;
  }

  /** @returns {Promise<number>} the port, once it listens; rejects with a StartupError */
  listen(port, host) {
    return listen(this.#server, port, host);
  }

  /** Break every connection without a word. @returns {number} how many there were */
  dropConnections() {
    const count = this.#connections.size;
    for (const connection of this.#connections) connection.socket.destroy();
    return count;
  }

  /** Say good-bye to every client and stop listening. */
  async close() {
    const closed = new Promise((resolve) => this.#server.close(resolve));
    for (const connection of this.#connections) {
      const error = new Error("The broker is ending.");
      endConnection(connection, Object.assign(error, { condition: "amqp:connection:forced" }));
    }
    await closed;
  }

  #accept(socket) {
    if (this.#faults.take("refuse_connections")) {
      socket.resetAndDestroy();
      return;
    }
    const connection = this.#container.create_connection({
      tcp_no_delay: true,
      reconnect: false,
      max_frame_size: limits.MAX_FRAME_BYTES,
      channel_max: limits.CHANNEL_MAX,
      session_buffer_size: limits.SESSION_BUFFER,
    });
    this.#connections.add(connection);
    socket.on("close", () => this.#connections.delete(connection));
    socket.on("drain", () => this.#endpoints.wakeAll(connection));
    connection.accept(socket);
  }
}

/**
 * @param {import("node:net").Server} server
 * @returns {Promise<number>} the port it listens on
 */
function listen(server, port, host) {
  return new Promise((resolve, reject) => {
    server.once("error", (error) => reject(listenError(error, port, host)));
    server.listen(port, host, () => resolve(server.address().port));
  });
}

function listenError(error, port, host) {
  if (error.code === "EADDRINUSE") {
    const text = `Port ${port} of ${host} is in use. Stop what listens there, or choose another port.`;
    return new StartupError("port_in_use", text);
  }
  return new StartupError("cannot_listen", `Cannot listen on ${host}:${port}: ${error.message}.`);
}

module.exports = { AmqpServer, listen };
