// Commands: once for each key, however often they are asked for, also by way of a checkpoint.

import { afterEach, beforeEach, expect, test, vi } from "vitest";
import type { Client, Room } from "@colyseus/core";
import type { SavedAnswer } from "../../src/checkpoint/snapshot.ts";
import {
  ANSWER_KEPT_MS,
  ANSWERS_MAX,
  answersOf,
  captureAnswers,
  restoreAnswers,
} from "../../src/commit/answers.ts";
import { command, type CommandOptions } from "../../src/commit/command.ts";
import { attachCommits } from "../../src/commit/commit.ts";
import type { CommitWork } from "../../src/commit/committer.ts";
import { Transaction, type CommitTx } from "../../src/commit/transaction.ts";
import { RingsideError } from "../../src/errors.ts";

const unhandled: unknown[] = [];
const onUnhandled = (error: unknown): void => void unhandled.push(error);
beforeEach(() => void process.on("unhandledRejection", onUnhandled));
afterEach(async () => {
  await new Promise(setImmediate);
  process.off("unhandledRejection", onUnhandled);
  expect(unhandled.splice(0)).toEqual([]);
});

interface Rig {
  readonly room: Room & { clock: { elapsedTime: number } };
  /** The answers that the room's checkpoint held, a commit. */
  readonly captured: (readonly SavedAnswer[] | undefined)[];
  /** Postgres's part of the next commits: it rejects, or takes until it resolves. */
  ends: (() => Promise<void>)[];
}

/** A room whose commits run one after the other, as the committer's do. */
function setUp(): Rig {
  const rig: Rig = {
    room: { clock: { elapsedTime: 0 } } as unknown as Rig["room"], // what commands read of it
    captured: [],
    ends: [],
  };
  let before = Promise.resolve();
  const run = async <Result>(work: CommitWork<Result>): Promise<Result> => {
    const tx = new Transaction(() => Promise.reject(new Error("not opened here")));
    try {
      const result = await work(tx);
      rig.captured.push(captureAnswers(rig.room));
      await rig.ends.shift()?.();
      tx.finish();
      return result;
    } catch (error) {
      tx.takeBack();
      throw error;
    }
  };
  attachCommits(rig.room, {
    commit: (work) => {
      const running = before.then(() => run(work));
      before = running.then(
        () => {},
        () => {},
      );
      return running;
    },
    onUnheard: () => {},
  });
  return rig;
}

const client = (sessionId: string, auth?: unknown): Client => ({ sessionId, auth }) as unknown as Client;
const alice = client("alice");
const bob = client("bob");

function buyIn({ room }: Rig, options?: CommandOptions) {
  const work = vi.fn((who: Client, payload: { key: string; n: number }, tx: CommitTx): unknown => {
    tx.run("INSERT");
    return { who: who.sessionId, n: payload.n };
  });
  const parse = (payload: unknown): { key: string; n: number } => {
    const { key, n } = payload as { key: string; n?: unknown };
    if (typeof n !== "number") throw new Error("n is a number");
    return { key, n };
  };
  return { work, buy: command(room, parse, (...given) => work(...given), options) };
}

test("[COM4] a command is carried out once, and asked again it is answered as the first time", async () => {
  const rig = setUp();
  const { work, buy } = buyIn(rig);
  expect(await buy(alice, { key: "k", n: 1 })).toEqual({ who: "alice", n: 1 });
  expect(
    await buy(alice, { key: "k", n: 2 }),
    "what comes with a key that was answered counts for nothing",
  ).toEqual({
    who: "alice",
    n: 1,
  });
  expect(work).toHaveBeenCalledOnce();
  expect(rig.captured, "and nothing is saved for it").toHaveLength(1);
  expect(await buy(alice, { key: "l", n: 2 })).toEqual({ who: "alice", n: 2 });
  expect(work).toHaveBeenCalledTimes(2);
});

test("[COM4] a command's answer is in the checkpoint that its commit saves, and nobody's before", async () => {
  const rig = setUp();
  const { buy } = buyIn(rig);
  expect(captureAnswers(rig.room)).toBeUndefined();
  rig.room.clock.elapsedTime = 77;
  await buy(alice, { key: "k", n: 1 });
  expect(rig.captured).toEqual([
    [{ key: JSON.stringify(["alice", "k"]), atMs: 77, reply: { who: "alice", n: 1 } }],
  ]);
});

test("[COM4] an answer that was part of the room is given again as it was, though the room has changed", async () => {
  const rig = setUp();
  const { work, buy } = buyIn(rig);
  const bag = { coins: 3 };
  work.mockImplementation(() => bag);
  await buy(alice, { key: "k", n: 1 });
  bag.coins = 1;
  expect(await buy(alice, { key: "k", n: 1 })).toEqual({ coins: 3 });
  expect(captureAnswers(rig.room)?.[0]?.reply).toEqual({ coins: 3 });
});

test("[COM1] [COM4] one that is asked again while it is under way hears nothing before it is durable", async () => {
  const rig = setUp();
  const { work, buy } = buyIn(rig);
  const gate = Promise.withResolvers<void>();
  rig.ends.push(() => gate.promise);
  const heard: string[] = [];
  const ask = (name: string): Promise<unknown> =>
    buy(alice, { key: "k", n: 1 }).then(
      () => heard.push(name),
      () => heard.push(`${name} failed`),
    );
  const first = ask("first");
  await vi.waitFor(() => expect(rig.captured).toHaveLength(1)); // the answer is in memory
  const second = ask("second");
  await new Promise(setImmediate);
  expect(heard).toEqual([]);
  gate.reject(new RingsideError("COMMIT_REFUSED", {}));
  await Promise.all([first, second]);
  expect(heard).toEqual(["first failed", "second failed"]);
  expect(captureAnswers(rig.room), "forgotten").toBeUndefined();
  await ask("third");
  expect(heard.at(-1)).toBe("third");
  expect(work).toHaveBeenCalledTimes(2);
});

test.each([true, false])(
  "[COM3] [COM4] asked again while its outcome is in doubt it waits for that; committed: %s",
  async (isCommitted) => {
    const rig = setUp();
    const { work, buy } = buyIn(rig);
    // As the committer does: the caller is told at the deadline, the steps are called when the outcome is known.
    const outcome = Promise.withResolvers<void>();
    let tell: ((error: Error) => void) | undefined;
    let before = Promise.resolve();
    attachCommits(rig.room, {
      commit: <Result>(run: CommitWork<Result>) =>
        new Promise<Result>((resolve, reject) => {
          tell ??= reject;
          before = before.then(async () => {
            const tx = new Transaction(() => Promise.reject(new Error("not opened here")));
            const result = await run(tx);
            try {
              await outcome.promise;
              tx.finish();
              resolve(result);
            } catch (error) {
              tx.takeBack();
              reject(error as Error);
            }
          });
        }),
      onUnheard: () => {},
    });
    const first = buy(alice, { key: "k", n: 1 });
    await vi.waitFor(() => expect(work).toHaveBeenCalledOnce());
    tell?.(new RingsideError("COMMIT_UNKNOWN"));
    await expect(first).rejects.toMatchObject({ code: "COMMIT_UNKNOWN" });
    let heard: unknown = "nothing";
    const again = buy(alice, { key: "k", n: 1 }).then(
      (reply) => (heard = reply),
      (error: unknown) => (heard = error),
    );
    await new Promise(setImmediate);
    expect(heard).toBe("nothing");
    if (isCommitted) outcome.resolve();
    else outcome.reject(new RingsideError("POSTGRES_UNREACHABLE"));
    await again;
    expect(work, "carried out again only if it was not").toHaveBeenCalledTimes(isCommitted ? 1 : 2);
    if (isCommitted) expect(heard).toEqual({ who: "alice", n: 1 });
  },
);

test("[COM1] [COM4] what a handler gives after its time is up is in no checkpoint, and never an answer", async () => {
  const rig = setUp();
  const { work, buy } = buyIn(rig);
  // As the committer does with a callback that does not end in time.
  const timeUp = Promise.withResolvers<never>();
  attachCommits(rig.room, {
    commit: async (run) => {
      const tx = new Transaction(() => Promise.reject(new Error("not opened here")));
      const running = Promise.resolve(run(tx));
      running.catch(() => {});
      try {
        return await Promise.race([running, timeUp.promise]);
      } catch (error) {
        tx.takeBack();
        throw error;
      }
    },
    onUnheard: () => {},
  });
  const late = Promise.withResolvers<string>();
  work.mockReturnValueOnce(late.promise);
  const first = buy(alice, { key: "k", n: 1 });
  timeUp.reject(new RingsideError("POSTGRES_UNREACHABLE"));
  await expect(first).rejects.toMatchObject({ code: "POSTGRES_UNREACHABLE" });
  late.resolve("a receipt for nothing");
  await new Promise(setImmediate);
  expect(captureAnswers(rig.room), "what another node would answer").toBeUndefined();
});

test("[COM4] a room that is opened again from its checkpoint answers as the former one would have", async () => {
  const former = setUp();
  await buyIn(former).buy(alice, { key: "k", n: 1 });
  const rig = setUp();
  restoreAnswers(rig.room, former.captured.at(-1));
  const { work, buy } = buyIn(rig);
  expect(await buy(alice, { key: "k", n: 2 })).toEqual({ who: "alice", n: 1 });
  expect(work).not.toHaveBeenCalled();
  expect(captureAnswers(rig.room), "and keeps it").toEqual(former.captured.at(-1));
  const other = setUp();
  restoreAnswers(other.room, undefined);
  expect(captureAnswers(other.room)).toBeUndefined();
});

test("[COM4] an answer is kept for two minutes of the room's clock", async () => {
  const rig = setUp();
  const { work, buy } = buyIn(rig);
  await buy(alice, { key: "k", n: 1 });
  rig.room.clock.elapsedTime = ANSWER_KEPT_MS;
  await buy(alice, { key: "l", n: 2 });
  await buy(alice, { key: "k", n: 1 });
  expect(work).toHaveBeenCalledTimes(2);
  rig.room.clock.elapsedTime = ANSWER_KEPT_MS + 1;
  await buy(alice, { key: "m", n: 3 });
  expect(rig.captured.at(-1)?.map(({ key }) => JSON.parse(key) as string[])).toEqual([
    ["alice", "l"],
    ["alice", "m"],
  ]);
});

test("a room keeps five hundred answers, and those who ask most lose theirs first", async () => {
  const rig = setUp();
  const { buy, work } = buyIn(rig);
  await buy(bob, { key: "his", n: 0 });
  for (let n = 0; n < ANSWERS_MAX * 2; n++) await buy(alice, { key: String(n), n });
  const kept = captureAnswers(rig.room) ?? [];
  expect(kept).toHaveLength(ANSWERS_MAX);
  expect(kept.at(-1)?.reply).toEqual({ who: "alice", n: ANSWERS_MAX * 2 - 1 });
  expect(kept[1]?.reply).toEqual({ who: "alice", n: ANSWERS_MAX + 1 });
  work.mockClear();
  expect(await buy(bob, { key: "his", n: 5 }), "others' keys do not cost him his").toEqual({
    who: "bob",
    n: 0,
  });
  expect(work).not.toHaveBeenCalled();
});

test("[COM4] the same key of two players is two keys, and by what identifies them in the game if that is said", async () => {
  const rig = setUp();
  const { work, buy } = buyIn(rig);
  await buy(alice, { key: "k", n: 1 });
  expect(await buy(bob, { key: "k", n: 2 })).toEqual({ who: "bob", n: 2 });
  // Whose name and key run together as another's do.
  await buy(client('a","b'), { key: "c", n: 3 });
  await buy(client("a"), { key: 'b","c', n: 4 });
  expect(work).toHaveBeenCalledTimes(4);

  const known = setUp();
  const named = buyIn(known, { by: (who) => (who.auth as { userId: string }).userId });
  await named.buy(client("seat 1", { userId: "u" }), { key: "k", n: 1 });
  expect(await named.buy(client("seat 2", { userId: "u" }), { key: "k", n: 1 })).toEqual({
    who: "seat 1",
    n: 1,
  });
  expect(named.work).toHaveBeenCalledOnce();
  for (const auth of [{}, { userId: "" }]) {
    await expect(named.buy(client("seat", auth), { key: "k", n: 1 })).rejects.toMatchObject({
      code: "NOT_ALLOWED",
    });
  }
});

test("a command without a key, or with one that is none, is refused before anything is done", async () => {
  const rig = setUp();
  const { work, buy } = buyIn(rig);
  for (const message of [
    undefined,
    null,
    5,
    "k",
    {},
    { key: "" },
    { key: 5 },
    { key: "x".repeat(65) },
    { key: {} },
  ]) {
    await expect(buy(alice, message)).rejects.toMatchObject({
      name: "CommandError",
      code: "BAD_REQUEST",
      message: expect.stringContaining("needs a key of 1 to 64 characters") as string,
    });
  }
  await buy(alice, { key: "x".repeat(64), n: 1 });
  await expect(buy(alice, { key: "k", n: "many" })).rejects.toThrow(/^n is a number$/u);
  expect(work).toHaveBeenCalledOnce();
  expect(rig.captured).toHaveLength(1);
});

test.each([
  [
    "at once",
    (): never => {
      throw new Error("not enough coins");
    },
  ],
  ["later", () => Promise.reject(new Error("not enough coins"))],
])("[COM4] what a handler throws %s reaches the player, and is not remembered", async (_, fail) => {
  const rig = setUp();
  const { work, buy } = buyIn(rig);
  work.mockImplementationOnce(fail);
  await expect(buy(alice, { key: "k", n: 1 })).rejects.toThrow(/^not enough coins$/u);
  expect(captureAnswers(rig.room)).toBeUndefined();
  expect(await buy(alice, { key: "k", n: 1 })).toEqual({ who: "alice", n: 1 });
});

test("what a handler gives may be awaited, whatever it is, and may be nothing", async () => {
  const rig = setUp();
  const { work, buy } = buyIn(rig);
  // oxlint-disable-next-line unicorn/no-thenable -- as query builders are
  const lazy = { then: (resolve: (value: unknown) => void) => void setImmediate(() => resolve("built")) };
  work.mockReturnValueOnce(lazy);
  expect(await buy(alice, { key: "k", n: 1 })).toBe("built");
  work.mockReturnValueOnce(undefined);
  expect(await buy(alice, { key: "l", n: 1 })).toBeUndefined();
  expect(await buy(alice, { key: "l", n: 1 })).toBeUndefined();
  expect(work).toHaveBeenCalledTimes(2);
  expect(rig.captured.at(-1)?.map(({ reply }) => reply)).toEqual(["built", undefined]);
});

test("a player is told the code and its text, and nothing of what operators are told", async () => {
  const rig = setUp();
  const { buy } = buyIn(rig);
  const facts = {
    why: 'duplicate key value violates unique constraint "secret_table_pkey"',
    sqlState: "23505",
  };
  rig.ends.push(() => Promise.reject(new RingsideError("COMMIT_REFUSED", facts, new Error("secret detail"))));
  const error = await buy(alice, { key: "k", n: 1 }).catch((thrown: unknown) => thrown);
  expect(error).toMatchObject({
    name: "CommandError",
    code: "COMMIT_REFUSED",
    message: "the commit was refused; nothing was written",
  });
  const { name, message, code } = error as Error & { code: string }; // what Colyseus sends of it
  expect(JSON.stringify({ name, message, code })).not.toMatch(/secret|23505/u);
  expect(answersOf(rig.room).underWay.size).toBe(0);
});
