// How a request is refused: one line of JSON, which the SDK shows as its error's message, and from which a page of an allowed
// origin can read it.

import type { IncomingMessage, ServerResponse } from "node:http";
import { ERRORS, type ErrorCode } from "../errors.ts";
import type { Clock } from "../runtime/clock.ts";

/** How long somebody who is refused in the middle of what they send may go on sending, so that they read the answer. */
const READ_AWAY_MS = 1_000;

export interface Refusal {
  readonly code: ErrorCode;
  /** When it makes sense to try again. */
  readonly retryAfterMs?: number | undefined;
  /** More headers. */
  readonly headers?: Readonly<Record<string, string>>;
}

/** Answers, if nobody has yet, and takes nothing more of what is still being sent. */
export function refuse(
  clock: Clock,
  request: IncomingMessage,
  response: ServerResponse,
  { code, retryAfterMs, headers }: Refusal,
): void {
  const { socket } = request;
  if (response.headersSent) {
    socket.destroy(); // a half answer must not look like a whole one
    return;
  }
  const { http: status, text } = ERRORS[code];
  const isPassing = status === 503 || status === 429;
  const body = JSON.stringify({ code, error: text });
  for (const name of response.getHeaderNames()) response.removeHeader(name);
  response.writeHead(status, {
    "content-type": "application/json",
    "content-length": Buffer.byteLength(body),
    "cache-control": "no-store",
    ...(isPassing ? { "retry-after": String(Math.max(1, Math.ceil((retryAfterMs ?? 0) / 1_000))) } : {}),
    ...headers,
  });
  response.end(body);
  silence(response);
  // Not `connection: close`: with bytes still coming that is a reset, and the answer is lost on its way.
  request.resume();
  const cancel = clock.after(READ_AWAY_MS, () => {
    if (!request.complete) socket.destroy();
  });
  request.once("end", cancel);
}

/** A route that is at work on the request says the rest to nobody: told that headers are sent, stock's would throw un-awaited. */
function silence(response: ServerResponse): void {
  Object.assign(response, {
    setHeader: () => response,
    removeHeader: () => {},
    writeHead: () => response,
    write: () => true,
    end: () => response,
  });
}
