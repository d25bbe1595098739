// What a room is after a restore, beyond its state: everything an author set and a player would notice.

import { expect, test } from "vitest";
import { startCluster } from "../kit/cluster.ts";
import { comeback, expectOneOwner } from "../kit/proofs.ts";
import { until } from "../kit/until.ts";

const GAME = "kit/probe-game.ts";

test("[CKP1] name, options, metadata, lock, privacy, maxClients, clock, auth, userData and the cached value are kept", async () => {
  await using cluster = await startCluster({ game: GAME, env: { CHECKPOINT_MS: "200" } });
  const [owner, gateway] = [cluster.node("node-a"), cluster.node("node-b")];
  const metadata = { map: "dunes", rated: true, steps: [1, 2, 3] };
  const options = { name: "ada", label: "final", maxClients: 5, metadata, isPrivate: true };
  const player = await cluster.place({ owner, gateway, options });
  await player.ask("lock");
  await player.ask("secret", 4242);
  await player.ask("medal", "shared");
  await player.inSync();
  // Longer than a restore takes, or a clock that begins anew would look like one that goes on.
  const before = await until("the room is some time old", async () => {
    const facts = await player.facts();
    return facts.elapsedMs > 2_000 && facts;
  });
  expect(before).toMatchObject({ label: "final", metadata, locked: true, private: true, maxClients: 5 });
  expect(before).toMatchObject({
    auth: { user: "ada" },
    userData: { user: "ada" },
    secrets: { [player.sessionId]: 4242 },
  });
  await cluster.untilSaved(player.roomId);
  const back = comeback(cluster, player);
  await owner.kill();
  await back;
  const state = await player.inSync();
  const after = await player.facts();
  const { pid: pidBefore, elapsedMs: elapsedBefore, ...kept } = before;
  const { pid, elapsedMs, ...found } = after;
  expect(found).toEqual(kept);
  expect(pid).not.toBe(pidBefore);
  expect(elapsedMs).toBeGreaterThanOrEqual(elapsedBefore);
  expect(elapsedMs - elapsedBefore, "the clock goes on where it was").toBeLessThan(15_000);
  // The same instance in two places is one instance still: a change of it is seen in both.
  const ada = state.players[player.sessionId];
  expect(ada?.best).toEqual(ada?.medals[0]);
  const mirror = player.room.state as { players: Map<string, { best: object; medals: object[] }> };
  const own = mirror.players.get(player.sessionId);
  expect(own?.best).toBe(own?.medals[0]);
  await until("the listing is as before", async () => {
    const row = await cluster.listing(player.roomId);
    return row?.locked === true && row.private === true && row.clients === 1 && JSON.stringify(row.metadata);
  }).then((text) => expect(JSON.parse(text)).toEqual(metadata));
  await expect(cluster.joinTo(player, gateway, { name: "late" })).rejects.toThrow(/locked/);
  await expectOneOwner(cluster, player, 2);
});

test("[CKP3] a room that does not change writes no checkpoint", async () => {
  await using cluster = await startCluster({ game: GAME, nodes: 2, env: { CHECKPOINT_MS: "50" } });
  const owner = cluster.node("node-a");
  const quiet = await cluster.place({ owner, gateway: owner, room: "quiet" });
  const busy = await cluster.place({ owner, gateway: owner });
  await quiet.ask("add", 1);
  await quiet.inSync();
  await cluster.untilSaved(quiet.roomId);
  const seq = await cluster.newestSeq(quiet.roomId);
  // Twenty rounds of the same checkpointer, by its other room.
  const rounds = (await cluster.newestSeq(busy.roomId)) + 20;
  await until(
    "twenty checkpoints of the busy room",
    async () => (await cluster.newestSeq(busy.roomId)) >= rounds,
  );
  expect(await cluster.newestSeq(quiet.roomId)).toBe(seq);
  // Reading is no change either; one that is, is written.
  await quiet.ask("sum");
  const more = (await cluster.newestSeq(busy.roomId)) + 5;
  await until("five more", async () => (await cluster.newestSeq(busy.roomId)) >= more);
  expect(await cluster.newestSeq(quiet.roomId)).toBe(seq);
  await quiet.ask("secret", 7); // nothing of the state: onCacheRoom alone tells
  await until("the secret is saved", async () => (await cluster.newestSeq(quiet.roomId)) === seq + 1);
});
