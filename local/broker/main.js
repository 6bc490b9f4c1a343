"use strict";

const { Broker } = require("./broker");
const { StartupError } = require("./errors");
const { log } = require("./log");
const { HELP, parseOptions } = require("./options");

const EXIT_WRONG = 2;
const EXIT_CRASHED = 1;

async function main() {
  const options = parseOptions(process.argv.slice(2));
  if (options.help) {
    process.stdout.write(HELP);
    return;
  }
  const broker = new Broker(options);
  const ports = await broker.start();
  endWhenAsked(broker, options);
  const ready = { event: "ready", ...ports, pid: process.pid };
  process.stdout.write(`${JSON.stringify(ready)}\n`);
}

function endWhenAsked(broker, { exitWithStdin }) {
  let isEnding = false;
  const end = async (cause) => {
    if (isEnding) return;
    isEnding = true;
    log("info", "ending", { cause });
    await broker.stop();
    process.exit(0);
  };
  for (const signal of ["SIGTERM", "SIGINT"]) process.on(signal, () => end(signal));
  if (!exitWithStdin) return;
  // Both come when the parent closes the pipe, or ends in whatever way.
  process.stdin.on("end", () => end("stdin_closed"));
  process.stdin.on("error", () => end("stdin_closed"));
  process.stdin.resume();
}

/** Say what is wrong, in one line, and end. */
function fail(error) {
  if (error instanceof StartupError) {
    const line = { event: "error", code: error.code, message: error.message };
    process.stderr.write(`${JSON.stringify(line)}\n`);
    process.exit(EXIT_WRONG);
  }
  crash(error);
}

/** Anything unforeseen ends the broker: it must not go on in a state that nobody has thought of. */
function crash(error) {
  log("error", "crashed", { message: error?.message, stack: error?.stack });
  process.exit(EXIT_CRASHED);
}

// A parent that was killed does not read any more; what the broker still has to do, it does.
for (const stream of [process.stdout, process.stderr]) stream.on("error", () => {});
process.on("uncaughtException", crash);
process.on("unhandledRejection", crash);
main().catch(fail);
