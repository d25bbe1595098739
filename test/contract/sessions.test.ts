// Two nodes' logins on one Postgres, with Redis between them played by hand and a clock that stands still: what a node does
// when it is told to look, and what by itself.

import type { IncomingMessage, ServerResponse } from "node:http";
import { expect, test } from "vitest";
import type { Login, Refusal } from "../../src/auth/login.ts";
import { Sessions } from "../../src/auth/sessions.ts";
import type { SeatRequest } from "../../src/colyseus/room-transport.ts";
import { EventBus } from "../../src/events.ts";
import type { RedisLink } from "../../src/redis/link.ts";
import { fakeClock, type FakeClock } from "../kit/fake-clock.ts";
import { until } from "../kit/until.ts";
import { ownSchema } from "../kit/own-schema.ts";

const { config, database, pool } = ownSchema("sessions", 8);

interface Node {
  readonly sessions: Sessions;
  readonly clock: FakeClock;
  readonly published: string[];
  /** Who has been expelled of those who are connected. */
  readonly expelled: (Refusal & Login)[];
  hear(topic: string): void;
}

async function node(players: readonly Login[] = []): Promise<Node> {
  const clock = fakeClock(Date.now());
  const published: string[] = [];
  const expelled: (Refusal & Login)[] = [];
  const link = {
    onMessage: (_topic: string, _text: string): void => {},
    subscribe: () => Promise.resolve(),
    commands: { publish: (topic: string) => Promise.resolve(void published.push(topic)) },
  };
  const sessions = await Sessions.open({
    config,
    mode: "optional",
    clock,
    events: new EventBus(),
    database,
    redis: link as unknown as RedisLink, // as much of it as logins use
    onError: (error) => {
      throw error;
    },
  });
  if (sessions === undefined) throw new Error("they are off");
  sessions.start((why) => {
    for (const said of players) {
      const refusal = why({ said } as SeatRequest);
      if (refusal !== undefined) expelled.push({ ...refusal, ...said });
    }
  });
  return { sessions, clock, published, expelled, hear: (topic) => link.onMessage(topic, "look") };
}

/** What a node answers to a request. */
async function post(
  { sessions }: Node,
  url: string,
  token?: string,
): Promise<{ status: number; body: { user: Login; token: string } }> {
  const request = {
    method: "POST",
    url,
    headers: token === undefined ? {} : { authorization: `Bearer ${token}` },
    rawHeaders: [],
    complete: true,
    async *[Symbol.asyncIterator]() {},
  } as unknown as IncomingMessage;
  return new Promise((resolve) => {
    let status = 0;
    const response = {
      once: () => response,
      writeHead: (code: number) => (status = code),
      end: (text: string) => resolve({ status, body: JSON.parse(text) as never }),
    };
    void sessions.door.admit(request, response as unknown as ServerResponse, () => {});
  });
}

/** Two nodes, somebody who is signed in on the one and connected at the other, and the other's first look over. */
async function twoNodes(): Promise<{ here: Node; there: Node; body: { user: Login; token: string } }> {
  const here = await node();
  const { body: gone } = await post(here, "/auth/anonymous");
  await post(here, "/auth/signout", gone.token);
  const { body } = await post(here, "/auth/anonymous");
  const there = await node([body.user, gone.user]);
  await until("the first look is over", () => there.expelled.length > 0);
  expect(there.expelled.map(({ userId }) => userId)).toEqual([gone.user.userId]);
  there.expelled.length = 0;
  here.published.length = 0;
  return { here, there, body };
}

const whoIsGone = ({ expelled }: Node): string[] => expelled.map(({ userId }) => userId);

test("[AUTH4] a node where somebody signs out says so, and one that hears it ends their connections at once", async () => {
  const { here, there, body } = await twoNodes();
  expect((await post(here, "/auth/signout", body.token)).status).toBe(200);
  expect(here.published).toEqual(["ringside:revoked"]);
  there.hear("another topic");
  expect(there.expelled).toEqual([]);
  there.hear("ringside:revoked");
  await until("they are gone", () => whoIsGone(there).includes(body.user.userId));
  expect(there.expelled[0]).toMatchObject({ code: "SESSION_REVOKED" });
  await Promise.all([here.sessions.stop(), there.sessions.stop()]);
});

test("[AUTH4] a node that hears nothing finds out by itself after two seconds of its clock", async () => {
  const { here, there, body } = await twoNodes();
  await post(here, "/auth/signout", body.token);
  there.clock.advance(1_999);
  expect(there.expelled).toEqual([]);
  // Its wait for the next look may begin a little after the first is over.
  await until("they are gone", () => {
    there.clock.advance(2_000);
    return whoIsGone(there).includes(body.user.userId);
  });
  await Promise.all([here.sessions.stop(), there.sessions.stop()]);
});

test("[AUTH6] nodes that start on an empty database take each other's tokens from the first moment on", async () => {
  await pool.query("DELETE FROM signing_key");
  const nodes = await Promise.all(Array.from({ length: 4 }, () => node()));
  for (const maker of nodes) {
    const { body } = await post(maker, "/auth/anonymous");
    for (const { sessions } of nodes) {
      expect(await sessions.identify(body.token.split("~")[0] ?? "")).toMatchObject({
        userId: body.user.userId,
      });
    }
    // And their refresh tokens.
    for (const other of nodes)
      expect((await post(other, "/auth/refresh", body.token)).body.user).toEqual(body.user);
  }
  await Promise.all(nodes.map(({ sessions }) => sessions.stop()));
});
