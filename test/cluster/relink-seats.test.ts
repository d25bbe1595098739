// Seats whose players stay connected while their gateway presents them anew: the token, the login, and who is newer.

import { expect, onTestFinished, test } from "vitest";
import { callOwner } from "../../src/gateway/link-door.ts";
import { LinkEnd } from "../../src/gateway/link-end.ts";
import { headOf, KIND, readClosing, restOf } from "../../src/gateway/link-frames.ts";
import type { RoomId } from "../../src/ids.ts";
import type { Member } from "../../src/membership/view.ts";
import { systemClock } from "../../src/runtime/clock.ts";
import { startCluster } from "../kit/cluster.ts";
import { RawSeat } from "../kit/raw-seat.ts";
import type { Census } from "../kit/seats-game.ts";
import { until } from "../kit/until.ts";

const KEY = "the-key-of-this-test";
const GAME = { game: "kit/seats-game.ts", env: { CHECKPOINT_MS: "200", CLUSTER_KEY: KEY } };

test("[GATE4] [SEAT3] what a page has read opens its seat, however often its place was lost since, and its login is not asked again", async () => {
  await using cluster = await startCluster({
    ...GAME,
    nodes: 4,
    roles: { "node-a": "rooms", "node-b": "rooms", "node-c": "rooms", "node-d": "gateway" },
  });
  const port = cluster.node("node-d").publicPort;
  const created = await fetch(`http://127.0.0.1:${port}/matchmake/create/login`, {
    method: "POST",
    headers: { "content-type": "application/json", authorization: "Bearer maker-1" },
    body: "{}",
  });
  const { roomId } = (await created.json()) as { roomId: string };
  const page = await RawSeat.join(port, roomId, {}, "ada-1");
  await page.acknowledge();
  page.cut();
  const loginEndsAt = Date.now() + 3_000;
  const returned = await page.again(port, { auth: `ada-2@${loginEndsAt}` });
  await returned.acknowledge();
  const { token } = returned; // and nothing that comes is read from here on
  await cluster.untilSaved(roomId);
  await until("the login is over", () => Date.now() > loginEndsAt);
  for (let moves = 0; moves < 2; moves++) {
    const back = cluster.events.next(
      "seat:relinked",
      ({ sessionId }) => sessionId === page.sessionId,
      40_000,
    );
    await (await cluster.ownerOf(roomId)).kill();
    await back;
    expect(returned.closedWith).toBeUndefined();
  }
  const elsewhere = await page.again(port, { token, auth: "ada-3" });
  await elsewhere.acknowledge();
  expect(elsewhere.closedWith).toBeUndefined();
  expect((await cluster.room(roomId)).epoch).toBe(3);
});

test("[SEAT3] a connection that lost its place does not take the seat from a newer one that has not acknowledged it", async () => {
  await using cluster = await startCluster({ ...GAME, nodes: 2 });
  const [owner, gateway] = [cluster.node("node-a"), cluster.node("node-b")];
  const witness = await cluster.place({ owner, gateway });
  const page = await RawSeat.join(gateway.publicPort, witness.roomId);
  await page.acknowledge();
  const { token, sessionId, roomId } = page;
  page.cut(); // its gateway, which is this test from here on, does not know that
  const newer = await page.again(gateway.publicPort, { token });
  const member = { host: "127.0.0.1", internalPort: owner.internalPort, incarnation: owner.incarnation };
  const { socket, head } = await callOwner(member as unknown as Member, KEY, 5_000);
  const ends: number[] = [];
  const link = new LinkEnd({
    socket,
    head,
    clock: systemClock,
    silentMs: 60_000,
    onFrame: (frame) => {
      if (frame.kind === KIND.close) ends.push(readClosing(restOf(frame)).code);
      if (frame.kind === KIND.down) ends.push(0);
    },
    onClosed: () => {},
  });
  onTestFinished(() => link.close("the test is over"));
  const asked = { sessionId, reconnectionToken: token, skipHandshake: true, isConnected: true, headers: {} };
  link.put(KIND.open, headOf(roomId as RoomId, 0), 1, Buffer.from(JSON.stringify(asked)));
  await until("the older one is told", () => ends.includes(4010));
  expect(newer.closedWith).toBeUndefined();
  await newer.acknowledge();
  expect((await witness.ask<Census>("census")).clients).toContain(sessionId);
});
