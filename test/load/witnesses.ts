// Rooms on the nodes that are to survive, whose ticks tell whether a recovery is felt there.

import type { Room } from "@colyseus/sdk";
import type { TestCluster, TestNode } from "../kit/cluster.ts";
import type { Lateness } from "./crowd-game.ts";

/** The ring gives each node its share, and each gateway must happen to be the owner. */
const TRIES_A_ROOM = 40;

export interface Ticks {
  readonly ticks: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
  readonly maxMs: number;
}

export class Witnesses {
  /** One of each node's; it tells of all. */
  readonly #speakers = new Map<number, Room>();

  /** Opens so many rooms on each of these nodes; their players' sockets end there as well. */
  static async open(cluster: TestCluster, nodes: readonly TestNode[], each: number): Promise<Witnesses> {
    const witnesses = new Witnesses();
    const counts = new Map(nodes.map(({ pid }) => [pid, 0]));
    const isFull = (): boolean => [...counts.values()].every((count) => count >= each);
    for (let tries = 0; !isFull(); tries++) {
      if (tries === each * TRIES_A_ROOM) throw new Error(`no ${each} witnesses a node in ${tries} tries`);
      const via = nodes[tries % nodes.length];
      const room = await cluster.client(via).create("witness");
      const { pid } = (await room.request("lateness")) as Lateness; // see crowd-game.ts
      const count = counts.get(pid) ?? each;
      if (count >= each || pid !== via?.pid) {
        await room.leave();
        continue;
      }
      counts.set(pid, count + 1);
      witnesses.#speakers.set(pid, room);
    }
    return witnesses;
  }

  /** How late ticks were since this was last asked: the worst of the nodes. */
  async read(): Promise<Ticks> {
    const told = await Promise.all(
      [...this.#speakers.values()].map((room) => room.request("lateness") as Promise<Lateness>),
    );
    const worst = (of: (one: Lateness) => number): number => Math.max(...told.map(of));
    return {
      ticks: told.reduce((sum, { ticks }) => sum + ticks, 0),
      p50Ms: worst(({ p50Ms }) => p50Ms),
      p99Ms: worst(({ p99Ms }) => p99Ms),
      maxMs: worst(({ maxMs }) => maxMs),
    };
  }
}
