// What a simulated node finds around it.

import type { Config } from "../../src/config.ts";
import type { step } from "../../src/membership/standing.ts";
import type { Lease } from "../../src/ownership/lease.ts";
import type { Statements } from "../../src/postgres/query.ts";
import type { Clock } from "../../src/runtime/clock.ts";
import type { Frame, Gate } from "./gateway.ts";
import type { InvariantId } from "./invariants.ts";
import type { Ports } from "./peers.ts";
import type { PostgresSabotage, SimPostgres } from "./postgres/sim-postgres.ts";
import type { Witness } from "./sim-host.ts";
import type { SimNode } from "./sim-node.ts";
import type { CheckpointWitness } from "./watched-store.ts";
import type { Wire } from "./wire.ts";
import type { World } from "./world.ts";

/** What is broken on purpose, to see whether it is found. */
export interface Sabotage {
  readonly name: string;
  /** What it may be found out by. */
  readonly breaks: readonly InvariantId[];
  readonly postgres: PostgresSabotage;
  readonly lease: (clock: Clock, leaseMs: number, marginMs: number) => Lease;
  readonly decide?: typeof step;
  readonly gate?: () => Gate;
  /** Whether links count for whoever has the port now. */
  readonly areLinksCareless?: boolean;
}

export interface Surroundings {
  readonly world: World;
  readonly wire: Wire;
  readonly ports: Ports;
  readonly server: SimPostgres;
  readonly statements: Statements;
  readonly config: Config;
  readonly sabotage: Sabotage;
  readonly witness: Witness & CheckpointWitness;
  /** A room of `node` speaks. */
  readonly say: (node: SimNode, frame: Frame) => void;
  /** `node` was marked down by others; its process ends. */
  readonly fenced: (node: SimNode, why: string) => void;
}
