// What a gateway asks Postgres when hundreds of its players lose their places at once, and what it does without asking.

import { expect, test } from "vitest";
import { Whereabouts } from "../../src/gateway/whereabouts.ts";
import type { Incarnation, NodeId, RoomId } from "../../src/ids.ts";
import type { Member, View } from "../../src/membership/view.ts";
import type { Ownership } from "../../src/ownership/directory.ts";
import { Ring } from "../../src/placement/ring.ts";

const member = (name: string, state: Member["state"] = "up"): Member => ({
  nodeId: name as NodeId,
  incarnation: `${name}-1` as Incarnation,
  processId: name,
  host: "127.0.0.1",
  publicPort: 1,
  internalPort: 2,
  managementPort: 3,
  state,
});
const roomNo = (index: number): RoomId => `room-${index}` as RoomId;

function setUp(members: Member[]) {
  const asked: RoomId[][] = [];
  const world = {
    view: { version: 1, members } as View,
    owners: new Map<RoomId, Member>(),
    isPostgresAway: false,
    asked,
  };
  const whereabouts = new Whereabouts({
    self: "me-1" as Incarnation,
    directory: {
      locateAll: (roomIds) => {
        asked.push([...roomIds]);
        if (world.isPostgresAway) return Promise.reject(new Error("away"));
        const found = roomIds.flatMap((roomId): [RoomId, Ownership][] => {
          const owner = world.owners.get(roomId);
          const isOwned = world.view.members.some(({ incarnation }) => incarnation === owner?.incarnation);
          const owned = owner && { epoch: 1, owner: owner.incarnation, isOwned, isQuarantined: false };
          return owned === undefined ? [] : [[roomId, owned as Ownership]];
        });
        return Promise.resolve(new Map(found));
      },
    },
    view: () => world.view,
    ring: () => new Ring(world.view),
    epochHere: () => undefined,
  });
  return { world, whereabouts };
}

test("[GATE4] players of many rooms who ask in one moment share one statement", async () => {
  const [a, b] = [member("a"), member("b")];
  const { whereabouts, world } = setUp([a, b]);
  const rooms = Array.from({ length: 300 }, (_, index) => roomNo(index));
  for (const roomId of rooms) world.owners.set(roomId, a);
  const found = await Promise.all([...rooms, ...rooms].map((roomId) => whereabouts.locate(roomId)));
  expect(world.asked.map(({ length }) => length)).toEqual([300]);
  expect(new Set(found.map((where) => (where.at === "peer" ? where.member : undefined)))).toEqual(
    new Set([a]),
  );
  expect(await whereabouts.locate(roomNo(999))).toEqual({ at: "gone" });
});

test("[GATE4] whose owner is gone is led on without a question, and not back to an owner that let them go", async () => {
  const [a, b, c] = [member("a"), member("b"), member("c")];
  const { whereabouts, world } = setUp([a, b, c]);
  const roomId = roomNo(1);
  expect(whereabouts.guess(roomId, false)).toBeUndefined(); // never heard of
  world.owners.set(roomId, a);
  await whereabouts.locate(roomId);
  // The way there broke; as far as anybody knows the owner lives.
  expect(whereabouts.guess(roomId, false)).toBe(a);
  // It has the room no more. Where the view does not show that it leaves, the ring may still name it.
  expect(whereabouts.guess(roomId, true)).not.toBe(a);
  const draining = { ...a, state: "draining" as const };
  world.view = { version: 2, members: [draining, b, c] };
  expect([b, c]).toContain(whereabouts.guess(roomId, true));
  world.view = { version: 3, members: [b, c] };
  expect(whereabouts.guess(roomId, false)).toBe(new Ring(world.view).memberFor(roomId));
  expect(world.asked.length).toBe(1);
});

test("[GATE5] while Postgres is away the last known owner stands in", async () => {
  const a = member("a");
  const { whereabouts, world } = setUp([a]);
  world.owners.set(roomNo(1), a);
  await whereabouts.locate(roomNo(1));
  world.isPostgresAway = true;
  expect(await whereabouts.locate(roomNo(1))).toEqual({ at: "peer", member: a });
  await expect(whereabouts.locate(roomNo(2))).rejects.toThrow("away");
});
