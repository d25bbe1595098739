// The rooms of this node: creates them, opens claimed ones from their checkpoints, and is what Colyseus's hooks talk to
// (RoomGuard). Reading a checkpoint back is in restore.ts, players' comings and goings in players.ts.

import { matchMaker, type Client, type Room } from "@colyseus/core";
import {
  completeFullStates,
  evict,
  hideOnDispose,
  internals,
  setElapsed,
  silence,
} from "../colyseus/room-internals.ts";
import { ROOM_ID_OPTION, type RoomGuard } from "../colyseus/room-guard.ts";
import type { Config } from "../config.ts";
import { ERRORS, messageOf, RingsideError } from "../errors.ts";
import type { EventBus } from "../events.ts";
import { isName, type Epoch, type RoomId } from "../ids.ts";
import type { ClaimedRoom, Directory } from "../ownership/directory.ts";
import type { Lease } from "../ownership/lease.ts";
import type { Clock } from "../runtime/clock.ts";
import { Activation } from "./activation.ts";
import { mayAct } from "./phase.ts";
import { Players } from "./players.ts";
import { readSnapshot, restoreInto, type Readable } from "./restore.ts";
import type { Seats } from "./seats.ts";

export interface RoomHostParts {
  readonly config: Config;
  readonly clock: Clock;
  readonly events: EventBus;
  readonly lease: Lease;
  readonly directory: Directory;
  readonly seats: Seats;
}

/** Why a room was opened here. */
export type OpenReason = "recovery" | "demand" | "move";

export class RoomHost implements RoomGuard {
  readonly #parts: RoomHostParts;
  readonly #players: Players;
  readonly #activations = new Map<RoomId, Activation>();
  readonly #byRoom = new WeakMap<Room, Activation>();
  /** Rooms that are being opened from a claim, until Colyseus has made their Room. */
  readonly #claims = new Map<string, { readonly claimed: ClaimedRoom; readonly readable: Readable }>();
  /** Rooms that are this node's in Postgres without an activation: about to be entered, or ended but not yet there. */
  readonly #between = new Set<RoomId>();
  /** Hooks that wait for the lease to come back. At most one for each player and a few for each room. */
  #waiting: { readonly activation: Activation; readonly goOn: () => void }[] = [];
  #refusesNewRooms = false;

  constructor(parts: RoomHostParts) {
    this.#parts = parts;
    this.#players = new Players({ ...parts, untilOwned: (room) => this.untilOwned(room) });
  }

  /** The rooms here, in whatever phase but ended. */
  get activations(): ReadonlyMap<RoomId, Activation> {
    return this.#activations;
  }

  /** Every room that this node has something to do with. What Postgres gives it beyond these was claimed unawares. */
  get known(): RoomId[] {
    return [...this.#activations.keys(), ...this.#between];
  }

  isKnown(roomId: RoomId): boolean {
    return this.#activations.has(roomId) || this.#between.has(roomId);
  }

  /** From now on nobody can create a room here. */
  refuseNewRooms(): void {
    this.#refusesNewRooms = true;
  }

  /**
   * Opens a room that this node has claimed: onCreate with its first options, then its saved state, then its seats.
   *
   * @throws what the author's hooks throw, or SNAPSHOT_UNREADABLE when no generation can be read; the room is then
   * neither here nor given up
   */
  async openClaimed(claimed: ClaimedRoom, why: OpenReason): Promise<Activation> {
    const { clock, config, directory, events } = this.#parts;
    const startedMs = clock.monotonicMs();
    const readable = await readSnapshot(claimed, directory, events);
    this.#claims.set(claimed.roomId, { claimed, readable });
    const { promise: late, reject } = Promise.withResolvers<never>();
    const cancel = clock.after(config.openMs, () => {
      reject(new RingsideError("INTERNAL", { why: "onCreate did not end in time", openMs: config.openMs }));
    });
    try {
      const opening = matchMaker.handleCreateRoom(claimed.name, claimed.options, undefined, claimed.roomId);
      await Promise.race([opening, late]);
    } finally {
      cancel();
      this.#claims.delete(claimed.roomId);
    }
    const activation = this.#activations.get(claimed.roomId);
    if (activation === undefined) throw new RingsideError("INTERNAL", { roomId: claimed.roomId });
    events.emit("room:restored", {
      roomId: claimed.roomId,
      epoch: claimed.epoch,
      name: claimed.name,
      fromNodeId: claimed.fromNodeId,
      fromEpoch: claimed.fromEpoch,
      checkpointSeq: readable.checkpoint?.seq ?? 0,
      checkpointAgeMs: Math.round(readable.checkpoint?.ageMs ?? 0),
      seats: activation.awaited.size,
      restoreMs: Math.round(clock.monotonicMs() - startedMs),
      why,
    });
    this.#players.settleIfAllAreBack(activation);
    return activation;
  }

  // ---- RoomGuard: what Colyseus's hooks ask and tell ----

  async open(
    room: Room,
    options: Record<string, unknown>,
    authorsOnCreate: (options: unknown) => Promise<void>,
  ): Promise<void> {
    const claim = this.#claims.get(room.roomId);
    // Colyseus disposes of what it could not create. To the author a room that is saved is not disposed by that, nor one
    // that was theirs to create and could not be entered; one whose onCreate threw is, as on any Colyseus server.
    let wasRefusedByAuthor = false;
    try {
      if (claim === undefined) {
        await this.#openNew(room, options, async (given) => {
          wasRefusedByAuthor = true;
          await authorsOnCreate(given);
          wasRefusedByAuthor = false;
        });
      } else {
        await this.#openSaved(room, claim.claimed, claim.readable, options, authorsOnCreate);
      }
    } catch (error) {
      if (!wasRefusedByAuthor) hideOnDispose(room);
      throw error;
    }
  }

  mayAct(room: Room): boolean {
    const activation = this.#byRoom.get(room);
    return activation !== undefined && mayAct(activation.phase) && this.#parts.lease.isHeld;
  }

  get seatHoldMs(): number {
    return this.#parts.config.seatHoldMs;
  }

  untilOwned(room: Room): Promise<void> | undefined {
    const activation = this.#byRoom.get(room);
    if (activation === undefined || activation.phase.name === "opening") return undefined;
    if (isElsewhere(activation)) return new Promise(() => {});
    if (this.#parts.lease.isHeld) return undefined;
    return new Promise((goOn) => this.#waiting.push({ activation, goOn }));
  }

  joining(room: Room, client: Client): void {
    this.#with(room, (activation) => this.#players.joining(activation, client));
  }

  async joined(room: Room, client: Client, options: unknown): Promise<void> {
    const activation = this.#byRoom.get(room);
    if (activation === undefined) throw new RingsideError("ROOM_MOVING");
    await this.#players.joined(activation, client, options);
  }

  reconnected(room: Room, client: Client): { readonly options: unknown } | undefined {
    const activation = this.#byRoom.get(room);
    return activation && this.#players.reconnected(activation, client);
  }

  hasSeat(room: Room, sessionId: string): boolean {
    const activation = this.#byRoom.get(room);
    return activation?.occupants.has(sessionId) === true && !activation.joining.has(sessionId);
  }

  left(room: Room, sessionId: string): void {
    this.#with(room, (activation) => this.#players.left(activation, sessionId));
  }

  changed(room: Room): void {
    this.#with(room, (activation) => activation.markChanged(this.#parts.clock.monotonicMs()));
  }

  hold(room: Room, client: Client, bytes: Buffer): void {
    this.#with(room, (activation) => this.#players.hold(activation, client, bytes));
  }

  missed(room: Room, client: Client): void {
    this.#byRoom.get(room)?.missed.add(client);
  }

  threw(room: Room, where: string, error: unknown): void {
    const { clock, events } = this.#parts;
    const activation = this.#byRoom.get(room);
    // A tick that throws does so twenty times a second; it is told once, with the count.
    const times = activation === undefined ? 1 : activation.countThrow(where, clock.monotonicMs());
    if (times === 0) return;
    events.emit("room:threw", {
      roomId: activation?.roomId ?? (room.roomId as RoomId),
      epoch: activation?.epoch ?? (0 as Epoch),
      where,
      error: error instanceof Error ? (error.stack ?? error.message) : String(error),
      times,
    });
  }

  resolveToken(room: Room, sessionId: string | undefined, token: string): string | undefined {
    const activation = this.#byRoom.get(room);
    return activation && this.#players.resolveToken(activation, sessionId, token);
  }

  // ---- the node's side ----

  /** The lease is back, and so the rooms go on: as if no time had passed, with what was said meanwhile. */
  resume(): void {
    for (const activation of this.#activations.values()) {
      if (activation.phase.name !== "active") continue;
      setElapsed(activation.room, activation.room.clock.elapsedTime);
      this.#players.catchUp(activation);
    }
    const waiting = this.#waiting;
    this.#waiting = [];
    for (const { activation, goOn } of waiting) if (!isElsewhere(activation)) goOn();
  }

  /** Freezes a room for its last checkpoint here. */
  freeze(activation: Activation): void {
    activation.phase = { name: "moving" };
  }

  /**
   * Ends an activation without a word to the room's author: the room goes on elsewhere.
   *
   * @param why "moved" closes its players' sockets so that the SDK retries; "fenced" cuts them without a frame, because
   * this activation may not speak any more
   */
  letGo(activation: Activation, why: "moved" | "fenced"): void {
    if (activation.phase.name === "ended") return;
    activation.phase = { name: "ended", why };
    this.#activations.delete(activation.roomId);
    const clients = [...activation.room.clients];
    evict(activation.room);
    for (const client of clients) {
      silence(client);
      if (why === "moved") client.leave(ERRORS.ROOM_MOVING.close, ERRORS.ROOM_MOVING.text);
      else (client.ref as unknown as { terminate(): void }).terminate();
    }
    if (why === "fenced") {
      this.#parts.events.emit("room:fenced", { roomId: activation.roomId, epoch: activation.epoch });
    }
  }

  async #openNew(
    room: Room,
    options: Record<string, unknown>,
    authorsOnCreate: (options: unknown) => Promise<void>,
  ): Promise<void> {
    const { directory, events } = this.#parts;
    if (this.#refusesNewRooms) throw new RingsideError("DRAINING");
    const chosen = options[ROOM_ID_OPTION];
    if (typeof chosen === "string") room.roomId = chosen;
    const given = withoutRoomId(options);
    await authorsOnCreate(given);
    completeFullStates(room);

    // Only now: authors may choose an id of their own in onCreate.
    const { roomId } = room;
    if (!isName(roomId)) throw new RingsideError("BAD_REQUEST", { roomId, why: "not a room id" });
    this.#between.add(roomId as RoomId);
    let activation: Activation;
    try {
      const epoch = await directory.create(roomId as RoomId, room.roomName, given);
      if (epoch === undefined) throw new RingsideError("STALE_EPOCH", { roomId, why: "the id is in use" });
      activation = this.#enter(new Activation(roomId as RoomId, room.roomName, epoch, room));
    } finally {
      this.#between.delete(roomId as RoomId);
    }
    activation.markChanged(this.#parts.clock.monotonicMs());
    activation.phase = { name: "active" };
    events.emit("room:created", {
      roomId: activation.roomId,
      epoch: activation.epoch,
      name: activation.name,
    });
  }

  async #openSaved(
    room: Room,
    claimed: ClaimedRoom,
    readable: Readable,
    options: Record<string, unknown>,
    authorsOnCreate: (options: unknown) => Promise<void>,
  ): Promise<void> {
    const activation = new Activation(claimed.roomId, claimed.name, claimed.epoch, room);
    this.#byRoom.set(room, activation);
    await authorsOnCreate(withoutRoomId(options));
    room.roomId = claimed.roomId; // an author who chooses ids in onCreate has just chosen another
    if (!this.#parts.lease.isHeld) throw new RingsideError("LEASE_LOST", { roomId: claimed.roomId });
    // Too late: the room was given up meanwhile, and may be another's.
    if (this.#claims.get(claimed.roomId)?.claimed !== claimed)
      throw new RingsideError("STALE_EPOCH", { roomId: claimed.roomId });

    // From here on without a pause, so that nothing ticks on a state that is half there.
    restoreInto(activation, readable, this.#parts.clock.monotonicMs());
    this.#enter(activation);
    activation.phase = { name: "active" };
    try {
      this.#players.await(activation, claimed, readable.snapshot);
    } catch (error) {
      activation.phase = { name: "ended", why: "failed" }; // or what Colyseus disposes of now would be the saved room
      this.#activations.delete(claimed.roomId);
      throw error;
    }
  }

  #enter(activation: Activation): Activation {
    const { room, roomId } = activation;
    const other = this.#activations.get(roomId);
    if (other !== undefined) this.letGo(other, "fenced"); // Postgres gave the room a newer epoch: this one
    this.#byRoom.set(room, activation);
    this.#activations.set(roomId, activation);
    internals(room)._events.once("dispose", () => {
      if (activation.phase.name === "ended") return;
      activation.phase = { name: "ended", why: "disposed" };
      this.#activations.delete(roomId);
      this.#between.add(roomId);
      // After the author's onDispose, which may still want the room to be there.
      internals(room)._events.once("disconnect", () => void this.#disposed(activation));
    });
    return activation;
  }

  async #disposed({ roomId, epoch }: Activation): Promise<void> {
    const { directory, events } = this.#parts;
    try {
      await directory.dispose(roomId, epoch);
      events.emit("room:disposed", { roomId, epoch });
    } catch (error) {
      // The row is still ours and is found as orphaned; the room then opens once more, empty, and ends again.
      events.emit("room:threw", { roomId, epoch, where: "dispose", error: messageOf(error), times: 1 });
    } finally {
      this.#between.delete(roomId);
    }
  }

  #with(room: Room, work: (activation: Activation) => void): void {
    const activation = this.#byRoom.get(room);
    if (activation !== undefined && activation.phase.name !== "ended") work(activation);
  }
}

/** Whether the room goes on somewhere else. One that ended here, or never began, has its own end still to tell. */
function isElsewhere({ phase }: Activation): boolean {
  return phase.name === "ended" && (phase.why === "moved" || phase.why === "fenced");
}

function withoutRoomId(options: Record<string, unknown>): Record<string, unknown> {
  const given = { ...options };
  delete given[ROOM_ID_OPTION];
  return given;
}
