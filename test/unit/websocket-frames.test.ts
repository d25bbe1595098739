// Frames of the WebSocket protocol: what players send is heard as ws alone would hear it, byte for byte and error for error,
// however it comes in.

import { EventEmitter } from "node:events";
import { IncomingMessage } from "node:http";
import { Duplex } from "node:stream";
import type { Socket } from "node:net";
import * as fc from "fast-check";
import { expect, test } from "vitest";
import { type WebSocket, WebSocketServer } from "ws";
import { frameOf, readSmallMessagesFast } from "../../src/gateway/websocket-frames.ts";

const BYTES_MAX = 4 * 1024;

class Wire extends Duplex {
  readonly written: Buffer[] = [];
  /** How often it was told that a connection over it ends. */
  ends = 0;

  override _read(): void {}

  override _write(chunk: Buffer, _encoding: string, done: () => void): void {
    this.written.push(Buffer.from(chunk));
    done();
  }
}

/** A connection of a server whose players send what the test says. */
function connect(wire: Wire, isFast: boolean): WebSocket {
  const options = { noServer: true, maxPayload: BYTES_MAX, perMessageDeflate: false, maxFragments: 4 };
  const request = new IncomingMessage(new EventEmitter() as Socket); // nothing is read of it but what follows
  request.method = "GET";
  request.headers = {
    connection: "Upgrade",
    upgrade: "websocket",
    "sec-websocket-version": "13",
    "sec-websocket-key": "dGhlIHNhbXBsZSBub25jZQ==",
  };
  let connected: WebSocket | undefined;
  new WebSocketServer(options).handleUpgrade(request, wire, Buffer.alloc(0), (it) => (connected = it));
  if (connected === undefined) throw new Error("the upgrade was refused");
  if (isFast) readSmallMessagesFast(connected, () => wire.ends++);
  return connected;
}

const nextTurn = (): Promise<void> => new Promise((resolve) => void setImmediate(resolve));

/** What the server's side of a connection does when it hears its nth message. */
interface Answer {
  readonly at: number;
  readonly act: "close" | "terminate" | "pause" | "stop listening";
}

/** Everything that can be seen of a connection to which these bytes come, in these pieces. */
async function seenOf(
  chunks: readonly Buffer[],
  answer: Answer,
  areApart: boolean,
  isFast: boolean,
): Promise<unknown[]> {
  const wire = new Wire();
  const webSocket = connect(wire, isFast);
  const seen: unknown[] = [];
  let messages = 0;
  webSocket.on("message", (data: Buffer, isBinary: boolean) => {
    seen.push(["message", isBinary, data.toString("hex")]);
    if (messages++ !== answer.at) return;
    if (answer.act === "close") webSocket.close(4010, "enough");
    else if (answer.act === "terminate") webSocket.terminate();
    else if (answer.act === "pause") webSocket.pause();
    else webSocket.removeAllListeners("message");
  });
  webSocket.on("ping", (data: Buffer) => seen.push(["ping", data.toString("hex")]));
  webSocket.on("pong", (data: Buffer) => seen.push(["pong", data.toString("hex")]));
  webSocket.on("error", (error: Error & { code?: string }) =>
    seen.push(["error", error.code, error.message]),
  );
  webSocket.on("close", (code: number, reason: Buffer) => seen.push(["close", code, String(reason)]));
  for (const chunk of chunks) {
    if (wire.destroyed) break;
    wire.push(Buffer.from(chunk)); // unmasked in place
    if (areApart) await nextTurn();
    seen.push(["chunk read", webSocket.readyState]);
  }
  if (webSocket.isPaused) webSocket.resume();
  await nextTurn();
  webSocket.terminate();
  await nextTurn();
  return [...seen, Buffer.concat(wire.written).toString("hex")];
}

const often = <T>(usual: T, ...others: T[]): fc.Arbitrary<T> =>
  fc.oneof(
    { weight: 50, arbitrary: fc.constant(usual) },
    { weight: 1, arbitrary: fc.constantFrom(...others) },
  );

/** Where a frame is cut, what follows may look like the beginning of another. */
const LOOK_LIKE_FRAMES = ["828000000000", "828100000000ff", "8282"].map((hex) => Buffer.from(hex, "hex"));
const MASKS = ["00000000", "80000000", "82800000", "82820000"].map((hex) => Buffer.from(hex, "hex"));

/** A frame, mostly one that a page would send; each part of it may be what it must not be. */
const frame = fc
  .record({
    isLast: often(true, false),
    reserved: often(0, 0x40, 0x20, 0x10),
    opcode: fc.oneof(
      { weight: 20, arbitrary: fc.constant(2) },
      { weight: 4, arbitrary: fc.constantFrom(0, 1, 9, 10) },
      { weight: 1, arbitrary: fc.constantFrom(3, 8, 11, 15) },
    ),
    isMasked: often(true, false),
    mask: fc.oneof(fc.uint8Array({ minLength: 4, maxLength: 4 }), fc.constantFrom(...MASKS)),
    bytes: fc.oneof(
      { weight: 6, arbitrary: fc.uint8Array({ maxLength: 12 }) },
      { weight: 3, arbitrary: fc.constantFrom(...LOOK_LIKE_FRAMES) },
      { weight: 2, arbitrary: fc.string({ maxLength: 20, unit: "binary" }).map((text) => Buffer.from(text)) },
      {
        weight: 2,
        arbitrary: fc
          .constantFrom(124, 125, 126, 127, 128, 700, BYTES_MAX, BYTES_MAX + 1)
          .map((length) => Buffer.alloc(length, 7)),
      },
    ),
    /** In how many bytes the length is written: as few as it takes, or more. */
    lengthBytes: often(0, 2, 8),
  })
  .map(({ isLast, reserved, opcode, isMasked, mask, bytes, lengthBytes }) => {
    const needs = bytes.length > 125 ? 2 : 0;
    const width = Math.max(needs, lengthBytes);
    const head = Buffer.alloc(2 + width);
    head[0] = (isLast ? 0x80 : 0) | reserved | opcode;
    head[1] = (isMasked ? 0x80 : 0) | (width === 0 ? bytes.length : width === 2 ? 126 : 127);
    if (width === 2) head.writeUInt16BE(bytes.length, 2);
    if (width === 8) head.writeBigUInt64BE(BigInt(bytes.length), 2);
    if (!isMasked) return Buffer.concat([head, bytes]);
    return Buffer.concat([head, mask, bytes.map((byte, index) => byte ^ (mask[index & 3] ?? 0))]);
  });

/** What a player sends, and where it is cut: anywhere, and at the seams of a frame. */
const sent = fc.array(
  fc.record({
    bytes: fc.oneof(
      { weight: 20, arbitrary: frame },
      { weight: 1, arbitrary: fc.uint8Array({ maxLength: 9 }) },
    ),
    cuts: fc.array(fc.oneof(fc.constantFrom(0, 1, 2, 6), fc.nat()), { maxLength: 2 }),
  }),
  { minLength: 1, maxLength: 12 },
);

function piecesOf(
  frames: readonly { readonly bytes: Uint8Array; readonly cuts: readonly number[] }[],
): Buffer[] {
  const all = Buffer.concat(frames.map(({ bytes }) => bytes));
  const places = new Set<number>();
  let begins = 0;
  for (const { bytes, cuts } of frames) {
    for (const cut of cuts) places.add(begins + (cut % (bytes.length + 1)));
    begins += bytes.length;
  }
  const sorted = [...places].sort((a, b) => a - b);
  const pieces = [0, ...sorted].map((from, index) => all.subarray(from, sorted[index] ?? all.length));
  return pieces.filter(({ length }) => length > 0);
}

const answers = fc.record({
  at: fc.nat(12),
  act: fc.constantFrom("close", "terminate", "pause", "stop listening"),
} as const);

test("bytes from a player are heard, refused and answered as ws alone does, in whatever pieces they come", async () => {
  let heard = 0;
  const property = fc.asyncProperty(sent, answers, fc.boolean(), async (frames, answer, areApart) => {
    const pieces = piecesOf(frames);
    const expected = await seenOf(pieces, answer, areApart, false);
    expect(await seenOf(pieces, answer, areApart, true)).toEqual(expected);
    heard += expected.filter((what) => Array.isArray(what) && what[0] === "message").length;
  });
  await fc.assert(property, { numRuns: 2_000 });
  expect(heard, "messages").toBeGreaterThan(3_000);
}, 120_000);

test("nothing is heard after what was no frame, even if it came in the same breath", async () => {
  const pieces = ["ff80", "828100000000ff"].map((hex) => Buffer.from(hex, "hex"));
  const expected = await seenOf(pieces, { at: 0, act: "pause" }, false, false);
  expect(expected).toContainEqual(["error", "WS_ERR_UNEXPECTED_RSV_2_3", expect.any(String)]);
  expect(await seenOf(pieces, { at: 0, act: "pause" }, false, true)).toEqual(expected);
});

test("that a player says goodbye is told before anything else can be said to them", async () => {
  const wire = new Wire();
  const webSocket = connect(wire, true);
  wire.push(Buffer.from("898000000000828100000000ff", "hex")); // a ping, and a message
  await nextTurn();
  expect(wire.ends).toBe(0);
  wire.on("data", () => expect(wire.ends).toBe(webSocket.readyState === webSocket.OPEN ? 0 : 1));
  wire.push(Buffer.from("888200000000" + "03e8", "hex"));
  await nextTurn();
  expect(wire.ends).toBe(1);
});

test("small messages that come in one piece do not go through ws's reader", async () => {
  const wire = new Wire();
  const webSocket = connect(wire, true);
  const heard: string[] = [];
  webSocket.on("message", (data: Buffer) => heard.push(String(data)));
  const { _receiver: receiver } = webSocket as unknown as { readonly _receiver: { _write: unknown } };
  receiver._write = () => {
    throw new Error("it went there");
  };
  const masked = (text: string): Buffer =>
    Buffer.concat([Buffer.of(0x82, 0x80 + text.length, 0, 0, 0, 0), Buffer.from(text)]);
  wire.push(Buffer.concat([masked("one"), masked(""), masked("x".repeat(125))]));
  await nextTurn();
  expect(heard).toEqual(["one", "", "x".repeat(125)]);
});

test("a message is framed as ws frames it, whatever its length", async () => {
  for (const length of [0, 1, 125, 126, 127, 65_535, 65_536, 70_000]) {
    const wire = new Wire();
    const webSocket = connect(wire, false);
    const message = Buffer.alloc(length, length);
    webSocket.send(message);
    await nextTurn();
    const frame = Buffer.concat(wire.written.slice(1)); // after the answer to the upgrade
    expect(frameOf(message).equals(frame), `${length} bytes`).toBe(true);
  }
});
