// Faults of what lies between: nodes and each other, nodes and Postgres, players and their gateways.

import { systemClock } from "../../src/runtime/clock.ts";
import type { TestNode } from "../kit/cluster.ts";
import type { Connection } from "./connection.ts";
import {
  count,
  isInUse,
  lasts,
  pick,
  pickNode,
  Skip,
  untilItShows,
  whySilent,
  type Faults,
} from "./fault.ts";
import type { Hold, Way } from "./link-proxy.ts";
import { PACE } from "./settings.ts";
import type { World } from "./world.ts";

/** A node says something to Postgres, and a link to its other end, more often than that. */
const LINK_HOLD_MIN_MS = 600 * PACE;
const WAVES = 3;

export const LINK_FAULTS: Faults<
  "cut-links" | "reset-links" | "cut-postgres" | "reset-postgres" | "isolate" | "storm"
> = {
  /** Between two nodes, or around one; both ways or one. */
  "cut-links": async (context) => {
    const { world, random } = context;
    const node = pickNode(context);
    const peers = world.serving.filter((other) => other !== node);
    const [around, half] = [random() < 0.3, pick(["both ways", "hears", "says"] as const, random())];
    const peer = pick(peers, random());
    if (peer === undefined) throw new Skip("there is nobody to be cut off from");
    const ways: readonly Way[] = half === "hears" || half === "says" ? [half] : ["hears", "says"];
    const holds = await cutOff(world, node, around ? peers : [peer], ways);
    let isInPlace: boolean;
    try {
      await lasts(context, LINK_HOLD_MIN_MS);
      isInPlace = await untilItShows(
        () => sum(holds, "held") + sum(holds, "knocks") > 0,
        () => whyUncalled(around ? [node, ...peers] : [node, peer]),
        context.patienceMs,
      );
    } finally {
      for (const hold of holds) hold.resume();
    }
    const how = ways.length === 2 ? "and back" : ways[0] === "hears" ? "is not heard" : "does not hear";
    const bit = count(sum(holds, "held"), "messages were held");
    const target = around ? node.nodeId : `${peer.nodeId} to ${node.nodeId}`;
    if (bit === undefined && isInPlace) throw new Skip("nobody said anything there, but for the run itself");
    return { target, bit: bit && `${bit}: ${around ? "others" : peer.nodeId} ${how}` };
  },

  "reset-links": async (context) => {
    const { world, random } = context;
    const node = pickNode(context);
    const { links } = await world.surroundingsOf(node.nodeId);
    const peer = pick(
      world.serving.filter((other) => other !== node),
      random(),
    );
    const caller =
      peer === undefined || random() < 0.5 ? undefined : (await world.surroundingsOf(peer.nodeId)).address;
    const before = { cuts: links.cuts, knocks: links.cutKnocks };
    await links.knock({ from: caller, isWhole: false });
    await untilItShows(
      () => links.isCalledBy(caller),
      () => whyUncalled([node]),
      context.patienceMs,
    );
    links.cut(caller);
    const target = caller === undefined ? node.nodeId : `${peer?.nodeId} to ${node.nodeId}`;
    const bit = count(links.cuts - before.cuts, "connections were reset");
    if (bit === undefined && links.cutKnocks > before.knocks)
      throw new Skip("nobody was connected, but for the run itself");
    return { target, bit };
  },

  "cut-postgres": async (context) => {
    const { world } = context;
    const node = pickNode(context, await world.reachingPostgres());
    const hold = await world.holdPostgres(node.nodeId);
    try {
      await lasts(context, LINK_HOLD_MIN_MS);
      await untilItShows(
        () => hold.held > 0,
        () => whySilentToPostgres(node),
        context.patienceMs,
      );
    } finally {
      hold.resume();
    }
    return { target: node.nodeId, bit: count(hold.held, "messages were held") };
  },

  "reset-postgres": async (context) => {
    const node = pickNode(context);
    const { postgres } = await context.world.surroundingsOf(node.nodeId);
    if (![...postgres.links].some((link) => link.isOpen)) throw new Skip("it has no connection");
    const before = postgres.bites.cut;
    postgres.cut();
    return { target: node.nodeId, bit: count(postgres.bites.cut - before, "connections were cut") };
  },

  /**
   * A node without Postgres and the others: they do not hear each other, or they hear it and it hears nobody, and so is not
   * told that it does not count any more. Its own players still reach it.
   */
  isolate: async (context) => {
    const { world, random } = context;
    const node = pickNode(context, await world.reachingPostgres());
    const peers = world.serving.filter((other) => other !== node);
    const isDeaf = random() < 0.5;
    const links = await cutOff(world, node, peers, isDeaf ? ["hears"] : ["hears", "says"]);
    const postgres = await world.holdPostgres(node.nodeId);
    let isWhole: boolean;
    try {
      await lasts(context, LINK_HOLD_MIN_MS);
      isWhole = await untilItShows(
        () => postgres.held > 0 && (peers.length === 0 || sum(links, "held") + sum(links, "knocks") > 0),
        () => whySilentToPostgres(node),
        context.patienceMs,
      );
    } finally {
      for (const hold of [...links, postgres]) hold.resume();
    }
    const bit = `${postgres.held} messages to Postgres and ${sum(links, "held")} between nodes were held${isDeaf ? ": it hears nobody" : ""}`;
    return { target: node.nodeId, bit: isWhole ? bit : undefined };
  },

  /** All, or about half, of whom some come back while their room-mates behind the same gateway have stayed. */
  storm: async (context) => {
    const { connections, healing, random } = context;
    /** Who was cut off, and how often they had been before: one that joins again meanwhile begins anew. */
    const cut = new Map<Connection, number>();
    const pauseMs = 150 + random() * 500;
    const share = random() < 0.5 ? 1 : 0.5;
    for (let wave = 0; wave < WAVES && !healing.aborted; wave++) {
      for (const connection of connections()) {
        const { drops } = connection;
        if (random() < share && connection.cut() && !cut.has(connection)) cut.set(connection, drops);
      }
      await systemClock.sleep(pauseMs);
    }
    if (cut.size === 0) throw new Skip("nobody was connected who could be cut off");
    const drops = (): number => [...cut].reduce((all, [{ drops: now }, before]) => all + now - before, 0);
    const excuse = (): string | undefined =>
      context.world.cluster.nodes.some(({ isFrozen }) => isFrozen)
        ? "who should answer is frozen"
        : undefined;
    await untilItShows(() => drops() > 0, excuse, context.patienceMs);
    return { target: "players", bit: count(drops(), "connections were cut") };
  },
};

/** Cuts `node` off from `peers`, by whomever a connection was made. @param ways what of the node's is kept back */
async function cutOff(
  world: World,
  node: TestNode,
  peers: readonly TestNode[],
  ways: readonly Way[],
): Promise<Hold[]> {
  const own = await world.surroundingsOf(node.nodeId);
  const mirrored = ways.map((way): Way => (way === "hears" ? "says" : "hears"));
  const holds: Hold[] = [];
  for (const peer of peers) {
    const other = await world.surroundingsOf(peer.nodeId);
    holds.push(own.links.hold({ ways, caller: other.address }));
    holds.push(other.links.hold({ ways: mirrored, caller: own.address }));
    void own.links.knock({ from: other.address });
    void other.links.knock({ from: own.address });
  }
  return holds;
}

/** A knock is held whatever the nodes do, but for those whose process has ended: their proxies are closed. */
function whyUncalled(ends: readonly TestNode[]): undefined {
  if (ends.some(({ hasExited }) => hasExited)) throw new Skip("it had ended: nobody could call it");
}

/** Who waits for Postgres's answer asks nothing more before that is due. */
function whySilentToPostgres(node: TestNode): string | undefined {
  return whySilent(node) ?? (isInUse("postgres") ? "Postgres was away: it had nothing to ask" : undefined);
}

function sum(holds: readonly Hold[], what: "held" | "knocks"): number {
  return holds.reduce((all, hold) => all + hold[what], 0);
}
