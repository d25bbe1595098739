// Pauses about as long as the lease, many of them: those in which the owner wakes when others are just about to take its
// room, are taking it, or have just taken it.

import { expect, test } from "vitest";
import { systemClock } from "../../src/runtime/clock.ts";
import { startCluster, type TestCluster, type TestNode } from "../kit/cluster.ts";
import { expectOneOwner } from "../kit/proofs.ts";
import { RawSocket } from "../kit/raw-socket.ts";
import { until } from "../kit/until.ts";
import { expectOneVoice, Witness } from "../kit/witness.ts";
import { expectOneWriter, logWrites } from "../kit/write-log.ts";

const LEASE_MS = 1_500;
const LEASE_RENEW_MS = 150;
const ROUNDS = 12;
const [SHORTEST, LONGEST] = [0.8, 1.2];
const FENCED = 75;
/** A ping of the room protocol, which the owner answers at once. */
const PING = Uint8Array.of(18);

test(
  `[OWN1] [OWN2] [OWN3] [OWN4] ${ROUNDS} pauses of ${SHORTEST} to ${LONGEST} leases: one voice and one writer at a time`,
  { timeout: 180_000 },
  async () => {
    const seed = Number(process.env["PAUSE_SEED"] ?? Date.now() % 1_000_000);
    const pauses = spread(seed);
    const told = pauses.map((ms) => Math.round(ms)).join(" ");
    console.info(`PAUSE_SEED=${seed}: pauses of ${told} ms at a lease of ${LEASE_MS} ms`);

    await using cluster = await startCluster({
      game: "kit/witness-game.ts",
      env: {
        LEASE_MS: String(LEASE_MS),
        LEASE_RENEW_MS: String(LEASE_RENEW_MS),
        LEASE_MARGIN_MS: "100",
        CHECKPOINT_MS: "100",
      },
    });
    await logWrites(cluster);
    // The room goes round: whoever has it is stopped next. The players come in through any node, the owner included.
    const ada = new Witness(await cluster.place({}));
    const bob = new Witness(await cluster.joinTo(ada.player, await cluster.ownerOf(ada.player.roomId)));
    const { roomId } = ada.player;
    let epoch = 1;
    let score = 0;
    for (const [round, pauseMs] of pauses.entries()) {
      const what = `round ${round} of PAUSE_SEED=${seed}, ${Math.round(pauseMs)} ms`;
      const owner = await cluster.ownerOf(roomId);
      // Straight to the owner, where nobody but the owner itself can cut it.
      const raw = await RawSocket.join(owner, roomId, { name: `raw ${round}` });
      score = await ada.player.ask<number>("add", 1);
      await cluster.untilSaved(roomId);

      const frozenAt = Date.now();
      owner.freeze();
      for (let each = 0; each < 5; each++) raw.send(PING); // it hears these when it wakes
      await systemClock.sleep(pauseMs); // this is the fault itself
      owner.thaw();
      const thawedAt = Date.now();
      expect(thawedAt - frozenAt, `${what}: the pause`).toBeGreaterThan(pauseMs - 10);

      // Whoever speaks two renewals later is who has it.
      const newest = await until(
        `${what}: the world goes on`,
        () => {
          const last = ada.heard.at(-1);
          return last !== undefined && last.at > thawedAt + 2 * LEASE_RENEW_MS && last;
        },
        { seen: () => ({ thawedAt, last: ada.heard.at(-1), drops: ada.player.drops }) },
      );
      if (newest.by === owner.pid) {
        expect((await cluster.room(roomId)).epoch, `${what}: kept`).toBe(epoch);
      } else {
        epoch += 1;
        expect(await owner.exited, `${what}: moved`).toBe(FENCED);
        await raw.closed;
        const heirsFirst = Math.min(...ada.heard.filter(({ by }) => by === newest.by).map(({ at }) => at));
        const late = raw.received
          .filter(({ at }) => at > heirsFirst)
          .map(({ bytes }) => bytes.toString("hex"));
        expect(late, `${what}: bytes from the old owner after the new one's first word`).toEqual([]);
        await addAgain(cluster, owner);
      }
      const seen = await ada.player.inSync();
      await bob.player.inSync();
      expect(seen.players[ada.player.sessionId]?.score, `${what}: what ada has`).toBe(score);
    }

    const moves = epoch - 1;
    console.info(`PAUSE_SEED=${seed}: the room moved ${moves} times in ${ROUNDS} pauses`);
    expect(moves, "pauses that were too long").toBeGreaterThanOrEqual(2);
    expect(moves, "pauses that were short enough").toBeLessThanOrEqual(ROUNDS - 2);
    const voices = expectOneVoice(ada, bob);
    expect(voices).toHaveLength(moves + 1);
    await cluster.untilSaved(roomId);
    const writers = await expectOneWriter(cluster, roomId);
    expect([...writers.keys()], "epochs that were written at").toEqual(
      Array.from({ length: moves + 1 }, (_, index) => index + 1),
    );
    const { calls } = ada.player.mirror;
    for (const { player } of [ada, bob]) {
      expect(calls[player.sessionId]).toMatchObject({ joins: 1, leaves: 0 });
      expect(player.leftWith).toBeUndefined();
    }
    await expectOneOwner(cluster, ada.player, epoch);
  },
);

/** What a supervisor does with who has been fenced. */
async function addAgain(cluster: TestCluster, { nodeId }: TestNode): Promise<void> {
  const seen = cluster
    .others(cluster.node(nodeId))
    .map((node) =>
      cluster.events.next("view:changed", ({ nodes }, from) => from === node.nodeId && nodes.length === 3),
    );
  await cluster.add(nodeId);
  await Promise.all(seen);
  await cluster.untilLive();
}

/** As many pauses as rounds, evenly spread from the shortest to the longest, in the order and to the ms of the seed. */
function spread(seed: number): number[] {
  const random = generator(seed);
  const stepMs = ((LONGEST - SHORTEST) * LEASE_MS) / ROUNDS;
  return Array.from({ length: ROUNDS }, (_, index) => SHORTEST * LEASE_MS + (index + random()) * stepMs)
    .map((ms) => ({ ms, place: random() }))
    .toSorted((one, other) => one.place - other.place)
    .map(({ ms }) => ms);
}

/** mulberry32: the same numbers in [0, 1) for the same seed. */
function generator(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}
