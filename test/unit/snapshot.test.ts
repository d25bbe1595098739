import { serialize } from "node:v8";
import { crc32 } from "node:zlib";

import { MapSchema, schema, t } from "@colyseus/schema";
import * as fc from "fast-check";
import { describe, expect, test } from "vitest";

import { needsBase, openFrame, sealOnBase, sealWhole } from "../../src/checkpoint/frame.ts";
import {
  decodeSnapshot,
  encodeSnapshot,
  serializeSnapshot,
  type Snapshot,
} from "../../src/checkpoint/snapshot.ts";
import type { StateImage } from "../../src/colyseus/state-tree.ts";
import { RingsideError } from "../../src/errors.ts";

const state: StateImage = {
  rootRefId: 0,
  nextRefId: 3,
  shapes: [
    {
      type: "World",
      twin: undefined,
      values: ["a", "b", "c"],
      links: ["list"],
      refIds: [0],
      rows: [[NaN, -0, undefined, 1]],
      exact: new Set(),
    },
  ],
  collections: [
    {
      kind: "map",
      holds: "values",
      refIds: [1],
      entries: [[1n, "", null]],
      keys: [["a", "", "c"]],
      indexes: [[0, 1, 5]],
      nextIndexes: [6],
      perTick: new Map(),
    },
  ],
};
const plain: Snapshot = {
  classVersion: 0,
  layout: 7,
  state,
  cached: undefined,
  room: { metadata: undefined, locked: false, private: false, unlisted: false, maxClients: 10 },
  elapsedMs: 1_234.5,
  players: {},
  timers: undefined,
  answers: undefined,
};

function refusedBy(act: () => unknown): RingsideError {
  try {
    act();
  } catch (error) {
    if (error instanceof RingsideError) return error;
    throw error;
  }
  throw new Error("nothing was refused");
}

describe("a snapshot", () => {
  test("[CKP1] comes back exactly: NaN, -0, bigint, undefined, null, Map, Set, Date, typed arrays, holes, cycles", () => {
    const cycle: { self?: unknown; list: unknown[] } = { list: Object.assign([], { 0: 1, 2: 3 }) };
    cycle.self = cycle;
    const snapshot: Snapshot = {
      classVersion: 3,
      layout: undefined,
      state,
      cached: {
        odd: [NaN, -0, 0, Infinity, 2n ** 80n, undefined, null, ""],
        map: new Map<unknown, unknown>([[{ key: 1 }, new Set([1, "1", NaN])]]),
        at: new Date(0),
        bytes: new Uint8Array([1, 2, 255]),
        floats: new Float64Array([0.1, -0]),
        cycle,
      },
      room: { metadata: { mode: "duel" }, locked: true, private: true, unlisted: true, maxClients: Infinity },
      elapsedMs: 0,
      players: { "s-1": { userData: { hp: -0 } }, "s-2": { userData: undefined, joining: true } },
      answers: [{ key: '["s-1","k"]', atMs: 7, reply: { ok: true, coins: -0 } }],
      timers: [
        { name: "ends", dueAtMs: 90_000.5, payload: { winner: new Map([["red", -0]]) } },
        { name: "drop:crate", dueAtMs: 10_000, everyMs: 10_000, payload: undefined },
      ],
    };
    expect(decodeSnapshot(encodeSnapshot(snapshot, 1e6))).toStrictEqual(snapshot);
    expect(decodeSnapshot(encodeSnapshot({ ...plain, state: undefined }, 1e6)).state).toBeUndefined();
  });

  test("[CKP1] comes back exactly, whatever onCacheRoom returned", () => {
    const anything = fc.anything({
      withBigInt: true,
      withDate: true,
      withMap: true,
      withSet: true,
      withTypedArray: true,
      withSparseArray: true,
    });
    fc.assert(
      fc.property(
        anything,
        fc.dictionary(fc.string(), fc.record({ userData: anything }, { noNullPrototype: true })),
        (cached, saved) => {
          const players = { ...saved };
          const back = decodeSnapshot(encodeSnapshot({ ...plain, cached, players }, 1e9));
          expect(back).toStrictEqual({ ...plain, cached, players });
        },
      ),
      { interruptAfterTimeLimit: 2_000, markInterruptAsFailure: false, verbose: 1 },
    );
  });

  test("[CKP1] does not change when the bytes that it was read from are used again", () => {
    const bytes = encodeSnapshot({ ...plain, cached: new Uint8Array([1, 2, 3]) }, 1e6);
    const back = decodeSnapshot(bytes);
    bytes.fill(0);
    expect(back.cached).toStrictEqual(new Uint8Array([1, 2, 3]));
  });

  test("[CKP2] is refused when it is larger than allowed, and the facts say by how much", () => {
    const bytes = serializeSnapshot(plain, 1e6).length;
    expect(serializeSnapshot(plain, bytes)).toHaveLength(bytes);
    const error = refusedBy(() => serializeSnapshot(plain, bytes - 1));
    expect(error).toMatchObject({ code: "ROOM_TOO_LARGE", facts: { bytes, bytesMax: bytes - 1 } });
  });

  const Hero = schema({ name: t.string() }, "Hero");
  test.each([
    ["a function", { cached: { a: [0, { run: () => 1 }] } }, "cached.a[1].run"],
    ["a symbol", { cached: new Map([["k", Symbol("s")]]) }, "cached.get(k)"],
    [
      "a Schema instance",
      { players: { "s-1": { userData: { hero: new Hero() } } } },
      "players.s-1.userData.hero",
    ],
    ["a Schema collection", { cached: { heroes: new MapSchema() } }, "cached.heroes"],
    ["a promise", { cached: new Set([{ later: Promise.resolve() }]) }, "cached entry.later"],
    [
      "a function in a timer's payload",
      { timers: [{ name: "ends", dueAtMs: 1, payload: { done() {} } }] },
      "timers[0].payload.done",
    ],
    [
      "a promise in a timer's payload",
      { timers: [{ name: "ends", dueAtMs: 1, payload: Promise.resolve() }] },
      "timers[0].payload",
    ],
    ["a method in the metadata", { room: { ...plain.room, metadata: { on() {} } } }, "room.metadata.on"],
  ])("[CKP2] is refused where it holds %s, and the place is named", (_what, part, place) => {
    const error = refusedBy(() => encodeSnapshot({ ...plain, ...part }, 1e6));
    expect(error).toMatchObject({ code: "INTERNAL", facts: { place } });
  });
});

describe("a damaged checkpoint", () => {
  const whole = encodeSnapshot({ ...plain, cached: { text: "hello", bytes: new Uint8Array(64) } }, 1e6);
  const refused = { code: "SNAPSHOT_UNREADABLE" };

  test("[CKP2] is refused with any one bit changed", () => {
    for (let at = 0; at < whole.length * 8; at++) {
      const bytes = Uint8Array.from(whole);
      bytes[at >> 3] = (bytes[at >> 3] ?? 0) ^ (1 << (at & 7));
      expect(refusedBy(() => decodeSnapshot(bytes))).toMatchObject(refused);
    }
  });

  test("[CKP2] is refused at any shorter length, and with bytes after its end", () => {
    for (let length = 0; length < whole.length; length++) {
      expect(refusedBy(() => decodeSnapshot(whole.subarray(0, length)))).toMatchObject(refused);
    }
    expect(refusedBy(() => decodeSnapshot(Buffer.concat([whole, Buffer.of(0)])))).toMatchObject(refused);
  });

  test("[CKP2] of any bytes at all is refused, also with a header that is right", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 300 }), (garbage) => {
        expect(refusedBy(() => decodeSnapshot(garbage))).toMatchObject(refused);
        expect(refusedBy(() => decodeSnapshot(sealWhole(garbage)))).toMatchObject(refused);
        const torn = Buffer.concat([serialize(plain).subarray(0, 40), garbage]);
        expect(refusedBy(() => decodeSnapshot(sealWhole(torn)))).toMatchObject(refused);
      }),
      { verbose: 1 },
    );
  });

  test.each([
    ["nothing", undefined],
    ["a number", 1],
    ["a list", []],
    ["an empty object", {}],
    ["a state that is none", { ...plain, state: {} }],
    ["timers that are none", { ...plain, timers: {} }],
    ["a timer that is none", { ...plain, timers: [{ name: "ends" }] }],
    ["half a room", { ...plain, room: { maxClients: 1 } }],
  ])("[CKP2] that holds %s instead is refused", (_what, other) => {
    expect(refusedBy(() => decodeSnapshot(sealWhole(serialize(other))))).toMatchObject(refused);
  });

  test("[CKP2] of a later format is refused, and the facts say which this release reads", () => {
    const later = Uint8Array.from(whole);
    later[4] = 3;
    const error = refusedBy(() => decodeSnapshot(later));
    expect(error).toMatchObject({ code: "SNAPSHOT_UNREADABLE", facts: { version: 3, reads: [1, 2] } });
  });
});

describe("a checkpoint on a base", () => {
  const random = (seed: number) =>
    Buffer.from(Array.from({ length: 20_000 }, (_, i) => (i * i * seed) % 251));
  const before: Snapshot = { ...plain, cached: { inventory: random(7), turn: 1 } };
  const after: Snapshot = { ...plain, cached: { inventory: random(7), turn: 2 } };
  const [base, whole] = [encodeSnapshot(before, 1e6), encodeSnapshot(after, 1e6)];
  const delta = sealOnBase(serializeSnapshot(after, 1e6), openFrame(base).bytes);

  test("[CKP1] comes back exactly, and weighs what has changed", () => {
    expect(needsBase(delta)).toBe(true);
    expect(needsBase(whole)).toBe(false);
    expect(delta.length).toBeLessThan(200);
    expect(decodeSnapshot(delta, base)).toStrictEqual(decodeSnapshot(whole));
  });

  test("[CKP2] is refused without its base, with another one, with a damaged one, and when it is damaged itself", () => {
    const other = encodeSnapshot({ ...before, cached: { inventory: random(3), turn: 1 } }, 1e6);
    expect(refusedBy(() => decodeSnapshot(delta))).toMatchObject({ code: "SNAPSHOT_UNREADABLE" });
    expect(refusedBy(() => decodeSnapshot(delta, other))).toMatchObject({ code: "SNAPSHOT_UNREADABLE" });
    expect(refusedBy(() => decodeSnapshot(delta, base.subarray(0, -1)))).toMatchObject({
      code: "SNAPSHOT_UNREADABLE",
    });
    for (let at = 0; at < delta.length * 8; at++) {
      const bytes = Uint8Array.from(delta);
      bytes[at >> 3] = (bytes[at >> 3] ?? 0) ^ (1 << (at & 7));
      expect(refusedBy(() => decodeSnapshot(bytes, base))).toMatchObject({ code: "SNAPSHOT_UNREADABLE" });
    }
  });

  test("[CKP2] is refused with a base by which it would decompress, to the right length, to something else", () => {
    const on = Buffer.from(Array.from({ length: 4_000 }, (_, i) => crc32(String(i)) & 255));
    const [body, alike] = [Buffer.from(on), Buffer.from(on)];
    body.writeUInt8(on.readUInt8(5) ^ 1, 5);
    alike.writeUInt8(on.readUInt8(2_000) ^ 1, 2_000);
    const sealed = sealOnBase(body, on);
    expect(openFrame(sealed, on).bytes.equals(body)).toBe(true);
    expect(refusedBy(() => openFrame(sealed, alike))).toMatchObject({ code: "SNAPSHOT_UNREADABLE" });
  });

  test("[CKP1] comes back exactly, whatever two bodies have in common", () => {
    const bytes = fc.uint8Array({ maxLength: 4_000 });
    fc.assert(
      fc.property(bytes, bytes, bytes, (shared, one, two) => {
        const [body, on] = [Buffer.concat([two, shared, one]), Buffer.concat([shared, one, shared])];
        expect(openFrame(sealOnBase(body, on), on).bytes.equals(body)).toBe(true);
        expect(openFrame(sealWhole(body)).bytes.equals(body)).toBe(true);
      }),
      { verbose: 1 },
    );
  });
});

test("[CKP1] the previous format is still read", () => {
  // Written by the release before this format.
  const bytes = Buffer.from(
    "UlNDUAG4Jrdb/w9vIgVzdGF0ZW8iCXJvb3RSZWZJZEkAIgluZXh0UmVmSWRJBiIGc2hhcGVzQQFvIgR0eXBlIgVXb3JsZCIEdHdpbl8iBnZhbHVlc0ECIgFhIgFiJAACIgVsaW5rc0EBIgRsaXN0JAABIgZyZWZJZHNBAUkAJAABIgRyb3dzQQFBA04AAAAAAAD4f04AAAAAAAAAgE4AAAAAAADwPyQAAyQAASIFZXhhY3QnLAB7ByQAASILY29sbGVjdGlvbnNBAW8iBGtpbmQiA21hcCIFaG9sZHMiBnZhbHVlcyIGcmVmSWRzQQFJAiQAASIHZW50cmllc0EBQQJaEAEAAAAAAAAAIgAkAAIkAAEiBGtleXNBAUECIgFhIgFiJAACJAABIgdpbmRleGVzQQFBAkkASQokAAIkAAEiC25leHRJbmRleGVzQQFJDCQAASIHcGVyVGljazs6AHsIJAABewQiBmNhY2hlZG8iBGJlc3Q7IgFwTgAAAAAAAACAOgJ7ASIEcm9vbW8iCG1ldGFkYXRhbyIEbW9kZSIEZHVlbHsBIgZsb2NrZWRUIgdwcml2YXRlRiIIdW5saXN0ZWRGIgptYXhDbGllbnRzSQh7BSIJZWxhcHNlZE1zTgAAAAAASpNAIgh1c2VyRGF0YW8iA3MtMW8iCHVzZXJEYXRhbyICaHBJDnsBewEiA3MtMm8iCHVzZXJEYXRhXyIHam9pbmluZ1R7AnsCewU=",
    "base64",
  );
  expect(decodeSnapshot(bytes)).toStrictEqual({
    classVersion: 0,
    layout: undefined,
    state: {
      rootRefId: 0,
      nextRefId: 3,
      shapes: [
        {
          type: "World",
          twin: undefined,
          values: ["a", "b"],
          links: ["list"],
          refIds: [0],
          rows: [[NaN, -0, 1]],
          exact: new Set(),
        },
      ],
      collections: [
        {
          kind: "map",
          holds: "values",
          refIds: [1],
          entries: [[1n, ""]],
          keys: [["a", "b"]],
          indexes: [[0, 5]],
          nextIndexes: [6],
          perTick: new Map(),
        },
      ],
    },
    cached: { best: new Map([["p", -0]]) },
    room: { metadata: { mode: "duel" }, locked: true, private: false, unlisted: false, maxClients: 4 },
    elapsedMs: 1_234.5,
    players: { "s-1": { userData: { hp: 7 } }, "s-2": { userData: undefined, joining: true } },
    timers: undefined,
    answers: undefined,
  });
});
