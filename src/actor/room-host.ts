// The rooms of this node, as Colyseus's hooks (RoomGuard), recovery and drain meet them. How rooms are opened is in
// open-room.ts, which ones are here in room-table.ts, players' comings and goings in players.ts.

import type { Client, Room } from "@colyseus/core";
import { untilLeft } from "../colyseus/hosted-seats.ts";
import { setElapsed } from "../colyseus/room-internals.ts";
import type { RoomGuard } from "../colyseus/room-guard.ts";
import type { Config } from "../config.ts";
import { RingsideError } from "../errors.ts";
import type { EventBus } from "../events.ts";
import type { Epoch, RoomId } from "../ids.ts";
import { hashToken, type ClaimedRoom, type Directory } from "../ownership/directory.ts";
import type { Lease } from "../ownership/lease.ts";
import type { Clock } from "../runtime/clock.ts";
import type { Activation } from "./activation.ts";
import { RoomOpener, type OpenReason } from "./open-room.ts";
import { mayAct } from "./phase.ts";
import { Players } from "./players.ts";
import { RoomTable, type CommitsOfRooms } from "./room-table.ts";
import type { NewSeat, Seats } from "./seats.ts";

export type { OpenReason };

export interface RoomHostParts {
  readonly config: Config;
  readonly clock: Clock;
  readonly events: EventBus;
  readonly lease: Lease;
  readonly directory: Directory;
  readonly seats: Seats;
  readonly commits: () => CommitsOfRooms;
}

export class RoomHost implements RoomGuard {
  readonly #parts: RoomHostParts;
  readonly #players: Players;
  readonly #table: RoomTable;
  readonly #opener: RoomOpener;
  /** Hooks that wait for the lease to come back. At most one for each player and a few for each room. */
  #waiting: { readonly activation: Activation; readonly goOn: () => void }[] = [];

  constructor(parts: RoomHostParts) {
    this.#parts = parts;
    this.#table = new RoomTable(parts);
    this.#players = new Players({ ...parts, untilOwned: (room) => this.untilOwned(room) });
    const threw = this.threw.bind(this);
    this.#opener = new RoomOpener({ ...parts, table: this.#table, players: this.#players, threw });
  }

  /** The rooms here, in whatever phase but opening or ended. */
  get activations(): ReadonlyMap<RoomId, Activation> {
    return this.#table.activations;
  }

  /** Every room that this node has something to do with. What Postgres gives it beyond these was claimed unawares. */
  get known(): RoomId[] {
    return this.#table.known;
  }

  isKnown(roomId: RoomId): boolean {
    return this.#table.isKnown(roomId);
  }

  /** From now on nobody can create a room here. */
  refuseNewRooms(): void {
    this.#opener.refuseNewRooms();
  }

  /**
   * Opens a room that this node has claimed: onCreate with its first options, then its saved state, then its seats. A
   * generation of its checkpoints that cannot be read, or does not fit the room's class, is kept, and the one before it is
   * tried in a Room of its own.
   *
   * @param waitedMs how long it has waited for its turn since it was claimed
   * @throws what the author's hooks throw, or SNAPSHOT_UNREADABLE when no generation can be read and fits; the room is
   * then neither here nor given up
   */
  openClaimed(claimed: ClaimedRoom, why: OpenReason, waitedMs: number): Promise<Activation> {
    return this.#opener.openClaimed(claimed, why, waitedMs);
  }

  // ---- RoomGuard: what Colyseus's hooks ask and tell ----

  open(
    room: Room,
    options: Record<string, unknown>,
    authorsOnCreate: (options: unknown) => Promise<void>,
  ): Promise<void> {
    return this.#opener.open(room, options, authorsOnCreate);
  }

  mayAct(room: Room): boolean {
    const activation = this.#table.of(room);
    return activation !== undefined && mayAct(activation.phase) && this.#parts.lease.isHeld;
  }

  get seatHoldMs(): number {
    return this.#parts.config.seatHoldMs;
  }

  untilOwned(room: Room): Promise<void> | undefined {
    const activation = this.#table.of(room);
    if (activation === undefined || activation.phase.name === "opening") return undefined;
    if (isElsewhere(activation)) return new Promise(() => {});
    if (this.#parts.lease.isHeld) return undefined;
    return new Promise((goOn) => this.#waiting.push({ activation, goOn }));
  }

  isMoving(room: Room): boolean {
    return this.#table.of(room)?.phase.name === "moving";
  }

  joining(room: Room, client: Client): void {
    this.#with(room, (activation) => this.#players.joining(activation, client));
  }

  async joined(room: Room, client: Client, options: unknown): Promise<void> {
    const activation = this.#table.of(room);
    if (activation === undefined) throw new RingsideError("ROOM_MOVING");
    await this.#players.joined(activation, client, options);
  }

  async reconnected(room: Room, client: Client): Promise<{ readonly options: unknown } | undefined> {
    const activation = this.#table.of(room);
    return activation && this.#players.reconnected(activation, client);
  }

  rejoined(room: Room, client: Client): void {
    this.#with(room, (activation) => this.#players.rejoined(activation, client));
  }

  acknowledged(room: Room, client: Client): void {
    this.#with(room, (activation) => this.#players.acknowledged(activation, client));
  }

  kept(room: Room, client: Client, ms: number): boolean {
    const activation = this.#table.of(room);
    return activation !== undefined && this.#players.kept(activation, client, ms);
  }

  hasSeat(room: Room, sessionId: string): boolean {
    return this.#table.of(room)?.tokens.has(sessionId) === true;
  }

  async left(room: Room, sessionId: string): Promise<void> {
    const activation = this.#table.of(room);
    if (activation !== undefined && activation.phase.name !== "ended") {
      await this.#players.left(activation, sessionId);
    }
  }

  changed(room: Room): void {
    this.#with(room, (activation) => activation.markChanged(this.#parts.clock.monotonicMs()));
  }

  hold(room: Room, client: Client, bytes: Buffer): void {
    this.#with(room, (activation) => this.#players.hold(activation, client, bytes));
  }

  missed(room: Room, client: Client): void {
    this.#table.of(room)?.missed.add(client);
  }

  threw(room: Room, where: string, error: unknown): void {
    const { clock, events } = this.#parts;
    const activation = this.#table.of(room);
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

  knowsOtherLayout(room: Room, sessionId: string): boolean {
    return this.#table.of(room)?.otherLayouts.has(sessionId) === true;
  }

  resolveToken(_room: Room, _sessionId: string, token: string): string {
    return hashToken(token);
  }

  opensSeat(room: Room, sessionId: string, hash: string): boolean {
    const activation = this.#table.of(room);
    return activation !== undefined && this.#players.opensSeat(activation, sessionId, hash);
  }

  sessionOf(room: Room, token: string): string | undefined {
    const activation = this.#table.of(room);
    return activation && this.#players.sessionOf(activation, hashToken(token));
  }

  isSameLogin(room: Room, sessionId: string, authToken: string | undefined): boolean | undefined {
    const login = this.#table.of(room)?.tokens.get(sessionId)?.loginHash;
    return login === undefined ? undefined : authToken !== undefined && hashToken(authToken) === login;
  }

  async wrongToken(room: Room, sessionId: string | undefined, address: string | undefined): Promise<void> {
    const activation = this.#table.of(room);
    if (activation !== undefined) await this.#players.wrongToken(activation, sessionId, address);
  }

  // ---- the node's side ----

  /** The lease is back, and so the rooms go on: as if no time had passed, with what was said meanwhile. */
  resume(): void {
    for (const activation of this.#table.activations.values()) {
      if (activation.phase.name !== "active") continue;
      setElapsed(activation.room, activation.room.clock.elapsedTime);
      this.#players.catchUp(activation);
    }
    const waiting = this.#waiting;
    this.#waiting = [];
    for (const { activation, goOn } of waiting) if (!isElsewhere(activation)) goOn();
  }

  /** Resolves when no room is about to end here. */
  untilEnded(): Promise<void> {
    return this.#table.untilEnded();
  }

  /** Resolves when the hooks of all who are just leaving the room have ended, and that is durable, or have kept the seats. */
  untilLeft({ room }: Activation): Promise<void> {
    return untilLeft(room);
  }

  /** See Players. */
  seatsOf(activation: Activation): NewSeat[] {
    return this.#players.seatsOf(activation);
  }

  /** Freezes a room that is to move. The hooks of who is leaving it go on. */
  freeze(activation: Activation): void {
    activation.phase = { name: "moving", isSealed: false };
  }

  /** From now on nothing begins that its last checkpoint here would not know of. */
  seal(activation: Activation): void {
    activation.phase = { name: "moving", isSealed: true };
  }

  /** See RoomTable. */
  letGo(activation: Activation, why: "moved" | "fenced"): void {
    this.#table.letGo(activation, why);
  }

  #with(room: Room, work: (activation: Activation) => void): void {
    const activation = this.#table.of(room);
    if (activation !== undefined && activation.phase.name !== "ended") work(activation);
  }
}

/** Whether the room goes on somewhere else. One that ended here, or never began, has its own end still to tell. */
function isElsewhere({ phase }: Activation): boolean {
  return phase.name === "ended" && (phase.why === "moved" || phase.why === "fenced");
}
