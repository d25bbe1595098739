// A player without an SDK, connected straight to one node's public port: no load balancer that would cut it, nothing that
// would try again. Keeps every byte that arrives, with its time, down to the frames that a WebSocket library swallows.

import net from "node:net";
import { WebSocket } from "ws";
import type { TestNode } from "./cluster.ts";

interface Reservation {
  readonly sessionId: string;
  readonly processId: string;
  readonly roomId: string;
}

const JOIN_ROOM = 10;

export class RawSocket {
  readonly roomId: string;
  readonly sessionId: string;
  readonly closed: Promise<void>;
  /** What came, each as it came from the socket. */
  readonly received: { readonly at: number; readonly bytes: Buffer }[] = [];
  readonly #socket: WebSocket;
  #connection: net.Socket | undefined;
  readonly #reservation: Reservation;
  #token = "";

  private constructor(reservation: Reservation, port: number, token?: string) {
    this.#reservation = reservation;
    this.roomId = reservation.roomId;
    this.sessionId = reservation.sessionId;
    const { processId, roomId, sessionId } = reservation;
    const returning = token === undefined ? "" : `&reconnectionToken=${token}&skipHandshake=1`;
    this.#socket = new WebSocket(
      `ws://127.0.0.1:${port}/${processId}/${roomId}?sessionId=${sessionId}${returning}`,
      {
        createConnection: () => {
          const socket = net.connect(port, "127.0.0.1");
          this.#connection = socket;
          socket.on("data", (bytes: Buffer) => this.received.push({ at: Date.now(), bytes }));
          return socket;
        },
      },
    );
    this.closed = new Promise((resolve) => this.#socket.once("close", () => resolve()));
    this.#socket.on("error", () => {}); // a close follows
  }

  /** Takes a seat in a room and acknowledges it, as the SDK does. Resolves with the first state. */
  static async join(node: TestNode, roomId: string, options: object = {}): Promise<RawSocket> {
    const response = await fetch(`http://127.0.0.1:${node.publicPort}/matchmake/joinById/${roomId}`, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify(options),
    });
    const raw = new RawSocket((await response.json()) as Reservation, node.publicPort);
    await raw.#untilSeated();
    return raw;
  }

  /** Comes back to the seat through `node`, in one try. Rejects when that is refused. */
  async rejoin(node: TestNode): Promise<RawSocket> {
    const raw = new RawSocket(this.#reservation, node.publicPort, this.#token);
    await raw.#untilSeated();
    return raw;
  }

  #untilSeated(): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#socket.once("error", reject);
      this.#socket.once("close", (code) => reject(new Error(`closed with ${code}`)));
      this.#socket.on("message", (data: Buffer) => {
        if (data[0] !== JOIN_ROOM) return resolve();
        this.#token = data.subarray(2, 2 + (data[1] ?? 0)).toString();
        this.#socket.send(Buffer.of(JOIN_ROOM));
      });
    });
  }

  get isOpen(): boolean {
    return this.#socket.readyState === WebSocket.OPEN;
  }

  send(bytes: Uint8Array): void {
    this.#socket.send(bytes);
  }

  /** Writes bytes that are no WebSocket frame, or only part of one. */
  sendUnframed(bytes: Uint8Array): void {
    this.#connection?.write(bytes);
  }
}
