// Where a request to a room is sent: to whoever has it open, and not before somebody has.

import type { RoomId } from "../ids.ts";
import type { Directory } from "../ownership/directory.ts";
import type { Location } from "../placement/locate.ts";
import type { Clock } from "../runtime/clock.ts";

/** How long a request waits for its room to be open somewhere; Colyseus itself gives it 2 s. */
const HOLD_MS = 1_500;
const LOOK_AGAIN_MS = 25;

export interface UntilActiveParts {
  readonly clock: Clock;
  readonly directory: Pick<Directory, "locate">;
  readonly locate: (roomId: RoomId) => Promise<Location | undefined>;
  readonly activate: (roomId: RoomId) => Promise<unknown>;
  /** The room is listed, but no more. */
  readonly onGhost: (roomId: RoomId) => void;
  readonly onError: (error: unknown) => void;
}

/** Waits until some node has the room open. @returns undefined when that is not so in time. Never rejects. */
export async function untilActive(parts: UntilActiveParts, roomId: RoomId): Promise<Location | undefined> {
  const { activate, clock, directory, locate, onError, onGhost } = parts;
  const endsMs = clock.monotonicMs() + HOLD_MS;
  while (clock.monotonicMs() < endsMs) {
    const where = await locate(roomId).catch(() => undefined);
    if (where === undefined || where.at === "here") return where;
    if (where.at === "gone") {
      onGhost(roomId);
      return where;
    }
    if (where.at === "claim") await activate(roomId).catch(onError);
    else if (where.at === "peer") {
      // When Postgres cannot be asked, whoever is asked for the room says whether it is there.
      const isOwned = (ownership?: { readonly isOwned: boolean }): boolean => ownership?.isOwned === true;
      if (await directory.locate(roomId).then(isOwned, () => true)) return where;
    }
    await clock.sleep(LOOK_AGAIN_MS);
  }
  return undefined;
}
