"use strict";

const http = require("node:http");
const { listen } = require("./amqp-server");
const { FAULT_NAMES } = require("./faults");
const { log } = require("./log");

/**
 * The control interface for tests: HTTP with JSON, on loopback.
 *
 * | request | answer |
 * |---|---|
 * | `GET /status` | connections, clock offset in seconds, memory and journal in bytes |
 * | `GET /queues` | for each queue its counts, `deadLettered` and totals since the start |
 * | `POST /queues/NAME/purge` | removes all messages, dead letters too: `{"purged": n}` |
 * | `GET /faults` | the faults that are set |
 * | `PUT /faults` `{"name", "count"?, "queue"?, "milliseconds"?}` | sets a fault, see faults.js |
 * | `DELETE /faults`, `DELETE /faults/NAME` | clears all faults, or one |
 * | `POST /connections/drop` | breaks all connections: `{"dropped": n}` |
 * | `POST /locks/expire` `{"queue"?}` | ends all locks now: `{"expired": n}` |
 * | `POST /time/advance` `{"seconds"}` | moves the broker's clock forward |
 *
 * A wrong request is answered with 4xx and `{"code", "message"}`.
 */

const MAX_BODY_BYTES = 64 * 1024;

class ControlError extends Error {
  constructor(status, code, message) {
    super(message);
    this.status = status;
    this.code = code;
  }
}

class ControlServer {
  #broker;
  #server = http.createServer((request, response) => this.#answer(request, response));

  /** @param {import("./broker").Broker} broker */
  constructor(broker) {
    this.#broker = broker;
  }

  /** @returns {Promise<number>} the port, once it listens; rejects with a StartupError */
  listen(port, host) {
    return listen(this.#server, port, host);
  }

  /** Stop at once. */
  close() {
    this.#server.close();
    this.#server.closeAllConnections();
  }

  async #answer(request, response) {
    try {
      send(response, 200, await this.#handle(request));
    } catch (error) {
      if (!(error instanceof ControlError)) {
        log("error", "control_failed", { message: error.message, stack: error.stack });
      }
      const { status = 500, code = "internal_error", message } = error;
      send(response, status, { code, message });
    }
  }

  async #handle(request) {
    // A web page in the developer's browser may not do this; only it names its origin.
    if (request.headers.origin) throw new ControlError(403, "origin_refused", "Not for browsers.");
    const { pathname } = new URL(request.url, "http://broker");
    const parts = pathname.slice(1).split("/").map(decode);
    const name = parts[1];
    const withName = name === undefined ? parts : parts.with(1, "*");
    const [exact, named] = [parts, withName].map((path) => `${request.method} /${path.join("/")}`);
    const route = ROUTES[exact] ?? ROUTES[named];
    if (!route) throw new ControlError(404, "route_unknown", `No ${request.method} ${pathname}.`);
    return route(this.#broker, await readJson(request), name);
  }
}

const ROUTES = {
  "GET /status": (broker) => broker.status(),
  "GET /queues": (broker) => ({ queues: broker.queueStatus() }),
  "POST /queues/*/purge": (broker, _body, name) => ({
    purged: broker.purge(existing(broker, name)),
  }),
  "GET /faults": (broker) => ({ faults: broker.faults.list() }),
  "PUT /faults": (broker, body) => {
    setFault(broker, body);
    return { faults: broker.faults.list() };
  },
  "DELETE /faults": (broker) => {
    broker.faults.clear();
    return { faults: broker.faults.list() };
  },
  "DELETE /faults/*": (broker, _body, name) => {
    broker.faults.clear(name);
    return { faults: broker.faults.list() };
  },
  "POST /connections/drop": (broker) => ({ dropped: broker.dropConnections() }),
  "POST /locks/expire": (broker, { queue }) => ({
    expired: broker.expireLocks(queue === undefined ? null : existing(broker, queue)),
  }),
  "POST /time/advance": (broker, { seconds }) => {
    if (!(seconds >= 0)) throw wrong("seconds must be a number of at least 0.");
    broker.advance(seconds * 1000);
    return { offsetSeconds: broker.status().clockOffsetSeconds };
  },
};

function setFault(broker, { name, count = null, queue = null, milliseconds = 0 }) {
  if (!FAULT_NAMES.includes(name)) throw wrong(`name must be one of ${FAULT_NAMES.join(", ")}.`);
  if (count !== null && !(Number.isInteger(count) && count > 0)) {
    throw wrong("count must be a whole number of at least 1, or null.");
  }
  if (!(milliseconds >= 0 && milliseconds <= 600_000)) {
    throw wrong("milliseconds must be a number from 0 to 600000.");
  }
  const fullName = queue === null ? null : existing(broker, queue).name;
  broker.faults.set(name, { count, queue: fullName, milliseconds });
}

function existing(broker, name) {
  const queue = broker.namespace.find(String(name));
  if (queue) return queue;
  throw new ControlError(404, "queue_unknown", `There is no queue '${name}'.`);
}

function wrong(message) {
  return new ControlError(400, "argument_wrong", message);
}

function decode(part) {
  try {
    return decodeURIComponent(part);
  } catch {
    throw new ControlError(400, "argument_wrong", "The path is not encoded rightly.");
  }
}

async function readJson(request) {
  const chunks = [];
  let size = 0;
  for await (const chunk of request) {
    size += chunk.length;
    if (size > MAX_BODY_BYTES) throw new ControlError(413, "body_too_large", "At most 64 KiB.");
    chunks.push(chunk);
  }
  try {
    const value = size === 0 ? {} : JSON.parse(Buffer.concat(chunks).toString("utf8"));
    if (typeof value === "object" && value !== null) return value;
  } catch {
    // Answered below, as any other text that is no object.
  }
  throw wrong("The body must be a JSON object.");
}

function send(response, status, value) {
  const body = JSON.stringify(value);
  response.writeHead(status, {
    "content-type": "application/json",
    "content-length": Buffer.byteLength(body),
  });
  response.end(body);
}

module.exports = { ControlServer };
