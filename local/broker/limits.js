"use strict";

/**
 * What one client can make the broker hold. The numbers are far above what Microsoft's SDKs need.
 */
module.exports = {
  /** Largest frame that is taken or sent, in bytes (AMQP 1.0, part 2.7.1, max-frame-size). */
  MAX_FRAME_BYTES: 65536,
  /** Highest channel number of a connection: one less than its sessions. */
  CHANNEL_MAX: 255,
  /** Highest link handle of a session: one less than its links. */
  HANDLE_MAX: 255,
  /** Connections at one time; further ones are closed at once. */
  MAX_CONNECTIONS: 1000,
  /** Deliveries that a session holds until they are settled. */
  SESSION_BUFFER: { incoming: 4096, outgoing: 16384 },
  /** Messages that a client may send before the broker has answered, per link. */
  LINK_CREDIT: 1000,
  /** Bytes of messages that have begun and not ended, per connection (or one largest message). */
  MAX_INCOMPLETE_BYTES: 8 * 1024 * 1024,
  /** Bytes waiting in a socket beyond which a connection is handed no further messages. */
  DELIVERY_HIGH_WATER: 4 * 1024 * 1024,
  /** Bytes waiting in a socket beyond which nothing more is read from it. */
  READ_HIGH_WATER: 16 * 1024 * 1024,
  /** How long a peer has to read why its connection was closed. */
  FAREWELL_MILLISECONDS: 200,
  /** Replies to management requests that wait for credit, per link. */
  MAX_WAITING_REPLIES: 1000,
  /** Messages and bytes in one reply to a peek or to a receive by sequence number. */
  MAX_REPLY_MESSAGES: 1000,
  MAX_REPLY_BYTES: 1024 * 1024,
};
