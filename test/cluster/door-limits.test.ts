// How much one address or one user may take from all the others, on real nodes with the stock SDK. Players come from where a
// trusted proxy says: the limits do not count by loopback.

import { Client } from "@colyseus/sdk";
import { expect, test } from "vitest";
import { startCluster, type ClusterOptions, type TestCluster, type TestNode } from "../kit/cluster.ts";
import { head, say } from "../kit/raw-http.ts";
import { until } from "../kit/until.ts";

/** A machine that is busy with tests must not look like a Redis that is away, for which each node would count by itself. */
const STEADY = { REDIS_MS: "5000" };

const start = (env: Record<string, string>, more: ClusterOptions = {}): Promise<TestCluster> =>
  startCluster({
    game: "kit/door-game.ts",
    nodes: 2,
    ...more,
    env: { ...STEADY, TRUSTED_PROXIES: "127.0.0.0/8", ...env },
  });

const from = (node: TestNode, address: string): Client =>
  new Client(`ws://127.0.0.1:${node.publicPort}`, { headers: { "x-forwarded-for": address } });

async function ask(
  node: TestNode,
  address: string,
  path: string,
): Promise<{ status: number; retryAfter: number; code: unknown }> {
  const response = await fetch(`http://127.0.0.1:${node.publicPort}${path}`, {
    method: "POST",
    headers: { "content-type": "application/json", "x-forwarded-for": address },
    body: "{}",
  });
  const body = (await response.json()) as { code?: unknown };
  return {
    status: response.status,
    retryAfter: Number(response.headers.get("retry-after")),
    code: body.code,
  };
}

async function refusals(cluster: TestCluster, why: string): Promise<number> {
  const counts = await Promise.all(
    cluster.nodes.map(async (node) => {
      const text = await (await fetch(`http://127.0.0.1:${node.managementPort}/metrics`)).text();
      return Number(new RegExp(`ringside_door_refused_total\\{why="${why}"\\} (\\d+)`).exec(text)?.[1]);
    }),
  );
  return counts.reduce((sum, count) => sum + count, 0);
}

test("[DOOR6] one address cannot keep a room full by reserving its seats, at whichever nodes, and is told so", async () => {
  await using cluster = await start({});
  const nodes = cluster.nodes;
  const room = await from(nodes[0]!, "203.0.113.1").create("door");
  const answers = await Promise.all(
    Array.from({ length: 60 }, (_, index) =>
      ask(nodes[index % 2]!, "203.0.113.66", `/matchmake/joinById/${room.roomId}`),
    ),
  );
  const refused = answers.filter(({ status }) => status !== 200);
  expect(refused.length, "of 60").toBeGreaterThanOrEqual(30);
  for (const { status, code, retryAfter } of refused) {
    expect({ status, code }).toEqual({ status: 429, code: "TOO_MANY_SEATS" });
    expect(retryAfter).toBeGreaterThan(0);
  }
  expect(await refusals(cluster, "address-seats")).toBe(refused.length);
  // The SDK shows the reason.
  await expect(from(nodes[1]!, "203.0.113.66").joinById(room.roomId)).rejects.toThrow(
    /seats are reserved and not taken/,
  );
  const other = await from(nodes[1]!, "203.0.113.2").joinById(room.roomId);
  expect(other.connection.isOpen, "there are seats for others").toBe(true);
});

test("[DOOR6] who takes their seats may have as many as they like, over both nodes, and from one address", async () => {
  await using cluster = await start({ OPEN_SEATS_PER_ADDRESS: "3" });
  const [a, b] = cluster.nodes as [TestNode, TestNode];
  const { roomId } = await from(a, "203.0.113.1").create("door");
  for (let player = 0; player < 12; player++) {
    // Reserved at one node, taken at the other, as behind a load balancer.
    const reservation = await from(a, "203.0.113.1").http.post(`/matchmake/joinById/${roomId}`, { body: {} });
    const room = await from(b, "203.0.113.1").consumeSeatReservation(reservation.data as never);
    expect(room.connection.isOpen).toBe(true);
  }
  // One that cannot be had leaves nothing behind.
  for (let time = 0; time < 12; time++) {
    const { status } = await ask(a, "203.0.113.1", "/matchmake/joinById/no-such-room");
    expect(status).not.toBe(429);
  }
});

test("[DOOR5] joins, rooms and connections have a limit for each address; another's does not count, nor what the game makes by itself", async () => {
  await using cluster = await start({
    JOINS_PER_ADDRESS: "12",
    ROOMS_PER_ADDRESS: "4",
    UPGRADES_PER_ADDRESS: "6",
    OPEN_SEATS_PER_ADDRESS: "0",
  });
  const [a, b] = cluster.nodes as [TestNode, TestNode];
  const creations = [];
  for (let index = 0; index < 8; index++)
    creations.push(await ask(index % 2 === 0 ? a : b, "203.0.113.1", "/matchmake/create/door"));
  expect(creations.map(({ status }) => status)).toEqual([200, 200, 200, 200, 429, 429, 429, 429]);
  expect(creations[4]?.retryAfter).toBeGreaterThan(0);
  await expect(from(b, "203.0.113.1").create("door")).rejects.toThrow(/too many rooms/);
  expect(await refusals(cluster, "address-rooms")).toBe(5);
  expect((await ask(a, "203.0.113.1", "/make-room")).status, "a route of the game, for the same player").toBe(
    500,
  );
  const joins = [];
  for (let index = 0; index < 5; index++)
    joins.push((await ask(a, "203.0.113.1", "/matchmake/join/door")).code);
  expect(joins.slice(-2), "the thirteenth and what follows").toEqual(["TOO_OFTEN", "TOO_OFTEN"]);
  expect((await ask(b, "203.0.113.2", "/matchmake/create/door")).status).toBe(200);

  const room = await from(a, "203.0.113.3").create("door");
  for (let player = 0; player < 5; player++) await from(a, "203.0.113.3").joinById(room.roomId);
  await expect(from(a, "203.0.113.3").joinById(room.roomId)).rejects.toThrow();
  expect(await refusals(cluster, "address-upgrades")).toBe(1);
  expect(room.connection.isOpen, "those who are connected stay").toBe(true);
});

test("[DOOR5] rooms have a limit in all, also for this machine itself", async () => {
  await using cluster = await startCluster({
    game: "kit/door-game.ts",
    nodes: 2,
    env: { ...STEADY, ROOMS_IN_ALL: "5" },
  });
  const answers = await Promise.all(
    Array.from({ length: 20 }, async (_, index) => {
      const node = cluster.nodes[index % 2]!;
      const response = await fetch(`http://127.0.0.1:${node.publicPort}/matchmake/create/door`, {
        method: "POST",
      });
      return response.status;
    }),
  );
  expect(answers.filter((status) => status === 200)).toHaveLength(5);
  expect(answers.filter((status) => status === 429)).toHaveLength(15);
  await until("no more than those are there", async () => (await cluster.report()).rooms.length === 5);
});

test("[DOOR5] requests of one address have a limit; the default is none that a page or a party would notice", async () => {
  await using cluster = await start({ REQUESTS_PER_ADDRESS: "20" }, { nodes: 1 });
  const [node] = cluster.nodes as [TestNode];
  const get = async (address: string): Promise<number> =>
    (await fetch(`http://127.0.0.1:${node.publicPort}/whoami`, { headers: { "x-forwarded-for": address } }))
      .status;
  const statuses = await Promise.all(Array.from({ length: 50 }, () => get("203.0.113.1")));
  expect(statuses.filter((status) => status === 200)).toHaveLength(20);
  expect(statuses.filter((status) => status === 429)).toHaveLength(30);
  expect(await get("203.0.113.2")).toBe(200);
});

test("[DOOR5] [DOOR6] a party of fifty behind one address joins at once, with nothing set", async () => {
  await using cluster = await start({});
  const [a, b] = cluster.nodes as [TestNode, TestNode];
  const { roomId } = await from(a, "203.0.113.9").create("door");
  const rooms = await Promise.all(
    Array.from({ length: 49 }, (_, index) => from(index % 2 === 0 ? a : b, "203.0.113.9").joinById(roomId)),
  );
  expect(rooms.filter(({ connection }) => connection.isOpen)).toHaveLength(49);
});

test("[DOOR5] no spelling of its path leads a join past what is counted, also where the game has no Express", async () => {
  await using cluster = await start({ JOINS_PER_ADDRESS: "3" }, { nodes: 1, game: "kit/limits-game.ts" });
  const [node] = cluster.nodes as [TestNode];
  const statusOf = async (path: string): Promise<string> => {
    const headers = ["Host: x", "X-Forwarded-For: 203.0.113.7", "Content-Type: application/json"];
    const answer = await say(
      node.publicPort,
      `${head(`POST ${path} HTTP/1.1`, ...headers, "Content-Length: 2")}{}`,
    );
    return answer.slice(9, 12);
  };
  const spellings = [
    "/x/../matchmake/create/probe",
    "/./matchmake/create/probe",
    "/matchmake/./create/probe",
    "/x/%2e%2E/matchmake/create/probe",
    "/matchmake/x/../create/probe",
    "//matchmake/create/probe",
    "/%6Datchmake/create/probe",
    "/MATCHMAKE/create/probe",
  ];
  const answers = new Map<string, string>();
  for (const path of spellings) answers.set(path, await statusOf(path));
  for (const [path, status] of answers) expect(["400", "404", "429"], path).toContain(status);
  expect((await cluster.report()).rooms).toEqual([]);
});
