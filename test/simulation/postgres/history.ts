// Random histories of statements, to hold the model against Postgres: which statement comes next, with values that are right
// as often as not. Times are written as distances from each side's own clock.

import type { Chance } from "../chance.ts";
import { EFFECT } from "./checkpoint-statements.ts";
import type { RoomRow, Tables } from "./tables.ts";

/** Far enough that no test takes so long. */
export const FAR_MS = 3_600_000;
const GENERATIONS = 2;
const NODES = ["a", "b", "c", "d"].map((name) => `${name.repeat(8)}-0000-4000-8000-000000000000`);
const ROOMS = ["r1", "r2", "r3", "r4"];

/** For what is never set so far: no test takes so long either. */
export const SOON_MS = 45_000;

/** So many ms from now. */
export interface FromNow {
  readonly fromNowMs: number;
}

export interface Step {
  readonly name: string;
  readonly values: readonly unknown[];
}

const ROLES = ["gateway", "rooms"];

/** How a history begins where something is to happen at once: with nodes that live, and rooms of theirs. */
export function prelude(): Step[] {
  const enter = (name: string): Step => ({
    name: "register-node",
    values: [name, name.slice(0, 1), "p", "h", 1, 2, 3, 4, FAR_MS, ROLES],
  });
  const create = (roomId: string, index: number): Step => ({
    name: "create-room",
    values: [roomId, "sim", "{}", NODES[index % 2]],
  });
  return [...NODES.slice(0, 3).map(enter), ...ROOMS.slice(0, 3).map(create)];
}

/** What one may do next, given what is there. `lease` and `retry` set those times, which nothing else can in so short a time. */
export function drawStep(chance: Chance, tables: Tables): Step {
  const some = (): string => chance.pick(NODES);
  const present = [...tables.nodes.keys()];
  const absent = NODES.filter((node) => !tables.nodes.has(node));
  const node = (): string => (present.length === 0 ? some() : chance.pick(present));
  const room = (): string => chance.pick(ROOMS);
  const rowOf = (roomId: string): RoomRow | undefined => tables.rooms.get(roomId);
  const ownerOf = (roomId: string): string => (chance.is(0.8) ? (rowOf(roomId)?.owner ?? some()) : some());
  const epochOf = (roomId: string): number => (rowOf(roomId)?.epoch ?? 1) - (chance.is(0.15) ? 1 : 0);
  const someRooms = (): string[] => chance.shuffle(ROOMS).slice(0, chance.whole(1, 3));
  const kinds = (): unknown[] => [chance.is(0.9) ? ["sim"] : ["other"], [chance.whole(0, 1)]];

  if (absent.length > 0 && chance.is(0.2)) {
    const name = chance.pick(absent);
    return { name: "register-node", values: [name, name.slice(0, 1), "p", "h", 1, 2, 3, 4, FAR_MS, ROLES] };
  }
  const id = room();
  const draw: Record<string, () => readonly unknown[]> = {
    "renew-lease": () => [node(), FAR_MS],
    "mark-down": () => [
      node(),
      "lapsed",
      node(),
      chance.is(0.7),
      chance.is(0.5) ? null : { fromNowMs: chance.pick([SOON_MS, SOON_MS, FAR_MS, -FAR_MS]) },
    ],
    lease: () => [node(), chance.is(0.6)],
    retry: () => [id, chance.is(0.3)],
    "set-draining": () => [node()],
    leave: () => [node()],
    "create-room": () => [id, "sim", "{}", node()],
    "claim-rooms": () => [someRooms(), node(), ...kinds(), chance.is(0.3)],
    "release-room": () => [id, epochOf(id), ownerOf(id)],
    "take-room": () => [id, chance.pick([SOON_MS, FAR_MS, -FAR_MS])],
    "failed-open": () => [id, epochOf(id), ownerOf(id), chance.whole(1, 3), "no reason"],
    "dispose-room": () => [id, epochOf(id), ownerOf(id)],
    "lock-room": () => [id, epochOf(id), ownerOf(id)],
    "locate-room": () => [id],
    "unowned-rooms": () => [chance.whole(1, 4), ...kinds()],
    "orphaned-rooms": () => [node(), someRooms()],
    "taken-rooms": () => [ownerOf(id), [id], [epochOf(id)]],
    "save-checkpoints": () => drawSave(chance, tables, someRooms(), ownerOf(id), epochOf),
    "read-rooms": () => [someRooms()],
    "older-checkpoint": () => [id, chance.whole(1, 6)],
    "find-checkpoint": () => [id, epochOf(id), chance.whole(1, 6)],
    "keep-unreadable": () => [id, epochOf(id), ownerOf(id), chance.whole(1, 6), "damaged"],
    [EFFECT]: () => [id, chance.whole(1, 1_000)],
  };
  const often = [
    "claim-rooms",
    "claim-rooms",
    "save-checkpoints",
    "save-checkpoints",
    "create-room",
    "mark-down",
  ];
  const name = chance.pick([...Object.keys(draw), ...often]);
  return { name, values: draw[name]?.() ?? [] };
}

function drawSave(
  chance: Chance,
  tables: Tables,
  rooms: readonly string[],
  owner: string,
  epochOf: (roomId: string) => number,
): unknown[] {
  // A room's former activation may save in one statement with its newest.
  const roomIds = chance.is(0.15) ? [...rooms, ...rooms.slice(0, 1)] : rooms;
  const epochs = roomIds.map((roomId, index) => epochOf(roomId) - (index < rooms.length ? 0 : 1));
  if (roomIds.length > rooms.length) epochs[0] = tables.rooms.get(roomIds[0] ?? "")?.epoch ?? 1;
  // Attempts that failed leave gaps.
  const seqs = roomIds.map(
    (roomId) =>
      (tables.checkpoints.get(roomId)?.at(-1)?.seq ?? 0) + (chance.is(0.9) ? chance.pick([1, 1, 2]) : 0),
  );
  const each = <Value>(draw: (roomId: string) => Value): Value[] => roomIds.map(draw);
  return [
    roomIds,
    epochs,
    seqs,
    each((roomId) => Buffer.from(`${roomId} ${chance.whole(0, 99)}`)),
    seqs.map((seq) => (chance.is(0.3) ? seq - 1 : null)),
    each(() => chance.is(0.3)),
    each(() => chance.whole(1, 99)),
    each(() => chance.whole(0, 3)),
    each(() => chance.whole(0, 1)),
    owner,
    GENERATIONS,
  ];
}
