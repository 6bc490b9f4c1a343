"use strict";

/**
 * Write one log line: a JSON object on standard error. Message bodies, properties and credentials
 * never go into it.
 *
 * @param {"info" | "warning" | "error"} level
 * @param {string} event stable snake_case name
 * @param {object} [fields] what else is to be known
 */
function log(level, event, fields = {}) {
  const line = { time: new Date().toISOString(), level, event, ...fields };
  process.stderr.write(`${JSON.stringify(line)}\n`);
}

module.exports = { log };
