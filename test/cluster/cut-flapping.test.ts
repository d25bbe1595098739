// A bad cable: the way to Postgres comes and goes, faster than a lease. Rooms must not be passed to and fro.

import { expect, inject, test } from "vitest";
import { systemClock } from "../../src/runtime/clock.ts";
import { startCluster, type TestCluster, type TestNode } from "../kit/cluster.ts";
import { TestNetwork, toAndFro, whyNoNetwork } from "../kit/network.ts";
import { expectOneOwner } from "../kit/proofs.ts";
import { until } from "../kit/until.ts";
import { expectOneVoice, Witness } from "../kit/witness.ts";
import { expectOneWriter, logWrites } from "../kit/write-log.ts";

const missing = whyNoNetwork();
if (missing !== undefined) console.warn(`cut-flapping.test.ts is skipped: ${missing}`);
const networkTest = test.skipIf(missing !== undefined);

const LEASE_MS = 1_500;
const FLAP_MS = LEASE_MS / 3;
/** How often each is cut off and healed. */
const FLAPS = 20;
/** In which a room may move once. */
const CALM_MS = 10_000;
const FENCED = 75;

networkTest(
  "[OWN2] [OWN6] two nodes whose way to Postgres flaps, in turns: no room is passed to and fro",
  { timeout: 120_000 },
  async () => {
    const stores = { databaseUrl: inject("databaseUrl"), redisUrl: inject("redisUrl") };
    await using network = await TestNetwork.open(stores);
    await using cluster = await startCluster({
      game: "kit/witness-game.ts",
      network,
      stores,
      env: {
        LEASE_MS: String(LEASE_MS),
        LEASE_RENEW_MS: "150",
        LEASE_MARGIN_MS: "100",
        STORE_MS: "1000",
        CHECKPOINT_MS: "100",
      },
    });
    await logWrites(cluster);
    const [one, other, steady] = [cluster.node("node-a"), cluster.node("node-b"), cluster.node("node-c")];
    const witnesses = [
      new Witness(await cluster.place({ owner: one, gateway: other })),
      new Witness(await cluster.place({ owner: one, gateway: steady })),
      new Witness(await cluster.place({ owner: other, gateway: one })),
      new Witness(await cluster.place({ owner: steady, gateway: steady })),
    ];
    for (const [index, { player }] of witnesses.entries()) await player.ask("add", 10 + index);

    await using _supervisors = supervise(cluster, [one, other, steady]);
    let bitten = 0;
    for (let flap = 0; flap < FLAPS; flap++) {
      // While the one is cut off the other is healed: whatever left the one could go to the other, and back.
      for (const { nodeId } of [one, other]) {
        const fault = await network.cut(toAndFro(nodeId, ["postgres"]));
        await systemClock.sleep(FLAP_MS); // this is the fault itself
        await fault.heal();
        if ((await fault.bites()) > 0) bitten += 1;
      }
    }
    expect(bitten, "cuts that cost packets").toBeGreaterThan((2 * FLAPS * 9) / 10);

    for (const [index, { player }] of witnesses.entries()) {
      await until(`player ${index} is there`, async () => (await player.ask("add", 1)) === 11 + index);
      await player.untilTicking();
      await player.inSync();
    }
    const moves = cluster.events.of("room:restored");
    console.info(
      `${2 * FLAPS} cuts of ${FLAP_MS} ms, ${bitten} cost packets: ${moves.length} moves of rooms`,
    );
    for (const witness of witnesses) {
      const { roomId } = witness.player;
      const times = moves.filter(({ facts }) => facts.roomId === roomId).map(({ at }) => at);
      const apart = times.slice(1).map((at, index) => at - (times[index] ?? at));
      expect(Math.min(CALM_MS, ...apart), `ms between two moves of ${roomId}`).toBe(CALM_MS);
      const voices = expectOneVoice(witness);
      expect(voices).toHaveLength(times.length + 1);
      await cluster.untilSaved(roomId);
      await expectOneWriter(cluster, roomId);
      await expectOneOwner(cluster, witness.player, times.length + 1);
    }
    // Who never was cut off was never called dead, and all count.
    witnesses[3]?.player.expectUndisturbed();
    const lost = cluster.events.of("node:lost").map(({ facts }) => facts.lostNodeId);
    expect(lost).not.toContain(steady.nodeId);
    const report = await cluster.report();
    expect(report.nodes.filter(({ state }) => state === "up")).toHaveLength(3);
  },
);

/** Starts nodes again whenever they have been fenced, and again when they could not reach Postgres as they started. */
function supervise(cluster: TestCluster, nodes: readonly TestNode[]): AsyncDisposable {
  const ending = new AbortController();
  const over = new Promise<"over">((resolve) => {
    ending.signal.addEventListener("abort", () => resolve("over"), { once: true });
  });
  const keep = async (nodeId: string): Promise<void> => {
    for (;;) {
      const code = await Promise.race([cluster.node(nodeId).exited, over]);
      if (code === "over") return;
      expect(code).toBe(FENCED);
      while (!ending.signal.aborted && (await cluster.add(nodeId).catch(() => undefined)) === undefined);
    }
  };
  const keeping = Promise.all(nodes.map(({ nodeId }) => keep(nodeId)));
  keeping.catch(() => {}); // told when it ends
  return {
    async [Symbol.asyncDispose]() {
      ending.abort();
      await keeping;
    },
  };
}
