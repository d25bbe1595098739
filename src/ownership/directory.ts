// Who owns a room, and at which epoch: the calls on Postgres that decide it. The rule of each stands in its statement
// (queries/), where it cannot race with the write; here the rows are given their types.

import { createHash, randomBytes } from "node:crypto";
import type { Epoch, Incarnation, NodeId, RoomId, SessionId } from "../ids.ts";
import type { Database } from "../postgres/query.ts";

/** A seat as it was stored. Tokens themselves are nowhere: only their SHA-256, in hex. */
export interface StoredSeat {
  readonly sessionId: SessionId;
  /** Of the newest reconnection token. */
  readonly tokenHash: string;
  /** Of the one that it replaced, which opens the seat as well. */
  readonly previousHash: string | undefined;
  /** Whether the player is known to have heard of the newest one. */
  readonly isHeard: boolean;
  /** The number of the last change of the tokens. */
  readonly tokenNo: number;
  /** Of the auth token with which the player joined. */
  readonly loginHash: string | undefined;
  readonly options: unknown;
  readonly auth: unknown;
}

export interface StoredCheckpoint {
  readonly seq: number;
  /** At which it was saved. */
  readonly epoch: Epoch;
  readonly bytes: Uint8Array;
  /** The bytes of the checkpoint that it stands on; undefined for a whole one. */
  readonly base: Uint8Array | undefined;
  /** How old it was when it was read, by Postgres's clock. */
  readonly ageMs: number;
}

export interface ClaimedRoom {
  readonly roomId: RoomId;
  readonly name: string;
  readonly options: Record<string, unknown>;
  readonly epoch: Epoch;
  readonly fromNodeId: NodeId | null;
  readonly fromEpoch: Epoch;
  /** Whether the former owner gave it up on purpose, saved to the last change. */
  readonly wasReleased: boolean;
  /** The newest one; undefined when the room was never saved. */
  readonly checkpoint: StoredCheckpoint | undefined;
  readonly seats: readonly StoredSeat[];
}

export interface Ownership {
  readonly epoch: Epoch;
  readonly owner: Incarnation | null;
  /** Whether `owner` is a node that counts. */
  readonly isOwned: boolean;
  readonly isQuarantined: boolean;
}

/** Characters of a reason that are kept. */
const REASON_MAX = 1_000;

interface SavedRow {
  seq: number | null;
  epoch: Epoch;
  snapshot: Buffer;
  base: Buffer | null;
  age_ms: number;
}

interface OwnershipRow {
  epoch: Epoch;
  owner: Incarnation | null;
  owned: boolean;
  quarantined: boolean;
}

interface SeatRow {
  sessionId: SessionId;
  tokenHash: string;
  previousHash: string | null;
  isHeard: boolean;
  tokenNo: number;
  loginHash: string | null;
  options: string | null;
  auth: string | null;
}

export class Directory {
  readonly #database: Database;
  readonly #self: Incarnation;
  readonly #names: readonly string[];
  readonly #versions: readonly number[];

  /**
   * @param kinds the rooms that this node can open, by name, and the version of each one's class. In a deploy that brings or
   * changes a kind of room, nodes with and without it run side by side; a node leaves alone what it does not know, and what
   * a later version of a class has saved
   */
  constructor(database: Database, self: Incarnation, kinds: Readonly<Record<string, number>>) {
    this.#database = database;
    this.#self = self;
    this.#names = Object.keys(kinds);
    this.#versions = Object.values(kinds);
  }

  /** Enters a new room. @returns its first epoch; undefined when the id is in use, or this node may own nothing */
  async create(roomId: RoomId, name: string, options: unknown): Promise<Epoch | undefined> {
    const values = [roomId, name, JSON.stringify(options), this.#self];
    return (await this.#database.run<{ epoch: Epoch }>("create-room", values))[0]?.epoch;
  }

  /**
   * Takes those of `roomIds` that nobody who counts owns. Exactly one of any number of claimants gets a room.
   *
   * @param evenOwn whether to take also rooms that are this node's already, at a new epoch: only for rooms it does not hold
   * @returns the rooms that are now this node's, with what they need to open
   */
  async claim(roomIds: readonly RoomId[], { evenOwn = false } = {}): Promise<ClaimedRoom[]> {
    interface Claim {
      room_id: RoomId;
      name: string;
      options: string | null;
      epoch: Epoch;
      from_node: NodeId | null;
      from_epoch: Epoch;
      released: boolean;
    }
    const claims = await this.#database.run<Claim>("claim-rooms", [
      roomIds,
      this.#self,
      this.#names,
      this.#versions,
      evenOwn,
    ]);
    if (claims.length === 0) return [];
    type Saved = SavedRow & { room_id: RoomId; seats: SeatRow[] };
    const taken = claims.map((claim) => claim.room_id);
    const saved = new Map(
      (await this.#database.run<Saved>("read-rooms", [taken])).map((row) => [row.room_id, row]),
    );
    return claims.map((claim) => ({
      roomId: claim.room_id,
      name: claim.name,
      // Written by `create`, from what a room was created with.
      options: (fromJson(claim.options) ?? {}) as Record<string, unknown>,
      epoch: claim.epoch,
      fromNodeId: claim.from_node,
      fromEpoch: claim.from_epoch,
      wasReleased: claim.released,
      checkpoint: toCheckpoint(saved.get(claim.room_id)),
      seats: (saved.get(claim.room_id)?.seats ?? []).map(toSeat),
    }));
  }

  /** The newest checkpoint before `seq`, for when that one cannot be read. */
  async readOlder(roomId: RoomId, seq: number): Promise<StoredCheckpoint | undefined> {
    return toCheckpoint((await this.#database.run<SavedRow>("older-checkpoint", [roomId, seq]))[0]);
  }

  /** Who owns a room; undefined when there is none of this id. */
  async locate(roomId: RoomId): Promise<Ownership | undefined> {
    const [row] = await this.#database.run<OwnershipRow>("locate-room", [roomId]);
    return row && toOwnership(row);
  }

  /** Who owns these rooms, by their ids; those that there are not are missing. */
  async locateAll(roomIds: readonly RoomId[]): Promise<ReadonlyMap<RoomId, Ownership>> {
    type Row = OwnershipRow & { room_id: RoomId };
    const rows = await this.#database.run<Row>("locate-rooms", [roomIds]);
    return new Map(rows.map((row) => [row.room_id, toOwnership(row)]));
  }

  /** Rooms that nobody who counts owns, those with players first. */
  async readUnowned(atMost: number): Promise<RoomId[]> {
    const rows = await this.#database.run<{ room_id: RoomId }>("unowned-rooms", [
      atMost,
      this.#names,
      this.#versions,
    ]);
    return rows.map((row) => row.room_id);
  }

  /** Rooms that are this node's on paper, other than those it holds. */
  async readOrphaned(held: readonly RoomId[]): Promise<RoomId[]> {
    const rows = await this.#database.run<{ room_id: RoomId }>("orphaned-rooms", [this.#self, held]);
    return rows.map((row) => row.room_id);
  }

  /** Gives a room up for another node. @returns false when a newer activation exists */
  async release(roomId: RoomId, epoch: Epoch): Promise<boolean> {
    return (await this.#database.run("release-room", [roomId, epoch, this.#self])).length > 0;
  }

  /** Ends a room for good. @returns false when a newer activation exists */
  async dispose(roomId: RoomId, epoch: Epoch): Promise<boolean> {
    return (await this.#database.run("dispose-room", [roomId, epoch, this.#self])).length > 0;
  }

  /** Keeps a checkpoint that could not be read, with the reason. @returns false when a newer activation exists */
  async keepUnreadable(roomId: RoomId, epoch: Epoch, seq: number, reason: string): Promise<boolean> {
    const values = [roomId, epoch, this.#self, seq, reason.slice(0, REASON_MAX)];
    return (await this.#database.run("keep-unreadable", values)).length > 0;
  }

  /**
   * Gives up a room that could not be opened; the last of `attemptsMax` times, it is locked away with the reason.
   *
   * @returns whether it is locked away now
   */
  async failedOpen(roomId: RoomId, epoch: Epoch, attemptsMax: number, reason: string): Promise<boolean> {
    const values = [roomId, epoch, this.#self, attemptsMax, reason.slice(0, REASON_MAX)];
    const rows = await this.#database.run<{ quarantined: boolean }>("failed-open", values);
    return rows[0]?.quarantined === true;
  }
}

function toCheckpoint(row: SavedRow | undefined): StoredCheckpoint | undefined {
  if (row === undefined || row.seq === null) return undefined;
  const { seq, epoch, snapshot, base, age_ms: ageMs } = row;
  return { seq, epoch, bytes: snapshot, base: base ?? undefined, ageMs };
}

function toOwnership({ epoch, owner, owned, quarantined }: OwnershipRow): Ownership {
  return { epoch, owner, isOwned: owned, isQuarantined: quarantined };
}

function toSeat({ options, auth, previousHash, loginHash, ...seat }: SeatRow): StoredSeat {
  return {
    ...seat,
    previousHash: previousHash ?? undefined,
    loginHash: loginHash ?? undefined,
    options: fromJson(options),
    auth: fromJson(auth),
  };
}

function fromJson(text: string | null): unknown {
  return text === null ? undefined : JSON.parse(text);
}

/** A new room's id: 72 random bits, in the characters that Colyseus's URLs may hold. */
export function newRoomId(): RoomId {
  return randomBytes(9).toString("base64url") as RoomId;
}

/** A new reconnection token: 128 random bits. */
export function newToken(): string {
  return randomBytes(16).toString("base64url");
}

/** What is stored of a reconnection token, in hex. */
export function hashToken(token: string): string {
  return createHash("sha256").update(token).digest("hex");
}
