// The room that the chaos run is about: a ledger of unique ids, of which it is easy to say what may have become of them.
//
// It has two lists. Plain entries are state like any other: they may be lost up to the last checkpoint. Committed ones are
// entered by commands, with a row of their own in `chaos_entry`: once acknowledged they stand for ever, once each. Whatever
// the room says carries its epoch, so that players can testify who spoke for it.

import { Room, type Client } from "@colyseus/core";
import { schema, t, type SchemaType } from "@colyseus/schema";
import { command, type CommitTx } from "../../src/index.ts";
import { systemClock } from "../../src/runtime/clock.ts";
import type { EpochAware } from "./epoch-witness.ts";
import { SETTINGS } from "./settings.ts";

/** What a beat costs is a patch for each player; seldom enough that two cores carry the run. */
const BEAT_MS = 150;
const SEAT_HELD_SECONDS = SETTINGS.seatHoldMs / 1_000;

export const LedgerState = schema(
  {
    epoch: t.float64().default(0), // each timeline of Postgres has a billion of them
    /** What this activation began with. */
    basePlain: t.uint32().default(0),
    baseCommitted: t.uint32().default(0),
    seq: t.uint32().default(0),
    saidAt: t.float64().default(0),
    pid: t.uint32().default(0),
    plain: t.array("string"),
    /** The last of them may yet be taken back: what is certain is told by `read`. */
    committed: t.array("string"),
  },
  "LedgerState",
);
export type LedgerState = SchemaType<typeof LedgerState>;

/** Who speaks; part of every answer. */
export interface Said {
  readonly epoch: number;
  readonly seq: number;
  readonly saidAt: number;
  readonly pid: number;
  readonly base: { readonly plain: number; readonly committed: number };
}

export interface Appended {
  readonly epoch: number;
  readonly index: number;
  /** How many plain entries there were. */
  readonly plain: number;
}

export type Contents = Said & { readonly plain: readonly string[]; readonly committed: readonly string[] };

const ENTER = "INSERT INTO public.chaos_entry (room_id, id, epoch) VALUES ($1, $2, $3)";

export class LedgerRoom extends Room<{ state: LedgerState }> implements EpochAware {
  override state = new LedgerState();
  override maxClients = 40;
  override patchRate = BEAT_MS;
  /** How many of the committed ones are certain. */
  #certain = 0;

  override messages = {
    append: (_client: Client, message: unknown): Said & Appended => {
      this.state.plain.push(parseEntry(message).id);
      const { length } = this.state.plain;
      return { ...this.#said(), index: length - 1, plain: length };
    },
    // A command: whoever got no answer asks again with the same key. Its answer may be older than who gives it.
    commit: command(this, parseEntry, (_client, entry, tx) => this.#commit(entry, tx)),
    read: (): Contents => ({
      ...this.#said(),
      plain: [...this.state.plain],
      committed: [...this.state.committed].slice(0, this.#certain),
    }),
  };

  /** In the moment in which it speaks, so that what is said too late says so itself. */
  override onBeforePatch(): void {
    this.#beat();
  }

  /** Its state is restored by now, and nobody has been told of it. */
  onEpoch(epoch: number): void {
    const { state } = this;
    state.epoch = epoch;
    state.basePlain = state.plain.length;
    state.baseCommitted = this.#certain = state.committed.length; // no checkpoint holds half of a commit
    this.#beat();
  }

  override onDrop(client: Client): void {
    if (isEar(client)) return;
    this.allowReconnection(client, SEAT_HELD_SECONDS).catch(() => undefined); // onLeave follows
  }

  override onJoin(client: Client, options: unknown): void {
    client.userData = { isEar: (options as { isEar?: boolean } | undefined)?.isEar === true };
  }

  #commit({ id }: Entry, tx: CommitTx): Appended {
    const { state } = this;
    state.committed.push(id);
    tx.undo(() => void state.committed.pop()); // commits of a room are one at a time: it is the last
    tx.after(() => (this.#certain = state.committed.length));
    tx.run(ENTER, [this.roomId, id, state.epoch]);
    return { epoch: state.epoch, index: state.committed.length - 1, plain: state.plain.length };
  }

  #beat(): void {
    const { state } = this;
    state.seq += 1;
    state.saidAt = systemClock.nowMs();
    state.pid = process.pid;
  }

  #said(): Said {
    const { epoch, seq, pid, basePlain: plain, baseCommitted: committed } = this.state;
    return { epoch, seq, saidAt: systemClock.nowMs(), pid, base: { plain, committed } };
  }
}

/** Who only listens does not keep a seat. */
function isEar(client: Client): boolean {
  return (client.userData as { isEar?: boolean } | undefined)?.isEar === true;
}

interface Entry {
  readonly id: string;
}

function parseEntry(message: unknown): Entry {
  const { id } = message as Partial<Entry>;
  if (typeof id !== "string" || id === "") throw new Error("an entry needs an id");
  return { id };
}
