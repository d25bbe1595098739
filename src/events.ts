// The turning points in the life of a node, a room or a seat. Logger, event log, launcher and tests all listen
// here, so what operators see and what tests wait for cannot drift apart. Named `subject:past-verb`.

import type { Epoch, Incarnation, NodeId, RoomId, SessionId } from "./ids.ts";

/** Why a node's incarnation was marked down. */
export type LossReason = "refused" | "replaced" | "lapsed" | "left";

export interface Events {
  "node:started": {
    incarnation: Incarnation;
    publicPort: number;
    internalPort: number;
    managementPort: number;
  };
  "node:ready": { incarnation: Incarnation; readyMs: number };
  /** This node saw that another is gone. `silentMs`: since it last renewed, by Postgres's clock. */
  "node:lost": {
    lostNodeId: NodeId;
    lostIncarnation: Incarnation;
    reason: LossReason;
    silentMs: number;
    rooms: number;
  };
  "node:fenced": { incarnation: Incarnation; why: string };
  "node:draining": { incarnation: Incarnation; rooms: number };
  "node:drained": { incarnation: Incarnation; moved: number; left: number; drainMs: number };
  "node:stopped": { incarnation: Incarnation };
  "view:changed": { version: number; nodes: NodeId[] };
  "lease:lapsed": { incarnation: Incarnation; rooms: number };
  "lease:regained": { incarnation: Incarnation; lapsedMs: number };
  /** Postgres is away for all: its peers have promised to leave this node's rooms alone, and play goes on unsaved. */
  "failsafe:entered": { incarnation: Incarnation; rooms: number };
  /** Postgres is away, and play may not go on when the lease ends. Told once. */
  "failsafe:denied": { incarnation: Incarnation; why: string };
  /** Postgres answers again. */
  "failsafe:left": { incarnation: Incarnation; withoutMs: number };
  "room:created": { roomId: RoomId; epoch: Epoch; name: string };
  /** One statement took these rooms for this node, of so many that it asked for. `claimMs`: with the reading of what was saved. */
  "rooms:claimed": { roomIds: RoomId[]; asked: number; claimMs: number; why: "recovery" | "demand" };
  /**
   * `checkpointAgeMs`: how old the checkpoint was when the claim was made; what the players lost at most. `waitedMs`: from the
   * claim until it was the room's turn; `restoreMs`: from then until it was open; `rebuildMs`: how much of that decoding and
   * rebuilding held the event loop.
   */
  "room:restored": {
    roomId: RoomId;
    epoch: Epoch;
    name: string;
    fromNodeId: NodeId | null;
    fromEpoch: Epoch;
    checkpointSeq: number;
    checkpointAgeMs: number;
    seats: number;
    waitedMs: number;
    restoreMs: number;
    rebuildMs: number;
    why: "recovery" | "demand" | "move";
  };
  /**
   * All seats of a restored room are back, or their time is up. From its being restored to the first player back and to the
   * last one; `firstBackMs` is null when nobody came.
   */
  "room:settled": {
    roomId: RoomId;
    epoch: Epoch;
    seats: number;
    back: number;
    firstBackMs: number | null;
    backMs: number;
  };
  "room:moved": { roomId: RoomId; epoch: Epoch; moveMs: number };
  "room:disposed": { roomId: RoomId; epoch: Epoch };
  "room:fenced": { roomId: RoomId; epoch: Epoch };
  /** `times`: how often since it was last told, which is at most once a second for each place. */
  "room:threw": { roomId: RoomId; epoch: Epoch; where: string; error: string; times: number };
  /** Its checkpoint `seq` cannot be read, or does not fit its class: it is kept, and the one before it is tried. */
  "room:unreadable": { roomId: RoomId; epoch: Epoch; seq: number; error: string };
  /** It could not be opened three times in a row. Its row, checkpoints and seats stay, and `reason` with them. */
  "room:quarantined": { roomId: RoomId; epoch: Epoch; reason: string };
  /**
   * It was taken back to its checkpoint `toSeq` of `toAt` (ms since 1970), which is saved again as `seq`. `newestSeq`: the last
   * of what is undone; `lostMs`: how much of the match that was, up to the moment at which the room was taken from its owner.
   * No node's event: whoever does it (recovery/rollback-room.ts) writes it into the event log.
   */
  "room:rolled-back": {
    roomId: RoomId;
    epoch: Epoch;
    seq: number;
    toSeq: number;
    toAt: number;
    lostMs: number;
    newestSeq: number;
  };
  "seat:taken": { roomId: RoomId; sessionId: SessionId };
  "seat:reclaimed": { roomId: RoomId; epoch: Epoch; sessionId: SessionId; afterMs: number };
  /** A player whose room went to another owner has their seat there, their connection never having ended. Told at their gateway. */
  "seat:relinked": { roomId: RoomId; epoch: Epoch; sessionId: SessionId; awayMs: number };
  "seat:lapsed": { roomId: RoomId; epoch: Epoch; sessionId: SessionId };
  /** So many wrong reconnection tokens for one seat, or from one address, within a minute: from now on they are answered late. */
  "seat:guessed": { roomId: RoomId; epoch: Epoch; tries: number };
  /** A gateway's link to an owner: `players` had their place on it when it ended. */
  "link:opened": { toNodeId: NodeId; incarnation: Incarnation };
  "link:lost": { toNodeId: NodeId; why: string; players: number };
  /** An owner could not be called, or does not understand us. Told once until it changes. */
  "link:refused": { toNodeId: NodeId; why: string };
  /** A gateway with so many players of this owner's rooms did not read in time: its link was cut. Told by the owner. */
  "link:fell-behind": { why: string; players: number };
  /** A player who read too slowly was cut off, to come back for the full state. */
  "player:cut-off": { roomId: RoomId; sessionId: SessionId; why: string };
  /** A player's connection was ended because their login was, or because they are suspended. Told at their gateway. */
  "player:expelled": { roomId: RoomId; sessionId: SessionId; why: "signed out" | "suspended" };
  /** A login has ended: its refresh tokens are worth nothing any more, nor are its access tokens in a moment. */
  "login:ended": { userId: string; loginId: string; why: "signed out" | "signed out everywhere" | "reused" };
  /** No node's events: the command that does it (scripts/sessions.ts) writes them into the event log. `until`: null for good. */
  "user:suspended": { userId: string; until: string | null; reason: string };
  "user:lifted": { userId: string };
  /** The keys that access tokens are checked against are others now; `signs` is the one that signs. */
  "keys:changed": { signs: string | null; kids: string[] };
  /** `bytes`: as they were stored. */
  "checkpoint:saved": { rooms: number; bytes: number; saveMs: number };
  /** A room is larger than half of what may be saved. Told once, and again when it has been smaller meanwhile. */
  "checkpoint:grew-large": { roomId: RoomId; epoch: Epoch; bytes: number; bytesMax: number };
  "checkpoint:refused": { roomId: RoomId; epoch: Epoch };
  "checkpoint:failed": { rooms: number; error: string };
  /** A commit's answer was lost on the way; its outcome is being found out. */
  "commit:doubted": { roomId: RoomId; epoch: Epoch; seq: number; error: string };
  "commit:settled": { roomId: RoomId; epoch: Epoch; seq: number; isCommitted: boolean };
  /** A room's code began a commit and did not wait for it: what it answers is not durable. Told once a room. */
  "commit:not-awaited": { roomId: RoomId; epoch: Epoch };
  "postgres:lost": { error: string };
  "postgres:regained": { awayMs: number };
  /** A standby was promoted, or an earlier state recovered: what was acknowledged last may be gone. `firstEpoch`: from now on. */
  "postgres:replaced": { firstEpoch: Epoch };
  /**
   * A request came by a proxy in a private network that TRUSTED_PROXIES does not name: its players are all taken for one address,
   * and limited together. Told once.
   */
  "proxy:not-trusted": { address: string };
  /** Somebody was refused at the front door; told at most once a minute for each reason, with how often it was since. */
  "door:refused": { why: string; times: number };
  "redis:lost": { error: string };
  "redis:regained": { awayMs: number };
}

export type EventName = keyof Events;
export type EventListener = <Name extends EventName>(name: Name, facts: Events[Name]) => void;

/** Delivers events to listeners, in order, at once. A listener that throws does not stop the others. */
export class EventBus {
  readonly #listeners = new Set<EventListener>();

  emit<Name extends EventName>(name: Name, facts: Events[Name]): void {
    for (const listener of this.#listeners) {
      try {
        listener(name, facts);
      } catch (error) {
        // An event tells of what has happened already; a broken listener must not undo it.
        process.emitWarning(error instanceof Error ? error : String(error));
      }
    }
  }

  /** Calls `listener` for every event until the returned function is called. */
  listen(listener: EventListener): () => void {
    this.#listeners.add(listener);
    return () => void this.#listeners.delete(listener);
  }
}
