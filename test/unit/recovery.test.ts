// What a survivor claims and opens, against a directory and a host that answer when they are told to. What it decides is
// tested in recovery-plan.test.ts.

import { expect, test } from "vitest";
import type { Activation } from "../../src/actor/activation.ts";
import type { RoomHost } from "../../src/actor/room-host.ts";
import { NUMBERS, type Config } from "../../src/config.ts";
import { RingsideError } from "../../src/errors.ts";
import { EventBus, type Events } from "../../src/events.ts";
import type { Epoch, RoomId } from "../../src/ids.ts";
import type { ClaimedRoom, Directory } from "../../src/ownership/directory.ts";
import { Lease } from "../../src/ownership/lease.ts";
import type { Ring } from "../../src/placement/ring.ts";
import { Recovery } from "../../src/recovery/recovery.ts";
import { fakeClock } from "../kit/fake-clock.ts";

const turn = (): Promise<void> => new Promise(setImmediate);
const turns = async (count = 5): Promise<void> => {
  for (let done = 0; done < count; done++) await turn();
};
const roomNo = (index: number): RoomId => `room-${index}` as RoomId;

/** A node, and a cluster that has lost `rooms` rooms. */
function setUp({
  rooms = 100,
  restoresAtOnceMax = 8,
  leaseMs = 60_000,
  isOurs = (_roomId: RoomId): boolean => true,
} = {}) {
  const clock = fakeClock();
  const lease = new Lease(clock, leaseMs, 1);
  lease.renewed(clock.monotonicMs());
  const world = {
    unowned: Array.from({ length: rooms }, (_, index) => roomNo(index)),
    orphaned: [] as RoomId[],
    held: new Map<RoomId, Activation>(),
    looks: [] as number[],
    claims: [] as RoomId[][],
    /** In the order in which they were begun. */
    begun: [] as RoomId[],
    why: new Map<RoomId, string>(),
    opening: new Map<RoomId, PromiseWithResolvers<void>>(),
    released: [] as RoomId[],
    failed: [] as RoomId[],
    claimFailure: undefined as Error | undefined,
    /** Whether openings wait until they are told to end. */
    isHeldUp: (_roomId: RoomId): boolean => false,
  };
  const directory = {
    readUnowned: (atMost: number) => {
      world.looks.push(atMost);
      return Promise.resolve(world.unowned.slice(0, atMost));
    },
    readOrphaned: (known: RoomId[]) => Promise.resolve(world.orphaned.filter((id) => !known.includes(id))),
    claim: async (roomIds: RoomId[], { evenOwn }: { evenOwn: boolean }) => {
      world.claims.push([...roomIds]);
      await turn();
      if (world.claimFailure !== undefined) throw world.claimFailure;
      const free = roomIds.filter(
        (id) => world.unowned.includes(id) || (evenOwn && world.orphaned.includes(id)),
      );
      world.unowned = world.unowned.filter((id) => !free.includes(id));
      world.orphaned = world.orphaned.filter((id) => !free.includes(id));
      // Postgres returns rows in no order.
      return free.toReversed().map((roomId) => ({ roomId, epoch: 2 as Epoch }) as ClaimedRoom);
    },
    release: (roomId: RoomId) => {
      world.released.push(roomId);
      return Promise.resolve(true);
    },
    failedOpen: (roomId: RoomId) => {
      world.failed.push(roomId);
      return Promise.resolve(false);
    },
  } as unknown as Directory; // these are all that recovery calls
  const host = {
    activations: world.held,
    get known() {
      return [...world.held.keys()];
    },
    isKnown: (roomId: RoomId) => world.held.has(roomId),
    openClaimed: async ({ roomId }: ClaimedRoom, why: string) => {
      world.begun.push(roomId);
      world.why.set(roomId, why);
      const ended = Promise.withResolvers<void>();
      world.opening.set(roomId, ended);
      if (!world.isHeldUp(roomId)) ended.resolve();
      await ended.promise.finally(() => world.opening.delete(roomId));
      const activation = { roomId } as Activation;
      world.held.set(roomId, activation);
      return activation;
    },
  } as unknown as RoomHost;
  const events = new EventBus();
  const claimed: Events["rooms:claimed"][] = [];
  events.listen((name, facts) => {
    if (name === "rooms:claimed") claimed.push(facts as Events["rooms:claimed"]);
  });
  const recovery = new Recovery({
    config: { restoresAtOnceMax, upgradeHoldMs: NUMBERS.upgradeHoldMs.fallback } as Config,
    clock,
    events,
    lease,
    directory,
    host,
    ring: () =>
      ({
        memberFor: (roomId: RoomId) => ({ incarnation: isOurs(roomId) ? "self" : "peer" }),
      }) as unknown as Ring,
    isSelf: (incarnation) => incarnation === "self",
    onQuarantined: () => {},
  });
  return { clock, lease, world, recovery, claimed };
}

const upTo = (count: number): RoomId[] => Array.from({ length: count }, (_, index) => roomNo(index));

test("[OWN6] a room that a player's coming has opened is not claimed once more by the batch it was to be in", async () => {
  const { world, recovery } = setUp();
  world.isHeldUp = (roomId) => roomId === "room-0";
  recovery.hurry();
  while (world.claims.length === 0) await turn();
  // The first batch is under way; a player comes for a room of the second.
  expect(world.claims[0]).not.toContain("room-90");
  await recovery.activate(roomNo(90));
  world.opening.get(roomNo(0))?.resolve();
  while (world.held.size < 100) await turn();
  expect(world.claims.flat().toSorted()).toEqual(upTo(100).toSorted());
  await recovery.stop();
});

test("[REC7] rooms are opened fullest first, as many at a time as they may, whatever order claims answer in", async () => {
  const { world, recovery, claimed } = setUp();
  world.isHeldUp = () => true;
  recovery.hurry();
  await turns();
  expect(world.begun).toEqual(upTo(8));
  expect(recovery.backlog).toEqual({ waiting: 92, opening: 8 });
  world.opening.get(roomNo(3))?.resolve();
  await turns();
  expect(world.begun).toEqual(upTo(9));
  while (world.held.size < 100) {
    for (const opening of world.opening.values()) opening.resolve();
    await turn();
    expect(world.opening.size).toBeLessThanOrEqual(8);
  }
  expect(world.begun).toEqual(upTo(100));
  expect(claimed.map(({ roomIds }) => roomIds.length)).toEqual([64, 36]);
  expect(recovery.backlog).toEqual({ waiting: 0, opening: 0 });
  await recovery.stop();
});

test("[REC7] a room that is waited for comes next, claimed or not, a few beyond the places of the others", async () => {
  const { world, recovery } = setUp();
  world.isHeldUp = () => true;
  recovery.hurry();
  await turns();
  const wanted = [40, 95, 96, 50, 51].map(roomNo); // claimed already, and not yet
  const coming = wanted.map((roomId) => recovery.activate(roomId));
  const again = recovery.activate(roomNo(50)); // two wait for this one
  await turns();
  expect(world.begun.slice(0, 8)).toEqual(upTo(8));
  expect(world.begun.slice(8, 12).toSorted(), "the surplus is four").toHaveLength(4);
  expect(world.begun.slice(8).every((roomId) => wanted.includes(roomId))).toBe(true);
  const late = wanted.find((roomId) => !world.begun.includes(roomId))!;
  // Four places become free, but these are the surplus: only whoever is waited for gets one.
  for (const roomId of upTo(4)) world.opening.get(roomId)?.resolve();
  await turns();
  expect(world.begun.slice(12)).toEqual([late]);
  expect([...world.why].filter(([, why]) => why === "demand").map(([roomId]) => roomId)).toHaveLength(5);
  for (const roomId of wanted) world.opening.get(roomId)?.resolve();
  expect((await Promise.all(coming)).map((activation) => activation?.roomId)).toEqual(wanted);
  expect(await again).toBe(world.held.get(roomNo(50)));
  expect(world.begun.filter((roomId) => roomId === "room-50")).toHaveLength(1);
  world.isHeldUp = () => false;
  for (const opening of world.opening.values()) opening.resolve();
  while (world.held.size < 100) await turn();
  expect(world.begun).toHaveLength(100);
  await recovery.stop();
});

test("[REC4] [REC7] rooms that hang while they are opened hold up the others for half a second, and no longer", async () => {
  const { clock, world, recovery } = setUp();
  const hangs = new Set(upTo(8)); // the fullest: they take all places
  world.isHeldUp = (roomId) => hangs.has(roomId);
  recovery.hurry();
  await turns();
  expect(world.begun).toEqual(upTo(8));
  clock.advance(499);
  await turns();
  expect(world.begun).toEqual(upTo(8));
  clock.advance(1);
  while (world.held.size < 92) await turn();
  expect([...world.opening.keys()]).toEqual([...hangs]);
  for (const opening of world.opening.values()) opening.reject(new Error("onCreate did not end in time"));
  await turns();
  expect(world.failed).toEqual([...hangs]);
  await recovery.stop();
});

test("[REC4] a room that cannot be opened makes place for the next at once, and is not tried again by itself", async () => {
  const { world, recovery } = setUp({ restoresAtOnceMax: 1, rooms: 3 });
  world.isHeldUp = (roomId) => roomId === "room-0";
  recovery.hurry();
  await turns();
  const coming = recovery.activate(roomNo(0));
  world.opening.get(roomNo(0))?.reject(new RingsideError("SNAPSHOT_UNREADABLE"));
  expect(await coming).toBeUndefined();
  while (world.held.size < 2) await turn();
  expect(world.begun).toEqual(upTo(3));
  expect(world.failed).toEqual(["room-0"]);
  await recovery.stop();
});

test("a claim that fails is told to those who asked, and not repeated before the next look", async () => {
  const { world, recovery } = setUp();
  world.claimFailure = new Error("Postgres is away");
  recovery.hurry();
  await expect(recovery.activate(roomNo(99))).rejects.toThrow("Postgres is away");
  await turns(20);
  expect(world.claims).toHaveLength(2);
  expect(world.begun).toEqual([]);
  world.claimFailure = undefined;
  recovery.hurry();
  while (world.held.size < 100) await turn();
  await recovery.stop();
});

test("[OWN6] what turns out to be another's is nobody's here: who waits looks elsewhere", async () => {
  const { world, recovery } = setUp({ rooms: 2 });
  expect(await recovery.activate("elsewhere" as RoomId)).toBeUndefined();
  expect(world.begun).toEqual([]);
  await recovery.stop();
});

test("who has waited too long looks again, and the room is opened in its turn all the same", async () => {
  const { clock, world, recovery } = setUp({ rooms: 1 });
  world.isHeldUp = () => true;
  const coming = recovery.activate(roomNo(0));
  await turns();
  clock.advance(NUMBERS.upgradeHoldMs.fallback);
  expect(await coming).toBeUndefined();
  const second = recovery.activate(roomNo(0));
  world.opening.get(roomNo(0))?.resolve();
  expect(await second).toBe(world.held.get(roomNo(0)));
  expect(world.begun).toHaveLength(1);
  await recovery.stop();
});

test("[OWN4] without a lease nothing is begun, and nobody waits for it; with it the rest goes on", async () => {
  const { clock, lease, world, recovery } = setUp({ rooms: 20, leaseMs: 400 });
  world.isHeldUp = () => true;
  recovery.hurry();
  await turns();
  const coming = recovery.activate(roomNo(15)); // takes a place of the surplus
  const last = [16, 17, 18, 19].map((index) => recovery.activate(roomNo(index)));
  await turns();
  clock.advance(400);
  expect(lease.isHeld).toBe(false);
  expect(await recovery.activate(roomNo(14))).toBeUndefined();
  const begun = world.begun.length;
  for (const opening of world.opening.values()) opening.resolve();
  await turns();
  expect(world.begun).toHaveLength(begun);
  await Promise.all([coming, ...last]);
  lease.renewed(clock.monotonicMs());
  world.isHeldUp = () => false;
  recovery.hurry();
  while (world.held.size < 20) await turn();
  await recovery.stop();
});

test("[MOVE1] a node that leaves gives back what it has claimed and not begun, and finishes what it has", async () => {
  const { world, recovery } = setUp({ rooms: 64 });
  world.isHeldUp = () => true;
  recovery.hurry();
  await turns();
  const opening = recovery.activate(roomNo(7));
  const elsewhere = [20, 21, 22, 23, 24].map((index) => recovery.activate(roomNo(index)));
  await turns();
  const stopped = recovery.stop();
  await turns();
  for (const one of world.opening.values()) one.resolve();
  await stopped;
  expect((await opening)?.roomId).toBe("room-7");
  expect((await Promise.all(elsewhere)).filter((activation) => activation === undefined)).toHaveLength(1);
  expect(world.begun).toHaveLength(12);
  expect(world.released).toHaveLength(52);
  expect(new Set([...world.begun, ...world.released]).size).toBe(64);
  expect(await recovery.activate(roomNo(63))).toBeUndefined();
});

test("[REC1] more rooms than one look takes in: it looks again, and further when none of them is for this node", async () => {
  const many = setUp({ rooms: 2_500 });
  many.recovery.hurry();
  while (many.world.held.size < 2_500) await turn();
  await many.recovery.stop();

  const behind = setUp({ rooms: 5_000, isOurs: (roomId) => roomId === "room-4999" });
  behind.recovery.hurry();
  while (behind.world.held.size < 1) await turn();
  expect(behind.world.begun).toEqual(["room-4999"]);
  expect(behind.world.looks.slice(0, 3)).toEqual([1_000, 4_000, 16_000]);
  await behind.recovery.stop();
});

test("[OWN1] a claim whose answer was lost is found: the room is ours on paper, and opened", async () => {
  const { world, recovery } = setUp({ rooms: 3 });
  world.orphaned = ["lost" as RoomId];
  recovery.hurry();
  while (world.held.size < 4) await turn();
  expect(world.begun).toContain("lost");
  await recovery.stop();
});
