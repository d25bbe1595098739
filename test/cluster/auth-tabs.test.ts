// The tabs of one page, which share a login: each is a client of its own, on one `localStorage`, as in a browser.

import { Client } from "@colyseus/sdk";
import { expect, test } from "vitest";
import { refresh } from "../../examples/refresh.ts";
import { refused, type Given } from "../kit/auth-players.ts";
import { startCluster } from "../kit/cluster.ts";

const stored = new Map<string, string>();
const localStorage = {
  getItem: (key: string) => stored.get(key) ?? null,
  setItem: (key: string, value: string) => void stored.set(key, value),
  removeItem: (key: string) => void stored.delete(key),
};
Object.assign(globalThis, { localStorage, window: { localStorage } }); // where the SDK looks for it

test("[AUTH2] tabs that refresh as the README says share a login for good; one that comes with its own old token ends it for all", async () => {
  await using cluster = await startCluster({
    nodes: 2,
    game: "kit/auth-game.ts",
    env: { REFRESH_GRACE_MS: "0" },
  });
  const tab = (): Client => new Client(`ws://127.0.0.1:${cluster.port}`);
  const first = tab();
  const { user } = (await first.auth.signInAnonymously()) as unknown as Given;
  const [second, third] = [tab(), tab()];
  expect(second.auth.token).toBe(first.auth.token);

  for (let round = 0; round < 5; round++) {
    await Promise.all([refresh(second), refresh(first), refresh(second)]);
    for (const each of [first, second]) expect(await each.auth.getUserData()).toEqual({ user });
  }
  // It has slept all the time, and its token is 15 exchanges old.
  await refresh(third);
  expect(await third.auth.getUserData()).toEqual({ user });

  expect(await refused(first.auth.signInAnonymously())).toEqual({
    code: 401,
    message: "this session was signed out: sign in again",
  });
  expect(await refused(refresh(third))).toMatchObject({ code: 401 });
});
