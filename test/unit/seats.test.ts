// The writing of seats: in what order, how many in a statement, and what happens when Postgres does not answer.

import { expect, test } from "vitest";
import { firstToken, heard, turned } from "../../src/actor/seat-token.ts";
import { Seats } from "../../src/actor/seats.ts";
import type { Epoch, Incarnation, RoomId } from "../../src/ids.ts";
import type { Database } from "../../src/postgres/query.ts";
import { fakeClock } from "../kit/fake-clock.ts";

const roomId = "room" as RoomId;
const epoch = 1 as Epoch;
const place = (sessionId: string) => ({ roomId, epoch, sessionId });
const seat = (sessionId: string) => ({
  ...place(sessionId),
  token: firstToken("aa", undefined),
  options: undefined,
  auth: undefined,
});

interface Statement {
  readonly name: string;
  readonly sessions: readonly string[];
  answer(): void;
  fail(): void;
}

/** A database whose statements are answered by hand, each with all it was asked for. */
function scene() {
  const clock = fakeClock();
  const asked: Statement[] = [];
  const run = (name: string, values: readonly unknown[]): Promise<unknown[]> =>
    new Promise((resolve, reject) => {
      const [rooms, , sessions] = values as [string[], number[], string[]];
      asked.push({
        name,
        sessions,
        answer: () =>
          resolve(rooms.map((room_id, index) => ({ room_id, session_id: sessions[index] ?? "" }))),
        fail: () => reject(new Error("no answer")),
      });
    });
  const seats = new Seats({
    database: { run } as unknown as Database, // nothing else of it is used
    self: "self" as Incarnation,
    clock,
    config: { storeMs: 2_000 },
  });
  const next = async (): Promise<Statement> => {
    for (let turn = 0; turn < 1_000; turn++) {
      const statement = asked.shift();
      if (statement !== undefined) return statement;
      await new Promise(setImmediate);
    }
    throw new Error("nothing was asked");
  };
  const isQuiet = async (): Promise<boolean> => {
    for (let turn = 0; turn < 20; turn++) await new Promise(setImmediate);
    return asked.length === 0;
  };
  return { clock, seats, next, isQuiet };
}

test("[SEAT1] joins of one moment share one statement, and a seat is not durable before Postgres says so", async () => {
  const { seats, next } = scene();
  let isDurable = false;
  const saving = [seat("a"), seat("b"), seat("c")].map((each) => seats.save(each));
  void saving[0]?.then(() => (isDurable = true));
  const statement = await next();
  expect(statement).toMatchObject({ name: "save-seats", sessions: ["a", "b", "c"] });
  expect(isDurable).toBe(false);
  statement.answer();
  expect(await Promise.all(saving)).toEqual([true, true, true]);
});

test("[SEAT1] of a seat that is given up and taken again in one moment, what was asked for last stands", async () => {
  const { seats, next, isQuiet } = scene();
  const both = [seats.giveUp(place("a")), seats.save(seat("a"))] as const;
  const statement = await next();
  expect(statement.name).toBe("save-seats");
  statement.answer();
  expect(await both[1]).toBe(true);
  await both[0];
  expect(await isQuiet()).toBe(true);
});

test("[SEAT1] a seat that may have been written after all is given up again when that statement must be over", async () => {
  const { clock, seats, next, isQuiet } = scene();
  const saving = seats.save(seat("a"));
  (await next()).fail();
  await expect(saving).rejects.toMatchObject({ code: "POSTGRES_UNREACHABLE" });
  const leaving = seats.giveUp(place("a"));
  (await next()).answer();
  await leaving;
  clock.advance(3_900);
  expect(await isQuiet()).toBe(true);
  clock.advance(200);
  const again = await next();
  expect(again).toMatchObject({ name: "give-up-seats", sessions: ["a"] });
  again.answer();
  expect(await isQuiet()).toBe(true);
  clock.advance(600_000);
  expect(await isQuiet(), "once is enough").toBe(true);
});

test("[SEAT1] that does not touch a seat that was taken again meanwhile", async () => {
  const { clock, seats, next, isQuiet } = scene();
  const saving = seats.save(seat("a"));
  (await next()).fail();
  await expect(saving).rejects.toThrow();
  const again = seats.save(seat("a"));
  (await next()).answer();
  expect(await again).toBe(true);
  clock.advance(600_000);
  expect(await isQuiet()).toBe(true);
});

test("[SEAT1] a seat that could not be given up is tried until it is; whoever leaves does not wait for that", async () => {
  const { clock, seats, next, isQuiet } = scene();
  const leaving = seats.giveUp(place("a"));
  (await next()).fail();
  await leaving;
  for (let time = 0; time < 3; time++) {
    expect(await isQuiet()).toBe(true);
    clock.advance(1_000);
    const again = await next();
    if (time < 2) again.fail();
    else again.answer();
  }
  expect(await isQuiet()).toBe(true);
  clock.advance(600_000);
  expect(await isQuiet()).toBe(true);
});

test("[SEAT3] changes that nobody waits for are gathered, and the newest of a seat is what Postgres is told", async () => {
  const { clock, seats, next, isQuiet } = scene();
  const first = firstToken("aa", undefined);
  const second = turned(heard(first), "aa", "bb");
  seats.changeTokenSoon(place("a"), heard(first));
  seats.changeTokenSoon(place("b"), heard(first));
  seats.changeTokenSoon(place("a"), heard(second));
  expect(await isQuiet()).toBe(true);
  clock.advance(100);
  const statement = await next();
  expect(statement).toMatchObject({ name: "change-seat-tokens", sessions: ["a", "b"] });
  statement.answer();
  expect(await isQuiet()).toBe(true);
});
