// What a node writes again when a standby has taken Postgres's place.

import { expect, test } from "vitest";
import type { Activation } from "../../src/actor/activation.ts";
import type { NewSeat } from "../../src/actor/seats.ts";
import { EventBus } from "../../src/events.ts";
import type { Epoch, RoomId } from "../../src/ids.ts";
import type { Database } from "../../src/postgres/query.ts";
import { Promotions } from "../../src/recovery/promotions.ts";
import { fakeClock } from "../kit/fake-clock.ts";

class FakeRoom {
  readonly roomId: RoomId;
  base: unknown = { seq: 1 };
  nextDueMs = 1_000_000;
  changed = 0;

  constructor(roomId: string) {
    this.roomId = roomId as RoomId;
  }

  markChanged(): void {
    this.changed += 1;
  }
}

function setUp(...rooms: FakeRoom[]) {
  const postgres = { firstEpoch: 1, isAway: false, losesSeats: 0 };
  const kept: string[][] = [];
  const told: unknown[] = [];
  const events = new EventBus();
  events.listen((name, facts) => told.push({ name, ...facts }));
  const promotions = new Promotions({
    clock: fakeClock(),
    events,
    database: {
      run: () =>
        postgres.isAway
          ? Promise.reject(new Error("it is away"))
          : Promise.resolve([{ first_epoch: postgres.firstEpoch }]),
    } as unknown as Database, // run is all of it that is called
    host: {
      activations: new Map(rooms.map((room) => [room.roomId, room as unknown as Activation])),
      seatsOf: ({ roomId }: Activation) =>
        [`${roomId}/1`, `${roomId}/2`].map(
          (sessionId) => ({ roomId, epoch: 1 as Epoch, sessionId }) as NewSeat,
        ),
    },
    seats: {
      keep: (seats) => {
        if (postgres.losesSeats-- > 0) return Promise.reject(new Error("connection lost"));
        kept.push(seats.map(({ sessionId }) => sessionId));
        return Promise.resolve();
      },
    },
  });
  const look = async (): Promise<void> => {
    promotions.hurry();
    await new Promise(setImmediate);
  };
  return { postgres, kept, told, promotions, look };
}

test("[SEAT1] [CKP4] after a promotion every room is saved whole and at once, with its seats; once", async () => {
  const rooms = [new FakeRoom("a"), new FakeRoom("b")];
  const { postgres, kept, told, promotions, look } = setUp(...rooms);
  await promotions.start();
  await look();
  expect([kept, told]).toEqual([[], []]);
  expect(rooms.map(({ changed }) => changed)).toEqual([0, 0]);

  postgres.firstEpoch = 1_000_000_001;
  await look();
  expect(told).toEqual([{ name: "postgres:replaced", firstEpoch: 1_000_000_001 }]);
  expect(kept).toEqual([["a/1", "a/2", "b/1", "b/2"]]);
  for (const room of rooms) expect(room).toMatchObject({ base: undefined, nextDueMs: 0, changed: 1 });
  await look();
  expect(kept).toHaveLength(1);
  expect(told).toHaveLength(1);
  await promotions.stop();
});

test("[SEAT1] seats that could not be written are tried again, and what an absent Postgres does not tell is asked again", async () => {
  const { postgres, kept, told, promotions, look } = setUp(new FakeRoom("a"));
  await promotions.start();
  Object.assign(postgres, { firstEpoch: 1_000_000_001, isAway: true, losesSeats: 2 });
  await look();
  expect(told).toEqual([]);
  postgres.isAway = false;
  for (let tries = 1; tries <= 2; tries++) await look();
  expect(kept).toEqual([]);
  await look();
  expect(kept).toEqual([["a/1", "a/2"]]);
  expect(told).toHaveLength(1);
  await promotions.stop();
});
