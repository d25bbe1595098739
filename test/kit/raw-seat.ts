// A player by hand, for what the SDK would not do: wait with the acknowledgement, come twice, bring another's token. Through
// any node: it leads to the room.

import { WebSocket } from "ws";

export interface Reservation {
  readonly processId: string;
  readonly roomId: string;
  readonly sessionId: string;
}

export interface Bearer {
  /** The reconnection token, for one who returns. */
  readonly token?: string;
  /** The auth token that the page has. */
  readonly auth?: string;
}

const JOIN_ROOM = 10;
const LEAVE_ROOM = 12;

/** Takes a seat as far as HTTP goes. Rejects with what the node answers. */
export async function reserve(
  port: number,
  roomId: string,
  options: object = {},
  auth?: string,
): Promise<Reservation> {
  const response = await fetch(`http://127.0.0.1:${port}/matchmake/joinById/${roomId}`, {
    method: "POST",
    headers: { "content-type": "application/json", ...(auth && { authorization: `Bearer ${auth}` }) },
    body: JSON.stringify(options),
  });
  const body = (await response.json()) as Reservation & { error?: string };
  if (!response.ok) throw new Error(body.error ?? `HTTP ${response.status}`);
  return body;
}

export class RawSeat {
  readonly reservation: Reservation;
  /** What the room told in its newest JOIN_ROOM. */
  token = "";
  /** Resolves with the close code. */
  readonly closed: Promise<number>;
  closedWith: number | undefined;
  /** States and patches that have come: none before the acknowledgement. */
  frames = 0;
  readonly #socket: WebSocket;
  #acknowledged: Promise<unknown> | undefined;

  private constructor(socket: WebSocket, reservation: Reservation) {
    this.reservation = reservation;
    this.#socket = socket;
    socket.on("error", () => {}); // a close follows
    this.closed = new Promise((resolve) => {
      socket.once("close", (code) => {
        this.closedWith = code;
        resolve(code);
      });
    });
  }

  get sessionId(): string {
    return this.reservation.sessionId;
  }

  get roomId(): string {
    return this.reservation.roomId;
  }

  /**
   * Resolves when the room has said that the seat is taken; nothing is acknowledged. Rejects with the close code.
   *
   * @param meddle is given the socket before it is open
   */
  static open(
    port: number,
    reservation: Reservation,
    { token, auth }: Bearer = {},
    meddle: (socket: WebSocket) => void = () => {},
  ): Promise<RawSeat> {
    const { processId, roomId, sessionId } = reservation;
    const query = new URLSearchParams({
      sessionId,
      ...(token === undefined ? {} : { reconnectionToken: token }),
      ...(auth === undefined ? {} : { _authToken: auth }),
    });
    const socket = new WebSocket(`ws://127.0.0.1:${port}/${processId}/${roomId}?${query.toString()}`);
    meddle(socket);
    const seat = new RawSeat(socket, reservation);
    return new Promise((resolve, reject) => {
      void seat.closed.then((code) => reject(new Error(`closed with ${code}`)));
      socket.on("message", (data: Buffer) => {
        if (data[0] !== JOIN_ROOM) {
          seat.frames += 1;
          return;
        }
        seat.token = data.subarray(2, 2 + (data[1] ?? 0)).toString();
        resolve(seat);
      });
    });
  }

  static async join(port: number, roomId: string, options: object = {}, auth?: string): Promise<RawSeat> {
    const reservation = await reserve(port, roomId, options, auth);
    return RawSeat.open(port, reservation, auth === undefined ? {} : { auth });
  }

  /** Comes back with the newest token, or another. */
  again(port: number, bearer: Bearer = {}): Promise<RawSeat> {
    return RawSeat.open(port, this.reservation, { token: this.token, ...bearer });
  }

  /**
   * Says that it has heard of the seat, as the SDK does at once. Resolves when the room has said something after it, or the
   * connection has ended.
   */
  acknowledge(): Promise<unknown> {
    this.#acknowledged ??= new Promise((resolve) => {
      this.#socket.once("message", resolve);
      void this.closed.then(resolve);
      this.#socket.send(Buffer.of(JOIN_ROOM), () => {}); // it may be closed already
    });
    return this.#acknowledged;
  }

  leave(): void {
    this.#socket.send(Buffer.of(LEAVE_ROOM));
  }

  /** Cuts the connection without a word. */
  cut(): void {
    this.#socket.terminate();
  }
}
