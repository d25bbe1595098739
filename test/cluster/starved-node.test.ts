// Nodes that live and are slow: other processes want every core, or a room's own code holds the event loop. Slow is not
// dead.

import { expect, test } from "vitest";
import { startCluster } from "../kit/cluster.ts";
import { Hogs } from "../kit/hogs.ts";
import { expectOneOwner } from "../kit/proofs.ts";
import { until } from "../kit/until.ts";
import { expectNoAlarm, expectOneVoice, Witness } from "../kit/witness.ts";

const LEASE_MS = 1_500;
const GAME = {
  game: "kit/witness-game.ts",
  env: {
    LEASE_MS: String(LEASE_MS),
    LEASE_RENEW_MS: "150",
    LEASE_MARGIN_MS: "100",
    CHECKPOINT_MS: "100",
  },
};
test("[OWN6] every core taken twice over by other processes: nobody is called dead, and play goes on", async () => {
  await using cluster = await startCluster(GAME);
  const witnesses: Witness[] = [];
  for (const owner of cluster.nodes) {
    const gateway = cluster.others(owner)[0] ?? owner;
    witnesses.push(new Witness(await cluster.place({ owner, gateway })));
  }
  await using hogs = await Hogs.start();
  const from = witnesses.map(({ player }) => player.tick);
  // Six seconds of play, by the rooms' own count.
  await until(
    "the rooms go on",
    () => witnesses.every(({ player }, index) => player.tick > (from[index] ?? 0) + 120),
    {
      ms: 40_000,
      seen: () => witnesses.map(({ player }) => player.tick),
    },
  );
  for (const { player } of witnesses) expect(await player.ask("add", 1)).toBe(1);
  const shares = await hogs.stop();
  // Each would have had a core of its own: that none had tells that there was none left, for anybody.
  expect(Math.max(...shares), "how much of a core any of them got").toBeLessThan(0.95);
  expectNoAlarm(cluster, ...witnesses);
  for (const witness of witnesses) {
    witness.player.expectUndisturbed();
    expectOneVoice(witness);
    await expectOneOwner(cluster, witness.player, 1);
  }
});

test("[OWN4] [OWN6] a room's code holds its node for half a lease, again and again: nobody is called dead", async () => {
  await using cluster = await startCluster(GAME);
  const [owner, other] = [cluster.node("node-a"), cluster.node("node-b")];
  const careless = new Witness(await cluster.place({ owner, gateway: other }));
  const neighbour = new Witness(await cluster.place({ owner, gateway: owner }));
  const bystander = new Witness(await cluster.place({ owner: other, gateway: other }));
  const stalls: number[] = [];
  const from = Date.now();
  for (let each = 0; each < 6; each++) {
    stalls.push(await careless.player.ask<number>("stall", LEASE_MS / 2));
    await neighbour.player.untilTicking(); // one at a time: two in a row are a stall of a whole lease
  }
  expect(Math.min(...stalls), "ms without an event loop").toBeGreaterThanOrEqual(LEASE_MS / 2);
  expect(neighbour.silenceMs(from), "the neighbour's room stood still").toBeGreaterThan(LEASE_MS / 2 - 100);
  for (const witness of [careless, neighbour, bystander]) {
    await witness.player.untilTicking();
    await witness.player.inSync();
    expectOneVoice(witness);
    await expectOneOwner(cluster, witness.player, 1);
  }
  expect(bystander.silenceMs(from), "the other node's room").toBeLessThan(LEASE_MS / 2);
  expectNoAlarm(cluster, careless, neighbour, bystander);
  for (const { player } of [careless, neighbour, bystander]) player.expectUndisturbed();
});
