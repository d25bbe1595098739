// A load balancer that takes nodes for live until their process has ended. The cluster's own looks at each node a few times a
// second and gives up one that does not answer for a second; on a machine that thousands of players keep busy, a node that
// only waits for its turn would lose all of them to that, and a drill that kills nodes would measure something else.

import { openFront, type Front } from "../../src/local/front.ts";
import { systemClock } from "../../src/runtime/clock.ts";
import type { TestCluster } from "../kit/cluster.ts";

export interface PatientFront extends AsyncDisposable {
  readonly url: string;
}

export async function openPatientFront(cluster: TestCluster): Promise<PatientFront> {
  const watched = new Set<number>();
  const front: Front = await openFront({
    port: 0,
    hosts: ["127.0.0.1"],
    clock: systemClock,
    backends: () => {
      const nodes = cluster.nodes.filter(({ publicPort, hasExited }) => publicPort !== 0 && !hasExited);
      for (const { pid, exited } of nodes) {
        if (watched.has(pid)) continue;
        watched.add(pid);
        void exited.then(() => front.cut(pid));
      }
      return nodes;
    },
    healthOf: () => "live",
  });
  return {
    url: `ws://127.0.0.1:${front.port}`,
    [Symbol.asyncDispose]: () => front.stop(),
  };
}
