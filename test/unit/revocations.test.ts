// What is known of who may not go on, and for how long it is believed.

import { expect, test } from "vitest";
import type { Login } from "../../src/auth/login.ts";
import { Revocations } from "../../src/auth/revocations.ts";
import { fakeClock } from "../kit/fake-clock.ts";

const login: Login = { userId: "u", loginId: "l", isGuest: false };
const nothing = { login_id: "l", user_id: "u", is_ended: false, suspended_ms: 0, reason: null };

/** What Postgres would answer, and what it was asked. */
function world() {
  const clock = fakeClock();
  const asked: { name: string; values: readonly unknown[] }[] = [];
  let answer: Record<string, unknown>[] | Error = [nothing];
  let revoked = 0;
  const revocations = new Revocations({
    clock,
    lateMs: 10_000,
    database: {
      run: (name: string, values: readonly unknown[]) => {
        asked.push({ name, values });
        return answer instanceof Error ? Promise.reject(answer) : Promise.resolve(answer as never);
      },
    },
    onRevoked: () => (revoked += 1),
  });
  return {
    clock,
    asked,
    revocations,
    revoked: () => revoked,
    answers: (now: typeof answer) => (answer = now),
  };
}

test("[AUTH4] that nothing is known of somebody is believed for five seconds", async () => {
  const { asked, clock, revocations, answers } = world();
  expect(await revocations.check(login)).toBeUndefined();
  answers([{ ...nothing, is_ended: true }]);
  clock.advance(4_999);
  expect(await revocations.check(login)).toBeUndefined();
  expect(asked).toHaveLength(1);
  clock.advance(1);
  expect(await revocations.check(login)).toMatchObject({ code: "SESSION_REVOKED" });
  // And from then on for good, without a question.
  answers([nothing]);
  clock.advance(60_000);
  expect(await revocations.check(login)).toMatchObject({ code: "SESSION_REVOKED" });
  expect(asked).toHaveLength(2);
});

test("[AUTH4] what changed is applied to what is remembered, and to who is connected", async () => {
  const { clock, revocations, answers, revoked } = world();
  await revocations.check(login);
  answers([]);
  await revocations.look();
  expect(revoked()).toBe(0);
  answers([{ login_id: null, user_id: "u", suspended_ms: 60_000, reason: "cheating" }]);
  await revocations.look();
  expect(revoked()).toBe(1);
  expect(revocations.known(login)).toMatchObject({
    code: "SUSPENDED",
    text: "this account is suspended until 1970-01-01T00:01:01Z: cheating",
  });
  // Another login of the same user, too; and only until it is over, or lifted.
  expect(revocations.known({ ...login, loginId: "other" })).toMatchObject({ code: "SUSPENDED" });
  answers([{ login_id: null, user_id: "u", suspended_ms: 0, reason: "cheating" }]);
  await revocations.look();
  expect(revocations.known(login)).toBeUndefined();
  answers([{ login_id: null, user_id: "u", suspended_ms: 1_000, reason: "cheating" }]);
  await revocations.look();
  clock.advance(1_000);
  expect(revocations.known(login)).toBeUndefined();
});

test("[AUTH4] each look goes back behind the last that succeeded, by more than anything can be late", async () => {
  const { asked, clock, revocations, answers } = world();
  answers([]);
  await revocations.look();
  clock.advance(2_000);
  answers(new Error("away"));
  await expect(revocations.look()).rejects.toThrow("away");
  clock.advance(60_000);
  answers([]);
  await revocations.look();
  expect(asked.map(({ values }) => values[0])).toEqual([30_000, 32_000, 92_000]);
});

test("[AUTH4] without Postgres the signature counts, and who was let in by it alone is looked up when it is back", async () => {
  const { asked, revocations, answers, revoked } = world();
  answers(new Error("away"));
  expect(await revocations.check(login)).toBeUndefined();
  await expect(revocations.fresh(login)).rejects.toThrow("away");
  answers([{ ...nothing, is_ended: true }]);
  await revocations.look();
  expect(asked.at(-1)).toMatchObject({ name: "check-logins", values: [["l"], ["u"]] });
  expect(revoked()).toBe(1);
  expect(revocations.known(login)).toMatchObject({ code: "SESSION_REVOKED" });
});

test("[AUTH4] nobody waits long for a Postgres that hangs", async () => {
  const clock = fakeClock();
  const hangs = { run: () => new Promise<never>(() => {}) };
  const revocations = new Revocations({ clock, database: hangs, lateMs: 0, onRevoked: () => {} });
  const checking = revocations.check(login);
  clock.advance(1_000);
  expect(await checking).toBeUndefined();
});

test("[AUTH4] many who come at once are asked for together", async () => {
  const { asked, revocations } = world();
  const logins = Array.from({ length: 300 }, (_, index) => ({ ...login, loginId: `l${index}` }));
  await Promise.all(logins.map((each) => revocations.check(each)));
  expect(asked).toHaveLength(1);
});
