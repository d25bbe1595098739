// When the event log writes what has happened, and what becomes of it while Postgres is away.

import { expect, test } from "vitest";
import { EventLog } from "../../src/audit/event-log.ts";
import { EventBus } from "../../src/events.ts";
import type { NodeId } from "../../src/ids.ts";
import type { Database } from "../../src/postgres/query.ts";
import { fakeClock } from "../kit/fake-clock.ts";

const turns = (): Promise<void> => new Promise(setImmediate);

function setUp() {
  const clock = fakeClock();
  const events = new EventBus();
  const postgres = { isAway: false, writes: [] as string[][] };
  const errors: string[] = [];
  const database = {
    run: (_name: string, [, , , , facts]: [unknown, unknown, unknown, unknown, string[]]) => {
      postgres.writes.push(facts.map((text) => String((JSON.parse(text) as { awayMs: number }).awayMs)));
      return postgres.isAway ? Promise.reject(new Error("away")) : Promise.resolve([]);
    },
  } as unknown as Database; // run is all of it that is called
  const log = new EventLog(database, clock, events, "node-a" as NodeId, (error) => errors.push(error));
  const happens = (awayMs: number): void => events.emit("redis:regained", { awayMs });
  return { clock, postgres, errors, log, happens };
}

test("what happens at about the same time is written at once, and what happens later after it", async () => {
  const { clock, postgres, errors, log, happens } = setUp();
  clock.advance(1_000);
  happens(1);
  clock.advance(50);
  happens(2);
  expect(postgres.writes).toEqual([]);
  clock.advance(50);
  happens(3); // the write is under way
  await turns();
  clock.advance(100);
  await turns();
  clock.advance(60_000);
  expect(postgres.writes).toEqual([["1", "2"], ["3"]]);
  expect(errors).toEqual([]);
  await log.stop();
});

test("what Postgres did not take is written again, in order, until it does", async () => {
  const { clock, postgres, errors, log, happens } = setUp();
  postgres.isAway = true;
  happens(1);
  clock.advance(100);
  happens(2);
  await turns();
  clock.advance(100);
  await turns();
  postgres.isAway = false;
  clock.advance(100);
  await turns();
  expect(postgres.writes).toEqual([["1"], ["1", "2"], ["1", "2"]]);
  expect(errors).toEqual(["away", "away"]);
  await log.stop();
});

test("who stops writes what waits, and nothing after it", async () => {
  const { clock, postgres, log, happens } = setUp();
  happens(1);
  await log.stop();
  happens(2);
  clock.advance(1_000);
  await log.stop();
  expect(postgres.writes).toEqual([["1"]]);
});
