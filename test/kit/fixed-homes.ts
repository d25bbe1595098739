// Nodes at addresses that are known before they start, and stay theirs when they start again: for whatever is told where
// nodes are, a load balancer or the players.
//
//   const homes = await FixedHomes.choose(["node-a", "node-b", "node-c"]);
//   await using cluster = await startCluster({ network: homes });

import type { Quarters } from "./cluster.ts";
import { fixedPort } from "./fixed-port.ts";

interface Home {
  readonly publicPort: number;
  readonly managementPort: number;
}

type EnvOf = (nodeId: string, home: Home) => Readonly<Record<string, string>>;

export class FixedHomes {
  readonly #homes: ReadonlyMap<string, Home>;
  readonly #envOf: EnvOf;

  private constructor(homes: ReadonlyMap<string, Home>, envOf: EnvOf) {
    this.#homes = homes;
    this.#envOf = envOf;
  }

  /** @param envOf further settings of a node */
  static async choose(nodeIds: readonly string[], envOf: EnvOf = () => ({})): Promise<FixedHomes> {
    const homes = new Map<string, Home>();
    for (const nodeId of nodeIds) {
      homes.set(nodeId, { publicPort: await fixedPort(), managementPort: await fixedPort() });
    }
    return new FixedHomes(homes, envOf);
  }

  house(nodeId: string): Promise<Quarters> {
    const home = this.#homes.get(nodeId);
    if (home === undefined) throw new Error(`no address was chosen for ${nodeId}`);
    const env = {
      PORT: String(home.publicPort),
      MANAGEMENT_PORT: String(home.managementPort),
      ...this.#envOf(nodeId, home),
    };
    return Promise.resolve({ command: [], env, ...home });
  }
}
