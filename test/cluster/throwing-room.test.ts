// An author's code throws wherever it can. It costs nobody else anything.

import { expect, test } from "vitest";
import { startCluster } from "../kit/cluster.ts";
import type { Trap } from "../kit/probe-room.ts";
import { comeback, expectOneOwner } from "../kit/proofs.ts";
import { until } from "../kit/until.ts";

test("[ROOM1] what a room throws in a tick, timer, message, patch, leave or save stays in it, and is reported", async () => {
  await using cluster = await startCluster({
    game: "kit/probe-game.ts",
    nodes: 2,
    env: { CHECKPOINT_MS: "100" },
  });
  const [owner, other] = [cluster.node("node-a"), cluster.node("node-b")];
  const player = await cluster.place({ owner, gateway: owner, room: "throwing" });
  const neighbour = await cluster.place({ owner, gateway: other });

  const threw = (where: RegExp, by: Trap): Promise<unknown> =>
    cluster.events.next(
      "room:threw",
      (facts) =>
        facts.roomId === player.roomId && where.test(facts.where) && facts.error.includes(`thrown by ${by}`),
    );

  const traps: [Trap, RegExp, () => unknown][] = [
    ["tick", /tick/, () => undefined],
    ["timer", /timer/, () => undefined],
    ["onBeforePatch", /onBeforePatch/, () => player.send("add", 1)],
    ["onCacheRoom", /checkpoint/, () => player.send("add", 1)],
    [
      "onLeave",
      /onLeave/,
      async () => (await cluster.joinTo(player, other, { name: "leaves" })).room.leave(),
    ],
    [
      "onDrop",
      /onDrop/,
      async () => {
        const drops = await cluster.joinTo(player, other, { name: "drops" });
        drops.room.reconnection.enabled = false;
        drops.room.connection.close(3_000);
      },
    ],
  ];
  for (const [trap, where, spring] of traps) {
    const reported = threw(where, trap);
    player.send("trap", trap);
    await player.ask("sum"); // the trap is set
    await spring();
    await reported;
    player.send("calm");
    await player.untilTicking(); // the room goes on
    await neighbour.untilTicking();
  }

  // A message's handler and a promise that nobody awaits.
  player.send("trap", "message");
  player.send("throw");
  await expect(player.ask("throw")).rejects.toThrow();
  player.send("trap", "rejection");
  await player.ask("sum");
  await player.untilTicking();
  player.send("calm");

  expect(cluster.nodes).toHaveLength(2);
  player.expectUndisturbed();
  neighbour.expectUndisturbed();
  await player.inSync();
  await neighbour.inSync();
  expect(await expectOneOwner(cluster, player, 1)).toBe(owner);
  expect(await expectOneOwner(cluster, neighbour, 1)).toBe(owner);
});

test("[ROOM1] [SEAT4] hooks that throw while a restored room lets go of seats harm nobody", async () => {
  await using cluster = await startCluster({
    game: "kit/probe-game.ts",
    nodes: 2,
    env: { CHECKPOINT_MS: "100", SEAT_HOLD_MS: "1000" },
  });
  const [owner, other] = [cluster.node("node-a"), cluster.node("node-b")];
  const player = await cluster.place({
    owner,
    gateway: other,
    room: "throwing",
    options: { holdSeconds: 1 },
  });
  const goes = await cluster.joinTo(player, owner, { name: "goes" }); // whose connection ends with the owner
  await player.inSync();
  await cluster.untilSaved(player.roomId);
  goes.room.reconnection.enabled = false;
  const back = comeback(cluster, player);
  const lapsed = cluster.events.next("seat:lapsed", ({ sessionId }) => sessionId === goes.sessionId);
  const threw = cluster.events.next("room:threw", ({ where }) => where === "onLeave");
  await owner.kill();
  await until("the player is back", () => player.returns === 1);
  player.send("trap", "onLeave");
  await lapsed;
  await threw;
  expect(await back).toMatchObject({ seats: 2, back: 1 });
  const after = await player.inSync();
  expect(Object.keys(after.players)).toEqual([player.sessionId]);
  await player.untilTicking();
});
