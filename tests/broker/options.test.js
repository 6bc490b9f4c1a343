"use strict";

const assert = require("node:assert/strict");
const { test } = require("node:test");
const { broker } = require("./support");

const { HELP, parseOptions, parseQueue } = broker("options");
const { StartupError } = broker("errors");

test("a queue without settings has Azure's defaults", () => {
  assert.deepEqual(parseQueue("push"), {
    name: "push",
    lock: 30_000,
    maxDeliveries: 10,
    ttl: Number.POSITIVE_INFINITY,
    deadLetterOnExpiry: false,
    sessions: false,
    maxMessageBytes: 262_144,
    maxBytes: 1_073_741_824,
  });
});

test("every setting of a queue is read", () => {
  const text =
    "a/b.c-d_e:lock=5.5,max=3,ttl=0.5,deadLetterOnExpiry=true,sessions=true,maxMessageBytes=2048,sizeMegabytes=2";
  assert.deepEqual(parseQueue(text), {
    name: "a/b.c-d_e",
    lock: 5_500,
    maxDeliveries: 3,
    ttl: 500,
    deadLetterOnExpiry: true,
    sessions: true,
    maxMessageBytes: 2048,
    maxBytes: 2_097_152,
  });
});

test("the command line is read, with free ports by default", () => {
  assert.deepEqual(
    parseOptions(["--queue", "a", "--queue", "b", "--port", "5672", "--data", "d"]),
    {
      help: false,
      host: "127.0.0.1",
      port: 5672,
      controlPort: 0,
      queues: [parseQueue("a"), parseQueue("b")],
      data: "d",
      fsync: false,
      exitWithStdin: false,
    },
  );
});

const WRONG = [
  [[], /at least one --queue/],
  [["--queue", "a", "--queue", "A"], /'A' is given twice/],
  [["--queue", "a$b"], /no queue name/],
  [["--queue", "a:lock"], /'lock' is no setting/],
  [["--queue", "a:colour=red"], /There are: lock, max, ttl/],
  [["--queue", "a:constructor=1"], /no setting/],
  [["--queue", "a:lock=0"], /lock must be a number from 1 to 300, not '0'/],
  [["--queue", "a:lock="], /lock must be a number/],
  [["--queue", "a:max=1.5"], /whole number/],
  [["--queue", "a:sessions=yes"], /true or false/],
  [["--queue", "a", "--port", "70000"], /--port must be a number from 0 to 65535/],
  [["--queue", "a", "--fsync"], /--fsync needs --data/],
  [["--queue", "a", "--colour"], /colour/],
  [["a"], /--help/],
];

for (const [args, message] of WRONG) {
  test(`'${args.join(" ")}' is refused and told why`, () => {
    assert.throws(
      () => parseOptions(args),
      (error) =>
        error instanceof StartupError && error.code === "usage" && message.test(error.message),
    );
  });
}

test("the help names every option and every setting", () => {
  const options = ["host", "port", "control-port", "data", "fsync", "exit-with-stdin", "help"];
  const settings = ["lock", "max", "ttl", "deadLetterOnExpiry", "sessions", "maxMessageBytes"];
  for (const option of options) assert.ok(HELP.includes(`--${option} `), option);
  for (const setting of [...settings, "sizeMegabytes"]) assert.ok(HELP.includes(`  ${setting}=`));
  assert.equal(parseOptions(["--help"]).help, true);
});
