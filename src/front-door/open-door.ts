// The parts of the front door, put together for a node.

import type { Config } from "../config.ts";
import type { EventBus } from "../events.ts";
import type { RedisLink } from "../redis/link.ts";
import type { Clock } from "../runtime/clock.ts";
import { Admission } from "./admission.ts";
import type { UserOf } from "./caller.ts";
import { DoorCounts } from "./counts.ts";
import { FrontDoor } from "./front-door.ts";
import { Limits } from "./limits.ts";
import { Panels } from "./panels.ts";

export interface DoorParts {
  readonly config: Config;
  readonly clock: Clock;
  readonly events: EventBus;
  readonly link: Pick<RedisLink, "commands">;
  readonly userOf: UserOf;
}

export interface OpenDoor {
  readonly door: FrontDoor;
  readonly counts: DoorCounts;
  readonly limits: Limits;
  readonly panels: Panels;
}

export function openDoor({ config, clock, events, link, userOf }: DoorParts): OpenDoor {
  const counts = new DoorCounts(clock, events);
  const panels = new Panels(config.panelToken);
  const limits = new Limits({ config, clock, link, counts, userOf });
  const admission = new Admission({
    clock,
    atOnceMax: config.admissionsAtOnce,
    waitingMax: config.upgradesHeldMax,
    waitMs: config.upgradeHoldMs,
  });
  const door = new FrontDoor({ config, clock, events, counts, panels, limits, admission });
  return { door, counts, limits, panels };
}
