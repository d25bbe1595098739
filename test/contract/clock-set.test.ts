// What the statements do when Postgres's clock was set back: what was to end soon must not last as much longer.

import { randomUUID } from "node:crypto";
import { expect, test } from "vitest";
import type { Incarnation } from "../../src/ids.ts";
import { ownSchema } from "../kit/own-schema.ts";

const LEASE_MS = 60_000;
const { database, pool } = ownSchema("clockset", 4);

async function enter(): Promise<Incarnation> {
  const incarnation = randomUUID() as Incarnation;
  const ports = [1, 2, 3, 4];
  await database.run("register-node", [incarnation, "n", "p", "h", ...ports, LEASE_MS, ["gateway", "rooms"]]);
  return incarnation;
}

test("[OWN5] [REC1] a lease that was renewed in the future has lapsed, unless it was renewed since", async () => {
  const [owner, judge] = [await enter(), await enter()];
  const down = (): Promise<unknown[]> => database.run("mark-down", [owner, "lapsed", judge, true, null]);
  const ahead = (ms: number): Promise<unknown> =>
    pool.query(
      `UPDATE node SET renewed_at = clock_timestamp() + $2 * interval '1 ms',
                       lease_until = clock_timestamp() + $2 * interval '1 ms' + interval '1 min' WHERE incarnation = $1`,
      [owner, ms],
    );
  await ahead(900); // no more than clocks are set by every day
  expect(await down()).toEqual([]);
  await ahead(60_000);
  await database.run("renew-lease", [owner, LEASE_MS]);
  expect(await down(), "who has renewed since").toEqual([]);
  await ahead(60_000);
  expect(await down()).toHaveLength(1);
});

test("[REC1] a room that is to wait a while waits no longer than any room is ever told to", async () => {
  const [owner, heir] = [await enter(), await enter()];
  await database.run("create-room", ["room", "probe", "{}", owner]);
  const waits = (ms: number): Promise<unknown> =>
    pool.query("UPDATE room SET owner = NULL, retry_at = clock_timestamp() + $1 * interval '1 ms'", [ms]);
  const unowned = (): Promise<unknown[]> => database.run("unowned-rooms", [10, ["probe"], [0]]);
  const claim = (): Promise<unknown[]> =>
    database.run("claim-rooms", [["room"], heir, ["probe"], [0], false]);
  await waits(30_000);
  expect([await unowned(), await claim()]).toEqual([[], []]);
  await waits(3_600_000);
  expect(await unowned()).toHaveLength(1);
  expect(await claim()).toHaveLength(1);
  const { rows } = await pool.query("SELECT retry_at FROM room");
  expect(rows, "and its next owner is not told to wait again").toEqual([{ retry_at: null }]);
});
