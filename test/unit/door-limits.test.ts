// Who is counted by what, with a Redis that is away: each node by itself.

import { ServerResponse, type IncomingMessage } from "node:http";
import { expect, test } from "vitest";
import { readConfig } from "../../src/config.ts";
import { EventBus } from "../../src/events.ts";
import { settleAddress, TrustedProxies } from "../../src/front-door/address.ts";
import { DoorCounts } from "../../src/front-door/counts.ts";
import { Limits, watchSeat } from "../../src/front-door/limits.ts";
import type { RedisLink } from "../../src/redis/link.ts";
import { fakeClock } from "../kit/fake-clock.ts";

/** Refuses everything, as the link does while Redis is away. */
const away = {
  get commands(): never {
    throw new Error("away");
  },
} as Pick<RedisLink, "commands">;

function setUp(env: Record<string, string>) {
  const config = readConfig({
    NODE_ID: "n",
    DATABASE_URL: "postgres://localhost/d",
    REDIS_URL: "redis://localhost",
    CLUSTER_KEY: "0123456789abcdef",
    ...env,
  });
  const clock = fakeClock();
  const counts = new DoorCounts(clock, new EventBus());
  const userOf = ({ headers }: IncomingMessage): string | undefined => {
    if (headers.authorization === "broken") throw new Error("a token that cannot be read");
    return headers.authorization;
  };
  return { counts, limits: new Limits({ config, clock, link: away, counts, userOf }) };
}

function from(remoteAddress: string, user?: string): IncomingMessage {
  const request = {
    headers: { authorization: user },
    socket: { remoteAddress },
  } as unknown as IncomingMessage;
  settleAddress(request, new TrustedProxies(""));
  return request;
}

test("[DOOR5] joins are limited by user and by address; who is not known, or brings nonsense, by address alone", async () => {
  const { limits } = setUp({ JOINS_PER_USER: "2", JOINS_PER_ADDRESS: "5", OPEN_SEATS_PER_USER: "0" });
  const join = async (address: string, user?: string): Promise<string> => {
    const result = await limits.join(await limits.callerOf(from(address, user)));
    return "why" in result ? `${result.code} ${result.why}` : "may";
  };
  expect(await join("203.0.113.1", "ada")).toBe("may");
  expect(await join("203.0.113.2", "ada")).toBe("may");
  expect(await join("203.0.113.3", "ada"), "from wherever").toBe("TOO_OFTEN user-joins");
  for (let count = 0; count < 4; count++) expect(await join("203.0.113.1")).toBe("may");
  expect(await join("203.0.113.1", "broken")).toBe("TOO_OFTEN address-joins");
  expect(await join("203.0.113.1", "bob")).toBe("TOO_OFTEN address-joins");
  for (let count = 0; count < 20; count++) expect(await join("127.0.0.1")).toBe("may");
});

test("[DOOR5] requests and connections are limited by address, connections by user too", async () => {
  const { limits } = setUp({ REQUESTS_PER_ADDRESS: "3", UPGRADES_PER_ADDRESS: "3", UPGRADES_PER_USER: "1" });
  for (let count = 0; count < 3; count++) expect(await limits.request(from("2001:db8::1"))).toBeUndefined();
  expect(await limits.request(from("2001:db8::2")), "of the same network").toMatchObject({
    why: "address-requests",
  });
  expect(await limits.request(from("2001:db8:0:1::1"))).toBeUndefined();
  const upgrade = async (user?: string) => limits.upgrade(await limits.callerOf(from("203.0.113.1", user)));
  expect(await upgrade("ada")).toBeUndefined();
  expect(await upgrade("ada")).toMatchObject({ why: "user-upgrades", code: "TOO_OFTEN" });
  expect(await upgrade()).toBeUndefined();
  expect(await upgrade()).toMatchObject({ why: "address-upgrades" });
});

test("[DOOR5] a room is made in somebody's name only while their request is under way", async () => {
  const { limits, counts } = setUp({ ROOMS_PER_USER: "1", ROOMS_PER_ADDRESS: "2", ROOMS_IN_ALL: "4" });
  const run = async (request: IncomingMessage, end = false): Promise<string> => {
    const response = new ServerResponse(request);
    const { promise, resolve } = Promise.withResolvers<string>();
    limits.rooms.runFor(
      () => limits.callerOf(request),
      response,
      () => {
        if (end) response.end();
        limits.rooms.count().then(
          () => resolve("made"),
          (error: { code: string }) => resolve(`${error.code} ${String(response.getHeader("retry-after"))}`),
        );
      },
    );
    return promise;
  };
  expect(await run(from("203.0.113.1", "ada"))).toBe("made");
  expect(await run(from("203.0.113.2", "ada"))).toMatch(/^TOO_MANY_ROOMS \d+$/);
  expect(await run(from("203.0.113.1"))).toBe("made");
  expect(await run(from("203.0.113.1"))).toMatch(/^TOO_MANY_ROOMS/);
  expect(await run(from("127.0.0.1"))).toBe("made");
  expect(await run(from("127.0.0.1"))).toBe("made");
  expect(await run(from("127.0.0.1")), "all have made four").toMatch(/^TOO_MANY_ROOMS/);
  expect(await run(from("127.0.0.1"), true), "by a timer that began there").toBe("made");
  await limits.rooms.count(); // by a server
  expect(counts.totals).toEqual(
    new Map([
      ["user-rooms", 1],
      ["address-rooms", 1],
      ["all-rooms", 1],
    ]),
  );
});

test("[DOOR6] which seat was reserved is read from the answer, whatever pieces it is written in, before it leaves", () => {
  const answered = (status: number, ...pieces: (string | Uint8Array)[]): (string | undefined)[] => {
    const response = new ServerResponse({ method: "POST" } as IncomingMessage);
    const told: (string | undefined)[] = [];
    watchSeat(response, (sessionId) => told.push(sessionId));
    response.statusCode = status;
    for (const piece of pieces.slice(0, -1)) response.write(piece);
    response.end(pieces.at(-1));
    response.emit("close");
    return told;
  };
  expect(answered(200, '{"sessionId":"abc"}')).toEqual(["abc"]);
  expect(answered(200, '{"sess', Buffer.from('ionId":"abc"}'))).toEqual(["abc"]);
  expect(answered(200, '{"sessionId":5}')).toEqual([undefined]);
  expect(answered(200, "not JSON")).toEqual([undefined]);
  expect(answered(429, '{"sessionId":"abc"}')).toEqual([undefined]);
});
