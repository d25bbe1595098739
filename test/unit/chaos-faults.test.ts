// Faults tell whether they have bitten. Both sides are shown: what truly comes to nothing is told of, and what only came at a
// bad moment (the other end had ended, was stopped, or had another fault as well) is not.

import { spawn } from "node:child_process";
import { once } from "node:events";
import net from "node:net";
import { expect, test } from "vitest";
import type { Connection } from "../chaos/connection.ts";
import {
  exclusively,
  Skip,
  untilItShows,
  wasInUse,
  type Befallen,
  type FaultContext,
} from "../chaos/fault.ts";
import { LINK_FAULTS } from "../chaos/link-faults.ts";
import { LinkProxy } from "../chaos/link-proxy.ts";
import { NODE_FAULTS } from "../chaos/node-faults.ts";
import { systemClock } from "../../src/runtime/clock.ts";
import type { World } from "../chaos/world.ts";
import { TestNode } from "../kit/cluster.ts";
import { freePort } from "../kit/real-redis.ts";
import { until } from "../kit/until.ts";

const isLinux = process.platform === "linux"; // elsewhere only 127.0.0.1 is there

test("who is busy has time to show that it is befallen, and whoever is excused has more; then it is in vain", async () => {
  const looks = (after: number): (() => boolean) => {
    let count = 0;
    return () => (count += 1) > after;
  };
  const clock = { sleep: () => Promise.resolve() };
  const never = (): boolean => false;
  expect(await untilItShows(looks(40), () => undefined, 1_000, clock)).toBe(true);
  expect(await untilItShows(never, () => undefined, 1_000, clock)).toBe(false);
  expect(await untilItShows(looks(150), () => "frozen", 1_000, clock)).toBe(true);
  await expect(untilItShows(never, () => "frozen", 1_000, clock)).rejects.toEqual(new Skip("frozen"));
  const frozenFirst = looks(100);
  expect(
    await untilItShows(never, () => (frozenFirst() ? undefined : "frozen"), 1_000, clock),
    "an excuse that is over does not last",
  ).toBe(false);
});

test("what was in use at any time since is known", async () => {
  const beforeMs = systemClock.monotonicMs();
  expect(wasInUse("a", beforeMs)).toBe(false);
  await exclusively("a", async () => expect(wasInUse("a", systemClock.monotonicMs())).toBe(true));
  expect(wasInUse("a", beforeMs)).toBe(true);
  expect(wasInUse("a", systemClock.monotonicMs() + 1)).toBe(false);
  await exclusively("a", () => expect(exclusively("a", () => Promise.resolve())).rejects.toThrow(Skip));
});

/** A process that a node could be, as far as faults are concerned. Resolves when its script has run. */
async function someNode(nodeId: string, script: string): Promise<TestNode> {
  const child = spawn(
    process.execPath,
    ["-e", `${script}; setInterval(() => {}, 1000); console.log("here")`],
    {
      stdio: ["ignore", "pipe", "inherit"],
    },
  );
  const node = new TestNode(nodeId, child);
  node.managementPort = 1;
  await once(child.stdout, "data");
  return node;
}

interface Stage extends AsyncDisposable {
  readonly context: FaultContext;
  /** What the context's world is made of. */
  readonly ground: object;
  readonly nodes: readonly [TestNode, TestNode];
  readonly links: readonly [LinkProxy, LinkProxy];
  /** What a node says to Postgres. */
  held: number;
}

/** Two processes with the proxies of a run before them, and nothing else. */
async function stage(script = ""): Promise<Stage> {
  const nodes = [await someNode("node-a", script), await someNode("node-b", "")] as const;
  const links = [new LinkProxy("127.0.1.81"), new LinkProxy("127.0.1.82")] as const;
  for (const proxy of links) await proxy.open(await freePort());
  const surroundingsOf = (nodeId: string): Promise<object> => {
    const index = nodeId === "node-a" ? 0 : 1;
    const address = `127.0.2.8${index + 1}`;
    return Promise.resolve({ links: links[index], address, postgresHolds: 0, postgresHeldMs: -Infinity });
  };
  const ground = {
    cluster: { nodes },
    able: [nodes[0]],
    serving: nodes,
    surroundingsOf,
    reachingPostgres: () => Promise.resolve([nodes[0]]),
    holdPostgres: () =>
      Promise.resolve({
        get held() {
          return set.held;
        },
        resume: () => {},
      }),
    unwant: () => {},
    add: () => Promise.resolve(),
  };
  const set: Stage = {
    held: 0,
    ground,
    nodes,
    links,
    context: {
      world: ground as unknown as World, // all that these faults ask of it
      patienceMs: 300,
      lengthMs: 50,
      random: () => 0.5,
      healing: new AbortController().signal,
      connections: () => [],
    },
    async [Symbol.asyncDispose]() {
      for (const node of nodes) await node.kill();
      for (const proxy of links) await proxy.close();
    },
  };
  return set;
}

const inVain = { bit: undefined };

test.runIf(isLinux)("a link is cut when somebody called, left out when nobody did, or could", async () => {
  await using set = await stage();
  const fault = LINK_FAULTS["cut-links"](set.context);
  const caller = net.connect({
    host: "127.0.1.81",
    port: await portOf(set.links[0]),
    localAddress: "127.0.2.82",
  });
  caller.on("error", () => {});
  await expect(fault).resolves.toMatchObject({
    bit: expect.stringContaining("messages were held") as string,
  });
  caller.destroy();
  await expect(LINK_FAULTS["cut-links"](set.context)).rejects.toThrow("but for the run itself");
  await expect(LINK_FAULTS["reset-links"](set.context)).rejects.toThrow("but for the run itself");
});

test.runIf(isLinux)("a hold that holds nothing is in vain, unless the node has ended", async () => {
  await using set = await stage();
  for (const proxy of set.links) await proxy.close(); // the nodes live, and nobody can call them
  expect(await LINK_FAULTS["cut-links"](set.context)).toMatchObject(inVain);
  expect(await LINK_FAULTS["reset-links"](set.context)).toMatchObject(inVain);
  await set.nodes[0].kill();
  await expect(LINK_FAULTS["cut-links"](set.context)).rejects.toThrow("had ended");
  await expect(LINK_FAULTS["reset-links"](set.context)).rejects.toThrow("had ended");
});

test("a node is kept from Postgres when it says something, be it late; a silent one needs a reason", async () => {
  await using set = await stage();
  const { context, nodes } = set;
  for (const name of ["cut-postgres", "isolate"] as const) {
    // Alone, so that for `isolate` too Postgres is what counts.
    const alone = { ...context, world: { ...set.ground, serving: [nodes[0]] } as unknown as World };
    set.held = 0;
    expect(await LINK_FAULTS[name](alone), name).toMatchObject(inVain);

    const away = exclusively("postgres", () => LINK_FAULTS[name](alone));
    await expect(away, "nothing is asked of a Postgres that is away").rejects.toThrow("Postgres was away");
    nodes[0].isFrozen = true;
    await expect(LINK_FAULTS[name](alone)).rejects.toThrow("it was stopped");
    nodes[0].isFrozen = false;

    const late = LINK_FAULTS[name]({ ...alone, patienceMs: 20_000 });
    setTimeout(() => (set.held = 3), 900);
    expect((await late).bit, name).toContain("3 messages");
  }
  set.held = 0;
  await nodes[0].kill();
  await expect(LINK_FAULTS["cut-postgres"](context)).rejects.toThrow("had ended");
});

test("a storm counts those whom it cut, whoever joins anew meanwhile; one that nobody notices is in vain", async () => {
  await using set = await stage();
  const player = (notices: boolean, isThere = true): Connection => {
    const one = { drops: isThere ? 5 : 0, cut: () => ((one.drops += notices ? 1 : 0), isThere) };
    return one as unknown as Connection; // all that a storm asks of it
  };
  const storm = (...crowds: (readonly Connection[])[]): Promise<Befallen> => {
    let wave = 0;
    const connections = (): readonly Connection[] => crowds[Math.min(wave++, crowds.length - 1)] ?? [];
    return LINK_FAULTS.storm({ ...set.context, random: () => 0.1, connections });
  };
  const [one, other] = [player(true), player(true)];
  // Whoever is refused joins again as somebody who was never cut off.
  expect((await storm([one, other], [player(false, false)])).bit).toBe("2 connections were cut");
  expect(await storm([player(false)])).toMatchObject(inVain);
  await expect(storm([])).rejects.toThrow("nobody was connected");
});

test.runIf(isLinux)(
  "a process is frozen or starved, also one that is killed in the middle; one that goes on is told of",
  async () => {
    {
      await using set = await stage();
      expect((await NODE_FAULTS.freeze(set.context)).bit).toContain("stopped all the time");
      expect((await NODE_FAULTS.starve({ ...set.context, lengthMs: 0 })).bit).toContain("times stopped");
      const over = AbortSignal.abort(); // healing has begun
      expect((await NODE_FAULTS.starve({ ...set.context, healing: over })).bit).toContain("times stopped");

      const woken = NODE_FAULTS.freeze({ ...set.context, lengthMs: 500 });
      await until("it is frozen", () => set.nodes[0].isFrozen);
      await systemClock.sleep(100);
      set.nodes[0].process.kill("SIGCONT"); // somebody undoes it
      expect(await woken).toMatchObject(inVain);

      const killed = NODE_FAULTS.freeze({ ...set.context, lengthMs: 300, patienceMs: 10_000 });
      await until("it is frozen", () => set.nodes[0].isFrozen);
      await systemClock.sleep(100);
      set.nodes[0].process.kill("SIGKILL");
      expect((await killed).bit).toContain("stopped all the time");
      await expect(NODE_FAULTS.freeze(set.context)).rejects.toThrow("ended by itself");
      await expect(NODE_FAULTS.starve(set.context)).rejects.toThrow("ended by itself");
    }
  },
);

test("a node that leaves in disorder needs a reason, and any other end is told of with its code", async () => {
  const left = async (script: string): Promise<Befallen> => {
    await using set = await stage(script);
    return await NODE_FAULTS.drain({ ...set.context, lengthMs: 0 });
  };
  expect((await left('process.on("SIGTERM", () => process.exit(0))')).bit).toBe("left with 0");
  const disorder = 'process.on("SIGTERM", () => process.exit(70))';
  expect(await left(disorder)).toMatchObject({ bit: undefined, instead: "left with 70" });
  expect((await exclusively("postgres", () => left(disorder))).bit).toBe("left with 70");
  expect(await left('process.on("SIGTERM", () => process.exit(1))')).toMatchObject({
    instead: "left with 1",
  });
});

async function portOf(proxy: LinkProxy): Promise<number> {
  return until("the proxy listens", () => proxy.port);
}
