"use strict";

const { parseArgs } = require("node:util");
const { StartupError } = require("./errors");

/**
 * @typedef {object} QueueSettings
 * @property {string} name
 * @property {number} lock how long a lock lasts, in milliseconds
 * @property {number} maxDeliveries unsuccessful deliveries after which a message is dead-lettered
 * @property {number} ttl longest time to live, in milliseconds; Infinity for none
 * @property {boolean} deadLetterOnExpiry
 * @property {boolean} sessions
 * @property {number} maxMessageBytes
 * @property {number} maxBytes of all its messages
 */

/**
 * @typedef {object} Options
 * @property {boolean} help
 * @property {string} host
 * @property {number} port
 * @property {number} controlPort
 * @property {QueueSettings[]} queues
 * @property {string | null} data folder
 * @property {boolean} fsync
 * @property {boolean} exitWithStdin
 */

const HELP = `A development broker that Microsoft's Service Bus SDKs use unmodified.

usage: node main.js [options] --queue NAME[:SETTING=VALUE,…] [--queue …]

options:
  --host ADDRESS        address to listen on (127.0.0.1)
  --port N              AMQP port; 0 takes a free one (0)
  --control-port N      port of the HTTP control interface for tests; 0 takes a free one (0)
  --data FOLDER         keep messages in this folder; without it they end with the process
  --fsync               with --data: wait for the disk before a message is accepted
  --exit-with-stdin     end when standard input is closed
  --help                show this text

settings of a queue:
  lock=SECONDS          how long a lock lasts, 1 to 300 (30)
  max=N                 deliveries after which a message is dead-lettered, 1 to 2000 (10)
  ttl=SECONDS           longest time to live of a message (none)
  deadLetterOnExpiry=BOOLEAN   dead-letter expired messages instead of dropping them (false)
  sessions=BOOLEAN      messages have sessions, and receivers accept them (false)
  maxMessageBytes=N     largest message or batch, 1024 to 104857600 (262144)
  sizeMegabytes=N       largest size of all messages, 1 to 81920 (1024)

When it listens, it prints one JSON line on standard output:
  {"event":"ready","amqpPort":N,"controlPort":N,"pid":N}
When it cannot start, it prints one on standard error and ends with exit code 2:
  {"event":"error","code":"port_in_use","message":"…"}
Connect with
  Endpoint=sb://127.0.0.1:PORT;SharedAccessKeyName=any;SharedAccessKey=any;UseDevelopmentEmulator=true;
`;

const NAME = /^[A-Za-z0-9][A-Za-z0-9._/-]{0,259}$/;
const MEBIBYTE = 1024 * 1024;

/** What may follow a queue's name: how it is read, and under what name it is kept. */
const SETTINGS = {
  lock: (text) => ({ lock: number(text, 1, 300) * 1000 }),
  max: (text) => ({ maxDeliveries: integer(text, 1, 2000) }),
  ttl: (text) => ({ ttl: number(text, 0.001, 1e9) * 1000 }),
  deadLetterOnExpiry: (text) => ({ deadLetterOnExpiry: boolean(text) }),
  sessions: (text) => ({ sessions: boolean(text) }),
  maxMessageBytes: (text) => ({ maxMessageBytes: integer(text, 1024, 104857600) }),
  sizeMegabytes: (text) => ({ maxBytes: integer(text, 1, 81920) * MEBIBYTE }),
};

const DEFAULTS = {
  lock: 30_000,
  maxDeliveries: 10,
  ttl: Number.POSITIVE_INFINITY,
  deadLetterOnExpiry: false,
  sessions: false,
  maxMessageBytes: 262144,
  maxBytes: 1024 * MEBIBYTE,
};

/**
 * Read the command line.
 *
 * @param {string[]} args without node and the script
 * @returns {Options}
 * @throws {StartupError} `usage`
 */
function parseOptions(args) {
  const values = parse(args);
  const queues = (values.queue ?? []).map(parseQueue);
  if (!values.help) checkQueues(queues);
  if (values.fsync && values.data === undefined) throw usage("--fsync needs --data.");
  return {
    help: values.help ?? false,
    host: values.host ?? "127.0.0.1",
    port: named("--port", () => integer(values.port ?? "0", 0, 65535)),
    controlPort: named("--control-port", () => integer(values["control-port"] ?? "0", 0, 65535)),
    queues,
    data: values.data ?? null,
    fsync: values.fsync ?? false,
    exitWithStdin: values["exit-with-stdin"] ?? false,
  };
}

/**
 * Read one queue, as `NAME` or `NAME:setting=value,setting=value`.
 * @param {string} text
 * @returns {QueueSettings}
 * @throws {StartupError} `usage`
 */
function parseQueue(text) {
  const colon = text.indexOf(":");
  const name = colon < 0 ? text : text.slice(0, colon);
  if (!NAME.test(name)) {
    throw usage(`'${name}' is no queue name: use letters, digits, and . _ - / after the first.`);
  }
  const settings = { name, ...DEFAULTS };
  for (const part of colon < 0 ? [] : text.slice(colon + 1).split(",")) {
    const [key, value] = part.split("=", 2);
    if (!Object.hasOwn(SETTINGS, key) || value === undefined) {
      const known = Object.keys(SETTINGS).join(", ");
      throw usage(`--queue ${name}: '${part}' is no setting. There are: ${known}.`);
    }
    Object.assign(
      settings,
      named(`--queue ${name}: ${key}`, () => SETTINGS[key](value)),
    );
  }
  return settings;
}

function parse(args) {
  const text = { type: /** @type {const} */ ("string") };
  const flag = { type: /** @type {const} */ ("boolean") };
  const options = {
    host: text,
    port: text,
    "control-port": text,
    queue: { ...text, multiple: true },
    data: text,
    fsync: flag,
    "exit-with-stdin": flag,
    help: flag,
  };
  try {
    return parseArgs({ args, options }).values;
  } catch (error) {
    throw usage(error.message);
  }
}

function checkQueues(queues) {
  if (queues.length === 0) throw usage("at least one --queue is needed.");
  const names = new Set();
  for (const { name } of queues) {
    if (names.has(name.toLowerCase())) throw usage(`the queue '${name}' is given twice.`);
    names.add(name.toLowerCase());
  }
}

function named(what, read) {
  try {
    return read();
  } catch (error) {
    throw usage(`${what} ${error.message}`);
  }
}

function integer(text, least, most) {
  const value = number(text, least, most);
  if (!Number.isInteger(value)) throw new RangeError(`must be a whole number, not '${text}'.`);
  return value;
}

function number(text, least, most) {
  const value = text.trim() === "" ? Number.NaN : Number(text);
  if (value >= least && value <= most) return value;
  throw new RangeError(`must be a number from ${least} to ${most}, not '${text}'.`);
}

function boolean(text) {
  if (text === "true" || text === "false") return text === "true";
  throw new RangeError(`must be true or false, not '${text}'.`);
}

function usage(message) {
  return new StartupError("usage", `${message} Try --help.`);
}

module.exports = { HELP, parseOptions, parseQueue };
