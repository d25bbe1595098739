// Who may write and speak for a room: one at a time, by Postgres's own log and by what players heard.

import type { Violation, Write } from "../history.ts";
import type { Rule } from "./room-history.ts";

/** Postgres's log: epochs only rise, each has one writer, and nothing is written at one that is over. */
export const oneWriter: Rule = (room) => {
  const violations: Violation[] = [];
  const add = (what: string, { at }: Write): void =>
    void violations.push({ rule: "one-writer", roomId: room.roomId, what, at });
  const claimedBy = new Map<number, string>();
  let newest = 0;
  for (const write of room.writes) {
    const { what, epoch, writer } = write;
    if (what === "claim") {
      if (epoch <= newest) add(`${writer} claimed epoch ${epoch}, after epoch ${newest} was`, write);
      else claimedBy.set(epoch, writer);
      newest = Math.max(newest, epoch);
      continue;
    }
    const owner = claimedBy.get(newest);
    if (epoch !== newest)
      add(`${writer} wrote a ${what} of epoch ${epoch}, when epoch ${newest} was ${owner}'s`, write);
    else if (writer !== owner) add(`${writer} wrote a ${what} at epoch ${epoch}, which is ${owner}'s`, write);
  }
  return violations;
};

/** What a room is opened from is the newest checkpoint that Postgres had taken, and no epoch is opened twice. */
export const opensFromNewest: Rule = (room) => {
  const violations: Violation[] = [];
  const newestBefore = new Map<number, number>();
  let newest = 0;
  for (const { what, epoch, seq } of room.writes) {
    if (what === "claim") newestBefore.set(epoch, newest);
    if (what === "checkpoint") newest = Math.max(newest, seq ?? 0);
  }
  const opened = new Map<number, string>();
  for (const { epoch, nodeId, at, from } of room.openings) {
    const other = opened.get(epoch);
    if (other !== undefined) {
      const what = `epoch ${epoch} was opened on ${other}, and again on ${nodeId}`;
      violations.push({ rule: "double-activation", roomId: room.roomId, what, at });
    }
    opened.set(epoch, nodeId);
    const expected = newestBefore.get(epoch);
    if (from === undefined || expected === undefined || from.checkpointSeq === expected) continue;
    const what = `${nodeId} opened epoch ${epoch} from checkpoint ${from.checkpointSeq}, and ${expected} was the newest`;
    violations.push({ rule: "not-older", roomId: room.roomId, what, at });
  }
  return violations;
};

/** How much later a frame may be noticed than it came. */
const NOTICED_MS = 400;

/** Players' frames: to each, (epoch, seq) only rises; no epoch is spoken for after a newer one was, or by two. */
export const oneVoice: Rule = (room) => {
  const violations: Violation[] = [];
  const add = (what: string, at: number): void =>
    void violations.push({ rule: "one-voice", roomId: room.roomId, what, at });
  const lastOf = new Map<string, { epoch: number; seq: number }>();
  const pidOf = new Map<number, number>();
  const firstSaid = new Map<number, number>();
  const firstHeard = new Map<number, number>();
  for (const { client, epoch, seq, saidAt, pid, at } of room.frames) {
    const last = lastOf.get(client);
    if (last !== undefined && (epoch < last.epoch || (epoch === last.epoch && seq < last.seq)))
      add(`${client} heard (${epoch}, ${seq}) after (${last.epoch}, ${last.seq})`, at);
    lastOf.set(client, { epoch, seq });
    const other = pidOf.get(epoch);
    if (other !== undefined && other !== pid)
      add(`epoch ${epoch} was spoken for by processes ${other} and ${pid}`, at);
    else pidOf.set(epoch, pid);
    firstSaid.set(epoch, Math.min(saidAt, firstSaid.get(epoch) ?? saidAt));
    firstHeard.set(epoch, Math.min(at, firstHeard.get(epoch) ?? at));
  }
  const newer = [...firstSaid].sort(([one], [other]) => one - other);
  const told = new Set<number>();
  for (const { client, epoch, saidAt, at, isDirect } of room.frames) {
    if (told.has(epoch)) continue;
    const over = newer.find(([other, since]) => other > epoch && since < saidAt);
    const heard = [...firstHeard].find(
      ([other, since]) => other > epoch && since < at - NOTICED_MS - room.lateMs,
    );
    if (over !== undefined) {
      told.add(epoch);
      add(`epoch ${epoch} spoke to ${client} ${saidAt - over[1]} ms after epoch ${over[0]} had begun to`, at);
    } else if (isDirect === true && heard !== undefined) {
      told.add(epoch);
      add(
        `${client} heard epoch ${epoch} of its owner ${at - heard[1]} ms after others had heard ${heard[0]}`,
        at,
      );
    }
  }
  return violations;
};

interface Answer {
  readonly client: string;
  readonly invokedAt: number;
  readonly endedAt: number;
  readonly epoch: number;
  /** How many there were at least. */
  readonly plain: number;
  readonly committed: number;
}

/** An answer of a newer epoch is never followed by one of an older: nobody asks a stale owner and believes it. */
export const noStaleRead: Rule = (room) => {
  const reads = room.reads.map(({ client, invokedAt, endedAt, got }): Answer => {
    const { epoch, plain, committed } = got;
    return { client, invokedAt, endedAt, epoch, plain: plain.length, committed: committed.length };
  });
  // The answer to a commit may be a remembered one, of an epoch that is over.
  const appends = room.appends.flatMap(({ kind, client, invokedAt, endedAt, at }): Answer[] => {
    if (kind !== "plain" || at === undefined) return [];
    return [{ client, invokedAt, endedAt, epoch: at.epoch, plain: at.index + 1, committed: 0 }];
  });
  const ended = [...reads, ...appends].sort((one, other) => one.endedAt - other.endedAt);
  const isOfRead = new Set(reads);
  const violations: Violation[] = [];
  let next = 0;
  let newest: Answer = { client: "", invokedAt: 0, endedAt: 0, epoch: 0, plain: 0, committed: 0 };
  for (const begun of ended.toSorted((one, other) => one.invokedAt - other.invokedAt)) {
    for (let one = ended[next]; one !== undefined && one.endedAt < begun.invokedAt; one = ended[++next]) {
      if (one.epoch > newest.epoch) newest = one;
      if (one.epoch < newest.epoch) continue;
      const plain = Math.max(one.plain, newest.plain);
      newest = { ...newest, plain, committed: Math.max(one.committed, newest.committed) };
    }
    const isRead = isOfRead.has(begun);
    const isLess =
      begun.epoch === newest.epoch &&
      (begun.plain < newest.plain || (isRead && begun.committed < newest.committed));
    if (begun.epoch >= newest.epoch && !isLess) continue;
    const what = isLess
      ? `${begun.client} was shown less of epoch ${begun.epoch} than others before`
      : `${begun.client} was answered by epoch ${begun.epoch} after ${newest.client} had been by epoch ${newest.epoch}`;
    violations.push({ rule: "stale-read", roomId: room.roomId, what, at: begun.endedAt });
  }
  return violations;
};
