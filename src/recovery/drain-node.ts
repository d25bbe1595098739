// Leaving on purpose: every room is frozen, saved and released, and its players are sent after it. Nothing is lost.
// Each step has a deadline, so that one stuck room cannot hold up the rest; a room that could not be saved keeps its last
// checkpoint and is released all the same, and the events say so.

import { within } from "../actor/deadline.ts";
import type { Activation } from "../actor/activation.ts";
import type { RoomHost } from "../actor/room-host.ts";
import type { CommitsOfRooms } from "../actor/room-table.ts";
import type { Checkpointer } from "../checkpoint/checkpointer.ts";
import type { Config } from "../config.ts";
import { messageOf, RingsideError } from "../errors.ts";
import type { EventBus } from "../events.ts";
import type { Directory } from "../ownership/directory.ts";
import type { Handover } from "./handover.ts";
import type { Clock } from "../runtime/clock.ts";

/**
 * Rooms that are moved at the same time, from their last tick here to their first at the next owner. More of them only wait
 * for each other there, and their players with them.
 */
const MOVES_AT_ONCE = 4;
/** A room counts as moved after so long, whatever became of it at its next owner. */
const TAKE_MS = 1_000;
/** How long players stay at a room whose release is not known; then they are sent on all the same. */
const RELEASE_MS = 500;
const SAVE_AGAIN_MS = 250;
/** How long a room waits for the hooks of players who were leaving it. Those who stay see it stand still meanwhile. */
const LEAVES_MS = 2_000;

export interface DrainParts {
  readonly config: Config;
  readonly clock: Clock;
  readonly events: EventBus;
  readonly host: RoomHost;
  readonly commits: CommitsOfRooms;
  readonly checkpointer: Checkpointer<Activation>;
  readonly directory: Directory;
  /** Offers a room that was released to its next owner; resolves when it is open there. */
  readonly handover: Pick<Handover, "offer">;
}

export interface Drained {
  readonly moved: number;
  /** Rooms that could not be saved or released before the time was up. */
  readonly left: number;
}

/** Moves every room off this node, and lets those end that are about to; new ones must already be refused. */
export async function drainRooms(parts: DrainParts): Promise<Drained> {
  const { clock, config, host } = parts;
  const endsMs = clock.monotonicMs() + config.drainMs;
  // The fullest first: theirs is the longest wait.
  const queue = [...host.activations.values()].sort((a, b) => b.players - a.players);
  let moved = 0;
  let left = 0;
  const work = async (): Promise<void> => {
    for (let activation = queue.shift(); activation !== undefined; activation = queue.shift()) {
      if (clock.monotonicMs() < endsMs && (await moveAway(parts, activation, endsMs))) {
        moved += 1;
        // With many rooms left there is less time for each.
        const shareMs = ((endsMs - clock.monotonicMs()) * MOVES_AT_ONCE) / (2 * (queue.length + 1));
        await parts.handover.offer(activation.roomId, Math.min(TAKE_MS, shareMs));
      } else left += 1;
    }
  };
  await Promise.all(Array.from({ length: MOVES_AT_ONCE }, work));
  await isDoneBy(clock, endsMs, host.untilEnded()); // what is left ends once more, elsewhere
  return { moved, left };
}

/** @returns false when its last changes could not be saved, or the room could not be released */
async function moveAway(parts: DrainParts, activation: Activation, endsMs: number): Promise<boolean> {
  const { checkpointer, clock, commits, directory, events, host } = parts;
  if (activation.phase.name !== "active") return true; // it has ended meanwhile
  const { roomId, epoch } = activation;
  const startedMs = clock.monotonicMs();
  host.freeze(activation);
  // A hook that takes longer is called again by the next owner.
  const untilLeft = (): Promise<boolean> => {
    const leavesEndMs = Math.min(endsMs, clock.monotonicMs() + LEAVES_MS);
    return isDoneBy(clock, leavesEndMs, host.untilLeft(activation));
  };
  await untilLeft();
  host.seal(activation);
  // A commit whose outcome is not known when the time is up is found by the next owner: it is in the checkpoint, or is not.
  const isSettled = await isDoneBy(clock, endsMs, commits.idle(activation));
  await untilLeft(); // whose hooks waited for those commits
  let isSaved: boolean | undefined = isSettled ? undefined : false;
  while (isSaved === undefined && clock.monotonicMs() < endsMs) {
    try {
      isSaved = await checkpointer.saveNow(activation);
    } catch (error) {
      events.emit("checkpoint:failed", { rooms: 1, error: messageOf(error) });
      if (error instanceof RingsideError) break; // too large, or not to be saved exactly: no time will mend that
      await clock.sleep(SAVE_AGAIN_MS); // Postgres may be back before the time is up, and nothing need be lost
    }
  }
  // It stands still here until its players are sent on, who would otherwise be at the next owner before it may take the room.
  // A failed release leaves it to be claimed when this node is down.
  const isReleased = await within(
    clock,
    RELEASE_MS,
    directory.release(roomId, epoch),
    () => new RingsideError("POSTGRES_UNREACHABLE", { roomId }),
  ).catch(() => false);
  host.letGo(activation, "moved");
  events.emit("room:moved", { roomId, epoch, moveMs: Math.round(clock.monotonicMs() - startedMs) });
  return isSaved === true && isReleased;
}

function isDoneBy(clock: Clock, endsMs: number, work: Promise<unknown>): Promise<boolean> {
  const late = (): Error => new RingsideError("ROOM_MOVING");
  return within(clock, Math.max(0, endsMs - clock.monotonicMs()), work, late).then(
    () => true,
    () => false,
  );
}
