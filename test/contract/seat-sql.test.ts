// The statements that write seats, run as they are against the migrated schema.

import { randomUUID } from "node:crypto";
import { beforeEach, expect, test } from "vitest";
import { firstToken, heard, turned, type SeatToken } from "../../src/actor/seat-token.ts";
import { Seats } from "../../src/actor/seats.ts";
import type { Epoch, Incarnation, RoomId } from "../../src/ids.ts";
import { Directory, hashToken, type StoredSeat } from "../../src/ownership/directory.ts";
import { systemClock } from "../../src/runtime/clock.ts";
import { ownSchema } from "../kit/own-schema.ts";

const ROLES = ["gateway", "rooms"];

const { config, database, pool } = ownSchema("seats", 8);
const [A, B] = ["a", "b"].map(hashToken) as [string, string];

let roomId: RoomId;
let epoch: Epoch;
let seats: Seats;
let count = 0;

async function enter(): Promise<Incarnation> {
  const who = randomUUID() as Incarnation;
  await database.run("register-node", [who, `n${(count += 1)}`, "p", "127.0.0.1", 1, 1, 2, 3, 60_000, ROLES]);
  return who;
}

const writer = (self: Incarnation): Seats => new Seats({ database, self, clock: systemClock, config });

beforeEach(async () => {
  const owner = await enter();
  roomId = `room-${count}` as RoomId;
  epoch = (await new Directory(database, owner, { probe: 0 }).create(roomId, "probe", {})) as Epoch;
  seats = writer(owner);
});

const place = (sessionId = "s") => ({ roomId, epoch, sessionId });
const seatOf = (token: SeatToken, sessionId = "s") => ({
  ...place(sessionId),
  token,
  options: { o: 1 },
  auth: { id: "u" },
});

/** Seats as the next owner reads them. */
async function read(): Promise<readonly StoredSeat[]> {
  const rows = await database.run<{ seats: StoredSeat[] }>("read-rooms", [[roomId]]);
  return rows[0]?.seats ?? [];
}

test("[SEAT1] [SEAT3] a seat is read as it was saved, changed and given up", async () => {
  const first = firstToken(A, hashToken("login"));
  expect(await seats.save(seatOf(first))).toBe(true);
  const saved = { sessionId: "s", tokenHash: A, loginHash: hashToken("login") };
  expect(await read()).toMatchObject([{ ...saved, isHeard: false, tokenNo: 0, previousHash: null }]);
  const second = turned(heard(first), A, B);
  expect(await seats.changeToken(place(), second)).toBe(true);
  expect(await read()).toMatchObject([{ tokenHash: B, previousHash: A, isHeard: false, tokenNo: 2 }]);
  await seats.giveUp(place());
  expect(await read()).toEqual([]);
  expect(await seats.changeToken(place(), heard(second)), "there is no seat any more").toBe(false);
  expect(await read()).toEqual([]);
});

test("[SEAT3] a change that comes late undoes nothing that came since", async () => {
  const first = firstToken(A, undefined);
  await seats.save(seatOf(first));
  const second = turned(first, A, B);
  expect(await seats.changeToken(place(), heard(second))).toBe(true);
  expect(await seats.changeToken(place(), second)).toBe(false);
  expect(await read()).toMatchObject([{ tokenHash: B, previousHash: null, isHeard: true }]);
});

test("[OWN2] [SEAT3] a stale owner changes, saves and gives up nothing", async () => {
  const first = firstToken(A, undefined);
  await seats.save(seatOf(first));
  const before = await read();
  await pool.query("UPDATE room SET epoch = epoch + 1 WHERE room_id = $1", [roomId]);
  expect(await seats.changeToken(place(), turned(first, A, B))).toBe(false);
  expect(await seats.save(seatOf(firstToken(B, undefined), "other"))).toBe(false);
  await seats.giveUp(place());
  await seats.keep([seatOf(turned(first, A, B)), seatOf(first, "other")]);
  expect(await read()).toEqual(before);
  const stranger = writer(await enter());
  expect(await stranger.changeToken({ ...place(), epoch: (epoch + 1) as Epoch }, turned(first, A, B))).toBe(
    false,
  );
  expect(await read()).toEqual(before);
});

test("[SEAT3] what Postgres has lost of seats and their tokens is written again; what is newer there stays", async () => {
  const first = firstToken(A, undefined);
  const second = turned(first, A, B);
  await seats.save(seatOf(first, "behind"));
  await seats.save(seatOf(first, "ahead"));
  await seats.changeToken(place("ahead"), heard(second));
  await seats.keep([seatOf(second, "behind"), seatOf(first, "ahead"), seatOf(second, "lost")]);
  const byId = Object.fromEntries((await read()).map((seat) => [seat.sessionId, seat]));
  expect(byId).toMatchObject({
    behind: { tokenHash: B, previousHash: A, isHeard: false },
    ahead: { tokenHash: B, previousHash: null, isHeard: true },
    lost: { tokenHash: B, previousHash: A, isHeard: false },
  });
});
