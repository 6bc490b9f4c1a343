"use strict";

const rhea = require("rhea");
const { amqpError, refusals } = require("./errors");
const { HANDLE_MAX, LINK_CREDIT } = require("./limits");
const links = require("./links");
const { log } = require("./log");
const { messagesIn } = require("./message");
const { Receiver } = require("./receiver");
const { ReplyLink, answerRequest } = require("./requests");
const { endConnection } = require("./rhea-patches");
const { Answers, Settlement, answers, asRefusal } = require("./settlement");

/** @typedef {import("./namespace").Namespace} Namespace */
/** @typedef {import("./dispatcher").Dispatcher} Dispatcher */
/** @typedef {import("./queue").Queue} Queue */

/**
 * What the broker makes of links: which address leads where, and what comes in over them.
 *
 * `link.endpoint` tells what a link is: of a client's sender `{ queue }` or a request node, of a
 * client's receiver a Receiver or a ReplyLink; undefined when it was refused.
 */
class Endpoints {
  #namespace;
  #dispatchers;
  #faults;
  #answers;
  #settlement;
  #links = /** @type {WeakMap<object, Set<object>>} */ (new WeakMap());

  /**
   * @param {object} parts
   * @param {Namespace} parts.namespace
   * @param {Map<Queue, Dispatcher>} parts.dispatchers
   * @param {import("./store").Store} parts.store
   * @param {import("./faults").Faults} parts.faults
   */
  constructor({ namespace, dispatchers, store, faults }) {
    this.#namespace = namespace;
    this.#dispatchers = dispatchers;
    this.#faults = faults;
    this.#answers = new Answers(store, faults);
    this.#settlement = new Settlement(this.#answers);
  }

  /** @returns {object} a rhea container that serves connections this way */
  container() {
    const container = rhea.create_container({
      id: "development-service-bus",
      receiver_options: { credit_window: LINK_CREDIT, autoaccept: false },
      // Settling is the queue's business, and abandoning is not releasing.
      sender_options: { treat_modified_as_released: false },
    });
    for (const mechanism of ["MSSBCBS", "ANONYMOUS", "EXTERNAL", "PLAIN"]) {
      container.sasl_server_mechanisms[mechanism] = acceptAnyone;
    }
    for (const [event, handle] of Object.entries(this.#handlers())) {
      container.on(event, guarded(handle));
    }
    for (const event of ["error", "protocol_error"]) {
      container.on(event, (error) =>
        log("warning", "connection_broken", { reason: error.message }),
      );
    }
    return container;
  }

  #handlers() {
    return {
      session_open: ({ session }) => {
        session.local.begin.handle_max = HANDLE_MAX;
      },
      receiver_open: ({ receiver }) => this.#openForSender(receiver),
      sender_open: ({ sender }) => this.#openForReceiver(sender),
      sender_flow: ({ sender }) => this.#wake(sender),
      sendable: ({ sender }) => this.#wake(sender),
      message: (context) => this.#take(context),
      accepted: ({ delivery }) => this.#settlement.accepted(delivery),
      released: ({ delivery }) => this.#settlement.released(delivery),
      modified: ({ delivery }) => this.#settlement.modified(delivery),
      rejected: ({ delivery }) => this.#settlement.rejected(delivery),
      receiver_close: ({ receiver }) => this.#forget(receiver),
      sender_close: ({ sender }) => this.#forget(sender),
      session_close: ({ connection, session }) => {
        this.#forgetAll(connection, (link) => link.session === session);
      },
      connection_close: ({ connection }) => this.#forgetAll(connection, () => true),
      disconnected: ({ connection }) => this.#forgetAll(connection, () => true),
    };
  }

  /** Deliver to the receivers of a connection that reads again. */
  wakeAll(connection) {
    for (const link of this.#links.get(connection) ?? []) {
      if (link.is_sender()) this.#wake(link);
    }
  }

  /** Note down what a link is. Links are kept here as well: rhea forgets held ones too early. */
  #remember(link, endpoint) {
    link.endpoint = endpoint;
    if (!this.#links.has(link.connection)) this.#links.set(link.connection, new Set());
    this.#links.get(link.connection).add(link);
  }

  #forgetAll(connection, isMeant) {
    for (const link of this.#links.get(connection) ?? []) {
      if (isMeant(link)) this.#forget(link);
    }
  }

  #openForSender(link) {
    const node = this.#resolve(link.target?.address);
    if (node === null) {
      links.refuseLink(link, refusals.notFound(link.target?.address));
      return;
    }
    const limit = node.queue?.settings.maxMessageBytes ?? 0;
    // The JavaScript SDK sends up to max-message-size; the Python SDK also reads this property.
    const property = { "com.microsoft:max-message-batch-size": limit };
    if (node.kind === "entity") links.answerAttach(link, limit, property);
    else links.answerAttach(link, Math.max(limit, 1024 * 1024));
    this.#remember(link, node);
  }

  #openForReceiver(link) {
    const node = this.#resolve(link.source?.address);
    if (node === null) {
      links.refuseLink(link, refusals.notFound(link.source?.address));
      return;
    }
    links.answerAttach(link, node.queue?.settings.maxMessageBytes ?? 1024 * 1024);
    if (node.kind === "entity") this.#openReceiver(new Receiver(link, node.queue));
    else this.#remember(link, new ReplyLink(link, node));
  }

  #openReceiver(receiver) {
    const { link, queue, wish } = receiver;
    const { sessions } = queue;
    const wantsSession = wish.kind !== "messages";
    if (wantsSession !== (sessions !== null)) {
      const refusal = sessions ? refusals.sessionsRequired() : refusals.sessionsUnknown();
      links.refuseLink(link, refusal);
      return;
    }
    const id = wish.kind === "any_session" ? queue.nextSession() : wish.id;
    if (wish.kind === "session" && !sessions.isFree(id)) {
      links.refuseLink(link, refusals.sessionLocked(id));
      return;
    }
    this.#remember(link, receiver);
    const dispatcher = this.#dispatchers.get(queue);
    if (id === null) {
      links.holdAttach(link);
      dispatcher.awaitSession(receiver, wish.milliseconds);
      return;
    }
    if (wantsSession) receiver.acceptSession(id);
    dispatcher.add(receiver);
  }

  /**
   * What is at an address: a path, or a URL with the path behind the host.
   * @returns {{ kind: "cbs" | "management" | "entity", queue: Queue | null } | null}
   */
  #resolve(address) {
    const text = typeof address === "string" ? address : "";
    const path = text.replace(/^[a-z]+:\/\/[^/]*\//i, "").replace(/\/+$/, "");
    if (path.toLowerCase() === "$cbs") return { kind: "cbs", queue: null };
    const entity = path.replace(/\/\$management$/i, "");
    const queue = this.#namespace.find(entity);
    if (queue === undefined) return null;
    return { kind: entity === path ? "entity" : "management", queue };
  }

  #wake(link) {
    const { endpoint } = link;
    if (endpoint instanceof ReplyLink) {
      endpoint.flush();
      links.answerDrain(link);
    } else if (endpoint) this.#dispatchers.get(endpoint.queue).wake();
  }

  #take({ message: bytes, delivery, receiver: link, format = 0 }) {
    const { endpoint } = link;
    if (!endpoint || !link.state.local_open) {
      delivery.settled = true;
      return;
    }
    const queueName = endpoint.queue?.name;
    let state;
    try {
      const limit = link.local.attach.max_message_size;
      if (link.message_bytes > limit) throw refusals.messageTooLarge(link.message_bytes, limit);
      if (endpoint.kind !== "entity") {
        this.#request(link, bytes);
        state = answers.accepted();
      } else if (this.#store(link, endpoint.queue, bytes, format)) state = answers.accepted();
      else return;
    } catch (error) {
      state = answers.rejected(amqpError(asRefusal(error)));
    }
    this.#answers.settle(delivery, state, queueName);
  }

  /** @returns {boolean} whether the sender is to be answered */
  #store(link, queue, bytes, format) {
    if (this.#faults.take("reject_sends", queue.name)) throw refusals.serverBusy();
    queue.enqueue(messagesIn(bytes, format));
    if (this.#faults.take("lose_accepts", queue.name) === null) return true;
    this.#answers.afterCommit(() => {
      link.close(amqpError(refusals.forced("The link was dropped on a test's request.")));
    });
    return false;
  }

  #request(link, bytes) {
    const { replyTo, reply } = answerRequest(link.endpoint, bytes);
    const target = replyLink(link, replyTo);
    if (target) this.#answers.afterCommit(() => target.send(reply));
  }

  #forget(link) {
    const { endpoint } = link;
    link.endpoint = undefined;
    this.#links.get(link.connection)?.delete(link);
    if (!(endpoint instanceof Receiver)) return;
    const isHeld = this.#dispatchers.get(endpoint.queue).remove(endpoint);
    // A held receiver that gives up is answered, so that its detach can be.
    if (isHeld && link.connection.is_open()) {
      link.local.attach.source = undefined;
      link.open();
    }
  }
}

/** The link on which replies to requests from `link` are sent, by the address to reply to. */
function replyLink(link, replyTo) {
  const { kind, queue } = link.endpoint;
  let found = null;
  link.connection.each_sender((each) => {
    const { endpoint } = each;
    if (!(endpoint instanceof ReplyLink)) return;
    if (endpoint.node.kind !== kind || endpoint.node.queue !== queue) return;
    const isNamed = each.target?.address === replyTo;
    const isNear = each.session === link.session;
    const rank = (isNamed ? 2 : 0) + (isNear ? 1 : 0);
    if (found === null || rank > found.rank) found = { rank, endpoint };
  });
  return found?.endpoint;
}

/** What goes wrong in a handler ends the connection that it worked for, not the broker. */
function guarded(handle) {
  return (context) => {
    try {
      handle(context);
    } catch (error) {
      log("error", "handler_failed", { message: error.message, stack: error.stack });
      endConnection(context.connection, Object.assign(error, { condition: "amqp:internal-error" }));
    }
  };
}

/** A SASL mechanism that lets everyone in: the broker is for development, on loopback. */
function acceptAnyone() {
  return {
    outcome: undefined,
    username: "anyone",
    start() {
      this.outcome = true;
    },
  };
}

module.exports = { Endpoints };
