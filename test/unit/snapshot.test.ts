import { deserialize, serialize } from "node:v8";
import { crc32 } from "node:zlib";

import { MapSchema, schema, t } from "@colyseus/schema";
import * as fc from "fast-check";
import { describe, expect, test } from "vitest";

import { decodeSnapshot, encodeSnapshot, type Snapshot } from "../../src/checkpoint/snapshot.ts";
import type { StateImage } from "../../src/colyseus/state-tree.ts";
import { RingsideError } from "../../src/errors.ts";

const HEADER_BYTES = 9;
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
  state,
  cached: undefined,
  room: { metadata: undefined, locked: false, private: false, unlisted: false, maxClients: 10 },
  elapsedMs: 1_234.5,
  userData: {},
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

/** Bytes whose header is right, around any body. */
function sealed(body: Uint8Array, version = 1): Uint8Array {
  const header = Buffer.alloc(HEADER_BYTES);
  header.write("RSCP", "latin1");
  header[4] = version;
  header.writeUInt32LE(crc32(body, crc32(Uint8Array.of(version))), 5);
  return Buffer.concat([header, body]);
}

describe("a snapshot", () => {
  test("[CKP1] comes back exactly: NaN, -0, bigint, undefined, null, Map, Set, Date, typed arrays, holes, cycles", () => {
    const cycle: { self?: unknown; list: unknown[] } = { list: Object.assign([], { 0: 1, 2: 3 }) };
    cycle.self = cycle;
    const snapshot: Snapshot = {
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
      userData: { "s-1": { hp: -0 }, "s-2": undefined, __proto__x: 7 },
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
      fc.property(anything, fc.dictionary(fc.string(), anything), (cached, userData) => {
        const back = decodeSnapshot(encodeSnapshot({ ...plain, cached, userData: { ...userData } }, 1e9));
        expect(back).toStrictEqual({ ...plain, cached, userData: { ...userData } });
      }),
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
    const bytes = encodeSnapshot(plain, 1e6).length;
    expect(encodeSnapshot(plain, bytes)).toHaveLength(bytes);
    const error = refusedBy(() => encodeSnapshot(plain, bytes - 1));
    expect(error).toMatchObject({ code: "ROOM_TOO_LARGE", facts: { bytes, bytesMax: bytes - 1 } });
  });

  const Hero = schema({ name: t.string() }, "Hero");
  test.each([
    ["a function", { cached: { a: [0, { run: () => 1 }] } }, "cached.a[1].run"],
    ["a symbol", { cached: new Map([["k", Symbol("s")]]) }, "cached.get(k)"],
    ["a Schema instance", { userData: { "s-1": { hero: new Hero() } } }, "userData.s-1.hero"],
    ["a Schema collection", { cached: { heroes: new MapSchema() } }, "cached.heroes"],
    ["a promise", { cached: new Set([{ later: Promise.resolve() }]) }, "cached entry.later"],
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
        expect(refusedBy(() => decodeSnapshot(sealed(garbage)))).toMatchObject(refused);
        const torn = Buffer.concat([serialize(plain).subarray(0, 40), garbage]);
        expect(refusedBy(() => decodeSnapshot(sealed(torn)))).toMatchObject(refused);
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
    ["half a room", { ...plain, room: { maxClients: 1 } }],
  ])("[CKP2] that holds %s instead is refused", (_what, other) => {
    expect(refusedBy(() => decodeSnapshot(sealed(serialize(other))))).toMatchObject(refused);
  });

  test("[CKP2] of a later format is refused, and the facts say which this release reads", () => {
    const body = whole.subarray(HEADER_BYTES);
    expect(decodeSnapshot(sealed(body))).toStrictEqual(deserialize(body));
    const error = refusedBy(() => decodeSnapshot(sealed(body, 2)));
    expect(error).toMatchObject({ code: "SNAPSHOT_UNREADABLE", facts: { version: 2, reads: [1] } });
  });
});
