// Whether the simulation's model of Postgres is honest: random histories of the same statements, run by both, give the same
// rows and leave the same. Two connections, of which one may hold a transaction open: the other then waits on both sides, or on
// neither, and finds the same when it goes on.

import pg from "pg";
import { afterAll, beforeAll, expect, test } from "vitest";
import { connectionSettings } from "../../src/postgres/pool.ts";
import { ownSchema } from "../kit/own-schema.ts";
import { until } from "../kit/until.ts";
import { Chance } from "../simulation/chance.ts";
import { drawStep, prelude, type Step } from "../simulation/postgres/history.ts";
import { ModelSide, PostgresSide, type Result } from "../simulation/postgres/sides.ts";
import { MODEL } from "../simulation/postgres/statements.ts";

const { config, statements } = ownSchema("model", 1, { STORE_MS: "60000" });
const clients = ["one", "two", "watch"].map((label) => new pg.Client(connectionSettings(config, label)));
const [one, two, watch] = clients as [pg.Client, pg.Client, pg.Client];

beforeAll(async () => {
  for (const client of clients) await client.connect();
  await watch.query("CREATE TABLE effect (room_id text NOT NULL, number integer NOT NULL)");
});
afterAll(async () => {
  for (const client of clients) await client.end();
});

const WRITERS = new Set(
  "save-checkpoints claim-rooms release-room take-room failed-open lock-room mark-down renew-lease leave".split(
    " ",
  ),
);

/** Both, empty. */
async function setUp() {
  await watch.query("TRUNCATE node, room, checkpoint, seat, event, effect");
  await watch.query("ALTER SEQUENCE view_version RESTART");
  const { server, sides } = ModelSide.pair();
  const real = [new PostgresSide(one, statements), new PostgresSide(two, statements)] as const;
  return { server, model: sides, real };
}

test("the model has no statement that Postgres does not have", () => {
  const names = Object.keys(MODEL).filter((name) => !name.startsWith("INSERT"));
  expect(names.filter((name) => !statements.has(name))).toEqual([]);
});

test.each(Array.from({ length: 40 }, (_, index) => index + 1))(
  "history %i of statements, one after the other, is the same in the model and in Postgres",
  async (seed) => {
    const chance = new Chance(seed);
    const { server, model, real } = await setUp();
    const history: Step[] = [];
    for (let count = 0; count < 60; count++) {
      const step = drawStep(chance, server.tables);
      history.push(step);
      const told = `after ${JSON.stringify(history.slice(-6))}`;
      const expected = await real[0].run(step);
      expect(await model[0].run(step), told).toEqual(expected);
      expect(ModelSide.everything(server.tables), told).toEqual(await PostgresSide.everything(watch));
    }
  },
);

test("a statement that meets another's transaction waits, and then finds the same, in the model and in Postgres", async () => {
  const counts = { waited: 0, went: 0 };
  for (let seed = 1_001; seed <= 1_040; seed++) await runTogether(seed, counts);
  // Otherwise this has shown nothing.
  expect(counts.waited).toBeGreaterThan(20);
  expect(counts.went).toBeGreaterThan(20);
});

async function runTogether(seed: number, counts: { waited: number; went: number }): Promise<void> {
  const chance = new Chance(seed);
  const { server, model, real } = await setUp();
  const draw = (): Step => drawStep(chance, server.tables);
  for (const step of prelude()) {
    await real[0].run(step);
    await model[0].run(step);
  }
  for (let round = 0; round < 5; round++) {
    await real[0].begin();
    await model[0].begin();
    const first = drawAbout(undefined, draw);
    const second = drawAbout(first, draw);
    const told = `seed ${seed}: ${JSON.stringify([first, second])}`;
    const heldReal = await real[0].run(first);
    const heldModel = await model[0].run(first);
    expect(heldModel, told).toEqual(heldReal);
    const atReal = follow(real[1].run(second));
    const atModel = follow(model[1].run(second));
    await until(`an end, or a wait: ${told}`, async () => atReal.result !== undefined || (await isWaiting()));
    const hasWaited = atReal.result === undefined;
    // Which rows a claim locks that takes none of them is for Postgres's plan to say, and changes with the tables' sizes.
    const isPlansAffair = [first, second].some(({ name }) => name === "claim-rooms");
    if (!isPlansAffair) expect(atModel.result === undefined, `${told}: waits`).toBe(hasWaited);
    counts[hasWaited ? "waited" : "went"] += 1;
    const how = "error" in heldReal ? "ROLLBACK" : chance.pick(["COMMIT", "COMMIT", "ROLLBACK"] as const);
    if (!("error" in heldReal)) await real[0].end(how);
    await model[0].end(how);
    expect(await atModel.done, `${told}, after ${how}`).toEqual(await atReal.done);
    expect(ModelSide.everything(server.tables), told).toEqual(await PostgresSide.everything(watch));
  }
}

/** One that writes; about the same room or node as another, if there is such a one soon. */
function drawAbout(other: Step | undefined, draw: () => Step): Step {
  const about = other && keysOf(other);
  for (let tries = 0; tries < 60; tries++) {
    const step = draw();
    if (WRITERS.has(step.name) && keysOf(step).some((key) => about === undefined || about.includes(key)))
      return step;
  }
  return draw();
}

/** Whose row it is about: that of whom it names first. */
function keysOf({ values }: Step): string[] {
  return [values[0]].flat().map(String);
}

function follow(done: Promise<Result>): { readonly done: Promise<Result>; result: Result | undefined } {
  const followed: { done: Promise<Result>; result: Result | undefined } = { done, result: undefined };
  void done.then((result) => (followed.result = result));
  return followed;
}

async function isWaiting(): Promise<boolean> {
  const { rows } = await watch.query<{ waits: boolean }>(
    "SELECT wait_event_type = 'Lock' AS waits FROM pg_stat_activity WHERE application_name LIKE '%two'",
  );
  return rows[0]?.waits === true;
}
