// Azurite in this process, ended when standard input ends. The parent holds the other end, so
// Azurite saves its data and ends also when the parent was killed, and on Windows too, where
// there is no polite signal.
"use strict";

const fs = require("node:fs");
const path = require("node:path");

const GRACE_MILLISECONDS = 5000;
const PREDECESSOR_MILLISECONDS = 10_000;
const LOOK_EVERY_MILLISECONDS = 20;

// Nobody may be left to read what Azurite says while it ends; an error of these streams that
// nobody handles would end it before its data is saved.
process.stdout.on("error", () => {});
process.stderr.on("error", () => {});

const location = process.argv.indexOf("--location");
// In memory there is no place that two could work in.
if (location > 0) waitForPredecessor(process.argv[location + 1]);

process.stdin.on("end", end);
process.stdin.on("error", end);
process.stdin.resume();

require("azurite/dist/src/azurite.js");

function end() {
  process.emit("SIGTERM");
  // An open request may keep the servers from closing: end anyway, once the data was written.
  setTimeout(() => process.exit(0), GRACE_MILLISECONDS).unref();
}

/** An Azurite whose parent was killed closes its ports first and saves its data after that. */
function waitForPredecessor(location) {
  const file = path.join(location, "azurite.pid");
  const until = Date.now() + PREDECESSOR_MILLISECONDS;
  while (isAlive(readPid(file))) {
    if (Date.now() > until) {
      process.stderr.write(`another Azurite (process ${readPid(file)}) works in ${location}\n`);
      process.exit(1);
    }
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, LOOK_EVERY_MILLISECONDS);
  }
  fs.writeFileSync(file, String(process.pid));
  process.on("exit", () => fs.rmSync(file, { force: true }));
}

function readPid(file) {
  return fs.existsSync(file) ? Number(fs.readFileSync(file, "utf8")) : 0;
}

function isAlive(pid) {
  if (!(pid > 0) || pid === process.pid) return false;
  try {
    process.kill(pid, 0);
    // On Linux a process that ended and was not reaped still answers.
    return !/^State:\tZ/m.test(fs.readFileSync(`/proc/${pid}/status`, "utf8"));
  } catch (error) {
    return error.code === "ENOENT" && process.platform !== "linux";
  }
}
