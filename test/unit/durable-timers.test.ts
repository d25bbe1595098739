// Durable timers on Colyseus's own rooms and clock, moved by hand; and on a plain Colyseus server, as it runs.

import { defineRoom, defineServer, logger, Room } from "@colyseus/core";
import { Client } from "@colyseus/sdk";
import { WebSocketTransport } from "@colyseus/ws-transport";
import { afterEach, describe, expect, test, vi } from "vitest";
import { Activation } from "../../src/actor/activation.ts";
import { captureTimers } from "../../src/actor/durable-timers.ts";
import { restoreInto } from "../../src/actor/restore.ts";
import { decodeSnapshot, encodeSnapshot, type Snapshot } from "../../src/checkpoint/snapshot.ts";
import { durableTimers, type DurableTimers, type TimerHandler } from "../../src/index.ts";

type Handlers = Record<"ends" | "drop" | "respawn", TimerHandler>;

const rooms: TestRoom[] = [];
afterEach(() => {
  for (const room of rooms.splice(0)) room["_events"].emit("dispose");
});

/** A room in which time passes when it is told to. */
class TestRoom extends Room {
  timers!: DurableTimers<Handlers>;
  readonly fired: string[] = [];
  /** The wall time of this process: another one after each restore. */
  nowMs = 1_000_000 * (rooms.length + 1);
  readonly activation: Activation;

  constructor(setUp?: (room: TestRoom) => void, isDeclaring = true) {
    super();
    rooms.push(this);
    Object.assign(this.clock, { now: () => this.nowMs });
    Object.assign(this, { _listing: { private: false, unlisted: false } }); // Colyseus's matchmaker gives it one
    this["__init"]();
    if (isDeclaring) {
      this.timers = durableTimers(this, {
        ends: (payload) => void this.fired.push(`ends ${JSON.stringify(payload)}`),
        drop: () => void this.fired.push("drop"),
        respawn: (_payload, key: string) => void this.fired.push(`respawn ${key}`),
      });
    }
    setUp?.(this);
    this.activation = new Activation("room" as never, "test", 1 as never, this);
  }

  /** Lets time pass, a tick at its end. @returns what has fired in it */
  pass(ms: number): string[] {
    this.nowMs += ms;
    this.clock.tick();
    return this.fired.splice(0);
  }

  isChanged(): boolean {
    this.activation.unsavedSinceMs = undefined;
    this.activation.findChanges(0);
    return this.activation.unsavedSinceMs !== undefined;
  }

  /** What a checkpoint brings back. */
  save(): Snapshot {
    return decodeSnapshot(encodeSnapshot(this.activation.capture(), 1e6));
  }
}

function restored(snapshot: Snapshot, setUp?: (room: TestRoom) => void, isDeclaring = true): TestRoom {
  const room = new TestRoom(setUp, isDeclaring);
  const checkpoint = { seq: 1, ageMs: 60_000, bytes: Buffer.alloc(1) };
  restoreInto(room.activation, { checkpoint, snapshot, newestSeq: 1 } as never, 0); // all of a checkpoint that it reads
  return room;
}

describe("a durable timer", () => {
  test("[ROOM3] fires once, by the room's clock, with a copy of what it was given", () => {
    const room = new TestRoom();
    const payload = { winner: "red", scores: [1, 2] };
    room.timers.set("ends", 1_000, payload);
    payload.scores.push(3);
    expect(room.pass(999)).toEqual([]);
    expect(room.timers.leftMs("ends")).toBe(1);
    expect(room.pass(1)).toEqual(['ends {"winner":"red","scores":[1,2]}']);
    expect(room.timers.leftMs("ends")).toBeUndefined();
    expect(room.pass(5_000)).toEqual([]);
  });

  test("[ROOM3] that repeats keeps its phase, and makes up for nothing when it is late", () => {
    const room = new TestRoom();
    room.timers.every("drop", 100);
    expect(room.pass(100)).toEqual(["drop"]);
    expect(room.pass(450)).toEqual(["drop"]); // due at 200, 300, 400 and 500
    expect(room.timers.leftMs("drop")).toBe(50);
    expect(room.pass(50)).toEqual(["drop"]);
    room.timers.clear("drop");
    expect(room.pass(1_000)).toEqual([]);
  });

  test("[ROOM3] is replaced when it is set again; another key is another timer", () => {
    const room = new TestRoom();
    room.timers.every("respawn:ada", 10);
    room.timers.set("respawn:ada", 50);
    room.timers.set("respawn:b:ob", 20);
    room.timers.set("respawn", 30);
    expect(room.pass(30)).toEqual(["respawn b:ob", "respawn "]);
    expect(room.pass(20)).toEqual(["respawn ada"]);
    expect(room.pass(20)).toEqual([]);
  });

  test("[ROOM3] fires after those that fell due before it, unless one of them has cleared or set it", () => {
    const room = new TestRoom();
    const order: string[] = [];
    const timers = durableTimers(room, {
      first: () => {
        order.push("first");
        timers.clear("second");
        timers.set("third", 0);
        timers.set("first", 0);
      },
      second: () => void order.push("second"),
      third: () => void order.push("third"),
    });
    timers.set("third", 30);
    timers.set("second", 20);
    timers.set("first", 10);
    room.pass(100);
    expect(order.splice(0)).toEqual(["first"]); // what it sets now has its turn at the next tick
    timers.clear("first");
    room.pass(0);
    expect(order).toEqual(["third"]);
  });

  test("[ROOM1] that throws goes where a clock timer's throw goes, is over, and leaves the others to the next tick", () => {
    const room = new TestRoom();
    const timers = durableTimers(room, {
      bad: () => {
        throw new Error("bad luck");
      },
    });
    timers.set("bad", 10);
    room.timers.set("ends", 20);
    expect(() => room.pass(30)).toThrow("bad luck");
    expect(room.pass(0)).toEqual(["ends undefined"]);
    expect(room.pass(100)).toEqual([]);
  });

  test("[ROOM3] ends with all others by room.clock.clear(), and can be set again", () => {
    const room = new TestRoom();
    room.timers.set("ends", 10);
    room.timers.every("drop", 10);
    room.save();
    room.clock.clear();
    expect(room.isChanged()).toBe(true);
    expect(room.timers.leftMs("ends")).toBeUndefined();
    expect(room.save().timers).toEqual([]);
    expect(room.pass(10)).toEqual([]);
    room.timers.set("drop", 10);
    expect(room.pass(10)).toEqual(["drop"]);
    room.timers.set("ends", 20);
    room.timers.set("drop", 10);
    durableTimers(room, { clears: () => room.clock.clear() }).set("clears", 5);
    expect(room.pass(50)).toEqual([]);
  });

  interface Given {
    readonly name?: string;
    readonly delayMs?: number;
    readonly everyMs?: number;
    readonly payload?: unknown;
  }
  test.each<[what: string, given: Given, message: RegExp]>([
    ["a delay that is no number", { delayMs: NaN }, /ends.*NaN/],
    ["a delay without an end", { delayMs: Infinity }, /ends.*Infinity/],
    ["a delay below 0", { delayMs: -1 }, /ends.*-1/],
    ["an interval of 0", { everyMs: 0 }, /ends.*not below 1/],
    ["an interval that is no number", { everyMs: NaN }, /ends.*NaN/],
    ["a function", { payload: { done() {} } }, /function.*payload of timer ends\.done/],
    ["a promise", { payload: [Promise.resolve()] }, /payload of timer ends\[0\]/],
    ["an undeclared name", { name: "toString" }, /toString.*declares no timer/],
    ["an undeclared name with a key", { name: "nobody:1" }, /nobody:1.*declares no timer/],
  ])("[ROOM3] with %s is refused by name in one line, and what was armed stays", (_what, given, message) => {
    const { delayMs = 1, everyMs, payload } = given;
    const name = (given.name ?? "ends") as "ends"; // as a caller without types may
    const room = new TestRoom();
    room.timers.set("ends", 70, "before");
    const arm = (): void =>
      everyMs === undefined ? room.timers.set(name, delayMs, payload) : room.timers.every(name, everyMs);
    expect(arm).toThrow(
      expect.objectContaining({ code: "INTERNAL", message: expect.stringMatching(message) }),
    );
    expect(arm).not.toThrow(/\n/);
    expect(captureTimers(room)).toEqual([{ name: "ends", dueAtMs: 70, payload: "before" }]);
  });

  test("[ROOM3] may be one of 1,000 in a room", () => {
    const room = new TestRoom();
    for (let key = 0; key < 1_000; key++) room.timers.set(`respawn:${key}`, 1);
    expect(() => room.timers.set("respawn:1000", 1)).toThrow(/at most 1000/);
    room.timers.set("respawn:999", 2); // a known one may be set again
    room.timers.clear("respawn:0");
    room.timers.set("respawn:1000", 1);
    expect(room.save().timers).toHaveLength(1_000);
    expect(room.pass(2)).toHaveLength(1_000);
  });

  test("[ROOM3] is declared once, by a name without a colon", () => {
    const room = new TestRoom();
    expect(() => durableTimers(room, { other: () => 1, ends: () => 2 })).toThrow(/ends.*already/);
    expect(() => durableTimers(room, { "a:b": () => 1 })).toThrow(/a:b.*colon/);
    durableTimers(room, { other: () => room.fired.push("other") }).set("other", 5);
    expect(room.pass(5)).toEqual(["other"]);
  });

  test("[ROOM3] is typed by its handler", () => {
    const timers = durableTimers(new TestRoom(), {
      win: (_payload: { readonly winner: string }, _key: string) => undefined,
      loose: (payload) => payload,
      bare: () => undefined,
    });
    timers.set("win", 1, { winner: "red" });
    timers.set("loose", 1, { anything: 1 });
    timers.set(`bare:${new TestRoom().roomId}`, 1);
    // @ts-expect-error a payload of another type
    timers.set("win:red", 1, { winner: 1 });
    // @ts-expect-error no payload
    timers.set("win", 1);
    // @ts-expect-error a name that is not declared
    expect(() => timers.set("lose", 1)).toThrow(/lose/);
  });
});

describe("a checkpoint", () => {
  test("[ROOM3] [CKP3] is due when a timer is set, replaced, cleared or fires, and not in between", () => {
    const room = new TestRoom();
    const settles = (): void => {
      expect(room.isChanged()).toBe(true);
      room.save();
      expect(room.isChanged()).toBe(false);
    };
    room.save();
    expect(room.isChanged()).toBe(false);
    room.timers.set("ends", 500);
    settles();
    room.timers.set("ends", 500);
    settles();
    room.timers.every("drop", 100);
    settles();
    room.pass(99);
    expect(room.isChanged()).toBe(false);
    room.pass(1);
    settles();
    room.timers.clear("drop");
    settles();
    room.timers.clear("drop");
    expect(room.isChanged()).toBe(false);
    room.pass(400);
    settles();
  });

  test("[ROOM3] [CKP3] is due each 10 s for a quiet room's clock while a timer is armed, and never without one", () => {
    const room = new TestRoom();
    room.timers.set("ends", 3_600_000);
    room.save();
    room.pass(9_999);
    expect(room.isChanged()).toBe(false);
    room.pass(1);
    expect(room.isChanged()).toBe(true);
    room.timers.clear("ends");
    room.save();
    room.pass(60_000);
    expect(room.isChanged()).toBe(false);
    const without = new TestRoom(undefined, false);
    expect(without.save().timers).toBeUndefined();
    without.pass(60_000);
    expect(without.isChanged()).toBe(false);
  });

  test("[ROOM3] arms its timers again: what was left of room time is left, and the clock goes on", () => {
    const room = new TestRoom();
    room.timers.set("ends", 1_000, new Map([["red", -0]]));
    room.timers.every("drop", 400);
    room.pass(500);
    const again = restored(room.save());
    expect(again.timers.leftMs("ends")).toBe(500);
    expect(again.timers.leftMs("drop")).toBe(300);
    expect(again.pass(299)).toEqual([]);
    expect(again.pass(1)).toEqual(["drop"]);
    expect(again.pass(200)).toEqual(["ends {}"]);
    expect(again.pass(200)).toEqual(["drop"]);
  });

  test("[ROOM3] brings back the payload exactly", () => {
    const room = new TestRoom();
    const payload = { at: new Date(0), odd: [NaN, -0, 2n ** 70n, undefined], bytes: new Uint8Array([1, 2]) };
    const heard: unknown[] = [];
    const timers = { exact: (given: unknown) => void heard.push(given) };
    durableTimers(room, timers).every("exact", 5, payload);
    const again = restored(room.save(), (other) => void durableTimers(other, timers));
    again.pass(5);
    expect(heard).toStrictEqual([payload]);
    (heard[0] as typeof payload).odd.length = 0; // its own copy: the next one is whole again
    again.pass(5);
    expect(heard[1]).toStrictEqual(payload);
  });

  test("[ROOM3] lets a timer that was due fire at the first tick, once", () => {
    const room = new TestRoom();
    room.timers.set("ends", 10);
    room.timers.every("drop", 100);
    const snapshot = room.save();
    const late = { ...snapshot, elapsedMs: 1_050 }; // as if no tick had come before it was taken
    const again = restored(late);
    expect(again.timers.leftMs("ends")).toBe(0);
    expect(again.pass(1).toSorted()).toEqual(["drop", "ends undefined"]);
    expect(again.timers.leftMs("drop")).toBe(49); // at 1,100
    expect(again.pass(10)).toEqual([]);
  });

  test("[ROOM3] wins over what onCreate sets: what had been cleared or had fired stays so", () => {
    const setUp = (room: TestRoom): void => {
      room.timers.set("ends", 1_000);
      room.timers.every("drop", 100);
    };
    const room = new TestRoom(setUp);
    room.timers.clear("drop");
    room.timers.set("ends", 5_000, "later");
    expect(restored(room.save(), setUp).pass(4_999)).toEqual([]);
    expect(restored(room.save(), setUp).pass(5_000)).toEqual(['ends "later"']);
    room.timers.clear("ends");
    expect(restored(room.save(), setUp).pass(50_000)).toEqual([]);
  });

  test("[ROOM3] can be overruled by onRestoreRoom", () => {
    const room = new TestRoom();
    room.timers.set("ends", 1_000);
    room.pass(400);
    const again = restored(room.save(), (other) => {
      other.onRestoreRoom = () => other.timers.set("drop", other.timers.leftMs("ends") ?? NaN);
    });
    expect(again.pass(600)).toEqual(["ends undefined", "drop"]);
  });

  test("[ROOM3] of a class without durable timers leaves those of onCreate, by the clock that it brings", () => {
    const room = new TestRoom(undefined, false);
    room.pass(60_000);
    const again = restored(room.save(), (other) => other.timers.set("ends", 1_000));
    expect(again.timers.leftMs("ends")).toBe(1_000);
    expect(again.pass(999)).toEqual([]);
    expect(again.pass(1)).toEqual(["ends undefined"]);
    const never = new TestRoom((other) => other.timers.set("ends", 10));
    restoreInto(never.activation, { checkpoint: undefined, snapshot: undefined, newestSeq: 0 }, 0);
    expect(never.pass(10)).toEqual(["ends undefined"]);
  });

  test("[ROOM3] with a timer that nobody declares any more loses it, with one warning", () => {
    const warn = vi.spyOn(logger, "warn").mockImplementation(() => {});
    const room = new TestRoom();
    durableTimers(room, { old: () => room.fired.push("old") }).set("old:1", 5);
    room.timers.set("ends", 10);
    const again = restored(room.save());
    expect(again.pass(10)).toEqual(["ends undefined"]);
    expect(restored(room.save(), undefined, false).pass(10)).toEqual([]);
    expect(warn.mock.calls.map(([line]) => String(line))).toEqual([
      expect.stringMatching(/^room room \(test\): .*: old:1$/),
      expect.stringMatching(/: old:1, ends$/),
    ]);
    warn.mockRestore();
  });
});

test("[ROOM2] [ROOM3] durable timers run on a plain Colyseus server, and tell onUncaughtException", async () => {
  class PlainRoom extends Room {
    override onCreate(): void {
      const timers = durableTimers(this, {
        hello: ({ to }: { to: string }, key: string) => this.broadcast("fired", `hello ${to} ${key}`),
        later: async () => {
          await Promise.resolve();
          throw new Error("later");
        },
      });
      this.onMessage("arm", (_client, to: string) => {
        timers.set("hello:1", 20, { to });
        timers.set("later", 10);
      });
    }

    override onUncaughtException(error: Error, where: string): void {
      this.broadcast("fired", `${where} ${error.message}`);
    }
  }
  const transport = new WebSocketTransport();
  const plain = { transport, gracefullyShutdown: false, greet: false };
  const server = defineServer({ rooms: { plain: defineRoom(PlainRoom) }, ...plain });
  await server.listen(0);
  try {
    const address = transport.server?.address();
    if (typeof address !== "object" || address === null) throw new Error("the server has no TCP address");
    const room = await new Client(`http://127.0.0.1:${address.port}`).create("plain");
    const heard: string[] = [];
    const both = new Promise<void>((resolve) => {
      room.onMessage("fired", (line: string) => void (heard.push(line) === 2 && resolve()));
    });
    room.send("arm", "ada");
    await both;
    expect(heard.toSorted()).toEqual(["hello ada 1", "setInterval later"]);
    await room.leave();
  } finally {
    await server.gracefullyShutdown(false);
  }
});
