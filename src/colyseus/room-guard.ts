// What a room's surroundings may do and hear: the seam between Colyseus's hooks (hosted-class.ts) and Ringside's
// activations (actor/). Neither knows the other's inside.

import type { Client, Room } from "@colyseus/core";

export interface RoomGuard {
  /** Opens a room: runs `authorsOnCreate`, before or after whatever makes the room durable or brings it back. */
  open(
    room: Room,
    options: Record<string, unknown>,
    authorsOnCreate: (options: unknown) => Promise<void>,
  ): Promise<void>;
  /** Whether the room may tick, hear its players and speak to them, at this moment. */
  mayAct(room: Room): boolean;
  /**
   * Whether the author's hooks of comings, goings and ends may run.
   *
   * @returns undefined when they may at this moment; otherwise a promise of when they may, the lease being back, which
   * stays pending for ever when the room has gone elsewhere
   */
  untilOwned(room: Room): Promise<void> | undefined;
  /** Whether the room is on its way to another node: who leaves it now does so there, and if it has come to its end, it ends there. */
  isMoving(room: Room): boolean;
  /** How long a room whose author says nothing of it keeps the seat of a player whose connection broke. */
  readonly seatHoldMs: number;
  /** The author's onJoin is about to run, or (`done`) has run; resolves when the seat is durable. */
  joining(room: Room, client: Client): void;
  joined(room: Room, client: Client, options: unknown): Promise<void>;
  /**
   * A player is back in a seat that was kept. Resolves when the token that they are to be told is durable.
   *
   * @returns the options of their join when the restored state is older than it, and must hear of them by onJoin
   */
  reconnected(room: Room, client: Client): Promise<{ readonly options: unknown } | undefined>;
  /** That onJoin has run. */
  rejoined(room: Room, client: Client): void;
  /** A player has acknowledged what they were told on joining or coming back. */
  acknowledged(room: Room, client: Client): void;
  /**
   * The author keeps a player's seat for `ms`.
   *
   * @returns whether that counts: not for a seat that is kept already
   */
  kept(room: Room, client: Client, ms: number): boolean;
  /** Whether this player's seat is durable: they have joined, whatever became of their connection since. */
  hasSeat(room: Room, sessionId: string): boolean;
  /** A player is gone for good. Resolves when that is durable, or could not be made so yet. */
  left(room: Room, sessionId: string): Promise<void>;
  /** The room's state is not what it was at the last patch. */
  changed(room: Room): void;
  /** A message came while the room may not act. */
  hold(room: Room, client: Client, bytes: Buffer): void;
  /** A frame could not be sent because the room may not speak; its mirror is no longer whole. */
  missed(room: Room, client: Client): void;
  /** Something the author wrote threw. The room goes on. */
  threw(room: Room, where: string, error: unknown): void;
  /** Whether this player's page knows the state by another layout (state-layout.ts). */
  knowsOtherLayout(room: Room, sessionId: string): boolean;
  /** What a reconnection token is called inside the room: its hash. Whether it opens a seat is asked later (seat-return.ts). */
  resolveToken(room: Room, sessionId: string, token: string): string | undefined;
  /** Whether this opens that seat; `hash` is of a reconnection token. */
  opensSeat(room: Room, sessionId: string, hash: string): boolean;
  /** Whose seat a token opens. */
  sessionOf(room: Room, token: string): string | undefined;
  /** Whether this is the auth token with which the player joined; undefined when they came without one. */
  isSameLogin(room: Room, sessionId: string, authToken: string | undefined): boolean | undefined;
  /** What opened nothing may be answered when this resolves. */
  wrongToken(room: Room, sessionId: string | undefined, address: string | undefined): Promise<void>;
}

/** The option under which the room id travels from who chose it to who creates the room. Never reaches an author's hook. */
export const ROOM_ID_OPTION = "ringside:roomId";
