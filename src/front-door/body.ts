// The body of a request, within its bound, however it comes: with its size told, in chunks, or a byte at a time.

import type { IncomingMessage } from "node:http";

/** Objects in objects: deeper than any game's options, and far below what ends a recursion. */
const DEPTH_MAX = 32;

/** Calls `onExceeded`, once, when more than `bytesMax` have come; what comes from then on is dropped. */
export function boundBody(request: IncomingMessage, bytesMax: number, onExceeded: () => void): void {
  let bytes = 0;
  // Here the parser hands over what it has read, whoever reads it then, and however.
  const push = request.push.bind(request);
  request.push = (chunk: unknown, encoding?: BufferEncoding) => {
    if (chunk === null) return push(null); // the end
    if (bytes > bytesMax) return true;
    bytes += chunk instanceof Uint8Array ? chunk.length : 0;
    if (bytes <= bytesMax) return push(chunk, encoding);
    onExceeded();
    return true;
  };
}

/** Reads a body to its end. @returns undefined when it does not come to one: the other side is gone, or too slow */
export async function readBody(request: IncomingMessage): Promise<Buffer | undefined> {
  const chunks: Buffer[] = [];
  try {
    for await (const chunk of request) chunks.push(chunk as Buffer); // no encoding is set
    return request.complete ? Buffer.concat(chunks) : undefined;
  } catch {
    return undefined; // cut off
  }
}

/**
 * The options of a join: what Colyseus reads as such, and sends to other nodes.
 *
 * @returns undefined when they are anything but one JSON object of a sensible depth; `{}` for an empty body
 */
export function readOptions(body: Uint8Array): string | undefined {
  if (body.length === 0) return "{}";
  try {
    const text = new TextDecoder("utf-8", { fatal: true }).decode(body);
    const options: unknown = JSON.parse(text);
    const isOne = typeof options === "object" && options !== null && !Array.isArray(options);
    return isOne && isShallow(options, DEPTH_MAX) ? text : undefined;
  } catch {
    return undefined;
  }
}

function isShallow(value: unknown, depth: number): boolean {
  if (typeof value !== "object" || value === null) return true;
  return depth > 0 && Object.values(value).every((inner) => isShallow(inner, depth - 1));
}
