// A bout: one connection's worth of one kind of attack, decided by the seed and its number alone.

import net from "node:net";
import { Chance } from "./chance.ts";
import { acknowledging, frame, leaving } from "./frame-grammar.ts";
import { httpRequest } from "./http-grammar.ts";
import { ipcLink, ipcRequest, type IpcTarget } from "./ipc-grammar.ts";
import { firstFrame } from "../kit/server-frames.ts";

export const KINDS = ["http", "frames", "ipc"] as const;
export type Kind = (typeof KINDS)[number];

export interface Target extends IpcTarget {
  readonly publicPort: number;
  readonly internalPort: number;
}

export interface TargetRoom {
  readonly roomId: string;
  readonly takesInputs: boolean;
}

export interface Field {
  readonly seed: number;
  readonly targets: readonly Target[];
  readonly rooms: readonly TargetRoom[];
}

export interface Outcome {
  /** Requests or frames that were sent while the connection was open. */
  readonly sent: number;
  /** How it ended, in a word. */
  readonly end: string;
  /** Whose seat it was, if it was somebody's. */
  readonly sessionId?: string;
}

const REQUESTS_A_BOUT = 10;
const FRAMES_A_BOUT = 200;
/** Frames that go out between two looks at whether the connection is still there. */
const FRAMES_AT_ONCE = 20;
const HTTP_MS = 300;
const SEAT_MS = 8_000;
const GOODBYE_MS = 4_000;
const SLOW_MS = 30;
const JOIN_ROOM = 10;

export function bout(field: Field, kind: Kind, index: number): Promise<Outcome> {
  const chance = new Chance(field.seed, kind, index);
  const target = chance.pick(field.targets);
  if (kind === "http") return httpBout(chance, field, target);
  if (kind === "frames") return framesBout(chance, field, target);
  return ipcBout(chance, target);
}

/** What a bout would send, for whoever wants to see it. */
export function describeBout(field: Field, kind: Kind, index: number): string[] {
  const chance = new Chance(field.seed, kind, index);
  const target = chance.pick(field.targets);
  if (kind === "http")
    return httpParts(chance, field).map(({ bytes }) =>
      JSON.stringify(bytes.subarray(0, 300).toString("latin1")),
    );
  if (kind === "ipc")
    return ipcParts(chance, target).map((bytes) => JSON.stringify(bytes.subarray(0, 300).toString("latin1")));
  const plan = framesPlan(chance, field);
  return [
    `to room ${plan.room.roomId} with ${plan.query}`,
    ...plan.frames.slice(-10).map(({ bytes }) => bytes.subarray(0, 100).toString("hex")),
  ];
}

function httpParts(chance: Chance, { rooms }: Field): { bytes: Buffer; isSound: boolean }[] {
  const roomIds = rooms.map(({ roomId }) => roomId);
  const parts = [];
  for (let i = 0; i < REQUESTS_A_BOUT; i++)
    parts.push(httpRequest(chance, roomIds, i === REQUESTS_A_BOUT - 1));
  return parts;
}

/** Sound requests are pipelined; whatever may end the connection is the last on it. */
async function httpBout(chance: Chance, field: Field, { publicPort }: Target): Promise<Outcome> {
  const parts = httpParts(chance, field);
  const isSlow = chance.oneIn(100);
  let gathered: Buffer[] = [];
  let connections = 0;
  for (const [at, { bytes, isSound }] of parts.entries()) {
    gathered.push(bytes);
    if (isSound && at < parts.length - 1 && gathered.length < 5) continue;
    connections += 1;
    await say(publicPort, gathered, isSlow, HTTP_MS);
    gathered = [];
  }
  return { sent: parts.length, end: `${connections} connections` };
}

function ipcParts(chance: Chance, target: Target): Buffer[] {
  if (chance.oneIn(3)) return ipcLink(chance, target);
  return Array.from({ length: chance.int(1, 5) }, () => ipcRequest(chance, target));
}

async function ipcBout(chance: Chance, target: Target): Promise<Outcome> {
  const parts = ipcParts(chance, target);
  await say(target.internalPort, parts, chance.oneIn(10), HTTP_MS);
  return { sent: parts.length, end: "done" };
}

/** Sends these and reads until the other side has closed, or nothing has come for `ms`. */
function say(port: number, parts: readonly Buffer[], isSlow: boolean, ms: number): Promise<void> {
  return new Promise((resolve) => {
    const socket = net.connect(port, "127.0.0.1");
    const end = (): void => {
      socket.destroy();
      resolve();
    };
    socket.setTimeout(ms, end);
    socket.on("error", end);
    socket.on("close", end);
    socket.on("data", () => {});
    socket.on(
      "connect",
      () => void write(socket, parts, isSlow).then(() => isSlow || socket.setTimeout(ms / 8, end)),
    );
  });
}

async function write(socket: net.Socket, parts: readonly Buffer[], isSlow: boolean): Promise<void> {
  if (!isSlow) {
    socket.write(Buffer.concat(parts));
    return;
  }
  for (const part of parts) {
    for (const half of [part.subarray(0, part.length >> 1), part.subarray(part.length >> 1)]) {
      if (socket.destroyed) return;
      socket.write(half);
      await new Promise((resolve) => setTimeout(resolve, SLOW_MS));
    }
  }
}

interface FramesPlan {
  readonly room: TargetRoom;
  readonly query: string;
  readonly acknowledges: boolean;
  readonly frames: readonly { readonly bytes: Buffer; readonly isLast: boolean }[];
  readonly goodbye: "leaves" | "cuts" | "stays";
}

export function framesPlan(chance: Chance, { rooms }: Field): FramesPlan {
  const room = chance.pick(rooms);
  let query = "";
  if (chance.oneIn(40)) query += `&reconnectionToken=${encodeURIComponent(chance.text(40))}`;
  if (chance.oneIn(20)) query += "&skipHandshake=1";
  const acknowledges = !chance.oneIn(30);
  const frames = [];
  for (let i = 0; i < FRAMES_A_BOUT; i++) {
    const next = frame(chance, room.takesInputs);
    frames.push(next);
    if (next.isLast) break;
  }
  const goodbye = chance.weighted<FramesPlan["goodbye"]>([
    [8, () => "leaves"],
    [3, () => "cuts"],
    [0.3, () => "stays"],
  ]);
  return { room, query, acknowledges, frames, goodbye };
}

async function framesBout(chance: Chance, field: Field, { publicPort }: Target): Promise<Outcome> {
  const plan = framesPlan(chance, field);
  const reserved = await reserve(publicPort, plan.room.roomId);
  if (reserved === undefined) return { sent: 0, end: "no seat" };
  const socket = net.connect(publicPort, "127.0.0.1");
  const heard = new Heard(socket);
  socket.write(
    `GET /x/${plan.room.roomId}?sessionId=${reserved}${plan.query} HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\n` +
      "Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n",
  );
  if (!(await heard.untilSeated(SEAT_MS))) {
    socket.destroy();
    return { sent: 0, end: `not seated, ${heard.end}`, sessionId: reserved };
  }
  if (plan.acknowledges) socket.write(acknowledging(chance));
  let sent = 0;
  for (let at = 0; at < plan.frames.length && !heard.isOver; at += FRAMES_AT_ONCE) {
    const some = plan.frames.slice(at, at + FRAMES_AT_ONCE);
    const bytes = Buffer.concat(some.map((each) => each.bytes));
    // Where one packet ends and the next begins is nobody's to know.
    const cut = chance.int(0, bytes.length);
    socket.write(bytes.subarray(0, cut));
    if (chance.oneIn(3)) await new Promise((resolve) => setImmediate(resolve));
    if (!socket.write(bytes.subarray(cut))) await heard.untilDrained();
    sent += some.length;
    await new Promise((resolve) => setImmediate(resolve));
  }
  if (plan.goodbye === "leaves") socket.write(leaving(chance));
  if (plan.goodbye !== "cuts") await heard.untilOver(GOODBYE_MS);
  const end = heard.isOver ? heard.end : plan.goodbye;
  socket.destroy();
  return { sent, end, sessionId: reserved };
}

async function reserve(port: number, roomId: string): Promise<string | undefined> {
  try {
    const response = await fetch(`http://127.0.0.1:${port}/matchmake/joinById/${roomId}`, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify({ name: "fuzz" }),
      signal: AbortSignal.timeout(SEAT_MS),
    });
    const { sessionId } = (await response.json()) as { sessionId?: string };
    return response.ok ? sessionId : undefined;
  } catch {
    return undefined;
  }
}

/** What comes back on a WebSocket, as far as an attacker wants to know: the seat, and the end. */
class Heard {
  readonly #socket: net.Socket;
  #bytes: Buffer = Buffer.alloc(0);
  #isUpgraded = false;
  #isSeated = false;
  isOver = false;
  end = "cut";
  #notify = (): void => {};

  constructor(socket: net.Socket) {
    this.#socket = socket;
    const over = (): void => {
      this.isOver = true;
      this.#notify();
    };
    socket.on("error", over);
    socket.on("close", over);
    socket.on("drain", () => this.#notify());
    socket.on("data", (chunk: Buffer) => this.#hear(chunk));
  }

  untilSeated(ms: number): Promise<boolean> {
    return this.#until(() => this.#isSeated || this.isOver, ms).then(() => this.#isSeated && !this.isOver);
  }

  untilOver(ms: number): Promise<void> {
    return this.#until(() => this.isOver, ms);
  }

  untilDrained(): Promise<void> {
    return this.#until(() => this.isOver || !this.#socket.writableNeedDrain, GOODBYE_MS);
  }

  #until(isSo: () => boolean, ms: number): Promise<void> {
    if (isSo()) return Promise.resolve();
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, ms);
      this.#notify = () => {
        if (!isSo()) return;
        clearTimeout(timer);
        resolve();
      };
    });
  }

  #hear(chunk: Buffer): void {
    this.#bytes = this.#bytes.length === 0 ? chunk : Buffer.concat([this.#bytes, chunk]);
    if (!this.#isUpgraded) {
      const at = this.#bytes.indexOf("\r\n\r\n");
      if (at === -1) return;
      this.end = this.#bytes.toString("latin1", 0, 12);
      if (this.end !== "HTTP/1.1 101") return;
      this.#isUpgraded = true;
      this.end = "cut";
      this.#bytes = this.#bytes.subarray(at + 4);
    }
    for (let frame = firstFrame(this.#bytes); frame !== undefined; frame = firstFrame(this.#bytes)) {
      const { opcode, message } = frame;
      this.#bytes = frame.rest;
      if (opcode === 8) this.end = message.length >= 2 ? String(message.readUInt16BE(0)) : "closed";
      else if (opcode === 2 && message[0] === JOIN_ROOM) this.#isSeated = true;
      // As a stock client would: who is told goodbye goes.
      if (opcode === 8) this.#socket.end();
    }
    this.#notify();
  }
}
