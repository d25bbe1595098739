// Who joins or returns between two patches, by the stock SDK: what they see is what the room holds, now and later.

import { expect, test } from "vitest";
import { startCluster } from "../kit/cluster.ts";
import { comeback } from "../kit/proofs.ts";

test("[GATE6] who joins or returns right after an array has changed sees it as it is, not as if it had changed twice", async () => {
  await using cluster = await startCluster({ game: "kit/list-game.ts", env: { CHECKPOINT_MS: "200" } });
  const [owner, gateway] = [cluster.node("node-a"), cluster.node("node-b")];
  const ada = await cluster.place({ owner, gateway, room: "list" });
  for (const name of ["bob", "cyd"]) await cluster.joinTo(ada, gateway, { name });
  await ada.inSync();
  expect(await ada.ask("shift")).toBe("join ada");
  const dan = await cluster.joinTo(ada, gateway, { name: "dan" });
  const eve = await cluster.joinTo(ada, owner, { name: "eve" });
  for (const player of [dan, eve, ada]) {
    expect((await player.inSync()).trail).toEqual(["join bob", "join cyd", "join dan", "join eve"]);
  }
  await cluster.untilSaved(ada.roomId);
  const back = comeback(cluster, dan);
  await owner.kill();
  await back;
  await dan.inSync();
  expect(await dan.ask("shift")).toBe("join bob");
  const fay = await cluster.joinTo(ada, gateway, { name: "fay" });
  for (const player of [fay, dan, ada]) {
    expect((await player.inSync()).trail).toEqual(["join cyd", "join dan", "join eve", "join fay"]);
  }
  dan.expectUndisturbed();
});
