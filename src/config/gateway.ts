// Settings of players' connections and the links between nodes. The rows are read and checked by config.ts.

import type { NumberRow } from "./rows.ts";

export const GATEWAY_NUMBERS = {
  upgradeHoldMs: {
    env: "UPGRADE_HOLD_MS",
    fallback: 10_000,
    min: 100,
    max: 60_000,
    why: "how long a connection waits for its room to be ready, at its beginning or while the room moves, before the client is told to try again",
  },
  upgradesHeldMax: {
    env: "UPGRADES_HELD_MAX",
    fallback: 10_000,
    min: 1,
    max: 1_000_000,
    why: "how many connections may wait for their room; more are told to try again",
  },
  admissionsAtOnce: {
    env: "ADMISSIONS_AT_ONCE",
    fallback: 200,
    min: 0,
    max: 100_000,
    why: "how many players a node leads to their rooms at the same time; more wait up to UPGRADE_HOLD_MS, up to UPGRADES_HELD_MAX of them, returning players first. 0: any number",
  },
  heldMessageBytesMax: {
    env: "HELD_MESSAGE_BYTES_MAX",
    fallback: 64 * 1024,
    min: 0,
    max: 16 * 1024 * 1024,
    why: "how many bytes a player may send to a room that is frozen; more closes the connection so that the SDK retries. From one who is between two owners no more than that is read",
  },
  playerBytesMax: {
    env: "PLAYER_BYTES_MAX",
    fallback: 1024 * 1024,
    min: 65_536,
    max: 1024 * 1024 * 1024,
    why: "how many bytes may wait for a player who reads slowly, beside one full state; more closes the connection so that the SDK retries",
  },
  playerBehindMs: {
    env: "PLAYER_BEHIND_MS",
    fallback: 5_000,
    min: 100,
    max: 60_000,
    why: "how long a player, or a gateway, may be behind with what it is sent before it is cut off, to come back for the full state",
  },
  messagesPerSecondMax: {
    env: "MESSAGES_PER_SECOND_MAX",
    fallback: 250,
    min: 1,
    max: 1_000_000,
    why: "how many messages, pings and pongs a player may send in a second, four times as many at once; more closes the connection with 4429. A room's own finite `maxMessagesPerSecond` wins",
  },
  messageBytesMax: {
    env: "MESSAGE_BYTES_MAX",
    fallback: 4 * 1024,
    min: 128,
    max: 16 * 1024 * 1024,
    why: "how many bytes a player's message may have; more closes the connection with 1009",
  },
  joinAckMs: {
    env: "JOIN_ACK_MS",
    fallback: 5_000,
    min: 100,
    max: 60_000,
    why: "how long a player may take to acknowledge that they have joined, which the SDK does at once; then the seat is given up and the connection closed with 4408",
  },
  linkBehindBytes: {
    env: "LINK_BEHIND_BYTES",
    fallback: 4 * 1024 * 1024,
    min: 65_536,
    max: 1024 * 1024 * 1024,
    why: "how many bytes may wait for a gateway before it gets no patches, and full states when it has caught up",
  },
  linkBytesMax: {
    env: "LINK_BYTES_MAX",
    fallback: 64 * 1024 * 1024,
    min: 1024 * 1024,
    max: 4 * 1024 * 1024 * 1024,
    why: "how many bytes may wait for a gateway before its link is cut",
  },
  linkCallMs: {
    env: "LINK_CALL_MS",
    fallback: 2_000,
    min: 50,
    max: 60_000,
    why: "how long a node may take to accept another's link",
  },
} as const satisfies Record<string, NumberRow>;
