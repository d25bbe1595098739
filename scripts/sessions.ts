// Logins, suspensions and signing keys, for operators:
//
//   npm run sessions -- suspend USER [--for 2h] [--reason "cheating"]   no --for: for good. The user is told the reason
//   npm run sessions -- lift USER                                       lets them play again
//   npm run sessions -- signout USER                                    ends all their logins
//   npm run sessions -- keys                                            the keys by which access tokens are known
//   npm run sessions -- rotate-key                                      makes a new one; it signs 10 s later
//   npm run sessions -- retire-key KID                                  what it has signed counts no more
//
// Reads DATABASE_URL and DATABASE_SCHEMA, and ACCESS_TOKEN_MS for how long the old keys count. Every node knows within 5 s. Prints
// one line that says what came of it. Exit codes: 0 done; 1 refused, and nothing has changed; 64 the command cannot be read;
// 69 Postgres cannot be reached, or fails; 78 the settings are wrong.

import { makeKey } from "../src/auth/keys.ts";
import { isUserId } from "../src/auth/login.ts";
import { NUMBERS } from "../src/config.ts";
import type { Events } from "../src/events.ts";
import { Database, readStatements } from "../src/postgres/query.ts";
import { systemClock } from "../src/runtime/clock.ts";
import { connect, EXIT, explain, fail, numberSetting } from "./operator.ts";

/** Within that every node that reaches Postgres has read the new key. */
const SIGNS_IN_MS = 10_000;
/** What a token may live longer than it says, because clocks differ. */
const DRIFT_MS = 60_000;
const REASON_LENGTH_MAX = 200;
const UNIT_MS = { s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 } as const;
const USAGE =
  "usage: npm run sessions -- suspend USER [--for 2h] [--reason TEXT] | lift USER | signout USER | keys | rotate-key | retire-key KID";

interface Options {
  readonly forMs: number | null;
  readonly reason: string;
}

function parseOptions(rest: readonly string[]): Options {
  let [forMs, reason]: [number | null, string] = [null, "by an operator"];
  for (let at = 0; at < rest.length; at += 2) {
    const [name = "", value = ""] = rest.slice(at, at + 2);
    if (name === "--for") {
      const [, count = "", unit = ""] = /^(\d{1,9})([smhd])$/.exec(value) ?? [];
      if (count === "" || Number(count) === 0) fail(EXIT.usage, `--for takes 30m, 2h or 7d, say; ${USAGE}`);
      forMs = Number(count) * UNIT_MS[unit as keyof typeof UNIT_MS]; // the pattern allows no other
    } else if (name === "--reason" && value !== "" && value.length <= REASON_LENGTH_MAX) {
      reason = value;
    } else fail(EXIT.usage, USAGE);
  }
  return { forMs, reason };
}

/** Into the event log, like what nodes tell. */
async function tell<Name extends "user:suspended" | "user:lifted" | "login:ended">(
  database: Database,
  name: Name,
  facts: Events[Name],
): Promise<void> {
  const now = systemClock.nowMs();
  await database.run("append-events", [[now], [name], [null], [null], [JSON.stringify(facts)], "operator"]);
}

async function suspend(database: Database, userId: string, { forMs, reason }: Options): Promise<string> {
  const [row] = await database.run<{ until: Date | null }>("suspend-user", [userId, forMs, reason]);
  const until = row?.until?.toISOString() ?? null;
  await tell(database, "user:suspended", { userId, until, reason });
  return `${userId} is suspended ${until === null ? "for good" : `until ${until}`}: ${reason}`;
}

async function lift(database: Database, userId: string): Promise<string> {
  const rows = await database.run("lift-suspension", [userId]);
  if (rows.length === 0) fail(EXIT.refused, `${userId} is not suspended`);
  await tell(database, "user:lifted", { userId });
  return `${userId} may play again`;
}

async function signOut(database: Database, userId: string): Promise<string> {
  const why = "signed out everywhere";
  const rows = await database.run<{ login_id: string }>("end-logins", [null, userId, true, why]);
  for (const { login_id } of rows) await tell(database, "login:ended", { userId, loginId: login_id, why });
  return `${rows.length} logins of ${userId} have ended`;
}

async function keys(database: Database): Promise<string> {
  const rows = await database.run<{ kid: string; may_sign: boolean }>("read-signing-keys", []);
  const signing = rows.find(({ may_sign }) => may_sign)?.kid;
  const lines = rows.map(({ kid, may_sign }) => {
    return `${kid}  ${kid === signing ? "signs" : may_sign ? "counts until its tokens have expired" : "will sign in a moment"}`;
  });
  return lines.length === 0 ? "there are no keys in Postgres yet" : lines.join("\n");
}

async function rotate(database: Database): Promise<string> {
  if (process.env["SIGNING_KEYS"]?.trim()) {
    fail(
      EXIT.refused,
      "SIGNING_KEYS is set: add the new key behind the others there first, on every node, and then put it before them",
    );
  }
  const { kid, publicKey, privateKey } = await makeKey();
  const [row] = await database.run<{ signs_at: Date; retires_at: Date }>("rotate-signing-key", [
    kid,
    JSON.stringify(publicKey),
    JSON.stringify(privateKey),
    SIGNS_IN_MS,
    numberSetting(NUMBERS.accessTokenMs) + DRIFT_MS,
  ]);
  const [from, until] = [row?.signs_at.toISOString(), row?.retires_at.toISOString()];
  return `${kid} signs from ${from ?? "now"} on; what the others have signed counts until ${until ?? "then"}`;
}

async function retire(database: Database, kid: string): Promise<string> {
  const rows = await database.run("retire-signing-key", [kid]);
  if (rows.length === 0)
    fail(EXIT.refused, `there is no key ${kid}, or no newer one signs yet: rotate first`);
  return `${kid} counts no more`;
}

function run(database: Database, command: string, name: string, rest: readonly string[]): Promise<string> {
  if (command === "keys" && name === "") return keys(database);
  if (command === "rotate-key" && name === "") return rotate(database);
  if (command === "retire-key" && name !== "" && rest.length === 0) return retire(database, name);
  if (!isUserId(name)) fail(EXIT.usage, USAGE);
  if (command === "suspend") return suspend(database, name, parseOptions(rest));
  if (rest.length > 0) fail(EXIT.usage, USAGE);
  if (command === "lift") return lift(database, name);
  if (command === "signout") return signOut(database, name);
  return fail(EXIT.usage, USAGE);
}

const [command = "", name = "", ...rest] = process.argv.slice(2);
if (command === "") fail(EXIT.usage, USAGE);
const client = connect("sessions");
try {
  await client.connect();
  process.stdout.write(`${await run(new Database(client, readStatements()), command, name, rest)}\n`);
} catch (error) {
  fail(EXIT.unreachable, explain(error));
} finally {
  await client.end().catch(() => {}); // it may be broken already
}
