// Limits of users who are signed in: they are theirs wherever they come from, and nobody else's behind the same address.

import { Client } from "@colyseus/sdk";
import { expect, test } from "vitest";
import { startCluster, type TestCluster, type TestNode } from "../kit/cluster.ts";

/** See door-limits.test.ts. */
const STEADY = { REDIS_MS: "5000", TRUSTED_PROXIES: "127.0.0.0/8" };

/** A guest's client at any node and from any address, all with the same login. */
async function guest(cluster: TestCluster): Promise<(node: TestNode, address: string) => Client> {
  const make = (node: TestNode, address: string): Client => {
    const client = new Client(`ws://127.0.0.1:${node.publicPort}`, {
      headers: { "x-forwarded-for": address },
    });
    client.auth.token = undefined as unknown as string; // the SDK keeps the last one for all clients of a page
    return client;
  };
  const [node] = cluster.nodes;
  if (node === undefined) throw new Error("there are nodes");
  const { token } = (await make(node, "203.0.113.250").auth.signInAnonymously()) as { token: string };
  return (at, address) => {
    const client = make(at, address);
    client.auth.token = token;
    return client;
  };
}

test("[DOOR5] [DOOR6] a user's rooms and open seats are counted wherever they come from; a neighbour's are their own", async () => {
  await using cluster = await startCluster({
    game: "kit/auth-game.ts",
    nodes: 2,
    env: { ...STEADY, ROOMS_PER_USER: "3", OPEN_SEATS_PER_USER: "2" },
  });
  const [a, b] = cluster.nodes as [TestNode, TestNode];
  const [ada, bob] = [await guest(cluster), await guest(cluster)];
  const rooms = [];
  for (let count = 0; count < 3; count++) {
    rooms.push(await ada(count % 2 === 0 ? a : b, `203.0.113.${count}`).create("plain"));
  }
  await expect(ada(b, "203.0.113.9").create("plain")).rejects.toThrow(/too many rooms/);
  const roomId = rooms[0]?.roomId ?? "";
  const reserve = async (who: typeof ada, node: TestNode, address: string): Promise<number> =>
    who(node, address)
      .http.post(`/matchmake/joinById/${roomId}`, { body: {} })
      .then(
        ({ status }) => status,
        (error: { status?: number; code?: number }) => error.status ?? error.code ?? 0,
      );
  expect(await reserve(ada, a, "203.0.113.10")).toBe(200);
  expect(await reserve(ada, b, "203.0.113.11")).toBe(200);
  expect(await reserve(ada, a, "203.0.113.12"), "two are open already").toBe(429);
  expect(await reserve(bob, a, "203.0.113.12"), "of somebody else").toBe(200);
  expect((await bob(b, "203.0.113.0").create("plain")).connection.isOpen, "from ada's own address").toBe(
    true,
  );
});

test("[DOOR5] signing in has a limit for each address, so that nobody is many by being somebody else each time", async () => {
  await using cluster = await startCluster({
    game: "kit/auth-game.ts",
    nodes: 2,
    env: { ...STEADY, SIGN_INS_PER_ADDRESS: "4" },
  });
  const signIn = async (index: number, address: string): Promise<number> => {
    const node = cluster.nodes[index % 2] as TestNode;
    const response = await fetch(`http://127.0.0.1:${node.publicPort}/auth/anonymous`, {
      method: "POST",
      headers: { "content-type": "application/json", "x-forwarded-for": address },
      body: "{}",
    });
    return response.status;
  };
  const statuses = await Promise.all(Array.from({ length: 10 }, (_, index) => signIn(index, "203.0.113.1")));
  expect(statuses.filter((status) => status === 200)).toHaveLength(4);
  expect(statuses.filter((status) => status === 429)).toHaveLength(6);
  expect(await signIn(0, "203.0.113.2")).toBe(200);
});
