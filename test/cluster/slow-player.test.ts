// Players who read slowly: they cost the owner and the others nothing, and what they see is right all the same.

import { expect, test } from "vitest";
import { Client } from "@colyseus/sdk";
import { startCluster } from "../kit/cluster.ts";
import { Player } from "../kit/player.ts";
import { SlowLine } from "../kit/slow-line.ts";
import { until } from "../kit/until.ts";

const ABNORMAL_CLOSURE = 1006;
const BEHIND_MS = 5_000;

const GAME = { game: "kit/wide-game.ts", env: { CHECKPOINT_MS: "60000", LEASE_MS: "20000" } };

for (const [where, gatewayName] of [
  ["on the owner's own node", "node-a"],
  ["behind a gateway", "node-b"],
] as const) {
  test(`[GATE6] ${where}: who stalls for a while is shown what is, without having seen what was`, async () => {
    await using cluster = await startCluster({
      ...GAME,
      nodes: 2,
      env: { ...GAME.env, PLAYER_BEHIND_MS: "60000" },
    });
    const [owner, gateway] = [cluster.node("node-a"), cluster.node(gatewayName)];
    const neighbour = await cluster.place({ owner, gateway: owner, room: "wide" });
    await using line = await SlowLine.open(gateway.publicPort);
    const slow = await Player.join(new Client(`ws://127.0.0.1:${line.port}`), neighbour.roomId, {
      name: "bob",
    });
    await slow.untilTicking();
    await slow.ask("add", 1);
    line.stall({ isAlive: true });
    const [from, tickThen] = [slow.ticks.length, slow.tick];
    // More than the sockets in between hold.
    await until("the world has gone on without them", () => neighbour.tick > tickThen + 100, { ms: 60_000 });
    slow.send("medal", "said while nothing was read");
    line.goOn();
    await until("they are up to date", () => slow.tick >= neighbour.tick - 3, { ms: 30_000 });
    const missed = slow.tick - tickThen - (slow.ticks.length - from);
    expect(missed, "states that were left out").toBeGreaterThan(10);
    const seen = await slow.inSync();
    expect(await neighbour.inSync()).toMatchObject({ players: seen.players, calls: seen.calls });
    expect(seen.players[slow.sessionId]).toMatchObject({
      score: 1,
      medals: [{ name: "said while nothing was read" }],
    });
    await slow.untilTicking();
    slow.expectUndisturbed();
    neighbour.expectUndisturbed();
  });

  test(`[GATE6] ${where}: who does not catch up in time is cut off, and comes back by the SDK's own retry`, async () => {
    await using cluster = await startCluster({ ...GAME, nodes: 2 });
    const [owner, gateway] = [cluster.node("node-a"), cluster.node(gatewayName)];
    const neighbour = await cluster.place({ owner, gateway: owner, room: "wide" });
    await using line = await SlowLine.open(gateway.publicPort);
    const slow = await Player.join(new Client(`ws://127.0.0.1:${line.port}`), neighbour.roomId, {
      name: "bob",
    });
    await slow.untilTicking();
    const codes: number[] = [];
    slow.room.onDrop((code) => void codes.push(code));
    const cutOff = cluster.events.next("player:cut-off", undefined, 60_000);
    line.stall({ isAlive: true });
    const { facts, nodeId } = await cutOff;
    expect(facts).toMatchObject({ roomId: slow.roomId, sessionId: slow.sessionId });
    expect(nodeId).toBe(gateway.nodeId);
    line.goOn(); // and reads what the kernels hold, to the end
    await until("they are back", () => slow.returns === 1, { ms: BEHIND_MS + 15_000 });
    expect(codes[0]).toBe(ABNORMAL_CLOSURE);
    await slow.inSync();
    neighbour.expectUndisturbed();
  });
}
