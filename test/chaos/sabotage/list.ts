// Ways to break the product on purpose: texts of its files that are replaced while a node loads them (load.ts). Each must be
// found by a chaos run within a few seeds, or the run is not worth its time.

import type { FaultName } from "../plan.ts";

export interface Edit {
  /** From the project's root. */
  readonly file: string;
  readonly find: string;
  readonly replace: string;
}

export interface Sabotage {
  readonly name: string;
  readonly what: string;
  readonly edits: readonly Edit[];
  /** The rule that must find it: others may as well. */
  readonly by: string;
  /** The faults under which it can show; all if not given. */
  readonly faults?: readonly FaultName[];
  /** How many times slower than usual they are: what needs a stale owner needs one that stays so for a while. */
  readonly stretch?: number;
}

/** A node that is not told to stop believes that it may go on for ever. */
const LEASE_NEVER_ENDS: Edit = {
  file: "src/ownership/lease.ts",
  find: "return !this.#revoked && this.#clock.monotonicMs() < this.#deadlineMs;",
  replace: "return !this.#revoked;",
};

export const SABOTAGES: readonly Sabotage[] = [
  {
    name: "endless-lease",
    what: "a node whose lease is over goes on speaking for its rooms",
    by: "one-voice",
    edits: [LEASE_NEVER_ENDS],
    faults: ["freeze", "cut-postgres", "isolate", "storm"],
  },
  {
    name: "open-gate",
    what: "a gateway lets through whatever epoch comes, from an owner that goes on, on a link that nothing ends",
    by: "one-gate",
    edits: [
      LEASE_NEVER_ENDS,
      {
        file: "src/gateway/owner-links.ts",
        find: 'if (memberOf(view, incarnation) === undefined) link.close("the owner does not count any more");',
        replace: "",
      },
      {
        file: "src/gateway/link-end.ts",
        find: "if (this.#silentLooks >= LOOKS) {",
        replace: "if (this.#silentLooks >= 1e9) {",
      },
      {
        file: "src/gateway/epoch-gate.ts",
        find: "if (newest !== undefined && epoch < newest) return false;",
        replace: "",
      },
      {
        file: "src/gateway/owner-link.ts",
        find: "if (frame.epoch < (this.#parts.gate.newest(frame.roomId) ?? 0)) return;",
        replace: "",
      },
    ],
    faults: ["isolate"],
    stretch: 3,
  },
  {
    name: "unfenced-saves",
    what: "a stale owner, which goes on, can save its rooms too",
    by: "one-writer",
    edits: [
      LEASE_NEVER_ENDS,
      {
        file: "src/postgres/queries/save-checkpoints.sql",
        find: "AND owner = $10::uuid AND disposed_at IS NULL",
        replace: "AND $10::uuid IS NOT NULL AND disposed_at IS NULL",
      },
      {
        file: "src/postgres/queries/save-checkpoints.sql",
        find: "ON o.room_id = i.room_id AND o.epoch = i.epoch\n   WHERE i.base_seq",
        replace: "ON o.room_id = i.room_id\n   WHERE i.base_seq",
      },
      {
        // The numbers of checkpoints, which are unique, would stand in its way by chance.
        file: "src/postgres/queries/save-checkpoints.sql",
        find: "RETURNING room_id, epoch, seq",
        replace:
          "ON CONFLICT (room_id, seq) DO UPDATE SET epoch = excluded.epoch, snapshot = excluded.snapshot RETURNING room_id, epoch, seq",
      },
    ],
    faults: ["freeze", "cut-postgres", "isolate"],
  },
  {
    name: "same-epoch",
    what: "a claim does not raise the epoch",
    by: "one-writer",
    edits: [
      {
        file: "src/postgres/queries/claim-rooms.sql",
        find: "epoch = next_epoch(r.epoch)",
        replace: "epoch = r.epoch",
      },
    ],
  },
  {
    name: "older-checkpoint",
    what: "a room is opened from the checkpoint before the newest",
    by: "not-older",
    edits: [
      {
        file: "src/postgres/queries/read-rooms.sql",
        find: "ORDER BY seq DESC LIMIT 1",
        replace: "ORDER BY seq DESC OFFSET 1 LIMIT 1",
      },
    ],
  },
  {
    name: "early-answer",
    what: "a commit is acknowledged before Postgres has it",
    by: "commits-stand",
    edits: [
      {
        file: "src/commit/committer.ts",
        find: 'turn.phase = "sent";',
        replace: 'turn.phase = "sent"; told.resolve(result);',
      },
    ],
    faults: ["kill", "kill-next", "postgres-slow", "postgres-hang", "drop-reply"],
  },
  {
    name: "guessed-outcome",
    what: "a COMMIT whose answer was lost is taken for undone",
    by: "rows-agree",
    edits: [
      {
        file: "src/commit/committer.ts",
        find: 'if (found) return { kind: "committed" };',
        replace: 'if (found && roomId === "") return { kind: "committed" };',
      },
    ],
    faults: ["drop-reply", "kill", "postgres-slow"],
  },
  {
    name: "forgotten-answers",
    what: "a room that is opened again does not know which commands it has carried out",
    by: "rows-agree",
    edits: [
      {
        file: "src/commit/answers.ts",
        find: "for (const answer of saved ?? []) answersOf(room).put(answer);",
        replace: "void saved; void room;",
      },
    ],
    faults: ["kill", "kill-next", "postgres-slow", "drop-reply"],
  },
  {
    name: "forgotten-seats",
    what: "a room that is opened again knows nobody's seat",
    by: "seats",
    edits: [
      {
        file: "src/postgres/queries/read-rooms.sql",
        find: "FROM seat s WHERE s.room_id = r.room_id)",
        replace: "FROM seat s WHERE s.room_id = r.room_id AND false)",
      },
    ],
  },
  {
    name: "nobody-takes-over",
    what: "rooms of a dead node are left alone",
    by: "owned-again",
    edits: [
      {
        file: "src/recovery/recovery.ts",
        find: "for (const claim of claims) this.#begin(claim);",
        replace: "",
      },
    ],
    faults: ["kill", "freeze"],
  },
  {
    name: "kept-seats",
    what: "the seats of those who have left are never given up",
    by: "levels",
    edits: [
      {
        file: "src/postgres/queries/give-up-seats.sql",
        find: "WHERE s.room_id = i.room_id AND s.session_id = i.session_id",
        replace: "WHERE s.room_id = i.room_id AND s.session_id = i.session_id AND false",
      },
    ],
  },
];

/** The module that a node loads first. */
export function sabotageUrl(name: string): URL {
  const url = new URL("load.ts", import.meta.url);
  url.searchParams.set("name", name);
  return url;
}
