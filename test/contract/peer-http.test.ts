// How nodes speak to each other about membership, over a real port.

import http from "node:http";
import { expect, test } from "vitest";
import type { Config } from "../../src/config.ts";
import { createInternalServer } from "../../src/gateway/internal-server.ts";
import type { Incarnation } from "../../src/ids.ts";
import { isRefused, PeerHttp } from "../../src/membership/peer-http.ts";
import type { PromiseAnswer } from "../../src/membership/peer-network.ts";
import type { Member } from "../../src/membership/view.ts";
import { listen } from "../../src/runtime/listen.ts";

const KEY = "a key that all nodes share";
const [SELF, PEER, FORMER] = ["self", "peer", "former"] as Incarnation[] as [
  Incarnation,
  Incarnation,
  Incarnation,
];

async function setUp(answer: PromiseAnswer = { kind: "promised" }) {
  const linked: Incarnation[] = [];
  const asked: [Incarnation, number][] = [];
  const server = createInternalServer({
    clusterKey: KEY,
    self: PEER,
    places: () => undefined,
    onLinked: (by) => void linked.push(by),
    promise: (by, forMs) => {
      asked.push([by, forMs]);
      return answer;
    },
    take: () => Promise.resolve(),
    answers: {},
  });
  const port = await listen(server, 0, "127.0.0.1");
  const peers = (clusterKey = KEY): PeerHttp => new PeerHttp({ clusterKey, probeMs: 2_000 } as Config);
  const at = (incarnation: Incarnation): Member =>
    ({ host: "127.0.0.1", internalPort: port, incarnation }) as Member; // nothing else of it is needed
  const stopping = new AbortController();
  return {
    linked,
    asked,
    peers,
    at,
    signal: stopping.signal,
    async [Symbol.asyncDispose]() {
      stopping.abort();
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

test("[OWN7] a link tells the peer that it is known; one that is meant for its former incarnation does not", async () => {
  await using world = await setUp();
  const { at, linked, peers, signal } = world;
  const link = await peers().link(at(PEER), SELF, signal);
  expect(link).toMatchObject({ outcome: "answered", incarnation: PEER });
  expect(linked).toEqual([SELF]);
  // It still says who it is: so the caller finds that the former one was replaced.
  expect(await peers().link(at(FORMER), SELF, signal)).toMatchObject({
    outcome: "answered",
    incarnation: PEER,
  });
  expect(linked).toEqual([SELF]);
});

test.each<PromiseAnswer>([
  { kind: "promised" },
  { kind: "refused", why: "a peer reaches Postgres" },
  { kind: "down" },
])("[OWN7] what a peer answers arrives as it was said: $kind", async (answer) => {
  await using world = await setUp(answer);
  const { asked, at, peers, signal } = world;
  expect(await peers().askPromise(at(PEER), SELF, 3_000, signal)).toEqual(answer);
  expect(asked).toEqual([[SELF, 3_000]]);
});

test("[OWN7] a promise is asked of one incarnation: where another has the port, that one is gone", async () => {
  await using world = await setUp();
  const { asked, at, peers, signal } = world;
  expect(await peers().askPromise(at(FORMER), SELF, 3_000, signal)).toEqual({ kind: "gone" });
  expect(asked).toEqual([]);
});

test("[OWN7] whoever does not show the cluster's key neither links nor asks", async () => {
  await using world = await setUp();
  const { asked, at, linked, peers, signal } = world;
  expect(await peers("another key, of the same ").link(at(PEER), SELF, signal)).toEqual({
    outcome: "silent",
  });
  expect(await peers("no key").askPromise(at(PEER), SELF, 3_000, signal)).toEqual({ kind: "silent" });
  expect({ asked, linked }).toEqual({ asked: [], linked: [] });
});

test("[OWN7] a port that refuses is a node that is gone; one that says nothing, or nonsense, has not promised", async () => {
  const { signal } = new AbortController();
  const peers = new PeerHttp({ clusterKey: KEY, probeMs: 2_000 } as Config);
  const says = ["{}", "[]", "promised", JSON.stringify({ kind: "promised at all" }), "x".repeat(5_000)];
  let count = 0;
  const liar = http.createServer((_request, response) => {
    response.setHeader("x-ringside-incarnation", PEER);
    response.end(says[count++]);
  });
  const port = await listen(liar, 0, "127.0.0.1");
  const member = { host: "127.0.0.1", internalPort: port, incarnation: PEER } as Member;
  for (const said of says) {
    expect(await peers.askPromise(member, SELF, 3_000, signal), said.slice(0, 40)).toEqual({
      kind: "silent",
    });
  }
  liar.removeAllListeners("request");
  const late = new AbortController();
  liar.once("request", () => late.abort()); // it was heard, and is not answered
  expect(await peers.askPromise(member, SELF, 3_000, late.signal)).toEqual({ kind: "silent" });
  liar.closeAllConnections();
  await new Promise((resolve) => liar.close(resolve));
  expect(await peers.askPromise(member, SELF, 3_000, signal)).toEqual({ kind: "gone" });
});

test("[OWN7] a name with several addresses is refused only where all of them refuse", () => {
  const failure = (code: string): Error => Object.assign(new Error(`connect ${code}`), { code });
  // As Node has it: the first one's code is that of all.
  const both = (...codes: string[]): Error =>
    Object.assign(new AggregateError(codes.map(failure)), { code: codes[0] });
  expect(isRefused(both("ECONNREFUSED", "ECONNREFUSED"))).toBe(true);
  expect(isRefused(both("ECONNREFUSED", "ETIMEDOUT"))).toBe(false);
  expect(isRefused(failure("ECONNREFUSED"))).toBe(true);
  expect(isRefused(failure("EHOSTUNREACH"))).toBe(false);
});
