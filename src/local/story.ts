// What happened, told in a few lines: who died and how, when it was noticed, and for each of its rooms the epoch it
// went on at, where, from how old a checkpoint, and who of its players is back. Pure: facts in, lines out.
//
// The facts are the launcher's own (it sent the signal) and the nodes' events; all carry the wall time of one machine.

import { millis, plural, seconds, text, number } from "./story-words.ts";

export type StoryFact =
  | { kind: "killed" | "frozen" | "thawed" | "draining"; at: number; nodeId: string; pid: number }
  | {
      kind: "ended";
      at: number;
      nodeId: string;
      why: string;
      lastWords: string;
      /** Undefined: it stays away. */
      restartMs: number | undefined;
    }
  | { kind: "event"; at: number; nodeId: string; name: string; facts: Readonly<Record<string, unknown>> }
  /** Time goes on: chapters that have waited long enough are closed. */
  | { kind: "clock"; at: number };

interface RoomPart {
  readonly title: string;
  readonly restoredAt: number;
  readonly seats: number;
  back: number;
  readonly sessions: Set<string>;
  /** Wall time of the last player's return. */
  backAt: number | undefined;
  isSettled: boolean;
  isTold: boolean;
}

/** One death and what followed. */
interface Chapter {
  readonly nodeId: string;
  readonly at: number;
  noticedAt: number | undefined;
  expected: number;
  readonly rooms: Map<string, RoomPart>;
  told: number;
}

/** Rooms told one by one; the others are counted. */
const TOLD_MAX = 3;
/** How long a chapter waits for rooms and players after the death was noticed. */
const PATIENCE_MS = 10_000;
/** How long it waits for somebody to notice: a lease, with room to spare. */
const UNNOTICED_MS = 30_000;

export interface Story {
  tell(fact: StoryFact): string[];
}

export function createStory(): Story {
  const chapters = new Map<string, Chapter>();
  const silentStores = new Map<string, number>();

  const open = (nodeId: string, at: number): void => {
    if (chapters.has(nodeId)) return;
    chapters.set(nodeId, { nodeId, at, noticedAt: undefined, expected: 0, rooms: new Map(), told: 0 });
  };

  const tell = (fact: StoryFact): string[] => {
    const { at } = fact;
    switch (fact.kind) {
      case "killed":
        chapters.delete(fact.nodeId);
        open(fact.nodeId, at);
        return [`${fact.nodeId} was killed (kill -9, pid ${fact.pid})`];
      case "frozen":
        chapters.delete(fact.nodeId);
        open(fact.nodeId, at);
        return [
          `${fact.nodeId} is frozen (SIGSTOP, pid ${fact.pid}); its rooms move when its lease has run out`,
        ];
      case "thawed": {
        const chapter = chapters.get(fact.nodeId);
        if (chapter !== undefined && chapter.noticedAt === undefined) chapters.delete(fact.nodeId);
        return [`${fact.nodeId} runs again (SIGCONT, pid ${fact.pid})`];
      }
      case "draining":
        return [`${fact.nodeId} is leaving (SIGTERM, pid ${fact.pid}); its rooms move first`];
      case "ended":
        return ended(fact);
      case "event":
        return event(fact);
      case "clock":
        return [...chapters.values()].flatMap((chapter) => goOn(chapter, at));
    }
  };

  const ended = (fact: StoryFact & { kind: "ended" }): string[] => {
    if (fact.restartMs === undefined) return []; // asked for, and told when it was
    const again = fact.restartMs === 0 ? "it starts over" : `it starts again in ${seconds(fact.restartMs)}`;
    if (fact.why === "was fenced")
      return [`${fact.nodeId} found that the others had gone on without it; ${again}`];
    open(fact.nodeId, fact.at);
    const words = fact.lastWords === "" ? "" : ` (${fact.lastWords.slice(0, 200)})`;
    return [`${fact.nodeId} ${fact.why}${words}; ${again}`];
  };

  const event = (fact: StoryFact & { kind: "event" }): string[] => {
    const { facts, at, nodeId } = fact;
    switch (fact.name) {
      case "node:ready":
        return [`${nodeId} is ready (${millis(number(facts["readyMs"]))})`];
      case "node:drained":
        return [
          `${nodeId} left in ${millis(number(facts["drainMs"]))}: ` +
            `${plural(number(facts["moved"]), "room")} moved, ${number(facts["left"])} saved for later`,
        ];
      case "node:lost":
        return lost(text(facts["lostNodeId"]), text(facts["reason"]), number(facts["rooms"]), fact);
      case "room:restored":
        return restored(fact);
      case "seat:reclaimed":
      case "room:settled":
        return players(fact);
      case "postgres:lost":
      case "redis:lost":
        return storeLost(fact.name.startsWith("postgres") ? "Postgres" : "Redis", at);
      case "failsafe:denied":
        return [
          `${nodeId} cannot reach Postgres (${text(facts["why"])}): its rooms stand still when its lease ends`,
        ];
      case "postgres:regained":
      case "redis:regained":
        return storeRegained(fact.name.startsWith("postgres") ? "Postgres" : "Redis", at);
      default:
        return [];
    }
  };

  const lost = (
    lostNodeId: string,
    reason: string,
    rooms: number,
    fact: StoryFact & { kind: "event" },
  ): string[] => {
    const chapter = chapters.get(lostNodeId);
    if (chapter === undefined || reason === "left" || fact.at < chapter.at) return [];
    chapter.expected = Math.max(chapter.expected, rooms);
    if (chapter.noticedAt !== undefined) return goOn(chapter, fact.at);
    chapter.noticedAt = fact.at;
    const how = WHY_LOST[reason] ?? reason;
    const held = rooms === 0 ? "it held no rooms" : `it held ${plural(rooms, "room")}`;
    const line = `  noticed by ${fact.nodeId} after ${millis(fact.at - chapter.at)}: ${how}; ${held}`;
    return [line, ...goOn(chapter, fact.at)];
  };

  const restored = ({ facts, at, nodeId }: StoryFact & { kind: "event" }): string[] => {
    const roomId = text(facts["roomId"]);
    // A room that lost its next owner too belongs to that node's chapter from now on.
    for (const other of chapters.values()) {
      if (other.nodeId !== facts["fromNodeId"] && other.rooms.delete(roomId)) other.expected -= 1;
    }
    const chapter = chapters.get(text(facts["fromNodeId"]));
    if (chapter === undefined || facts["why"] === "move" || at < chapter.at) return [];
    const seats = number(facts["seats"]);
    const epochs = `epoch ${number(facts["fromEpoch"])} → ${number(facts["epoch"])}`;
    chapter.rooms.set(roomId, {
      title:
        `${text(facts["name"])} ${roomId}: ${epochs}, now on ${nodeId}, ` +
        `from a checkpoint ${seconds(number(facts["checkpointAgeMs"]))} old`,
      restoredAt: at,
      seats,
      back: 0,
      sessions: new Set(),
      backAt: undefined,
      isSettled: seats === 0,
      isTold: false,
    });
    return goOn(chapter, at);
  };

  const players = ({ name, facts, at }: StoryFact & { kind: "event" }): string[] => {
    const roomId = text(facts["roomId"]);
    const chapter = [...chapters.values()].find((each) => each.rooms.has(roomId));
    const room = chapter?.rooms.get(roomId);
    if (chapter === undefined || room === undefined) return [];
    if (name === "seat:reclaimed") {
      room.back = room.sessions.add(text(facts["sessionId"])).size; // one who came twice is one
      room.backAt = at;
      room.isSettled = room.back >= room.seats;
    } else {
      // Its count is the room's own; ours may have missed an event.
      room.back = number(facts["back"]);
      room.backAt ??= room.back === 0 ? undefined : room.restoredAt + number(facts["backMs"]);
      room.isSettled = true;
    }
    return goOn(chapter, at);
  };

  /** Tells what can be told by now, and closes the chapter when nothing more is to come. */
  const goOn = (chapter: Chapter, at: number): string[] => {
    if (chapter.noticedAt === undefined && chapter.rooms.size === 0) {
      if (at - chapter.at < UNNOTICED_MS) return [];
      chapters.delete(chapter.nodeId);
      return [`  nobody has taken over from ${chapter.nodeId} yet; is another node running?`];
    }
    const isLate = at - (chapter.noticedAt ?? chapter.at) >= PATIENCE_MS;
    const rooms = [...chapter.rooms.values()];
    const lines: string[] = [];
    for (const room of rooms) {
      if (room.isTold || (!room.isSettled && !isLate)) continue;
      room.isTold = true;
      chapter.told += 1;
      if (chapter.told <= TOLD_MAX) lines.push(`  ${room.title}; ${whoIsBack(room, chapter.at)}`);
    }
    const isWhole =
      chapter.noticedAt !== undefined && rooms.length >= chapter.expected && rooms.every((r) => r.isSettled);
    if (!isWhole && !isLate) return lines;
    chapters.delete(chapter.nodeId);
    return [...lines, ...ending(chapter, rooms)];
  };

  const storeLost = (store: string, at: number): string[] => {
    if (silentStores.has(store)) return []; // each node says so
    silentStores.set(store, at);
    const unsaved = store === "Postgres" ? ", unsaved" : "";
    return [`${store} does not answer; players play on${unsaved}`];
  };

  const storeRegained = (store: string, at: number): string[] => {
    const since = silentStores.get(store);
    silentStores.delete(store);
    return since === undefined ? [] : [`${store} answers again, after ${seconds(at - since)}`];
  };

  return { tell };
}

const WHY_LOST: Readonly<Record<string, string>> = {
  refused: "its port refused",
  replaced: "a new process took its name",
  lapsed: "its lease ran out",
};

function whoIsBack(room: RoomPart, since: number): string {
  if (room.seats === 0) return "nobody was in it";
  const counted = `${room.back} of ${plural(room.seats, "player")} back`;
  if (room.backAt === undefined) return counted;
  return `${counted}${room.isSettled ? "" : " so far"} after ${millis(room.backAt - since)}`;
}

function ending(chapter: Chapter, rooms: readonly RoomPart[]): string[] {
  const lines: string[] = [];
  if (chapter.told > TOLD_MAX)
    lines.push(`  and ${chapter.told - TOLD_MAX} more ${chapter.told === TOLD_MAX + 1 ? "room" : "rooms"}`);
  const missing = chapter.expected - rooms.length;
  if (missing > 0) lines.push(`  ${plural(missing, "room")} ${missing === 1 ? "is" : "are"} not back yet`);
  if (rooms.length < 2) return lines;
  const seats = rooms.reduce((sum, room) => sum + room.seats, 0);
  const back = rooms.reduce((sum, room) => sum + room.back, 0);
  const lastRoomMs = Math.max(...rooms.map((room) => room.restoredAt)) - chapter.at;
  const lastBackMs = Math.max(...rooms.map((room) => room.backAt ?? 0)) - chapter.at;
  const who =
    seats === 0
      ? ""
      : `; ${back} of ${plural(seats, "player")}${back === 0 ? "" : ` after ${millis(lastBackMs)}`}`;
  const whole = missing > 0 ? plural(rooms.length, "room") : `all ${rooms.length} rooms`;
  return [...lines, `  ${whole} restored after ${millis(lastRoomMs)}${who}`];
}
