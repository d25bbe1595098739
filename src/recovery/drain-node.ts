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
import { movesAtOnce, SLOW_MOVE_MS } from "./drain-pace.ts";

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
  let atOnce = 1;
  const done = { moves: 0, tookMs: 0 };
  /** When each move that is under way has begun: it goes from a room's last tick here to its first at the next owner. */
  const begun = new Map<Promise<void>, number>();
  const move = async (activation: Activation): Promise<void> => {
    if (clock.monotonicMs() >= endsMs || !(await moveAway(parts, activation, endsMs))) {
      left += 1;
      return;
    }
    moved += 1;
    // With many rooms left there is less time for each.
    const shareMs = ((endsMs - clock.monotonicMs()) * atOnce) / (2 * (queue.length + 1));
    await parts.handover.offer(activation.roomId, Math.min(TAKE_MS, shareMs));
  };
  for (let next = queue[0]; next !== undefined; next = queue[0]) {
    const nowMs = clock.monotonicMs();
    atOnce = movesAtOnce({
      waiting: queue.length,
      underWayMs: [...begun.values()].map((sinceMs) => nowMs - sinceMs),
      moveMs: done.moves > 0 ? done.tookMs / done.moves : undefined,
      timeLeftMs: endsMs - nowMs,
    });
    if (begun.size >= atOnce) {
      await untilOneIsDone(clock, begun.keys());
      continue;
    }
    queue.shift();
    const moving = move(next).finally(() => {
      begun.delete(moving);
      done.moves += 1;
      done.tookMs += clock.monotonicMs() - nowMs;
    });
    begun.set(moving, nowMs);
  }
  await Promise.all(begun.keys());
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

/** Or one of them may have become slow. */
async function untilOneIsDone(clock: Clock, moves: Iterable<Promise<void>>): Promise<void> {
  const slow = Promise.withResolvers<void>();
  const cancel = clock.after(SLOW_MOVE_MS, slow.resolve);
  await Promise.race([...moves, slow.promise]);
  cancel();
}

function isDoneBy(clock: Clock, endsMs: number, work: Promise<unknown>): Promise<boolean> {
  const late = (): Error => new RingsideError("ROOM_MOVING");
  return within(clock, Math.max(0, endsMs - clock.monotonicMs()), work, late).then(
    () => true,
    () => false,
  );
}
