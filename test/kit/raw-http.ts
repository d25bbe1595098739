// HTTP by the byte: requests as no client library would send them.

import net from "node:net";
import { systemClock } from "../../src/runtime/clock.ts";

/**
 * Sends bytes and gives back what came until the other side closed, or was silent for a second.
 *
 * @param more sent after the first, one every `everyMs`, for as long as the other side takes it
 */
export function say(
  port: number,
  bytes: string | Uint8Array,
  { more, everyMs = 50, silenceMs = 1_000 }: { more?: string; everyMs?: number; silenceMs?: number } = {},
): Promise<string> {
  return new Promise((resolve) => {
    const socket = net.connect(port, "127.0.0.1");
    let heard = "";
    const end = (): void => {
      socket.destroy();
      resolve(heard);
    };
    if (more === undefined) socket.setTimeout(silenceMs, end);
    socket.on("error", end);
    socket.on("close", end);
    socket.on("data", (chunk: Buffer) => (heard += chunk.toString("latin1")));
    const trickle = (): void => {
      if (socket.destroyed || more === undefined) return;
      socket.write(more);
      systemClock.after(everyMs, trickle);
    };
    socket.on("connect", () => {
      socket.write(bytes);
      trickle();
    });
  });
}

export const head = (first: string, ...headers: string[]): string =>
  [first, ...headers, "Connection: close", "", ""].join("\r\n");

export const upgrade = (target: string, ...headers: string[]): string =>
  [
    `GET ${target} HTTP/1.1`,
    ...(headers.length > 0 ? headers : ["Host: x"]),
    "Connection: Upgrade",
    "Upgrade: websocket",
    "Sec-WebSocket-Version: 13",
    "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==",
    "",
    "",
  ].join("\r\n");
