// Settings of ownership and recovery. The rows are read and checked by config.ts.

import type { NumberRow } from "./rows.ts";

export const OWNERSHIP_NUMBERS = {
  leaseMs: {
    env: "LEASE_MS",
    fallback: 3_000,
    min: 1_000,
    max: 60_000,
    why: "how long a silent node keeps its rooms",
  },
  leaseRenewMs: {
    env: "LEASE_RENEW_MS",
    fallback: 500,
    min: 50,
    max: 10_000,
    why: "how often a node renews its lease",
  },
  leaseMarginMs: {
    env: "LEASE_MARGIN_MS",
    fallback: 250,
    min: 20,
    max: 10_000,
    why: "how much earlier than Postgres a node believes its lease is over; covers clock drift",
  },
  failsafeMs: {
    env: "FAILSAFE_MS",
    fallback: 90_000,
    min: 0,
    max: 3_600_000,
    why: "how long play goes on, unsaved, while no node reaches Postgres; also how long a new node waits before it takes the rooms of a silent one that has never heard of it. 0: rooms stand still as soon as the lease is over. The same on all nodes: where it is made shorter, stop them all first",
  },
  probeMs: {
    env: "PROBE_MS",
    fallback: 300,
    min: 10,
    max: 10_000,
    why: "how long a broken peer's port may take to refuse before its silence is left to the lease",
  },
  restoresAtOnceMax: {
    env: "RESTORES_AT_ONCE_MAX",
    fallback: 8,
    min: 1,
    max: 1_000,
    why: "how many rooms are restored at the same time on one node; half as many more if somebody waits for them, and those that take longer than half a second do not count",
  },
  openMs: {
    env: "OPEN_MS",
    fallback: 10_000,
    min: 100,
    max: 600_000,
    why: "how long a room's onCreate may take when the room is restored",
  },
  seatHoldMs: {
    env: "SEAT_HOLD_MS",
    fallback: 60_000,
    min: 1_000,
    max: 3_600_000,
    why: "how long a seat waits for its player, after a restore and after a broken connection, where the room's onDrop does not say; and at most how long a restored room waits before its onDrop is called for who is not back (10 s); the SDK tries for 56 s",
  },
} as const satisfies Record<string, NumberRow>;
