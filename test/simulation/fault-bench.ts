// What all faults share: the cluster that they are done to, the list of what was done, and the end of it all.

import type { Cluster } from "./cluster.ts";

export class FaultBench {
  readonly cluster: Cluster;
  /** What was done, in words, with the time. */
  readonly schedule: string[] = [];
  /** From then on nothing begins any more. */
  isHealed = false;

  constructor(cluster: Cluster) {
    this.cluster = cluster;
  }

  say(words: string): void {
    this.schedule.push(`${this.cluster.world.nowMs.toFixed(0)} ${words}`);
    this.cluster.world.note("FAULT", "", words);
  }

  /** Unless everything is healed by then. */
  later(atMs: number, work: () => void): void {
    const { world } = this.cluster;
    world.after(undefined, atMs - world.nowMs, "message", () => {
      if (!this.isHealed) work();
    });
  }
}
