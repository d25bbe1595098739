// What Ringside leans on in Colyseus without its being public API (src/colyseus/). When a release changes one of these,
// this is what should fail first, and say what.

import { readFileSync } from "node:fs";
import { Client as SdkClient } from "@colyseus/sdk";
import { LocalDriver, LocalPresence, matchMaker, Room, RegisteredHandler, ClientState } from "@colyseus/core";
import { WebSocketClient, WebSocketTransport } from "@colyseus/ws-transport";
import { schema, StateView, t } from "@colyseus/schema";
import { beforeAll, describe, expect, test } from "vitest";
import { evict, hasUnsentChanges, internals, setElapsed } from "../../src/colyseus/room-internals.ts";
import { standInFor } from "../../src/actor/stand-in.ts";

const State = schema({ counter: t.number().default(0) }, "ContractState");

const Hidden = schema({ face: t.string() }, "ContractHidden");
const Hiding = schema({ card: t.ref(Hidden).view() }, "ContractHiding");

class ContractRoom extends Room {
  override state = new State();
  disposed = 0;
  left: string[] = [];
  override onDispose(): void {
    this.disposed += 1;
  }
  override onLeave(client: { sessionId: string }): void {
    this.left.push(client.sessionId);
  }
}

async function create(roomId: string): Promise<ContractRoom> {
  await matchMaker.handleCreateRoom("contract", {}, undefined, roomId);
  const room = matchMaker.getLocalRoomById(roomId);
  if (!(room instanceof ContractRoom)) throw new Error("Colyseus did not create the room");
  return room;
}

beforeAll(async () => {
  matchMaker.setHealthChecksEnabled(false);
  await matchMaker.setup(new LocalPresence(), new LocalDriver());
  matchMaker.addRoomType(Object.assign(new RegisteredHandler(ContractRoom), { name: "contract" }));
});

describe("versions", () => {
  test.each([
    ["@colyseus/core", "0.18.17"],
    ["@colyseus/ws-transport", "0.18.4"],
    ["@colyseus/redis-presence", "0.18.5"],
    ["@colyseus/redis-driver", "0.18.3"],
    ["@colyseus/schema", "5.0.34"],
  ])("%s is the %s that this was checked against", (name, version) => {
    const path = new URL(`../../node_modules/${name}/package.json`, import.meta.url);
    expect((JSON.parse(readFileSync(path, "utf8")) as { version: string }).version).toBe(version);
  });
});

describe("a room", () => {
  test("is created here under an id chosen beforehand", async () => {
    const room = await create("chosen-id");
    expect(room.roomId).toBe("chosen-id");
    expect(internals(room)._listing.roomId).toBe("chosen-id");
    expect(internals(room)._listing.clients).toBe(0);
  });

  test("calls its own onBeforePatch before changes are encoded and forgotten", async () => {
    const room = await create("before-patch");
    const seen: boolean[] = [];
    room.onBeforePatch = () => void seen.push(hasUnsentChanges(room));
    room.state.counter += 1;
    room.broadcastPatch();
    room.broadcastPatch();
    expect(seen).toEqual([true, false]);
  });

  test("has not told a player what they may see anew before the patch that follows", async () => {
    const room = await create("views");
    const card = new Hidden({ face: "ace" });
    room.setState(new Hiding({ card }) as never);
    const view = new StateView();
    room.clients.push({ sessionId: "seer", state: ClientState.JOINED, view, raw: () => {} } as never);
    room.broadcastPatch();
    expect(hasUnsentChanges(room)).toBe(false);
    view.add(card);
    expect(hasUnsentChanges(room)).toBe(true);
    room.broadcastPatch();
    expect(hasUnsentChanges(room)).toBe(false);
    room.clients.length = 0;
  });

  test("ticks its clock through the property that we replace", async () => {
    const room = await create("clock");
    let ticks = 0;
    const tick = room.clock.tick.bind(room.clock);
    room.clock.tick = () => {
      ticks += 1;
      tick();
    };
    room.broadcastPatch();
    expect(ticks).toBe(1);
    setElapsed(room, 5_000);
    expect(room.clock.elapsedTime).toBe(5_000);
    expect(room.clock.deltaTime).toBe(0);
  });

  test("keeps a seat for a stand-in, counts it, and opens it to its token only", async () => {
    const room = await create("stand-in");
    const standIn = standInFor({ sessionId: "s1", userData: { a: 1 }, auth: { id: "u" }, token: "hash" });
    const pending = room.allowReconnection(standIn, 30);
    pending.catch(() => {});
    expect(room.hasReservedSeat("s1", "hash")).toBe(true);
    expect(room.hasReservedSeat("s1", "other")).toBe(false);
    expect(room.hasReservedSeat("s1")).toBe(false);
    expect(Object.keys(internals(room)._reservedSeats)).toEqual(["s1"]);
    expect(internals(room)._reconnections["hash"]?.[0]).toBe("s1");
    expect(internals(room)._reservedSeatTimeouts["s1"]).toBeDefined();
  });

  test("is evicted without a hook, a listing write or a word", async () => {
    const room = await create("evicted");
    evict(room);
    await new Promise(setImmediate);
    expect(room.disposed).toBe(0);
    expect(matchMaker.getLocalRoomById("evicted")).toBeUndefined();
    // The row stays for the next owner.
    expect(await matchMaker.driver.has("evicted")).toBe(true);
  });

  test("says that it is disposed by the events we listen for, in this order", async () => {
    const room = await create("disposed");
    const order: string[] = [];
    internals(room)._events.once("dispose", () => order.push("dispose"));
    const gone = new Promise<void>((resolve) => {
      internals(room)._events.once("disconnect", () => {
        order.push(`disconnect after ${room.disposed} onDispose`);
        resolve();
      });
    });
    await room.disconnect();
    await gone;
    expect(order).toEqual(["dispose", "disconnect after 1 onDispose"]);
  });

  test("has the private parts that we read and call", async () => {
    const inside = internals(await create("parts"));
    expect(inside._onMessage).toBeTypeOf("function");
    expect(inside._reserveSeat).toBeTypeOf("function");
    expect(inside.checkReconnectionToken).toBeTypeOf("function");
    expect(inside._lockedExplicitly).toBe(false);
    expect(inside._serializer.encoder?.hasChanges).toBeTypeOf("boolean");
    expect(inside._listing).toMatchObject({ private: false, unlisted: false });
  });
});

describe("the transport", () => {
  test("has the methods that ours overrides", () => {
    expect(WebSocketTransport.prototype.listen).toBeTypeOf("function");
    expect(WebSocketTransport.prototype.shutdown).toBeTypeOf("function");
    expect(
      (WebSocketTransport.prototype as unknown as Record<string, unknown>)[
        "autoTerminateUnresponsiveClients"
      ],
    ).toBeTypeOf("function");
    expect(WebSocketClient.prototype.raw).toBeTypeOf("function");
    expect(WebSocketClient.prototype.enqueueRaw).toBeTypeOf("function");
    expect(ClientState.LEAVING).toBeTypeOf("number");
  });
});

describe("the stock SDK", () => {
  test("retries by itself on the codes that our table relies on, and gives up on the others", () => {
    // Read from its source: it is what players' browsers run.
    const source = readFileSync(
      new URL("../../node_modules/@colyseus/sdk/src/Room.ts", import.meta.url),
      "utf8",
    );
    const retries = /if \(\s*([^)]*)\) \{\s*this\.onDrop\.invoke/.exec(source)?.[1] ?? "";
    expect(retries.match(/CloseCode\.\w+/g)).toEqual([
      "CloseCode.NO_STATUS_RECEIVED",
      "CloseCode.ABNORMAL_CLOSURE",
      "CloseCode.GOING_AWAY",
      "CloseCode.MAY_TRY_RECONNECT",
    ]);
    expect(SdkClient).toBeDefined();
  });
});
