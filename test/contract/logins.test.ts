// Logins and keys, by the statements as they are, on a real Postgres: rotation, tokens that come twice, by one node or two.

import { randomBytes } from "node:crypto";
import { beforeEach, expect, test } from "vitest";
import { databaseKeys, makeKey } from "../../src/auth/keys.ts";
import type { Refusal } from "../../src/auth/login.ts";
import { Logins, type Continued } from "../../src/auth/logins.ts";
import { RefreshTokens } from "../../src/auth/refresh-token.ts";
import { Revocations } from "../../src/auth/revocations.ts";
import { EventBus } from "../../src/events.ts";
import { systemClock } from "../../src/runtime/clock.ts";
import { ownSchema } from "../kit/own-schema.ts";

const { config, database, pool } = ownSchema("logins", 12);
const tokens = new RefreshTokens(randomBytes(32));

let ended: string[];
let count = 0;
const node = (refreshGraceMs = 10_000): Logins =>
  new Logins({
    config: { ...config, refreshGraceMs },
    clock: systemClock,
    events: new EventBus(),
    database,
    tokens,
    onEnded: () => ended.push("ended"),
  });

beforeEach(() => {
  ended = [];
  count += 1;
});

function go(given: Continued | Refusal): Continued {
  if ("code" in given) throw new Error(given.code);
  return given;
}

async function rowOf({ login }: Continued): Promise<Record<string, unknown>> {
  const { rows } = await pool.query<Record<string, unknown>>("SELECT * FROM login WHERE login_id = $1", [
    login.loginId,
  ]);
  return rows[0] ?? {};
}

test("[AUTH2] a login goes on from token to token, with what was said of its user, and keeps only hashes", async () => {
  const logins = node();
  const first = go(await logins.open(`u${count}`, false, { name: "Ada" }));
  const second = go(await logins.refresh(first.refresh));
  const third = go(await node().refresh(second.refresh));
  expect(third).toMatchObject({ login: first.login, claims: { name: "Ada" }, refresh: { generation: 2 } });
  const stored = Object.values(await rowOf(first)).map((value) =>
    Buffer.isBuffer(value) ? value.toString("hex") : String(value),
  );
  for (const { refresh } of [first, second, third]) {
    expect(stored.join()).not.toContain(refresh.secret.toString("hex"));
  }
});

test("[AUTH2] whoever brings a token of before the last ends the login for all", async () => {
  const logins = node();
  const first = go(await logins.open(`u${count}`, false, {}));
  const second = go(await logins.refresh(first.refresh));
  const third = go(await logins.refresh(second.refresh));
  expect(await logins.refresh(first.refresh)).toMatchObject({ code: "SESSION_REVOKED" });
  expect(await rowOf(first)).toMatchObject({ end_reason: "reused", generation: 2 });
  expect(await logins.refresh(third.refresh)).toMatchObject({ code: "SESSION_REVOKED" });
  expect(ended).toHaveLength(1);
  const revocations = new Revocations({ clock: systemClock, database, lateMs: 0, onRevoked: () => {} });
  expect(await revocations.check(first.login)).toMatchObject({ code: "SESSION_REVOKED" });
});

test("[AUTH2] an answer that was lost is given again, the same, for a while after it has left", async () => {
  const logins = node();
  const first = go(await logins.open(`u${count}`, false, {}));
  const second = go(await logins.refresh(first.refresh));
  logins.told(second.refresh);
  await expect.poll(async () => (await rowOf(first))["told_at"]).toBeInstanceOf(Date);
  expect(go(await node().refresh(first.refresh)).refresh).toEqual(second.refresh);
  expect(await rowOf(first)).toMatchObject({ generation: 1, ended_at: null });
  // When that time is over it counts as stolen.
  expect(await node(0).refresh(first.refresh)).toMatchObject({ code: "SESSION_REVOKED" });
});

test("[AUTH2] an answer that never left is given again however late", async () => {
  const logins = node();
  const first = go(await logins.open(`u${count}`, false, {}));
  const second = go(await logins.refresh(first.refresh));
  await pool.query("UPDATE login SET refreshed_at = refreshed_at - interval '1 day' WHERE login_id = $1", [
    first.login.loginId,
  ]);
  expect(go(await node(0).refresh(first.refresh)).refresh).toEqual(second.refresh);
  // Once the newer one was used, the older one is worth nothing whatever was told.
  go(await logins.refresh(second.refresh));
  expect(await node(0).refresh(first.refresh)).toMatchObject({ code: "SESSION_REVOKED" });
});

test("[AUTH2] of many nodes that are brought the same token at once, all give the same next one", async () => {
  for (let round = 0; round < 20; round++) {
    const first = go(await node().open(`u${count}`, false, {}));
    const given = await Promise.all(Array.from({ length: 8 }, () => node().refresh(first.refresh)));
    const [one, ...others] = given.map((each) => go(each).refresh);
    for (const other of others) expect(other).toEqual(one);
    expect(await rowOf(first)).toMatchObject({ generation: 1, ended_at: null });
    expect(go(await node().refresh(go(given[0] as Continued).refresh)).refresh.generation).toBe(2);
  }
});

test("[AUTH2] a login is over when it was not refreshed in time", async () => {
  const logins = node();
  const first = go(await logins.open(`u${count}`, false, {}));
  await pool.query("UPDATE login SET expires_at = now() WHERE login_id = $1", [first.login.loginId]);
  expect(await logins.refresh(first.refresh)).toMatchObject({ code: "TOKEN_REFUSED" });
  expect(await rowOf(first)).toMatchObject({ ended_at: null });
});

test("[AUTH2] a token that this Postgres never heard of harms no login: a standby may have missed it", async () => {
  const logins = node();
  const first = go(await logins.open(`u${count}`, false, {}));
  const lost = tokens.next(first.refresh, randomBytes(16));
  expect(await logins.refresh(lost)).toMatchObject({ code: "TOKEN_REFUSED" });
  expect(await logins.refresh(tokens.first(first.login.loginId))).toMatchObject({ code: "TOKEN_REFUSED" });
  go(await logins.refresh(first.refresh));
});

test("[AUTH4] signing out ends one login, or all of the user's", async () => {
  const logins = node();
  const open = async (): Promise<Continued> => go(await logins.open(`u${count}`, false, {}));
  const [one, two, three] = [await open(), await open(), await open()];
  expect(await logins.end(one.login.loginId, false)).toBe(1);
  expect(await logins.end(one.login.loginId, false)).toBe(0);
  expect(await logins.refresh(one.refresh)).toMatchObject({ code: "SESSION_REVOKED" });
  expect(await logins.end(two.login.loginId, true)).toBe(2);
  expect(await logins.refresh(three.refresh)).toMatchObject({ code: "SESSION_REVOKED" });
});

test("[AUTH4] what is left of a login that is over ends no other one of its user", async () => {
  const logins = node();
  const open = async (): Promise<Continued> => go(await logins.open(`u${count}`, false, {}));
  const [gone, late, kept] = [await open(), await open(), await open()];
  await logins.end(gone.login.loginId, false);
  await pool.query("UPDATE login SET expires_at = now() WHERE login_id = $1", [late.login.loginId]);
  expect(await logins.end(gone.login.loginId, true)).toBe(0);
  expect(await logins.end(late.login.loginId, true)).toBe(1); // itself
  go(await logins.refresh(kept.refresh));
});

test("[AUTH4] a suspended user neither signs in nor goes on; afterwards their login goes on as it was", async () => {
  const logins = node();
  const user = `u${count}`;
  const first = go(await logins.open(user, false, {}));
  await database.run("suspend-user", [user, 3_600_000, "cheating"]);
  expect(await logins.open(user, false, {})).toMatchObject({ code: "SUSPENDED" });
  const refused = await logins.refresh(first.refresh);
  expect(refused).toMatchObject({
    code: "SUSPENDED",
    text: expect.stringMatching(/^this account is suspended until \d{4}-.*Z: cheating$/) as unknown,
  });
  await database.run("suspend-user", [user, null, "for good"]);
  expect(await logins.refresh(first.refresh)).toMatchObject({ text: "this account is suspended: for good" });
  expect(await database.run("lift-suspension", [user])).toHaveLength(1);
  go(await logins.refresh(first.refresh));
  expect(await database.run("lift-suspension", [user])).toHaveLength(0);
});

test("[AUTH6] nodes that start together have one key; a new one signs later, and the old counts until then and after", async () => {
  const enter = async (): Promise<void> => {
    const key = await makeKey();
    const texts = [key.publicKey, key.privateKey].map((each) => JSON.stringify(each));
    await database.run("first-signing-key", [key.kid, ...texts]);
  };
  await Promise.all(Array.from({ length: 5 }, enter));
  const read = databaseKeys(database);
  const [first, ...none] = await read();
  expect(none).toEqual([]);
  const rotate = async (inMs: number): Promise<string> => {
    const key = await makeKey();
    const texts = [key.publicKey, key.privateKey].map((each) => JSON.stringify(each));
    await database.run("rotate-signing-key", [key.kid, ...texts, inMs, 900_000]);
    return key.kid;
  };
  const second = await rotate(60_000);
  expect((await read()).map(({ kid, maySign }) => ({ kid, maySign }))).toEqual([
    { kid: second, maySign: false },
    { kid: first?.kid, maySign: true },
  ]);
  // What signs, or has just begun to, cannot be taken away.
  expect(await database.run("retire-signing-key", [first?.kid])).toEqual([]);
  expect(await database.run("retire-signing-key", [second])).toEqual([]);
  const third = await rotate(0);
  expect((await read()).map(({ kid }) => kid)).toEqual([third, second, first?.kid]);
  expect(await database.run("retire-signing-key", [first?.kid])).toEqual([{ kid: first?.kid }]);
  expect((await read()).map(({ kid }) => kid)).toEqual([third, second]);
  await enter();
  expect(await read()).toHaveLength(2);
});
