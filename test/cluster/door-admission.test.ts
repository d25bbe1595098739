// What happens when many players come at once: returning ones first, nobody forgotten, nobody who plays disturbed.

import { expect, test } from "vitest";
import { startCluster } from "../kit/cluster.ts";
import { RawSocket } from "../kit/raw-socket.ts";
import { until } from "../kit/until.ts";

async function refusals(port: number, why: string): Promise<number> {
  const text = await (await fetch(`http://127.0.0.1:${port}/metrics`)).text();
  return Number(new RegExp(`ringside_door_refused_total\\{why="${why}"\\} (\\d+)`).exec(text)?.[1]);
}

test("[DOOR8] all of a dead gateway's players are back, though they come at once and only few are let in at a time", async () => {
  await using cluster = await startCluster({
    game: "kit/probe-game.ts",
    nodes: 3,
    roles: { "node-a": "gateway", "node-b": "gateway", "node-c": "rooms" },
    env: { ADMISSIONS_AT_ONCE: "2" },
  });
  const [dying, other] = [cluster.node("node-a"), cluster.node("node-b")];
  const bystander = await cluster.place({ gateway: other });
  const players: RawSocket[] = [];
  for (let count = 0; count < 20; count++)
    players.push(await RawSocket.join(dying, bystander.roomId, { name: `p${count}` }));
  const broken = players.map(({ closed }) => closed);
  await dying.kill();
  await Promise.all(broken);
  const newcomer = RawSocket.join(other, bystander.roomId, { name: "new" });
  const back = await Promise.all(players.map((player) => player.rejoin(other)));
  expect(back.filter(({ isOpen }) => isOpen)).toHaveLength(20);
  expect((await newcomer).isOpen).toBe(true);
  await bystander.untilTicking();
  bystander.expectUndisturbed();
});

test("[DOOR8] beyond the queue a player is told to come again, by what the SDK takes for that", async () => {
  await using cluster = await startCluster({
    game: "kit/probe-game.ts",
    nodes: 1,
    env: { ADMISSIONS_AT_ONCE: "1", UPGRADES_HELD_MAX: "1" },
  });
  const [node] = cluster.nodes;
  if (node === undefined) throw new Error("there is a node");
  const answers = await Promise.all(
    Array.from({ length: 40 }, async () => {
      const response = await fetch(`http://127.0.0.1:${node.publicPort}/matchmake/joinOrCreate/probe`, {
        method: "POST",
      });
      return { status: response.status, retryAfter: response.headers.get("retry-after") };
    }),
  );
  const refused = answers.filter(({ status }) => status !== 200);
  expect(refused.length).toBeGreaterThan(0);
  expect(new Set(refused.map((answer) => JSON.stringify(answer)))).toEqual(
    new Set([JSON.stringify({ status: 503, retryAfter: "1" })]),
  );
  expect(await refusals(node.managementPort, "queue")).toBe(refused.length);
  // And then there is room again.
  await until("a player gets in", async () => {
    const player = await cluster.client(node).joinOrCreate("probe", { name: "ada" });
    return player.leave();
  });
});
