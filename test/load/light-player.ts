// A player who costs next to nothing: a TCP socket that speaks as much WebSocket, and as much of Colyseus, as it takes to have a
// seat, to acknowledge it and to come back to it. With five thousand stock clients a drill would measure the clients.

import net from "node:net";
import { systemClock } from "../../src/runtime/clock.ts";
import type { PlayerFacts } from "./storm-messages.ts";
import { firstFrame } from "../kit/server-frames.ts";

export interface Reservation {
  readonly sessionId: string;
  readonly roomId: string;
  readonly processId: string;
}

/** Colyseus's codes are the lower bits of a message's first byte. */
const CODE_MASK = 0x1f;
const JOIN_ROOM = 10;
const FULL_STATE = 14;
const PATCH = 15;
const PING = 0x9;
/** As the SDK waits before each further try; the first is made at once here, which is worse for the cluster. */
const BACKOFF_MS = [0, 200, 400, 800, 1_600, 3_200, 6_400];

export class LightPlayer {
  readonly #reservation: Reservation;
  readonly #backTo: readonly number[];
  #socket: net.Socket | undefined;
  #bytes: Buffer = Buffer.alloc(0);
  #isUpgraded = false;
  #token = "";
  #tries = 0;
  #brokenAtMs: number | undefined;
  #backMs: number | undefined;
  #lastAtMs = 0;
  #longestGapMs = 0;
  #isIn = false;
  readonly #joined = Promise.withResolvers<void>();

  constructor(reservation: Reservation, backTo: readonly number[]) {
    this.#reservation = reservation;
    this.#backTo = backTo;
  }

  /** Resolves with the first state. */
  async join(port: number): Promise<void> {
    this.#connect(port);
    await this.#joined.promise;
  }

  arm(): void {
    this.#lastAtMs = performance.now();
    this.#longestGapMs = 0;
    this.#tries = 0;
    this.#backMs = undefined;
    this.#brokenAtMs = undefined;
  }

  get facts(): PlayerFacts {
    const gapMs = this.#isIn ? performance.now() - this.#lastAtMs : 0;
    return {
      backMs: this.#backMs,
      isConnected: this.#isIn,
      tries: this.#tries,
      longestGapMs: Math.max(this.#longestGapMs, gapMs),
    };
  }

  #connect(port: number): void {
    const { processId, roomId, sessionId } = this.#reservation;
    const returning = this.#token === "" ? "" : `&reconnectionToken=${this.#token}&skipHandshake=1`;
    const socket = net.connect({ port, host: "127.0.0.1", noDelay: true });
    this.#socket = socket;
    this.#bytes = Buffer.alloc(0);
    this.#isUpgraded = false;
    socket.write(
      `GET /${processId}/${roomId}?sessionId=${sessionId}${returning} HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\n` +
        "Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n",
    );
    socket.on("error", () => {}); // a close follows
    socket.on("data", (bytes: Buffer) => this.#read(bytes));
    socket.once("close", () => this.#broke());
  }

  #broke(): void {
    this.#isIn = false;
    if (this.#token === "") {
      this.#joined.reject(new Error("closed before the first state"));
      return;
    }
    this.#brokenAtMs ??= performance.now();
    const waitMs = BACKOFF_MS[Math.min(this.#tries, BACKOFF_MS.length - 1)] ?? 0;
    const port = this.#backTo[this.#tries % this.#backTo.length] ?? 0;
    this.#tries += 1;
    systemClock.after(waitMs, () => this.#connect(port));
  }

  #read(bytes: Buffer): void {
    this.#bytes = this.#bytes.length === 0 ? bytes : Buffer.concat([this.#bytes, bytes]);
    if (!this.#isUpgraded) {
      const end = this.#bytes.indexOf("\r\n\r\n");
      if (end === -1) return;
      if (!this.#bytes.subarray(0, 12).equals(Buffer.from("HTTP/1.1 101"))) {
        this.#socket?.destroy();
        return;
      }
      this.#isUpgraded = true;
      this.#bytes = this.#bytes.subarray(end + 4);
    }
    for (let frame = firstFrame(this.#bytes); frame !== undefined; frame = firstFrame(this.#bytes)) {
      const { opcode, message } = frame;
      this.#bytes = frame.rest;
      if (opcode === PING) this.#send(0x8a, message);
      else if (opcode === 2) this.#hear(message);
    }
  }

  #hear(message: Buffer): void {
    const code = (message[0] ?? 0) & CODE_MASK;
    if (code === JOIN_ROOM) {
      this.#token = message.subarray(2, 2 + (message[1] ?? 0)).toString();
      this.#send(0x82, Buffer.of(JOIN_ROOM));
      return;
    }
    if (code !== FULL_STATE && code !== PATCH) return;
    const nowMs = performance.now();
    if (this.#isIn) this.#longestGapMs = Math.max(this.#longestGapMs, nowMs - this.#lastAtMs);
    this.#lastAtMs = nowMs;
    if (this.#isIn) return;
    this.#isIn = true;
    if (this.#brokenAtMs !== undefined) this.#backMs ??= nowMs - this.#brokenAtMs;
    this.#joined.resolve();
  }

  /** A client's frame has a mask; this one changes nothing. */
  #send(first: number, payload: Buffer): void {
    this.#socket?.write(Buffer.concat([Buffer.of(first, 0x80 | payload.length, 0, 0, 0, 0), payload]));
  }
}
