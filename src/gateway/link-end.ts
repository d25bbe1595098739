// One end of a link: frames in and out of a socket, one write a turn of the event loop at most, and a link that is half open
// does not stay. Neither side knows here what it is to the other.

import type { Duplex } from "node:stream";
import { messageOf } from "../errors.ts";
import type { Clock } from "../runtime/clock.ts";
import { KIND, LinkReader, LinkWriter, NO_ROOM, type Frame, type Kind } from "./link-frames.ts";

/** In how many parts the time is cut after which silence ends a link. */
const LOOKS = 6;
/**
 * What is said sooner than this after a write goes with the next one. A write and the read at the other end cost as much as
 * some hundred frames; who says little does not wait at all.
 */
const GATHER_MS = 4;
/** How soon is looked again whether what must wait may go. */
const LOOK_AGAIN_MS = 20;
const PING = wholeFrame(KIND.ping);
const PONG = wholeFrame(KIND.pong);

export interface LinkEndParts {
  readonly socket: Duplex;
  /** What came with the answer to the upgrade. */
  readonly head: Buffer;
  readonly clock: Clock;
  /** How long the other end may say nothing at all. */
  readonly silentMs: number;
  /** Whether what rooms say may leave now; what they have said waits until it may. */
  readonly maySpeak?: () => boolean;
  readonly onFrame: (frame: Frame) => void;
  /** All frames that came at once have been told. */
  readonly onTurn?: () => void;
  /** What was written is on its way. */
  readonly onDrain?: () => void;
  readonly onClosed: (why: string) => void;
}

export class LinkEnd {
  readonly #parts: LinkEndParts;
  readonly #writer = new LinkWriter();
  readonly #reader = new LinkReader();
  readonly #socket: Duplex;
  #isFlushDue = false;
  #writtenAtMs = Number.NEGATIVE_INFINITY;
  #holdsWords = false;
  #isOpen = true;
  #heard = true;
  #silentLooks = 0;
  #stopLooking = (): void => {};

  constructor(parts: LinkEndParts) {
    this.#parts = parts;
    this.#socket = parts.socket;
    const { socket, head } = parts;
    socket.on("error", (error) => this.close(messageOf(error)));
    socket.on("end", () => this.close("the other end closed it"));
    socket.on("close", () => this.close("the connection broke"));
    socket.on("drain", () => parts.onDrain?.());
    socket.on("data", (chunk: Buffer) => this.#read(chunk));
    this.#look();
    // The owner of this end is still being built.
    if (head.length > 0) setImmediate(() => this.#read(head));
  }

  get isOpen(): boolean {
    return this.#isOpen;
  }

  /** Bytes that have not been handed to the kernel. */
  get queuedBytes(): number {
    return this.#writer.bytes + this.#socket.writableLength;
  }

  put(kind: Kind, head: Buffer, place?: number, bytes?: Uint8Array): void {
    if (!this.#isOpen) return;
    this.#writer.put(kind, head, place, bytes);
    this.#flushSoon();
  }

  putDown(head: Buffer, place: number, bytes: Uint8Array): void {
    if (!this.#isOpen) return;
    this.#writer.putDown(head, place, bytes);
    this.#holdsWords = true;
    this.#flushSoon();
  }

  /** Says no more and hears no more. May be called twice. */
  close(why: string): void {
    if (!this.#isOpen) return;
    this.#isOpen = false;
    this.#stopLooking();
    this.#socket.destroy();
    this.#parts.onClosed(why);
  }

  #flushSoon(): void {
    if (this.#isFlushDue) return;
    this.#isFlushDue = true;
    const { clock } = this.#parts;
    const waitMs = this.#writtenAtMs + GATHER_MS - clock.monotonicMs();
    if (waitMs <= 0) setImmediate(this.#flushNow);
    else clock.after(waitMs, this.#flushNow);
  }

  readonly #flushNow = (): void => this.#flush();

  #flush(): void {
    if (!this.#isOpen || this.#writer.bytes === 0) {
      this.#isFlushDue = false;
      return;
    }
    // A process can be frozen between a room's word and this line. If the lease comes back nobody has taken the room, and
    // the word is still true; if not, this process ends.
    if (this.#holdsWords && this.#parts.maySpeak?.() === false) {
      this.#parts.clock.after(LOOK_AGAIN_MS, () => this.#flush());
      return;
    }
    this.#isFlushDue = false;
    this.#holdsWords = false;
    this.#writtenAtMs = this.#parts.clock.monotonicMs();
    this.#socket.write(this.#writer.take());
  }

  #read(chunk: Buffer): void {
    if (!this.#isOpen) return;
    this.#heard = true;
    try {
      this.#reader.push(chunk, (frame) => {
        if (!this.#isOpen) return;
        if (frame.kind === KIND.ping) this.#socket.write(PONG);
        else if (frame.kind !== KIND.pong) this.#parts.onFrame(frame);
      });
    } catch (error) {
      this.close(messageOf(error));
      return;
    }
    this.#parts.onTurn?.();
  }

  /** Counts looks, not time: who was frozen itself must not take that for the other's silence. */
  #look(): void {
    const { clock, silentMs } = this.#parts;
    this.#stopLooking = clock.after(silentMs / LOOKS, () => {
      if (!this.#isOpen) return;
      this.#silentLooks = this.#heard ? 0 : this.#silentLooks + 1;
      this.#heard = false;
      if (this.#silentLooks >= LOOKS) {
        this.close(`silent for ${silentMs} ms`);
        return;
      }
      this.#socket.write(PING);
      this.#look();
    });
  }
}

/** Signs of life go past what waits: an end whose rooms may not speak for a while is not gone. */
function wholeFrame(kind: Kind): Buffer {
  const writer = new LinkWriter();
  writer.put(kind, NO_ROOM);
  return Buffer.from(writer.take());
}
