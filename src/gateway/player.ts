// One player's WebSocket at their gateway. It outlives the places that the player has at rooms' owners: while there is none,
// what the player says waits here, in order, and past a bound the socket is not read any more, so that it waits at theirs.
// What the player is told, and how slowly they read it, is the outbox's affair.

import type { Duplex } from "node:stream";
import type { WebSocket } from "ws";
import { isFullState, isJoin, isLeave, readJoin } from "../colyseus/player-frames.ts";
import type { Origin, SeatRequest } from "../colyseus/room-transport.ts";
import type { Config } from "../config.ts";
import { ERRORS, type ErrorCode } from "../errors.ts";
import type { Epoch, RoomId } from "../ids.ts";
import type { Clock } from "../runtime/clock.ts";
import { closeReason } from "./close-reason.ts";
import { JoinDeadline } from "./join-deadline.ts";
import type { HeldPlace } from "./line.ts";
import { MessageBudget } from "./message-budget.ts";
import { OpenRequests } from "./open-requests.ts";
import { Outbox } from "./outbox.ts";
import { SdkUptime } from "./sdk-uptime.ts";
import { SignsOfLife } from "./signs-of-life.ts";
import { frameOf, isSendableCode, readSmallMessagesFast } from "./websocket-frames.ts";

/** What a message that waits costs at least, however little it says. */
const HELD_MESSAGE_BYTES_MIN = 64;
const ABNORMAL_CLOSURE = 1006;

/** Why a socket is not read: its player has no place and has said enough, or the link has. */
type Pause = "no place" | "link";

export interface PlayerParts {
  readonly config: Config;
  readonly clock: Clock;
  readonly seat: SeatRequest;
  readonly origin: Origin;
  readonly socket: Duplex;
  /** Completes the upgrade; undefined when what was asked for cannot be one, and has been answered. */
  readonly upgrade: () => WebSocket | undefined;
  /** The place is gone and the player is still there: finds the next one. */
  readonly onPlaceLost: (player: Player) => void;
  readonly onGone: (player: Player) => void;
  readonly onJoined: (player: Player, epoch: Epoch, awayMs: number | undefined) => void;
  readonly onCutOff: (player: Player, why: string) => void;
}

export class Player {
  readonly #parts: PlayerParts;
  readonly roomId: RoomId;
  readonly #outbox: Outbox;
  #webSocket: WebSocket | undefined;
  #place: HeldPlace | undefined;
  #epoch: Epoch | undefined;
  /** Whether the owner of the place has said that the seat is the player's. */
  #isJoined = false;
  /** Whether the SDK has been told so by anybody. */
  #hasJoined = false;
  readonly uptime: SdkUptime;
  #token: string | undefined;
  #hearsInputs = false;
  #lostAtMs: number | undefined;

  #held: Uint8Array[] = [];
  #heldBytes = 0;
  /** Why the socket is not read now. */
  readonly #pausedBy = new Set<Pause>();
  #pausedAtMs = 0;
  /** The player has said that they leave, and was not told yet that they have. */
  #leave: Uint8Array | undefined;
  readonly #requests = new OpenRequests();
  readonly #budget: MessageBudget;
  readonly #joinDeadline: JoinDeadline;
  readonly #life = new SignsOfLife();
  /** Whether the owner took the last place away on purpose, and is not the one to ask for the next. */
  wasLetGo = false;

  constructor(parts: PlayerParts) {
    this.#parts = parts;
    this.roomId = parts.seat.roomId as RoomId;
    this.#token = parts.seat.reconnectionToken;
    const { clock, config, socket } = parts;
    this.uptime = new SdkUptime(clock, parts.seat.skipHandshake);
    this.#budget = new MessageBudget(clock, config.messagesPerSecondMax);
    this.#joinDeadline = new JoinDeadline(clock, config.joinAckMs, () => this.#joinUnanswered());
    this.#outbox = new Outbox({
      clock,
      config,
      socket,
      onCaughtUp: () => this.#place?.resync(), // a player without a place gets the full state with the next one
      onCutOff: (why) => this.#cutOff(why),
    });
  }

  get sessionId(): string {
    return this.#parts.seat.sessionId;
  }

  /** For patches, which are nobody's affair but the socket's. */
  get outbox(): Outbox {
    return this.#outbox;
  }

  get origin(): Origin {
    return this.#parts.origin;
  }

  /** Who asks for their seat: with what they came, or, once they were in the room, as a player who returns. */
  get seat(): SeatRequest {
    const { seat } = this.#parts;
    if (!this.#hasJoined || this.#token === undefined) return seat;
    return { ...seat, reconnectionToken: this.#token, skipHandshake: true, isConnected: true };
  }

  get isGone(): boolean {
    const webSocket = this.#webSocket;
    return webSocket === undefined ? this.#parts.socket.destroyed : webSocket.readyState !== webSocket.OPEN;
  }

  get isPlaced(): boolean {
    return this.#place !== undefined;
  }

  /** Since when the player is without a place, by the monotonic clock. */
  get lostAtMs(): number | undefined {
    return this.#lostAtMs;
  }

  // ---- what the owner of the player's place says, by way of a line ----

  /**
   * The player has a place. What is delivered from now on comes from there.
   *
   * @param perSecond how much the room hears of a player in a second, where its author has said
   */
  placed(place: HeldPlace, epoch: Epoch, perSecond: number | undefined): void {
    this.#budget.follow(perSecond);
    this.#place = place;
    this.#epoch = epoch;
    this.#isJoined = false;
    if (this.#webSocket === undefined) this.#upgrade();
  }

  /** @param framed `message` as a whole WebSocket frame, the same object for all who get it */
  deliver(message: Uint8Array, framed: Buffer): void {
    if (this.isGone) return;
    if (isFullState(message)) {
      this.#outbox.fullState(framed);
      return;
    }
    this.#outbox.message(framed);
    if (isJoin(message)) this.#joined(message);
    else this.#requests.settle(message);
  }

  /** The room closes this connection; 1006 means without a word. */
  closed(code: number, reason: string): void {
    this.#place = undefined;
    this.close(code, reason);
  }

  /**
   * The place is gone.
   *
   * @param unheard what this player said there and was not heard; undefined when nobody knows what was
   */
  placeLost(unheard: readonly Uint8Array[] | undefined): void {
    this.#place = undefined;
    this.#lostAtMs ??= this.#parts.clock.monotonicMs();
    this.wasLetGo = unheard !== undefined;
    if (this.isGone) return;
    if (this.#hearsInputs) {
      const { close, text } = ERRORS.ROOM_MOVING;
      this.uptime.whenLong(() => this.close(close, text));
      return;
    }
    // Without a token there is nothing to present: the join is over, and the SDK tells the caller.
    if (this.#token === undefined) {
      this.close(ABNORMAL_CLOSURE, "");
      return;
    }
    for (const message of unheard ?? []) this.#requests.settle(message);
    this.#held = [...(unheard ?? []), ...this.#held];
    this.#requests.fail((message) => this.#outbox.message(frameOf(message)));
    this.#parts.onPlaceLost(this);
  }

  /** From now on what the player says waits, until they have a place again. */
  holdWords(): void {
    this.#isJoined = false;
  }

  // ---- what the gateway does with its sockets ----

  /** Whether the connection lives: asks, if that is not known, and ends one that does not. To be called every LOOK_EVERY_MS. */
  lookForLife(): void {
    // Whose socket is not read cannot be heard.
    if (this.#webSocket === undefined || this.#pausedBy.size > 0) return;
    const found = this.#life.look();
    if (found === "gone") this.#webSocket.terminate();
    else if (found === "ask") this.#webSocket.ping();
  }

  /** Stops reading what the player says: it waits at their end, in order. */
  pause(why: Pause): void {
    if (this.#pausedBy.size === 0) {
      this.#webSocket?.pause();
      this.#pausedAtMs = this.#parts.clock.monotonicMs();
    }
    this.#pausedBy.add(why);
  }

  resume(why: Pause): void {
    if (!this.#pausedBy.delete(why) || this.#pausedBy.size > 0) return;
    this.#budget.wasDeaf(this.#parts.clock.monotonicMs() - this.#pausedAtMs);
    this.#webSocket?.resume();
  }

  close(code: number, reason: string): void {
    const webSocket = this.#webSocket;
    if (webSocket === undefined) this.#parts.socket.destroy();
    else if (code === ABNORMAL_CLOSURE || !isSendableCode(code)) webSocket.terminate();
    else {
      webSocket.resume(); // or its answer would never be read
      webSocket.close(code, closeReason(reason));
      this.#outbox.stop();
    }
  }

  /** Ends the connection for good, and tells the owner at once: one who may not play need not be waited for. */
  expel(code: number, reason: string): void {
    this.#place?.leave(code);
    this.#place = undefined;
    this.close(code, reason);
  }

  #upgrade(): void {
    const webSocket = this.#parts.upgrade();
    if (webSocket === undefined) {
      this.#place?.leave(ABNORMAL_CLOSURE);
      this.#place = undefined;
      this.#parts.socket.destroy();
      this.#parts.onGone(this);
      return;
    }
    this.#webSocket = webSocket;
    const stop = (): void => this.#outbox.stop();
    readSmallMessagesFast(webSocket, stop);
    webSocket.on("error", stop); // a close follows
    // Who has not read the last answers needs no more of them.
    webSocket.on("ping", (data: Buffer) => {
      if (this.#spends() && !this.#outbox.isFull) webSocket.pong(data);
    });
    webSocket.on("pong", () => void this.#spends());
    webSocket.on("message", (data: Buffer) => {
      if (this.#spends()) this.#said(data);
    });
    webSocket.once("close", (code) => {
      this.#outbox.stop();
      this.#joinDeadline.stop();
      this.#held = [];
      this.#place?.leave(code);
      this.#place = undefined;
      this.#parts.onGone(this);
    });
  }

  /** Something came. @returns whether it counts; otherwise the player is on their way out */
  #spends(): boolean {
    this.#life.heard();
    if (!this.#budget.spend()) {
      this.#expel("TOO_FAST", "said too much");
      return false;
    }
    return true;
  }

  #joinUnanswered(): void {
    if (this.isGone || !this.#isJoined) return; // told of it anew, by the next owner
    // The acknowledgement of one whose socket is not read may be there.
    if (this.#pausedBy.size > 0) this.#joinDeadline.start();
    else {
      const isReturn = this.#parts.seat.reconnectionToken !== undefined || this.uptime.hasAcknowledged;
      this.#expel(isReturn ? "RETURN_UNANSWERED" : "JOIN_UNANSWERED", "did not acknowledge the join");
    }
  }

  /** Ends the connection, whatever the player still says; the room is told now, not when they have heard of it. */
  #expel(code: ErrorCode, why: string): void {
    const webSocket = this.#webSocket;
    if (webSocket === undefined || this.isGone) return;
    const { close, text } = ERRORS[code];
    this.#parts.onCutOff(this, why);
    this.#place?.leave(close);
    this.#place = undefined;
    this.#held = [];
    for (const event of ["message", "ping", "pong"]) webSocket.removeAllListeners(event);
    webSocket.close(close, text);
    this.#outbox.stop();
    webSocket.pause(); // nothing more of them is looked at, until the time for their goodbye is over
  }

  #said(message: Buffer): void {
    if (this.#place !== undefined && this.#isJoined) {
      this.#pass(this.#place, message);
      return;
    }
    this.#held.push(message);
    this.#heldBytes += Math.max(message.length, HELD_MESSAGE_BYTES_MIN);
    if (this.#heldBytes > this.#parts.config.heldMessageBytesMax) this.pause("no place");
  }

  #pass(place: HeldPlace, message: Uint8Array): void {
    if (this.#joinDeadline.isRunning && isJoin(message)) {
      this.#joinDeadline.stop();
      this.uptime.acknowledged();
    }
    if (isLeave(message)) this.#leave = message;
    this.#requests.said(message);
    place.send(message);
  }

  #joined(message: Uint8Array): void {
    const join = readJoin(message);
    if (join !== undefined) {
      this.#token = join.token;
      this.#hearsInputs = join.hearsInputs;
    }
    this.#isJoined = true;
    this.#hasJoined = true;
    this.#joinDeadline.start();
    const awayMs =
      this.#lostAtMs === undefined ? undefined : this.#parts.clock.monotonicMs() - this.#lostAtMs;
    this.#lostAtMs = undefined;
    const held = this.#held;
    this.#held = [];
    this.#heldBytes = 0;
    // Whoever wants to leave wants it of the next owner too; to leave is the one word that may be heard twice.
    if (this.#leave !== undefined) held.push(this.#leave);
    for (const said of held) if (this.#place !== undefined) this.#pass(this.#place, said);
    this.resume("no place");
    if (this.#epoch !== undefined) this.#parts.onJoined(this, this.#epoch, awayMs);
  }

  #cutOff(why: string): void {
    if (this.isGone) return;
    this.#parts.onCutOff(this, why);
    this.#webSocket?.terminate();
  }
}
