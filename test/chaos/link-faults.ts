// Faults of what lies between: nodes and each other, nodes and Postgres, players and their gateways.

import { systemClock } from "../../src/runtime/clock.ts";
import type { TestNode } from "../kit/cluster.ts";
import { count, lasts, pick, pickNode, Skip, type FaultContext, type Faults } from "./fault.ts";
import type { Hold, Way } from "./link-proxy.ts";
import { PACE } from "./settings.ts";
import type { World } from "./world.ts";

/** A node says something to Postgres, and a link to its other end, more often than that. */
const LINK_HOLD_MIN_MS = 600 * PACE;
/** A connection within this machine is there sooner. */
const CONNECTS_MS = 1_000;
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
    await lasts(context, LINK_HOLD_MIN_MS);
    for (const hold of holds) hold.resume();
    const how = ways.length === 2 ? "and back" : ways[0] === "hears" ? "is not heard" : "does not hear";
    const bit = count(sum(holds), "messages were held");
    const target = around ? node.nodeId : `${peer.nodeId} to ${node.nodeId}`;
    if (bit === undefined && [node, peer].some(isSilentAnyway)) throw new Skip(SILENT_ANYWAY);
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
    const before = links.cuts;
    links.knock({ from: caller, isWhole: false });
    const looksUntilMs = systemClock.monotonicMs() + CONNECTS_MS;
    while (!links.isCalledBy(caller) && !node.hasExited && systemClock.monotonicMs() < looksUntilMs)
      await systemClock.sleep(5);
    links.cut(caller);
    const target = caller === undefined ? node.nodeId : `${peer?.nodeId} to ${node.nodeId}`;
    const bit = count(links.cuts - before, "connections were reset");
    if (bit === undefined && node.hasExited) throw new Skip("it had ended, and nobody could call it");
    return { target, bit };
  },

  "cut-postgres": async (context) => {
    const { world } = context;
    const node = pickNode(context, await world.reachingPostgres());
    const hold = await world.holdPostgres(node.nodeId);
    await lasts(context, LINK_HOLD_MIN_MS);
    hold.resume();
    const bit = count(hold.held, "messages were held");
    if (bit === undefined && isSilentAnyway(node)) throw new Skip(SILENT_ANYWAY);
    return { target: node.nodeId, bit };
  },

  "reset-postgres": async (context) => {
    const node = pickNode(context);
    const { postgres } = await context.world.surroundingsOf(node.nodeId);
    if (postgres.links.size === 0) throw new Skip("it has no connection");
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
    await lasts(context, LINK_HOLD_MIN_MS);
    for (const hold of [...links, postgres]) hold.resume();
    const isWhole = postgres.held > 0 && (peers.length === 0 || sum(links) > 0);
    if (!isWhole && isSilentAnyway(node)) throw new Skip(SILENT_ANYWAY);
    const bit = `${postgres.held} messages to Postgres and ${sum(links)} between nodes were held${isDeaf ? ": it hears nobody" : ""}`;
    return { target: node.nodeId, bit: isWhole ? bit : undefined };
  },

  /** All, or about half, of whom some come back while their room-mates behind the same gateway have stayed. */
  storm: async (context) => {
    const { connections, healing, random } = context;
    const before = drops(context);
    let cuts = 0;
    const pauseMs = 150 + random() * 500;
    const share = random() < 0.5 ? 1 : 0.5;
    for (let wave = 0; wave < WAVES && !healing.aborted; wave++) {
      for (const connection of connections()) if (random() < share && connection.cut()) cuts += 1;
      await systemClock.sleep(pauseMs);
    }
    if (cuts === 0) throw new Skip("nobody was connected who could be cut off");
    return { target: "players", bit: count(drops(context) - before, "connections were cut") };
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
    own.links.knock({ from: other.address });
    other.links.knock({ from: own.address });
  }
  return holds;
}

const SILENT_ANYWAY = "it was stopped meanwhile, or had ended: it said nothing that could be held";

function isSilentAnyway({ hasExited, isFrozen }: TestNode): boolean {
  return hasExited || isFrozen;
}

function sum(holds: readonly Hold[]): number {
  return holds.reduce((all, { held }) => all + held, 0);
}

function drops({ connections }: FaultContext): number {
  return connections().reduce((all, each) => all + each.drops, 0);
}
