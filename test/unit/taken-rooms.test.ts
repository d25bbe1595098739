// When a node looks for rooms that were taken from it.

import { expect, test } from "vitest";
import type { Activation } from "../../src/actor/activation.ts";
import { EventBus, type Events } from "../../src/events.ts";
import type { Epoch, Incarnation, RoomId } from "../../src/ids.ts";
import type { Database } from "../../src/postgres/query.ts";
import { TakenRooms } from "../../src/recovery/taken-rooms.ts";
import { fakeClock } from "../kit/fake-clock.ts";

const STORE_MS = 2_000;
const turns = (): Promise<void> => new Promise(setImmediate);

function setUp() {
  const clock = fakeClock();
  const events = new EventBus();
  const postgres = { taken: [] as string[], looks: 0 };
  const activations = new Map<RoomId, Activation>();
  const letGo: string[] = [];
  const taken = new TakenRooms({
    config: { storeMs: STORE_MS },
    clock,
    events,
    self: "self" as Incarnation,
    database: {
      run: (_name: string, [, roomIds]: [unknown, string[]]) => {
        postgres.looks += 1;
        const found = postgres.taken.filter((roomId) => roomIds.includes(roomId));
        return Promise.resolve(found.map((room_id) => ({ room_id })));
      },
    } as unknown as Database, // run is all of it that is called
    host: {
      activations,
      letGo: ({ roomId }) => {
        activations.delete(roomId);
        letGo.push(roomId);
      },
    },
    onLetGo: () => {},
  });
  const open = (id: string, { waitedMs = 0, restoreMs = 0 } = {}): void => {
    const roomId = id as RoomId;
    activations.set(roomId, { roomId, epoch: 1 as Epoch } as Activation);
    const facts: Partial<Events["room:restored"]> = { roomId, waitedMs, restoreMs };
    events.emit("room:restored", facts as Events["room:restored"]); // the rest is not looked at
  };
  return { clock, postgres, letGo, taken, open };
}

test("[REC6] [OWN2] a room that is taken while it is being opened is let go as soon as it is open", async () => {
  const { clock, postgres, letGo, taken, open } = setUp();
  taken.start();
  open("other");
  await turns();
  postgres.taken = ["a"];
  clock.advance(100);
  taken.hurry();
  await turns();
  expect(letGo, "it is not here yet").toEqual([]);
  clock.advance(3_500);
  // It has waited for a second, and its onCreate took two; it was this node's before the claim was answered.
  open("a", { waitedMs: 1_000, restoreMs: 2_000 });
  await turns();
  expect(letGo).toEqual(["a"]);
  await taken.stop();
});

test("nobody is asked about a room that was claimed after the last one was taken", async () => {
  const { clock, postgres, taken, open } = setUp();
  taken.start();
  open("other");
  taken.hurry();
  await turns();
  const { looks } = postgres;
  clock.advance(2 * STORE_MS + 1_001);
  open("a", { waitedMs: 500, restoreMs: 500 });
  await turns();
  expect(postgres.looks).toBe(looks);
  await taken.stop();
  open("b");
  taken.hurry();
  await turns();
  expect(postgres.looks).toBe(looks);
});
