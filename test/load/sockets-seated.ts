// One player of the drill of the sockets: on the stock SDK, of which nothing is changed or set, or light, which is a WebSocket
// that says what the SDK says and looks at no more than the first byte of what comes. Five hundred SDKs that decode every
// patch take more CPU than all nodes together; with light players the machine is left to what is measured.

import { Client } from "@colyseus/sdk";
import { WebSocket } from "ws";
import type { PlayerFacts } from "./sockets-messages.ts";

const JOIN_ROOM = 10;
const LEAVE_ROOM = 12;
const ROOM_DATA = 13;
const ROOM_STATE = 14;
const ROOM_STATE_PATCH = 15;
const CONSENTED = 4000;

/** What a player counts since they were armed. */
export class Seated {
  readonly roomId: string;
  readonly isLight: boolean;
  readonly say: (x: number, y: number) => void;
  readonly leave: () => Promise<unknown>;
  #drops = 0;
  #returns = 0;
  #leftWith: number | undefined;
  #lastAtMs = performance.now();
  #longestGapMs = 0;
  #patches = 0;

  constructor(parts: Pick<Seated, "roomId" | "isLight" | "say" | "leave">) {
    this.roomId = parts.roomId;
    this.isLight = parts.isLight;
    this.say = parts.say;
    this.leave = parts.leave;
  }

  arm(): void {
    this.#lastAtMs = performance.now();
    this.#longestGapMs = 0;
    this.#patches = 0;
    this.#drops = 0;
    this.#returns = 0;
  }

  hearState(): void {
    const atMs = performance.now();
    this.#longestGapMs = Math.max(this.#longestGapMs, atMs - this.#lastAtMs);
    this.#lastAtMs = atMs;
    this.#patches += 1;
  }

  hearDrop(): void {
    this.#drops += 1;
  }

  hearReturn(): void {
    this.#returns += 1;
  }

  hearEnd(code: number): void {
    this.#leftWith = code;
  }

  get facts(): PlayerFacts {
    return {
      roomId: this.roomId,
      isLight: this.isLight,
      drops: this.#drops,
      returns: this.#returns,
      leftWith: this.#leftWith,
      longestGapMs: Math.max(this.#longestGapMs, performance.now() - this.#lastAtMs),
      patches: this.#patches,
    };
  }
}

/** Takes a seat as the SDK does: in a new room of `game` where `roomId` is null. */
export async function joinBySdk(port: number, game: string, roomId: string | null): Promise<Seated> {
  const client = new Client(`ws://127.0.0.1:${port}`);
  const options = { name: "p" };
  const room =
    roomId === null
      ? await client.create<unknown>(game, options)
      : await client.joinById<unknown>(roomId, options);
  const seated = new Seated({
    roomId: room.roomId,
    isLight: false,
    say: (x, y) => {
      if (room.connection.isOpen) room.send("move", { x, y });
    },
    leave: () => room.leave(),
  });
  room.onStateChange(() => seated.hearState());
  room.onDrop(() => seated.hearDrop());
  room.onReconnect(() => seated.hearReturn());
  room.onLeave((code) => seated.hearEnd(code));
  room.onError(() => {});
  return seated;
}

/** The same with nothing but a WebSocket. One that breaks stays broken, and counts as cut off and lost. */
export async function joinLight(port: number, game: string, roomId: string | null): Promise<Seated> {
  const path = roomId === null ? `create/${game}` : `joinById/${roomId}`;
  const response = await fetch(`http://127.0.0.1:${port}/matchmake/${path}`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ name: "p" }),
  });
  if (!response.ok) throw new Error(`a player was refused: ${await response.text()}`);
  const seat = (await response.json()) as { roomId: string; sessionId: string; processId: string };
  const url = `ws://127.0.0.1:${port}/${seat.processId}/${seat.roomId}?sessionId=${seat.sessionId}`;
  const socket = new WebSocket(url, { perMessageDeflate: false });
  socket.binaryType = "nodebuffer";
  const closed = new Promise<void>((resolve) => socket.once("close", () => resolve()));
  const seated = new Seated({
    roomId: seat.roomId,
    isLight: true,
    say: (x, y) => {
      if (socket.readyState === WebSocket.OPEN) socket.send(moveOf(x, y));
    },
    leave: () => {
      socket.send(Buffer.of(LEAVE_ROOM));
      return closed;
    },
  });
  await new Promise<void>((resolve, reject) => {
    let hasJoined = false;
    socket.on("error", reject);
    socket.on("close", (code) => {
      reject(new Error(`a player's connection was closed with ${code}`));
      if (code === CONSENTED) return;
      seated.hearDrop();
      seated.hearEnd(code);
    });
    socket.on("message", (data: Buffer) => {
      const code = data[0];
      if (code === ROOM_STATE || code === ROOM_STATE_PATCH) seated.hearState();
      else if (code === JOIN_ROOM) {
        if (hasJoined) seated.hearReturn();
        hasJoined = true;
        socket.send(Buffer.of(JOIN_ROOM));
        resolve();
      }
    });
  });
  return seated;
}

/** The `move` that both games know, in MessagePack. */
function moveOf(x: number, y: number): Buffer {
  const bytes = Buffer.alloc(29);
  bytes.set([ROOM_DATA, 0xa4, ...Buffer.from("move"), 0x82, 0xa1, 0x78, 0xcb]); // { x: a double,
  bytes.writeDoubleBE(x, 10);
  bytes.set([0xa1, 0x79, 0xcb], 18); // y: another }
  bytes.writeDoubleBE(y, 21);
  return bytes;
}
