// How a node that leaves offers its rooms to the next owner, over a real port.

import http from "node:http";
import type { AddressInfo } from "node:net";
import { afterEach, beforeEach, expect, test } from "vitest";
import type { Config } from "../../src/config.ts";
import { createInternalServer } from "../../src/gateway/internal-server.ts";
import type { Incarnation, NodeId, RoomId } from "../../src/ids.ts";
import type { Member } from "../../src/membership/view.ts";
import { Ring } from "../../src/placement/ring.ts";
import { Handover, TAKE_PATH } from "../../src/recovery/handover.ts";

const KEY = "a key of some length";
const SELF = "me-1" as Incarnation;
const ROOM = "room-1" as RoomId;
const FOREVER_MS = 60_000;

let server: http.Server;
let port = 0;
let asked: RoomId[] = [];
let opened = Promise.withResolvers<unknown>();

beforeEach(async () => {
  asked = [];
  opened = Promise.withResolvers();
  server = createInternalServer({
    clusterKey: KEY,
    self: "other-1" as Incarnation,
    places: () => undefined,
    onLinked: () => {},
    promise: () => ({ kind: "silent" }),
    take: (roomId) => {
      asked.push(roomId);
      return opened.promise;
    },
    answers: {},
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  port = (server.address() as AddressInfo).port;
});

afterEach(() => {
  server.closeAllConnections();
  return new Promise((resolve) => server.close(resolve));
});

function handoverTo(incarnation: string, clusterKey = KEY): Handover {
  const member: Member = {
    nodeId: "other" as NodeId,
    incarnation: incarnation as Incarnation,
    processId: "p",
    host: "127.0.0.1",
    publicPort: 1,
    internalPort: port,
    managementPort: 1,
    state: "up",
  };
  const ring = new Ring({ version: 1, members: [member] });
  return new Handover({ config: { clusterKey } as Config, self: SELF, ring: () => ring });
}

test("[MOVE2] an offer is answered when the room is open at its next owner, and not before", async () => {
  const handover = handoverTo("other-1");
  let isAnswered = false;
  const offered = handover.offer(ROOM, FOREVER_MS).then(() => (isAnswered = true));
  while (asked.length === 0) await new Promise(setImmediate);
  expect(asked).toEqual([ROOM]);
  for (let turn = 0; turn < 20; turn++) await new Promise(setImmediate);
  expect(isAnswered).toBe(false);
  opened.resolve(undefined);
  await offered;
  handover.stop();
});

test("[MOVE2] whoever leaves does not wait for a next owner that refuses, is silent or is not there", async () => {
  const handover = handoverTo("other-1");
  opened.promise.catch(() => {});
  opened.reject(new Error("the class of the room is not known here"));
  await handover.offer(ROOM, FOREVER_MS);
  opened = Promise.withResolvers();
  await handover.offer(ROOM, 20.5);
  expect(asked.length).toBe(2);
  server.closeAllConnections();
  await new Promise((resolve) => server.close(resolve));
  await handover.offer(ROOM, FOREVER_MS);
  handover.stop();
});

test("[MOVE2] without the cluster's key, or with something that is no room, nothing is opened", async () => {
  const stranger = handoverTo("other-1", "another key");
  await stranger.offer(ROOM, FOREVER_MS);
  stranger.stop();
  const handover = handoverTo("other-1");
  await handover.offer("../room" as RoomId, FOREVER_MS);
  handover.stop();
  expect(asked).toEqual([]);
  // To itself nobody offers anything.
  await handoverTo(SELF).offer(ROOM, FOREVER_MS);
  expect(TAKE_PATH.endsWith("/")).toBe(true);
  expect(asked).toEqual([]);
});
