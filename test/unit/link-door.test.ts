// How a link comes to be: only with the key, the version and the incarnation that is meant; whoever lacks one is told which.

import type { AddressInfo } from "node:net";
import http from "node:http";
import type { Duplex } from "node:stream";
import { afterEach, beforeEach, expect, test } from "vitest";
import { createInternalServer } from "../../src/gateway/internal-server.ts";
import { callOwner, PLAYERS_PATH } from "../../src/gateway/link-door.ts";
import type { GatewayPlaces } from "../../src/gateway/gateway-places.ts";
import type { Incarnation, NodeId } from "../../src/ids.ts";
import type { Member } from "../../src/membership/view.ts";

const KEY = "0123456789abcdef";
const SELF = "11111111-1111-4111-8111-111111111111" as Incarnation;

let accepted: Buffer[];
let server: http.Server;

beforeEach(async () => {
  accepted = [];
  const places = {
    accept: (socket: NodeJS.WritableStream & { destroy(): void }, head: Buffer) => {
      accepted.push(head);
      socket.destroy();
    },
  };
  server = createInternalServer({
    clusterKey: KEY,
    self: SELF,
    places: () => places as unknown as GatewayPlaces, // of which nothing else is called here
    onLinked: () => {},
    promise: () => ({ kind: "silent" }),
    take: () => Promise.resolve(),
    answers: {},
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
});

afterEach(() => new Promise((resolve) => server.close(resolve)));

const member = (incarnation: Incarnation): Member => ({
  nodeId: "node-a" as NodeId,
  incarnation,
  processId: "p",
  host: "127.0.0.1",
  publicPort: 1,
  internalPort: (server.address() as AddressInfo).port, // it listens on a port
  managementPort: 2,
  state: "up",
});

test("with the key, the version and the incarnation there is a link", async () => {
  const { socket } = await callOwner(member(SELF), KEY, 2_000);
  expect(accepted).toHaveLength(1);
  socket.destroy();
});

test("without the key there is none", async () => {
  await expect(callOwner(member(SELF), "another key, as long as it", 2_000)).rejects.toThrow(/403/);
  expect(accepted).toEqual([]);
});

test("nor to another incarnation: the answer says who is there", async () => {
  const former = "22222222-2222-4222-8222-222222222222" as Incarnation;
  await expect(callOwner(member(former), KEY, 2_000)).rejects.toThrow(`this is ${SELF}, not ${former}`);
  expect(accepted).toEqual([]);
});

test("nor between two versions: the answer names both", async () => {
  const answered = await new Promise<string>((resolve, reject) => {
    const request = http.request({
      host: "127.0.0.1",
      port: member(SELF).internalPort,
      path: PLAYERS_PATH,
      headers: {
        connection: "Upgrade",
        upgrade: "ringside-players",
        "x-ringside-key": KEY,
        "x-ringside-incarnation": SELF,
        "x-ringside-link-version": "999",
      },
    });
    request.on("error", reject);
    request.on("response", (response) => {
      let text = `${response.statusCode}: `;
      response.on("data", (part: Buffer) => (text += part.toString()));
      response.on("end", () => resolve(text));
    });
    request.end();
  });
  expect(answered).toBe("409: this node speaks version 1 of the players' link, the caller version 999");
  expect(accepted).toEqual([]);
});

test("a port that answers nothing is given up in time", async () => {
  const silent = http.createServer();
  const held: Duplex[] = [];
  silent.on("upgrade", (_request, socket) => held.push(socket));
  await new Promise<void>((resolve) => silent.listen(0, "127.0.0.1", resolve));
  const { port } = silent.address() as AddressInfo;
  await expect(callOwner({ ...member(SELF), internalPort: port }, KEY, 100)).rejects.toThrow(/100 ms/);
  for (const socket of held) socket.destroy();
  await new Promise((resolve) => silent.close(resolve));
});
