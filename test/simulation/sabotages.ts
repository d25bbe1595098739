// Broken builds: each has one part replaced by one that breaks a rule. If the simulator is worth anything it finds each of
// them within a few seeds (sabotage.test.ts).

import type { step } from "../../src/membership/standing.ts";
import { Lease } from "../../src/ownership/lease.ts";
import {
  anyPromise,
  countFromQuestion,
  forgetPromises,
  judgeAtOnce,
  markUnlapsed,
  markWithoutWaiting,
  strangersAtOnce,
} from "./broken-decisions.ts";
import type { InvariantId } from "./invariants.ts";
import { LeaseFromAnswer, LeaseOfSome, LeaseWithoutEnd, TimerLease } from "./broken-leases.ts";
import { saveWhoeverAsks } from "./postgres/checkpoint-statements.ts";
import { claimRooms } from "./postgres/room-statements.ts";
import type { Statement } from "./postgres/statement.ts";
import type { PostgresSabotage } from "./postgres/sim-postgres.ts";
import type { Sabotage } from "./surroundings.ts";

type Decide = typeof step;

export const NO_SABOTAGE: Sabotage = {
  name: "none",
  breaks: [],
  postgres: {},
  lease: (clock, leaseMs, marginMs) => new Lease(clock, leaseMs, marginMs),
};

export const SABOTAGES: readonly Sabotage[] = [
  postgres("checkpoints are saved without asking for the epoch", ["S1"], {
    statements: { "save-checkpoints": saveWhoeverAsks },
  }),
  postgres("a claim sets the epoch back", ["S2"], { statements: { "claim-rooms": claimFromOne } }),
  postgres("a claim does not look who owns a room", ["S5", "S10"], {
    statements: { "claim-rooms": claimWhoeverOwns, "unowned-rooms": allRooms },
  }),
  postgres("Postgres answers before what it was given is on disk", ["S5", "S6", "S7"], {
    answersBeforeCommit: true,
  }),
  // Its caller then takes the commit for one that never happened.
  postgres("a commit's lost answer is guessed", ["S8"], {
    statements: { "find-checkpoint": () => Promise.resolve([]) },
  }),
  lease("a timer ends the lease", ["S3", "S9"], TimerLease),
  lease("the lease counts from the answer", ["S3", "S9"], LeaseFromAnswer),
  lease("promises extend the lease past FAILSAFE_MS", ["S3", "S9"], LeaseWithoutEnd),
  lease("promises hold against one who has promised nothing", ["S3", "S9"], LeaseOfSome),
  decide("a node is called silent without waiting for its lease", ["S9", "S11"], markWithoutWaiting, {
    statements: { "mark-down": markUnlapsed },
  }),
  decide("whoever hears from Postgres again judges at once", ["S9", "S11", "S12"], judgeAtOnce),
  decide("one peer's promise is enough", ["S3", "S9"], anyPromise),
  decide("a promise is forgotten", ["S9"], forgetPromises),
  decide("a new node does not wait for those who have never heard of it", ["S9"], strangersAtOnce),
  // These two were the product's own, once.
  decide("the time to renew counts from a question before a freeze", ["S12"], countFromQuestion),
  {
    ...NO_SABOTAGE,
    name: "a link counts for whoever has the port now",
    breaks: ["S9"],
    areLinksCareless: true,
  },
  {
    ...NO_SABOTAGE,
    name: "gateways let everything through",
    breaks: ["S4"],
    gate: () => ({ admits: () => true }),
  },
];

function postgres(name: string, breaks: readonly InvariantId[], broken: PostgresSabotage): Sabotage {
  return { ...NO_SABOTAGE, name, breaks, postgres: broken };
}

function lease(name: string, breaks: readonly InvariantId[], Broken: typeof Lease): Sabotage {
  return {
    ...NO_SABOTAGE,
    name,
    breaks,
    lease: (clock, leaseMs, marginMs) => new Broken(clock, leaseMs, marginMs),
  };
}

function decide(
  name: string,
  breaks: readonly InvariantId[],
  broken: Decide,
  inPostgres: PostgresSabotage = {},
): Sabotage {
  return { ...NO_SABOTAGE, name, breaks, decide: broken, postgres: inPostgres };
}

function claimFromOne(...[context, values]: Parameters<Statement>): ReturnType<Statement> {
  return claimRooms(context, values).then((rows) => {
    for (const row of rows) {
      const room = context.tx.tables.rooms.get(String(row["room_id"]));
      if (room !== undefined) context.tx.putRoom({ ...room, epoch: 1 });
    }
    return rows.map((row) => ({ ...row, epoch: 1 }));
  });
}

function allRooms({ seen }: Parameters<Statement>[0]): ReturnType<Statement> {
  return Promise.resolve([...seen.rooms.keys()].map((roomId) => ({ room_id: roomId })));
}

/** To it the room is as it finds it, and nobody but the claimant counts. */
async function claimWhoeverOwns(...[context, values]: Parameters<Statement>): ReturnType<Statement> {
  const { seen, tx } = context;
  for (const roomId of (values[0] as string[]).toSorted()) await tx.lock("room", roomId);
  const me = seen.nodes.get(String(values[1]));
  const nodes = new Map(me === undefined ? [] : [[me.incarnation, me]]);
  return claimRooms({ ...context, seen: { ...seen, nodes, rooms: tx.tables.rooms } }, values);
}
