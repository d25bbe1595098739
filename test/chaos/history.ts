// What a chaos run leaves behind: three logs that know nothing of each other, and what the run itself did and found. The
// checker (checker/check.ts) judges these and nothing else.
//
// Every time is of one machine's wall clock, ms since 1970: nodes, Postgres and players of a run share it.

/** One of a ledger's two lists. Plain entries are as durable as the last checkpoint, committed ones always. */
export type List = "plain" | "committed";

/** How much of each list there is. */
export type Lengths = Readonly<Record<List, number>>;

/** Who spoke for a room, and what it had been opened from. */
export interface Voice {
  readonly epoch: number;
  /** The room's own count of what it did: it goes on through epochs, and may step back with a rollback. */
  readonly seq: number;
  /** When it was said, by the speaker's clock. */
  readonly saidAt: number;
  readonly pid: number;
  /** What this activation began with. */
  readonly base: Lengths;
}

export type Outcome =
  | "ok"
  /** It has not happened, and will not. */
  | "fail"
  /** It may have happened, or may still. */
  | "unknown";

interface Op {
  readonly client: string;
  readonly roomId: string;
  readonly invokedAt: number;
  readonly endedAt: number;
  readonly outcome: Outcome;
  readonly why?: string;
}

/** An entry was asked for: a fresh id for each, and for a committed one asked again with the same until something was known. */
export interface Append extends Op {
  readonly kind: List;
  readonly id: string;
  /** Where it stands, if that is known; `plain`: how many plain entries there were when it was committed. */
  readonly at?: { readonly epoch: number; readonly index: number; readonly plain?: number };
}

export interface Read extends Op {
  readonly kind: "read";
  /** The node that was asked, where that is known. */
  readonly gateway?: string;
  readonly got?: Voice & Readonly<Record<List, readonly string[]>>;
}

/** The players' log. */
export type ClientOp = Append | Read;

/** What players heard of a room, each in order of arrival. */
export interface Frame extends Omit<Voice, "base"> {
  readonly client: string;
  readonly roomId: string;
  readonly at: number;
  /** Heard at the owner's own port: nothing stood between that could have kept it back. */
  readonly isDirect?: true;
}

/** The gateways' log: one message that a gateway let through to a player, in the order in which it did. */
export interface GatewayFrame {
  /** The process, not only the node. */
  readonly gateway: string;
  readonly at: number;
  readonly roomId: string;
  /** By the frame itself. */
  readonly epoch: number;
  readonly session: string;
  /** What kind of message it was: Colyseus's own number for it. */
  readonly code: number;
  /** Said by a room of the same process: no link stood between that could have delayed it. */
  readonly isDirect?: true;
}

/** Postgres's log: one write that it accepted, in the order in which it did. */
export interface Write {
  readonly id: number;
  readonly at: number;
  /** The process that wrote, by the name of its connection. */
  readonly writer: string;
  readonly what: "claim" | "release" | "end" | "checkpoint" | "seat" | "entry";
  readonly roomId: string;
  /** The epoch that was written, or of the room as it was then. */
  readonly epoch: number;
  /** Of the room's row at that moment. */
  readonly roomEpoch: number;
  /** A checkpoint's number. */
  readonly seq?: number;
  /** An entry's id. */
  readonly key?: string;
}

/** A node says that it has opened a room. */
export interface Opening {
  readonly roomId: string;
  readonly epoch: number;
  readonly nodeId: string;
  readonly at: number;
  /** What it was opened from; undefined for a new room. */
  readonly from?: {
    readonly checkpointSeq: number;
    readonly checkpointAgeMs: number;
    readonly restoreMs: number;
  };
}

/** A player was without a connection. */
export interface Absence {
  readonly client: string;
  readonly roomId: string;
  readonly from: number;
  /** When they heard of the room last: who was cut off by a gateway that stands still notices later than the room. */
  readonly heardAt?: number;
  readonly to: number;
  readonly end: "resumed" | "refused" | "still-away";
  readonly code?: number;
  readonly reason?: string;
}

/** What was done to the cluster. */
export interface FaultRecord {
  readonly name: string;
  /** A node, or a store, or all. */
  readonly target: string;
  readonly from: number;
  readonly to: number;
  /** What shows that it came to pass; undefined when nothing does. */
  readonly bit: string | undefined;
  /** What was seen when nothing showed that it did. */
  readonly instead?: string;
  /** Why it could not be tried at all: what it needs was not there. It is not counted then. */
  readonly skipped?: string;
}

/** The life of a node's process. */
export interface Life {
  readonly nodeId: string;
  readonly pid: number;
  readonly from: number;
  readonly to: number | undefined;
  readonly exit: string | undefined;
}

/** How things were when all was healed. */
export interface Aftermath {
  readonly healedAt: number;
  /** Each room as Postgres and the nodes have it. `players`: who is connected, by the report and in fact. */
  readonly rooms: readonly {
    readonly roomId: string;
    readonly owner: string | null;
    readonly isOwnerLive: boolean;
    readonly phase: string;
    readonly players: number;
    readonly playersInFact: number;
  }[];
  /** What was tried then, and did not work. */
  readonly failures: readonly { readonly roomId?: string; readonly what: string }[];
  readonly levels: readonly Level[];
}

/** Something that must be as it was before. */
export interface Level {
  readonly name: string;
  readonly before: number;
  readonly after: number;
  readonly atMost: number;
}

export interface History {
  readonly settings: {
    readonly seatHoldMs: number;
    /** Within this time after healing every room must be owned. */
    readonly ownedWithinMs: number;
    /** How much later than it came a frame may have been noticed, where the run itself was that late. */
    readonly lateMs?: number;
    /** What the logs must tell of at least; not asked of a history that is not a whole run's. */
    readonly expected?: {
      readonly ledgers: readonly string[];
      /** For how long everybody played. */
      readonly playedMs: number;
    };
  };
  readonly ops: readonly ClientOp[];
  readonly frames: readonly Frame[];
  readonly gatewayFrames: readonly GatewayFrame[];
  readonly writes: readonly Write[];
  /** Statements that changed nothing because they came from a stale owner, or were taken back. */
  readonly refusedWrites: number;
  readonly openings: readonly Opening[];
  readonly absences: readonly Absence[];
  readonly faults: readonly FaultRecord[];
  readonly lives: readonly Life[];
  readonly aftermath: Aftermath | undefined;
}

/** Something that must not be. */
export interface Violation {
  readonly rule: string;
  /** Undefined when it concerns the cluster. */
  readonly roomId: string | undefined;
  readonly what: string;
  /** When it showed, for the timeline. */
  readonly at: number;
}
