// What a node that cannot start says of Postgres.

import pg from "pg";
import { expect, test } from "vitest";
import { hasCode, RingsideError } from "../../src/errors.ts";
import { explainLoss } from "../../src/postgres/start-failures.ts";

const URL = "postgres://me:secret@db.example:6543/game";

function refusal(code: string): Error {
  return Object.assign(new pg.DatabaseError("as Postgres says it", 0, "error"), { code });
}

test.each<[string, Error]>([
  ["took too long to connect", new Error("Connection terminated due to connection timeout")],
  ["broke the connection in the middle", new Error("Connection terminated unexpectedly")],
  ["does not answer", new Error("Query read timeout")],
  ["is not there", Object.assign(new Error("connect ECONNREFUSED"), { code: "ECONNREFUSED" })],
  ["is going down", refusal("57P01")],
  ["broke the connection", refusal("08006")],
  ["takes no writes", refusal("25006")],
])(
  "a Postgres that %s is told of as unreachable, with the way out and without the password",
  (_what, error) => {
    const explained = explainLoss(error, URL);
    expect(hasCode(explained, "POSTGRES_UNREACHABLE")).toBe(true);
    const { hint } = (explained as RingsideError).facts;
    expect(hint).toMatch(/db\.example:6543/u);
    expect(hint).not.toMatch(/secret/u);
  },
);

test.each<[string, unknown]>([
  ["what Postgres refuses", refusal("42P01")],
  ["a mistake of our own", new TypeError("x is not a function")],
  ["what has been explained", new RingsideError("BAD_CONFIG", { wrong: ["x"] })],
])("%s stays what it is", (_what, error) => {
  expect(explainLoss(error, URL)).toBe(error);
});
