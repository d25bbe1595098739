// The line over which nodes ask each other's rooms, with which Redis has nothing to do: who is heard, what is answered, and
// that nothing is carried out twice.

import http from "node:http";
import type { AddressInfo } from "node:net";
import { afterEach, expect, test } from "vitest";
import type { IRoomCache } from "@colyseus/core";
import { DirectLine, type LineAnswers, type Reply } from "../../src/colyseus/direct-line.ts";
import type { Request } from "../../src/colyseus/remote-calls.ts";
import { RoomWhereabouts } from "../../src/colyseus/room-whereabouts.ts";
import { readConfig, type Config } from "../../src/config.ts";
import type { Incarnation } from "../../src/ids.ts";
import type { Member, View } from "../../src/membership/view.ts";
import type { Location } from "../../src/placement/locate.ts";
import { systemClock } from "../../src/runtime/clock.ts";

const KEY = "a key of some length";

function configFor(clusterKey: string): Config {
  return readConfig({
    NODE_ID: "line",
    DATABASE_URL: "postgres://localhost/none",
    CLUSTER_KEY: clusterKey,
    REDIS_URL: "redis://localhost",
    REDIS_MS: "300",
  });
}

const closing: (() => void)[] = [];
afterEach(() => closing.splice(0).forEach((close) => close()));

interface Peer {
  readonly member: Member;
  readonly heard: Request[];
  readonly server: http.Server;
}

let peers = 0;

async function peer(
  answer: (request: Request, signal: AbortSignal) => Promise<Reply | undefined>,
): Promise<Peer> {
  const incarnation = `peer-${++peers}` as Incarnation;
  const heard: Request[] = [];
  const server = http.createServer((_request, response) => response.end("others"));
  const answers: LineAnswers = {
    deliver: (request, signal) => {
      heard.push(request);
      return answer(request, signal);
    },
    ownRows: (roomId) =>
      roomId === "none" ? [] : [{ roomId: roomId ?? "one", name: "n", processId: incarnation } as never],
    whereabouts: new RoomWhereabouts(() => ({
      processId: incarnation,
      publicAddress: `play/${incarnation}`,
    })),
  };
  asker([], () => Promise.resolve(undefined), KEY, incarnation).listen(server, answers);
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  closing.push(() => (server.close(), server.closeAllConnections()));
  const member = {
    incarnation,
    processId: `process-${peers}`,
    host: "127.0.0.1",
    internalPort: (server.address() as AddressInfo).port,
  } as Member;
  return { member, heard, server };
}

function asker(
  members: readonly Member[],
  whereIs: () => Promise<Location | undefined>,
  clusterKey = KEY,
  self = "asker" as Incarnation,
): DirectLine {
  const view = (): View => ({ version: 1, members });
  const line = new DirectLine({ config: configFor(clusterKey), clock: systemClock, self, view, whereIs });
  closing.push(() => line.stop());
  return line;
}

const request: Request = { to: "$room", method: "add", args: [1, { a: null }] };
const patience = (): AbortSignal => AbortSignal.timeout(2_000);
const late: Reply = [1, "ipc_timeout"];

test("[RED2] a request is answered by the node that has the room, and arrives as it was", async () => {
  const there = await peer(() => Promise.resolve([0, { sum: 2 }]));
  const line = asker([there.member], () => Promise.resolve({ at: "peer", member: there.member }));
  expect(await line.ask(request, patience())).toEqual([0, { sum: 2 }]);
  expect(there.heard).toEqual([request]);
  expect(await line.rowOf("x" as never)).toMatchObject({ roomId: "x" });
  expect(await line.rowsOfOthers()).toHaveLength(1);
  const plain = await fetch(`http://127.0.0.1:${there.member.internalPort}/anything`);
  expect(await plain.text(), "what is not the line's is left to others").toBe("others");
});

test("[GATE8] a row says where its room has answered since it was read, and nothing of what came before", async () => {
  const [first, second] = [
    await peer(() => Promise.resolve([0, 1])),
    await peer(() => Promise.resolve([0, 2])),
  ];
  let { member } = first;
  const line = asker([], () => Promise.resolve({ at: "peer", member }));
  const whereabouts = new RoomWhereabouts(() => ({ processId: "asker" }));
  line.listen(http.createServer(), {
    deliver: () => Promise.resolve(undefined),
    ownRows: () => [],
    whereabouts,
  });
  const read = (publicAddress?: string): IRoomCache =>
    whereabouts.follow({ roomId: "room", processId: "dead", publicAddress } as IRoomCache);
  const told = ({ processId, publicAddress }: IRoomCache): unknown => ({ processId, publicAddress });
  const at = ({ incarnation }: Member): unknown => ({
    processId: incarnation,
    publicAddress: `play/${incarnation}`,
  });
  const older = read("play/dead");
  expect(told(older)).toEqual({ processId: "dead", publicAddress: "play/dead" });
  await line.ask({ ...request, to: "$other" }, patience());
  expect(told(older), "another room has answered").toEqual({ processId: "dead", publicAddress: "play/dead" });
  await line.ask(request, patience());
  expect(told(older)).toEqual(at(first.member));
  const newer = read();
  expect(told(newer), "read after that").toEqual({ processId: "dead", publicAddress: undefined });
  member = second.member;
  await line.ask(request, patience());
  expect(told(older)).toEqual(at(second.member));
  expect(told(newer)).toEqual(at(second.member));
  expect(JSON.parse(JSON.stringify(newer)), "as it is sent to others").toEqual({
    roomId: "room",
    ...(at(second.member) as object),
  });
});

test("[RED2] nobody is heard without the cluster's key, and nothing that cannot be read ends the process", async () => {
  const there = await peer(() => Promise.resolve([0, 1]));
  const stranger = asker(
    [there.member],
    () => Promise.resolve({ at: "peer", member: there.member }),
    "another key of any length",
  );
  expect(await stranger.ask(request, AbortSignal.timeout(200))).toEqual(late);
  const url = `http://127.0.0.1:${there.member.internalPort}/ringside/call`;
  const headers = { "x-ringside-key": KEY, "x-ringside-call-version": "1" };
  const bodies = ["", "}{", "null", "[]", "7", `{"to":7}`, `["add","$room",[]]`, `{"to":"$room","args":{}}`];
  for (const body of [...bodies, "[".repeat(1_000_000)]) {
    expect((await fetch(url, { method: "POST", headers, body })).status, body.slice(0, 50)).toBe(400);
  }
  const body = JSON.stringify(request);
  expect((await fetch(url, { method: "POST", body })).status, "without the key").toBe(404);
  expect((await fetch(url, { headers })).status).toBe(404);
  expect(there.heard).toEqual([]);
});

test("a request that certainly found nobody goes to where the room is by now, once", async () => {
  const gone = await peer(() => Promise.resolve([0, "gone"]));
  gone.server.close();
  gone.server.closeAllConnections();
  const opening = await peer(() =>
    Promise.resolve(opening.heard.length < 3 ? undefined : ([0, "open"] as const)),
  );
  const places = [gone.member, gone.member, opening.member];
  const line = asker([], () =>
    Promise.resolve({ at: "peer", member: places.length > 1 ? (places.shift() as Member) : opening.member }),
  );
  expect(await line.ask(request, patience())).toEqual([0, "open"]);
  expect(opening.heard).toHaveLength(3);
});

test("a request that may have been carried out is not sent again", async () => {
  const breaking = await peer(() => {
    breaking.server.closeAllConnections();
    return Promise.resolve([0, "never arrives"]);
  });
  const line = asker([breaking.member], () => Promise.resolve({ at: "peer", member: breaking.member }));
  expect(await line.ask(request, patience())).toEqual(late);
  expect(breaking.heard).toHaveLength(1);
});

test("a room that has ended, and a process that is gone, are told of at once", async () => {
  const line = asker([], () => Promise.resolve({ at: "gone" }));
  const fromMs = performance.now();
  expect(await line.ask(request, patience())).toEqual(late);
  expect(await line.ask({ ...request, to: "p:nobody" }, patience())).toEqual(late);
  expect(await line.rowOf("x" as never)).toBeUndefined();
  expect(performance.now() - fromMs).toBeLessThan(500);
});

test("when nobody can say where a room is, all are asked, and only who has it takes the request", async () => {
  const without = await peer(() => Promise.resolve(undefined));
  const having = await peer(() => Promise.resolve([0, "mine"]));
  const line = asker([without.member, having.member], () => Promise.resolve(undefined));
  expect(await line.ask(request, patience())).toEqual([0, "mine"]);
  await expect(line.rowOf("none" as never)).rejects.toThrow(/cannot be found out/u);
});

test("who waits no longer lets go of both ends, and a peer that is silent holds up nobody's listing", async () => {
  const { promise: abandoned, resolve } = Promise.withResolvers<void>();
  const silent = await peer((_request, signal) => {
    signal.addEventListener("abort", () => resolve());
    return new Promise(() => {});
  });
  const line = asker([silent.member], () => Promise.resolve({ at: "peer", member: silent.member }));
  expect(await line.ask(request, AbortSignal.timeout(100))).toEqual(late);
  await abandoned;
});

test("an answer that cannot be told is an error for the asker, and no more", async () => {
  const circle: Record<string, unknown> = {};
  circle["self"] = circle;
  const there = await peer(() => Promise.resolve([0, circle]));
  const line = asker([there.member], () => Promise.resolve({ at: "peer", member: there.member }));
  expect(await line.ask(request, patience())).toEqual([1, expect.stringMatching(/cannot be told/u)]);
});

test("[IPC1] another version is told so, in words, and nothing is carried out", async () => {
  const there = await peer(() => Promise.resolve([0, 1]));
  const url = `http://127.0.0.1:${there.member.internalPort}/ringside/call`;
  for (const version of [undefined, "0", "2", "x"]) {
    const headers = {
      "x-ringside-key": KEY,
      ...(version === undefined ? {} : { "x-ringside-call-version": version }),
    };
    const response = await fetch(url, { method: "POST", headers, body: JSON.stringify(request) });
    expect(response.status).toBe(409);
    expect(await response.json()).toEqual({ error: expect.stringMatching(/version 1/u) as string });
  }
  expect(there.heard).toEqual([]);
});

test("[IPC1] a request or an answer that cannot be told, or is too large, is an error for the asker, and no more", async () => {
  const circle: Record<string, unknown> = {};
  circle["self"] = circle;
  const there = await peer(() => Promise.resolve([0, "x".repeat(17 * 1024 * 1024)]));
  const line = asker([there.member], () => Promise.resolve({ at: "peer", member: there.member }));
  const failed = [1, expect.stringMatching(/cannot be told/u)];
  expect(await line.ask(request, patience())).toEqual(failed);
  expect(await line.ask({ ...request, args: [circle] }, patience())).toEqual(failed);
  expect(await line.ask({ ...request, args: [1n] }, patience())).toEqual(failed);
  expect(there.heard).toHaveLength(1);
});

test("past its bound, a request is answered at once instead of waiting", async () => {
  const line = asker([], () => new Promise(() => {}));
  const waiting = Array.from({ length: 10_000 }, () => line.ask(request, patience()));
  expect(await line.ask(request, patience())).toEqual(late);
  expect(waiting).toHaveLength(10_000);
});
