// How a node leaves on purpose: its rooms first, then its name, then all that it has opened. Nothing of it has to be found out
// by others.

import type { EventLog } from "../audit/event-log.ts";
import { messageOf } from "../errors.ts";
import type { Incarnation } from "../ids.ts";
import type { Heartbeat } from "../membership/heartbeat.ts";
import type { Lease } from "../ownership/lease.ts";
import type { Database } from "../postgres/query.ts";
import { drainRooms, type DrainParts } from "../recovery/drain-node.ts";
import type { Recovery } from "../recovery/recovery.ts";
import type { Seats } from "../actor/seats.ts";
import type { Closing } from "./closing.ts";

export interface LeaveParts extends DrainParts {
  readonly self: Incarnation;
  readonly database: Database;
  readonly eventLog: EventLog;
  readonly heartbeat: Heartbeat;
  readonly lease: Lease;
  readonly recovery: Recovery;
  readonly seats: Seats;
  readonly closing: Closing;
  /** How long until the players here would come back by themselves if their connections were closed. */
  readonly playersShortByMs: () => number;
  readonly onError: (error: unknown) => void;
}

/** Nobody new must be let in any more. Never rejects. */
export async function leave(parts: LeaveParts): Promise<void> {
  const { clock, closing, config, database, eventLog, events, heartbeat, host, lease, onError, self } = parts;
  const startedMs = clock.monotonicMs();
  events.emit("node:draining", { incarnation: self, rooms: host.activations.size });
  host.refuseNewRooms();
  await database.run("set-draining", [self]).catch(onError);
  heartbeat.hurry();
  await parts.recovery.stop();
  const { moved, left } = await drainRooms(parts);
  await parts.seats.idle();
  const drainMs = Math.round(clock.monotonicMs() - startedMs);
  events.emit("node:drained", { incarnation: self, moved, left, drainMs });
  await untilPlayersReturn(parts, startedMs + config.drainMs);
  await eventLog.stop();
  await heartbeat.stop(); // it would find this incarnation gone, and take that for the word of others
  lease.revoke(); // before others may take what could not be moved in time
  // The last word, before the internal port closes: nobody needs to find out that this node is gone.
  await database.run("leave", [self]).catch((error: unknown) => onError(messageOf(error)));
  await closing.close();
  events.emit("node:stopped", { incarnation: self });
}

/** Who has only just joined would be lost to their room: they are led on from here, as the others, until the SDK returns. */
async function untilPlayersReturn({ clock, playersShortByMs }: LeaveParts, endsMs: number): Promise<void> {
  for (let waitMs = playersShortByMs(); waitMs > 0; waitMs = playersShortByMs()) {
    const leftMs = endsMs - clock.monotonicMs();
    if (leftMs <= 0) return;
    await clock.sleep(Math.min(waitMs, leftMs));
  }
}
