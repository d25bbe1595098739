// How rooms come to be here: new ones that players create, and claimed ones from their checkpoints (restore.ts). What was
// saved is tried from the newest generation on (generations.ts), each in a Room of its own, because onCreate has run in it.

import { matchMaker, type Room } from "@colyseus/core";
import { completeFullStates, hideOnDispose } from "../colyseus/room-internals.ts";
import { ROOM_ID_OPTION } from "../colyseus/room-guard.ts";
import type { Config } from "../config.ts";
import { hasCode, RingsideError } from "../errors.ts";
import type { EventBus } from "../events.ts";
import { isName, type RoomId } from "../ids.ts";
import type { ClaimedRoom, Directory } from "../ownership/directory.ts";
import type { Lease } from "../ownership/lease.ts";
import type { Clock } from "../runtime/clock.ts";
import { Turns } from "../runtime/turns.ts";
import { Activation } from "./activation.ts";
import { within } from "./deadline.ts";
import { Generations, type Readable } from "./generations.ts";
import { MigrationError } from "./migrate.ts";
import type { Players } from "./players.ts";
import { restoreInto } from "./restore.ts";
import type { RoomTable } from "./room-table.ts";

/** Why a room was opened here. */
export type OpenReason = "recovery" | "demand" | "move";

export interface RoomOpenerParts {
  readonly config: Config;
  readonly clock: Clock;
  readonly events: EventBus;
  readonly lease: Lease;
  readonly directory: Directory;
  readonly table: RoomTable;
  readonly players: Players;
  /** Tells of what the author's code threw. */
  readonly threw: (room: Room, where: string, error: unknown) => void;
}

/** One try to open a claimed room, with one generation of its checkpoints. */
interface Attempt {
  readonly claimed: ClaimedRoom;
  readonly readable: Readable;
  /** Measures what holds the event loop. */
  readonly timed: <Result>(piece: () => Result) => Result;
  /** Set when it failed because what was read does not fit. */
  misfit?: RingsideError;
}

type OnCreate = (options: unknown) => Promise<void>;

export class RoomOpener {
  readonly #parts: RoomOpenerParts;
  /** By room id, until Colyseus has made the Room. */
  readonly #attempts = new Map<string, Attempt>();
  /** Many rooms may be opened at the same time, and those that are here already must tick meanwhile. */
  readonly #turns: Turns;
  #refusesNewRooms = false;

  constructor(parts: RoomOpenerParts) {
    this.#parts = parts;
    this.#turns = new Turns(parts.clock, parts.config.encodeSliceMs);
  }

  /** From now on nobody can create a room here. */
  refuseNewRooms(): void {
    this.#refusesNewRooms = true;
  }

  /** See RoomHost. */
  async openClaimed(claimed: ClaimedRoom, why: OpenReason, waitedMs: number): Promise<Activation> {
    const { clock, events, players } = this.#parts;
    const startedMs = clock.monotonicMs();
    const { activation, readable, rebuildMs } = await this.#openNewest(claimed);
    events.emit("room:restored", {
      roomId: claimed.roomId,
      epoch: claimed.epoch,
      name: claimed.name,
      fromNodeId: claimed.fromNodeId,
      fromEpoch: claimed.fromEpoch,
      checkpointSeq: readable.checkpoint?.seq ?? 0,
      checkpointAgeMs: Math.round(readable.checkpoint?.ageMs ?? 0),
      seats: activation.awaited.size,
      waitedMs: Math.round(waitedMs),
      rebuildMs: Math.round(rebuildMs * 100) / 100, // mostly below 1
      restoreMs: Math.round(clock.monotonicMs() - startedMs),
      why,
    });
    players.settleIfAllAreBack(activation);
    return activation;
  }

  /** See RoomGuard. */
  async open(room: Room, options: Record<string, unknown>, authorsOnCreate: OnCreate): Promise<void> {
    const attempt = this.#attempts.get(room.roomId);
    // Colyseus disposes of what it could not create. To the author a room that is saved is not disposed by that, nor one
    // that was theirs to create and could not be entered; one whose onCreate threw is, as on any Colyseus server.
    let wasRefusedByAuthor = false;
    try {
      if (attempt === undefined) {
        await this.#openNew(room, options, async (given) => {
          wasRefusedByAuthor = true;
          await authorsOnCreate(given);
          wasRefusedByAuthor = false;
        });
      } else {
        await this.#openSaved(room, attempt, options, authorsOnCreate);
      }
    } catch (error) {
      if (!wasRefusedByAuthor) hideOnDispose(room);
      throw error;
    }
  }

  /** From the newest generation that can be read and fits. There are as many tries as generations at most. */
  async #openNewest(
    claimed: ClaimedRoom,
  ): Promise<{ activation: Activation; readable: Readable; rebuildMs: number }> {
    const generations = new Generations(claimed, this.#parts);
    let rebuildMs = 0;
    const timed = <Result>(piece: () => Result): Result => {
      const startedMs = this.#parts.clock.monotonicMs();
      try {
        return piece();
      } finally {
        rebuildMs += this.#parts.clock.monotonicMs() - startedMs;
      }
    };
    for (;;) {
      const readable = await this.#turns.run(() => timed(() => generations.next()));
      const attempt: Attempt = { claimed, readable, timed };
      try {
        return { activation: await this.#attempt(attempt), readable, rebuildMs };
      } catch (error) {
        // Colyseus makes an error of its own of what it was thrown.
        if (attempt.misfit === undefined) throw error;
        await generations.refuse(attempt.misfit);
      }
    }
  }

  async #attempt(attempt: Attempt): Promise<Activation> {
    const { clock, config, table } = this.#parts;
    const { name, options, roomId } = attempt.claimed;
    this.#attempts.set(roomId, attempt);
    try {
      const opening = this.#turns.run(() => matchMaker.handleCreateRoom(name, options, undefined, roomId));
      const facts = { why: "onCreate did not end in time", openMs: config.openMs };
      await within(clock, config.openMs, opening, () => new RingsideError("INTERNAL", facts));
    } finally {
      this.#attempts.delete(roomId);
    }
    const activation = table.activations.get(roomId);
    if (activation === undefined) throw new RingsideError("INTERNAL", { roomId });
    return activation;
  }

  async #openNew(room: Room, options: Record<string, unknown>, authorsOnCreate: OnCreate): Promise<void> {
    const { clock, directory, events, table } = this.#parts;
    if (this.#refusesNewRooms) throw new RingsideError("DRAINING");
    const chosen = options[ROOM_ID_OPTION];
    if (typeof chosen === "string") room.roomId = chosen;
    const given = withoutRoomId(options);
    await authorsOnCreate(given);
    completeFullStates(room);

    // Only now: authors may choose an id of their own in onCreate.
    if (!isName(room.roomId)) {
      throw new RingsideError("BAD_REQUEST", { roomId: room.roomId, why: "not a room id" });
    }
    const roomId = room.roomId as RoomId;
    const activation = await table.while(roomId, async () => {
      const epoch = await directory.create(roomId, room.roomName, given);
      if (epoch === undefined) throw new RingsideError("STALE_EPOCH", { roomId, why: "the id is in use" });
      return table.enter(new Activation(roomId, room.roomName, epoch, room));
    });
    activation.markChanged(clock.monotonicMs());
    activation.phase = { name: "active" };
    events.emit("room:created", { roomId, epoch: activation.epoch, name: activation.name });
  }

  async #openSaved(
    room: Room,
    attempt: Attempt,
    options: Record<string, unknown>,
    authorsOnCreate: OnCreate,
  ): Promise<void> {
    const { claimed, timed } = attempt;
    const { roomId } = claimed;
    const activation = new Activation(roomId, claimed.name, claimed.epoch, room);
    this.#parts.table.begin(activation);
    await authorsOnCreate(withoutRoomId(options));
    room.roomId = roomId; // an author who chooses ids in onCreate has just chosen another
    await this.#turns.run(() => timed(() => this.#fillIn(activation, attempt)));
  }

  /** Puts what was saved into a room that onCreate has made. Synchronous: nothing ticks on a state that is half there. */
  #fillIn(activation: Activation, attempt: Attempt): void {
    const { clock, lease, players, table } = this.#parts;
    const { claimed, readable } = attempt;
    const { room, roomId } = activation;
    if (!lease.isHeld) throw new RingsideError("LEASE_LOST", { roomId });
    // Too late: the room was given up meanwhile, and may be another's.
    if (this.#attempts.get(roomId) !== attempt) throw new RingsideError("STALE_EPOCH", { roomId });

    let snapshot: Readable["snapshot"];
    try {
      snapshot = restoreInto(activation, readable, clock.monotonicMs());
    } catch (error) {
      if (hasCode(error, "SNAPSHOT_UNREADABLE")) attempt.misfit = error;
      if (error instanceof MigrationError) this.#parts.threw(room, "migrateCheckpoint", error.cause ?? error);
      throw error;
    }
    table.enter(activation);
    activation.phase = { name: "active" };
    try {
      players.await(activation, claimed, snapshot);
    } catch (error) {
      table.fail(activation);
      throw error;
    }
  }
}

function withoutRoomId(options: Record<string, unknown>): Record<string, unknown> {
  const given = { ...options };
  delete given[ROOM_ID_OPTION];
  return given;
}
