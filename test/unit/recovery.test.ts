// What a survivor claims, against a directory and a host that answer when they are told to.

import { expect, test } from "vitest";
import type { Activation } from "../../src/actor/activation.ts";
import type { RoomHost } from "../../src/actor/room-host.ts";
import { NUMBERS, type Config } from "../../src/config.ts";
import { EventBus } from "../../src/events.ts";
import type { Epoch, RoomId } from "../../src/ids.ts";
import type { ClaimedRoom, Directory } from "../../src/ownership/directory.ts";
import { Lease } from "../../src/ownership/lease.ts";
import type { Ring } from "../../src/placement/ring.ts";
import { Recovery } from "../../src/recovery/recovery.ts";
import { fakeClock } from "../kit/fake-clock.ts";

const turn = (): Promise<void> => new Promise(setImmediate);

test("[OWN6] a room that a player's coming has opened is not claimed once more by the batch it was to be in", async () => {
  const clock = fakeClock();
  const lease = new Lease(clock, 60_000, 1);
  lease.renewed(clock.monotonicMs());
  const rooms = Array.from({ length: 100 }, (_, index) => `room-${index}` as RoomId);
  const held = new Map<RoomId, Activation>();
  const claims: RoomId[][] = [];
  let release = (): void => {};
  const firstOpens = new Promise<void>((resolve) => (release = resolve));

  const directory = {
    readUnowned: () => Promise.resolve(rooms.filter((roomId) => !held.has(roomId))),
    readOrphaned: () => Promise.resolve([]),
    claim: (roomIds: RoomId[]) => {
      claims.push([...roomIds]);
      return Promise.resolve(roomIds.map((roomId) => ({ roomId, epoch: 2 as Epoch }) as ClaimedRoom));
    },
  } as unknown as Directory; // these are all that a look calls
  const host = {
    activations: held,
    known: [],
    isKnown: (roomId: RoomId) => held.has(roomId),
    openClaimed: async ({ roomId }: ClaimedRoom) => {
      if (roomId === "room-0") await firstOpens;
      held.set(roomId, {} as Activation);
      return held.get(roomId);
    },
  } as unknown as RoomHost;
  const recovery = new Recovery({
    config: { restoresAtOnceMax: NUMBERS.restoresAtOnceMax.fallback } as Config,
    clock,
    events: new EventBus(),
    lease,
    directory,
    host,
    ring: () => ({ memberFor: () => ({ incarnation: "self" }) }) as unknown as Ring,
    isSelf: (incarnation) => incarnation === "self",
    onQuarantined: () => {},
  });
  recovery.hurry();
  while (claims.length === 0) await turn();
  // The first batch is being opened; a player comes for a room of the second.
  expect(claims[0]).not.toContain("room-90");
  await recovery.activate("room-90" as RoomId);
  release();
  while (held.size < 100) await turn();
  expect(claims.flat().toSorted()).toEqual(rooms.toSorted());
  await recovery.stop();
});
