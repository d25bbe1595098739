// Takes a room back to an earlier time, for operators:
//
//   npm run rollback -- ROOM_ID 2026-11-23T20:15:00Z     back to its newest checkpoint of that time, or before
//   npm run rollback -- --list ROOM_ID                   the times that it can be taken back to
//
// Reads DATABASE_URL and DATABASE_SCHEMA. Prints one line that says what came of it. Exit codes: 0 done; 1 refused, and
// nothing has changed; 2 the room could not be opened from there, and goes on as it was before; 64 the command cannot be
// read; 69 Postgres cannot be reached, or fails; 78 the settings are wrong.

import { RingsideError } from "../src/errors.ts";
import { isName, type RoomId } from "../src/ids.ts";
import { Database, readStatements } from "../src/postgres/query.ts";
import {
  readReopening,
  readRollbackTimes,
  rollbackRoom,
  type RolledBack,
} from "../src/recovery/rollback-room.ts";
import { systemClock } from "../src/runtime/clock.ts";
import { connect, EXIT, explain, fail } from "./operator.ts";

const USAGE =
  "usage: npm run rollback -- ROOM_ID 2026-11-23T20:15:00Z, or: npm run rollback -- --list ROOM_ID";
/** The zone must be said: the same words mean another moment on another machine. */
const TIME = /^\d{4}-\d\d-\d\dT\d\d:\d\d(:\d\d(\.\d{1,3})?)?(Z|[+-]\d\d:\d\d)$/;
/** A room is open some 50 ms after it was left to be claimed; one whose class is slow to open it may take ten seconds. */
const OPEN_MS = 15_000;
const LOOK_EVERY_MS = 50;

async function list(database: Database, roomId: RoomId): Promise<string> {
  const times = await readRollbackTimes({ database }, roomId);
  if (times.length === 0) fail(EXIT.refused, `room ${roomId} is unknown, has ended, or was never saved`);
  return times
    .map(({ seq, savedAt, bytes, unreadableReason }) => {
      const note = unreadableReason === null ? "" : `  cannot be read: ${unreadableReason}`;
      return `${new Date(savedAt).toISOString()}  checkpoint ${seq}  ${bytes} bytes${note}`;
    })
    .join("\n");
}

async function rollBack(database: Database, roomId: RoomId, time: string): Promise<string> {
  const done = await rollbackRoom({ database }, roomId, new Date(time));
  const { toSeq, toAt, lostMs, newestSeq } = done;
  const at = new Date(toAt).toISOString();
  const undone = `the ${(lostMs / 1_000).toFixed(1)} s after it are undone`;
  const kept = newestSeq === toSeq ? "" : ` (what was saved of them is kept, up to checkpoint ${newestSeq})`;
  return `room ${roomId} is back at its checkpoint ${toSeq} of ${at}, ${undone}${kept}, and ${await whereItRuns(database, done)}`;
}

/** Waits for a node to open it, so that nobody believes in what a room's class then refuses. */
async function whereItRuns(database: Database, done: RolledBack): Promise<string> {
  const endsMs = systemClock.monotonicMs() + OPEN_MS;
  for (;;) {
    const reopening = await readReopening({ database }, done);
    switch (reopening.state) {
      case "open":
        return `it runs on ${reopening.nodeId}`;
      case "ended":
        return "it has ended since";
      case "failed":
        return fail(
          EXIT.notOpened,
          `room ${done.roomId} could not be opened from its checkpoint ${done.toSeq} and goes on as it was before: ${reopening.why}`,
        );
      case "waiting":
        if (systemClock.monotonicMs() > endsMs)
          return "no node has opened it yet: it opens as soon as one can";
        await systemClock.sleep(LOOK_EVERY_MS);
    }
  }
}

const [first = "", second = "", ...more] = process.argv.slice(2);
const isList = first === "--list";
const [roomId, time] = isList ? [second, ""] : [first, second];
if (more.length > 0 || !isName(roomId)) fail(EXIT.usage, USAGE);
if (!isList && (!TIME.test(time) || Number.isNaN(Date.parse(time)))) {
  fail(EXIT.usage, `${time === "" ? "a time is missing" : `${time} is not a time with its zone`}; ${USAGE}`);
}
const client = connect("rollback");
try {
  await client.connect();
  const database = new Database(client, readStatements());
  const id = roomId as RoomId; // isName saw to it
  process.stdout.write(`${isList ? await list(database, id) : await rollBack(database, id, time)}\n`);
} catch (error) {
  if (error instanceof RingsideError) {
    const { why } = error.facts;
    fail(EXIT.refused, typeof why === "string" ? why : error.message);
  }
  fail(EXIT.unreachable, explain(error));
} finally {
  await client.end().catch(() => {}); // it may be broken already
}
