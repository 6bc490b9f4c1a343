"use strict";

const { amqpError, refusals } = require("./errors");
const links = require("./links");
const { newToken } = require("./message");

/** Name of the filter with which a receiver asks for a session. */
const SESSION_FILTER = "com.microsoft:session-filter";
const LOCKED_UNTIL = "com.microsoft:locked-until-utc";
const TIMEOUT = "com.microsoft:timeout";
const DEFAULT_TIMEOUT = 60_000;

/** A client that receives from a queue: one link, and the session that it holds if it does. */
class Receiver {
  /** @type {string | null} */
  sessionId = null;

  /**
   * @param {object} link
   * @param {import("./queue").Queue} queue
   */
  constructor(link, queue) {
    this.link = link;
    this.queue = queue;
  }

  /**
   * What the client asked for in its attach.
   * @returns {{ kind: "messages" } | { kind: "any_session", milliseconds: number }
   *   | { kind: "session", id: string }}
   */
  get wish() {
    const filter = this.link.source?.filter;
    if (!filter || !Object.hasOwn(filter, SESSION_FILTER)) return { kind: "messages" };
    // Some clients describe the filter's value, some send it bare.
    const id = filter[SESSION_FILTER]?.value ?? filter[SESSION_FILTER];
    if (typeof id === "string") return { kind: "session", id };
    const milliseconds = Number(this.link.properties?.[TIMEOUT] ?? DEFAULT_TIMEOUT);
    return { kind: "any_session", milliseconds };
  }

  /** Lock a free session, and say so in the answer to the attach. */
  acceptSession(id) {
    this.sessionId = id;
    const until = this.queue.sessions.hold(id, this);
    const address = this.link.source?.address;
    this.link.set_source({ address, filter: { [SESSION_FILTER]: id } });
    this.link.local.attach.properties = { [LOCKED_UNTIL]: links.ticks(until) };
  }

  /** Tell the client that its session's lock has expired. */
  loseSession() {
    this.link.close(amqpError(refusals.sessionLockLost()));
  }

  /** Whether the link's session can take one more delivery. */
  hasRoom() {
    return links.hasRoom(this.link.session, (delivery) => !isLocked(delivery.lock));
  }

  /** Send a message; there must be credit and room. @param {import("./message").Message} message */
  deliver(message) {
    if (links.isPresettled(this.link)) {
      this.queue.consume(message);
      this.link.send(message.render(false), links.tagOf(newToken()), 0);
      return;
    }
    this.queue.lock(message);
    const { lockToken: token } = message;
    const delivery = this.link.send(message.render(true), links.tagOf(token), 0);
    delivery.lock = { queue: this.queue, token, message };
  }
}

function isLocked(lock) {
  return (
    lock !== undefined && lock.message.lockToken === lock.token && lock.message.state === "locked"
  );
}

module.exports = { Receiver };
